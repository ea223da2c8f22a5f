"""The command line: parse, call, print. Nothing is computed here; what a command needs is imported when it runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sixfold import __version__
from sixfold.cli import adapters, groups, moving, running, talking, texts
from sixfold.cli.options import new_console
from sixfold.errors import Interrupted, SixfoldError, UsageError
from sixfold.train.torchrun import started

__all__ = ["app", "main"]

app = typer.Typer(
    name="sixfold",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(groups.models_app, name="models", invoke_without_command=True)
app.add_typer(adapters.adapters_app, name="adapters", no_args_is_help=True)
app.add_typer(groups.tokenizer_app, name="tokenizer", no_args_is_help=True)
app.add_typer(groups.data_app, name="data", invoke_without_command=True)
app.add_typer(groups.words_app, name="words", invoke_without_command=True)
for _command in (
    *(running.run, running.plan, running.init, running.check, running.finetune, talking.converse),
    *(moving.transfer, running.audit),
    *(running.predict, running.evaluate, talking.chat, talking.export),
    *(texts.attack, texts.explain, texts.augment, texts.mask),
    *(running.report, running.compare, running.prune, running.schema),
):  # in the order of --help
    app.command()(_command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sixfold {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take a language model through its whole life on hardware your team owns."""
    rank, world = started()
    if world == 1 or context.invoked_subcommand in ("run", "finetune"):
        return
    if rank:
        raise typer.Exit(UsageError.exit_code)  # the first process says why
    raise UsageError(
        "only run and finetune work in several processes",
        found=f"{context.invoked_subcommand}, started in {world} by torchrun",
        hint="start it without torchrun",
    )


def _usage_error() -> type[Exception]:
    """Typer's own error for wrong flags; it carries its click under a private name, so it is found by kinship."""
    return next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def main() -> None:
    """Run the command line; every error of ours is one message and an exit code."""
    try:
        code = app(standalone_mode=False)
    except SixfoldError as error:
        new_console(stderr=True).print(
            str(error), style="yellow" if isinstance(error, Interrupted) else None, markup=False
        )
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        new_console(stderr=True).print("stopped")
        code = Interrupted.exit_code
    except OSError as error:
        # a full disk, no permission, a file where a folder should be: whichever file it was
        told = f"{error.strerror or error}\n  where: {error.filename or 'unknown'}"
        new_console(stderr=True).print(told, markup=False)
        code = SixfoldError.exit_code
    except _usage_error() as error:
        error.show()  # type: ignore[attr-defined]
        code = UsageError.exit_code
    sys.exit(code if isinstance(code, int) else 0)
