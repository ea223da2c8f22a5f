"""What moved between domains, from a matrix of scores: row i after learning domain i, column j tested on domain j.

The definitions of Lopez-Paz and Ranzato 2017 (arXiv:1706.08840) for domains that are learnt one after another;
forgetting is that of Chaudhry et al. 2018 (arXiv:1801.10112).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


def average(matrix: Scores) -> float:
    """The mean of the last row: how good what is left in the end is, over all domains.

    Args:
        matrix: [domains, domains].
    """
    return float(_square(matrix)[-1].mean())


def backward(matrix: Scores) -> float:
    """How much learning later domains changed earlier ones; negative where they were forgotten. NaN for one domain."""
    final = _square(matrix)[-1, :-1]
    return float((final - matrix.diagonal()[:-1]).mean()) if len(final) else float("nan")


def forward(matrix: Scores, untrained: Scores) -> float:
    """How much earlier domains gave later ones before those were learnt. NaN for one domain.

    Args:
        matrix: [domains, domains].
        untrained: [domains] the scores of the model before it learnt anything.
    """
    before = _square(matrix).diagonal(offset=1)
    return float((before - np.asarray(untrained)[1:]).mean()) if len(before) else float("nan")


def forgetting(matrix: Scores) -> float:
    """How far the final scores lie under the best ones there were on the way, over all domains but the last."""
    if len(_square(matrix)) == 1:
        return float("nan")
    best = matrix[:-1, :-1].max(axis=0)
    return float((best - matrix[-1, :-1]).mean())


def _square(matrix: Scores) -> Scores:
    assert matrix.ndim == 2
    assert matrix.shape[0] == matrix.shape[1] > 0, matrix.shape
    return matrix
