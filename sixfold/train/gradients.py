"""The gradients of a step, one micro-batch after the other, with what the dials add to a task's own loss.

R-Drop, adversarial training, noise and mixup change what is computed of a micro-batch, and nothing about the step:
losses are summed over it and divided once, so that cutting it otherwise changes nothing. What they draw follows from
the step's position, row after row, for the same reason. (Mixup alone pairs the rows of one micro-batch.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sixfold.errors import UsageError
from sixfold.tasks.contract import Batch, Task, Term, WholeBatchTask
from sixfold.train import mixup
from sixfold.train import state as states
from sixfold.train.adversarial import Adversary, adversary
from sixfold.train.config import TrainConfig
from sixfold.train.embedding import Added
from sixfold.train.events import Choice
from sixfold.train.hotflip import HotFlip, hotflip
from sixfold.train.noise import uniform
from sixfold.train.r_drop import joined
from sixfold.train.swaps import Swaps

Position = tuple[int, int, int]
"""Seed, epoch, and step in the epoch: what a step's random numbers follow from."""

Means = dict[str, float]
"""By name of a term: what a part of a step adds to its mean over the whole step's targets."""

ADVERSARIAL = "adversarial"
"""The name under which a step tells what passes on perturbed embeddings add to its loss."""


def draws(position: Position, purpose: str) -> np.random.Generator:
    """A step's random numbers for one purpose, apart from those for any other."""
    return np.random.default_rng((*position, *purpose.encode()))


def divided(terms: Mapping[str, Term], totals: Mapping[str, float]) -> Tensor:
    """The step's share of the loss that these terms are: each sum over the whole step's count."""
    return torch.stack([term.weight * term.sum / (totals[name] or 1.0) for name, term in terms.items()]).sum()


def terms_of(task: Task, model: nn.Module, batch: Batch, r_drop: float) -> dict[str, Term]:
    terms = task.loss(model, batch)
    return joined(terms, task.loss(model, batch), r_drop) if r_drop else terms


def refuse(task: Task, config: TrainConfig) -> None:
    """Raises UsageError for dials that the task cannot take."""
    changed = [key for key in ("adversarial", "noise", "mixup", "r_drop") if getattr(config, key)]
    if changed and isinstance(task, WholeBatchTask):
        raise UsageError(
            f"{task.name} compares all rows of a step, and does not go together with {' and '.join(changed)}",
            where=f"train.{changed[0]}",
            hint="leave it out",
        )
    if config.mixup:
        mixup.refuse(task)


@dataclass(frozen=True)
class _Drawn:
    """What is drawn for one micro-batch.

    Attributes:
        noise: [tokens, width] on its word embeddings; None for none.
        start: [tokens, width] where a perturbation starts.
        mix: how its rows are mixed.
    """

    noise: Tensor | None
    start: Tensor | None
    mix: mixup.Mix | None


class Gradients:
    """The gradients of a model in one process, until ``release``."""

    def __init__(
        self,
        model: Any,
        task: Task,
        config: TrainConfig,
        parameters: Sequence[nn.Parameter],
        swaps: Swaps | None = None,
    ) -> None:
        """Of the parameters that learn. The dials must fit the task (``refuse``); hotflip needs ``swaps``."""
        self.model = model
        self.task = task
        self.config = config
        self.parameters = parameters
        self.choices: list[Choice] = []
        self._adversary: Adversary | HotFlip | None = None
        table = model.get_input_embeddings()
        if config.exchanges_words:
            assert config.adversarial is not None
            assert swaps is not None, "hotflip needs words that may stand for others"
            self._adversary, self.choices = hotflip(config.adversarial, table, swaps)
        elif config.adversarial is not None:
            self._adversary, self.choices = adversary(config.adversarial, table)
        self._width = int(table.weight.shape[-1])
        self._added = Added(table)

    def release(self) -> None:
        """Leave the model as it was found."""
        self._added.release()

    def add(self, batches: Sequence[Batch], position: Position) -> tuple[float, Means]:
        """Add the gradients of a step's loss to the parameters.

        Gives the loss and each term's mean over the step's targets. With adversarial training the terms are those of
        the first pass over each micro-batch, and ``ADVERSARIAL`` is what the other passes add to the loss.
        """
        if isinstance(self.task, WholeBatchTask):
            return _cached(self.task, self.model, batches)
        totals: Means = {}
        for batch in batches:
            for name, count in self.task.counts(batch).items():
                totals[name] = totals.get(name, 0.0) + count
        rngs = {purpose: draws(position, purpose) for purpose in ("noise", "start", "mixup")}
        loss, means = 0.0, dict.fromkeys(totals, 0.0)
        for batch in batches:
            part, found = self._learn(batch, self._drawn(batch, rngs), totals)
            loss += part
            for name, mean in found.items():
                means[name] = means.get(name, 0.0) + mean
        return loss, means

    def _drawn(self, batch: Batch, rngs: Mapping[str, np.random.Generator]) -> _Drawn:
        flat, found = batch["flat"], self._adversary
        device = flat.input_ids.device

        def noise(purpose: str, size: float) -> Tensor:
            return uniform(rngs[purpose], flat.lengths, self._width, size).to(device)

        start = torch.zeros(len(flat.input_ids), self._width, device=device) if found is not None else None
        if isinstance(found, Adversary) and found.random:
            start = noise("start", found.epsilon)
        alpha = self.config.mixup
        return _Drawn(
            noise("noise", self.config.noise) if self.config.noise else None,
            start,
            mixup.Mix.drawn(rngs["mixup"], alpha, len(flat.lengths), device) if alpha else None,
        )

    def _learn(self, batch: Batch, drawn: _Drawn, totals: Means) -> tuple[float, Means]:
        """Add the gradients of a micro-batch; gives what it adds to the step's loss and means."""
        told: Means = {}
        rng = states.rng_state() if self._adversary is not None else {}

        def loss_at(delta: Tensor | None, ids: Tensor | None = None) -> Tensor:
            if rng:
                states.restore_rng(rng)  # the same dropout in every pass
            read = batch if ids is None else {**batch, "flat": replace(batch["flat"], input_ids=ids)}
            terms = self._terms(read, drawn, delta)
            if not told:
                told.update({name: float(term.sum.detach()) / (totals[name] or 1.0) for name, term in terms.items()})
            return divided(terms, totals)

        if self._adversary is None:
            part = loss_at(None)
            part.backward()
            return float(part.detach()), told
        assert drawn.start is not None
        losses = self._adversary.learn(loss_at, batch["flat"], drawn.start, self.parameters)
        return losses.whole, {**told, ADVERSARIAL: losses.adversarial}

    def _terms(self, batch: Batch, drawn: _Drawn, delta: Tensor | None) -> dict[str, Term]:
        """One pass, with noise and a perturbation on the word embeddings."""
        added = drawn.noise if delta is None else delta if drawn.noise is None else drawn.noise + delta
        with self._added.of(added, batch["flat"].lengths):
            if drawn.mix is not None:
                return mixup.mixed(mixup.refuse(self.task), self.model, batch, drawn.mix)
            return terms_of(self.task, self.model, batch, self.config.r_drop)


def _cached(task: WholeBatchTask, model: nn.Module, batches: Sequence[Batch]) -> tuple[float, Means]:
    """Gradient caching (Gao et al. 2021, arXiv:2101.06983): a loss over all rows at the memory of one micro-batch.

    The second pass must draw the same dropout as the first, so the generator is put back before each micro-batch.
    """
    rngs, parts = [], []
    with torch.no_grad():
        for batch in batches:
            rngs.append(states.rng_state())
            parts.append(task.represent(model, batch))
    whole = torch.cat(parts).requires_grad_()
    terms = task.loss_of(whole, batches)
    loss = divided(terms, {name: term.count for name, term in terms.items()})
    loss.backward()
    assert whole.grad is not None
    after = states.rng_state()
    for batch, rng, gradient in zip(batches, rngs, whole.grad.split([len(part) for part in parts]), strict=True):
        states.restore_rng(rng)
        task.represent(model, batch).backward(gradient)
    states.restore_rng(after)
    return float(loss.detach()), {name: float(term.sum.detach()) / (term.count or 1.0) for name, term in terms.items()}
