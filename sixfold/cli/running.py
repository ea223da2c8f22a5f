"""Commands around a recipe and its runs: write one, check, plan, train, ask, measure, compare."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sixfold.cli.options import (
    Adapter,
    Checkpoint,
    Columns,
    Encoding,
    Header,
    Runs,
    Seed,
    Source,
    Split,
    TaskName,
    listed,
    new_console,
    pairs,
    recipe_module,
    stoppable,
    write_lines,
)
from sixfold.errors import UsageError
from sixfold.text.counting import counted
from sixfold.train.torchrun import started

if TYPE_CHECKING:
    from sixfold.recipe import Recipe


def run_recipe(recipe: Recipe, runs: Path) -> None:
    from sixfold.train.progress import shown

    recipes = recipe_module()
    from sixfold.train.processes import joined

    console = new_console()
    with joined(), stoppable(console) as stop:
        told = recipes.Told(console.print, lambda events: shown(events, console), stop)
        done = recipes.run(recipe, runs=runs, told=told)
    if done.checkpoint is not None:
        console.print(f"checkpoint: {done.checkpoint}")
    console.print(f"report: {done.report}")


def follows() -> bool:
    """Whether this process was started to help the first one train; it has then done so."""
    if started()[0] == 0:
        return False
    recipe_module()
    from sixfold.train.many import follow

    follow()
    return True


def run(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    runs: Runs = Path("runs"),
) -> None:
    """Run a recipe's stages in order; skip what is done, resume what broke."""
    if follows():
        return
    run_recipe(recipe_module().load(recipe), runs)


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

    told = new_console(stderr=json)
    found = planned(recipe_module().load(recipe), runs=runs, seconds=seconds, tell=told.print)
    if json:
        sys.stdout.write(as_json(found.to_dict()) + "\n")
        return
    new_console().print(shown(found))


def init(
    source: Annotated[str, typer.Argument(help="Your file: csv, xlsx, jsonl, conll …")],
    out: Annotated[Path | None, typer.Option(help="Where the recipe goes.")] = None,
    encoding: Encoding = None,
    force: Annotated[bool, typer.Option(help="Replace a recipe that is there.")] = False,
) -> None:
    """Look at a file, guess task and columns, say why, and write a recipe that runs."""
    from sixfold.commands import init as command

    command.run(source, out, encoding=encoding, force=force, console=new_console())


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
    base: Annotated[
        str | None, typer.Option(help="Of dialogue: show a conversation as this model will see it.")
    ] = None,
) -> None:
    """Show every problem of some rows at once, with counts, lines and how to mend it. Exit code 1 if there is one."""
    from sixfold.commands import check as command
    from sixfold.tasks.registry import task_class

    if task == "pretrain":
        command.run_corpus(
            source,
            document=document,  # type: ignore[arg-type]
            near=near,  # type: ignore[arg-type]
            columns=pairs(column),
            encoding=encoding,
            header=listed(header),
            console=new_console(),
        )
        return
    kind: Any = task_class(task)
    if several and kind.name != "text_classification":
        raise UsageError("--several only fits text_classification", found=f"--task {task}")
    made = kind(several=True) if several else kind()
    names = listed(header)
    checked = command.run(
        source, made.columns, columns=pairs(column), encoding=encoding, header=names, console=new_console()
    )
    if base is not None:
        if kind.name != "dialogue":
            raise UsageError("--base only fits dialogue", found=f"--task {task}")
        from sixfold.commands.seen import show_seen

        show_seen(source, base, encoding=encoding, columns=pairs(column), console=new_console())
    if checked.errors:
        raise typer.Exit(1)


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
    seed: Seed = 13,
    runs: Runs = Path("runs"),
) -> None:
    """Fine-tune a base on labelled rows, evaluate it, and write a report."""
    if follows():
        return
    from sixfold.commands.runs import run_name

    data = {"source": source, "encoding": encoding, "header": listed(header), "columns": pairs(column)}
    config = {"task": task, "base": base, "data": data}
    if scratch is not None:
        config["scratch"] = {"size": scratch}
    if base is None and scratch is None:
        config["base"] = "minilm-l6"
    recipe = recipe_module().one_stage("finetune", config, set_ or [], name=name or run_name(source), seed=seed)
    run_recipe(recipe, runs)


def audit(
    checkpoint: Checkpoint,
    data: Annotated[
        str | None, typer.Option(help="Labelled rows, training rows among them; those of its lineage unless given.")
    ] = None,
    gate: Annotated[
        list[str] | None, typer.Option(help="What must hold, such as 'accuracy >= 0.9'; repeatable. Else exit code 3.")
    ] = None,
    foreign: Annotated[str | None, typer.Option(help="Texts that the model is not for.")] = None,
    name: Annotated[str | None, typer.Option(help="Names the run.")] = None,
    column: Columns = None,
    encoding: Encoding = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE of the stage, such as attacked=50 or leave_out=[leakage]; repeatable."),
    ] = None,
    seed: Seed = 13,
    runs: Runs = Path("runs"),
) -> None:
    """Gather a checkpoint's evidence, judge gates, write a report and a model card. Exit code 3 if a gate fails."""
    from sixfold.commands.runs import called

    config: dict[str, Any] = {"base": checkpoint, "gates": gate or [], "foreign": foreign}
    if data is not None:
        config["data"] = {"source": data, "encoding": encoding, "columns": pairs(column)}
    elif column or encoding:
        raise UsageError("--column and --encoding are of --data", hint="name the rows: --data FILE")
    named = name or f"audit-{called(checkpoint)}"
    run_recipe(recipe_module().one_stage("audit", config, set_ or [], name=named, seed=seed), runs)


def predict(
    checkpoint: Checkpoint,
    source: Annotated[str, typer.Argument(help="A file of rows; - reads texts from standard input, one a line.")] = "-",
    out: Annotated[Path | None, typer.Option(help="Write here instead of to standard output.")] = None,
    adapter: Adapter = None,
    column: Columns = None,
    encoding: Encoding = None,
) -> None:
    """Answer texts: JSON lines out, one a row. Memory does not grow with the file."""
    from sixfold.commands.predict import Model, json_lines, text_lines, written

    model = Model.load(checkpoint, adapter=adapter, columns=pairs(column))
    if source == "-":
        answers = model.predict_lines(text_lines(sys.stdin.buffer, encoding))
    else:
        answers = model.predict_file(source, encoding=encoding)
    if out is None:
        write_lines(json_lines(answers))
        return
    count = written(json_lines(answers), out)
    new_console(stderr=True).print(f"{counted(count, 'answer')} in {out}")


def evaluate(
    checkpoint: Checkpoint,
    source: Source,
    split: Split = None,
    adapter: Adapter = None,
    column: Columns = None,
    encoding: Encoding = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Measure a checkpoint on labelled rows, with counts and 95 % intervals."""
    from sixfold.commands.predict import Model
    from sixfold.commands.show import metrics_table
    from sixfold.stages.context import as_json

    result = Model.load(checkpoint, adapter=adapter).evaluate(
        source, split=split, columns=pairs(column), encoding=encoding
    )
    if json:
        sys.stdout.write(as_json(result) + "\n")
        return
    new_console().print(metrics_table(result))


def report(run: Annotated[Path, typer.Argument(help="A run's folder.")]) -> None:
    """Write a run's report again."""
    from sixfold.commands.report import write_report

    new_console().print(f"report: {write_report(run)}")


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
    console = new_console()
    console.print(table(found))
    if html is not None:
        write(page(found), html)
        console.print(f"report: {html}")


def prune(
    runs: Annotated[Path, typer.Argument(help="The folder that holds the runs, or one run.")] = Path("runs"),
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it, only say what would go.")] = False,
) -> None:
    """Free disk: saved states of finished stages, half-written folders, and the cache's rows. Says first what goes."""
    from sixfold.commands.prune import prune as prune_runs
    from sixfold.commands.prune import told

    console = new_console()
    for line in told(prune_runs(runs, delete=yes), deleted=yes):
        console.print(line)


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
