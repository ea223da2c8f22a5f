"""Commands around the adapters beside a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sixfold.cli.options import Checkpoint, new_console

adapters_app = typer.Typer(help="Adapters beside a checkpoint: one base, many tasks.", rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="The adapter's name.")]


@adapters_app.command("list")
def adapters_list(checkpoint: Checkpoint) -> None:
    """List the adapters of a checkpoint, and whether they belong to it."""
    from sixfold.commands.adapters import table
    from sixfold.commands.show import adapters_table

    new_console().print(adapters_table(table(checkpoint)))


@adapters_app.command("add")
def adapters_add(
    checkpoint: Checkpoint,
    folder: Annotated[Path, typer.Argument(help="The adapter's folder; it is copied.")],
    name: Annotated[str, typer.Option(help="What it is called from now on.")],
) -> None:
    """Put an adapter beside the checkpoint that it was made on."""
    from sixfold.commands.adapters import add

    new_console().print(f"{name}: {add(checkpoint, folder, name)}", markup=False)


@adapters_app.command("remove")
def adapters_remove(checkpoint: Checkpoint, name: Name) -> None:
    """Delete an adapter."""
    from sixfold.commands.adapters import remove

    new_console().print(f"deleted {remove(checkpoint, name)}", markup=False)


@adapters_app.command("merge")
def adapters_merge(
    checkpoint: Checkpoint,
    name: Name,
    to: Annotated[Path, typer.Option(help="The new checkpoint's folder.")],
) -> None:
    """Write a checkpoint with an adapter merged into it, which needs the adapter no more."""
    from sixfold.commands.adapters import merge

    new_console().print(f"checkpoint: {merge(checkpoint, name, to)}", markup=False)
