"""A small csv, CoNLL rows, a recipe that trains in a second on a tiny base, and the command line called in process.

Nothing here asserts; what must hold stands in the tests.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

GOOD = ("good", "great", "love", "best", "like", "new")
BAD = ("bad", "poor", "hate", "worst", "lost", "old")
THINGS = ("film", "movie", "book", "hotel", "bank", "card", "city", "house", "dog", "cat")


def reviews(count: int) -> list[dict[str, str]]:
    """Distinct short reviews whose label is plain from one word."""
    rows = []
    for number in range(count):
        kind = GOOD if number % 2 else BAD
        first, second = THINGS[number % 10], THINGS[number // 10 % 10]
        word = kind[number // 2 % len(kind)]
        text = f"the {first} was {word} and the {second} {number}"
        rows.append({"text": text, "label": "good" if number % 2 else "bad"})
    return rows


def write_csv(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_conll(path: Path, count: int = 40) -> Path:
    """Sentences whose places and people are plain from the word."""
    lines = []
    for number in range(count):
        city = ("new", "york") if number % 3 else ("city",)
        lines += [f"i{number} O", "love O"]
        lines += [f"{word} {'I' if place else 'B'}-LOC" for place, word in enumerate(city)]
        lines += ["dog B-PER" if number % 2 else "today O", ""]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def recipe_of(source: Path, base: Path, **changes: Any) -> dict[str, Any]:
    """A recipe as plain data. ``train`` in ``changes`` is laid over the quick settings; other keys replace."""
    train = {"epochs": 2, "batch": 16, "learning_rate": 3e-3, "precision": "fp32", **changes.pop("train", {})}
    data = {"source": str(source), **changes.pop("data", {})}
    stage = {"task": "classify", "base": str(base), "data": data, "train": train, **changes}
    return {"name": "small", "seed": 5, "stages": [{"finetune": stage}]}


def write_recipe(path: Path, recipe: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def environment() -> dict[str, str]:
    return {"OMP_NUM_THREADS": "1", **os.environ, "COLUMNS": "200"}


def start(arguments: Sequence[object], folder: Path, **options: Any) -> subprocess.Popen[str]:
    """``sixfold ARGUMENTS`` as a process of its own."""
    command = [sys.executable, "-m", "sixfold", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, cwd=folder, env=environment(), text=True, **pipes)
