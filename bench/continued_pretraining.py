"""What going on from minilm-l6 with masked words gives: held-out loss on speeches, before and after one pass.

    SIXFOLD_DATA=... python bench/continued_pretraining.py

The base has no head for words, so a fresh one, tied to its embeddings, is trained with it: the loss before is that of
a random head. The text is that of us_presidential, a paragraph a document; one in fifty is held out, by its hash.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import machine


def trained(folder: Path, name: str, args: argparse.Namespace, **train: Any) -> dict[str, Any]:
    from rich.console import Console

    from sixfold.recipe import Told, one_stage, run

    source = Path(os.environ["SIXFOLD_DATA"]) / "us_presidential" / "*.txt"
    config = {
        "objective": "masked_lm",
        "base": "minilm-l6",
        "corpus": {"source": str(source), "held_out": 0.02},
        "context": 128,
        "train": {"epochs": args.epochs, "learning_rate": args.rate, "evaluations": 1e-9, **train},
    }
    console = Console(highlight=False, soft_wrap=True, quiet=not args.verbose)
    made = run(one_stage("pretrain", config, (), name=name, seed=args.seed), runs=folder, told=Told(console.print))
    return made.stages[-1].results


def line(name: str, evaluation: dict[str, Any], minutes: float | None = None) -> str:
    metrics = evaluation["metrics"]
    loss, low, high = (metrics["loss"][key] for key in ("value", "low", "high"))
    took = "" if minutes is None else f"{minutes:.1f}"
    return f"| {name} | {loss:.3f} [{low:.3f}, {high:.3f}] | {100 * metrics['accuracy']['value']:.1f} | {took} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as work:
        whole = trained(Path(work), "whole", args)
        print("| trained | held-out loss, nats a hidden token | accuracy | minutes |\n| --- | --- | --- | --- |")
        print(line("nothing", whole["before"]))
        print(line("base and head", whole["evaluations"]["held_out"], whole["training"]["seconds"] / 60), flush=True)


if __name__ == "__main__":
    main()
