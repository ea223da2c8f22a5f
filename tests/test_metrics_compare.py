"""Paired tests between two systems."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from sixfold.errors import DataError
from sixfold.metrics import compare


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test_of_the_rows_they_differ_in(only_a: int, only_b: int) -> None:
    a = np.array([True] * only_a + [False] * only_b + [True] * 5)
    b = np.array([False] * only_a + [True] * only_b + [True] * 5)
    expected = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert compare.mcnemar(a, b) == (only_a, only_b, pytest.approx(expected))


def test_mcnemar_does_not_overflow_on_many_rows() -> None:
    a = np.array([True] * 51_000 + [False] * 50_000)
    p = compare.mcnemar(a, ~a)[2]
    assert p == pytest.approx(binomtest(50_000, 101_000).pvalue, rel=1e-6)


def test_the_difference_is_b_minus_a_within_its_interval() -> None:
    a = np.array([True] * 80 + [False] * 20)
    b = np.array([True] * 95 + [False] * 5)
    found = compare.accuracy(a, b)
    assert found.difference == pytest.approx(0.15)
    assert found.low < 0.15 < found.high
    assert found.low > 0
    assert found.p == pytest.approx(2 * 0.5**15)


def test_the_bonett_price_interval_is_that_of_the_paper() -> None:
    # Bonett & Price 2012: (f12, f21, n) = (19, 36, 104): estimate (36-19)/106, se from the adjusted shares.
    a = np.array([True] * 19 + [False] * 36 + [True] * 49)
    b = np.array([False] * 19 + [True] * 36 + [True] * 49)
    found = compare.accuracy(a, b)
    share_a, share_b = 20 / 106, 37 / 106
    half = 1.959964 * ((share_a + share_b - (share_b - share_a) ** 2) / 106) ** 0.5
    assert (found.low, found.high) == pytest.approx((17 / 106 - half, 17 / 106 + half), abs=1e-6)


def test_a_system_does_not_differ_from_itself() -> None:
    gold = np.random.default_rng(0).integers(0, 3, 200)
    for found in compare.classifiers(gold, gold[::-1], gold[::-1], 3, seed=0):
        assert found.difference == 0
        assert found.low <= 0 <= found.high
        assert found.p == 1.0


def test_a_clearly_better_classifier_is_found_so_in_accuracy_and_macro_f1() -> None:
    random = np.random.default_rng(0)
    gold = random.integers(0, 3, 400)
    worse = np.where(random.random(400) < 0.6, gold, (gold + 1) % 3)
    better = np.where(random.random(400) < 0.9, gold, (gold + 1) % 3)
    accuracy, macro = compare.classifiers(gold, worse, better, 3, seed=0)
    assert accuracy.p < 0.001
    assert macro.p < 0.01
    assert macro.low > 0
    swapped = compare.classifiers(gold, better, worse, 3, seed=0)[1]
    assert swapped.difference == pytest.approx(-macro.difference)


def test_the_bootstrap_p_is_below_5_per_cent_just_when_the_interval_leaves_out_0() -> None:
    random = np.random.default_rng(0)
    for _ in range(30):
        gold = random.integers(0, 2, 120)
        a = np.where(random.random(120) < 0.70, gold, 1 - gold)
        b = np.where(random.random(120) < 0.78, gold, 1 - gold)
        macro = compare.classifiers(gold, a, b, 2, seed=0)[1]
        if abs(macro.p - 0.05) > 0.005:
            assert (macro.p < 0.05) == (macro.low > 0 or macro.high < 0)


def test_two_equal_classifiers_are_told_apart_about_5_times_in_100() -> None:
    random = np.random.default_rng(1)
    false_alarms = 0
    for _ in range(300):
        gold = random.integers(0, 2, 150)
        a, b = (np.where(random.random(150) < 0.8, gold, 1 - gold) for _ in range(2))
        false_alarms += compare.classifiers(gold, a, b, 2, seed=0)[1].p < 0.05
    assert 0.02 <= false_alarms / 300 <= 0.09


def test_taggers_are_compared_by_entity_f1_over_sentences() -> None:
    gold = [["B-PER", "I-PER", "O"]] * 30 + [["O", "B-LOC"]] * 30
    half = [["B-PER", "I-PER", "O"]] * 30 + [["O", "O"]] * 30
    found = compare.taggers(gold, half, gold, seed=0)
    assert (found.a, found.b) == (pytest.approx(2 / 3), 1.0)
    assert found.count == 60
    assert found.p < 0.01


def test_holm_multiplies_the_least_p_by_the_number_of_tests_and_never_reorders() -> None:
    assert compare.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert compare.holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert compare.holm([]) == []


def test_corrected_comparisons_keep_their_own_p_too() -> None:
    right = np.array([True] * 30)
    one = compare.accuracy(np.array([True] * 20 + [False] * 10), right)
    both = compare.corrected([one, one])
    assert both[0].p == one.p
    assert both[0].p_holm == pytest.approx(2 * one.p)
    assert both[0].to_dict()["metric"] == "accuracy"


def test_other_rows_are_refused() -> None:
    first, second = compare.digest(["a", "b"]), compare.digest(["ab"])
    with pytest.raises(DataError, match="same rows"):
        compare.check_same_rows(first, second)
    compare.check_same_rows(first, compare.digest(iter(["a", "b"])))


def test_the_digest_depends_on_order_and_borders() -> None:
    assert len({compare.digest(rows) for rows in (["a", "b"], ["b", "a"], ["ab"], ["a", "b", ""], [])}) == 5


def test_a_lone_surrogate_has_a_digest() -> None:
    assert len(compare.digest(["\ud800"])) == 64


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="no rows"):
        compare.classifiers(np.zeros(0), np.zeros(0), np.zeros(0), 2, seed=0)
