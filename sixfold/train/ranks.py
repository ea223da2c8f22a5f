"""Which ranks AdaLoRA's updates keep as they learn (Zhang et al. 2023, arXiv:2303.10512).

A triplet is one rank of one matrix: λ, its column of P, its row of Q. The layers are in ``models/adapters``; here is
how important their triplets are, how many may stay, and the penalty that keeps P and Q orthogonal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sixfold.models.adapters.low_rank import AdaLoraLinear
from sixfold.train.events import Choice

KIND = "ranks"
"""Under which name its part of a saved state stands among the optimisers'."""
PENALTY = "orthogonality"
"""The name under which a step tells what the penalty adds to its loss."""


def adaptive(model: nn.Module) -> list[AdaLoraLinear]:
    """The layers of a model whose ranks are shared out."""
    return [layer for layer in model.modules() if isinstance(layer, AdaLoraLinear)]


def budget(step: int, steps: int, first: int, last: int, start: float, end: float) -> int:
    """b(t): triplets that may stay after a step, from ``first`` by a cubic to ``last``.

    Args:
        step: t, steps that are done.
        steps: T, of the whole run.
        first, last: b(0) and b(T).
        start, end: shares of the run between which it falls.
    """
    begins, ends = round(start * steps), round(end * steps)
    if step >= ends:
        return last
    if step < begins:
        return first
    return last + round((first - last) * (1 - (step - begins) / (ends - begins)) ** 3)


class Ranks:
    """The budget of one run's triplets, and the statistics that it is shared out by.

    Args:
        layers: of one model and with one adapter's settings.
        steps: of the whole run.
    """

    def __init__(self, layers: list[AdaLoraLinear], steps: int) -> None:
        self.layers = layers
        self.steps = steps
        self.step = 0
        self.settings: Any = layers[0].adapter
        self._sensitivity = [torch.zeros_like(weight) for weight in self._weights()]
        self._uncertainty = [torch.zeros_like(weight) for weight in self._weights()]
        self._kept = torch.ones(len(layers), self.settings.start_rank, dtype=torch.bool)

    @property
    def settled(self) -> bool:
        """Whether the budget has come down to what was asked for."""
        return self.step >= round(self.settings.end * self.steps)

    @property
    def choice(self) -> Choice:
        begins, ends = (round(share * self.steps) for share in (self.settings.start, self.settings.end))
        first, last = self._ends()
        return Choice(
            "ranks",
            last,
            f"of {first:,} in {len(self.layers)} matrices, taken away from step {begins:,} to {ends:,}; "
            "the best weights are looked for after that",
        )

    def penalty(self) -> Tensor:
        """γ R(P, Q), as a mean over the matrices (as the paper's code has it), so that γ is of no depth."""
        return self.settings.orthogonal * torch.stack([layer.penalty() for layer in self.layers]).mean()

    @torch.no_grad()
    def observe(self) -> None:
        """Take note of weights and gradients, before an optimiser changes either.

        I = |w ∇w|, Ī = β1 Ī + (1 - β1) I, Ū = β2 Ū + (1 - β2) |I - Ī|.
        """
        beta1, beta2 = self.settings.beta1, self.settings.beta2
        for weight, mean, spread in zip(self._weights(), self._sensitivity, self._uncertainty, strict=True):
            assert weight.grad is not None
            now = (weight * weight.grad).abs()
            mean.lerp_(now, 1 - beta1)
            spread.lerp_((now - mean).abs(), 1 - beta2)

    @torch.no_grad()
    def allocate(self) -> None:
        """After an optimiser's step: λ of the triplets that may not stay becomes 0.

        Every ``every`` steps the most important ones are chosen anew, of all matrices together; once the budget has
        come down, those that were chosen last stay to the end.
        """
        before, self.step = self.settled, self.step + 1
        if self.settled and before:
            self._cut()
        elif self.settled or self.step % self.settings.every == 0:
            self._choose(budget(self.step, self.steps, *self._ends(), self.settings.start, self.settings.end))
            self._cut()

    @torch.no_grad()
    def importance(self) -> Tensor:
        """[matrices, ranks] S = s(λ) + the means of s over its column of P and its row of Q, with s = Ī Ū."""
        scores = [mean * spread for mean, spread in zip(self._sensitivity, self._uncertainty, strict=True)]
        rows = [
            value[:, 0] + up.mean(dim=0) + down.mean(dim=1)
            for down, value, up in zip(scores[0::3], scores[1::3], scores[2::3], strict=True)
        ]
        return torch.stack(rows)

    def _choose(self, count: int) -> None:
        order = self.importance().flatten().argsort(descending=True, stable=True)
        kept = torch.zeros(self._kept.numel(), dtype=torch.bool)
        kept[order[:count].cpu()] = True
        self._kept = kept.view_as(self._kept)

    def _cut(self) -> None:
        for layer, kept in zip(self.layers, self._kept, strict=True):
            layer.lora_E.masked_fill_(~kept[:, None].to(layer.lora_E.device), 0.0)

    def _ends(self) -> tuple[int, int]:
        """b(0) and b(T)."""
        return len(self.layers) * self.settings.start_rank, len(self.layers) * self.settings.rank

    def _weights(self) -> list[nn.Parameter]:
        """Q, Λ, P of each layer in turn."""
        return [weight for layer in self.layers for weight in (layer.lora_A, layer.lora_E, layer.lora_B)]

    def state(self) -> dict[str, Tensor]:
        """As part of an optimisers' state, under such names."""
        found = {"0.kept": self._kept, "0.step": torch.tensor(self.step)}
        for number, (mean, spread) in enumerate(zip(self._sensitivity, self._uncertainty, strict=True)):
            found |= {f"{number}.sensitivity": mean, f"{number}.uncertainty": spread}
        return {f"{KIND}.{name}": value for name, value in found.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take what ``state`` gave."""
        self._kept, self.step = tensors[f"{KIND}.0.kept"], int(tensors[f"{KIND}.0.step"])
        for number, (mean, spread) in enumerate(zip(self._sensitivity, self._uncertainty, strict=True)):
            mean.copy_(tensors[f"{KIND}.{number}.sensitivity"])
            spread.copy_(tensors[f"{KIND}.{number}.uncertainty"])
