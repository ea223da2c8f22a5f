"""A model whose weights, gradients and optimiser state are shared out among processes (FSDP2).

Every process calls the same methods in the same order; what only the first one has is handed in there, and None in the
others. Who says what is to be done is in ``many.py``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
import transformers
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from sixfold.data.examples import Examples
from sixfold.errors import UsageError
from sixfold.tasks.contract import Batch, Task
from sixfold.train import state as states
from sixfold.train.config import TrainConfig
from sixfold.train.dropout import byte_dropout_in
from sixfold.train.gradients import Position, divided, terms_of
from sixfold.train.learner import USED_ROWS, Learnt, batch_of, learning, set_rate
from sixfold.train.optimiser import build
from sixfold.train.processes import Processes

_TASKS = "sixfold.tasks."


@dataclass(frozen=True)
class Blueprint:
    """What each process must know to build its part of a training, ready for JSON. The weights come later.

    Attributes:
        model: the classes of transformers of the model and its configuration.
        config: the configuration's values.
        attention: how the model computes it.
        padding: the embedding's row that does not learn, if any.
        learning: names of the parameters that learn.
        table: which of them is an embedding of which only the used rows ever move.
        task: its module, class and settings.
        train: the dials.
        rate: peak learning rate.
        autocast: whether matrices are multiplied in bf16.
    """

    model: tuple[str, str]
    config: dict[str, Any]
    attention: str
    padding: int | None
    learning: list[str]
    table: str | None
    task: tuple[str, str, dict[str, Any]]
    train: dict[str, Any]
    rate: float
    autocast: bool

    @classmethod
    def of(
        cls, model: Any, task: Task, config: TrainConfig, *, table: str | None, rate: float, autocast: bool
    ) -> Blueprint:
        """Of training a model of transformers' own classes on a task of ours.

        Raises:
            UsageError: the model's class or the task is somebody else's, and other processes could not build it.
        """
        classes = type(model).__name__, type(model.config).__name__
        if any(getattr(transformers, name, None) is None for name in classes):
            raise UsageError(f"{classes[0]} is no class of transformers: it learns in one process only")
        if not type(task).__module__.startswith(_TASKS):
            raise UsageError(f"{type(task).__name__} is no task of sixfold: it learns in one process only")
        return cls(
            model=classes,
            config=json.loads(model.config.to_json_string(use_diff=False)),
            attention=model.config._attn_implementation,
            padding=model.get_input_embeddings().padding_idx,
            learning=list(learning(model)),
            table=table,
            task=(type(task).__module__, type(task).__name__, task.settings()),
            train=config.model_dump(mode="json"),
            rate=rate,
            autocast=autocast,
        )

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    def new_model(self) -> Any:
        """The model, with random weights."""
        model_class, config_class = (getattr(transformers, name) for name in self.model)
        config = config_class.from_dict(self.config)
        config._attn_implementation = self.attention
        model = model_class(config)
        model.get_input_embeddings().padding_idx = self.padding
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in self.learning)
        return model

    def new_task(self) -> Task:
        module, name, settings = self.task
        assert module.startswith(_TASKS), "tasks are ours"
        return cast(Task, getattr(import_module(module), name)(**settings))


class _Loss(nn.Module):
    """A micro-batch's share of the step's loss as a module's output.

    FSDP brings a module's weights together for the length of its forward pass: whatever way the task enters the model,
    it does so inside this one.
    """

    def __init__(self, model: Any, task: Task, r_drop: float) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.r_drop = r_drop

    def forward(self, batch: Batch, totals: Mapping[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
        terms = terms_of(self.task, self.model, batch, self.r_drop)
        return divided(terms, totals), {name: term.sum.detach() for name, term in terms.items()}


def _layers(model: Any) -> Sequence[nn.Module]:
    """The layers that are entered by their call, and can so bring their own weights together.

    BERT's last one is entered by its parts (``models/forward.py``). Of other families all weights come together at
    once.
    """
    kind = model.config.model_type
    if kind == "bert":
        return list(model.base_model.encoder.layer)[:-1]
    return list(model.base_model.layers) if kind in ("modernbert", "llama", "qwen2", "qwen3") else []


class Sharded:
    """One process's part of a model and its optimiser."""

    def __init__(self, plan: Blueprint, processes: Processes, device: torch.device) -> None:
        self.processes = processes
        self.device = device
        self.task = plan.new_task()
        self.config = TrainConfig(**plan.train)
        self.autocast = plan.autocast
        model = plan.new_model().to(device)
        self._root = _Loss(model, self.task, self.config.r_drop).train()
        mesh = init_device_mesh(device.type, (processes.world,))
        for module in (*_layers(model), self._root):
            # Gradients are summed: the losses are shares of one sum. gloo knows no other reduction either.
            shard = fully_shard(module, mesh=mesh)
            shard.set_gradient_divide_factor(1.0)
            shard.set_force_sum_reduction_for_comms(True)
        self._all = {name: cast(DTensor, parameter) for name, parameter in model.named_parameters()}
        self._learning = {name: self._all[name] for name in plan.learning}
        self._named = {name: parameter for name, parameter in self._learning.items() if name != plan.table}
        if plan.table is not None:
            self._named[USED_ROWS] = self._learning[plan.table]  # where one process has it, so that states are alike
        self.optimisers = build(model, cast(Any, self._named), self.config, plan.rate)
        self._changes = ExitStack()
        if device.type == "cpu":
            self._changes.enter_context(byte_dropout_in(self._root))

    def learn(self, examples: Examples, sizes: Sequence[int], position: Position, rate: float) -> Learnt:
        """One optimiser step of all processes.

        Args:
            examples: of the whole step.
            sizes: how many of them each micro-batch has. Number k belongs to the process of rank k modulo their number.
        """
        set_rate(self.optimisers, rate)
        if self.processes.rank:
            # The first goes on from the state's generator; the others need no state, since they begin anew each step.
            torch.manual_seed(int(np.random.default_rng((*position, self.processes.rank)).integers(2**63)))
        parts = self._own(examples, sizes, position)
        totals = self._totals(parts)
        loss, sums = 0.0, dict.fromkeys(totals, 0.0)
        for batch, counts in parts:
            # Outside, autocast would keep a copy of every weight from one micro-batch to the next.
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.autocast):
                part, terms = self._root(batch, totals)
            (part if counts else 0.0 * part).backward()
            if counts:
                loss += float(part.detach())
                for name, total in terms.items():
                    sums[name] += float(total)
        return self._step(loss, sums, totals)

    def _own(self, examples: Examples, sizes: Sequence[int], position: Position) -> list[tuple[Batch, bool]]:
        """This process's micro-batches, and whether they count.

        All must take part in every round: whoever has no micro-batch left computes the step's last one for nothing.
        """
        rank, world, ends = self.processes.rank, self.processes.world, np.cumsum(sizes)
        out = []
        for first in range(0, len(sizes), world):
            number = min(first + rank, len(sizes) - 1)
            part = examples.take(np.arange(ends[number] - sizes[number], ends[number]))
            out.append((batch_of(self.task, part, position, number, self.device), first + rank == number))
        return out

    def _totals(self, parts: Sequence[tuple[Batch, bool]]) -> dict[str, float]:
        """Targets of each term in the whole step."""
        own = [(self.task.counts(batch), counts) for batch, counts in parts]
        names = sorted(own[0][0])
        totals = torch.tensor([sum(found[name] for found, counts in own if counts) for name in names]).double()
        dist.all_reduce(totals)
        return dict(zip(names, totals.tolist(), strict=True))

    @torch.no_grad()
    def _step(self, loss: float, sums: Mapping[str, float], totals: Mapping[str, float]) -> Learnt:
        """Add up what the processes found, and let the optimisers step where it is finite."""
        slopes = (cast(Any, parameter.grad) for parameter in self._learning.values())
        gradients = [slope.to_local() for slope in slopes if slope is not None]
        squares = sum(float(gradient.double().square().sum()) for gradient in gradients)
        found = torch.tensor([loss, squares, *sums.values()], dtype=torch.float64)
        dist.all_reduce(found)
        loss, squares, *whole = found.tolist()
        norm = math.sqrt(squares)
        terms = {name: total / (totals[name] or 1.0) for name, total in zip(sums, whole, strict=True)}
        learnt = Learnt(loss, terms, norm)
        scale = min(1.0, self.config.clip / (norm + 1e-6))
        for gradient in gradients if scale < 1 else ():
            gradient.mul_(scale)
        for member in self.optimisers:
            if learnt.finite:
                member.step()
            member.zero_grad(set_to_none=True)
        return learnt

    def whole(self) -> Iterator[tuple[str, Tensor]]:
        """The parameters that learn, one after the other: name and all of it."""
        for name, parameter in self._learning.items():
            yield name, parameter.full_tensor().detach()

    def put(self, weights: Mapping[str, Tensor] | None, *, frozen: bool = False) -> None:
        """Take the weights that the first process hands in, those that do not learn too if ``frozen``."""
        with torch.no_grad():
            for name, parameter in (self._all if frozen else self._learning).items():
                parameter.copy_(_shared(None if weights is None else weights[name], parameter))

    def optimisers_state(self) -> Iterator[tuple[str, Tensor]]:
        """As ``state.optimiser_tensors``, one after the other and whole."""
        for name, value in states.optimiser_tensors(self.optimisers).items():
            yield name, value.full_tensor() if isinstance(value, DTensor) else value

    def restore(self, names: Sequence[str], numbers: Mapping[str, float], tensors: Mapping[str, Tensor] | None) -> None:
        """Take the optimisers' state.

        Args:
            names: of the tensors that are as large as their parameter.
            numbers: the rest, single numbers.
            tensors: those of ``names``, from the first process.
        """
        (adamw,) = self.optimisers
        parameters = [parameter for group in adamw.param_groups for parameter in group["params"]]
        state: dict[str, Tensor] = {name: torch.tensor(value) for name, value in numbers.items()}
        for name in names:
            like = parameters[int(name.split(".")[1])]
            state[name] = _shared(None if tensors is None else tensors[name], like)
        states.restore_optimisers(self.optimisers, state)

    def place(self, name: str) -> int:
        """Which of the optimiser's parameters it is, by its name in a saved state."""
        (adamw,) = self.optimisers
        parameters = [id(parameter) for group in adamw.param_groups for parameter in group["params"]]
        return parameters.index(id(self._named[name]))

    def release(self) -> None:
        self._changes.close()


def _shared(whole: Tensor | None, like: DTensor) -> DTensor:
    """A tensor of the first process, shared out as ``like`` is."""
    if whole is None:
        whole = torch.empty(like.shape, dtype=like.dtype, device=like.device)
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements)
