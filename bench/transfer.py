"""What moves between domains: the transfer stage on real sets, one line a strategy, one matrix each.

    SIXFOLD_DATA=... python bench/transfer.py reviews --seeds 13 14 15      # amazon_mdsd: books, dvd and two more
    SIXFOLD_DATA=... python bench/transfer.py fields --seeds 13 14 15       # medicine, law, finance, programming
    SIXFOLD_DATA=... python bench/transfer.py kinds --seeds 13 14 15        # LoRA, AdaLoRA, bottlenecks, BitFit
    SIXFOLD_DATA=... python bench/transfer.py shopping --base RUN           # online_shopping_10_cats, a Chinese encoder

Runs are kept in ``.bench/transfer``: what is done is not done again.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import os
import statistics
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import ROOT, machine
from sixfold import data
from sixfold.recipe import Told, one_stage, run

WORK = ROOT / ".bench" / "transfer"
PACKAGES = (
    "asyncio",
    "email",
    "http",
    "unittest",
    "xml",
    "logging",
    "multiprocessing",
    "tkinter",
    "importlib",
    "ctypes",
)
"""Packages of the standard library with many docstrings."""
LEAST_WORDS = 6
KINDS: dict[str, dict[str, Any]] = {
    "lora": {"kind": "lora", "rank": 8},
    "adalora": {"kind": "adalora", "rank": 8},
    "bottleneck, houlsby": {"kind": "bottleneck", "size": 36, "placement": "houlsby"},
    "bottleneck, pfeiffer": {"kind": "bottleneck", "size": 72, "placement": "pfeiffer"},
    "bitfit": {"kind": "bitfit"},
}
"""Of about as many numbers: 8 ranks of MiniLM's matrices are as many as 36 numbers behind each of its sub-layers."""


def folder(name: str) -> Path:
    return Path(os.environ["SIXFOLD_DATA"]) / name


def by_domain(name: str, domains: list[str] | None = None) -> dict[str, dict[str, Any]]:
    """A set with a column of domains as a source for each."""
    read = data.read(name)
    names = domains or sorted(set(read["train"]["domain"]))
    return {
        one: {"source": split_rows({split: list(_of(rows, one)) for split, rows in read.items()}), "overlaps": "remove"}
        for one in names
    }


def split_rows(rows: Mapping[str, list[dict[str, str]]]) -> datasets.DatasetDict:
    return datasets.DatasetDict({split: datasets.Dataset.from_list(some) for split, some in rows.items()})


def _of(rows: datasets.Dataset, domain: str) -> Iterator[dict[str, Any]]:
    for text, label, of in zip(rows["text"], rows["label"], rows["domain"], strict=True):
        if of == domain:
            yield {"text": text, "label": label}


def medicine() -> dict[str, list[dict[str, str]]]:
    """PubMedQA: what a study's conclusion says to its question. The published test list is the test."""
    rows = json.loads((folder("pubmedqa") / "ori_pqal.json").read_text(encoding="utf-8"))
    tested = json.loads((folder("pubmedqa") / "test_ground_truth.json").read_text(encoding="utf-8"))
    made: dict[str, list[dict[str, str]]] = {"train": [], "test": []}
    for key, row in rows.items():
        text = f"{row['QUESTION']} {row['LONG_ANSWER']}"
        made["test" if key in tested else "train"].append({"text": text, "label": row["final_decision"]})
    return made


def law() -> list[dict[str, str]]:
    """Clauses of terms of service, fair or potentially unfair; documents stay together."""
    with (folder("unfair_tos") / "sentences_en.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        {
            "text": row["sentence"],
            "label": "unfair" if any(tag[-1:] in "23" for tag in row["tags"].split() if tag[-1:].isdigit()) else "fair",
            "document": row["document"],
        }
        for row in rows
        if len(row["sentence"].split()) >= LEAST_WORDS
    ]


def programming() -> list[dict[str, str]]:
    """Docstrings of Python's standard library by package; modules stay together."""
    root = Path(sysconfig.get_path("stdlib"))
    made = {}
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            if "test" in file.parts:
                continue
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
                told = ast.get_docstring(node) if isinstance(node, kinds) else None
                if told and len(told.split()) >= LEAST_WORDS:
                    module = str(file.relative_to(root))
                    made[told] = {"text": told, "label": package, "document": module}
    return list(made.values())


def fields() -> dict[str, dict[str, Any]]:
    return {
        "medicine": {"source": split_rows(medicine()), "overlaps": "remove"},
        "law": {"source": law(), "group": "document", "overlaps": "remove"},
        "finance": {"source": "financial_phrasebank_all"},
        "programming": {"source": programming(), "overlaps": "remove"},
    }


def figure(name: str, base: str | None, tokens: int) -> dict[str, Any]:
    """The keys of the stage."""
    usual = {"base": base or "minilm-l6", "on_long": "truncate", "max_tokens": tokens}
    if name == "reviews":
        strategies = ["separate", "mixture", "adapters", "shared_adapters", "sequential"]
        return {**usual, "domains": by_domain("amazon_mdsd"), "strategies": strategies}
    if name == "shopping":
        strategies = ["separate", "mixture", "adapters", "shared_adapters"]
        return {**usual, "domains": _latin(by_domain("online_shopping_10_cats")), "strategies": strategies}
    if name == "fields":
        return {**usual, "domains": fields(), "strategies": ["separate", "adapters"], "labels": "own"}
    if name == "kinds":
        domains = {**by_domain("amazon_mdsd", ["kitchen"]), "finance": {"source": "financial_phrasebank_all"}}
        return {**usual, "domains": domains, "strategies": ["adapters"], "labels": "own", "route": False}
    raise SystemExit(f"no figure {name}")


def _latin(domains: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Domains by names that files can have."""
    known = ("books", "tablets", "phones", "fruit", "shampoo", "heaters", "dairy", "clothes", "computers", "hotels")
    chinese = ("书籍", "平板", "手机", "水果", "洗发水", "热水器", "蒙牛", "衣服", "计算机", "酒店")
    return {known[chinese.index(name)]: one for name, one in domains.items()}


def done(name: str, config: dict[str, Any], seed: int, limit: int | None, epochs: int) -> dict[str, Any]:
    """The results of one run."""
    shares = {"validation": 0.1, "test": 0.2}
    domains = {
        domain: {"split": shares, "on_bad": "drop", **({"limit": limit} if limit else {}), **given}
        for domain, given in config["domains"].items()
    }
    whole = {**config, "domains": domains, "train": {"epochs": epochs, **config.get("train", {})}}
    recipe = one_stage("transfer", whole, (), name=f"{name}-{seed}", seed=seed)
    return run(recipe, runs=WORK, told=Told()).stages[-1].results


def told(name: str, found: list[dict[str, Any]]) -> Iterator[str]:
    """Tables: a line a strategy with means over seeds, then each strategy's mean matrix."""
    learnt, figure_name = found[0]["learnt"], found[0]["figure"]
    yield f"\n{name}: {figure_name}, {len(found)} seeds\n"
    yield f"| strategy | {' | '.join(learnt)} | average | against separate | learnt | seconds |"
    yield f"| --- |{' --- |' * (len(learnt) + 4)}"
    for strategy in found[0]["strategies"]:
        some = [one["strategies"][strategy] for one in found]
        cells = [mean([100 * one["scores"][domain] for one in some]) for domain in learnt]
        tests = [one.get("against_separate") for one in some]
        against = "; ".join(
            f"{100 * t['difference']:+.1f} [{100 * t['low']:+.1f}, {100 * t['high']:+.1f}]" for t in tests if t
        )
        share = some[0]["learning"] / some[0]["parameters"]
        average = mean([100 * one["average"] for one in some])
        seconds = statistics.fmean(one["seconds"] for one in some)
        yield f"| {strategy} | {' | '.join(cells)} | {average} | {against} | {share:.2%} | {seconds:,.0f} |"
    for strategy in found[0]["strategies"]:
        matrices = [one["strategies"][strategy]["matrix"] for one in found]
        first = matrices[0]
        if len(first["rows"]) > 1:
            yield f"\n| {strategy}, trained on | {' | '.join(first['columns'])} |"
            yield f"| --- |{' --- |' * len(first['columns'])}"
            for row, label in enumerate(first["rows"]):
                values = [[one["cells"][row][column] for one in matrices] for column in range(len(first["columns"]))]
                shown = ["" if v[0] is None else mean([100 * cell["value"] for cell in v]) for v in values]
                yield f"| {label} | {' | '.join(shown)} |"
        moved = [one["strategies"][strategy].get("moved") for one in found]
        if moved[0]:
            yield "\n" + ", ".join(f"{key} {mean([100 * one[key] for one in moved])}" for key in moved[0])
    if found[0].get("routing", {}).get("right"):
        right = [one["routing"]["right"]["value"] for one in found]
        yield f"\nsent to their domain: {mean([100 * value for value in right])} %"


def mean(values: list[float]) -> str:
    spread = f" ({statistics.stdev(values):.1f})" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("figure", choices=["reviews", "shopping", "fields", "kinds"])
    parser.add_argument("--base", help="In place of minilm-l6.")
    parser.add_argument("--seeds", nargs="*", type=int, default=[13, 14, 15])
    parser.add_argument("--limit", type=int, help="Training rows of a domain; all of them unless given.")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=128, help="Of a text, read from its start.")
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS), help="Of the figure kinds.")
    parser.add_argument("--strategies", nargs="*", help="The figure's own unless named.")
    args = parser.parse_args()
    config = figure(args.figure, args.base, args.tokens)
    if args.strategies:
        config["strategies"] = args.strategies
    print(machine(), f"limit {args.limit}, {args.epochs} epochs, {args.tokens} tokens", flush=True)
    tag = "-".join([str(args.limit or "all"), str(args.epochs), str(args.tokens), *(args.strategies or ())])
    if args.figure != "kinds":
        found = [done(f"{args.figure}-{tag}", config, seed, args.limit, args.epochs) for seed in args.seeds]
        print("\n".join(told(args.figure, found)))
        return
    for kind in args.kinds:
        keys = KINDS[kind]
        name = f"kinds-{kind.replace(', ', '-')}-{tag}"
        found = [done(name, {**config, "adapter": keys}, seed, args.limit, args.epochs) for seed in args.seeds]
        print("\n".join(told(kind, found)), flush=True)


if __name__ == "__main__":
    main()
