"""The state of a run on disk: enough to go on after ``kill -9`` with the same losses, bit for bit.

A state is one folder, written under a temporary name, synced and renamed, so that there is always a whole one. It
holds tensors (safetensors) and numbers (JSON), never a pickle.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sixfold.errors import ModelError, StorageError

_PREFIX = "state-"
_MADE = "renewed-"


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        step: optimiser steps done.
        epoch, step_in_epoch: the batcher's position.
        best_score, best_step: of the watched metric.
        best_loss: the validation loss at the best step, which decides between equal scores.
        misses: evaluations since the best one.
    """

    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    best_score: float | None = None
    best_step: int = 0
    best_loss: float = math.inf
    misses: int = 0


@dataclass
class State:
    """Everything that decides the rest of a run."""

    progress: Progress
    weights: dict[str, Tensor]
    best: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    rng: dict[str, Tensor]


def rng_state() -> dict[str, Tensor]:
    """Torch's generators as byte tensors."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_rng(states: dict[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def _kind(optimiser: torch.optim.Optimizer) -> str:
    return type(optimiser).__name__.lower()


def optimiser_tensors(optimisers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """The optimisers' state as flat names, ``<optimiser>.<parameter index>.<name>``."""
    return {
        f"{_kind(optimiser)}.{index}.{name}": value
        for optimiser in optimisers
        for index, values in optimiser.state_dict()["state"].items()
        for name, value in values.items()
    }


def fits_optimisers(optimisers: Sequence[torch.optim.Optimizer], tensors: dict[str, Tensor]) -> bool:
    """Whether the state was saved from optimisers of these kinds."""
    return {name.split(".")[0] for name in tensors} == {_kind(optimiser) for optimiser in optimisers}


def restore_optimisers(optimisers: Sequence[torch.optim.Optimizer], tensors: dict[str, Tensor]) -> None:
    for optimiser in optimisers:
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            kind, index, name = key.split(".", 2)
            if kind == _kind(optimiser):
                state.setdefault(int(index), {})[name] = value
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"the training state could not be written: {error}",
            where=folder,
            hint="free some space and run the same command again: it goes on from the last whole state",
        ) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save(state: State, folder: Path) -> Path:
    """Write ``folder/state-<step>`` and remove older ones. Raises StorageError with the older ones untouched."""
    target = folder / f"{_PREFIX}{state.progress.step:08d}"
    work = folder / f".{target.name}.tmp"
    with _told(target):
        shutil.rmtree(work, ignore_errors=True)
        try:
            work.mkdir(parents=True)
            for name in ("weights", "best", "optimiser", "rng"):
                tensors = {key: value.detach().contiguous() for key, value in getattr(state, name).items()}
                save_file(tensors, work / f"{name}.safetensors")
            (work / "progress.json").write_text(json.dumps(asdict(state.progress)), encoding="utf-8")
            for path in work.iterdir():
                _sync(path)
            shutil.rmtree(target, ignore_errors=True)
            os.replace(work, target)
            _sync(folder)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
    _remove([old for old in _states(folder) if old != target] + _left_over(folder))
    return target


def newest(folder: Path) -> tuple[int, Path] | None:
    """The last saved state in ``folder``: its step, and where it is."""
    states = _states(folder)
    return (int(states[-1].name.removeprefix(_PREFIX)), states[-1]) if states else None


def _states(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_PREFIX}*"))


def _left_over(folder: Path) -> list[Path]:
    """What a killed process left of a state it was writing."""
    return list(folder.glob(f".{_PREFIX}*.tmp"))


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


def load(folder: Path) -> State | None:
    """The newest state in ``folder``, or None. Raises ModelError when it cannot be read."""
    found = newest(folder)
    if found is None:
        return None
    _, last = found
    try:
        progress = Progress(**json.loads((last / "progress.json").read_text(encoding="utf-8")))
        tensors = {name: load_file(last / f"{name}.safetensors") for name in ("weights", "best", "optimiser", "rng")}
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"the saved training state cannot be read: {error}",
            where=last,
            hint=f"remove {last} to start this stage again",
        ) from error
    return State(progress, **tensors)


def made_folder(folder: Path, epoch: int) -> Path:
    """Where the examples made for an epoch are kept (``renewed.py``)."""
    return folder / f"{_MADE}{epoch:05d}"


def clear_made(folder: Path, *, but: Path | None = None) -> None:
    """Remove the examples made for other epochs."""
    _remove(path for pattern in (f"{_MADE}*", f".{_MADE}*") for path in folder.glob(pattern) if path != but)


def clear(folder: Path) -> None:
    """Remove the states of a finished run."""
    _remove([*_states(folder), *_left_over(folder)])
    clear_made(folder)
