"""What learns, in one process: the gradient of a step, the optimisers, and the weights as a saved state has them.

``many.py`` is the same over several processes. When to evaluate, save and stop is the loop's business (``loop.py``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sixfold.data.batching import Indices
from sixfold.data.examples import Examples
from sixfold.models.forward import Flat
from sixfold.tasks.contract import AddingTask, Batch, Task, Term, WholeBatchTask
from sixfold.train import state as states
from sixfold.train.config import TrainConfig
from sixfold.train.dropout import byte_dropout_in
from sixfold.train.events import Choice
from sixfold.train.optimiser import build, optimiser
from sixfold.train.r_drop import joined
from sixfold.train.vocabulary import UsedRows, tied, used_ids

USED_ROWS = "embeddings.used_rows"
"""The name of the embedding's used rows among the weights of a saved state."""

Position = tuple[int, int, int]
"""Seed, epoch, and step in the epoch: what a step's random numbers follow from."""


@dataclass(frozen=True)
class Learnt:
    """What a step came to.

    Attributes:
        loss: the weighted sum of the terms.
        terms: each term's mean over the step's targets.
        norm: of the whole gradient, before clipping.
    """

    loss: float
    terms: dict[str, float]
    norm: float

    @property
    def finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.norm)


class Learner(Protocol):
    """The weights and their optimisers, wherever they are."""

    @property
    def choices(self) -> list[Choice]:
        """What was decided about them."""
        ...

    def cut(self, micro: list[Indices]) -> list[Indices]:
        """The step's micro-batches as they are computed."""
        ...

    def learn(self, micro: Sequence[Indices], position: Position, rate: float) -> Learnt:
        """One optimiser step. It is not taken when the loss or the gradient is not a number."""
        ...

    def whole(self) -> nn.Module:
        """The model with the weights as they are now."""
        ...

    def weights(self) -> dict[str, Tensor]:
        """What learns, whole, by the names of a saved state; the next step may change these tensors."""
        ...

    def put(self, weights: Mapping[str, Tensor]) -> None:
        """Take weights that ``weights`` gave."""
        ...

    def optimisers_state(self) -> dict[str, Tensor]:
        """As ``state.optimiser_tensors``, whole."""
        ...

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take what ``optimisers_state`` gave."""
        ...

    def fits(self, state: states.State) -> bool:
        """Whether a saved state is of this model and these optimisers."""
        ...

    def release(self) -> None:
        """Leave the model as an ordinary one, with the weights as they are now."""
        ...


def learning(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that learn, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def trained_rows(model: Any, task: Task, examples: Examples) -> Tensor | None:
    """[used] ids of the embedding's rows that the examples use; None where all rows learn, or none."""
    table = model.get_input_embeddings()
    if not table.weight.requires_grad or tied(model):
        return None
    added = task.added_ids if isinstance(task, AddingTask) else ()
    used = used_ids(examples.ragged("input_ids").values, table.num_embeddings, added)
    return torch.from_numpy(used).to(table.weight.device)


def shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in weights.items()}


def to_device(batch: Batch, device: torch.device) -> Batch:
    return {name: value.to(device) if isinstance(value, Tensor | Flat) else value for name, value in batch.items()}


def batch_of(task: Task, examples: Examples, position: Position, number: int, device: torch.device) -> Batch:
    """Micro-batch ``number`` of a step. It draws from a generator of its own, so that resuming changes nothing."""
    return to_device(task.collate(examples, np.random.default_rng((*position, number))), device)


def set_rate(optimisers: Iterable[torch.optim.Optimizer], rate: float) -> None:
    for member in optimisers:
        for group in member.param_groups:
            group["lr"] = rate * group["share"]


def divided(terms: Mapping[str, Term], totals: Mapping[str, float]) -> Tensor:
    """The step's share of the loss that these terms are: each sum over the whole step's count."""
    return torch.stack([term.weight * term.sum / (totals[name] or 1.0) for name, term in terms.items()]).sum()


def terms_of(task: Task, model: nn.Module, batch: Batch, r_drop: float) -> dict[str, Term]:
    terms = task.loss(model, batch)
    return joined(terms, task.loss(model, batch), r_drop) if r_drop else terms


class Alone:
    """One process learns."""

    def __init__(
        self, model: Any, task: Task, examples: Examples, config: TrainConfig, *, rate: float, autocast: bool
    ) -> None:
        self.model = model
        self.task = task
        self.examples = examples
        self.config = config
        self.autocast = autocast
        self.device = next(model.parameters()).device
        self.choices: list[Choice] = []
        self._changes = ExitStack()
        self._rows: UsedRows | None = None
        used = trained_rows(model, task, examples)
        if used is not None:
            self._rows = UsedRows(model.get_input_embeddings(), used)
            self._changes.callback(self._rows.release)
            whole = self._rows.table.num_embeddings
            reason = f"of {whole:,}; the others occur in no training example"
            self.choices.append(Choice("embedding rows", len(used), reason))
        self.parameters = learning(model)
        if self._rows is not None:
            self.parameters[USED_ROWS] = self._rows.weight
        self.choices.insert(0, optimiser(model, self.parameters, config))
        self.optimisers = build(model, self.parameters, config, rate)
        if self.device.type == "cpu":
            self._changes.enter_context(byte_dropout_in(model))

    def cut(self, micro: list[Indices]) -> list[Indices]:
        return micro

    def learn(self, micro: Sequence[Indices], position: Position, rate: float) -> Learnt:
        set_rate(self.optimisers, rate)
        batches = [
            batch_of(self.task, self.examples.take(indices), position, number, self.device)
            for number, indices in enumerate(micro)
        ]
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.autocast):
            if isinstance(self.task, WholeBatchTask):
                loss, terms = _cached_backward(self.task, self.model, batches)
            else:
                loss, terms = _summed_backward(self.task, self.model, batches, self.config.r_drop)
        norm = float(nn.utils.clip_grad_norm_(list(self.parameters.values()), self.config.clip))
        learnt = Learnt(loss, terms, norm)
        for member in self.optimisers:
            if learnt.finite:
                member.step()
            member.zero_grad(set_to_none=True)
        return learnt

    def whole(self) -> nn.Module:
        if self._rows is not None:
            self._rows.write_back()
        return self.model

    def weights(self) -> dict[str, Tensor]:
        return {name: parameter.detach() for name, parameter in self.parameters.items()}

    def put(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(weights[name])

    def optimisers_state(self) -> dict[str, Tensor]:
        return states.optimiser_tensors(self.optimisers)

    def restore(self, tensors: dict[str, Tensor]) -> None:
        states.restore_optimisers(self.optimisers, tensors)

    def fits(self, state: states.State) -> bool:
        same = shapes(state.weights) == shapes(self.parameters)
        return same and states.fits_optimisers(self.optimisers, state.optimiser)

    def release(self) -> None:
        self._changes.close()


def _summed_backward(
    task: Task, model: nn.Module, batches: Sequence[Batch], r_drop: float = 0.0
) -> tuple[float, dict[str, float]]:
    """Gradients of the step's loss; gives the loss and each term's mean over the step's targets."""
    totals: dict[str, float] = {}
    for batch in batches:
        for name, count in task.counts(batch).items():
            totals[name] = totals.get(name, 0.0) + count
    loss, means = 0.0, dict.fromkeys(totals, 0.0)
    for batch in batches:
        terms = terms_of(task, model, batch, r_drop)
        part = divided(terms, totals)
        part.backward()
        loss += float(part.detach())
        for name, term in terms.items():
            means[name] += float(term.sum.detach()) / (totals[name] or 1.0)
    return loss, means


def _cached_backward(
    task: WholeBatchTask, model: nn.Module, batches: Sequence[Batch]
) -> tuple[float, dict[str, float]]:
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
