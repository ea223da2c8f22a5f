"""Muon (Jordan 2024, https://kellerjordan.github.io/posts/muon/): the momentum of a hidden matrix, made orthogonal.

``torch.optim.Muon`` computes the same. It always multiplies in bf16, which a processor without it does fifteen times
slower than fp32; it takes matrices one by one, which costs small ones most of their time; and it takes projections
that a model keeps in one matrix for one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.95
STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Jordan's: the steepest at 0, so that five steps bring nearly all singular values to between 0.7 and 1.2."""

ADAMW_RMS = 0.2
"""Root mean square of AdamW's usual update (Liu et al. 2025, arXiv:2502.16982, section 2.2)."""

STACKED = 2**22
"""Numbers that are made orthogonal at once: 16 MB of fp32."""


def orthogonal(stack: Tensor) -> Tensor:
    """[matrices, rows, columns] each matrix's U S V' with S near 1, by the Newton-Schulz iteration."""
    if stack.shape[1] > stack.shape[2]:
        return orthogonal(stack.mT).mT
    a, b, c = COEFFICIENTS
    x = stack / stack.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def matched(columns: int) -> float:
    """Muon's rate, in AdamW's, at which a step of Muon's is as large as AdamW's (Liu et al. 2025).

    An orthogonal matrix has a root mean square of 1/√max(rows, columns); ``Muon`` scales a tall one by √(rows/columns).
    """
    return ADAMW_RMS * columns**0.5


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose matrix is made orthogonal, with decoupled weight decay.

    The rate is the step's singular values, times √(rows/columns) where there are more rows: so the same rate serves
    every width (Jordan 2024).

    Args:
        groups: of matrices, each with ``lr``, ``weight_decay`` and ``parts``: how many projections stand on top of
            each other in every matrix of the group. Each is made orthogonal by itself.
        dtype: what the iteration multiplies in.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, dtype: torch.dtype) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0, "parts": 1})
        self.dtype = dtype

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no loss is computed again here
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                direction = self._direction(parameter)
                for part in zip(*(whole.chunk(group["parts"]) for whole in (parameter, direction)), strict=True):
                    by_shape.setdefault(part[0].shape, []).append(part)
            for shape, pairs in by_shape.items():
                at_once = max(1, STACKED // shape.numel())
                for start in range(0, len(pairs), at_once):
                    self._move(pairs[start : start + at_once], group["lr"], group["weight_decay"])

    def _direction(self, parameter: Tensor) -> Tensor:
        """Nesterov's momentum."""
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        return gradient.lerp(momentum, MOMENTUM)

    def _move(self, pairs: list[tuple[Tensor, Tensor]], rate: float, decay: float) -> None:
        updates = orthogonal(torch.stack([direction for _, direction in pairs]).to(self.dtype))
        rows, columns = updates.shape[1:]
        scale = rate * max(1.0, rows / columns) ** 0.5
        for (matrix, _), update in zip(pairs, updates, strict=True):
            matrix.mul_(1 - rate * decay).add_(update, alpha=-scale)
