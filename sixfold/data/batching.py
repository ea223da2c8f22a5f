"""Which examples go into which batch: deterministic from (seed, epoch), with two integers of state.

A *step* is what one optimiser step learns from: a fixed number of examples drawn at random, so that every example
weighs the same and no step is all short or all long. Inside a step the examples are sorted by length and cut into
*micro-batches* that stay under a budget of padded tokens; since losses are summed over the step and divided once, the
cut changes memory and padding and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Ragged

Indices = NDArray[np.int64]


def cut_by_budget(lengths: NDArray[np.int64], budget: int, *, packed: bool = False) -> list[slice]:
    """Cut a run of examples, in the order given, into slices of at most ``budget`` tokens each.

    A packed slice costs its tokens; a padded one its longest example times its examples. An example longer than the
    budget is a slice of its own: it is never dropped.
    """
    slices: list[slice] = []
    start, longest, total = 0, 0, 0
    for index, length in enumerate(lengths.tolist()):
        longest, total = max(longest, length), total + length
        cost = total if packed else longest * (index + 1 - start)
        if index > start and cost > budget:
            slices.append(slice(start, index))
            start, longest, total = index, length, length
    if start < len(lengths):
        slices.append(slice(start, len(lengths)))
    return slices


def sorted_batches(lengths: NDArray[np.int64], budget: int, *, packed: bool = False) -> list[Indices]:
    """Every example once, longest first, cut into batches of at most ``budget`` tokens."""
    order = np.argsort(-lengths, kind="stable")
    return [order[where] for where in cut_by_budget(lengths[order], budget, packed=packed)]


def padded_tokens(lengths: NDArray[np.int64]) -> int:
    """Tokens that a padded batch of these lengths costs."""
    return int(lengths.max(initial=0)) * len(lengths)


@dataclass(frozen=True)
class Steps:
    """The steps of a training run.

    Attributes:
        lengths: [examples] tokens in each.
        rows: examples, or groups of them, in one optimiser step (the last step of an epoch may have fewer).
        budget: tokens in one micro-batch; bounds memory.
        seed: fixes the order of every epoch.
        packed: whether the model computes real tokens only.
        groups: examples that always go into the same step, one run of indices a group (``packing.best_fit``: then
            every step has about the same number of tokens). None: each example for itself.
    """

    lengths: NDArray[np.int64]
    rows: int
    budget: int
    seed: int
    packed: bool = False
    groups: Ragged | None = None

    def __post_init__(self) -> None:
        assert self.rows > 0
        assert self.budget > 0

    @property
    def units(self) -> int:
        """What an epoch goes through: examples, or groups of them."""
        return len(self.lengths) if self.groups is None else len(self.groups)

    @property
    def per_epoch(self) -> int:
        return -(-self.units // self.rows)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[list[Indices]]:
        """The steps of one epoch from step ``start`` on; each is a list of micro-batches of example indices."""
        order = np.random.default_rng((self.seed, epoch)).permutation(self.units)
        for step in range(start, self.per_epoch):
            units = order[step * self.rows : (step + 1) * self.rows]
            yield self.micro_batches(units if self.groups is None else self.groups.take(units).values)

    def micro_batches(self, rows: Indices) -> list[Indices]:
        return [rows[where] for where in sorted_batches(self.lengths[rows], self.budget, packed=self.packed)]
