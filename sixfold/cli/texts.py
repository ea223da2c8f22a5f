"""Commands that change or explain texts: attack, explain, augment, mask."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sixfold.cli.options import (
    Checkpoint,
    Columns,
    Encoding,
    Seed,
    Source,
    Split,
    new_console,
    pairs,
)
from sixfold.errors import UsageError


def attack(
    checkpoint: Checkpoint,
    data: Annotated[str, typer.Option(help="Labelled rows: file, folder, glob, catalogue name, or hf:owner/name.")],
    attacks: Annotated[
        list[str] | None, typer.Option("--attack", help="deepwordbug, textfooler-offline, pwws ...; repeatable.")
    ] = None,
    split: Split = None,
    examples: Annotated[int, typer.Option(help="Rows to attack, drawn by the seed.")] = 1_000,
    budget: Annotated[int, typer.Option(help="Queries that each row may cost.")] = 2_000,
    goal: Annotated[str | None, typer.Option(help="untargeted, targeted or margin; entities.")] = None,
    target: Annotated[str | None, typer.Option(help="Of the goal targeted: the label wanted.")] = None,
    bound: Annotated[
        float | None, typer.Option(help="Of margin: how far a wrong label is ahead; of entities: share to be found.")
    ] = None,
    words: Annotated[
        str | None, typer.Option(help="Of bert-attack and bae: a masked language model, such as a pretrained run.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="The sentence encoder; minilm-l6 for English unless given.")
    ] = None,
    entity_words: Annotated[
        bool, typer.Option("--entity-words", help="Words of entities may change too: the right tags may not hold then.")
    ] = False,
    precision: Annotated[
        str,
        typer.Option(
            help="Of the searches: fp32, or compiled, bf16, int8 or auto where it pays; finds are confirmed in fp32."
        ),
    ] = "fp32",
    column: Columns = None,
    encoding: Encoding = None,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="The folder of the results; attacks/NAME unless given.")] = None,
) -> None:
    """Attack a fine-tuned model: keep the texts on which it errs, and write a report."""
    from sixfold.commands.attack import Plan
    from sixfold.commands.attack import run as command

    plan = Plan(
        checkpoint,
        data,
        tuple(attacks or ()),
        split=split,
        columns=pairs(column),
        encoding=encoding,
        goal=goal,
        target=target,
        bound=bound,
        examples=examples,
        budget=budget,
        seed=seed,
        words=words,
        encoder=encoder,
        entity_words=entity_words,
        precision=precision,  # type: ignore[arg-type]
    )
    console = new_console()
    folder = command(plan, out, console=console)
    console.print(f"report: {folder / 'report.html'}")


def explain(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint, or a run's folder; or a decoder.")],
    text: Annotated[str | None, typer.Argument(help="The text whose answer is explained.")] = None,
    data: Annotated[
        str | None, typer.Option(help="Rows in place of a text: file, folder, glob, catalogue name, or hf:owner/name.")
    ] = None,
    methods: Annotated[
        list[str] | None, typer.Option("--method", help="occlusion, lime, shap, integrated-gradients ...; repeatable.")
    ] = None,
    by: Annotated[str, typer.Option(help="What is marked: words, subwords, sentences or characters.")] = "words",
    label: Annotated[
        str | None, typer.Option("--class", help="The answer that is explained; the model's own unless given.")
    ] = None,
    filling: Annotated[
        str | None, typer.Option(help="How parts are taken away: delete, or mask (always, where words are tagged).")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Copies of each text; each method's own number otherwise.")
    ] = None,
    window: Annotated[int, typer.Option(help="Of occlusion: neighbours that are left out together.")] = 1,
    split: Split = None,
    examples: Annotated[int, typer.Option(help="Rows to explain, drawn by the seed.")] = 100,
    column: Columns = None,
    encoding: Encoding = None,
    seed: Seed = 0,
    precision: Annotated[
        str, typer.Option(help="Of a classifier's answers: fp32, or compiled, bf16, int8 or auto where it pays.")
    ] = "fp32",
    html: Annotated[Path | None, typer.Option(help="Write one self-contained HTML page here too.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Why a model answers so: a text's words coloured by weight; of a file, words that matter and shortcuts."""
    from sixfold.commands.explain import Plan, page
    from sixfold.commands.explain import run as command
    from sixfold.report.page import write
    from sixfold.stages.context import as_json

    plan = Plan(
        checkpoint,
        text,
        data,
        tuple(methods or ()),
        by=by,
        label=label,
        filling=filling,
        samples=samples,
        window=window,
        split=split,
        columns=pairs(column),
        encoding=encoding,
        examples=examples,
        seed=seed,
        precision=precision,
    )
    console = new_console(stderr=json)
    found = command(plan, console=console, quiet=json)
    if json:
        sys.stdout.write(as_json(found.result) + "\n")
    if html is not None:
        write(page(found), html)
        console.print(f"report: {html}")


def augment(
    source: Source,
    out: Annotated[Path, typer.Option(help="The file that is written, a .jsonl.")],
    using: Annotated[
        list[str] | None,
        typer.Option("--with", help="eda unless given; aeda, typos, or a transformation's name; repeatable."),
    ] = None,
    times: Annotated[int, typer.Option(help="Texts made of one row by each, at most.")] = 4,
    seed: Annotated[int, typer.Option(help="Everything random follows from it, and from the row's content.")] = 13,
    task: Annotated[str | None, typer.Option(help="classify or entities; by the columns unless given.")] = None,
    split: Annotated[str, typer.Option(help="Whose rows. Only theirs are written.")] = "train",
    keep_original: Annotated[bool, typer.Option(help="Write the rows themselves too, first.")] = True,
    words: Annotated[
        str | None, typer.Option(help="Of bert-attack and the bae ones: the masked language model they ask.")
    ] = None,
    column: Columns = None,
    encoding: Encoding = None,
) -> None:
    """More rows out of some: texts changed so that the label stays. JSON lines with two more columns."""
    from sixfold.commands.augment import augment as made
    from sixfold.commands.augment import told

    console = new_console()
    counts = made(
        source,
        out,
        using=using or ["eda"],
        times=times,
        seed=seed,
        task=task,
        columns=pairs(column),
        split=split,
        keep_original=keep_original,
        encoding=encoding,
        words=words,
        tell=console.print,
    )
    for line in told(counts, out):
        console.print(line, markup=False)


def mask(
    source: Annotated[str, typer.Argument(help="A file; - reads text from standard input.")] = "-",
    out: Annotated[Path | None, typer.Option(help="Write here instead of to standard output.")] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="label, redact, partial, hash, pseudonym, keep; or TYPE=POLICY; repeatable."),
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The file with the key of hash, pseudonym and the vault.")] = None,
    vault: Annotated[Path | None, typer.Option(help="An encrypted file that keeps what was masked.")] = None,
    days: Annotated[
        float | None, typer.Option(help="Of a new vault: how long it may be opened; 30 unless given.")
    ] = None,
    restore: Annotated[bool, typer.Option("--restore", help="Put back what the vault holds.")] = False,
    names: Annotated[
        list[str] | None, typer.Option(help="A checkpoint for entities that finds names; repeatable.")
    ] = None,
    type_: Annotated[list[str] | None, typer.Option("--type", help="Mask this type alone; repeatable.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="Of a table: mask this column alone; repeatable.")] = None,
    encoding: Encoding = None,
) -> None:
    """Put something else in the place of personal data, in a file or a pipe; or restore it."""
    from sixfold.commands import mask as command

    plan = command.Plan(
        policy=tuple(policy or ()),
        key=key,
        vault=vault,
        days=days,
        names=tuple(names or ()),
        types=tuple(type_ or ()),
        columns=tuple(column or ()),
        encoding=encoding,
        restore=restore,
    )
    if source == "-" and out is not None:
        raise UsageError("what comes from standard input goes to standard output", found=f"--out {out}")
    told = new_console(stderr=True)
    if out is not None:
        told.print(command.told(command.file(plan, source, out), out), markup=False)
        return
    with command.output() as stream:
        work = (
            command.to_stream(plan, sys.stdin.buffer, stream) if source == "-" else command.file(plan, source, stream)
        )
        told.print(command.told(work), markup=False)
