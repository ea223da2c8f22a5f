"""How good a one-label classifier is: accuracy, F1s, confusion, and what abstaining would buy.

Several labels a row: ``multilabel.py`` (also reachable from here). Calibration: ``calibration.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sixfold.errors import DataError
from sixfold.metrics.intervals import Floats, Statistic, bootstrap, proportion
from sixfold.metrics.multilabel import MultiResult, check_finite, evaluate_multi, tune_thresholds
from sixfold.metrics.scores import ClassScore, class_scores, f1, macro
from sixfold.metrics.value import Metric

__all__ = [
    "Abstention",
    "ClassificationResult",
    "MultiResult",
    "evaluate",
    "evaluate_multi",
    "selective",
    "tune_thresholds",
]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Abstention:
    """What is left when the model says nothing below a confidence."""

    below: float
    coverage: Metric
    accuracy: Metric

    def to_dict(self) -> dict[str, Any]:
        return {
            "below": self.below,
            "coverage": self.coverage.to_dict(),
            "accuracy": self.accuracy.to_dict(),
        }


@dataclass(frozen=True)
class ClassificationResult:
    """The measured quality of a one-label classifier.

    ``confusion[i][j]`` counts rows of gold class i that were predicted as j. ``baseline`` is the accuracy
    of always saying the commonest gold label. ``abstention`` is the asked-for threshold; ``selective`` a
    curve of thresholds.
    """

    labels: tuple[str, ...]
    count: int
    seed: int
    accuracy: Metric
    macro_f1: Metric
    weighted_f1: Metric
    baseline: Metric
    baseline_label: str
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    selective: tuple[Abstention, ...]
    abstention: Abstention | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "classification",
            "labels": list(self.labels),
            "count": self.count,
            "seed": self.seed,
            "metrics": {
                "accuracy": self.accuracy.to_dict(),
                "macro_f1": self.macro_f1.to_dict(),
                "weighted_f1": self.weighted_f1.to_dict(),
            },
            "baseline": self.baseline.to_dict(),
            "baseline_label": self.baseline_label,
            "per_class": [score.to_dict() for score in self.per_class],
            "confusion": [list(row) for row in self.confusion],
            "selective": [point.to_dict() for point in self.selective],
            "abstention": self.abstention.to_dict() if self.abstention else None,
        }


def evaluate(
    gold: NDArray,
    probabilities: NDArray,
    labels: Sequence[str],
    *,
    seed: int,
    abstain_below: float | None = None,
) -> ClassificationResult:
    """Measure a one-label classifier.

    Args:
        gold: index of the right class, int [rows].
        probabilities: float [rows, classes].
        labels: the classes' names.
        seed: of the bootstrap.
        abstain_below: the confidence under which the model is not to answer, if any.

    Raises:
        DataError: no rows, or a gold class that does not exist.
        ModelError: probabilities that are not finite.
    """
    gold, probabilities = _checked(gold, probabilities, labels)
    predicted = probabilities.argmax(axis=1)
    classes, rows = len(labels), len(gold)
    confusion = confusion_matrix(gold, predicted, classes)
    distinct, counts = confusion_patterns(confusion)
    found = bootstrap(distinct, counts, f1_statistics(classes), seed=seed)
    support = confusion.sum(axis=1)
    common = int(support.argmax())
    confidence, correct = probabilities.max(axis=1), predicted == gold
    return ClassificationResult(
        labels=tuple(labels),
        count=rows,
        seed=seed,
        accuracy=proportion("accuracy", int(correct.sum()), rows),
        macro_f1=found.metric(0, "macro F1", rows),
        weighted_f1=found.metric(1, "weighted F1", rows),
        baseline=proportion("majority-class accuracy", int(support[common]), rows),
        baseline_label=labels[common],
        per_class=class_scores(labels, confusion.diagonal(), confusion.sum(axis=0), support, found, first=2),
        confusion=tuple(tuple(int(cell) for cell in row) for row in confusion),
        selective=selective(confidence, correct),
        abstention=None if abstain_below is None else _abstention(confidence, correct, abstain_below),
    )


def selective(confidence: Floats, correct: NDArray[np.bool_], points: int = 20) -> tuple[Abstention, ...]:
    """Accuracy on the answered rows as ever more of the least sure go unanswered (El-Yaniv & Wiener 2010).

    Args:
        confidence: float [rows].
        correct: bool [rows].
        points: thresholds, at equal steps of coverage from all rows down.
    """
    steps = np.arange(points) / points
    thresholds = np.unique(np.quantile(confidence, steps, method="inverted_cdf"))
    return tuple(_abstention(confidence, correct, float(threshold)) for threshold in thresholds)


def confusion_matrix(gold: Ints, predicted: Ints, classes: int) -> Ints:
    """int [classes, classes]: gold class down, predicted class across."""
    return np.bincount(gold * classes + predicted, minlength=classes**2).reshape(classes, classes)


def confusion_patterns(confusion: Ints) -> tuple[Floats, Ints]:
    """Each (gold, predicted) pair as one-hot (right, predicted, gold) [pairs, 3·classes], and its count."""
    classes = len(confusion)
    gold, predicted = np.nonzero(confusion)
    pairs = np.arange(len(gold))
    distinct = np.zeros((len(gold), 3, classes))
    distinct[pairs, 0, gold] = gold == predicted
    distinct[pairs, 1, predicted] = 1.0
    distinct[pairs, 2, gold] = 1.0
    return distinct.reshape(len(gold), -1), confusion[gold, predicted]


def f1_statistics(classes: int) -> Statistic:
    """From sums (right, predicted, gold) [n, 3·classes] to (macro F1, weighted F1, F1 of each class)."""

    def statistic(sums: Floats) -> Floats:
        right, predicted, gold = np.moveaxis(sums.reshape(len(sums), 3, classes), 1, 0)
        each = f1(right, predicted, gold)
        weighted = np.nansum(each * gold, axis=1) / np.maximum(1.0, gold.sum(axis=1))
        return np.column_stack([macro(each), weighted, each])

    return statistic


def _checked(gold: NDArray, probabilities: NDArray, labels: Sequence[str]) -> tuple[Ints, Floats]:
    gold = np.asarray(gold, dtype=np.int64)
    assert gold.ndim == 1
    if len(gold) == 0:
        raise DataError("there are no rows to evaluate on", hint="give a split that has rows with labels")
    outside = (gold < 0) | (gold >= len(labels))
    if outside.any():
        raise DataError(
            "rows have a label that the model does not know",
            found=f"{int(outside.sum()):,} of {len(gold):,} rows",
            hint=f"the model knows: {', '.join(labels[:20])}{' …' if len(labels) > 20 else ''}",
        )
    probabilities = np.asarray(probabilities, dtype=np.float64)
    assert probabilities.shape == (len(gold), len(labels)), probabilities.shape
    check_finite(probabilities)
    return gold, probabilities


def _abstention(confidence: Floats, correct: NDArray[np.bool_], below: float) -> Abstention:
    answered = confidence >= below
    count = int(answered.sum())
    return Abstention(
        below,
        proportion("coverage", count, len(confidence)),
        proportion("selective accuracy", int(correct[answered].sum()), count),
    )
