"""The tokens of an edited text are those of the string after the edits, for every tokenizer and every string."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny import WORDS, wordpiece_vocabulary
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertTokenizer, PreTrainedTokenizerFast

from sixfold.models.tokenizer_training import train_tokenizer
from sixfold.perturb.words import Edit, Sentence, applied
from sixfold.score import edited
from sixfold.score.edited import Splicer, Tokens
from sixfold.text import Span

ODD = [
    *(" ", "  ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2028", "\x0b", "\x00", "\x1c", "\u200d", "\ufeff"),
    *(
        "\u0301",
        "\u0345",
        "\u0338",
        "e\u0301",
        "é",
        "ﬁ",
        "Σ",
        "ς",
        "İ",
        "ß",
        "\ufffd",
        "\u1100",
        "\u1161",
        "각",
        "ﹰ",
        "´",
    ),
    *("好", "房间", "豈", "\U0002f81a", "，", "。", "か", "\u3099", "！", "…", "“", "１", "Ａ", "½", "٣"),
    *(".", ",", "'", "'s", "'LL", "n't", "-", "=", "<", "[", "]", "|", "_", "`", "😀", "👍🏽", "👨\u200d👩\u200d👧"),
    *("[MASK]", "[MA", "SK]", "[UNK]", "[mask]", "<|im_start|>", "<|im_", "start|>", "<mask>", "<<>>", "<<"),
]
"""Combining marks that reorder or compose across a border, blanks of all kinds, control characters, special tokens."""
TEXTS = st.lists(st.sampled_from([*ODD, *WORDS, " ", " ", "a", "don't", "3,500.20", "Film"]), max_size=14).map("".join)

CORPUS = ["the film was good, don't  play\n\nwhy 12 3\u0301 é", "房间很好，价格不好。 Σς İ ß <|> '' 's", *WORDS] * 3


EXAMPLES = 50
"""Of each tokenizer; ten thousand of each were tried when the rules were written."""


@cache
def tokenizer(kind: str) -> Any:
    if kind == "bert":
        return BertTokenizer(vocab={piece: place for place, piece in enumerate(wordpiece_vocabulary(chinese=True))})
    if kind == "bert, Chinese characters joined":
        made = train_tokenizer(CORPUS, "wordpiece", vocabulary=300, least=1)
        made.backend_tokenizer.normalizer = normalizers.BertNormalizer(handle_chinese_chars=False, strip_accents=False)
        return made
    if kind == "cased":
        return train_tokenizer(CORPUS, "wordpiece", vocabulary=300, least=1)
    if kind == "strange mask":  # as RoBERTa's, which takes the blank before it
        made = train_tokenizer(CORPUS, "bpe", vocabulary=500, least=2)
        made.add_special_tokens({"mask_token": AddedToken("<mask>", lstrip=True)})
        return made
    if kind == "overlapping specials":
        made = train_tokenizer(CORPUS, "wordpiece", vocabulary=300, least=1)
        made.add_special_tokens({"additional_special_tokens": ["<<>>", ">><<"]})
        return made
    if kind == "digits":  # as SmolLM2's
        made = train_tokenizer(CORPUS, "bpe", vocabulary=500, least=2, use="decoder")
        made.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        return made
    if kind == "prefix":
        made = train_tokenizer(CORPUS, "bpe", vocabulary=500, least=2)
        made.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        made.backend_tokenizer.normalizer = normalizers.NFC()
        return made
    if kind == "unknown":  # a whole text is one word
        backend = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##a": 2, "## ": 3, "##b": 4}, unk_token="[UNK]"))
        return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    name, _, use = kind.partition(" ")
    if name in ("gpt2", "qwen2"):
        return train_tokenizer(CORPUS, "bpe", vocabulary=500, least=2, use=use, pre_tokenizer=name)
    return train_tokenizer(CORPUS, name, vocabulary=400, least=1, use=use, lower=use == "encoder")


LOCAL = [
    *("bert", "bert, Chinese characters joined", "cased", "characters encoder"),
    *("gpt2 encoder", "qwen2 decoder", "digits", "prefix", "unigram encoder"),
]
SPLICERS: dict[str, Splicer] = {}


def splicer(kind: str) -> Splicer:
    return SPLICERS.setdefault(kind, Splicer(tokenizer(kind)))


def ids_of(kind: str, text: str) -> list[int]:
    return tokenizer(kind)(text, add_special_tokens=False)["input_ids"]


@st.composite
def edited_texts(draw: st.DrawFn) -> tuple[str, list[list[Edit]]]:
    """A text and some variants of it; edits may fall anywhere, also inside a character's marks or a special token."""
    text = draw(TEXTS)
    variants = []
    for _ in range(draw(st.integers(1, 3))):
        places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
        pairs = zip(places[::2], places[1::2], strict=False)
        variants.append([Edit(start, end, draw(TEXTS)) for start, end in pairs])
    return text, variants


@pytest.mark.parametrize("kind", [*LOCAL, "strange mask", "overlapping specials", "unknown"])
@settings(deadline=None, max_examples=EXAMPLES, derandomize=True)
@given(edited_texts())
@example(("ab[MASK]cd", [[Edit(4, 5, "")], [Edit(0, 1, "")]]))
@example(("the [MA x", [[Edit(7, 8, "SK]")], [Edit(7, 9, "SK] ")]]))
@example(("a  b", [[Edit(1, 2, "")], [Edit(2, 3, "")], [Edit(2, 2, "c")]]))
@example(("\u0301e", [[Edit(0, 0, "e")]]))
@example(("e x", [[Edit(1, 1, "\u0301")], [Edit(1, 2, "\u0301")]]))
def test_the_tokens_are_those_of_the_edited_string(kind: str, case: tuple[str, list[list[Edit]]]) -> None:
    text, variants = case
    tokens = Tokens.of(text, splicer(kind))
    assert tokens.ids.tolist() == ids_of(kind, text)
    for found, edits in zip(tokens.each(variants), variants, strict=True):
        assert found.dtype == np.int32
        assert found.tolist() == ids_of(kind, applied(text, edits))


@pytest.mark.parametrize("kind", LOCAL)
@settings(deadline=None, max_examples=25, derandomize=True)
@given(TEXTS)
def test_known_tokenizers_are_local_at_their_borders_in_every_text(kind: str, text: str) -> None:
    """Otherwise the test above could hold because nothing was ever spliced."""
    assert Tokens.of(text, splicer(kind)).local


@pytest.mark.parametrize("kind", LOCAL)
def test_only_what_an_edit_touches_is_tokenised_again(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "the film was good and the hotel was bad; i love new york and i hate old books"
    own = Splicer(tokenizer(kind))
    tokens = Tokens.of(text, own)
    asked: list[str] = []
    whole = own.whole
    monkeypatch.setattr(own, "whole", lambda strings: asked.extend(strings) or whole(strings))
    start = text.index("hotel")
    variants = [[Edit(start, start + 5, word)] for word in ("house", "city", "house")]
    tokens.each(variants)
    assert all(len(piece) <= len(" house ") for piece in asked)
    assert len(asked) == len(set(asked)) <= 8
    del asked[:]
    tokens.each(variants)
    assert not asked, "what was tokenised once is known"


def test_what_is_unknown_or_read_in_context_is_tokenised_whole() -> None:
    assert not Tokens.of("aab aa", splicer("unknown")).local
    assert Tokens.of("a film", splicer("strange mask")).local
    assert not Tokens.of("a <mask> film", splicer("strange mask")).local
    assert not Tokens.of("a <<>> film", splicer("overlapping specials")).local
    assert Tokens.of("a [MASK] film", splicer("bert")).local


def test_edits_of_one_word_and_of_neighbours_go_together() -> None:
    text = "the film was good"
    tokens = Tokens.of(text, splicer("bert"))
    edits = [Edit(4, 5, "p"), Edit(7, 8, "n"), Edit(9, 12, "is"), Edit(13, 13, "very ")]
    assert applied(text, edits) == "the piln is very good"
    assert tokens.spliced(edits).tolist() == ids_of("bert", "the piln is very good")
    assert tokens.spliced(list(reversed(edits))).tolist() == ids_of("bert", "the piln is very good")
    assert tokens.spliced([]).tolist() == tokens.ids.tolist()


def test_edits_that_overlap_are_a_broken_invariant() -> None:
    tokens = Tokens.of("the film was good", splicer("bert"))
    with pytest.raises(AssertionError, match="overlap"):
        tokens.spliced([Edit(4, 8, "a"), Edit(6, 9, "b")])
    with pytest.raises(AssertionError, match="outside"):
        tokens.spliced([Edit(4, 80, "a")])


def test_the_pieces_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edited, "KEPT", 20)
    own, rng = Splicer(tokenizer("bert")), random.Random(0)
    for _ in range(30):
        text = " ".join(rng.choices(WORDS, k=6))
        tokens = Tokens.of(text, own)
        assert tokens.spliced([Edit(0, 1, "x")]).tolist() == ids_of("bert", "x" + text[1:])
        assert len(own._kept) <= 20
    long = "a" * (edited.LONGEST + 1)
    assert Tokens.of(long, own).local
    assert long not in own._kept


@pytest.mark.parametrize("kind", ["bert", "gpt2 encoder", "characters encoder", "unigram encoder", "unknown"])
def test_each_word_s_tokens_are_told(kind: str) -> None:
    sentence = Sentence.of("the filmed 房间 was [MASK]good")
    tokens = Tokens.of(sentence.text, splicer(kind))
    decoded = tokenizer(kind).convert_ids_to_tokens(tokens.ids.tolist())
    ranges = tokens.ranges([*sentence.spans, Span(3, 3)])
    assert ranges.shape == (len(sentence) + 1, 2)
    assert ranges[-1, 0] == ranges[-1, 1], "no character has no token"
    if kind == "bert":
        words = ["".join(decoded[first:last]).replace("##", "") for first, last in ranges[:-1]]
        assert words == ["the", "filmed", "房间", "was", "[MASK]", "good"]
    if kind == "unknown":
        assert ranges.tolist()[:-1] == [[0, 1]] * len(sentence)
