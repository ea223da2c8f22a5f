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
from sixfold.models.forward import Flat, can_pack, padding
from sixfold.tasks.contract import AddingTask, Batch, Task
from sixfold.tasks.masking import MaskToken, masked
from sixfold.train import state as states
from sixfold.train.config import TrainConfig
from sixfold.train.dropout import byte_dropout_in
from sixfold.train.events import Choice
from sixfold.train.gradients import Gradients, Position, draws
from sixfold.train.optimiser import build, optimiser
from sixfold.train.ranks import KIND, PENALTY, Ranks, adaptive
from sixfold.train.vocabulary import UsedRows, tied, used_ids
from sixfold.train.words import NONE, Words

USED_ROWS = "embeddings.used_rows"
"""The name of the embedding's used rows among the weights of a saved state."""


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

    examples: Examples
    """What is learnt from; an epoch may bring others, of which every token has a row that learns."""

    @property
    def settled(self) -> bool:
        """Whether the model is as large as it is to be in the end; it may be larger at first (``ranks.py``)."""
        ...

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


def trained_rows(model: Any, task: Task, examples: Examples, added: Sequence[int] = ()) -> Tensor | None:
    """[used] ids of the embedding's rows that the examples use, and those added; None where all rows learn, or none."""
    table = model.get_input_embeddings()
    if not table.weight.requires_grad or tied(model):
        return None
    more = (*added, *task.added_ids) if isinstance(task, AddingTask) else tuple(added)
    if not can_pack(model):
        more = (*more, padding(model))
    used = used_ids(examples.ragged("input_ids").values, table.num_embeddings, more)
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


class Alone:
    """One process learns."""

    def __init__(
        self,
        model: Any,
        task: Task,
        examples: Examples,
        config: TrainConfig,
        *,
        rate: float,
        autocast: bool,
        mask: MaskToken | None = None,
        words: Words = NONE,
        renewed: bool = False,
        steps: int = 1,
    ) -> None:
        """``steps`` of the whole run: what a budget of ranks falls over."""
        self.model = model
        self.task = task
        self.examples = examples
        self.config = config
        self.autocast = autocast
        self.mask = mask
        self.device = next(model.parameters()).device
        self.choices: list[Choice] = []
        self._changes = ExitStack()
        self._rows = self._rows_that_learn(words, renewed)
        self.parameters = learning(model)
        if self._rows is not None:
            self.parameters[USED_ROWS] = self._rows.weight
        self.choices.insert(0, optimiser(model, self.parameters, config))
        self.optimisers = build(model, self.parameters, config, rate)
        if self.device.type == "cpu":
            self._changes.enter_context(byte_dropout_in(model))
        self._gradients = Gradients(model, task, config, list(self.parameters.values()), words.swaps)
        self._changes.callback(self._gradients.release)
        self.choices += self._gradients.choices
        layers = adaptive(model)
        self._ranks = Ranks(layers, steps) if layers else None
        if self._ranks is not None:
            self.choices.append(self._ranks.choice)

    def _rows_that_learn(self, words: Words, renewed: bool) -> UsedRows | None:
        """Which rows of the word embedding learn, where that is not the whole table as it is."""
        table, swaps, sharing = self.model.get_input_embeddings(), words.swaps, words.sharing
        added = [*(() if self.mask is None else (self.mask.id,)), *(() if swaps is None else swaps.ids())]
        used = trained_rows(self.model, self.task, self.examples, added)
        assert used is not None or sharing is None, "words cannot share a row of a table that is frozen or writes too"
        if used is None or (renewed and sharing is None):
            return None
        others = "in no training example" if swaps is None else "in no training example and no exchange"
        if renewed:  # what a later epoch brings may hold any token
            used, others = torch.arange(table.num_embeddings, device=used.device), "nowhere"
        rows = UsedRows(table, used, sharing)
        self._changes.callback(rows.release)
        reason = f"of {table.num_embeddings:,}; the others occur {others}"
        if sharing is not None:
            reason = f"for {len(rows.used):,} {reason}; {int(sharing.shared.sum()):,} share one with another word"
        self.choices.append(Choice("embedding rows", len(rows.weight), reason))
        return rows

    @property
    def settled(self) -> bool:
        return self._ranks is None or self._ranks.settled

    def cut(self, micro: list[Indices]) -> list[Indices]:
        return micro

    def learn(self, micro: Sequence[Indices], position: Position, rate: float) -> Learnt:
        set_rate(self.optimisers, rate)
        masks = draws(position, "mask")
        batches = [
            batch_of(self.task, self._taken(indices, masks), position, number, self.device)
            for number, indices in enumerate(micro)
        ]
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.autocast):
            loss, terms = self._gradients.add(batches, position)
        if self._ranks is not None:
            penalty = self._ranks.penalty()
            penalty.backward()
            loss, terms = loss + float(penalty.detach()), {**terms, PENALTY: float(penalty.detach())}
        norm = float(nn.utils.clip_grad_norm_(list(self.parameters.values()), self.config.clip))
        learnt = Learnt(loss, terms, norm)
        if self._ranks is not None and learnt.finite:
            self._ranks.observe()
        for member in self.optimisers:
            if learnt.finite:
                member.step()
            member.zero_grad(set_to_none=True)
        if self._ranks is not None and learnt.finite:
            self._ranks.allocate()
        return learnt

    def _taken(self, indices: Indices, masks: np.random.Generator) -> Examples:
        """The examples of a micro-batch, masked where that is asked for."""
        taken = self.examples.take(indices)
        return taken if self.mask is None else masked(taken, self.mask, self.config.mask_share, masks)

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
        found = states.optimiser_tensors(self.optimisers)
        return found if self._ranks is None else found | self._ranks.state()

    def restore(self, tensors: dict[str, Tensor]) -> None:
        states.restore_optimisers(self.optimisers, tensors)
        if self._ranks is not None:
            self._ranks.restore(tensors)

    def fits(self, state: states.State) -> bool:
        ranks = {name: value for name, value in state.optimiser.items() if name.startswith(f"{KIND}.")}
        others = {name: value for name, value in state.optimiser.items() if name not in ranks}
        same = shapes(state.weights) == shapes(self.parameters)
        same = same and shapes(ranks) == shapes({} if self._ranks is None else self._ranks.state())
        return same and states.fits_optimisers(self.optimisers, others)

    def release(self) -> None:
        self._changes.close()
