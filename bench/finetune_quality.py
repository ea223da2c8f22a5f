"""Quality of fine-tuning with minilm-l6: three seeds, mean and spread, beside two baselines.

    SIXFOLD_DATA=... python bench/finetune_quality.py                 # everything; finished runs are skipped
    SIXFOLD_DATA=... python bench/finetune_quality.py --data trec --seeds 13

``sixfold`` is what the recipes in recipes/ use; ``plain`` is the usual recipe (5e-5, three epochs, no word shapes);
``frozen`` trains a linear head on the frozen base; the others are ``sixfold`` with one more dial. Choices were made on
validation rows only; test is read once a run.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import machine

RUNS = Path(__file__).resolve().parents[1] / ".bench" / "quality"
SEEDS = (13, 14, 15)

OURS: dict[str, dict[str, Any]] = {
    "conll2003_en": {"task": "entities", "train": {"epochs": 4}},
    "banking77": {
        "task": "classify",
        "data": {"overlaps": "remove", "allow": ["unseen"]},
        "train": {"epochs": 15, "patience": 5, "metric": "accuracy"},
    },
    "sst2_glue": {"task": "classify", "train": {"epochs": 3, "metric": "accuracy", "evaluations": 2}},
    "financial_phrasebank": {
        "task": "classify",
        "train": {"epochs": 6, "metric": "accuracy", "adversarial": {"method": "fgm"}},
    },
}
DATA = {"split": {"validation": 0.1, "test": 0.1}, "allow": ["overlaps", "unseen"]}
PLAIN = {"word_shapes": False, "train": {"epochs": 3, "learning_rate": 5e-5}}
FROZEN = {"word_shapes": False, "train": {"epochs": 5, "train_base": False}}
DIALS: dict[str, dict[str, Any]] = {
    "sixfold": {},
    "fgm": {"adversarial": {"method": "fgm"}},
    "without fgm": {"adversarial": None},
    "freelb": {"adversarial": {"method": "freelb"}},
    "r-drop": {"r_drop": 1.0},
    "neftune": {"noise": 5.0},
    "mixup": {"mixup": 0.2},
    "layer decay": {"layer_decay": 0.8},
    "rate 5e-5": {"learning_rate": 5e-5},
}


def config_of(name: str, variant: str) -> dict[str, Any]:
    """The stage's keys for one cell of the table."""
    ours = OURS[name]
    change: dict[str, Any] = {"plain": PLAIN, "frozen": FROZEN}.get(variant, {})
    train = {**ours["train"], **DIALS[variant]} if variant in DIALS else dict(change["train"])
    if variant not in DIALS and "metric" in ours["train"]:
        train["metric"] = ours["train"]["metric"]
    return {
        "task": ours["task"],
        "base": "minilm-l6",
        "on_long": "window",
        "data": {"source": name, **DATA, **ours.get("data", {})},
        **({"word_shapes": change["word_shapes"]} if "word_shapes" in change and ours["task"] == "entities" else {}),
        "train": train,
    }


def run_one(name: str, variant: str, seed: int, quiet: bool) -> dict[str, Any]:
    from rich.console import Console

    from sixfold.recipe import Told, one_stage, run
    from sixfold.train.progress import shown

    console = Console(highlight=False, quiet=quiet, soft_wrap=True)
    recipe = one_stage("finetune", config_of(name, variant), (), name=f"{name}-{variant}-{seed}", seed=seed)
    done = run(recipe, runs=RUNS, told=Told(console.print, lambda events: shown(events, console)))
    return done.stages[-1].results


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", nargs="*", default=list(OURS))
    parser.add_argument("--variants", nargs="*", default=["sixfold", "plain", "frozen"])
    parser.add_argument("--seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument(
        "--split", default="test", choices=["validation", "test"], help="choices are made on validation"
    )
    args = parser.parse_args()
    print(machine(), flush=True)
    print("| data | variant | metric | mean | sd | seeds | n | baseline | minutes a run |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name in args.data:
        for variant in args.variants:
            results = [run_one(name, variant, seed, not args.verbose) for seed in args.seeds]
            for line in lines(name, variant, results, args.split):
                print(line, flush=True)


def lines(name: str, variant: str, results: list[dict[str, Any]], split: str) -> list[str]:
    tests = [result["evaluations"][split] for result in results]
    keys = ("f1", "token_accuracy") if "token_accuracy" in tests[0]["metrics"] else ("accuracy", "macro_f1")
    out = []
    for key in keys:
        values = [100 * test["metrics"][key]["value"] for test in tests]
        spread = statistics.stdev(values) if len(values) > 1 else float("nan")
        baseline = tests[0]["baseline"]
        shown = (
            f"{100 * baseline['value']:.1f} ({tests[0]['baseline_label']})"
            if key in ("token_accuracy", "accuracy")
            else ""
        )
        minutes = statistics.fmean(result["training"]["seconds"] for result in results) / 60
        each = " ".join(f"{value:.2f}" for value in values)
        metric = tests[0]["metrics"][key]["name"]
        out.append(
            f"| {name} | {variant} | {metric} | **{statistics.fmean(values):.2f}** | {spread:.2f} "
            f"| {each} | {tests[0]['count']:,} | {shown} | {minutes:.1f} |"
        )
    return out


if __name__ == "__main__":
    main()
