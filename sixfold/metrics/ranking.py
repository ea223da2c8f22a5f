"""How well a score tells two groups apart: the area under the ROC curve, and hits at few false alarms."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sixfold.metrics.intervals import Z95, proportion
from sixfold.metrics.value import Metric

Floats = NDArray[np.float64]


def auc(name: str, positives: NDArray, negatives: NDArray) -> Metric:
    """The chance that a positive's score lies above a negative's, ties counting half.

    The interval is DeLong's (DeLong et al. 1988), on the logit scale, so that it stays between 0 and 1.

    Args:
        positives, negatives: scores, float [rows] each.
    """
    ups, downs = np.asarray(positives, dtype=np.float64), np.asarray(negatives, dtype=np.float64)
    count = len(ups) + len(downs)
    if not len(ups) or not len(downs):
        return Metric(name, math.nan, math.nan, math.nan, count, "DeLong")
    beaten, beating = _shares(ups, downs), 1 - _shares(downs, ups)
    value = float(beaten.mean())
    if min(len(ups), len(downs)) < 2:
        return Metric(name, value, math.nan, math.nan, count, "DeLong")
    error = math.sqrt(beaten.var(ddof=1) / len(ups) + beating.var(ddof=1) / len(downs))
    low, high = _logit_ends(value, error, min(len(ups), len(downs)))
    return Metric(name, value, low, high, count, "DeLong")


def hits(name: str, positives: NDArray, negatives: NDArray, alarms: float) -> Metric:
    """The share of positives above the score that at most a share ``alarms`` of the negatives exceeds.

    NaN where there are too few negatives to tell such a share: fewer than ``1 / alarms``.
    """
    ups = np.asarray(positives, dtype=np.float64)
    downs = np.sort(np.asarray(negatives, dtype=np.float64))[::-1]
    allowed = math.floor(alarms * len(downs) + 1e-9)
    if allowed < 1 or not len(ups):
        return Metric(name, math.nan, math.nan, math.nan, len(ups), "Wilson")
    # Scores above the first negative that must not be exceeded.
    bound = downs[allowed] if allowed < len(downs) else -math.inf
    return proportion(name, int((ups > bound).sum()), len(ups))


def _shares(ours: Floats, theirs: Floats) -> Floats:
    """For each of ours the share of theirs below it, ties half: float [len(ours)]."""
    order = np.sort(theirs)
    below, upto = np.searchsorted(order, ours, "left"), np.searchsorted(order, ours, "right")
    return (below + upto) / (2 * len(theirs))


def _logit_ends(value: float, error: float, fewest: int) -> tuple[float, float]:
    """The ends of the interval; where the groups do not overlap at all, the rule of three for the smaller one."""
    if value in (0.0, 1.0) or error == 0.0:
        room = min(1.0, 3 / fewest)
        return max(0.0, value - room), min(1.0, value + room)
    middle, half = math.log(value / (1 - value)), Z95 * error / (value * (1 - value))
    return 1 / (1 + math.exp(-(middle - half))), 1 / (1 + math.exp(-(middle + half)))
