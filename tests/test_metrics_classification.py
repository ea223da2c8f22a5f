"""One-label and several-label classification, held against scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from sixfold.errors import DataError, ModelError
from sixfold.metrics.classification import evaluate, evaluate_multi, selective, tune_thresholds
from sixfold.metrics.multilabel import average_precision

LABELS = ("no", "yes", "maybe")


def one_hot(predicted: list[int] | np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes)[predicted]


def test_the_confusion_matrix_has_gold_down_and_predicted_across() -> None:
    result = evaluate(np.array([0, 0, 1, 2]), one_hot([0, 1, 1, 0], 3), LABELS, seed=0)
    assert result.confusion == ((1, 1, 0), (0, 1, 0), (1, 0, 0))
    assert result.accuracy.value == 0.5
    assert result.accuracy.count == 4


def test_the_baseline_is_the_commonest_label() -> None:
    result = evaluate(np.array([1, 1, 1, 0]), one_hot([0, 0, 0, 0], 3), LABELS, seed=0)
    assert result.baseline.value == 0.75
    assert result.baseline_label == "yes"


def test_macro_f1_leaves_out_only_classes_that_neither_occur_nor_are_predicted() -> None:
    # "maybe" is nowhere: left out. With "maybe" predicted once it counts as 0.
    absent = evaluate(np.array([0, 1]), one_hot([0, 1], 3), LABELS, seed=0)
    assert absent.macro_f1.value == 1.0
    predicted = evaluate(np.array([0, 0, 1]), one_hot([0, 2, 1], 3), LABELS, seed=0)
    assert predicted.macro_f1.value == pytest.approx((2 / 3 + 1 + 0) / 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_every_number_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    gold, predicted = np.array(pairs).T
    result = evaluate(gold, one_hot(predicted, 5), tuple("abcde"), seed=0)
    assert result.accuracy.value == pytest.approx(sk.accuracy_score(gold, predicted))
    assert result.macro_f1.value == pytest.approx(sk.f1_score(gold, predicted, average="macro", zero_division=0))
    assert result.weighted_f1.value == pytest.approx(sk.f1_score(gold, predicted, average="weighted", zero_division=0))
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        gold, predicted, labels=range(5), zero_division=0
    )
    assert [score.support for score in result.per_class] == support.tolist()
    ours = [[score.precision.value, score.recall.value, score.f1.value] for score in result.per_class]
    assert np.nan_to_num(np.array(ours)) == pytest.approx(np.column_stack([precision, recall, f1]))
    for metric in (result.accuracy, result.macro_f1, result.weighted_f1):
        assert 0 <= metric.low <= metric.value <= metric.high <= 1


def test_a_class_of_which_nothing_is_known_has_no_numbers_rather_than_zeros() -> None:
    result = evaluate(np.array([0, 1]), one_hot([0, 1], 3), LABELS, seed=0)
    data = result.to_dict()["per_class"][2]
    assert data["precision"]["value"] is None
    assert data["recall"]["value"] is None
    assert data["f1"]["value"] is None
    assert data["support"] == 0


def test_the_result_is_plain_json() -> None:
    result = evaluate(np.array([0, 1, 2]), one_hot([0, 1, 1], 3), LABELS, seed=3, abstain_below=0.5)
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert data["seed"] == 3
    assert data["metrics"]["accuracy"]["method"] == "Wilson"
    assert data["abstention"]["coverage"]["value"] == 1.0


def test_one_class_only_is_measured_without_a_complaint() -> None:
    result = evaluate(np.zeros(5, dtype=int), np.ones((5, 1)), ("only",), seed=0)
    assert result.accuracy.value == result.macro_f1.value == result.baseline.value == 1.0


def test_abstaining_answers_fewer_rows_and_gets_more_of_them_right() -> None:
    confidence, correct = np.array([0.9, 0.8, 0.6, 0.55]), np.array([True, True, False, True])
    points = {point.below: (point.coverage.value, point.accuracy.value) for point in selective(confidence, correct)}
    assert points == {0.55: (1.0, 0.75), 0.6: (0.75, 2 / 3), 0.8: (0.5, 1.0), 0.9: (0.25, 1.0)}


def test_abstaining_on_every_row_has_no_accuracy() -> None:
    result = evaluate(np.array([0]), np.array([[0.6, 0.4]]), ("a", "b"), seed=0, abstain_below=0.99).abstention
    assert result is not None
    assert result.coverage.value == 0.0
    assert result.accuracy.count == 0


def test_probabilities_that_are_not_numbers_are_the_models_fault() -> None:
    broken = np.array([[0.5, 0.5], [np.nan, 0.5], [np.inf, 0.5]])
    with pytest.raises(ModelError, match="not numbers") as caught:
        evaluate(np.array([0, 1, 1]), broken, ("a", "b"), seed=0)
    assert caught.value.found == "2 of 3 rows"


def test_no_rows_and_unknown_labels_are_refused() -> None:
    with pytest.raises(DataError, match="no rows"):
        evaluate(np.zeros(0, dtype=int), np.zeros((0, 2)), ("a", "b"), seed=0)
    with pytest.raises(DataError, match="does not know"):
        evaluate(np.array([2]), np.ones((1, 2)), ("a", "b"), seed=0)
    with pytest.raises(DataError, match="no rows"):
        evaluate_multi(np.zeros((0, 2)), np.zeros((0, 2)), 0.5, ("a", "b"), seed=0)


def test_3000_rows_and_150_classes_are_measured_with_intervals() -> None:
    random = np.random.default_rng(0)
    gold, probabilities = random.integers(0, 150, 3000), random.dirichlet(np.ones(150), 3000)
    result = evaluate(gold, probabilities, [str(i) for i in range(150)], seed=0)
    assert len(result.per_class) == 150


multi = st.integers(1, 30).flatmap(
    lambda rows: st.tuples(
        arrays(bool, (rows, 3)),
        arrays(np.float64, (rows, 3), elements=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])),
    )
)


@settings(max_examples=40, deadline=None)
@given(multi)
def test_several_labels_are_measured_as_scikit_learn_does(case: tuple[np.ndarray, np.ndarray]) -> None:
    gold, probabilities = case
    result = evaluate_multi(gold, probabilities, 0.5, LABELS, seed=0)
    predicted = probabilities >= 0.5
    assert result.micro_f1.value == pytest.approx(sk.f1_score(gold, predicted, average="micro", zero_division=0))
    assert result.subset_accuracy.value == pytest.approx(sk.accuracy_score(gold, predicted))
    present = np.flatnonzero((gold | predicted).any(axis=0))
    each = sk.f1_score(gold, predicted, average=None, zero_division=0)
    assert result.macro_f1.value == pytest.approx(each[present].mean() if len(present) else 0.0)
    for i, metric in enumerate(result.average_precision):
        if gold[:, i].any():
            assert metric.value == pytest.approx(sk.average_precision_score(gold[:, i], probabilities[:, i]), abs=1e-9)
        else:
            assert np.isnan(metric.value)


@settings(max_examples=60)
@given(
    arrays(bool, 12),
    arrays(np.float64, 12, elements=st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8])),
    arrays(np.int64, 12, elements=st.integers(0, 3)),
)
def test_average_precision_with_weights_is_that_of_repeated_rows(
    gold: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> None:
    expected = np.nan
    if weights.any():
        expected = average_precision(np.repeat(gold, weights), np.repeat(scores, weights))[0]
    assert average_precision(gold, scores, weights[None])[0] == pytest.approx(expected, nan_ok=True)


@settings(max_examples=100)
@given(
    arrays(bool, 15),
    arrays(np.float64, 15, elements=st.floats(0, 1) | st.sampled_from([0.5, 0.25])),
)
def test_no_threshold_has_a_better_f1_than_the_tuned_one(gold: np.ndarray, probabilities: np.ndarray) -> None:
    def score(cut: float) -> float:
        return sk.f1_score(gold, probabilities >= cut, zero_division=0)

    tuned = tune_thresholds(gold[:, None], probabilities[:, None])[0]
    assert score(tuned) >= max(score(cut) for cut in [*probabilities, 0.0, 0.5, 2.0]) - 1e-12


def test_of_equally_good_thresholds_the_one_nearest_a_half_is_taken() -> None:
    gold = np.array([[True, False], [True, False], [False, False]])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.9]])
    assert tune_thresholds(gold, probabilities).tolist() == [0.5, 0.5]


def test_a_threshold_a_class_is_used_for_that_class() -> None:
    gold = np.array([[True, True]])
    result = evaluate_multi(gold, np.array([[0.4, 0.4]]), [0.3, 0.5], ("a", "b"), seed=0)
    assert [score.right for score in result.per_class] == [1, 0]
    assert [row["threshold"] for row in result.to_dict()["per_class"]] == [0.3, 0.5]
    json.dumps(result.to_dict(), allow_nan=False)
