"""Whether ``sixfold plan`` comes true: peak memory and time as planned, and of the real run, each in a fresh process.

SIXFOLD_DATA=... python bench/plan_accuracy.py demo-pretrain demo-finetune decoder conll
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import ROOT, machine

MEMORY, TIME = 0.20, 0.30
"""How far from what then happens a plan may be."""
POLL_SECONDS = 0.05
OFFLINE = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}

_DECODER = {
    "objective": "causal_lm",
    "corpus": {"source": f"{os.environ.get('SIXFOLD_DATA', 'data')}/brown_text/*.txt"},
    "tokenizer": {"vocabulary": 4000},
    "context": 256,
    "model": {"size": "tiny"},
    "train": {"epochs": 1},
}
_CONLL = {
    "task": "entities",
    "base": "minilm-l6",
    "data": {"source": "conll2003_en", "allow": ["overlaps", "unseen"], "limit": 4000},
    "on_long": "window",
    "train": {"epochs": 2},
}
RECIPES: dict[str, Any] = {
    "demo-pretrain": ROOT / "recipes/demo-pretrain.yaml",
    "demo-finetune": ROOT / "recipes/demo-finetune.yaml",
    "decoder": {"name": "decoder", "stages": [{"pretrain": _DECODER}]},
    "conll": {"name": "conll", "stages": [{"finetune": _CONLL}]},
}
"""A recipe's file, or its content."""


@dataclass(frozen=True)
class Compared:
    """What was planned and what happened, in bytes and seconds.

    Attributes:
        early: shares of the planned steps that each stage took; less than 1 where it stopped early.
        planned_seconds: of the steps that were taken.
    """

    planned_peak: int
    peak: int
    planned_seconds: float
    seconds: float
    planning_seconds: float
    early: tuple[float, ...]
    parts: tuple[dict[str, float], ...]

    @property
    def memory(self) -> float:
        """Planned to real."""
        return self.planned_peak / self.peak

    @property
    def time(self) -> float:
        """Planned to real."""
        return self.planned_seconds / self.seconds

    @property
    def holds(self) -> bool:
        return abs(self.memory - 1) <= MEMORY and abs(self.time - 1) <= TIME


def watched(command: Sequence[str], **options: Any) -> tuple[float, int]:
    """Seconds that a command takes, and the most memory that its process holds.

    Not ``ru_maxrss``: a new process takes that over from the one that starts it.
    """
    begun, peak = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, **options) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            for line in status.read_text(encoding="utf-8").splitlines():
                if line.startswith("VmHWM"):
                    peak = int(line.split()[1]) * 1024
            time.sleep(POLL_SECONDS)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return time.perf_counter() - begun, peak


def compare(recipe: Path, folder: Path, *, seconds: float = 10.0) -> Compared:
    """Plan a recipe, then run it in ``folder``."""
    environment = {**os.environ, **OFFLINE}
    sixfold = [sys.executable, "-m", "sixfold"]
    more = ["--runs", str(folder / "runs")]
    begun = time.perf_counter()
    told = subprocess.run(
        [*sixfold, "plan", str(recipe), "--json", "--seconds", f"{seconds}", *more],
        stdout=subprocess.PIPE,
        check=True,
        env=environment,
    )
    planning = time.perf_counter() - begun
    plan = json.loads(told.stdout)
    took, peak = watched([*sixfold, "run", str(recipe), *more], env=environment)
    early, gone, parts = [], 0.0, []
    for stage in plan["stages"]:
        made = json.loads((folder / "runs" / plan["recipe"] / stage["name"] / "results.json").read_text("utf-8"))
        training = made["training"]
        share = len(training["steps"]) / stage["steps"]
        early.append(share)
        looks = sum(one["seconds"] for one in training["evaluations"])
        gone += (1 - share) * (stage["seconds"]["training"] + stage["while_training"])
        parts.append(
            {
                "planned training": share * stage["seconds"]["training"],
                "training": training["seconds"],
                "planned looks": share * stage["while_training"],
                "looks": looks,
            }
        )
    return Compared(plan["peak"], peak, plan["seconds"] - gone, took, planning, tuple(early), tuple(parts))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(RECIPES), help=", ".join(RECIPES))
    parser.add_argument("--seconds", type=float, default=10.0, help="of each stage's calibration")
    args = parser.parse_args()
    print(machine())
    head = ["recipe", "memory planned", "real", "ratio", "time planned", "real", "ratio", "planning took", "holds"]
    print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for name in args.names:
        given = RECIPES[name]
        with tempfile.TemporaryDirectory() as work:
            recipe = given
            if not isinstance(given, Path):
                recipe = Path(work) / "recipe.yaml"
                recipe.write_text(yaml.safe_dump(given), encoding="utf-8")
            found = compare(recipe, Path(work), seconds=args.seconds)
        cells = [
            name,
            f"{found.planned_peak / 1e6:,.0f} MB",
            f"{found.peak / 1e6:,.0f} MB",
            f"{found.memory:.2f}",
            f"{found.planned_seconds:.0f} s",
            f"{found.seconds:.0f} s",
            f"{found.time:.2f}",
            f"{found.planning_seconds:.0f} s",
            "yes" if found.holds else "NO",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)
        for share, part in zip(found.early, found.parts, strict=True):
            told = ", ".join(f"{what} {value:.1f} s" for what, value in part.items())
            print(f"  steps taken: {share:.0%} of those planned; {told}", file=sys.stderr)


if __name__ == "__main__":
    main()
