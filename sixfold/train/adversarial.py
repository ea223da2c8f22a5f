"""Adversarial training in embedding space: learning from word embeddings that are moved so as to raise the loss.

FGM (Miyato et al. 2017, arXiv:1605.07725), PGD (Madry et al. 2018, arXiv:1706.06083) and FreeLB (Zhu et al. 2020,
arXiv:1909.11764). A perturbation is one of a whole row: its norm and its bound are those of all tokens of a text
together, whatever is packed beside it.

Every pass over a micro-batch draws the same dropout. Zhu et al. (section 3.3) hold the mask because each mask is
another network: a step uphill for one is no such step for the next, and the perturbation would fit neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sixfold.models.forward import Flat
from sixfold.text.counting import counted
from sixfold.train import hotflip
from sixfold.train.config import AdversarialConfig, TrainConfig
from sixfold.train.embedding import mean_norm, unit, within
from sixfold.train.events import Choice
from sixfold.train.flops import TRAINING
from sixfold.train.passes import LossAt, Losses, held

EPSILON = 0.3
"""Of a mean embedding's norm: Miyato et al. take 5 where embeddings of 256 numbers of variance 1 have a norm of 16."""
STEPS = 3
REACH = 1.5
"""What the steps together are of epsilon: 1.3 and 1.75 in Madry et al., and 0.3 to 1 in the settings of FreeLB."""

_TOLD = {
    "fgm": "one step uphill; its end is learnt from, and the text itself",
    "pgd": "{} uphill from {}; their end is learnt from, and the text itself",
    "freelb": "{} from {}, all learnt from alike",
}


@dataclass(frozen=True)
class Adversary:
    """How a perturbation is looked for. Sizes are norms of a row's perturbation.

    Attributes:
        averaged: all passes are learnt from, at 1 / steps each (FreeLB); otherwise the text itself and the last.
        epsilon: the largest.
        steps: uphill; with ``averaged``, passes.
        step_size: of each.
        random: whether it starts at ``noise.uniform`` of size epsilon; otherwise at 0.
    """

    averaged: bool
    epsilon: float
    steps: int
    step_size: float
    random: bool

    def learn(self, loss_at: LossAt, flat: Flat, start: Tensor, parameters: Sequence[nn.Parameter]) -> Losses:
        """Add the gradients of a micro-batch's loss to the parameters.

        Args:
            start: [tokens, width] where the perturbation starts.
            parameters: what learns.
        """
        if self.averaged:
            return self._from_all(loss_at, start, flat.lengths)
        return self._from_the_last(loss_at, start, flat.lengths, parameters)

    def _from_all(self, loss_at: LossAt, start: Tensor, lengths: Sequence[int]) -> Losses:
        """Algorithm 1 of Zhu et al. 2020: the gradient that moves the perturbation comes free with the parameters'."""
        delta, losses = start, []
        for left in reversed(range(self.steps)):
            delta = delta.detach().requires_grad_(left > 0)
            loss = loss_at(delta) / self.steps
            loss.backward()
            losses.append(float(loss.detach()))
            if delta.grad is not None:
                delta = self._uphill(delta, delta.grad, lengths)
        return Losses(sum(losses), sum(losses[1:]))

    def _from_the_last(
        self, loss_at: LossAt, start: Tensor, lengths: Sequence[int], parameters: Sequence[nn.Parameter]
    ) -> Losses:
        """The loss on the text itself, and where the steps end. One step of epsilon from 0 is FGM.

        The first backward pass gives the parameters' gradient and that of a perturbation of 0. Passes in between
        need the perturbation's only, and compute no other.
        """
        zero = torch.zeros_like(start).requires_grad_(not self.random)
        first = loss_at(zero)
        first.backward()
        delta, slope = (start, None) if self.random else (zero, zero.grad)
        for _ in range(self.steps):
            if slope is None:
                delta = delta.detach().requires_grad_()
                with held(parameters):
                    (slope,) = torch.autograd.grad(loss_at(delta), delta)
            delta, slope = self._uphill(delta, slope, lengths), None
        last = loss_at(delta)
        last.backward()
        return Losses(float(first.detach()) + float(last.detach()), float(last.detach()))

    @torch.no_grad()
    def _uphill(self, delta: Tensor, slope: Tensor, lengths: Sequence[int]) -> Tensor:
        """One step along the gradient, each row by itself, and back into the ball."""
        return within(delta + self.step_size * unit(slope, lengths), lengths, self.epsilon)


def adversary(config: AdversarialConfig, table: nn.Module) -> tuple[Adversary, list[Choice]]:
    """The perturbations that the dials ask for, with sizes for one model.

    Args:
        table: the word embedding, before training. Sizes are shares of the mean norm of its rows, so that a recipe
            carries over from one model to another.
    """
    norm = mean_norm(table)
    epsilon = EPSILON if config.epsilon is None else config.epsilon
    single, averaged = config.method == "fgm", config.method == "freelb"
    steps = 1 if single else config.steps or STEPS
    size = config.step_size or (epsilon if single else REACH * epsilon / steps)
    start = config.start or ("random" if averaged else "zero")
    found = Adversary(averaged, epsilon * norm, steps, size * norm, start == "random")
    begin = "a random start" if found.random else "0"
    many = counted(steps, "pass", "passes") if averaged else counted(steps, "step")
    shares = f"× {norm:.3g}, the mean norm of a word embedding"
    choices = [
        Choice("adversarial training", config.method, _TOLD[config.method].format(many, begin)),
        Choice("largest perturbation", found.epsilon, f"{epsilon:g} {shares}"),
    ]
    if not single:
        choices.append(Choice("step of the perturbation", found.step_size, f"{size:.3g} {shares}"))
    return found, choices


def work(config: TrainConfig) -> int:
    """What a step costs, in forward passes: one is a forward pass, and one each of a backward pass's two halves.

    A frozen base needs no backward pass, but for the gradient of a perturbation.
    """
    plain = TRAINING if config.train_base else 1
    found, times = config.adversarial, 2 if config.r_drop else 1
    if found is None:
        return times * plain
    both = TRAINING if config.train_base else 2  # the parameters' gradients and the perturbation's
    steps = {"fgm": 1, "hotflip": found.steps or hotflip.STEPS}.get(found.method, found.steps or STEPS)
    if found.method == "freelb":
        return times * ((steps - 1) * both + plain)
    if found.start == "random":
        return times * (plain + 2 * steps + plain)
    return times * (both + 2 * (steps - 1) + plain)
