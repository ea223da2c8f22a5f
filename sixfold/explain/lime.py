"""LIME: a linear model of what the model does near one text (Ribeiro et al. 2016, arXiv:1602.04938).

The sample, the kernel and the ridge are those of the package ``lime`` for texts, so that both give the same weights for
the same copies. Where a text is so short that all its copies are fewer than the sample, each is asked about once and
weighed by how often it would be drawn: the weights of an endless sample, without its noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np

from sixfold.explain.game import Floats, Game, Weights
from sixfold.explain.masking import Kept
from sixfold.score.driver import Search

SAMPLES = 1_000
WIDTH = 25.0
"""Of the kernel, for distances of 0 to 100."""
RIDGE = 1.0


def lime(game: Game, rng: np.random.Generator, *, samples: int = SAMPLES) -> Search[Weights]:
    """Weights of a ridge regression on copies with random units missing, near copies counting more."""
    if 2 ** len(game) <= samples:
        kept, often = every_copy(len(game), samples)
    else:
        kept, often = sample(len(game), samples, rng), np.ones(samples)
    values = yield from game.values(kept)
    fitted = ridge(kept, values, often * kernel(kept))
    return Weights(fitted.weights, {"r2": fitted.r2, "intercept": fitted.intercept})


def sample(units: int, samples: int, rng: np.random.Generator) -> Kept:
    """[samples, units] the whole text, and copies with 1 to all units missing, each number as likely as another."""
    missing = rng.integers(1, units + 1, samples - 1)
    ranks = rng.random((samples - 1, units)).argsort(axis=1).argsort(axis=1)
    return np.concatenate([np.ones((1, units), dtype=np.bool_), ranks >= missing[:, None]])


def every_copy(units: int, samples: int) -> tuple[Kept, Floats]:
    """All copies [2^units, units], and how often each is drawn in so many samples, in expectation."""
    kept = coalitions(units)
    missing = units - kept.sum(axis=1)
    share = np.array([1 / (units * comb(units, size)) if size else 0.0 for size in range(units + 1)])
    often = (samples - 1) * share[missing]
    often[missing == 0] = 1.0
    return kept, often


def coalitions(units: int) -> Kept:
    """[2^units, units] row number k keeps the units whose bits are set in k."""
    return (np.arange(2**units)[:, None] >> np.arange(units)) % 2 == 1


def kernel(kept: Kept) -> Floats:
    """[copies] how near each copy is to the text: by the angle between them, as ``lime`` measures it."""
    cosine = np.sqrt(kept.mean(axis=1))
    distance = np.where(kept.any(axis=1), 1 - cosine, 1.0) * 100
    return np.sqrt(np.exp(-((distance / WIDTH) ** 2)))


@dataclass(frozen=True)
class Fitted:
    """A weighted ridge: [units] weights, the intercept, and the share of variance that it explains."""

    weights: Floats
    intercept: float
    r2: float


def ridge(kept: Kept, values: Floats, weights: Floats, strength: float = RIDGE) -> Fitted:
    """The ridge in closed form; the intercept is not held small.

    Args:
        kept: [copies, units]
        weights: [copies] how much each counts.
    """
    x, total = kept.astype(np.float64), weights.sum()
    middle, level = weights @ x / total, float(weights @ values / total)
    centred = x - middle
    scaled = centred * weights[:, None]
    found = np.linalg.solve(scaled.T @ centred + strength * np.eye(x.shape[1]), scaled.T @ (values - level))
    rest, spread = values - level - centred @ found, values - level
    total_spread = float(weights @ spread**2)
    r2 = 1 - float(weights @ rest**2) / total_spread if total_spread > 0 else 1.0
    return Fitted(found, level - float(middle @ found), r2)
