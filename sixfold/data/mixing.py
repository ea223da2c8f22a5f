"""How many rows of each domain a mixture draws, and which."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sixfold.errors import UsageError


def shares(sizes: Mapping[str, int], temperature: float) -> dict[str, float]:
    """The share of each domain: in proportion to size ** (1 / temperature) (Devlin 2018, mBERT; arXiv:1907.05019).

    Args:
        sizes: rows of each domain.
        temperature: 1 takes domains as they are, a higher one brings small ones up; infinite makes all alike.

    Raises:
        UsageError: a temperature under 1, at which small domains would starve.
    """
    if not temperature >= 1:
        raise UsageError("the temperature of a mixture is at least 1: under it small domains starve", found=temperature)
    weights = {name: size ** (1 / temperature) for name, size in sizes.items()}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def mixture(sizes: Mapping[str, int], temperature: float, seed: int) -> dict[str, list[int]]:
    """Places of the rows that each domain gives, as many in all as there are rows.

    A domain that gives more than it has gives every row equally often, give or take one; at temperature 1 each row
    comes once. Every domain gives at least one row.

    Args:
        sizes: rows of each domain, at least one.
        temperature: as for ``shares``.
        seed: which rows of a domain that does not give all, or give some again.
    """
    assert all(size > 0 for size in sizes.values()), "a domain without rows"
    total = sum(sizes.values())
    random = np.random.default_rng(seed % 2**64)
    found = {}
    for name, count in _rounded(shares(sizes, temperature), total).items():
        whole, rest = divmod(count, sizes[name])
        some = sorted(random.permutation(sizes[name])[:rest].tolist())
        found[name] = list(range(sizes[name])) * whole + some
    return found


def _rounded(wanted: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers in these shares that sum to the total, each at least 1 (largest remainders first)."""
    exact = {name: share * total for name, share in wanted.items()}
    counts = {name: max(1, int(value)) for name, value in exact.items()}
    order = sorted(exact, key=lambda name: exact[name] - int(exact[name]), reverse=True)
    place = 0
    while (rest := total - sum(counts.values())) != 0:
        name = order[place % len(order)] if rest > 0 else max(counts, key=lambda one: counts[one])
        counts[name] += 1 if rest > 0 else -1
        place += 1
    return counts
