"""tinyshakespeare in the time that nanoGPT's published processor setting takes here, and with no more parameters.

    SIXFOLD_DATA=... python bench/tinyshakespeare.py

The peer (``bench/peers/small_gpt.py``) runs first and its training time is the budget. Then a decoder of at most as
many parameters is pretrained by the stage itself, on bytes, for as many passes as fit: a short run tells its speed.
Train is the first nine tenths of the text, and the last tenth is only measured on, in pieces of ``--context``.
``--tune`` measures on the last twentieth of train instead, for choosing settings.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import machine

HERE = Path(__file__).parent
MARGIN = 0.97
"""Of the budget: the speed is estimated from a part of the run."""


def config(work: Path, args: argparse.Namespace, epochs: float) -> dict[str, Any]:
    return {
        "objective": "causal_lm",
        "corpus": {
            "source": {"train": str(work / "train.txt"), "validation": str(work / "validation.txt")},
            "document": "file",
            "near": "off",
        },
        "tokenizer": {"kind": "bpe", "vocabulary": 260},
        "model": {"layers": args.layers, "width": args.width, "heads": args.heads, "inner": args.inner},
        "context": args.context,
        "train": {
            "epochs": epochs,
            "batch": args.batch,
            "evaluations": 1e-9,
            **({"muon_rate": args.muon_rate} if args.muon_rate else {}),
            **({"learning_rate": args.rate} if args.rate else {}),
            **({"precision": args.precision} if args.precision else {}),
        },
    }


def train(work: Path, args: argparse.Namespace, epochs: float, name: str) -> dict[str, Any]:
    from rich.console import Console

    from sixfold.recipe import Told, one_stage, run

    console = Console(highlight=False, soft_wrap=True, quiet=not args.verbose)
    recipe = one_stage("pretrain", config(work, args, epochs), (), name=name, seed=args.seed)
    return run(recipe, runs=work / "runs", told=Told(console.print)).stages[-1].results


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--budget", type=float, help="seconds; left out: what the peer takes")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--inner", type=int, default=320)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--batch", type=int, default=5)
    parser.add_argument("--muon-rate", type=float)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--precision")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    source = Path(os.environ["SIXFOLD_DATA"]) / "tinyshakespeare" / "input.txt"
    print(machine(), flush=True)
    budget = args.budget
    if budget is None:
        peer = [sys.executable, str(HERE / "peers" / "small_gpt.py"), str(source)]
        told = json.loads(subprocess.run(peer, capture_output=True, text=True, check=True).stdout)
        print("nanoGPT's setting:", told, flush=True)
        budget = told["seconds"]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        text = source.read_text(encoding="utf-8")
        cut, end = (0.85, 0.9) if args.tune else (0.9, 1.0)
        (work / "train.txt").write_text(text[: int(cut * len(text))], encoding="utf-8")
        (work / "validation.txt").write_text(text[int(cut * len(text)) : int(end * len(text))], encoding="utf-8")
        short = train(work, args, 0.1, "speed")["training"]["steps"]
        half = short[len(short) // 2 :]
        speed = sum(step["tokens"] for step in half) / sum(step["seconds"] for step in half)
        epochs = MARGIN * budget * speed / (cut * len(text))
        print(f"{speed:,.0f} tokens/s, so {epochs:.2f} passes in {budget:.1f} s", flush=True)
        results = train(work, args, epochs, "whole")
        found = results["evaluations"]["held_out"]["metrics"]
        print(
            f"context {args.context}, batch {args.batch}: {results['parameters']:,} parameters, "
            f"{results['training']['seconds']:.1f} s (budget {budget:.1f}); held out: "
            + ", ".join(f"{name} {value['value']:.4f}" for name, value in found.items())
        )


if __name__ == "__main__":
    main()
