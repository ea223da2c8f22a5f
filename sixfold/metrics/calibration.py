"""Whether a confidence of 80 % is right 80 % of the time; and one temperature that mends it.

Guo et al. 2017, "On Calibration of Modern Neural Networks". Only the winning class's confidence is judged.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sixfold.errors import DataError
from sixfold.metrics.intervals import Floats, bootstrap, mean, wilson
from sixfold.metrics.multilabel import check_finite
from sixfold.metrics.value import Metric

COLDEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True)
class Bin:
    """Rows with a confidence in (low, high]; ``accuracy`` and its Wilson interval are None without rows."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error, Brier score (0 to 2: summed over classes), mean NLL in nats, the bins."""

    ece: Metric
    brier: Metric
    nll: Metric
    bins: tuple[Bin, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "ece": self.ece.to_dict(),
            "brier": self.brier.to_dict(),
            "nll": self.nll.to_dict(),
            "bins": [asdict(item) for item in self.bins],
        }


@dataclass(frozen=True)
class Temperature:
    """What divides the logits, fitted on ``count`` rows; 1 where they tell none (not ``found``)."""

    value: float
    nll_before: float
    nll_after: float
    count: int
    found: bool


def evaluate(probabilities: NDArray, gold: NDArray, *, seed: int, bins: int = 15) -> Calibration:
    """Measure calibration of probabilities [rows, classes] against the right classes int [rows].

    Raises:
        DataError: no rows.
        ModelError: probabilities that are not finite.
    """
    probabilities, gold = _checked(probabilities, gold)
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == gold
    rows = np.arange(len(gold))
    truth = np.zeros_like(probabilities)
    truth[rows, gold] = 1.0
    surprise = -np.log(np.maximum(probabilities[rows, gold], np.finfo(np.float64).tiny))
    return Calibration(
        ece=ece(confidence, correct, bins, seed=seed),
        brier=mean("Brier score", ((probabilities - truth) ** 2).sum(axis=1)),
        nll=mean("NLL", surprise),
        bins=reliability(confidence, correct, bins),
    )


def ece(confidence: NDArray, correct: NDArray, bins: int = 15, *, seed: int = 0) -> Metric:
    """Expected calibration error: the mean over rows of |accuracy - confidence| in their bin of equal width.

    It is never negative, so on few rows even a perfect model shows some; compare it only at like counts.

    Args:
        confidence: of the predicted class, float [rows].
        correct: bool [rows].
    """
    confidence = np.asarray(confidence, dtype=np.float64)
    if len(confidence) == 0:
        raise DataError("there are no rows to judge calibration on")
    places = _places(confidence, bins)
    # Rows of one bin differ only in their gap, so a row's pattern is its gap in its bin's column.
    gaps = np.zeros((len(confidence), bins))
    gaps[np.arange(len(confidence)), places] = np.asarray(correct, dtype=np.float64) - confidence
    ones = np.ones(len(confidence), dtype=np.int64)
    found = bootstrap(gaps, ones, lambda sums: np.abs(sums).sum(axis=1, keepdims=True) / len(confidence), seed=seed)
    return found.metric(0, "ECE", len(confidence))


def reliability(confidence: NDArray, correct: NDArray, bins: int = 15) -> tuple[Bin, ...]:
    """The bins (equal width) of a reliability diagram from confidence float [rows], correct bool [rows]."""
    confidence, correct = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
    places = _places(confidence, bins)
    return tuple(_bin(i / bins, (i + 1) / bins, confidence[places == i], correct[places == i]) for i in range(bins))


def fit_temperature(logits: NDArray, gold: NDArray) -> Temperature:
    """The temperature T > 0 with the least NLL of softmax(logits / T), on validation rows.

    The NLL is convex in 1/T, so Newton steps kept inside a shrinking bracket find its one optimum.
    Where the optimum is not between 0.05 and 20 (rows that are all right would want T = 0) these rows cannot
    tell a temperature: it stays 1 and ``found`` is false. Log-probabilities do as logits.

    Args:
        logits: float [rows, classes].
        gold: the right classes, int [rows].

    Raises:
        DataError: no rows.
        ModelError: logits that are not finite.
    """
    logits, gold = _checked(logits, gold)
    low, high, inverse = 1 / HOTTEST, 1 / COLDEST, 1.0
    before = _nll(logits, gold, 1.0)
    if _slope(logits, gold, low)[0] >= 0 or _slope(logits, gold, high)[0] <= 0:
        return Temperature(1.0, before, before, len(gold), found=False)
    for _ in range(100):
        slope, curve = _slope(logits, gold, inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        step = inverse - slope / curve if curve > 0 else low
        onward = step if low < step < high else (low + high) / 2
        if abs(onward - inverse) < 1e-12 * inverse:
            break
        inverse = onward
    return Temperature(1 / inverse, before, _nll(logits, gold, inverse), len(gold), found=True)


def softmax(logits: NDArray, temperature: float = 1.0) -> Floats:
    """Probabilities of logits [..., classes] divided by the temperature."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def before_and_after(
    validation: tuple[NDArray, NDArray], test: tuple[NDArray, NDArray], *, seed: int
) -> dict[str, Any]:
    """Fit a temperature on validation (logits, gold) and measure test (logits, gold) without and with it.

    Returns:
        plain data: ``temperature``, ``before`` and ``after``.
    """
    fitted = fit_temperature(*validation)
    logits, gold = test
    return {
        "temperature": asdict(fitted),
        "before": evaluate(softmax(logits), gold, seed=seed).to_dict(),
        "after": evaluate(softmax(logits, fitted.value), gold, seed=seed).to_dict(),
    }


def _places(confidence: Floats, bins: int) -> NDArray[np.int64]:
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _bin(low: float, high: float, confidence: Floats, correct: NDArray[np.bool_]) -> Bin:
    count, right = len(correct), int(correct.sum())
    if count == 0:
        return Bin(low, high, 0, None, None, None, None)
    return Bin(low, high, count, float(confidence.mean()), right / count, *wilson(right, count))


def _slope(logits: Floats, gold: NDArray[np.int64], inverse: float) -> tuple[float, float]:
    """First and second derivative of the mean NLL in 1/T: E_p[z] - z_gold, and Var_p[z]."""
    share = softmax(logits, 1 / inverse)
    expected = (share * logits).sum(axis=1)
    slope = expected - logits[np.arange(len(gold)), gold]
    curve = (share * (logits - expected[:, None]) ** 2).sum(axis=1)
    return float(slope.mean()), float(curve.mean())


def _nll(logits: Floats, gold: NDArray[np.int64], inverse: float) -> float:
    scaled = logits * inverse
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(gold)), gold]).mean())


def _checked(values: NDArray, gold: NDArray) -> tuple[Floats, NDArray[np.int64]]:
    values, gold = np.asarray(values, dtype=np.float64), np.asarray(gold, dtype=np.int64)
    assert values.ndim == 2
    assert len(values) == len(gold)
    if len(gold) == 0:
        raise DataError("there are no rows to judge calibration on", hint="give a validation split that has rows")
    check_finite(values)
    return values, gold
