"""A checkpoint that ``finetune`` wrote, read together with the task it was tuned for.

What takes seconds to import is imported where it is needed, so that a wrong folder is told at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sixfold.errors import ModelError
from sixfold.models import adapters
from sixfold.tasks.masking import Voting

if TYPE_CHECKING:
    from sixfold.models.adapters import Told
    from sixfold.models.load import Loaded
    from sixfold.tasks.contract import OnLong, Task

_OURS = ("max_tokens", "on_long", "columns", "votes")
"""Settings of a checkpoint that are not the task's."""


@dataclass(frozen=True)
class Tuned:
    """A checkpoint with its task.

    Attributes:
        folder: where it lies.
        task: knows labels, thresholds and temperature.
        model, tokenizer: the checkpoint's.
        limit: tokens an example may have.
        on_long: what happens to a longer text.
        digest: names the checkpoint's content.
        columns: role to column, as the training file had them.
        voting: how it answers by votes; None where it is asked once.
    """

    folder: Path
    task: Task
    model: Any
    tokenizer: Any
    limit: int
    on_long: OnLong
    digest: str
    columns: Mapping[str, str]
    voting: Voting | None = None

    @classmethod
    def of(cls, loaded: Loaded, folder: Path) -> Tuned:
        """A model that was loaded from a checkpoint already."""
        settings = settings_of(folder)
        return cls(
            folder=folder,
            task=task_of(folder),
            model=loaded.model,
            tokenizer=loaded.tokenizer,
            limit=settings["max_tokens"],
            on_long=settings["on_long"],
            digest=loaded.digest,
            columns=settings.get("columns", {}),
            voting=Voting.of(settings.get("votes")),
        )


def settings_of(folder: Path) -> dict[str, Any]:
    """What a checkpoint keeps of its task.

    Raises:
        ModelError: it is damaged, or was not fine-tuned.
    """
    try:
        settings = dict(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("sixfold") or {})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError("the checkpoint's config.json is damaged", where=folder, found=error) from error
    if not {"task", "max_tokens", "on_long"} <= settings.keys():
        names = adapters.names(folder)
        raise ModelError(
            "this model was not fine-tuned by sixfold: it has no task",
            where=folder,
            found=f"adapters: {', '.join(names)}" if names else None,
            hint=f"--adapter {names[0]}" if names else "tune it first: sixfold finetune --base " + str(folder),
        )
    return settings


def task_of(folder: Path) -> Task:
    """The task that a checkpoint was tuned for, without its model.

    Raises:
        ModelError: as ``settings_of``, or the task has settings that this version does not know.
        UsageError: it is none that there is.
    """
    return _task(settings_of(folder), folder)


def _task(settings: Mapping[str, Any], folder: Path) -> Task:
    from sixfold.tasks.registry import from_settings

    try:
        return from_settings({key: settings[key] for key in settings if key not in _OURS})
    except TypeError as error:
        raise ModelError(
            "the checkpoint's task has settings that this version does not know",
            where=folder / "config.json",
            found=error,
            hint="it may be of a newer sixfold: upgrade, or tune it again",
        ) from error


def load_tuned(folder: Path, adapter: str | None = None) -> Tuned:
    """Read a checkpoint and its task, or those of one of its adapters.

    Raises:
        ModelError: it is no fine-tuned checkpoint, or is damaged.
        UsageError: its task is none that there is; it has no such adapter.
    """
    if adapter is not None:
        told = adapters.read(adapters.folder_of(folder, adapter))
        found = of_adapter(told, folder)
        loaded = adapters.load_adapted(folder, adapter)
        return replace(found, model=loaded.model, tokenizer=loaded.tokenizer, digest=loaded.digest)
    task = task_of(folder)
    from sixfold.models import load

    return Tuned.of(load(folder, task.head()), folder)


def of_adapter(told: Told, folder: Path) -> Tuned:
    """What an adapter keeps of its task; the model is not read yet.

    Raises:
        ModelError: it keeps none, such as one that another tool made.
    """
    settings = told.kept
    if not {"task", "max_tokens", "on_long"} <= settings.keys():
        raise ModelError("this adapter was not made by sixfold: it has no task", where=folder)
    return Tuned(
        folder=folder,
        task=_task(settings, folder),
        model=None,
        tokenizer=None,
        limit=settings["max_tokens"],
        on_long=settings["on_long"],
        digest=told.base_digest or "",
        columns=settings.get("columns", {}),
    )
