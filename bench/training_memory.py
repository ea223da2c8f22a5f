"""Resident memory of a whole pretraining from a large corpus: it must not grow with the corpus.

    python bench/training_memory.py --megabytes 2000

The corpus is made like that of ``corpus_memory.py``. A tiny decoder is pretrained on it by ``sixfold run``: it is read,
freed of copies and near-copies, encoded onto disk, and then learnt from for ``--steps`` steps, drawn from all of
it. Memory of its own (RssAnon) counts; pages of mapped files are the system's to take back.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.corpus_memory import POLL_SECONDS, resident, write
from bench.sides import ROOT, machine

CONTEXT, BATCH = 256, 8
BLOCK = 40_000_000


def write_large(path: Path, size: int) -> None:
    """A corpus of at least ``size`` bytes: one of ``BLOCK`` bytes again and again, in another cipher each time.

    Drawing all of it letter by letter takes most of an hour. A cipher keeps the lengths and makes other words, so that
    no block is a copy of another.
    """
    block = path.with_suffix(".block")
    write(block, min(size, BLOCK))
    text, draw = block.read_text(encoding="utf-8"), random.Random(14)
    kinds = [
        [one for one in set(text) if one != "\n" and one != " " and (ord(one) > 127) == han] for han in (False, True)
    ]
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < size:
            table = {}
            for letters in map(sorted, kinds):
                table |= dict(zip(letters, draw.sample(letters, len(letters)), strict=True))
            file.write(text.translate(str.maketrans(table)))
    block.unlink()


def recipe(source: Path, epochs: float) -> str:
    stage = {
        "objective": "causal_lm",
        "corpus": {"source": str(source)},
        "tokenizer": {"vocabulary": 4000},
        "model": {"size": "tiny"},
        "context": CONTEXT,
        "train": {"epochs": epochs, "batch": BATCH, "evaluations": 1e-9},
    }
    return json.dumps({"name": "large", "stages": [{"pretrain": stage}]})


def watched(command: list[str], folder: Path) -> None:
    """Run it, and print the most memory before training and while it trains, as its event log tells."""
    environment = {**os.environ, "SIXFOLD_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, cwd=folder)
    most: dict[str, tuple[float, float]] = {}
    begun = dict.fromkeys(("before training", "training"), 0.0)
    phase, start = "before training", time.monotonic()
    while process.poll() is None:
        if phase == "before training" and any(folder.glob("runs/*/*/training/events.jsonl")):
            begun[phase], phase, start = time.monotonic() - start, "training", time.monotonic()
        own, mapped = resident(process.pid)
        before = most.get(phase, (0.0, 0.0))
        most[phase] = (max(before[0], own), max(before[1], mapped))
        time.sleep(POLL_SECONDS)
    begun[phase] = time.monotonic() - start
    print("| phase | seconds | own MB, at most | mapped MB, at most |\n| --- | --- | --- | --- |")
    for name, (own, mapped) in most.items():
        print(f"| {name} | {begun[name]:.0f} | {own:.0f} | {mapped:.0f} |")
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--source", type=Path, help="a corpus that is there already")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        source = args.source or folder / "corpus.txt"
        if args.source is None:
            write_large(source, args.megabytes * 1_000_000)
        size = source.stat().st_size
        print(f"{machine()}: {size / 1e6:.0f} MB", flush=True)
        # Half the bytes are of words (about three a token), half Chinese (three bytes a character).
        epochs = args.steps * CONTEXT * BATCH / (size / 3)
        (folder / "recipe.yaml").write_text(recipe(source, epochs), encoding="utf-8")
        watched([sys.executable, "-m", "sixfold", "run", str(folder / "recipe.yaml")], folder)


if __name__ == "__main__":
    main()
