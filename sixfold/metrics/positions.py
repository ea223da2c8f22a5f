"""Loss by position: whether a language model says a text as well far from its beginning as near it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sixfold.metrics.intervals import bootstrap, patterns
from sixfold.metrics.value import Metric

ENDS = tuple(64 * 2**power for power in range(16))
"""Last position of each stretch, counted from 1: 1 to 64, 65 to 128, and so on, each as long as all before it."""


@dataclass(frozen=True)
class Stretch:
    """The loss at some positions of the texts.

    Attributes:
        first, last: positions, counted from 1 in what the model reads at once.
        loss: in nats a target, with an interval over documents; its count is of targets.
    """

    first: int
    last: int
    loss: Metric

    def to_dict(self) -> dict[str, Any]:
        return {"first": self.first, "last": self.last, "loss": self.loss.to_dict()}


def by_position(nats: NDArray[np.float64], targets: NDArray[np.int64], *, seed: int) -> list[Stretch]:
    """The loss of each stretch that has targets.

    Args:
        nats: [documents, stretches] -log probability, summed over a document's targets there.
        targets: [documents, stretches] how many targets that was.
    """
    there = np.flatnonzero(targets.sum(axis=0)) if len(targets) else np.zeros(0, dtype=np.int64)
    if not len(there):
        return []
    count = len(there)
    distinct, counts = patterns(np.hstack([nats[:, there], targets[:, there].astype(np.float64)]))

    def statistic(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        losses, asked = sums[:, :count], sums[:, count:]
        return np.where(asked > 0, losses / np.maximum(asked, 1), np.nan)

    found = bootstrap(distinct, counts, statistic, seed=seed)
    return [
        Stretch(
            1 if stretch == 0 else ENDS[stretch - 1] + 1,
            ENDS[stretch],
            found.metric(place, "loss", int(targets[:, stretch].sum()), percent=False),
        )
        for place, stretch in enumerate(there.tolist())
    ]
