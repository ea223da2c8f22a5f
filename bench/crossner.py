"""Entities in new domains: crossner's AI, politics and science, from conll2003_en, with and without reading first.

    SIXFOLD_DATA=... python bench/crossner.py --seeds 13 14 15

The model learns the four types of conll2003_en, then each domain's own types from 100 sentences or all of its training
sentences (ai has 100 in all). Zero-shot is what it finds before that, judged by the domain's types named as conll2003
names them (``COARSE``); what conll2003 counts among its MISC, or does not mark, is left to MISC. "Read first" goes on
pretraining the base on text of the domain before conll2003_en: the domain's training and validation sentences without
their tags, and what else is at hand that is near (speeches for politics, abstracts for science; nothing for ai). Test
sentences are in none of it. Runs are kept in ``.bench/crossner``: what is done is not done again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import ROOT, machine
from bench.transfer import folder, mean
from sixfold.commands.predict import Model
from sixfold.recipe import Told, one_stage, run

WORK = ROOT / ".bench" / "crossner"
DOMAINS = ("ai", "politics", "science")
FEW = 100
COARSE = {
    **dict.fromkeys(("person", "researcher", "politician", "scientist"), "PER"),
    **dict.fromkeys(("organisation", "university", "politicalparty"), "ORG"),
    **dict.fromkeys(("location", "country"), "LOC"),
}
NEAR = {
    "ai": list,
    "politics": lambda: [
        line.strip()
        for file in sorted(folder("us_presidential").glob("*.txt"))
        for line in file.read_text(encoding="utf-8").split("\n\n")
        if line.strip()
    ],
    "science": lambda: [
        " ".join(row["CONTEXTS"])
        for row in json.loads((folder("pubmedqa") / "ori_pqal.json").read_text(encoding="utf-8")).values()
    ],
}
"""More text that is near a domain."""


def sentences(domain: str, split: str) -> list[tuple[list[str], list[str]]]:
    """Words and tags of each."""
    text = (folder("crossner") / domain / f"{split}.txt").read_text(encoding="utf-8")
    rows = [[line.split("\t") for line in block.splitlines()] for block in text.split("\n\n") if block.strip()]
    return [([pair[0] for pair in row], [pair[1] for pair in row]) for row in rows]


def stage(kind: str, config: dict[str, Any], name: str, seed: int) -> Any:
    done = run(one_stage(kind, config, (), name=name, seed=seed), runs=WORK, told=Told())
    assert done.checkpoint is not None
    return done


def read_first(domain: str, seed: int, epochs: float, rate: float) -> Path:
    """The base, pretrained further on the domain's text."""
    corpus = WORK / "corpora" / f"{domain}.jsonl"
    corpus.parent.mkdir(parents=True, exist_ok=True)
    own = [" ".join(words) for split in ("train", "dev") for words, _ in sentences(domain, split)]
    texts = own + NEAR[domain]()
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    config = {
        "objective": "masked_lm",
        "base": "minilm-l6",
        "corpus": {"source": str(corpus), "held_out": 0.05},
        "context": 128,
        "train": {"epochs": epochs, "learning_rate": rate, "evaluations": 1e-9},
    }
    done = stage("pretrain", config, f"read-{domain}-{epochs:g}-{rate:g}-{seed}", seed)
    before, after = (done.stages[-1].results[key] for key in ("before", "evaluations"))
    losses = before["metrics"]["loss"]["value"], after["held_out"]["metrics"]["loss"]["value"]
    minutes = done.stages[-1].results["training"]["seconds"] / 60
    change = f"held-out loss {losses[0]:.2f} to {losses[1]:.2f}"
    print(f"read {domain} {seed}: {len(texts):,} texts, {change}, {minutes:.1f} min", flush=True)
    return done.checkpoint


def conll(base: str, name: str, seed: int, limit: int) -> Path:
    config = {
        "task": "entities",
        "base": base,
        "data": {"source": "conll2003_en", "limit": limit, "overlaps": "remove", "allow": ["overlaps"]},
        "on_long": "truncate",
        "train": {"epochs": 3},
    }
    return stage("finetune", config, f"conll-{name}-{limit}-{seed}", seed).checkpoint


def tuned(base: Path | str, domain: str, name: str, seed: int, limit: int | None, epochs: int) -> float:
    """Entity F1 on the domain's test sentences, after its own training sentences."""
    source = {split: str(folder("crossner") / domain / f"{split}.txt") for split in ("train", "dev", "test")}
    source["validation"] = source.pop("dev")
    config = {
        "task": "entities",
        "base": str(base),
        "data": {"source": source, **({"limit": limit} if limit else {}), "overlaps": "remove", "allow": ["unseen"]},
        "on_long": "truncate",
        "train": {"epochs": epochs, "patience": None},
    }
    done = stage("finetune", config, f"{domain}-{name}-{limit or 'all'}-{epochs}-{seed}", seed)
    return 100 * float(done.stages[-1].results["evaluations"]["test"]["metrics"]["f1"]["value"])


def zero_shot(checkpoint: Path, domain: str) -> float:
    """Entity F1 on the domain's test sentences by the types that conll2003 knows."""
    rows = [{"words": words, "tags": [coarse(tag) for tag in tags]} for words, tags in sentences(domain, "test")]
    found = Model.load(checkpoint).evaluate(rows)
    return 100 * float(found["metrics"]["f1"]["value"])


def coarse(tag: str) -> str:
    mark, dash, kind = tag.partition("-")
    return f"{mark}-{COARSE.get(kind, 'MISC')}" if dash else tag


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", nargs="*", type=int, default=[13, 14, 15])
    parser.add_argument("--news", type=int, default=4_000, help="Sentences of conll2003_en to learn from.")
    parser.add_argument("--epochs", type=int, default=15, help="Over a domain's own sentences.")
    parser.add_argument("--read", type=float, default=3.0, help="Passes over a domain's text.")
    parser.add_argument("--rate", type=float, default=1e-4, help="While reading.")
    parser.add_argument("--domains", nargs="*", default=list(DOMAINS))
    args = parser.parse_args()
    print(machine(), vars(args), flush=True)
    table: dict[str, dict[str, list[float]]] = {}
    for seed in args.seeds:
        news = conll("minilm-l6", "news", seed, args.news)
        for domain in args.domains:
            read = read_first(domain, seed, args.read, args.rate)
            tag = f"{args.read:g}-{args.rate:g}"
            starts: dict[str, Path | str] = {
                "base alone": "minilm-l6",
                "conll2003_en": news,
                "read first": read,
                "read first, then conll2003_en": conll(str(read), f"after-{domain}-{tag}", seed, args.news),
            }
            for start, checkpoint in starts.items():
                cells = table.setdefault(start, {})
                if "conll" in start:
                    assert isinstance(checkpoint, Path)
                    cells.setdefault(f"{domain} zero-shot", []).append(zero_shot(checkpoint, domain))
                name = start.replace(" ", "-").replace(",", "") + (f"-{tag}" if "read" in start else "")
                for limit in (FEW, None) if len(sentences(domain, "train")) > FEW else (None,):
                    f1 = tuned(checkpoint, domain, name, seed, limit, args.epochs)
                    cells.setdefault(f"{domain} {limit or 'all'}", []).append(f1)
                print(
                    domain,
                    seed,
                    start,
                    {key: value[-1] for key, value in cells.items() if key.startswith(domain)},
                    flush=True,
                )
    heads = [f"{domain} {what}" for domain in args.domains for what in ("zero-shot", str(FEW), "all")]
    print(f"\n| start | {' | '.join(heads)} |\n| --- |{' --- |' * len(heads)}")
    for start, scores in table.items():
        print(f"| {start} | {' | '.join(mean(scores[head]) if head in scores else '' for head in heads)} |")


if __name__ == "__main__":
    main()
