"""Learning in several processes: the first one's side, which the loop drives like a single process, and the others'.

The first keeps the model that it was given, whole; the weights that learn are shared out (``sharded.py``). Before each
thing that is done together it tells the others what, so that it alone decides when to evaluate, save and stop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sixfold.data.batching import Indices
from sixfold.data.examples import Examples, Ragged
from sixfold.errors import SixfoldError, UsageError
from sixfold.models.heap import heap_kept
from sixfold.tasks.contract import Task, WholeBatchTask
from sixfold.train import processes as running
from sixfold.train import state as states
from sixfold.train.config import TrainConfig
from sixfold.train.events import Choice
from sixfold.train.gradients import Position
from sixfold.train.learner import USED_ROWS, Learnt, learning, shapes, trained_rows
from sixfold.train.processes import Message, Processes
from sixfold.train.ranks import adaptive
from sixfold.train.sharded import Blueprint, Sharded
from sixfold.train.torchrun import started

_ALONE = ("adversarial", "noise", "mixup", "mask_share", "synonym_encoding")
"""Dials that change what is computed of a micro-batch: only a process that has all of a step's does that alike."""


def refuse(config: TrainConfig, *, renewed: bool = False) -> None:
    """Raises UsageError for what several processes cannot do: ``renewed`` are examples made anew each epoch."""
    keys = [f"train.{key}" for key in _ALONE if getattr(config, key)]
    if keys or renewed:
        what = " and ".join(keys) or "training on examples that are made anew each epoch"
        raise UsageError(
            f"{what} {'work' if len(keys) > 1 else 'works'} in one process only",
            where=keys[0] if keys else None,
            hint="start the run without torchrun" + (", or leave it out" if keys else ""),
        )
    if config.optimiser == "muon" or config.muon_rate is not None:
        raise UsageError(
            "Muon learns in one process only: it needs each matrix whole",
            where="train.optimiser" if config.optimiser == "muon" else "train.muon_rate",
            hint="leave it out or set adamw; or start the run without torchrun",
        )


def refuse_run(configs: Iterable[TrainConfig]) -> None:
    """Before a run reads anything: raises UsageError where the processes that were started cannot do it."""
    processes = running.current()
    if processes is None:
        if started()[1] > 1:
            raise UsageError(
                f"this program was started in {started()[1]} processes, and each would do the whole run",
                hint="torchrun -m sixfold run RECIPE shares a run out; for one process, unset WORLD_SIZE",
            )
        return
    for config in configs:
        refuse(config)
        if "batch" in config.model_fields_set:  # otherwise a stage may derive it
            _refuse_idle(config.batch, processes.world)


def _refuse_idle(batch: int, world: int) -> None:
    if batch < world:
        raise UsageError(
            "a step learns from fewer texts or blocks than there are processes: some would have nothing to do",
            where="train.batch",
            found=f"{batch} for {world} processes",
            hint=f"start {batch} or fewer processes, or set train.batch to {world} or more",
        )


class Many:
    """All processes learn, seen from the first."""

    settled = True

    def __init__(
        self,
        processes: Processes,
        model: Any,
        task: Task,
        examples: Examples,
        config: TrainConfig,
        *,
        rate: float,
        autocast: bool,
        folder: Path | None,
        renewed: bool = False,
    ) -> None:
        refuse(config, renewed=renewed)
        _refuse_idle(config.batch, processes.world)
        if isinstance(task, WholeBatchTask):
            raise UsageError(
                f"{task.name} compares all rows of a step, and learns in one process only",
                hint="start the run without torchrun",
            )
        if adaptive(model):
            raise UsageError(
                "AdaLoRA learns in one process only: its ranks are shared out over all matrices",
                hint="start the run without torchrun, or take LoRA",
            )
        self.model = model
        self.examples = examples
        self._processes = processes
        self._parameters = learning(model)
        self._used = trained_rows(model, task, examples)
        self._table = _name_of(model.get_input_embeddings().weight, model) if self._used is not None else None
        self._fresh = True
        self.choices = [
            Choice("optimiser", "adamw", "for every parameter; Muon would need each matrix whole"),
            Choice(
                "processes",
                processes.world,
                "each holds a part of the weights (FSDP2) and computes a part of every step",
            ),
        ]
        plan = Blueprint.of(model, task, config, table=self._table, rate=rate, autocast=autocast)
        processes.folder = folder
        device = next(model.parameters()).device
        told = {"plan": plan.plain(), "device": device.type, "folder": None if folder is None else str(folder)}
        with self._together("build", told):
            self._sharded = Sharded(plan, processes, device)
            self._sharded.put(dict(model.named_parameters()), frozen=True)

    @contextmanager
    def _together(
        self, do: str, content: Mapping[str, Any] | None = None, arrays: Mapping[str, Any] | None = None
    ) -> Iterator[None]:
        with self._processes.together():
            self._processes.tell(do, content, arrays)
            yield

    def cut(self, micro: list[Indices]) -> list[Indices]:
        """As many micro-batches as there are processes, where one process would compute fewer."""
        rows = np.concatenate(micro)
        count = min(self._processes.world, len(rows))
        return micro if len(micro) >= count else evenly(rows, self.examples.lengths[rows], count)

    def learn(self, micro: Sequence[Indices], position: Position, rate: float) -> Learnt:
        taken, sizes = self.examples.take(np.concatenate(list(micro))), [len(part) for part in micro]
        self._fresh = False
        ragged, arrays = _sent(taken)
        with self._together("learn", {"sizes": sizes, "position": position, "rate": rate, "ragged": ragged}, arrays):
            return self._sharded.learn(taken, sizes, position, rate)

    def whole(self) -> nn.Module:
        if not self._fresh:
            with self._together("whole"), torch.no_grad():
                for name, weight in self._sharded.whole():
                    self._parameters[name].copy_(weight)
            self._fresh = True
        return self.model

    def weights(self) -> dict[str, Tensor]:
        self.whole()
        found = {name: weight.detach() for name, weight in self._parameters.items() if name != self._table}
        if self._table is not None:
            found[USED_ROWS] = self._parameters[self._table].detach()[self._used]
        return found

    def put(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                if name == self._table:
                    parameter[self._used] = weights[USED_ROWS].to(parameter.device)
                else:
                    parameter.copy_(weights[name])
        with self._together("put"):
            self._sharded.put(self._parameters)
        self._fresh = True

    def optimisers_state(self) -> dict[str, Tensor]:
        with self._together("state"):
            found = dict(self._sharded.optimisers_state())
        return {name: value[self._used] if self._is_table(name, value) else value for name, value in found.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        numbers = {name: float(value) for name, value in tensors.items() if not value.ndim}
        found = {name: value for name, value in tensors.items() if value.ndim}
        for name, value in found.items():
            if self._is_table(name, value):
                assert self._table is not None
                table = self._parameters[self._table]
                found[name] = torch.zeros_like(table).index_put((self._used,), value.to(table.device))
        with self._together("restore", {"names": list(found), "numbers": numbers}):
            self._sharded.restore(list(found), numbers, found)

    def _is_table(self, name: str, value: Tensor) -> bool:
        """Whether it is state of the embedding of which a saved state has the used rows only."""
        return self._table is not None and value.ndim > 0 and int(name.split(".")[1]) == self._sharded.place(USED_ROWS)

    def fits(self, state: states.State) -> bool:
        wanted = shapes({name: weight for name, weight in self._parameters.items() if name != self._table})
        if self._table is not None:
            assert self._used is not None
            wanted[USED_ROWS] = (len(self._used), self._parameters[self._table].shape[1])
        return shapes(state.weights) == wanted and states.fits_optimisers(self._sharded.optimisers, state.optimiser)

    def release(self) -> None:
        if not self._processes.broken:
            self.whole()
            with self._together("release"):
                pass
        self._sharded.release()
        self._processes.folder = None


def follow() -> None:
    """The work of every process but the first: to do what that one tells, until it says that all is done.

    Raises:
        SixfoldError: the first process ended without a word, and this one is to tell.
        SystemExit: a process ended, and another one tells.
    """
    with running.joined() as processes:
        assert processes is not None
        try:
            with processes.together(), heap_kept():
                _obey(processes)
        except SixfoldError as error:
            first_lives = processes.pids and 0 not in processes.ended()
            if first_lives or not processes.first_to_tell():
                raise SystemExit(error.exit_code) from error
            raise


def _obey(processes: Processes) -> None:
    sharded: Sharded | None = None
    while (message := processes.heard()).do != "end":
        told = message.content
        if message.do == "build":
            processes.folder = None if told["folder"] is None else Path(told["folder"])
            sharded = Sharded(Blueprint(**told["plan"]), processes, torch.device(told["device"]))
            sharded.put(None, frozen=True)
            continue
        assert sharded is not None, "a model comes first"
        if message.do == "learn":
            sharded.learn(_received(message), told["sizes"], tuple(told["position"]), told["rate"])
        elif message.do == "whole":
            for _ in sharded.whole():
                pass
        elif message.do == "put":
            sharded.put(None)
        elif message.do == "state":
            for _ in sharded.optimisers_state():
                pass
        elif message.do == "restore":
            sharded.restore(told["names"], told["numbers"], None)
        else:
            assert message.do == "release", message.do
            sharded.release()
            sharded = None


def evenly(rows: Indices, lengths: NDArray[np.int64], parts: int) -> list[Indices]:
    """Cut rows, in their order, into so many runs of about as many tokens each; none is empty."""
    assert 0 < parts <= len(rows)
    ends = np.cumsum(lengths)
    cuts: list[int] = []
    for part in range(1, parts):
        nearest = int(np.abs(ends - ends[-1] * part / parts).argmin()) + 1
        cuts.append(min(max(nearest, part, *(cut + 1 for cut in cuts[-1:])), len(rows) - parts + part))
    return np.split(rows, cuts)


def _name_of(wanted: Tensor, model: nn.Module) -> str:
    return next(name for name, parameter in model.named_parameters() if parameter is wanted)


def _sent(examples: Examples) -> tuple[list[str], dict[str, NDArray]]:
    """Which columns are ragged, and all columns as arrays."""
    ragged, arrays = [], {}
    for name, column in examples.columns.items():
        if isinstance(column, Ragged):
            ragged.append(name)
            arrays[f"{name} values"], arrays[f"{name} offsets"] = column.values, column.offsets
        else:
            arrays[name] = column
    return ragged, arrays


def _received(message: Message) -> Examples:
    """The examples that ``_sent`` took apart."""
    arrays = dict(message.arrays)
    columns: dict[str, Ragged | NDArray] = {
        name: Ragged(arrays.pop(f"{name} values"), arrays.pop(f"{name} offsets")) for name in message.content["ragged"]
    }
    return Examples({**columns, **arrays})
