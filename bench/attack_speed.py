"""Seconds of an attack against TextAttack 0.3.11, in turns on one machine: same weights, same examples, same attack.

    SIXFOLD_DATA=... python bench/attack_speed.py mr CHECKPOINT --examples 30

The attacks are those that TextAttack can build without a network once NLTK's list of stop words and WordNet are there;
both sides get Sixfold's. TextAttack runs twice: as shipped (texts padded to the model's limit), and mended (padded to
the longest of a batch, 256 texts at most). Sixfold runs in fp32, and with ``--precision auto``, where searches ask at a
lower precision if that is found to pay; finding that out, and compiling, is done before the clock starts, as it would
be once for ``--searched`` texts. Every side attacks a slice of the examples in its turn. Sixfold's successes are
confirmed in fp32 from the raw string, which is part of its time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import Slicer, machine, peer_python, take_slices

HERE = Path(__file__).parent
PEER = ("torch==2.13.0", "transformers==4.57.6", "textattack==0.3.11")
RECIPES = {"deepwordbug": "DeepWordBugGao2018", "pruthi": "Pruthi2019", "pwws": "PWWSRen2019"}
LABELS = {"mr": {"0": "negative", "1": "positive"}, "imdb": {"0": "negative", "1": "positive"}}


def rows_of(name: str, task_labels: Sequence[str], count: int) -> list[tuple[str, int]]:
    """The first examples of a file of textfooler_1k, with the model's number for each label."""
    path = Path(os.environ["SIXFOLD_DATA"]) / "textfooler_1k" / name
    out = []
    for line in path.read_text(encoding="utf-8").splitlines():
        label, _, text = line.strip().partition(" ")
        names = (label, LABELS[name].get(label, label))
        out.append((text, next(place for place, known in enumerate(task_labels) if known in names)))
    return out[:count]


def worker(args: argparse.Namespace) -> None:
    """Sixfold's side."""
    import datasets

    from sixfold.attack.attacks import named
    from sixfold.attack.run import attack
    from sixfold.score.rough import roughly
    from sixfold.score.subject import Subject
    from sixfold.tasks.texts import Texts

    subject = Subject.load(args.checkpoint)
    examples = json.loads(Path(args.examples).read_text(encoding="utf-8"))
    rough = None
    if args.precision == "auto":
        some = Texts({"text": [text for text, _ in examples]})
        encoded = subject.task.encode(some, subject.tokenizer, subject.limit, "truncate").examples
        rough, why = roughly(subject, encoded, searched=args.searched)
        print(why, file=sys.stderr)
    how = named(args.attack)
    print(json.dumps({"ready": len(examples)}), flush=True)
    for line in sys.stdin:
        start, end = (int(word) for word in line.split()[1:])
        begun = time.perf_counter()
        part = examples[start:end]
        rows = {"text": [text for text, _ in part], "label": [subject.task.labels[label] for _, label in part]}
        found = attack(subject, datasets.Dataset.from_dict(rows), how, seed=args.seed, rough=rough)
        outcomes = sorted(found, key=lambda o: o.place)
        seconds = time.perf_counter() - begun
        kinds = [one.kind for one in outcomes]
        queries = [one.queries for one in outcomes]
        ledger = {name: round(value, 2) for name, value in vars(subject.scorer.ledger).items()}
        told = {"slice": [start, end], "seconds": seconds, "kinds": kinds, "queries": queries, "ledger": ledger}
        print(json.dumps(told), flush=True)


def compare(args: argparse.Namespace) -> None:
    from sixfold.attack.function_words import ENGLISH
    from sixfold.score.subject import Subject
    from sixfold.text import lexicon

    python = peer_python("textattack", PEER)
    subject = Subject.load(args.checkpoint)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        examples = rows_of(args.data, subject.task.labels, args.examples)
        (folder / "examples").write_text(json.dumps(examples), encoding="utf-8")
        (folder / "words").write_text(json.dumps(sorted(ENGLISH)), encoding="utf-8")
        common = ["--checkpoint", str(subject.folder), "--examples", str(folder / "examples"), "--seed", str(args.seed)]
        own = [sys.executable, __file__, "worker", *common, "--attack", args.attack, "--searched", str(args.searched)]
        peer = [str(python), str(HERE / "peers" / "textattack_turns.py"), *common, "--attack", RECIPES[args.attack]]
        peer += ["--words", str(folder / "words"), "--limit", str(subject.limit)]
        if args.attack == "pwws":
            peer += ["--wordnet", str(lexicon.folder("wordnet"))]
        sides = [
            Slicer("Sixfold, fp32", own),
            Slicer("Sixfold, auto", [*own, "--precision", "auto"]),
            Slicer("TextAttack, as shipped", [*peer, "--folder", str(folder / "shipped")]),
            Slicer("TextAttack, mended", [*peer, "--folder", str(folder / "mended"), "--mended"]),
        ]
        if args.skip_shipped:
            del sides[2]
        take_slices(sides, len(examples), args.slices)
    print(
        f"{args.attack} on {len(examples)} texts of {args.data}, limit {subject.limit}, seed {args.seed}; {machine()}\n"
    )
    print("| side | seconds | fp32 is | auto is | attacked | success rate | queries, mean | median |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for side in sides:
        tried = [
            (kind, count)
            for kind, count in zip(side.all("kinds"), side.all("queries"), strict=True)
            if kind != "skipped"
        ]
        won = sum(kind == "succeeded" for kind, _ in tried)
        counts = [count for _, count in tried]
        print(
            f"| {side.name} | {side.seconds:.1f} | {side.seconds / sides[0].seconds:.1f}x "
            f"| {side.seconds / sides[1].seconds:.1f}x | {len(tried)} "
            f"| {won / len(tried):.1%} | {statistics.fmean(counts):.1f} | {statistics.median(counts):.0f} |"
        )
    print(f"\nSixfold's ledger: {sides[0].told[-1]['ledger']}")


def main() -> None:
    parser = argparse.ArgumentParser()
    if len(sys.argv) > 1 and sys.argv[1] == "worker":
        parser.add_argument("worker")
        parser.add_argument("--checkpoint", required=True)
        parser.add_argument("--attack", required=True)
        parser.add_argument("--examples", required=True)
        parser.add_argument("--precision", default="fp32")
    else:
        parser.add_argument("data", choices=list(LABELS))
        parser.add_argument("checkpoint")
        parser.add_argument("--attack", choices=list(RECIPES), default="deepwordbug")
        parser.add_argument("--examples", type=int, default=30)
        parser.add_argument("--slices", type=int, default=3)
        parser.add_argument("--skip-shipped", action="store_true", help="leave out the side that takes longest")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--searched", type=int, default=1_000, help="texts for which a lower precision is weighed")
    args = parser.parse_args()
    worker(args) if hasattr(args, "worker") else compare(args)


if __name__ == "__main__":
    main()
