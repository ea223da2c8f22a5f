"""A decoder that was trained on 128 tokens, read up to 1,024: as it is, with its rotary embedding changed, and trained.

    SIXFOLD_DATA=... python bench/longer_context.py

Texts are stretches of the Brown corpus, of about a thousand tokens each. Both trainings are the pretrain stage's own,
and the losses are those of its report: held-out texts, by position. Before training, other bases of the rotary
embedding stand beside the derived one. At last one step is made at 8,192 tokens.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import datasets

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import machine
from sixfold.models import lineage, load, save
from sixfold.models.context import Rope, extend, extension
from sixfold.recipe import Told, one_stage, run
from sixfold.score.scorer import Scorer
from sixfold.tasks.causal_lm import CausalLM

SHORT, LONG, LONGEST = 128, 1024, 8192
CHARACTERS = 3_000
HELD_OUT_EVERY = 20
BATCH = 4
OTHER_BASES = {"NTK-aware, 10,000 × 8^(64/62)": 10_000 * (LONG / SHORT) ** (64 / 62), "Xiong et al. 2023": 500_000.0}
"""Of a head of 64 numbers: bloc97's rule (in Peng et al. 2023, arXiv:2309.00071), and arXiv:2309.16039."""


def documents(folder: Path) -> list[str]:
    """Neighbouring sentences, so many that a text has about a thousand tokens."""
    out: list[str] = []
    for path in sorted(folder.glob("*.txt")):
        part: list[str] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            part.append(line.strip())
            if sum(map(len, part)) >= CHARACTERS:
                out.append(" ".join(part))
                part = []
    return out


def trained(work: Path, name: str, seed: int, train: dict[str, Any], **stage: Any) -> dict[str, Any]:
    """The results of a pretrain stage."""
    corpus = {"source": {"train": str(work / "train.txt"), "validation": str(work / "validation.txt")}, "near": "off"}
    config = {"objective": "causal_lm", "corpus": corpus, "train": {"evaluations": 1e-9, **train}, **stage}
    made = run(one_stage("pretrain", config, (), name=name, seed=seed), runs=work, told=Told())
    return {**made.stages[-1].results, "checkpoint": str(made.checkpoint)}


def untrained(
    checkpoint: str, texts: list[str], seed: int, rope: Rope | None = None, base: float | None = None
) -> list[dict[str, Any]]:
    """Losses by position of the short model, its rotary embedding changed or not; ``base`` instead of the derived."""
    task = CausalLM()
    found = load(checkpoint, task.head())
    if rope is not None:
        longer = extension(found.model, LONG, rope)
        if base is not None:
            longer = replace(longer, parameters={**longer.parameters, "rope_theta": base})
        extend(found.model, found.tokenizer, longer)
    rows = datasets.Dataset.from_dict({"text": texts})
    examples = task.encode(rows, found.tokenizer, LONG, "window").examples
    positions: list[dict[str, Any]] = task.evaluate(task.predict(Scorer(found.model), examples), rows, seed=seed)[
        "positions"
    ]
    return positions


def only_told(checkpoint: str, folder: Path) -> str:
    """The short model with its rotary embedding as it was, told that it reads more: what training alone can do."""
    found = load(checkpoint, CausalLM().head())
    plain = dict(found.model.config.rope_parameters)
    extend(found.model, found.tokenizer, replace(extension(found.model, LONG, "base"), parameters=plain))
    save(found.model, found.tokenizer, folder, lineage.build(parent=found.digest))
    return str(folder)


def line(name: str, positions: list[dict[str, Any]]) -> None:
    losses = [one["loss"] for one in positions]
    cells = [f"{each['value']:.3f} [{each['low']:.3f}, {each['high']:.3f}]" for each in losses]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def longest(work: Path, texts: list[str], checkpoint: str, seed: int) -> None:
    """One step at 8,192 tokens."""
    together = [" ".join(texts[start : start + 8]) for start in (0, 8)]
    for name, text in zip(("train", "validation"), together, strict=True):
        (work / f"{name}.txt").write_text(text, encoding="utf-8")
    start = time.perf_counter()
    found = trained(
        work,
        "longest",
        seed,
        {"epochs": 1, "batch": 1, "precision": "fp32"},
        base=checkpoint,
        extend={"context": LONGEST},
    )
    (step,) = found["training"]["steps"]
    last = found["evaluations"]["held_out"]["positions"][-1]
    print(
        f"\n{LONGEST:,} tokens: a step on {step['tokens']:,} in {step['seconds']:.1f} s, "
        f"held out to position {last['last']:,}, {time.perf_counter() - start:.0f} s in all"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--epochs", type=float, default=0.75, help="passes at 128 tokens")
    parser.add_argument("--longer", type=float, default=0.2, help="passes at 1,024 tokens")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate of the passes at 1,024 tokens")
    parser.add_argument("--keep", type=Path, help="a folder for the runs, with their reports")
    args = parser.parse_args()
    texts = documents(Path(os.environ["SIXFOLD_DATA"]) / "brown_text")
    held_out = texts[::HELD_OUT_EVERY]
    learnt = [text for place, text in enumerate(texts) if place % HELD_OUT_EVERY]
    print(machine(), flush=True)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name, some in (("train", learnt), ("validation", held_out)):
            (work / f"{name}.txt").write_text("\n".join(some) + "\n", encoding="utf-8")
        given = {"context": SHORT, "tokenizer": {"kind": "bpe", "vocabulary": 2000}, "model": {"size": "tiny"}}
        short = trained(work, "short", args.seed, {"epochs": args.epochs}, **given)
        print(f"{short['parameters']:,} parameters, {short['training']['tokens']:,} tokens at {SHORT}\n", flush=True)
        plain = untrained(short["checkpoint"], held_out, args.seed)
        stretches = " | ".join(f"{one['first']}–{one['last']}" for one in plain)
        print(f"| rotary embedding | {stretches} |")
        print("| --- |" + " ---: |" * len(plain), flush=True)
        line("as it was", plain)
        ropes: tuple[Rope, ...] = get_args(Rope)
        for rope in ropes:
            line(f"{rope}, not trained", untrained(short["checkpoint"], held_out, args.seed, rope))
        for name, base in OTHER_BASES.items():
            positions = untrained(short["checkpoint"], held_out, args.seed, "base", base)
            line(f"{base:,.0f} ({name}), not trained", positions)
        train = {"epochs": args.longer, "learning_rate": args.rate, "batch": BATCH}
        told = only_told(short["checkpoint"], work / "told")
        found = trained(work, "as-it-was", args.seed, train, base=told, context=LONG)
        line(f"as it was, {found['training']['tokens']:,} tokens", found["evaluations"]["held_out"]["positions"])
        for rope in ropes:
            wanted = {"context": LONG, "rope": rope}
            found = trained(work, rope, args.seed, train, base=short["checkpoint"], extend=wanted)
            line(f"{rope}, {found['training']['tokens']:,} tokens", found["evaluations"]["held_out"]["positions"])
        if args.keep is not None:
            shutil.copytree(work, args.keep)
        longest(work, held_out, short["checkpoint"], args.seed)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
