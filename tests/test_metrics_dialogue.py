"""How varied, repetitive and long answers are, against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sixfold.metrics.dialogue import answer_words, averaged, distinct, length, of_answers, repetition, self_bleu
from sixfold.metrics.intervals import Z95

answer_lists = st.lists(st.lists(st.sampled_from("abc"), max_size=7), min_size=3, max_size=7)


def split(*texts: str) -> list[list[str]]:
    return [text.split() for text in texts]


def jackknife(value: float, left_out: list[float]) -> tuple[float, float]:
    """The ends of the interval, from the definition."""
    middle = sum(left_out) / len(left_out)
    squares = sum((one - middle) ** 2 for one in left_out)
    half = Z95 * math.sqrt((len(left_out) - 1) / len(left_out) * squares)
    return max(0.0, value - half), min(1.0, value + half)


def test_distinct_counts_different_runs_for_each_word() -> None:
    answers = split("a b a", "b c")
    found = distinct("distinct-1", answers, 1)
    assert found.value == pytest.approx(3 / 5)  # a b c
    assert (found.low, found.high) == pytest.approx(jackknife(3 / 5, [2 / 2, 2 / 3]))
    assert (found.count, found.percent) == (2, False)
    assert distinct("distinct-2", answers, 2).value == pytest.approx(3 / 5)  # ab ba bc
    assert distinct("distinct-2", split("a b", "a b"), 2).value == pytest.approx(1 / 4)


def test_the_interval_of_distinct_holds_what_it_is_on_average() -> None:
    random = np.random.default_rng(7)
    share = 1 / np.arange(1, 301)
    share /= share.sum()

    def some() -> list[list[str]]:
        return [[str(word) for word in random.choice(300, size=random.integers(3, 15), p=share)] for _ in range(40)]

    true = float(np.mean([distinct("", some(), 1).value for _ in range(400)]))
    found = [distinct("", some(), 1) for _ in range(400)]
    held = np.mean([one.low <= true <= one.high for one in found])
    assert held >= 0.93
    assert np.mean([one.high - one.low for one in found]) < 0.25, "an interval that holds everything says nothing"


def test_self_bleu_is_the_mean_of_each_answer_against_the_others() -> None:
    found = self_bleu("self-BLEU", split("the cat sat on the mat", "the cat sat on a mat"))
    # each: 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 quadruples
    assert found.value == pytest.approx((5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)
    assert math.isnan(found.low), "two answers cannot tell what one more would do"
    assert self_bleu("", split("yes", "yes", "yes")).value == pytest.approx(1.0)


def test_self_bleu_punishes_an_answer_that_is_shorter_than_all_others() -> None:
    found = self_bleu("", split("a b c d", "a b c d e"))
    short, long = math.exp(1 - 5 / 4), (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert found.value == pytest.approx((short + long) / 2)


def test_self_bleu_counts_a_run_no_oftener_than_one_other_answer_has_it() -> None:
    # a a a against a a: 2 of 3 words, 1 of 2 pairs, none of 1 triple, which counts a tenth; a a is all there, and short
    first, second = (2 / 3 * 1 / 2 * 0.1) ** (1 / 3), math.exp(1 - 3 / 2)
    assert self_bleu("", split("a a a", "a a")).value == pytest.approx((first + second) / 2)


def test_answers_without_words_have_no_self_bleu() -> None:
    assert self_bleu("", split("", "a b c")).count == 1
    assert math.isnan(self_bleu("", split("", "a b c")).value)
    assert math.isnan(self_bleu("", []).value)


@settings(max_examples=60, deadline=None)
@given(answer_lists)
def test_leaving_an_answer_out_is_the_same_as_not_having_it(answers: list[list[str]]) -> None:
    said = [answer for answer in answers if answer]
    if len(said) < 3:
        return
    for figure in (lambda some: self_bleu("", some), lambda some: distinct("", some, 2)):
        without = [figure(said[:place] + said[place + 1 :]).value for place in range(len(said))]
        found = figure(said)
        assert (found.low, found.high) == pytest.approx(jackknife(found.value, without))


def test_repetition_is_the_share_of_four_words_that_stand_earlier() -> None:
    answers = split("a b c d a b c d", "a b c d e", "a b c")  # 1 of 5, 0 of 2, and none to count
    found = repetition("repetition", answers, seed=1)
    assert found.value == pytest.approx((1 / 5 + 0) / 2)
    assert (found.count, found.percent) == (2, True)
    assert repetition("", split("no no no no no no no"), seed=1).value == pytest.approx(3 / 4)


def test_length_counts_words_but_not_marks() -> None:
    answers = [answer_words(text) for text in ("Don't panic, 3,500 times!", "", "Well-known.")]
    assert answers[0] == ["don't", "panic", ",", "3,500", "times", "!"]
    found = length("length", answers, seed=1)
    assert found.value == pytest.approx((4 + 0 + 1) / 3)
    assert 0 <= found.low < found.value < found.high <= 4


def test_chinese_is_cut_into_words() -> None:
    assert answer_words("我们喜欢北京。") == ["我们", "喜欢", "北京", "。"]


def test_a_mean_of_one_value_has_no_interval() -> None:
    found = averaged("mean", np.array([0.5]), seed=1)
    assert found.value == 0.5
    assert math.isnan(found.low)
    assert math.isnan(averaged("mean", np.array([]), seed=1).value)


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["。"], ["yes", ""]])
def test_answers_that_say_nothing_are_measured_too(texts: list[str]) -> None:
    found = of_answers(texts, seed=1)
    assert list(found) == ["length", "distinct_1", "distinct_2", "self_bleu", "repetition"]
    assert math.isnan(found["self_bleu"].value) or texts == ["。"]


def test_the_same_seed_gives_the_same_figures() -> None:
    texts = ["I like tea very much.", "I like tea and I like tea and I like tea.", "我喜欢喝茶。"]
    assert of_answers(texts, seed=3) == of_answers(texts, seed=3)
