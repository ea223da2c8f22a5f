"""Shapley values of a text's units: exact, over permutations, and by regression (Lundberg and Lee 2017).

By a hierarchy of the units: ``owen.py``. They sum up to what the whole text is worth more than the empty one.
"""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import NDArray

from sixfold.explain.game import Floats, Game, Weights
from sixfold.explain.lime import coalitions
from sixfold.explain.masking import Kept
from sixfold.score.driver import Search

SAMPLES = 500
EXACT = 10
"""Units up to which every coalition is asked about: 1,024."""


def shap(game: Game, rng: np.random.Generator, *, samples: int = SAMPLES) -> Search[Weights]:
    """Exact where all coalitions cost no more than the samples or are few, else over permutations."""
    if len(game) <= EXACT or 2 ** len(game) <= samples:
        return (yield from exact(game, rng))
    return (yield from permutation(game, rng, samples=samples))


def exact(game: Game, rng: np.random.Generator, *, samples: int = 0) -> Search[Weights]:
    """By every coalition there is."""
    values = yield from game.values(coalitions(len(game)))
    return Weights(shapley(values, len(game)), _sides(values[0], values[-1]))


def shapley(values: Floats, units: int) -> Floats:
    """[units] from what each coalition is worth, [2^units], in the order of ``coalitions`` (Shapley 1953)."""
    numbers = np.arange(2**units)
    sizes = coalitions(units).sum(axis=1)
    shares = np.array([1 / (units * comb(units - 1, size)) for size in range(units)])
    found = np.zeros(units)
    for unit in range(units):
        without = numbers[(numbers >> unit) % 2 == 0]
        found[unit] = shares[sizes[without]] @ (values[without + 2**unit] - values[without])
    return found


def permutation(game: Game, rng: np.random.Generator, *, samples: int = SAMPLES) -> Search[Weights]:
    """The mean gain of a unit as units come one by one in random orders, each order also backwards.

    Two orders cost twice the units; there are as many as the samples allow, and two at least.
    """
    pairs = max(1, samples // (2 * len(game)))
    forth = rng.random((pairs, len(game))).argsort(axis=1)
    orders = np.concatenate([forth, forth[:, ::-1]])
    values = yield from game.values(arrivals(orders).reshape(-1, len(game)))
    gains = of_orders(orders, values.reshape(len(orders), -1))
    both = (gains[:pairs] + gains[pairs:]) / 2
    details = _sides(values[0], values[len(game)])
    if pairs > 1:
        details["standard_error"] = float((both.std(axis=0, ddof=1) / np.sqrt(pairs)).mean())
    return Weights(both.mean(axis=0), details)


def arrivals(orders: NDArray[np.int64]) -> Kept:
    """[orders, units + 1, units] who is there after none, one, ... all have come."""
    place = orders.argsort(axis=1)
    return place[:, None, :] < np.arange(orders.shape[1] + 1)[:, None]


def of_orders(orders: NDArray[np.int64], values: Floats) -> Floats:
    """[orders, units] each unit's gain in each order, from what was there after each came, [orders, units + 1]."""
    gains = np.empty(orders.shape)
    np.put_along_axis(gains, orders, np.diff(values, axis=1), axis=1)
    return gains


def kernel_shap(game: Game, rng: np.random.Generator, *, samples: int = SAMPLES) -> Search[Weights]:
    """The regression whose solution is the Shapley values, on coalitions drawn by its kernel, each with its complement.

    Where all coalitions are fewer than the samples it is solved exactly.
    """
    count = len(game)
    if 2**count <= samples:
        kept = coalitions(count)
        sizes = kept.sum(axis=1)
        inside = (sizes > 0) & (sizes < count)
        kept = np.concatenate([kept[:1], kept[-1:], kept[inside]])
        weights = np.array([(count - 1) / (comb(count, s) * s * (count - s)) for s in sizes[inside].tolist()])
    else:
        drawn = kernel_sample(count, max(count, samples // 2 - 1), rng)
        kept = np.concatenate([np.zeros((1, count), np.bool_), np.ones((1, count), np.bool_), drawn, ~drawn])
        weights = np.ones(2 * len(drawn))
    values = yield from game.values(kept)
    found = constrained(kept[2:], values[2:] - values[0], weights, float(values[1] - values[0]))
    return Weights(found, _sides(values[0], values[1]))


def kernel_sample(units: int, samples: int, rng: np.random.Generator) -> Kept:
    """[samples, units] coalitions, neither empty nor whole, as likely as the kernel weighs them."""
    sizes = np.arange(1, units)
    shares = 1 / (sizes * (units - sizes))
    size = rng.choice(sizes, samples, p=shares / shares.sum())
    ranks = rng.random((samples, units)).argsort(axis=1).argsort(axis=1)
    return ranks < size[:, None]


def constrained(kept: Kept, gains: Floats, weights: Floats, total: float) -> Floats:
    """[units] the weighted least squares whose solution sums up to ``total``.

    Args:
        gains: [coalitions] what each is worth more than the empty one.
    """
    units = kept.shape[1]
    if units == 1:
        return np.array([total])
    x = kept.astype(np.float64)
    scaled = x * weights[:, None]
    square = scaled.T @ x
    inverse = np.linalg.pinv(square, hermitian=True)
    free, ones = inverse @ (scaled.T @ gains), inverse.sum(axis=1)
    if abs(ones.sum()) < 1e-12:
        return free + (total - free.sum()) / units
    return free + ones * (total - free.sum()) / ones.sum()


def _sides(empty: float, whole: float) -> dict[str, float]:
    return {"empty": float(empty), "whole": float(whole)}
