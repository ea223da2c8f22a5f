"""What ``mask: true`` does against memorisation: exposure of canaries with and without it.

    SIXFOLD_DATA=... python bench/canary_masking.py
    SIXFOLD_DATA=... python bench/canary_masking.py --documents 400 --epochs 2 --count 4     # to try it

A new decoder learns the speeches of tinyshakespeare, with passwords among them, each planted 1, 4 or 16 times; then the
audit stage measures it. Both runs have the same canaries, seed and passes; the one with the mask learns a keyed digest
in the place of each password. ``--base`` goes on from a decoder instead. Several ``--seeds`` draw other canaries, other
models and orders; each has rows of its own, as intervals are over the canaries of one model.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import machine

KEPT = ["personal_data"]
Result = dict[str, Any]


def source(folder: Path, documents: int | None) -> Path:
    """The speeches, one a paragraph; the first ones where fewer are wanted."""
    text = (Path(os.environ["SIXFOLD_DATA"]) / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    path = folder / "speeches.txt"
    path.write_text("\n\n".join(text.split("\n\n")[:documents]), encoding="utf-8")
    return path


def recipe(path: Path, args: argparse.Namespace, seed: int, mask: bool) -> Result:
    model: Result = {"base": args.base} if args.base else {"model": {"size": args.size}}
    if not args.base:
        model["tokenizer"] = {"kind": "bpe", "vocabulary": args.vocabulary}
    pretrain = {
        "objective": "causal_lm",
        "corpus": {"source": str(path), "document": "blank", "held_out": 0.1, "mask": mask},
        "context": args.context,
        "canaries": {"count": args.count, "repeats": args.repeats},
        "train": {"epochs": args.epochs, "evaluations": 1e-9},
        **model,
    }
    audit = {"leave_out": KEPT, "slices": [], "probed": args.probed}
    name = f"{'masked' if mask else 'plain'}-{seed}"
    return {"name": name, "seed": seed, "stages": [{"pretrain": pretrain}, {"audit": audit}]}


def done(folder: Path, path: Path, args: argparse.Namespace, seed: int, mask: bool) -> tuple[Result, Result]:
    """The results of both stages."""
    from rich.console import Console

    from sixfold.recipe import Told, parse, run

    console = Console(highlight=False, soft_wrap=True, quiet=not args.verbose)
    made = run(parse(recipe(path, args, seed, mask)), runs=folder / "runs", told=Told(console.print))
    first, second = (stage.results for stage in made.stages)
    return first, second


def interval(metric: Result, digits: int = 1, scale: float = 1.0) -> str:
    """A figure with its interval, or alone where it has none: all are equal, as at the cap."""
    ends = [metric[end] for end in ("value", "low", "high")]
    value, low, high = ("" if end is None else f"{scale * end:.{digits}f}" for end in ends)
    return f"{value} [{low}, {high}]" if low and high else value


def exposures(name: str, seed: int, audit: Result) -> Iterator[str]:
    """A row for each level of repeats."""
    leakage = audit["parts"]["leakage"]
    finished = {one["repeats"]: one["metric"] for one in leakage["finished"]}
    for level in leakage["canaries"]["levels"]:
        repeats, above = level["repeats"], level["above_controls"]
        yield (
            f"| {name} | {seed} | {repeats or 'never'} | {level['mean']['count']} | {interval(level['mean'])} | "
            f"{'' if above is None else interval(above)} | {level['at_cap']} | "
            f"{interval(finished[repeats], 0, 100)} |"
        )


def quality(name: str, seed: int, pretrain: Result, audit: Result) -> str:
    """The row of a model."""
    metrics = audit["metrics"]
    written = interval(metrics["extracted"], 1, 100) if "extracted" in metrics else "not asked"
    return (
        f"| {name} | {seed} | {pretrain['parameters']:,} | {interval(metrics['loss'], 3)} | "
        f"{interval(metrics['membership_auc'], 1, 100)} | {written} | {pretrain['training']['seconds'] / 60:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[13])
    parser.add_argument("--base")
    parser.add_argument("--size", default="mini")
    parser.add_argument("--vocabulary", type=int, default=2000)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--epochs", type=float, default=4.0)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--repeats", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--documents", type=int, help="left out: all")
    parser.add_argument("--probed", type=int, default=500)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    print(machine(), flush=True)
    rows: list[str] = []
    models: list[str] = []
    spaces: list[Result] = []
    with tempfile.TemporaryDirectory() as work:
        path = source(Path(work), args.documents)
        for seed in args.seeds:
            for mask in (False, True):
                pretrain, audit = done(Path(work), path, args, seed, mask)
                name = "masked" if mask else "as it is"
                rows += exposures(name, seed, audit)
                models.append(quality(name, seed, pretrain, audit))
                spaces = audit["parts"]["leakage"]["canaries"]["spaces"]
                print(models[-1], flush=True)
    print("\n| text | seed | planted | canaries | exposure, bits | above controls | at the cap | finished, % |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    print("\n".join(rows))
    print("\n| text | seed | parameters | held-out loss | membership AUC, % | documents written out, % | minutes |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print("\n".join(models))
    cap, chance = (", ".join(dict.fromkeys(f"{one[key]:.2f}" for one in spaces)) for key in ("cap", "chance"))
    print(
        f"\nExposure: at most {cap} bits can be told, chance gives {chance}. Finished: of half of a secret, the rest."
    )


if __name__ == "__main__":
    main()
