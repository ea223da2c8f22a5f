"""What every stage is given, the plain results it leaves, and the lock on its run's folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.text import Text

from sixfold.errors import UsageError
from sixfold.fetch.folders import PRIVATE, held, write_text
from sixfold.train.events import Event

NAME = r"^\w[\w.-]*$"
"""A run or a stage is named so: it becomes a folder's name, and must not lead out of its parent."""

LOCK = ".lock"
"""Stays in the run's folder; it counts only while a process holds it."""

Watch = Callable[[Iterable[Event]], Iterator[Event]]
"""Looks at a training run's events as they pass (a progress bar)."""

PART = "part.json"
"""The results of one training of a stage that has several; they stand until all are done."""


@dataclass(frozen=True)
class Context:
    """Where a stage works and whom it tells.

    Attributes:
        folder: the stage's own folder inside the run.
        seed: of the run.
        parent: the checkpoint that the stage before left, if any.
        tell: takes one line for a person.
        watch: sees the training events pass.
        stop: whether the user has asked to stop.
    """

    folder: Path
    seed: int
    parent: Path | None = None
    tell: Callable[[str], None] = field(default=lambda line: None)
    watch: Watch = field(default=lambda events: iter(events))
    stop: Callable[[], bool] = field(default=lambda: False)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint"

    @property
    def training(self) -> Path:
        return self.folder / "training"

    @property
    def unfinished(self) -> bool:
        """Whether a training was stopped here that can go on."""
        return (
            any(self.training.glob("state-*"))
            or any(self.training.glob(f"*/{PART}"))
            or any(self.training.glob("*/training/state-*"))
        )


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Work in a run's folder alone: two processes would overwrite each other's states and results.

    The lock goes with the process that has it, however that ends.

    Raises:
        UsageError: another process works there; tells which.
        StorageError: the folder cannot be made.
    """
    with held(folder / LOCK) as holder:
        if holder is not None:
            raise UsageError(
                "another process is working in this run's folder",
                where=folder,
                found=holder,
                hint="wait until it ends, or stop it; or give this run another name",
            )
        yield


def unmarked(told: Iterable[str]) -> list[str]:
    """Lines for a person as a file keeps them: without the console's markup."""
    return [Text.from_markup(line).plain for line in told]


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file that is the old one or the new one, never half; makes its folder.

    Only the owner may read it: results hold the texts that were answered wrongly.

    Raises:
        StorageError: it could not be written.
    """
    write_text(path, as_json(content), mode=PRIVATE, parents=True)


def as_json(content: Any) -> str:
    """Results as JSON text; numpy numbers and paths are welcome."""
    return json.dumps(content, ensure_ascii=False, indent=1, default=_plain)


def _plain(value: Any) -> Any:
    """Numpy numbers and paths as JSON has them."""
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not go into a results file")
