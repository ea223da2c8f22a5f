"""What the ways of adversarial training share: several passes over a micro-batch, all with the same dropout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn


class LossAt(Protocol):
    """The micro-batch's share of the step's loss."""

    def __call__(self, delta: Tensor | None, ids: Tensor | None = None) -> Tensor:
        """The loss of one pass.

        Args:
            delta: [tokens, width] on the word embeddings.
            ids: [tokens] tokens in place of the batch's own.
        """
        ...


@dataclass(frozen=True)
class Losses:
    """What the passes over a micro-batch came to; their gradients are in the parameters.

    Attributes:
        whole: what was learnt from.
        adversarial: the part of it that passes after the first add.
    """

    whole: float
    adversarial: float


@contextmanager
def held(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Without gradients of the parameters: a third of the work less, and nothing kept for them."""
    parameters = list(parameters)
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
