"""A checkpoint whose rows each go by an adapter of it, in one batch, as its router sends them.

What takes seconds to import is imported where it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sixfold.errors import ModelError, UsageError
from sixfold.models import adapters
from sixfold.models.adapters.beside import FOLDER, folder_of
from sixfold.models.lineage import digest_folder
from sixfold.score.tuned import Tuned, of_adapter, settings_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sixfold.data.examples import Examples
    from sixfold.models.mixed import Mixed
    from sixfold.score.routing import Route, Router
    from sixfold.score.scorer import Scorer
    from sixfold.tasks.contract import Ask, Limits, Task

AUTO = "auto"
"""In place of an adapter's name: the router says."""


@dataclass(frozen=True)
class _Given:
    """Answers that a scorer gave already, for a task that asks again."""

    answers: list[NDArray]

    def ask(self, examples: Examples, ask: Ask) -> list[NDArray]:
        return self.answers

    def generate(self, examples: Examples, limits: Limits) -> list[list[int]]:
        raise AssertionError("a classifier asks, and writes nothing")


@dataclass(frozen=True)
class Adapted:
    """A base with its adapters.

    Attributes:
        mixed: the base and all adapters; ``scorer`` runs it.
        tasks: by adapter's name; under None the checkpoint's own, where it has one.
        router: knows domains by their text.
    """

    mixed: Mixed
    scorer: Scorer
    tasks: Mapping[str | None, Task]
    router: Router

    def routes(self, examples: Examples) -> list[Route]:
        """Where each row goes; a text that was cut into pieces goes where its first one goes."""
        rows = examples.dense("row")
        first = np.unique(rows, return_index=True)[1]
        return self.router.routes(self.scorer, examples.take(first))

    def predictions(self, examples: Examples, names: Sequence[str | None]) -> list[Any]:
        """One prediction a row, each in the terms of its adapter's task; the model runs on full batches of all.

        Args:
            examples: of rows 0, 1, … in order.
            names: [rows] of adapters; None is the checkpoint itself.
        """
        from sixfold.models.mixed import COLUMN

        rows = examples.dense("row")
        numbers = self.mixed.numbers(names)
        mixed = examples.with_column(COLUMN, numbers[rows])
        question = next(iter(self.tasks.values())).question()  # type: ignore[attr-defined]
        answers = self.scorer.ask(mixed, question)
        found: list[Any] = [None] * len(names)
        for name in dict.fromkeys(names):
            own = [row for row, each in enumerate(names) if each == name]
            places = np.flatnonzero(np.isin(rows, own))
            some = examples.take(places)
            some = some.with_column("row", np.searchsorted(own, some.dense("row")))
            predicted = self.tasks[name].predict(_Given([answers[place] for place in places]), some)
            for row, one in zip(own, predicted, strict=True):
                found[row] = one
        return found


def load_adapted(folder: Path) -> tuple[Tuned, Adapted]:
    """Read a checkpoint with all its adapters, and its router.

    Returns:
        how texts are encoded, with the task of the checkpoint or of its first adapter; and what answers them.

    Raises:
        UsageError: it has no adapters.
        ModelError: an adapter is of a kind that one batch cannot mix, or reads other texts; there is no router.
    """
    names = adapters.names(folder)
    if not names:
        raise UsageError("this checkpoint has no adapters", where=folder, hint="sixfold transfer makes some")
    from sixfold.models import load
    from sixfold.models.mixed import LowRank, Mixed
    from sixfold.score.routing import Router
    from sixfold.score.scorer import Scorer

    digest = digest_folder(folder)
    router = Router.load(folder / FOLDER, base=digest)
    told = {name: adapters.read(folder_of(folder, name)) for name in names}
    tuned = {name: of_adapter(one, folder) for name, one in told.items()}
    first = tuned[names[0]]
    odd = [name for name, one in tuned.items() if _reading(one) != _reading(first)]
    if odd:
        raise ModelError(
            "adapters that read texts of other lengths, or do other tasks, cannot answer in one batch",
            where=folder / FOLDER,
            found=f"{odd[0]} and {names[0]}",
            hint=f"name one: --adapter {names[0]}",
        )
    tasks: dict[str | None, Task] = {name: one.task for name, one in tuned.items()}
    if own := _own_task(folder):
        tasks = {None: own, **tasks}
    base = next(iter(tasks.values()))
    loaded = load(folder, base.head(), new_head=None not in tasks)
    low = {name: LowRank.of(folder_of(folder, name), base_digest=digest) for name in names}
    mixed = Mixed(loaded.model, low)
    found = replace(first, task=base, model=loaded.model, tokenizer=loaded.tokenizer, digest=digest)
    return found, Adapted(mixed, Scorer(mixed), tasks, router)


def _reading(one: Tuned) -> tuple[Any, ...]:
    """What one batch has in common."""
    return one.limit, one.on_long, one.task.name


def _own_task(folder: Path) -> Task | None:
    """The checkpoint's own task; None of a base that was not tuned."""
    from sixfold.score.tuned import task_of

    try:
        settings_of(folder)
    except ModelError:
        return None
    return task_of(folder)
