"""Commands around conversations: tune a model on them, talk with it, write it out for other engines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sixfold.cli.options import Checkpoint, Columns, Encoding, Runs, Seed, Source, new_console, pairs, recipe_module
from sixfold.cli.running import run_recipe

Engine = Annotated[str, typer.Option(help="torch, or fast (openvino-genai; for Llama and Qwen on a processor).")]


def converse(
    source: Source,
    base: Annotated[str, typer.Option(help="A decoder: catalogue name, folder, or hf:owner/name.")] = "smollm2-135m",
    objective: Annotated[str, typer.Option(help="dialogue, or preference for pairs of answers.")] = "dialogue",
    lora: Annotated[bool, typer.Option("--lora", help="Learn low-rank updates in place of the whole model.")] = False,
    name: Annotated[str | None, typer.Option(help="Names the run.")] = None,
    column: Columns = None,
    encoding: Encoding = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE of the stage, such as train.epochs=2 or context=1024; repeatable."),
    ] = None,
    seed: Seed = 13,
    runs: Runs = Path("runs"),
) -> None:
    """Tune a decoder on conversations, measure it before and after, and write a report."""
    from sixfold.commands.runs import run_name

    data = {"source": source, "encoding": encoding, "columns": pairs(column)}
    config: dict[str, Any] = {"objective": objective, "base": base, "data": data}
    if lora:
        config["lora"] = {}
    recipe = recipe_module().one_stage("converse", config, set_ or [], name=name or run_name(source), seed=seed)
    run_recipe(recipe, runs)


def chat(
    checkpoint: Checkpoint,
    system: Annotated[str | None, typer.Option(help="A system prompt.")] = None,
    engine: Engine = "torch",
    temperature: Annotated[float, typer.Option(help="0 always says the likeliest.")] = 0.7,
    top_p: Annotated[float, typer.Option(help="Only the likeliest tokens of together this probability.")] = 0.9,
    new_tokens: Annotated[int, typer.Option(help="Most tokens of an answer.")] = 256,
    seed: Seed = 13,
) -> None:
    """Talk with a checkpoint. /reset forgets, /system TEXT instructs, /retry asks again, /save FILE, /quit."""
    from sixfold.commands.chat import Chat, talk
    from sixfold.generate.requests import Sampling

    sampling = Sampling(temperature=temperature, top_p=top_p, seed=seed)
    made = Chat.load(checkpoint, engine=engine, sampling=sampling, new_tokens=new_tokens, system=system)
    talk(made, new_console())


def export(
    checkpoint: Checkpoint,
    to: Annotated[str, typer.Option(help="gguf: one file for llama.cpp, openvino-genai and others.")] = "gguf",
    kind: Annotated[str, typer.Option(help="f16, q8_0 or f32.")] = "f16",
    out: Annotated[Path | None, typer.Option(help="The file; beside a run's checkpoint unless given.")] = None,
) -> None:
    """Write a decoder's checkpoint as one file, with its tokenizer and chat template."""
    from sixfold.commands.export import run

    done = run(checkpoint, to=to, kind=kind, out=out)
    new_console().print(f"{done.path}: {done.bytes / 1e6:,.1f} MB, {done.tensors} tensors, {done.kind}")
    if done.wider:
        new_console().print(f"kept at f16, since their rows do not divide into blocks: {', '.join(done.wider)}")
