"""Calibration: bins, ECE, Brier, NLL and the temperature."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sixfold.errors import DataError, ModelError
from sixfold.metrics.calibration import before_and_after, ece, evaluate, fit_temperature, reliability, softmax


def overconfident(rows: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are ``temperature`` times too large for the classes drawn from them."""
    random = np.random.default_rng(seed)
    true = random.normal(size=(rows, 4)) * 2
    share = softmax(true)
    gold = (share.cumsum(axis=1) > random.random((rows, 1))).argmax(axis=1)
    return true * temperature, gold


def test_ece_is_the_mean_gap_between_confidence_and_accuracy() -> None:
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, True, True, False])
    # Two bins: |1 - 0.95| and |0.5 - 0.55|, half of the rows each.
    assert ece(confidence, correct, bins=10).value == pytest.approx(0.05)


def test_bins_hold_their_upper_edge() -> None:
    bins = reliability(np.array([0.5, 0.500001, 0.0, 1.0]), np.array([True, False, True, True]), bins=2)
    assert [item.count for item in bins] == [2, 2]


def test_an_empty_bin_has_no_accuracy() -> None:
    first = reliability(np.array([0.9]), np.array([True]), bins=10)[0]
    assert (first.count, first.accuracy, first.confidence) == (0, None, None)


def test_brier_and_nll_are_those_of_their_definitions() -> None:
    result = evaluate(np.array([[0.7, 0.3], [0.2, 0.8]]), np.array([0, 0]), seed=0)
    assert result.brier.value == pytest.approx((2 * 0.3**2 + 2 * 0.8**2) / 2)
    assert result.nll.value == pytest.approx(-(np.log(0.7) + np.log(0.2)) / 2)


def test_a_probability_of_zero_for_the_right_class_is_finite() -> None:
    assert np.isfinite(evaluate(np.array([[1.0, 0.0]]), np.array([1]), seed=0).nll.value)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_that_the_logits_were_spoilt_by(temperature: float) -> None:
    assert fit_temperature(*overconfident(20_000, temperature)).value == pytest.approx(temperature, rel=0.03)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 6))
def test_no_temperature_has_a_lower_nll_than_the_fitted_one(seed: int, temperature: float) -> None:
    logits, gold = overconfident(60, temperature, seed)
    fitted = fit_temperature(logits, gold)

    def nll(value: float) -> float:
        return float(-np.log(softmax(logits, value)[np.arange(len(gold)), gold]).mean())

    assert fitted.nll_after == pytest.approx(nll(fitted.value), abs=1e-9)
    assert fitted.nll_after <= min(nll(value) for value in np.geomspace(0.05, 20, 200)) + 1e-9
    assert fitted.nll_before == pytest.approx(nll(1.0), abs=1e-9)


@pytest.mark.parametrize(
    ("logits", "gold"),
    [
        ([[3.0, 0.0], [0.0, 2.0]], [0, 1]),
        ([[3.0, 0.0], [0.0, 2.0]], [1, 0]),
        ([[0.0, 0.0], [0.0, 0.0]], [0, 1]),
    ],
    ids=["all right", "all wrong", "all alike"],
)
def test_rows_that_tell_no_temperature_leave_it_at_1_and_say_so(logits: list, gold: list) -> None:
    fitted = fit_temperature(np.array(logits), np.array(gold))
    assert fitted.value == 1.0
    assert not fitted.found
    assert fitted.nll_before == fitted.nll_after


def test_huge_logits_do_not_overflow() -> None:
    fitted = fit_temperature(np.array([[1e5, 0.0], [0.0, 1e5], [1e5, 0.0]]), np.array([0, 1, 1]))
    assert np.isfinite(fitted.nll_after)


def test_scaling_lowers_the_ece_of_an_overconfident_model_and_keeps_its_answers() -> None:
    logits, gold = overconfident(2000, 3.0)
    found = before_and_after((logits[:1000], gold[:1000]), (logits[1000:], gold[1000:]), seed=0)
    assert found["after"]["ece"]["value"] < found["before"]["ece"]["value"] / 2
    assert found["temperature"]["count"] == 1000
    assert sum(item["count"] for item in found["after"]["bins"]) == 1000
    assert (softmax(logits, 3.0).argmax(axis=1) == logits.argmax(axis=1)).all()
    json.dumps(found, allow_nan=False)


def test_nothing_to_judge_and_broken_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="no rows"):
        fit_temperature(np.zeros((0, 2)), np.zeros(0))
    with pytest.raises(DataError, match="no rows"):
        ece(np.zeros(0), np.zeros(0))
    with pytest.raises(ModelError, match="not numbers"):
        fit_temperature(np.array([[np.nan, 1.0]]), np.array([0]))
