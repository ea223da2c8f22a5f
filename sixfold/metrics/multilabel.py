"""How good a classifier is that may give a row several labels, or none; and which thresholds suit it.

A label is given where its probability is at least its threshold. One label a row: ``classification.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sixfold.errors import DataError, ModelError
from sixfold.metrics.intervals import FEWEST_RESAMPLES, Floats, Interval, bootstrap, patterns, proportion
from sixfold.metrics.scores import ClassScore, class_scores, f1, macro
from sixfold.metrics.value import Metric

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class MultiResult:
    """The measured quality of a classifier with several labels a row.

    ``subset_accuracy`` counts a row as right when all its labels are. ``average_precision`` is the area
    under each class's precision-recall steps, needing no threshold; its mean leaves out classes that never
    occur.
    """

    labels: tuple[str, ...]
    count: int
    seed: int
    thresholds: tuple[float, ...]
    micro_f1: Metric
    macro_f1: Metric
    subset_accuracy: Metric
    mean_average_precision: Metric
    per_class: tuple[ClassScore, ...]
    average_precision: tuple[Metric, ...]

    def to_dict(self) -> dict[str, Any]:
        classes = zip(self.per_class, self.thresholds, self.average_precision, strict=True)
        return {
            "kind": "multilabel",
            "labels": list(self.labels),
            "count": self.count,
            "seed": self.seed,
            "metrics": {
                "micro_f1": self.micro_f1.to_dict(),
                "macro_f1": self.macro_f1.to_dict(),
                "subset_accuracy": self.subset_accuracy.to_dict(),
                "mean_average_precision": self.mean_average_precision.to_dict(),
            },
            "per_class": [
                {**score.to_dict(), "threshold": threshold, "average_precision": average.to_dict()}
                for score, threshold, average in classes
            ],
        }


def evaluate_multi(
    gold: NDArray,
    probabilities: NDArray,
    thresholds: NDArray | Sequence[float] | float,
    labels: Sequence[str],
    *,
    seed: int,
) -> MultiResult:
    """Measure a classifier with several labels a row.

    Args:
        gold: bool [rows, classes].
        probabilities: float [rows, classes].
        thresholds: one for all, or one a class; tune them on validation rows, never on these.
        labels: the classes' names.
        seed: of the bootstrap.

    Raises:
        DataError: no rows.
        ModelError: probabilities that are not finite.
    """
    gold, probabilities = _checked(gold, probabilities)
    rows, classes = gold.shape
    assert classes == len(labels)
    cuts = np.broadcast_to(np.asarray(thresholds, dtype=np.float64), (classes,))
    predicted = probabilities >= cuts
    right = gold & predicted
    found = bootstrap(*patterns(np.hstack([right, predicted, gold])), _f1_statistics, seed=seed)
    precisions = _average_precisions(gold, probabilities, seed)
    return MultiResult(
        labels=tuple(labels),
        count=rows,
        seed=seed,
        thresholds=tuple(float(cut) for cut in cuts),
        micro_f1=found.metric(0, "micro F1", rows),
        macro_f1=found.metric(1, "macro F1", rows),
        subset_accuracy=proportion("subset accuracy", int((gold == predicted).all(axis=1).sum()), rows),
        mean_average_precision=precisions.metric(0, "mean average precision", rows),
        per_class=class_scores(labels, right.sum(0), predicted.sum(0), gold.sum(0), found, first=2),
        average_precision=tuple(
            precisions.metric(i + 1, "average precision", int(gold[:, i].sum())) for i in range(classes)
        ),
    )


def average_precision(gold: Bools, scores: Floats, weights: NDArray | None = None) -> Floats:
    """Area under the precision-recall steps of one class; equal scores are one step.

    Args:
        gold: bool [rows].
        scores: float [rows].
        weights: how often each row counts, [n, rows]; once each where None.

    Returns:
        float [n]; NaN where no row is positive.
    """
    order = np.argsort(-scores, kind="stable")
    weight = np.ones((1, len(gold))) if weights is None else np.asarray(weights, dtype=np.float64)[:, order]
    right = np.cumsum(weight * gold[order], axis=1)
    taken = np.cumsum(weight, axis=1)
    last = np.append(np.diff(scores[order]) != 0, True)
    right, taken = right[:, last], taken[:, last]
    positives = right[:, -1]
    gained = np.diff(right, axis=1, prepend=0.0)
    area = (gained * right / np.maximum(taken, 1e-12)).sum(axis=1)
    return np.divide(area, positives, out=np.full(len(area), np.nan), where=positives > 0)


def tune_thresholds(gold: NDArray, probabilities: NDArray) -> Floats:
    """The threshold of each class with the best F1 on these (validation) rows, float [classes].

    Every cut between two neighbouring probabilities is tried, so the result is exact; of equally good cuts
    the one nearest 0.5 is taken. A class that never occurs keeps 0.5.

    Args:
        gold: bool [rows, classes].
        probabilities: float [rows, classes].

    Raises:
        DataError: no rows.
        ModelError: probabilities that are not finite.
    """
    gold, probabilities = _checked(gold, probabilities)
    return np.array([_best_cut(gold[:, i], probabilities[:, i]) for i in range(gold.shape[1])])


def _best_cut(gold: Bools, probabilities: Floats) -> float:
    positives = int(gold.sum())
    if positives == 0:
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    high = probabilities[order]
    low = np.append(high[1:], 0.0)
    taken = np.arange(1, len(order) + 1)
    scores = 2 * np.cumsum(gold[order]) / (taken + positives)
    cuts = (high + low) / 2
    # Between neighbouring floats there is no middle: the upper one then is the cut itself.
    cuts = np.where(cuts > low, cuts, high)
    possible = (high > low) | (taken == len(order))
    best = possible & (scores >= scores[possible].max() - 1e-12)
    return float(min(cuts[best], key=lambda cut: abs(cut - 0.5)))


def _f1_statistics(sums: Floats) -> Floats:
    right, predicted, gold = np.split(sums, 3, axis=1)
    each = f1(right, predicted, gold)
    together = f1(right.sum(axis=1), predicted.sum(axis=1), gold.sum(axis=1))
    return np.column_stack([np.nan_to_num(together), macro(each), each])


def _average_precisions(gold: Bools, probabilities: Floats, seed: int) -> Interval:
    """Percentile intervals of (mean, each class). Ranks are no sums, so ``bootstrap`` can't."""
    rows, classes = gold.shape
    random = np.random.default_rng(seed)
    drawn: list[Floats] = []
    step = max(1, 4_000_000 // rows)
    for start in range(0, FEWEST_RESAMPLES, step):
        weights = random.multinomial(rows, np.full(rows, 1 / rows), size=min(step, FEWEST_RESAMPLES - start))
        columns = [average_precision(gold[:, i], probabilities[:, i], weights) for i in range(classes)]
        drawn.append(np.column_stack(columns))
    resamples = np.concatenate(drawn)
    value = np.array([average_precision(gold[:, i], probabilities[:, i])[0] for i in range(classes)])
    every = np.column_stack([macro(resamples), resamples])
    bounds = [_percentiles(column[np.isfinite(column)]) for column in every.T]
    low, high = np.array(bounds).T
    return Interval(np.append(macro(value), value), low, high, f"bootstrap, {len(resamples):,} resamples")


def _percentiles(values: Floats) -> tuple[float, float]:
    return tuple(np.quantile(values, [0.025, 0.975])) if len(values) else (np.nan, np.nan)


def _checked(gold: NDArray, probabilities: NDArray) -> tuple[Bools, Floats]:
    gold, probabilities = np.asarray(gold, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    assert gold.ndim == 2
    assert gold.shape == probabilities.shape, (gold.shape, probabilities.shape)
    if len(gold) == 0:
        raise DataError("there are no rows to evaluate on", hint="give a split that has rows with labels")
    check_finite(probabilities)
    return gold, probabilities


def check_finite(probabilities: Floats) -> None:
    """Refuse what a diverged model gives.

    Raises:
        ModelError: with the count of rows that hold a NaN or an infinity.
    """
    broken = int((~np.isfinite(probabilities)).any(axis=1).sum())
    if broken:
        raise ModelError(
            "the model gave probabilities that are not numbers",
            found=f"{broken:,} of {len(probabilities):,} rows",
            hint="the training may have diverged: look at the loss, lower the learning rate",
        )
