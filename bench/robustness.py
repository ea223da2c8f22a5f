"""Does hardening pay? Accuracy on rows as they are and under frozen attacks, for each way of hardening and seed.

    SIXFOLD_DATA=... python bench/robustness.py sst2_glue --seeds 13 14 15
    SIXFOLD_DATA=... python bench/robustness.py chnsenticorp --base RUN        # an encoder that reads Chinese

For each seed a plain classifier is fine-tuned; every way goes on from it by the harden stage, which learns from as many
epochs again. ``on`` is the control: the same epochs with next to nothing done. Then all are attacked on the same rows.
The attacks and their budget stand in this file and know nothing of the ways; ``a2t-offline`` follows the gradient of
the very model it attacks. What is done is kept in ``.bench/robustness`` and not done again. ``sst2_whole``
is for choosing dials: sentences of sst2's training rows, held out with their phrases. ``sst2_all`` is sst2
with every training row in place of 20,000.

``--votes 16`` attacks the vote of 16 copies of a text with tokens hidden (RanMASK), by which a checkpoint answers that
a harden stage wrote with ``votes: 16``. Each question draws copies anew and costs 16 times as much: use fewer rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import ROOT, machine
from bench.whole_sentences import LEAST_WORDS, held_out
from sixfold.attack.attacks import named
from sixfold.attack.outcome import Outcome
from sixfold.attack.run import attack, sampled
from sixfold.metrics import compare
from sixfold.metrics.intervals import proportion
from sixfold.models.bf16 import in_bf16
from sixfold.recipe import Told, one_stage, run
from sixfold.score.rough import roughly
from sixfold.score.subject import Subject
from sixfold.score.voter import Voter
from sixfold.stages.context import write_json
from sixfold.stages.rows import DataConfig, prepare_rows
from sixfold.tasks.masking import Voting

WORK = ROOT / ".bench" / "robustness"
BUDGET = 1_000
WEIGHED = 256
"""Rows by which it is found whether searches may ask at a lower precision."""
ATTACKS = {
    "en": ("textfooler-offline", "deepwordbug", "pwws", "a2t-offline"),
    "zh": ("zh-pwws", "zh-deepwordbug", "zh-textbugger"),
}
SST2 = {
    "language": "en",
    "source": {"limit": 20_000},
    "words": "textfooler-offline",
    "gradient": "a2t-offline",
}
DATA: dict[str, dict[str, Any]] = {
    "sst2_glue": SST2,
    "sst2_whole": SST2,
    "sst2_all": {**SST2, "source": {"source": "sst2_glue"}},
    "ag_news": {
        "language": "en",
        "source": {"limit": 5_000},
        "words": "textfooler-offline",
        "gradient": "a2t-offline",
    },
    "chnsenticorp": {"language": "zh", "source": {}, "words": "zh-pwws", "gradient": "zh-textbugger"},
}
EPOCHS = 2
WIDER = (0.5, 0.7, 1.0)
"""Larger perturbations than the usual 0.3, as shares of a word's norm. One word exchanged is about 1.4."""
FLIPS = ((0.3, 2), (0.6, 1), (0.6, 2), (1.0, 1), (1.0, 2))
"""Other shares of the words and numbers of gradients than the usual 0.3 and 1."""
NEAR = {"en": "neighbour", "zh": "zh-synonym"}
"""Augmenters that draw from what the attacks by words draw from."""


def ways(name: str) -> dict[str, dict[str, Any]]:
    """Keys of the harden stage, by way."""
    data = DATA[name]
    spelling = {"en": "deepwordbug", "zh": "zh-deepwordbug"}[data["language"]]
    renewed = {"renew": {"attack": data["words"], "examples": 1_000, "budget": 200}}
    misspelt = {"renew": {"attack": spelling, "examples": 1_000, "budget": 200}}
    freelb = {"adversarial": {"method": "freelb"}}
    encoding = {"synonym_encoding": True}
    moved = {
        f"{method}, epsilon {epsilon:g}": {"train": {"adversarial": {"method": method, "epsilon": epsilon}}}
        for method in ("fgm", "freelb")
        for epsilon in WIDER
    }
    exchanged = {
        f"hotflip, share {share:g}, {steps}": {
            "train": {"adversarial": {"method": "hotflip", "share": share, "steps": steps}}
        }
        for share, steps in FLIPS
    }
    return {
        "on": {"train": {"noise": 1e-6}},
        "fgm": {"train": {"adversarial": {"method": "fgm"}}},
        "pgd": {"train": {"adversarial": {"method": "pgd"}}},
        "freelb": {"train": freelb},
        **moved,
        "hotflip": {"train": {"adversarial": {"method": "hotflip"}}},
        "hotflip + fgm": {"train": {"adversarial": {"method": "hotflip", "epsilon": 0.3}}},
        **exchanged,
        "synonym encoding": {"train": encoding},
        "synonym encoding + fgm": {"train": {**encoding, "adversarial": {"method": "fgm"}}},
        "synonym encoding + hotflip": {"train": {**encoding, "adversarial": {"method": "hotflip"}}},
        "synonym encoding + hotflip + fgm": {
            "train": {**encoding, "adversarial": {"method": "hotflip", "epsilon": 0.3}}
        },
        "synonym encoding + freelb": {"train": {**encoding, **freelb}},
        "synonym encoding + pgd": {"train": {**encoding, "adversarial": {"method": "pgd"}}},
        "r-drop": {"train": {"r_drop": 1.0}},
        "neftune": {"train": {"noise": 5.0}},
        "mixup": {"train": {"mixup": 0.2}},
        "ranmask": {"train": {"mask_share": 0.3}},
        "ranmask, half": {"train": {"mask_share": 0.5}},
        "eda": {"augment": {"method": "eda"}},
        "words": renewed,
        "near words": {"augment": {"method": NEAR[data["language"]], "times": 2}},
        "gradient words": {"renew": {"attack": data["gradient"], "examples": 5_000, "budget": 60}},
        "spelling": misspelt,
        "words + freelb": {**renewed, "train": freelb},
        "hotflip + spelling": {**misspelt, "train": {"adversarial": {"method": "hotflip"}}},
        "freelb + ranmask": {"train": {**freelb, "mask_share": 0.3}},
        "words + ranmask": {**renewed, "train": {"mask_share": 0.3}},
    }


def source_of(name: str) -> dict[str, Any]:
    source = held_out(WORK) if name == "sst2_whole" else name
    return {"source": source, "allow": ["overlaps", "unseen"], "on_bad": "drop", **DATA[name]["source"]}


def plain(name: str, base: str, seed: int) -> Path:
    """The run of the classifier that all ways begin with."""
    config = {
        "task": "classify",
        "base": base,
        "data": source_of(name),
        "on_long": "truncate",
        "max_tokens": 128,
        "train": {"epochs": EPOCHS, "metric": "accuracy"},
    }
    done = run(one_stage("finetune", config, (), name=f"{name}-plain-{seed}", seed=seed), runs=WORK, told=Told())
    assert done.checkpoint is not None
    return done.checkpoint


def hardened(name: str, way: str, start: Path, seed: int) -> tuple[Path, float]:
    """Its checkpoint, and the seconds that training took."""
    keys = ways(name)[way]
    config = {
        "base": str(start),
        "data": source_of(name),
        **keys,
        "train": {"epochs": EPOCHS, **keys.get("train", {})},
        # The stage's own before and after are not what is measured here.
        "examples": 1,
        "budget": 1,
        "max_clean_loss": 1.0,
    }
    recipe = one_stage("harden", config, (), name=f"{name}-{way}-{seed}", seed=seed)
    done = run(recipe, runs=WORK, told=Told())
    assert done.checkpoint is not None
    return done.checkpoint, done.stages[-1].results["training"]["seconds"]


def measured(
    name: str,
    checkpoint: Path,
    attacks: tuple[str, ...],
    examples: int,
    voting: Voting | None,
    file: Path,
    split: str = "test",
) -> dict[str, Any]:
    """Of each attack whether each row withstood it, and what it cost; out of ``file`` where it is there."""
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    subject = Subject.load(checkpoint)
    all_rows = prepare_rows(DataConfig(**source_of(name)), subject.task.columns, seed=0).rows[split]
    if split != "test":
        # sst2's training rows are mostly scraps of sentences, its test rows whole ones.
        all_rows = all_rows.filter(lambda row: len(row["text"].split()) >= LEAST_WORDS)
    rows = all_rows.select([row.number for row in sampled(all_rows, subject.task, examples, 0)])
    some = subject.task.encode(
        rows.select(range(min(WEIGHED, len(rows)))), subject.tokenizer, subject.limit, "truncate"
    )
    if voting:
        # In bf16: what rounding changes is little beside what the draw does.
        voter = Voter(in_bf16(subject.scorer.model), voting, subject.tokenizer, precision="bf16")
        subject, rough, why = replace(subject, scorer=voter), None, f"{voting.copies} copies vote, in bf16"
    else:
        rough, why = roughly(subject, some.examples, searched=len(rows))
    for each in attacks:
        if each in kept:
            continue
        start = time.perf_counter()
        found = sorted(attack(subject, rows, named(each), seed=0, budget=BUDGET, rough=rough), key=lambda o: o.place)
        kept[each] = {
            "right": [one.was_right for one in found],
            "withstood": [withstood(one) for one in found],
            "queries": statistics.fmean(one.queries for one in found),
            "seconds": time.perf_counter() - start,
            "precision": why,
        }
        write_json(file, kept)
    return kept


def withstood(one: Outcome) -> bool:
    return one.was_right and one.kind != "succeeded"


def lines(name: str, found: dict[str, list[dict[str, Any]]], attacks: tuple[str, ...]) -> list[str]:
    """A line a way: means over the seeds, and what it gains over ``plain`` (all seeds' rows together, paired)."""
    heads = ["rows as they are", *attacks, "all of them"]
    out = [f"| {name} | {' | '.join(heads)} | gain under {attacks[0]} |", f"| --- |{' --- |' * (len(heads) + 1)}"]
    for way, seeds in found.items():
        cells = []
        for head in heads:
            shares = [100 * np.mean(right_of(one, head, attacks)) for one in seeds]
            spread = f" ({statistics.stdev(shares):.1f})" if len(shares) > 1 else ""
            cells.append(f"{statistics.fmean(shares):.1f}{spread}")
        before, after = (
            np.concatenate([right_of(one, attacks[0], attacks) for one in side])
            for side in (found["plain"][: len(seeds)], seeds)
        )
        test = compare.accuracy(before, after)
        gain = "" if way == "plain" else f"{100 * test.difference:+.1f} [{100 * test.low:+.1f}, {100 * test.high:+.1f}]"
        out.append(f"| {way} | {' | '.join(cells)} | {gain} |")
    return out


def right_of(one: dict[str, Any], head: str, attacks: tuple[str, ...]) -> np.ndarray:
    if head == "rows as they are":
        return np.array(one[attacks[0]]["right"], dtype=bool)
    if head == "all of them":
        return np.logical_and.reduce([np.array(one[each]["withstood"], dtype=bool) for each in attacks])
    return np.array(one[head]["withstood"], dtype=bool)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", choices=list(DATA))
    parser.add_argument("--base", default="minilm-l6")
    parser.add_argument("--seeds", nargs="*", type=int, default=[13, 14, 15])
    parser.add_argument("--ways", nargs="*", help="all of them unless named")
    parser.add_argument("--attacks", nargs="*")
    parser.add_argument("--examples", type=int, default=1_000)
    parser.add_argument("--split", default="test", help="Rows to attack.")
    parser.add_argument(
        "--votes", type=int, default=0, help="Copies of each text that vote; 0: the text is asked once."
    )
    args = parser.parse_args()
    attacks = tuple(args.attacks or ATTACKS[DATA[args.data]["language"]])
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in args.seeds:
        start = plain(args.data, args.base, seed)
        for way in ["plain", *(args.ways or ways(args.data))]:
            checkpoint, seconds = (start, 0.0) if way == "plain" else hardened(args.data, way, start, seed)
            share = ways(args.data).get(way, {}).get("train", {}).get("mask_share", 0.0)
            voting = Voting(args.votes, share) if args.votes and share else None
            voted_by = f"-{args.votes}-votes" if voting else ""
            file = WORK / f"{args.data}-{way}-{seed}-{args.split}-{args.examples}{voted_by}.json"
            one = measured(args.data, checkpoint, attacks, args.examples, voting, file, args.split)
            found.setdefault(way, []).append(one)
            right, held = (right_of(one, head, attacks) for head in ("rows as they are", attacks[0]))
            told = proportion("", int(held.sum()), len(held)).to_dict()
            spent = sum(one[each]["seconds"] for each in attacks)
            print(
                f"{args.data} {way} {seed}: clean {100 * right.mean():.1f}, {attacks[0]} {100 * told['value']:.1f} "
                f"[{100 * told['low']:.1f}, {100 * told['high']:.1f}]; training {seconds:.0f} s, "
                f"attacks {spent:.0f} s; {one[attacks[0]]['precision']}",
                flush=True,
            )
    print(f"\nseeds {args.seeds}, {args.examples:,} rows, {BUDGET:,} queries a row; {machine()}\n")
    print("\n".join(lines(args.data, found, attacks)))


if __name__ == "__main__":
    main()
