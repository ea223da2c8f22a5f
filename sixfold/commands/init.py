"""``sixfold init FILE``: look at a user's file, say what it seems to be, write a recipe that runs.

The guessing itself is in ``data/guessing.py``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from rich.console import Console

from sixfold.commands.runs import run_name
from sixfold.data.guessing import Guess, guess
from sixfold.errors import UsageError
from sixfold.fetch.folders import write_text

__all__ = ["Guess", "guess", "recipe_text", "run", "write_recipe"]

SEED = 13
_PLAIN = re.compile(r"[A-Za-z_\u4e00-\u9fff][\w./\-\u4e00-\u9fff]*")
_YAML_WORDS = frozenset(["true", "false", "yes", "no", "on", "off", "null", "y", "n", "~"])


def run(
    source: str,
    out: Path | None = None,
    *,
    format: str | None = None,  # noqa: A002
    encoding: str | None = None,
    force: bool = False,
    console: Console | None = None,
) -> Path:
    """Guess, say why, write the recipe; returns its path (``NAME.yaml`` in the current folder unless given)."""
    console = console or Console()
    found = guess(source, format=format, encoding=encoding)
    for sentence in found.why:
        console.print(f"  {sentence}", markup=False, highlight=False)
    path = write_recipe(found, out or Path(f"{_name(found.source)}.yaml"), force=force)
    console.print(f"Wrote {path}. Next: sixfold run {path}", markup=False, highlight=False)
    return path


def write_recipe(guess: Guess, path: Path, *, force: bool = False) -> Path:
    """Write the recipe, whole or not at all. The data's path in it is relative to the recipe's folder.

    Raises:
        UsageError: the file is there already.
        StorageError: it cannot be written.
    """
    if path.exists() and not force:
        raise UsageError("this recipe is there already", where=path, hint="give another name, or --force")
    write_text(path, recipe_text(guess, path.parent), parents=True)
    return path


def recipe_text(guess: Guess, folder: Path) -> str:
    """The recipe as YAML, with the reasons as comments."""
    lines = ["# Written by `sixfold init`, which saw this:", *(f"#   {_one_line(why)}" for why in guess.why), ""]
    lines += [f"name: {_scalar(_name(guess.source))}", f"seed: {SEED}", "stages:", "  - finetune:"]
    lines += [f"      task: {guess.task}"]
    if guess.base:
        lines += [f"      base: {guess.base}"]
    else:
        lines += ["      scratch: {size: tiny}  # a small encoder and its tokenizer, made from these texts"]
    lines += ["      data:", f"        source: {_scalar(_relative(guess.source, folder))}"]
    if guess.format:
        lines += [f"        format: {guess.format}"]
    if guess.encoding:
        lines += [f"        encoding: {guess.encoding}"]
    lines += [f"        columns: {_flow(guess.columns)}"]
    if guess.split:
        shares = ", ".join(f"{name}: {share:g}" for name, share in guess.split.items())
        lines += [f"        split: {{{shares}}}  # by content: a row stays in its split as the file grows"]
    return "\n".join(lines) + "\n"


def _flow(mapping: dict[str, str]) -> str:
    return "{" + ", ".join(f"{role}: {_scalar(name)}" for role, name in mapping.items()) + "}"


def _scalar(value: str) -> str:
    """A string as a YAML scalar: plain where that is safe, otherwise in double quotes (JSON's are YAML's)."""
    if _PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)


def _one_line(sentence: str) -> str:
    return " ".join(sentence.split())


def _name(source: str) -> str:
    return run_name(source) or "run"


def _relative(source: str, folder: Path) -> str:
    """The path as seen from the recipe; names of the catalogue and of the hub stand as they are."""
    path = Path(source).expanduser()
    if not path.exists() and not any(mark in source for mark in "*?["):
        return source
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix() or "."
    except ValueError:
        return path.absolute().as_posix()
