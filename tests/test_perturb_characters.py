"""Changes of single characters: exact candidates for small words."""

from __future__ import annotations

import pytest

from sixfold.perturb import Sentence, Transformation, characters
from sixfold.perturb.characters import (
    Case,
    ChineseInsert,
    Delete,
    Homoglyph,
    Insert,
    Keyboard,
    Substitute,
    Swap,
    Together,
    ZeroWidth,
)

ALIKE = {"a": ("а", "α", "ɑ", "ａ"), "o": ("о",)}


def found(transformation: Transformation, word: str) -> list[str]:
    return transformation.candidates(Sentence.of(word), 0)


def test_neighbouring_characters_change_places() -> None:
    assert found(Swap(), "film") == ["iflm", "flim", "fiml"]
    assert found(Swap(), "aab") == ["aba"]
    assert found(Swap(), "电影") == ["影电"]
    assert found(Swap(), "a") == found(Swap(), "aa") == []


def test_an_accent_moves_with_its_letter() -> None:
    assert found(Swap(), "ae\u0301b") == ["e\u0301ab", "abe\u0301"]
    assert found(Delete(), "ae\u0301b") == ["e\u0301b", "ab", "ae\u0301"]


def test_one_character_is_left_out_but_never_the_only_one() -> None:
    assert found(Delete(), "good") == ["ood", "god", "goo"]
    assert found(Delete(), "电影") == ["影", "电"]
    assert found(Delete(), "a") == []


def test_the_first_and_last_character_stay_if_only_the_inner_ones_may_change() -> None:
    assert found(Swap(inner=True), "films") == ["flims", "fimls"]
    assert found(Delete(inner=True), "film") == ["flm", "fim"]
    assert found(Insert(inner=True, letters="x"), "ab") == ["axb"]
    assert found(Keyboard(inner=True), "aqpa") == ["awpa", "aapa", "aqoa", "aqla"]
    assert found(Swap(inner=True), "the") == found(Delete(inner=True), "the") == []


def test_a_letter_comes_in_at_every_gap() -> None:
    assert found(Insert(letters="xy"), "to") == ["xto", "yto", "txo", "tyo", "tox", "toy"]
    assert found(Insert(letters="x"), "TO") == ["XTO", "TXO", "TOX"]
    assert found(Insert(letters="i"), "I") == ["iI", "Ii"]
    assert found(Insert(), "好") == found(Insert(), "35") == []
    assert len(found(Insert(), "ab")) == 3 * 26 - 2


def test_a_letter_becomes_another_with_its_capital() -> None:
    assert found(Substitute(letters="ab"), "Ab1") == ["Bb1", "Aa1"]
    assert len(found(Substitute(), "don't")) == 4 * 25


def test_a_key_becomes_one_beside_it() -> None:
    assert found(Keyboard(), "Qa") == ["Wa", "Aa", "Qs", "Qq", "Qz", "Qw"]
    assert found(Keyboard(), "a1") == ["s1", "q1", "z1", "w1", "a2"]
    assert found(Keyboard(), "2001") == []


def test_a_letter_becomes_one_that_looks_alike_at_most_three_for_each() -> None:
    assert found(Homoglyph(ALIKE), "ao") == ["аo", "αo", "ɑo", "aо"]
    assert found(Homoglyph(ALIKE, most=1), "aab") == ["аab", "aаb"]


def test_what_is_not_seen_comes_in_between_two_characters() -> None:
    assert found(ZeroWidth(marks="\u200b"), "abc") == ["a\u200bbc", "ab\u200bc"]
    assert found(ZeroWidth(), "a") == []
    assert len(found(ZeroWidth(), "电影")) == 3


def test_a_mark_comes_in_between_two_chinese_characters_only() -> None:
    assert found(ChineseInsert(), "电影") == ["电 影", "电·影", "电*影", "电、影"]
    assert found(ChineseInsert(), "film") == found(ChineseInsert(), "好") == []


def test_capitals_change() -> None:
    assert found(Case(), "iPhone") == ["IPHONE", "iphone", "Iphone", "IpHONE"]
    assert found(Case(), "I") == ["i"]
    assert found(Case(), "35") == []


def test_several_transformations_together_give_each_candidate_once() -> None:
    both = Together("both", (Delete(), Swap(), Delete()))
    assert found(both, "ab") == ["b", "a", "ba"]
    assert both.languages == ("en", "zh")
    assert Together("letters", (Insert(), Keyboard())).languages == ("en",)


def test_deepwordbug_pruthi_and_textbugger_have_the_changes_of_their_papers() -> None:
    names = [
        [part.name for part in one.parts]
        for one in (characters.deepwordbug(), characters.pruthi(), characters.textbugger({}))
    ]
    assert names == [
        ["swap", "substitute", "delete", "insert"],
        ["swap", "delete", "keyboard", "insert"],
        ["insert", "delete", "swap", "homoglyph", "keyboard"],
    ]
    assert found(characters.textbugger(ALIKE), "oak")[:3] == ["o ak", "oa k", "оak"]
    assert all(one[0] == "f" and one[-1] == "m" for one in found(characters.pruthi(), "film"))


@pytest.mark.parametrize("word", ["👍🏽", "e\u0301", "हिन्दी", "ﷺ", "ß", "ǆ"])
def test_odd_scripts_are_changed_or_left_and_never_break(word: str) -> None:
    for one in (Swap(), Delete(), Insert(), Substitute(), Keyboard(), Homoglyph(ALIKE), ZeroWidth(), Case()):
        sentence = Sentence.of(f"a {word} b")
        for position in range(len(sentence)):
            assert sentence.word(position) not in one.candidates(sentence, position)
