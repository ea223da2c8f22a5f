"""Whether one system beats another on the same rows: paired tests, never two intervals side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sixfold.errors import DataError
from sixfold.metrics.classification import f1_statistics
from sixfold.metrics.intervals import Z95, Floats, Statistic, patterns, resampled
from sixfold.metrics.scores import f1
from sixfold.metrics.tagging import spans


@dataclass(frozen=True)
class Comparison:
    """What B gains over A.

    ``difference`` is b - a with its 95 % interval; ``p`` is two-sided, ``p_holm`` corrected for the other
    comparisons that it was made with (the same as ``p`` for one alone).
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    count: int
    test: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def digest(rows: Iterable[str]) -> str:
    """SHA-256 of the rows in order: what two systems must share to be compared."""
    total = hashlib.sha256()
    for row in rows:
        data = row.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


def check_same_rows(digest_a: str, digest_b: str) -> None:
    """Raise when two systems were not measured on the same rows.

    Raises:
        DataError: the digests differ.
    """
    if digest_a != digest_b:
        raise DataError(
            "the two systems were not measured on the same rows",
            found=f"digests {digest_a[:12]} and {digest_b[:12]}",
            hint="evaluate both on the same file, then compare",
        )


def mcnemar(correct_a: NDArray, correct_b: NDArray) -> tuple[int, int, float]:
    """McNemar's exact test (1947; two-sided binomial).

    Args:
        correct_a: bool [rows].
        correct_b: bool [rows], of the same rows.

    Returns:
        rows that only A has right, rows that only B has right, p.
    """
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    assert a.shape == b.shape
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return only_a, only_b, _binomial_p(min(only_a, only_b), only_a + only_b)


def accuracy(correct_a: NDArray, correct_b: NDArray) -> Comparison:
    """Compare two accuracies: McNemar's p, and the interval of Bonett and Price (2012).

    Raises:
        DataError: no rows.
    """
    count = len(correct_a)
    _check_rows(count)
    only_a, only_b, p = mcnemar(correct_a, correct_b)
    share_a, share_b = (only_a + 1) / (count + 2), (only_b + 1) / (count + 2)
    middle = share_b - share_a
    half = Z95 * float(np.sqrt((share_a + share_b - middle**2) / (count + 2)))
    a, b = float(np.mean(correct_a)), float(np.mean(correct_b))
    return Comparison(
        "accuracy",
        a,
        b,
        b - a,
        max(-1.0, middle - half),
        min(1.0, middle + half),
        p,
        p,
        count,
        "McNemar, exact",
    )


def paired_bootstrap(
    name: str, rows_a: Floats, rows_b: Floats, statistic: Statistic, *, seed: int, resamples: int = 2000
) -> Comparison:
    """Compare a statistic of summed contributions by resampling the rows of both systems together.

    The interval is the percentile one and p the smallest level whose interval leaves out 0, so the two agree.
    (Efron & Tibshirani 1993, chapter 15.)

    Args:
        name: the metric's.
        rows_a: what each row contributes under A, float [rows, k].
        rows_b: the same under B.
        statistic: sums [n, k] to [n, m]; only the first column is compared.

    Raises:
        DataError: no rows.
    """
    assert rows_a.shape == rows_b.shape, "not the same rows"
    _check_rows(len(rows_a))
    width = rows_a.shape[1]

    def both(sums: Floats) -> Floats:
        return np.column_stack([statistic(sums[:, :width])[:, 0], statistic(sums[:, width:])[:, 0]])

    distinct, counts = patterns(np.hstack([rows_a, rows_b]))
    a, b = (float(item) for item in both((counts @ distinct)[None])[0])
    drawn = resampled(distinct, counts, both, seed=seed, resamples=resamples)
    gained = drawn[:, 1] - drawn[:, 0]
    low, high = np.quantile(gained, [0.025, 0.975])
    tail = min(np.count_nonzero(gained <= 0), np.count_nonzero(gained >= 0))
    p = min(1.0, 2 * (tail + 1) / (len(gained) + 1))
    return Comparison(
        name, a, b, b - a, float(low), float(high), p, p, len(rows_a),
        f"paired bootstrap, {len(gained):,} resamples",
    )  # fmt: skip


def classifiers(
    gold: NDArray, predicted_a: NDArray, predicted_b: NDArray, classes: int, *, seed: int
) -> tuple[Comparison, Comparison]:
    """Accuracy and macro F1 of two one-label classifiers, from class indices int [rows].

    Raises:
        DataError: no rows.
    """
    gold, a, b = (np.asarray(item, dtype=np.int64) for item in (gold, predicted_a, predicted_b))
    assert gold.shape == a.shape == b.shape, "not the same rows"
    rows_a, rows_b = _one_hot(gold, a, classes), _one_hot(gold, b, classes)
    return (
        accuracy(a == gold, b == gold),
        paired_bootstrap("macro F1", rows_a, rows_b, f1_statistics(classes), seed=seed),
    )


def several_labels(
    gold: NDArray, predicted_a: NDArray, predicted_b: NDArray, *, seed: int
) -> tuple[Comparison, Comparison, Comparison]:
    """Subset accuracy, micro F1 and macro F1 of classifiers with several labels a row, from bool [rows, classes].

    Raises:
        DataError: no rows.
    """
    rows, classes = gold.shape
    exact = accuracy((predicted_a == gold).all(axis=1), (predicted_b == gold).all(axis=1))
    counts = [np.stack([gold & guess, guess, gold], axis=1).astype(np.float64) for guess in (predicted_a, predicted_b)]
    sums, flat = [part.sum(axis=2) for part in counts], [part.reshape(rows, 3 * classes) for part in counts]
    return (
        replace(exact, metric="subset accuracy"),
        paired_bootstrap("micro F1", sums[0], sums[1], _f1, seed=seed),
        paired_bootstrap("macro F1", flat[0], flat[1], f1_statistics(classes), seed=seed),
    )


def taggers(
    gold: Sequence[Sequence[str]],
    predicted_a: Sequence[Sequence[str]],
    predicted_b: Sequence[Sequence[str]],
    *,
    seed: int,
) -> Comparison:
    """Entity F1 of two taggers, resampling whole sentences.

    Raises:
        DataError: no sentences, or a string that is no tag.
    """
    rows_a, rows_b = (_entity_counts(gold, predicted) for predicted in (predicted_a, predicted_b))
    return paired_bootstrap("entity F1", rows_a, rows_b, _f1, seed=seed)


def _f1(sums: Floats) -> Floats:
    return np.nan_to_num(f1(*sums.T))[:, None]


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for being several (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, greatest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        greatest = max(greatest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = greatest
    return corrected


def corrected(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The same comparisons with ``p_holm`` filled in for all of them together."""
    values = holm([item.p for item in comparisons])
    return tuple(replace(item, p_holm=value) for item, value in zip(comparisons, values, strict=True))


def _one_hot(gold: NDArray, predicted: NDArray, classes: int) -> Floats:
    rows = np.arange(len(gold))
    counts = np.zeros((len(gold), 3, classes), dtype=np.int8)
    counts[rows, 0, gold] = gold == predicted
    counts[rows, 1, predicted] = 1
    counts[rows, 2, gold] = 1
    return counts.reshape(len(gold), 3 * classes).astype(np.float64)


def _entity_counts(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Floats:
    rows = []
    for tags, marks in zip(gold, predicted, strict=True):
        known, found = set(spans(tags)), set(spans(marks))
        rows.append((len(known & found), len(found), len(known)))
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def _binomial_p(fewer: int, count: int) -> float:
    """Two-sided P of so uneven a split of ``count`` fair coins; in logarithms, so that it cannot overflow."""
    if count == 0:
        return 1.0
    place = np.arange(1, fewer + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(count - place + 1) - np.log(place))]) - count * np.log(2)
    return float(min(1.0, 2 * np.exp(logs).sum()))


def _check_rows(count: int) -> None:
    if count == 0:
        raise DataError("there are no rows to compare on", hint="evaluate both systems on the same file first")
