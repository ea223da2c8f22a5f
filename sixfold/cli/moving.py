"""Commands around domains: carry a model into several, and what lies beside a checkpoint for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sixfold.cli.options import Encoding, Runs, Seed, TaskName, pairs, recipe_module
from sixfold.cli.running import run_recipe

Domains = Annotated[list[str], typer.Argument(help="NAME=SOURCE of each domain, such as books=books.csv.")]


def transfer(
    domains: Domains,
    task: TaskName = "classify",
    base: Annotated[
        str, typer.Option(help="Catalogue name, checkpoint, run's folder, or hf:owner/name.")
    ] = "minilm-l6",
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            help="separate, mixture, adapters, shared_adapters, sequential; repeatable. The first three unless given."
        ),
    ] = None,
    zero_shot: Annotated[
        list[str] | None, typer.Option(help="NAME=SOURCE of a domain that is only tested on; repeatable.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Names the run.")] = None,
    encoding: Encoding = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE of the stage, such as adapter.kind=adalora or labels=union; repeatable."),
    ] = None,
    seed: Seed = 13,
    runs: Runs = Path("runs"),
) -> None:
    """Carry a base into several domains, in several ways; test each on all, and write a report with the matrix."""
    config: dict[str, Any] = {"task": task, "base": base}
    for key, given in (("domains", domains), ("zero_shot", zero_shot)):
        named = pairs(given, what="a domain is given as NAME=SOURCE", such="books=books.csv")
        if named:
            config[key] = {domain: {"source": source, "encoding": encoding} for domain, source in named.items()}
    if strategy:
        config["strategies"] = strategy
    recipe = recipe_module().one_stage("transfer", config, set_ or [], name=name or "transfer", seed=seed)
    run_recipe(recipe, runs)
