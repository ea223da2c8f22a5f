"""Texts a second when each request brings one text for one of eight adapters: mixed in one batch, and the other ways.

    SIXFOLD_DATA=... python bench/mixed_adapters.py --data sst2 --requests 64 512

minilm-l6 with eight LoRA adapters on all linear layers of its layers, each with a head of its own; random updates,
which cost what learnt ones do. The sides take turns on the same requests, and each has its fp32 answers held against
the mixed ones. Nothing is counted for loading adapters or putting another one in place. Tokens are made beforehand.
"""

from __future__ import annotations

import argparse
import copy
import csv
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import machine
from sixfold.data.examples import Examples
from sixfold.models import adapters as kinds
from sixfold.models.adapters.putting import head_names, wrapped
from sixfold.models.head import Head
from sixfold.models.load import load
from sixfold.models.mixed import COLUMN, LowRank, Mixed
from sixfold.score.scorer import Scorer
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.texts import Texts

LABELS = ("a", "b", "c", "d")
TASK = TextClassification(LABELS)
LIMIT, SEED = 128, 13
TOLERANCE = 1e-4
"""Of logits of about 1, between batches of other shapes."""

Answers = list[NDArray]


def texts(data: str) -> list[str]:
    folder = Path(os.environ["SIXFOLD_DATA"])
    if data == "sst2":
        lines = (folder / "sst2_glue" / "dev.tsv").read_text(encoding="utf-8").splitlines()
        return [line.partition("\t")[0] for line in lines[1:]]
    with (folder / "ag_news" / "test.csv").open(encoding="utf-8", newline="") as file:
        return [f"{title}. {body}" for _, title, body in csv.reader(file)]


def adapted(base: Any, rank: int, seed: int) -> tuple[Any, LowRank]:
    """The base with an adapter that has learnt something, and the adapter by itself."""
    model = copy.deepcopy(base)
    kinds.add(model, kinds.Lora(rank, float(2 * rank)), seed=seed)
    random = torch.Generator().manual_seed(seed)
    updates, head = {}, {}
    with torch.no_grad():
        for path, layer in wrapped(model):
            layer.lora_B.weight.normal_(std=0.02, generator=random)
            updates[path] = (layer.lora_A.weight, layer.lora_B.weight, layer.scale)
        for name in head_names(model):
            head[name] = model.get_parameter(name).normal_(std=0.05, generator=random)
    return model.eval().requires_grad_(False), LowRank(updates, head)


def sides(
    base: Any, rank: int, count: int, examples: Examples, which: NDArray[np.int64]
) -> dict[str, Callable[[], Answers]]:
    """What is measured: each gives one answer a request, in their order."""
    made = [adapted(base, rank, SEED + number) for number in range(count)]
    mixed = Mixed(copy.deepcopy(base), {str(number): adapter for number, (_, adapter) in enumerate(made)})
    merged = [copy.deepcopy(model) for model, _ in made]
    for model in merged:
        kinds.merge(model)
    ask = TASK.question()
    plain = [Scorer(model) for model, _ in made]
    whole = [Scorer(model) for model in merged]
    together = Scorer(mixed)
    rows = [examples.take([row]) for row in range(len(examples))]
    of_each = [np.flatnonzero(which == number) for number in range(count)]

    def one_by_one(scorers: list[Scorer]) -> Callable[[], Answers]:
        return lambda: [
            scorers[number].ask(row, ask, fresh=True)[0] for row, number in zip(rows, which.tolist(), strict=True)
        ]

    def by_adapter(scorers: list[Scorer]) -> Callable[[], Answers]:
        def run() -> Answers:
            answers: Answers = [np.empty(0)] * len(examples)
            for scorer, places in zip(scorers, of_each, strict=True):
                for place, answer in zip(
                    places.tolist(), scorer.ask(examples.take(places), ask, fresh=True), strict=True
                ):
                    answers[place] = answer
            return answers

        return run

    numbered = examples.with_column(COLUMN, which)
    return {
        "mixed": lambda: together.ask(numbered, ask, fresh=True),
        "one after another": one_by_one(plain),
        "one after another, merged": one_by_one(whole),
        "adapter by adapter": by_adapter(plain),
        "adapter by adapter, merged": by_adapter(whole),
        "one adapter for all": lambda: plain[0].ask(examples, ask, fresh=True),
        "one adapter for all, merged": lambda: whole[0].ask(examples, ask, fresh=True),
        "mixed, all of one adapter": lambda: together.ask(
            examples.with_column(COLUMN, np.zeros_like(which)), ask, fresh=True
        ),
    }


def apart(found: dict[str, Answers], which: NDArray[np.int64]) -> float:
    """The largest difference between the mixed answers and those of the other sides; of one adapter, on its rows."""
    largest = 0.0
    for name, answers in found.items():
        places = np.flatnonzero(which == 0) if "one adapter" in name else range(len(which))
        largest = max(largest, *(float(np.abs(answers[p] - found["mixed"][p]).max()) for p in places))
    return largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=["sst2", "ag"], default="sst2")
    parser.add_argument("--requests", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--adapters", type=int, default=8)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    loaded = load("minilm-l6", Head("text_classification", LABELS), seed=SEED)
    base, tokenizer = loaded.model.eval(), loaded.tokenizer
    found = texts(given.data)
    draw = np.random.default_rng(SEED)
    print(
        f"{machine()}, {torch.get_num_threads()} threads\n{given.adapters} adapters of rank {given.rank}, {given.data}"
    )
    for count in given.requests:
        chosen = [found[place] for place in draw.choice(len(found), count, replace=False)]
        encoded = TASK.encode(Texts({"text": chosen}), tokenizer, LIMIT, "truncate").examples
        which = draw.integers(0, given.adapters, count)
        ways = sides(base, given.rank, given.adapters, encoded, which)
        answers = {name: run() for name, run in ways.items()}  # also warms up
        difference = apart(answers, which)
        assert difference < TOLERANCE, f"answers are {difference} apart"
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(given.rounds):
            for name, run in ways.items():
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
        medians = {name: statistics.median(spent) for name, spent in seconds.items()}
        print(f"\n{count:,} requests, {encoded.lengths.mean():.1f} tokens each, {given.rounds} rounds; "
              f"answers at most {difference:.1e} apart\n")  # fmt: skip
        print("| side | texts/s | slowest to fastest round | mixed is |\n| --- | --- | --- | --- |")
        for name, spent in seconds.items():
            span = f"{count / max(spent):.1f} to {count / min(spent):.1f}"
            print(
                f"| {name} | {count / medians[name]:.1f} | {span} | {medians[name] / medians['mixed']:.2f}x |",
                flush=True,
            )


if __name__ == "__main__":
    main()
