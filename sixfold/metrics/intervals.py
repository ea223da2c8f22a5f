"""95 % intervals: Wilson for proportions, BCa bootstrap for what is computed from sums over rows.

The bootstrap never touches single rows. Rows that contribute the same are one *pattern* with a count, and
resampling rows is drawing how often each pattern comes: the same distribution, at the cost of the patterns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sixfold.metrics.value import Metric

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""From sums [n, k] to the statistics of each [n, m]; NaN where one is not defined."""

Z95 = NormalDist().inv_cdf(0.975)
# So many random draws take about a second; beyond, fewer resamples are drawn (never under 200).
MOST_DRAWS = 20_000_000
FEWEST_RESAMPLES = 200
CHUNK_CELLS = 2_000_000


@dataclass(frozen=True)
class Interval:
    """Statistics with their 95 % intervals: ``value``, ``low`` and ``high`` are float [m]."""

    value: Floats
    low: Floats
    high: Floats
    method: str

    def metric(self, index: int, name: str, count: int, *, percent: bool = True) -> Metric:
        value, low, high = (float(item[index]) for item in (self.value, self.low, self.high))
        return Metric(name, value, low, high, count, self.method, percent)


def wilson(successes: int, count: int) -> tuple[float, float]:
    """The Wilson score interval of a proportion (Wilson 1927); (NaN, NaN) when nothing was counted."""
    assert 0 <= successes <= count
    if count == 0:
        return math.nan, math.nan
    share, square = successes / count, Z95**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = Z95 * math.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    # At 0 and at 1 the formula is exact there; only rounding would say otherwise.
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == count else middle + half
    return low, high


def proportion(name: str, successes: int, count: int) -> Metric:
    """``successes / count`` with its Wilson interval."""
    low, high = wilson(int(successes), int(count))
    return Metric(name, successes / count if count else math.nan, low, high, int(count), "Wilson")


def mean(name: str, values: Floats, *, percent: bool = False) -> Metric:
    """The mean of values [rows] with its normal-approximation interval."""
    count = len(values)
    if count == 0:
        return Metric(name, math.nan, math.nan, math.nan, 0, "normal", percent)
    middle = float(values.mean())
    half = Z95 * float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else math.nan
    return Metric(name, middle, middle - half, middle + half, count, "normal", percent)


def patterns(contributions: NDArray) -> tuple[Floats, NDArray[np.int64]]:
    """The distinct rows of contributions [rows, k] as float [distinct, k], and how often each comes."""
    distinct, counts = np.unique(np.asarray(contributions), axis=0, return_counts=True)
    return distinct.astype(np.float64), counts.astype(np.int64)


def resampled(
    distinct: Floats, counts: NDArray[np.int64], statistic: Statistic, *, seed: int, resamples: int = 1000
) -> Floats:
    """The statistics [resamples, m] of rows drawn with replacement."""
    rows = int(counts.sum())
    resamples = max(FEWEST_RESAMPLES, min(resamples, MOST_DRAWS // max(1, len(counts))))
    chunk = max(1, CHUNK_CELLS // max(1, len(counts), distinct.shape[1]))
    random = np.random.default_rng(seed)
    drawn = []
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        drawn.append(statistic(random.multinomial(rows, counts / rows, size=size) @ distinct))
    return np.concatenate(drawn)


def bootstrap(
    distinct: Floats, counts: NDArray[np.int64], statistic: Statistic, *, seed: int, resamples: int = 1000
) -> Interval:
    """Bias-corrected and accelerated bootstrap (Efron 1987) of statistics of summed contributions.

    Args:
        distinct: what each kind of row contributes, float [distinct, k].
        counts: how many rows are of each kind, int [distinct].
        statistic: sums [n, k] to statistics [n, m].
        seed: same seed, same interval.
        resamples: how many; fewer (the method then says so) when very many rows are all different.

    Returns:
        the statistics of all rows and their intervals, float [m] each.
    """
    assert len(counts), "no rows to resample"
    total = counts @ distinct
    value = statistic(total[None])[0]
    drawn = resampled(distinct, counts, statistic, seed=seed, resamples=resamples)
    left_out = statistic(total - distinct)
    bounds = [_bca(value[i], drawn[:, i], left_out[:, i], counts) for i in range(len(value))]
    low, high = np.array(bounds, dtype=np.float64).reshape(-1, 2).T
    return Interval(value, low, high, f"bootstrap, {len(drawn):,} resamples")


def _bca(value: float, drawn: Floats, left_out: Floats, counts: NDArray[np.int64]) -> tuple[float, float]:
    drawn = drawn[np.isfinite(drawn)]
    if not math.isfinite(value) or len(drawn) == 0:
        return math.nan, math.nan
    normal, size = NormalDist(), len(drawn)
    below = (np.count_nonzero(drawn < value) + 0.5 * np.count_nonzero(drawn == value)) / size
    bias = normal.inv_cdf(min(max(below, 0.5 / size), 1 - 0.5 / size))
    acceleration = _acceleration(left_out, counts)
    ends = []
    for z in (-Z95, Z95):
        shifted = bias + z
        slope = 1 - acceleration * shifted
        ends.append(normal.cdf(bias + shifted / slope) if slope > 0 else float(z > 0))
    low, high = np.quantile(drawn, ends)
    # With few distinct resamples the corrected quantile can step just past the value itself.
    return min(float(low), value), max(float(high), value)


def _acceleration(left_out: Floats, counts: NDArray[np.int64]) -> float:
    known = np.isfinite(left_out)
    if not known.any():
        return 0.0
    weights = counts[known]
    off = np.average(left_out[known], weights=weights) - left_out[known]
    squares = float(weights @ off**2)
    return float(weights @ off**3) / (6 * squares**1.5) if squares > 1e-30 else 0.0
