"""Gates: how they are written, that unknown figures are refused, and which end of the interval is judged."""

from __future__ import annotations

import pytest

from sixfold.errors import UsageError
from sixfold.metrics.value import Metric
from sixfold.stages.auditing.gates import Gate, check, judge, refusal


def figure(value: float, low: float, high: float, percent: bool = True) -> dict[str, object]:
    return Metric("figure", value, low, high, 100, "Wilson", percent).to_dict()


@pytest.mark.parametrize(
    ("written", "gate"),
    [
        ("accuracy >= 0.9", Gate("accuracy", ">=", 0.9)),
        (" accuracy_under_attack.textfooler-offline>40 % ", Gate("accuracy_under_attack.textfooler-offline", ">", 0.4)),
        ("canary_exposure < 5", Gate("canary_exposure", "<", 5.0)),
        ("accuracy.language.中文 <= -.5", None),
        ("accuracy => 0.9", None),
        ("accuracy", None),
        (">= 0.9", None),
        ("accuracy >= high", None),
    ],
)
def test_a_gate_is_a_figure_a_sign_and_a_number(written: str, gate: Gate | None) -> None:
    if gate is None:
        with pytest.raises(ValueError, match="a gate is a figure"):
            Gate.read(written)
    else:
        assert Gate.read(written) == gate


def test_unknown_figures_are_refused_all_at_once_with_the_nearest_name() -> None:
    gates = [Gate.read("acuracy >= 0.9"), Gate.read("accuracy >= 0.1"), Gate.read("ecee < 0.1")]
    with pytest.raises(UsageError) as raised:
        check(gates, {"accuracy", "ece", "macro_f1"})
    assert "2 gates" in raised.value.what
    assert "did you mean 'accuracy'" in raised.value.what
    assert "did you mean 'ece'" in raised.value.what


def test_the_worse_end_is_judged() -> None:
    metrics = {"accuracy": figure(0.92, 0.88, 0.95), "ece": figure(0.05, 0.02, 0.11)}
    gates = [Gate.read(one) for one in ("accuracy >= 0.9", "accuracy >= 0.88", "ece <= 0.1", "ece < 0.2")]
    assert [one.passed for one in judge(gates, metrics)] == [False, True, False, True]
    assert [one.worst for one in judge(gates, metrics)] == [0.88, 0.88, 0.11, 0.11]


def test_what_was_not_measured_does_not_pass() -> None:
    nothing = figure(float("nan"), float("nan"), float("nan"))
    point = figure(0.99, float("nan"), float("nan"))
    gates = [Gate.read("accuracy >= 0.1"), Gate.read("ece < 1"), Gate.read("f1 > 0")]
    judged = judge(gates, {"accuracy": nothing, "ece": point})
    assert [one.passed for one in judged] == [False, False, False]
    refused = refusal(judged)
    assert refused is not None
    assert refused["what"] == "3 of 3 gates failed"
    assert "accuracy >= 0.1: not measured" in refused["found"]
    assert "99.0 %, without an interval" in refused["found"]


def test_nothing_is_refused_when_all_pass() -> None:
    assert refusal(judge([Gate.read("accuracy > 0.5")], {"accuracy": figure(0.9, 0.8, 0.95)})) is None
    assert refusal([]) is None
