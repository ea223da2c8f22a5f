"""A stream gives what the whole text gives, however it is cut, and never a part of an entity."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sixfold.errors import UsageError
from sixfold.safety import Policy, StreamMasker, find, mask
from sixfold.safety.recognisers import ROWS, Recogniser
from sixfold.safety.scan import BACK, LEAD, REACH, TRIGGER_LENGTH, Scanner, folded, patterns, table, table_of

KEY = b"a key of thirty-two bytes, or so"
SAMPLES = [re.sub("[«»]", "", example) for row in ROWS for example in (*row.examples, *row.near_misses)]
FILLER = [
    "a ",
    " ",
    "\n",
    "，",
    "。",
    "12",
    "x",
    "AB ",
    "www.",
    "@",
    ":",
    "-",
    "0",
    "1",
    "+",
    "(",
    "电话",
    "born ",
    "微信",
    "：",
    "é",
    "😀",
    "order ",
    "b" * 70,
    "9" * 90,
    "https://" + "p" * 2100,
    "a@" + "c" * 330,
    "eyJ" + "k" * 4200,
    "京",
    "api_key = ",
    "-----BEGIN PRIVATE KEY-----" + "M" * 8200 + "\n-----END PRIVATE KEY-----",
]
pieces = st.lists(st.one_of(st.sampled_from(SAMPLES), st.sampled_from(FILLER)), max_size=8).map("".join)


def streamed(text: str, cuts: list[int], policy: str = "label") -> str:
    masker = StreamMasker(policy, key=KEY)
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    out = [masker.feed(text[a:b]) for a, b in itertools.pairwise(places)]
    return "".join(out) + masker.close()


@settings(max_examples=150, deadline=None)
@given(text=pieces, cuts=st.lists(st.integers(0, 20_000), max_size=12))
def test_any_chunking_gives_the_result_of_the_whole_text(text: str, cuts: list[int]) -> None:
    assert streamed(text, cuts) == mask(text).text


@settings(max_examples=60, deadline=None)
@given(text=pieces.filter(lambda text: len(text) < 1500))
def test_one_character_at_a_time_too(text: str) -> None:
    assert streamed(text, list(range(len(text)))) == mask(text).text


@settings(max_examples=40, deadline=None)
@given(
    text=pieces, cuts=st.lists(st.integers(0, 5_000), max_size=6), policy=st.sampled_from(["hash", "partial", "redact"])
)
def test_other_policies_too(text: str, cuts: list[int], policy: str) -> None:
    assert streamed(text, cuts, policy) == mask(text, policy, key=KEY).text


@settings(max_examples=60, deadline=None)
@given(text=pieces.filter(lambda text: len(text) < 3000))
def test_what_went_out_before_the_end_is_a_prefix_of_what_the_whole_gives(text: str) -> None:
    whole, masker, out = mask(text).text, StreamMasker(), ""
    for character in text:
        out += masker.feed(character)
        assert whole.startswith(out)


def test_plain_text_goes_out_at_once() -> None:
    masker, text = StreamMasker(), "There is nothing here that could be found. " * 3
    out = masker.feed(text)
    assert len(out) >= len(text) - TRIGGER_LENGTH - LEAD
    assert out + masker.close() == text


def test_no_more_than_the_look_ahead_is_held_back() -> None:
    masker, given_so_far, out = StreamMasker(), 0, 0
    for _ in range(200):
        chunk = "at 12 we met 34 people, and all was well "
        given_so_far += len(chunk)
        out += len(masker.feed(chunk))
        assert given_so_far - out <= REACH + 64 + len(chunk)
        assert len(masker._text) <= REACH + 64 + len(chunk) + BACK


@pytest.mark.parametrize(
    ("head", "body", "tail"),
    [
        ("https://", "p" * 3000, " end"),
        ("-----BEGIN PRIVATE KEY-----\n", "M" * 10_000, "\n-----END PRIVATE KEY----- end"),
        ("eyJabcdefghijkl", "k" * 5000, "。"),
    ],
)
def test_a_candidate_longer_than_the_look_ahead_is_masked_from_its_start(head: str, body: str, tail: str) -> None:
    text = f"see {head}{body}{tail}"
    (one,) = find(text)
    assert (one.start, one.whole) == (4, False)
    masker, out = StreamMasker(), ""
    for start in range(0, len(text), 500):
        out += masker.feed(text[start : start + 500])
        assert len(masker._text) < 9500
    out += masker.close()
    assert out == mask(text).text == f"see [{one.type.upper()}]{text[one.end :]}"
    assert masker.counts == {one.type: 1}


def test_half_a_character_waits_for_its_other_half() -> None:
    high, low = "\ud83d", "\ude00"
    masker = StreamMasker()
    out = [masker.feed(f"hi {high}"), masker.feed(f"{low} a@b.co "), masker.close()]
    assert "".join(out) == "hi 😀 [EMAIL] "
    "".join(out).encode()


def test_half_a_character_that_stays_alone_stays() -> None:
    masker = StreamMasker()
    assert masker.feed("a\ud83d") + masker.feed("b\ude00 13800138000") + masker.close() == "a\ud83db\ude00 [PHONE]"
    assert mask("\ud83d 13800138000", "hash", key=KEY).text.startswith("\ud83d [PHONE#")


def test_a_closed_stream_takes_no_more() -> None:
    masker = StreamMasker()
    masker.close()
    with pytest.raises(UsageError, match="closed already"):
        masker.feed("x")


def test_full_width_digits_are_found_where_they_stand() -> None:
    text = "电话１３８００１３８０００。"
    (one,) = find(text)
    assert text[one.start : one.end] == "１３８００１３８０００"


@pytest.mark.parametrize("before", ["😀", "é", "e\u0301", "👩‍👩‍👧"])
def test_places_hold_behind_emoji_and_combining_marks(before: str) -> None:
    text = f"{before} mail a@b.co"
    (one,) = find(text)
    assert text[one.start : one.end] == "a@b.co"


HOSTILE = {
    "digits": "1" * 9,
    "groups": "12 ",
    "dashes": "1-",
    "dots": "1.",
    "mixed": "a1",
    "colons": "a:",
    "ats": "a@",
    "dotted ats": "a.a@a.",
    "plus": "+1 (1",
    "capitals": "AB 12 34 56 ",
    "iban": "GB82 WEST 1234 ",
    "cities": "北京市朝阳区路1号",
    "cues": "微信微信",
    "keys": "api_key=aaaaaaaaaaaaaaaaaaaaa1 ",
    "phones": "call 2345678901,",
    "ids": "110105194912310021,",
    "cards": "4111111111111112,",
    "begins": "-----BEGIN PRIVATE KEY-----(",
    "urls": "http://",
    "brackets behind a url": "http://a.b/" + ")" * 2000 + " ",
    "groups in brackets": "call 12) 1) 1) 1) 1) 1) ",
    "opened groups": "1 (",
    "dates": "born 31/02/31/02/",
    "beginnings of addresses": "址住",
    "addresses": "址路1号",
    "octets": "256.1.1.1,",
    "no domains": "1@1.1@",
}


@pytest.mark.parametrize("text", ["12) 1) 1) 1) 1) 1) " * 40, "1 (" * 200, "11--" * 200, "31/02/" * 200, "址住" * 400])
def test_a_long_sequence_is_not_tried_from_each_of_its_parts(text: str) -> None:
    tried = {
        row.name: sum(row.regex.match(text, start) is not None for start in Scanner(table_of((row,))).starts(text))
        for row in ROWS
    }
    assert max(tried.values()) <= 2, tried


@pytest.mark.parametrize("name", HOSTILE)
def test_the_work_grows_with_the_length_and_no_faster(name: str) -> None:
    def work(times: int) -> int:
        text = (HOSTILE[name] * times)[: 500 * times]
        scanner = Scanner(table())
        list(scanner.entities(folded(text), final=True))
        return scanner.tried

    short, long = work(200), work(800)
    assert long <= 4.2 * short + 100


def test_policies_are_read_and_wrong_ones_are_told_with_the_nearest() -> None:
    assert Policy.parsed(["hash", "phone=partial"]).for_type("phone") == "partial"
    for given_words, told in [(["hsh"], "hash"), (["fone=hash"], "phone"), (["phone=labl"], "label")]:
        with pytest.raises(UsageError) as error:
            Policy.parsed(given_words)
        assert error.value.nearest == told


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_megabyte_of_candidates_takes_seconds_at_most(row: Recogniser) -> None:
    """The time of the process, not of the clock; the bound leaves room for a slow machine."""
    for sample in (row.examples[0], row.near_misses[0]):
        unit = re.sub("[«»]", "", sample) + ","
        text = (unit * (1_000_000 // len(unit) + 1))[:1_000_000]
        begun = time.process_time()
        patterns(text, types=[row.type])
        assert time.process_time() - begun < 10
