"""Adding to the output of a model's word embedding, and measuring by row what is added.

What is added is [tokens, width], in the order of a flat batch's tokens. Tokens that belong to no row (those that fill
up a packed batch, and those behind the shorter rows of a padded one) stay as they are. The special tokens around a
text are tokens of its row like any other, as in the code of the papers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


class Added:
    """What is added to the output of ``table``, for the length of a ``with``, until ``release``."""

    def __init__(self, table: nn.Module) -> None:
        self._now: tuple[Tensor, Sequence[int]] | None = None
        self._handle = table.register_forward_hook(self._hook)

    @contextmanager
    def of(self, added: Tensor | None, lengths: Sequence[int]) -> Iterator[None]:
        """With ``added`` [tokens, width] on rows of these lengths; None adds nothing."""
        self._now = None if added is None else (added, lengths)
        try:
            yield
        finally:
            self._now = None

    def _hook(self, table: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if self._now is None:
            return None
        added, lengths = self._now
        return output + laid_out(added, lengths, (output.shape[0], output.shape[1]))

    def release(self) -> None:
        self._handle.remove()


def laid_out(added: Tensor, lengths: Sequence[int], shape: tuple[int, int]) -> Tensor:
    """[*shape, width] the tokens [tokens, width] where the model has them, and zeros elsewhere.

    Args:
        shape: (1, tokens and what fills them up) of a packed batch, (rows, longest) of a padded one.
    """
    rows, places = shape
    if rows == 1:
        return pad(added, (0, 0, 0, places - len(added)))[None]
    assert shape == (len(lengths), max(lengths)), f"{shape} is no batch of {lengths}"
    real = torch.arange(places)[None] < torch.tensor(lengths)[:, None]
    out = added.new_zeros(rows, places, added.shape[-1])
    out[real.to(added.device)] = added
    return out


def mean_norm(table: nn.Module) -> float:
    """Of the rows of a word embedding: what sizes of perturbations are shares of."""
    return float(table.weight.detach().float().norm(dim=-1).mean())  # type: ignore[operator]


def row_of_tokens(lengths: Sequence[int], device: torch.device) -> Tensor:
    """[tokens] the row that each token belongs to."""
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)).to(device)


def row_norms(x: Tensor, lengths: Sequence[int]) -> Tensor:
    """[rows] the Euclidean norm of all numbers of a row, from [tokens, width]."""
    squares = x.square().sum(-1)
    sums = squares.new_zeros(len(lengths))
    return sums.index_add_(0, row_of_tokens(lengths, x.device), squares).sqrt()


def unit(x: Tensor, lengths: Sequence[int]) -> Tensor:
    """[tokens, width] with each row scaled to norm 1; a row of zeros stays one."""
    norms = row_norms(x, lengths)
    return _scaled(x, torch.where(norms > 0, 1 / norms, 0.0), lengths)


def within(x: Tensor, lengths: Sequence[int], radius: float) -> Tensor:
    """[tokens, width] with each row whose norm is above ``radius`` scaled down to it."""
    return _scaled(x, (radius / row_norms(x, lengths)).clamp(max=1.0), lengths)


def _scaled(x: Tensor, factors: Tensor, lengths: Sequence[int]) -> Tensor:
    return x * factors[row_of_tokens(lengths, x.device)][:, None]
