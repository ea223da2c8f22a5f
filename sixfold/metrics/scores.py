"""Precision, recall and F1 from three counts (right, predicted, gold) a class. No rows here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sixfold.metrics.intervals import Floats, Interval, proportion
from sixfold.metrics.value import Metric


def f1(right: Floats, predicted: Floats, gold: Floats) -> Floats:
    """2·right / (predicted + gold), any shape; NaN where a class neither occurs nor is predicted."""
    both = np.asarray(predicted + gold, dtype=np.float64)
    return np.divide(2.0 * right, both, out=np.full(both.shape, math.nan), where=both > 0)


def macro(values: Floats) -> Floats:
    """The mean over the last axis of what is defined; 0 where nothing is.

    A class that neither occurs in the gold labels nor is predicted has no F1 and is left out; a class that
    is predicted but never occurs, or occurs but is never predicted, counts as 0. So does scikit-learn's
    ``average="macro"``.
    """
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(axis=-1) / np.maximum(1, known.sum(axis=-1))


@dataclass(frozen=True)
class ClassScore:
    """How one class (or entity type) was found: precision and recall (Wilson), F1 (bootstrap), counts."""

    label: str
    precision: Metric
    recall: Metric
    f1: Metric
    support: int
    predicted: int
    right: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "precision": self.precision.to_dict(),
            "recall": self.recall.to_dict(),
            "f1": self.f1.to_dict(),
            "support": self.support,
            "predicted": self.predicted,
            "right": self.right,
        }


def class_scores(
    labels: Sequence[str], right: NDArray, predicted: NDArray, gold: NDArray, f1s: Interval, first: int
) -> tuple[ClassScore, ...]:
    """One ClassScore a label from counts [classes]; the F1 of class i is number ``first + i`` of ``f1s``."""
    return tuple(
        ClassScore(
            label,
            proportion("precision", int(right[i]), int(predicted[i])),
            proportion("recall", int(right[i]), int(gold[i])),
            f1s.metric(first + i, "F1", int(gold[i])),
            int(gold[i]),
            int(predicted[i]),
            int(right[i]),
        )
        for i, label in enumerate(labels)
    )
