"""What may not be changed: positions and candidates as arrays of bool."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from sixfold.perturb import Sentence
from sixfold.perturb.constraints import (
    is_negation,
    is_number,
    keeps_label,
    label_keeping,
    least_length,
    no_names,
    no_repeat,
    no_stop_words,
    same_part_of_speech,
    share_changed,
    similar,
)

FILM = Sentence.of("The film is not good, 3 stars")
"""the film is not good 3 stars"""


def kept(allowed: NDArray[np.bool_]) -> list[int]:
    assert allowed.dtype == np.bool_
    return np.flatnonzero(allowed).tolist()


@pytest.mark.parametrize(
    "word", ["not", "Don't", "DON’T", "cannot", "nobody", "without", "不", "没有", "不好", "没用", "无聊", "未知"]
)
def test_negations_are_told_by_list_by_ending_and_by_a_chinese_word_s_beginning(word: str) -> None:
    assert is_negation(word)


@pytest.mark.parametrize("word", ["know", "nota", "no-one's", "非常", "好不", "别人", "", "n't?"])
def test_other_words_are_no_negations(word: str) -> None:
    assert not is_negation(word)


@pytest.mark.parametrize(
    ("word", "number"),
    [("3", 1), ("3,500.20", 1), ("12:30", 1), ("１２", 1), ("三十", 1), ("Seven", 1), ("3rd", 0), ("", 0), (".", 0)],
)
def test_numbers_are_told_in_digits_and_written_out(word: str, number: int) -> None:
    assert is_number(word) == bool(number)


def test_stop_words_are_told_by_their_small_letters() -> None:
    assert kept(no_stop_words(FILM, {"the", "is", "not"})) == [1, 4, 5, 6]
    assert kept(no_stop_words(Sentence.of("Don’t go"), {"don't"})) == [1]


def test_what_was_edited_is_not_edited_again() -> None:
    assert kept(no_repeat(FILM, {1, 4})) == [0, 2, 3, 5, 6]
    assert kept(no_repeat(FILM, ())) == list(range(7))


def test_short_words_are_told_by_the_characters_that_a_reader_sees() -> None:
    assert kept(least_length(FILM, 4)) == [1, 4, 6]
    assert kept(least_length(Sentence.of("e\u0301te\u0301 abcd"), 4)) == [1]


def test_negations_numbers_and_listed_words_stay() -> None:
    assert kept(label_keeping(FILM)) == [0, 1, 2, 4, 6]
    assert kept(label_keeping(FILM, {"good"})) == [0, 1, 2, 6]
    assert kept(label_keeping(Sentence.of("iPhone15 v2 ok"))) == [2]


def test_names_stay_capitals_within_a_sentence_tell_them() -> None:
    sentence = Sentence.of("My friend Mary works at IBM. She likes the eBay app and I do. Rome is far")
    assert [sentence.word(place) for place in np.flatnonzero(~no_names(sentence))] == ["Mary", "IBM", "eBay"]


def test_the_first_word_is_a_name_where_it_is_all_capitals_or_stands_before_one() -> None:
    assert kept(no_names(Sentence.of("IBM pays"))) == [1]
    assert kept(no_names(Sentence.of("John Smith pays"))) == [2]
    assert kept(no_names(Sentence.of("A film"))) == [0, 1]


def test_in_a_text_that_is_all_capitals_they_tell_nothing() -> None:
    assert kept(no_names(Sentence.of("THE FILM IS BAD"))) == [0, 1, 2, 3]
    assert kept(no_names(Sentence.of("The Film Is Bad"))) == [0, 1, 2, 3]


def test_chinese_names_are_told_by_their_tags() -> None:
    sentence = Sentence.of("王小明在北京买了一本好书。")
    assert {sentence.word(place) for place in np.flatnonzero(~no_names(sentence))} >= {"北京"}
    assert "书" in "".join(sentence.word(place) for place in np.flatnonzero(no_names(sentence)))
    assert len(no_names(Sentence.of(""))) == 0


@pytest.mark.parametrize(
    ("edited", "most", "allowed"),
    [
        ((), 0.1, range(7)),
        ((2,), 0.1, [2]),
        ((2,), 0.2, range(7)),
        ((2, 3), 0.2, [2, 3]),
        ((), 0.0, []),
        (range(7), 1.0, range(7)),
    ],
)
def test_at_most_a_share_of_the_words_is_edited_but_one_may_always_be(
    edited: tuple[int, ...], most: float, allowed: list[int]
) -> None:
    assert kept(share_changed(FILM, edited, most)) == list(allowed)


def test_a_candidate_brings_in_no_negation_no_number_and_no_listed_word() -> None:
    assert keeps_label("now", ["not", "know", "never mind", "5", "bad"], {"bad"}).tolist() == [
        False,
        True,
        False,
        False,
        False,
    ]
    assert keeps_label("not", ["never", "5"]).tolist() == [True, False]
    assert keeps_label("坏", ["不好", "差"]).tolist() == [False, True]
    assert keeps_label("我", ["我不", "不我", "我们", "很我"]).tolist() == [False, False, True, True]


def test_a_candidate_can_be_what_the_word_can_be() -> None:
    known = {"run": {"noun", "verb"}, "walk": {"verb"}, "red": {"adj"}}
    asked = lambda word: known.get(word, set())  # noqa: E731
    assert same_part_of_speech("run", ["walk", "red", "xyzzy"], asked).tolist() == [True, False, True]
    assert same_part_of_speech("xyzzy", ["walk", "red"], asked).tolist() == [True, True]
    assert same_part_of_speech("run", [], asked).tolist() == []


def test_candidates_are_near_by_cosine_or_by_angle() -> None:
    vector = np.array([2.0, 0.0], dtype=np.float32)
    turned = np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 1.0], [-1.0, 0.0], [0.0, 0.0]], dtype=np.float32)
    assert similar(vector, turned, 0.7).tolist() == [True, True, False, False, False]
    assert similar(vector, turned, math.cos(math.pi / 4) + 1e-3).tolist() == [True, False, False, False, False]
    # an angle of 45 degrees is a quarter of the half circle: 0.75; 90 degrees are 0.5
    assert similar(vector, turned, 0.74, measure="angular").tolist() == [True, True, False, False, False]
    assert similar(vector, turned, 0.49, measure="angular").tolist() == [True, True, True, False, False]
    assert similar(vector, turned[:0], 0.5).tolist() == []


def test_the_same_vector_is_near_at_any_bound() -> None:
    vector = np.array([0.1, 0.7, -0.3], dtype=np.float32)
    assert similar(vector, np.stack([vector, 5 * vector]), 1.0).tolist() == [True, True]
    assert similar(vector, np.stack([vector, 5 * vector]), 1.0, measure="angular").tolist() == [True, True]
