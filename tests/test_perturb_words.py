"""A string with its words, and edits of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sixfold.perturb import Edit, Sentence, applied
from sixfold.perturb.words import cased_like, characters, distinct, is_chinese, is_latin

TEXT = st.text(st.sampled_from("ab c我,\n"), max_size=20)


def test_marks_and_symbols_are_no_words() -> None:
    assert Sentence.of("Hi, 我们 paid $3.50 !! 👍 — ok").words() == ["Hi", "我们", "paid", "3.50", "ok"]
    assert len(Sentence.of("")) == len(Sentence.of("?! 👍🏽")) == 0


def test_a_word_is_replaced_in_its_place() -> None:
    sentence = Sentence.of("a good film, good!")
    assert sentence.edit(1, "fine") == Edit(2, 6, "fine")
    assert sentence.replaced(3, "fine") == "a good film, fine!"


@pytest.mark.parametrize(
    ("text", "position", "left"),
    [
        ("a good film", 0, "good film"),
        ("a good film", 1, "a film"),
        ("a good film.", 2, "a good."),
        ("(good) film", 0, "() film"),
        ("好电影", 0, "电影"),
        ("good", 0, ""),
    ],
)
def test_with_a_word_one_blank_beside_it_goes(text: str, position: int, left: str) -> None:
    assert Sentence.of(text).replaced(position, "") == left


@pytest.mark.parametrize("gone", [(0, 1), (1, 2), (0, 1, 2), (0, 2), (0, 1, 2, 3)])
def test_neighbouring_words_can_be_left_out_together(gone: tuple[int, ...]) -> None:
    sentence = Sentence.of("one two three four")
    left = " ".join(word for position, word in enumerate(sentence.words()) if position not in gone)
    assert applied(sentence.text, [sentence.edit(position, "") for position in gone]).strip() == left


def test_edits_speak_of_the_original_string_in_any_order() -> None:
    assert applied("one two three", [Edit(8, 13, "3"), Edit(0, 3, "1st"), Edit(4, 4, "and ")]) == "1st and two 3"
    assert applied("ab", [Edit(1, 1, "x"), Edit(1, 1, "y"), Edit(1, 2, "")]) == "axy"
    assert applied("", [Edit(0, 0, "x")]) == "x"


@pytest.mark.parametrize(
    "edits", [[Edit(0, 3, "a"), Edit(2, 4, "b")], [Edit(0, 9, "")], [Edit(0, 2, ""), Edit(1, 3, "b")]]
)
def test_edits_that_contradict_each_other_or_lie_outside_are_refused(edits: list[Edit]) -> None:
    with pytest.raises(AssertionError, match="overlap"):
        applied("four", edits)


@given(TEXT, st.data())
@settings(max_examples=100, deadline=None)
def test_edits_change_what_they_span_and_nothing_else(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    edits = [Edit(start, end, data.draw(st.text("XY", max_size=2))) for start, end in pairs]
    expected, place = "", 0
    for start, end, replacement in edits:
        expected += text[place:start] + replacement
        place = end
    assert applied(text, data.draw(st.permutations(edits)) if len(set(pairs)) == len(pairs) else edits) == (
        expected + text[place:]
    )


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("cafe\u0301s", ["c", "a", "f", "e\u0301", "s"]),
        ("हिन्दी", ["हि", "न्", "दी"]),
        ("👩\u200d👧a", ["👩\u200d👧", "a"]),
        ("👍🏽!", ["👍🏽", "!"]),
        ("☎\ufe0f", ["☎\ufe0f"]),
        ("\u0301a", ["\u0301", "a"]),
        ("𠮷野家", ["𠮷", "野", "家"]),
        ("", []),
    ],
)
def test_a_character_is_what_a_reader_sees_as_one(word: str, parts: list[str]) -> None:
    assert characters(word) == parts


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_the_characters_of_a_word_are_the_word(word: str) -> None:
    assert "".join(characters(word)) == word


def test_words_are_told_apart_by_their_letters() -> None:
    mixed = ["don't", "iPhone15", "naïve", "3.5", "我们", "用iPhone", "мир", ""]
    assert [word for word in mixed if is_latin(word)] == ["don't", "iPhone15", "naïve"]
    assert [word for word in ("我们", "〇", "𠮷", "我a", "我 们", "３", "") if is_chinese(word)] == ["我们", "〇", "𠮷"]


@pytest.mark.parametrize(
    ("word", "candidate", "cased"),
    [
        ("GOOD", "fine", "FINE"),
        ("Good", "fine", "Fine"),
        ("I", "one", "One"),
        ("good", "French", "French"),
        ("T-shirt", "top", "Top"),
        ("'Tis", "it is", "It is"),
        ("3rd", "last", "last"),
        ("", "a", "a"),
        ("Good", "", ""),
    ],
)
def test_a_candidate_gets_the_capitals_of_the_word(word: str, candidate: str, cased: str) -> None:
    assert cased_like(word, candidate) == cased


def test_candidates_are_distinct_and_neither_empty_nor_the_word() -> None:
    assert distinct("a", ["b", "", "a", "c", "b"]) == ["b", "c"]
