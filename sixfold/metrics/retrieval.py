"""How well vectors find what belongs to them: a text its pair, a row the others of its label.

Vectors are L2-normalised, so that a product is a cosine. Ties count against the right one: vectors that are all alike
find nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sixfold.metrics.intervals import bootstrap, patterns, proportion
from sixfold.metrics.value import Metric

CHUNK = 1024
"""Rows that are compared with all at once; bounds memory."""
CUTS = (1, 10)


def pair_ranks(
    texts: NDArray, candidates: NDArray, own: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each text's rank of its own candidate, from 1, and the nearest of the others; int [rows] both.

    Args:
        texts: [rows, width]
        candidates: [candidates, width] without repeats.
        own: [rows] which candidate is right.
    """
    ranks, nearest = np.zeros(len(texts), dtype=np.int64), np.zeros(len(texts), dtype=np.int64)
    for start in range(0, len(texts), CHUNK):
        part = slice(start, start + CHUNK)
        near = texts[part] @ candidates.T
        places = np.arange(len(near))
        right = near[places, own[part]]
        ranks[part] = (near >= right[:, None]).sum(1)
        near[places, own[part]] = -math.inf
        nearest[part] = near.argmax(1)
    return ranks, nearest


def fellow_ranks(vectors: NDArray, classes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each row's rank of the nearest row of its class among all other rows, from 1, and the nearest of another class.

    The rank of a row that is alone in its class is 0. int [rows] both.

    Args:
        vectors: [rows, width]
        classes: [rows]
    """
    ranks, nearest = np.zeros(len(vectors), dtype=np.int64), np.zeros(len(vectors), dtype=np.int64)
    for start in range(0, len(vectors), CHUNK):
        part = slice(start, start + CHUNK)
        near = vectors[part] @ vectors.T
        near[np.arange(len(near)), np.arange(start, start + len(near))] = -math.inf
        same = classes[part][:, None] == classes[None]
        best = np.where(same, near, -math.inf).max(1)
        others = np.where(same, -math.inf, near)
        ranks[part] = np.where(np.isfinite(best), 1 + (others >= best[:, None]).sum(1), 0)
        nearest[part] = others.argmax(1)
    return ranks, nearest


def centroids_right(vectors: NDArray, classes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the nearest centroid is that of the row's class, computed without the row: bool [rows].

    A row that is alone in its class has no such centroid, and is never right.

    Args:
        vectors: [rows, width]
        classes: [rows] from 0 on.
    """
    sums = np.zeros((int(classes.max(initial=-1)) + 1, vectors.shape[1]))
    np.add.at(sums, classes, vectors)
    own = (_unit(sums[classes] - vectors) * vectors).sum(1)
    near = vectors @ _unit(sums).T
    near[np.arange(len(vectors)), classes] = -math.inf
    alone = np.bincount(classes, minlength=len(sums))[classes] < 2
    return ~alone & (own > near.max(1, initial=-math.inf))


def _unit(vectors: NDArray) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0)


def shares(ranks: NDArray[np.int64]) -> dict[str, float]:
    """Recall at each cut and the mean reciprocal rank of ranks [rows]; NaN without rows."""
    if not len(ranks):
        return dict.fromkeys([*(f"recall_at_{cut}" for cut in CUTS), "mrr"], math.nan)
    return {
        **{f"recall_at_{cut}": float((ranks <= cut).mean()) for cut in CUTS},
        "mrr": float((1 / ranks).mean()),
    }


def metrics(ranks: NDArray[np.int64], *, seed: int) -> dict[str, Metric]:
    """``shares`` with their intervals."""
    found = {f"recall_at_{cut}": proportion(f"recall at {cut}", int((ranks <= cut).sum()), len(ranks)) for cut in CUTS}
    if not len(ranks):
        return {**found, "mrr": Metric("mean reciprocal rank", math.nan, math.nan, math.nan, 0, "bootstrap")}
    distinct, counts = patterns(np.stack([1 / ranks, np.ones(len(ranks))], axis=1))
    interval = bootstrap(distinct, counts, lambda sums: sums[:, :1] / sums[:, 1:], seed=seed)
    return {**found, "mrr": interval.metric(0, "mean reciprocal rank", len(ranks))}
