"""What several commands share: their options, and how they print, stop and write."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sixfold.commands.pipe import let_go
from sixfold.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

Source = Annotated[str, typer.Argument(help="File, folder, glob, catalogue name, or hf:owner/name.")]
Encoding = Annotated[str | None, typer.Option(help="Encoding of text files; utf-8 unless given.")]
Columns = Annotated[list[str] | None, typer.Option("--column", help="ROLE=NAME, such as text=review; repeatable.")]
Header = Annotated[
    str | None,
    typer.Option(help="Of a csv, tsv or xlsx file without a header line: its columns' names, as text,label."),
]
Checkpoint = Annotated[str, typer.Argument(help="A checkpoint, or a run's folder.")]
Adapter = Annotated[str | None, typer.Option(help="One of the checkpoint's adapters; auto: each text goes to its own.")]
Split = Annotated[str | None, typer.Option(help="Which split; test if there is one.")]
Seed = Annotated[int, typer.Option(help="Everything random follows from it.")]
TaskName = Annotated[str, typer.Option("--task", help="classify, entities, or a task's full name.")]
Runs = Annotated[Path, typer.Option("--runs", help="Folder that holds the runs.")]


def new_console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


@contextmanager
def stoppable(console: Console) -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks the work to save and stop; a second one stops at once."""
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        console.print("  [yellow]stopping after this step (Ctrl-C again: at once)[/]")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


def recipe_module() -> ModuleType:
    """The module of recipes, with torch under it."""
    from sixfold.commands.importing import uncollected

    with uncollected():
        from sixfold import recipe
    return recipe


def write_lines(lines: Iterable[str]) -> None:
    """Lines to standard output. A reader that goes away (such as ``| head``) is no error."""
    try:
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        let_go()


def pairs(
    given: list[str] | None, *, what: str = "--column takes ROLE=NAME", such: str = "--column text=review"
) -> dict[str, str]:
    """``NAME=VALUE`` flags as a mapping.

    Args:
        what, such: what an error says of them, and an example.
    """
    out = {}
    for item in given or []:
        role, separator, name = item.partition("=")
        if not separator or not role or not name:
            raise UsageError(what, found=item, hint=f"such as {such}")
        if role in out:
            raise UsageError(f"{role} is given twice", found=item)
        out[role] = name
    return out


def listed(given: str | None) -> list[str] | None:
    return None if given is None else [name.strip() for name in given.split(",")]
