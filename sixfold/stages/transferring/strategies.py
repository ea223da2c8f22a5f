"""Which trainings each strategy is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sixfold.data.mixing import mixture
from sixfold.stages.transferring.config import Config, Strategy
from sixfold.stages.transferring.domains import Domains

ALL = "all domains"
"""The row of a matrix that all domains were learnt for."""


@dataclass(frozen=True)
class Part:
    """One training, a row of its strategy's matrix.

    Attributes:
        row: the domain that it ends with, or ``ALL``.
        places: by domain, which of its training rows are learnt; None for each once.
        after: the part whose model it goes on from; None for the base.
        adapter: whether an adapter learns in place of the model.
    """

    strategy: Strategy
    row: str
    places: Mapping[str, list[int] | None]
    after: Part | None = None
    adapter: bool = False

    @property
    def name(self) -> str:
        """Names its folder."""
        return f"{self.strategy}-{'all' if self.row == ALL else self.row}"


def parts(config: Config, domains: Domains, seed: int) -> list[Part]:
    """Every training of the recipe, each after those that it needs."""
    names = [domain.name for domain in domains.learnt]
    sizes = {domain.name: len(domain.rows["train"]) for domain in domains.learnt}
    mixed = Part("mixture", ALL, mixture(sizes, config.temperature, seed) if len(names) > 1 else {})
    found: list[Part] = []
    for strategy in sorted(config.strategies, key=_order):
        if strategy == "separate":
            found += [Part(strategy, name, {name: None}) for name in names]
        elif strategy == "mixture":
            found.append(mixed)
        elif strategy == "adapters":
            found += [Part(strategy, name, {name: None}, adapter=True) for name in names]
        elif strategy == "shared_adapters":
            if mixed not in found:
                found.append(mixed)
            found += [Part(strategy, name, {name: None}, after=mixed, adapter=True) for name in names]
        else:
            found += _sequential(names, sizes, config.replay, seed)
    return found


def _order(strategy: Strategy) -> int:
    """The mixture comes before what goes on from it."""
    return ("separate", "sequential", "mixture", "adapters", "shared_adapters").index(strategy)


def _sequential(names: list[str], sizes: Mapping[str, int], replay: float, seed: int) -> list[Part]:
    """One domain after another; of those before, a share is learnt again, at least a row each (Rebuffi et al. 2017)."""
    found: list[Part] = []
    for place, name in enumerate(names):
        again = {before: replayed(sizes[before], replay, seed + place) for before in names[:place]}
        found.append(Part("sequential", name, {**again, name: None}, after=found[-1] if found else None))
    return found


def replayed(size: int, share: float, seed: int) -> list[int]:
    """Places of the rows that are learnt again: a share, at least one."""
    count = max(1, round(share * size))
    return sorted(np.random.default_rng(seed % 2**64).permutation(size)[:count].tolist())
