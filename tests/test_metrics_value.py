"""Metric, Wilson and the bootstrap."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from sixfold.errors import DataError
from sixfold.metrics.classification import confusion_matrix, confusion_patterns, f1_statistics
from sixfold.metrics.intervals import bootstrap, mean, patterns, proportion, resampled, wilson
from sixfold.metrics.value import Metric


def test_a_metric_reads_as_per_cent_with_its_interval_and_count() -> None:
    assert str(proportion("accuracy", 2870, 3080)) == "accuracy 93.2 % [92.2, 94.0] (n=3,080, Wilson)"


def test_a_metric_that_is_no_proportion_is_not_shown_as_per_cent() -> None:
    assert (
        str(Metric("NLL", 0.2134, 0.2, 0.25, 12, "normal", percent=False)) == "NLL 0.213 [0.200, 0.250] (n=12, normal)"
    )


def test_a_metric_of_nothing_says_so_and_survives_json() -> None:
    nothing = proportion("precision", 0, 0)
    assert str(nothing) == "precision – (n=0)"
    back = Metric.from_dict(json.loads(json.dumps(nothing.to_dict(), allow_nan=False)))
    assert math.isnan(back.value)
    assert back.count == 0


def test_a_metric_survives_json_exactly() -> None:
    metric = proportion("accuracy", 1, 3)
    assert Metric.from_dict(json.loads(json.dumps(metric.to_dict()))) == metric


@pytest.mark.parametrize("data", [{}, {"name": "accuracy"}, {**proportion("a", 1, 2).to_dict(), "extra": 1}])
def test_what_is_not_a_metric_is_refused(data: dict) -> None:
    with pytest.raises(DataError, match="not a metric"):
        Metric.from_dict(data)


def test_wilson_gives_the_published_values() -> None:
    # Newcombe 1998, table I, method 3.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(0, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_stays_within_0_and_1(pair: tuple[int, int]) -> None:
    successes, count = pair
    low, high = wilson(successes, count)
    if count == 0:
        assert math.isnan(low)
        assert math.isnan(high)
    else:
        assert 0 <= low <= successes / count <= high <= 1


def test_the_mean_of_one_value_has_no_interval() -> None:
    metric = mean("NLL", np.array([0.5]))
    assert metric.value == 0.5
    assert math.isnan(metric.low)


def test_patterns_are_the_distinct_rows_with_their_counts() -> None:
    distinct, counts = patterns(np.array([[1, 0], [0, 2], [1, 0]]))
    assert distinct.tolist() == [[0, 2], [1, 0]]
    assert counts.tolist() == [1, 2]


def test_resampling_patterns_is_resampling_rows() -> None:
    rows = np.array([[0.0]] * 30 + [[1.0]] * 70)
    drawn = resampled(*patterns(rows), lambda sums: sums / 100, seed=0, resamples=4000)
    by_rows = np.random.default_rng(1).choice(rows[:, 0], (4000, 100)).mean(axis=1)
    assert drawn.mean() == pytest.approx(by_rows.mean(), abs=0.004)
    assert drawn.std() == pytest.approx(by_rows.std(), abs=0.003)


def test_same_seed_same_interval_and_other_seed_another() -> None:
    distinct, counts = patterns(np.random.default_rng(0).integers(0, 4, (200, 3)))
    one, two, other = (
        bootstrap(distinct, counts, lambda sums: sums[:, :1] / sums[:, 1:2], seed=seed) for seed in (1, 1, 2)
    )
    assert one.low == two.low
    assert one.high == two.high
    assert one.low != other.low


def test_the_bootstrap_agrees_with_scipys_bca() -> None:
    from scipy.stats import bootstrap as reference

    values = np.random.default_rng(3).exponential(size=80)
    ours = bootstrap(values[:, None], np.ones(80, dtype=int), lambda sums: sums / 80, seed=0, resamples=5000)
    theirs = reference((values,), np.mean, n_resamples=5000, rng=np.random.default_rng(0)).confidence_interval
    assert (ours.low[0], ours.high[0]) == pytest.approx(tuple(theirs), abs=0.02)


def test_the_95_per_cent_interval_of_macro_f1_holds_the_truth_about_95_times_in_100() -> None:
    random = np.random.default_rng(0)
    prior, correct = np.array([0.6, 0.3, 0.1]), 0.8

    def sample(rows: int) -> np.ndarray:
        gold = random.choice(3, rows, p=prior)
        wrong = (gold + random.integers(1, 3, rows)) % 3
        return confusion_matrix(gold, np.where(random.random(rows) < correct, gold, wrong), 3)

    truth = f1_statistics(3)(np.array([[0.0] * 9]) + _sums(sample(2_000_000)))[0, 0]
    hits = 0
    for _ in range(300):
        found = bootstrap(*confusion_patterns(sample(300)), f1_statistics(3), seed=0, resamples=400)
        hits += found.low[0] <= truth <= found.high[0]
    assert 0.91 <= hits / 300 <= 0.985


def _sums(confusion: np.ndarray) -> np.ndarray:
    return np.concatenate([confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1)])


def test_many_all_different_rows_draw_fewer_resamples_and_say_so() -> None:
    values = np.random.default_rng(0).random((50_000, 1))
    found = bootstrap(values, np.ones(50_000, dtype=int), lambda sums: sums / 50_000, seed=0)
    assert found.method == "bootstrap, 400 resamples"


def test_a_statistic_that_never_varies_has_a_point_interval() -> None:
    found = bootstrap(np.array([[1.0]]), np.array([10]), lambda sums: sums / 10, seed=0)
    assert (found.value[0], found.low[0], found.high[0]) == (1.0, 1.0, 1.0)


def test_the_value_itself_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(5)
    gold, predicted = random.integers(0, 4, 100), random.integers(0, 4, 100)
    found = bootstrap(*confusion_patterns(confusion_matrix(gold, predicted, 4)), f1_statistics(4), seed=0)
    assert found.value[0] == pytest.approx(f1_score(gold, predicted, average="macro"))
