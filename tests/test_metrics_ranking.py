"""The area under the ROC curve against pairs that are counted, and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from sixfold.metrics.ranking import auc, hits

scores = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=30)


@given(scores, scores)
def test_it_is_the_share_of_pairs_in_order_ties_half(positives: list[float], negatives: list[float]) -> None:
    pairs = [(a > b) + 0.5 * (a == b) for a in positives for b in negatives]
    found = auc("AUC", np.array(positives), np.array(negatives))
    assert found.value == pytest.approx(np.mean(pairs))
    gold = [1] * len(positives) + [0] * len(negatives)
    assert found.value == pytest.approx(roc_auc_score(gold, positives + negatives))
    if min(len(positives), len(negatives)) > 1:
        assert 0 <= found.low <= found.value <= found.high <= 1


def test_the_interval_holds_the_true_area_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    true = 0.5 * (1 + math.erf(1 / 2))  # two normal scores a deviation of 1 apart
    held = 0
    for _ in range(400):
        found = auc("AUC", random.normal(1, 1, 60), random.normal(0, 1, 60))
        held += found.low <= true <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_groups_wholly_apart_still_have_an_interval() -> None:
    found = auc("AUC", np.arange(30.0) + 100, np.arange(40.0))
    assert (found.value, found.low, found.high) == (1.0, 0.9, 1.0)


def test_nothing_can_be_told_of_an_empty_group() -> None:
    assert math.isnan(auc("AUC", np.array([]), np.array([1.0])).value)


def test_hits_are_counted_above_the_alarms_that_are_allowed() -> None:
    negatives = np.arange(100.0)  # one alarm of a hundred is allowed: the score must exceed 98
    found = hits("hits", np.array([98.0, 98.5, 120.0]), negatives, 0.01)
    assert (found.value, found.count) == (pytest.approx(2 / 3), 3)
    assert math.isnan(hits("hits", np.array([1.0]), negatives, 0.001).value), "a hundred cannot tell a thousandth"
