"""Texts a second of the scorer against transformers' pipeline at several batch sizes, in turns; and whose labels agree.

    SIXFOLD_DATA=... python bench/scoring_speed.py ag CHECKPOINT

From strings to labels on both sides, fp32 unless ``--precision`` says otherwise; every text is scored once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.finetune_speed import PEER
from bench.sides import Slicer, machine, peer_python, take_slices

HERE = Path(__file__).parent


def worker(args: argparse.Namespace) -> None:
    """Sixfold's side: ``Model.predict``, which a user calls."""
    from sixfold.commands.predict import Model

    model = Model.load(args.checkpoint, precision=args.precision)
    texts = json.loads(Path(args.texts).read_text(encoding="utf-8"))
    model.predict(texts[:8])
    print(json.dumps({"ready": len(texts)}), flush=True)
    for line in sys.stdin:
        start, end = (int(word) for word in line.split()[1:])
        begun = time.perf_counter()
        labels = [answer["label"] for answer in model.predict(texts[start:end])]
        seconds = time.perf_counter() - begun
        print(json.dumps({"slice": [start, end], "seconds": seconds, "labels": labels}), flush=True)


def compare(args: argparse.Namespace) -> None:
    from sixfold.commands.predict import Model, checkpoint_of

    python = peer_python("trainer", PEER)
    checkpoint = checkpoint_of(Path(args.checkpoint))
    limit = Model.load(checkpoint).limit
    path = Path(os.environ["SIXFOLD_DATA"]) / "textfooler_1k" / args.data
    texts = [line.strip().partition(" ")[2] for line in path.read_text(encoding="utf-8").splitlines()][: args.examples]
    with tempfile.TemporaryDirectory() as work:
        file = Path(work) / "texts"
        file.write_text(json.dumps(texts), encoding="utf-8")
        common = ["--checkpoint", str(checkpoint), "--texts", str(file)]
        peer = [str(python), str(HERE / "peers" / "pipeline_turns.py"), *common, "--limit", str(limit)]
        sides = [
            Slicer("Sixfold", [sys.executable, __file__, "worker", *common, "--precision", args.precision]),
            *(Slicer(f"pipeline, batch {size}", [*peer, "--batch", str(size)]) for size in args.batches),
        ]
        take_slices(sides, len(texts), args.slices)
    print(f"{len(texts):,} texts of {args.data}, {args.precision}, {args.slices} slices; {machine()}\n")
    print("| side | texts/s | Sixfold is | same label as Sixfold |\n| --- | --- | --- | --- |")
    for side in sides:
        same = sum(one == other for one, other in zip(side.all("labels"), sides[0].all("labels"), strict=True))
        ratio = side.seconds / sides[0].seconds
        print(f"| {side.name} | {len(texts) / side.seconds:.1f} | {ratio:.2f}x | {same:,} of {len(texts):,} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    if len(sys.argv) > 1 and sys.argv[1] == "worker":
        parser.add_argument("worker")
        parser.add_argument("--checkpoint", required=True)
        parser.add_argument("--texts", required=True)
    else:
        parser.add_argument("data", choices=["ag", "mr", "imdb"])
        parser.add_argument("checkpoint")
        parser.add_argument("--examples", type=int, default=1000)
        parser.add_argument("--slices", type=int, default=4)
        parser.add_argument("--batches", nargs="*", type=int, default=[1, 8, 32])
    parser.add_argument("--precision", choices=["fp32", "bf16", "int8"], default="fp32")
    args = parser.parse_args()
    worker(args) if hasattr(args, "worker") else compare(args)


if __name__ == "__main__":
    main()
