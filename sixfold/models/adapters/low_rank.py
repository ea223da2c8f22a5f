"""Frozen linear layers with a low-rank update that learns.

The layers are our own: their whole work is thin products, and nothing is computed for the frozen matrix but its own.
The names of their weights are those of ``peft``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from sixfold.models.adapters.kinds import AdaLora, Lora

Shapes = dict[str, tuple[int, ...]]


class LoraLinear(nn.Module):
    """A frozen linear layer with an update: x W' + scale (x A') B'."""

    def __init__(self, base: nn.Linear, adapter: Lora, random: torch.Generator) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = adapter.alpha / adapter.rank
        self.rank = adapter.rank
        bound = 1 / math.sqrt(base.in_features)  # kaiming_uniform(a=sqrt(5)), as in the paper's code
        down = torch.empty(adapter.rank, base.in_features).uniform_(-bound, bound, generator=random)
        self.lora_A = nn.Linear(base.in_features, adapter.rank, bias=False)
        self.lora_B = nn.Linear(adapter.rank, base.out_features, bias=False)
        with torch.no_grad():
            self.lora_A.weight.copy_(down)
            self.lora_B.weight.zero_()
        self.lora_A.to(base.weight)
        self.lora_B.to(base.weight)

    @staticmethod
    def shapes(base: nn.Linear, adapter: Lora) -> Shapes:
        """Of the weights that learn, by their names in this layer."""
        return {
            "lora_A.weight": (adapter.rank, base.in_features),
            "lora_B.weight": (base.out_features, adapter.rank),
        }

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.scale * self.lora_B(self.lora_A(x))

    def merged(self) -> nn.Linear:
        """The plain layer that computes the same."""
        with torch.no_grad():
            self.base.weight += self.scale * (self.lora_B.weight @ self.lora_A.weight).to(self.base.weight.dtype)
        return self.base


class AdaLoraLinear(nn.Module):
    """A frozen linear layer with an update in the form of a singular value decomposition: x W' + scale (x Q' Λ) P'.

    Attributes:
        lora_A: Q, [rank, in].
        lora_E: the diagonal of Λ, [rank, 1]; a rank that was taken away is 0.
        lora_B: P, [out, rank].
    """

    def __init__(self, base: nn.Linear, adapter: AdaLora, random: torch.Generator) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.adapter = adapter
        self.scale = adapter.alpha / adapter.start_rank
        made = {name: torch.empty(*shape) for name, shape in self.shapes(base, adapter).items()}
        for name in ("lora_A", "lora_B"):
            made[name].normal_(0, 0.02, generator=random)  # as in the paper's code
        made["lora_E"].zero_()
        self.lora_A, self.lora_E, self.lora_B = (
            nn.Parameter(made[name].to(base.weight)) for name in ("lora_A", "lora_E", "lora_B")
        )

    @staticmethod
    def shapes(base: nn.Linear, adapter: AdaLora) -> Shapes:
        """Of the weights that learn, by their names in this layer."""
        rank = adapter.start_rank
        return {"lora_A": (rank, base.in_features), "lora_E": (rank, 1), "lora_B": (base.out_features, rank)}

    @property
    def rank(self) -> int:
        """Ranks that are left."""
        return int(self.lora_E.count_nonzero())

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.scale * linear(linear(x, self.lora_A) * self.lora_E[:, 0], self.lora_B)

    def penalty(self) -> Tensor:
        """R(P, Q) = |P'P - I|² + |QQ' - I|², in Frobenius' norm."""
        one = torch.eye(len(self.lora_E), dtype=self.lora_A.dtype, device=self.lora_A.device)
        return (self.lora_B.t() @ self.lora_B - one).square().sum() + (
            self.lora_A @ self.lora_A.t() - one
        ).square().sum()

    def merged(self) -> nn.Linear:
        """The plain layer that computes the same."""
        with torch.no_grad():
            update = self.lora_B @ (self.lora_E * self.lora_A)
            self.base.weight += self.scale * update.to(self.base.weight.dtype)
        return self.base
