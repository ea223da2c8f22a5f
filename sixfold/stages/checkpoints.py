"""The checkpoint that a stage works on: named in the recipe, or left by the stage before."""

from __future__ import annotations

from pathlib import Path

from sixfold.errors import UsageError
from sixfold.models.resolve import resolve
from sixfold.stages.context import Context


def checkpoint_of(base: str | None, context: Context, *, to: str) -> Path:
    """Its folder.

    Args:
        base: a checkpoint, or a run's folder, whose last one is meant; the stage before unless given.
        to: what the stage does, such as ``harden``.

    Raises:
        UsageError: there is none.
    """
    if base is None:
        if context.parent is None:
            raise UsageError(
                f"there is nothing to {to}",
                where=to,
                hint=f"set base to a checkpoint or its run's folder, or put a stage before {to} that makes one",
            )
        return context.parent
    folder = Path(base)
    if folder.is_dir() and not (folder / "config.json").is_file():
        inside = sorted(folder.glob("checkpoint/config.json")) or sorted(folder.glob("*/checkpoint/config.json"))
        if inside:
            return inside[-1].parent
    return resolve(base).folder
