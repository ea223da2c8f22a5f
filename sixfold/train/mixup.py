"""Mixup of texts: Zhang et al. 2018 (arXiv:1710.09412), for sentences Guo et al. 2019 (arXiv:1905.08941, senMixup).

Two texts are mixed where each has become one vector, before the last layer. That layer is linear, so mixing its
outputs is the same. Mixing word by word would pair words that have nothing in common but their place, and texts of
unequal length have no such pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from sixfold.errors import UsageError
from sixfold.tasks.contract import Batch, Task, Term


@runtime_checkable
class MixableTask(Task, Protocol):
    """A task with one line of logits a row, straight from the model's last layer, and targets by row."""

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """[rows, classes]"""
        ...

    def judged(self, logits: Tensor, batch: Batch) -> dict[str, Term]:
        """The loss of logits against the batch's targets. Every tensor of the batch is one of rows."""
        ...


@dataclass(frozen=True)
class Mix:
    """How the rows of a micro-batch are mixed.

    Attributes:
        share: of a row itself; the rest is its partner's.
        partner: [rows] the row that each one is mixed with, a permutation.
    """

    share: float
    partner: Tensor

    @classmethod
    def drawn(cls, rng: np.random.Generator, alpha: float, rows: int, device: torch.device) -> Mix:
        """One share for all rows, from Beta(alpha, alpha), as in the authors' code: so counts stay what they are."""
        share = float(rng.beta(alpha, alpha))
        return cls(share, torch.from_numpy(rng.permutation(rows)).to(device))


def refuse(task: Task) -> MixableTask:
    """The task, as one that can be mixed. Raises UsageError for any other."""
    if isinstance(task, MixableTask):
        return task
    raise UsageError(
        f"mixup mixes whole texts and their labels, and {task.name} has no label a text",
        where="train.mixup",
        hint="leave it out: it is for text_classification",
    )


def mixed(task: MixableTask, model: nn.Module, batch: Batch, mix: Mix) -> dict[str, Term]:
    """The loss of mixed rows against the labels of both, by their shares."""
    logits = task.logits(model, batch)
    logits = mix.share * logits + (1 - mix.share) * logits[mix.partner]
    others = {name: value[mix.partner] if isinstance(value, Tensor) else value for name, value in batch.items()}
    own, other = task.judged(logits, batch), task.judged(logits, others)
    return {
        name: Term(mix.share * term.sum + (1 - mix.share) * other[name].sum, term.count, term.weight)
        for name, term in own.items()
    }
