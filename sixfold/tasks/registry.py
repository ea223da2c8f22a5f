"""The tasks by name. Adding a task is adding its file and one row here."""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

from sixfold.errors import unknown
from sixfold.tasks.contract import Task

TASKS = {
    "text_classification": "TextClassification",
    "token_classification": "TokenClassification",
    "dialogue": "Dialogue",
    "preference": "Preference",
    "embedding": "Embedding",
}

SHORT = {
    "classify": "text_classification",
    "sentiment": "text_classification",
    "topic": "text_classification",
    "intent": "text_classification",
    "entities": "token_classification",
    "ner": "token_classification",
    "tag": "token_classification",
    "chat": "dialogue",
    "dpo": "preference",
    "embed": "embedding",
    "similarity": "embedding",
}
"""Other words that people use for a task."""


def full_name(name: str) -> str:
    """The task's own name. Raises UsageError with the nearest one for a name that is none."""
    found = SHORT.get(name, name)
    if found not in TASKS:
        raise unknown("task", name, [*TASKS, *SHORT])
    return found


def task_class(name: str) -> type[Task]:
    """The class of a task, by its name or a short one."""
    found = full_name(name)
    return cast(type[Task], getattr(import_module(f"sixfold.tasks.{found}"), TASKS[found]))


def from_settings(settings: dict[str, Any]) -> Task:
    """The task that ``settings_of`` described."""
    rest = {key: value for key, value in settings.items() if key != "task"}
    return cast(Any, task_class(settings["task"]))(**rest)


def settings_of(task: Task) -> dict[str, Any]:
    """The task as plain data for a checkpoint."""
    return {"task": task.name, **task.settings()}
