"""Personal data found, and megabytes a second, against presidio-analyzer with its default recognisers, in turns.

    SIXFOLD_DATA=... python bench/personal_data.py
    python bench/personal_data.py --chinese      # Sixfold alone, on bench/data/personal_data_zh.jsonl

The texts are presidio_research/synth_dataset_v2.json (English, 1,500). Types are mapped as printed; gold entities and
findings of other types are left out on both sides. A finding counts if it overlaps a gold entity of its type, a gold
entity is found if some finding of its type overlaps it. Of Presidio's findings those count that score 0.35 or more,
or whatever --least says. With --names CHECKPOINT and --spacy MODEL, both sides look for names too.

The speed is that of patterns alone: Presidio's recognisers are called directly, without its tokenizer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import Slicer, machine, peer_python, take_slices

HERE = Path(__file__).parent
CHINESE = HERE / "data" / "personal_data_zh.jsonl"
PEER = ("presidio-analyzer==2.2.366", "phonenumbers>=8")
PATTERNS = {
    # ours: (of the data set, of Presidio)
    "card": ("CREDIT_CARD", "CREDIT_CARD"),
    "phone": ("PHONE_NUMBER", "PHONE_NUMBER"),
    "email": ("EMAIL_ADDRESS", "EMAIL_ADDRESS"),
    "iban": ("IBAN_CODE", "IBAN_CODE"),
    "ssn": ("US_SSN", "US_SSN"),
    "ip": ("IP_ADDRESS", "IP_ADDRESS"),
    "url": ("DOMAIN_NAME", "URL"),
}
NAMES = {"person": ("PERSON", "PERSON"), "place": ("GPE", "LOCATION")}
Found = tuple[str, int, int]


def english() -> tuple[list[str], list[list[Found]]]:
    """Texts, and their entities by our types."""
    path = Path(os.environ["SIXFOLD_DATA"]) / "presidio_research" / "synth_dataset_v2.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    ours = {gold: name for name, (gold, _) in {**PATTERNS, **NAMES}.items()}
    gold = [
        [
            (ours[span["entity_type"]], span["start_position"], span["end_position"])
            for span in row["spans"]
            if span["entity_type"] in ours
        ]
        for row in rows
    ]
    return [row["full_text"] for row in rows], gold


def chinese() -> tuple[list[str], list[list[Found]]]:
    rows = [json.loads(line) for line in CHINESE.read_text(encoding="utf-8").splitlines()]
    return [row["text"] for row in rows], [
        [(one["type"], one["start"], one["end"]) for one in row["entities"]] for row in rows
    ]


def counted(gold: Sequence[Sequence[Found]], said: Sequence[Sequence[Found]], types: Iterable[str]) -> tuple[int, ...]:
    """Findings that are right, all findings, gold entities that are found, all gold entities."""
    kept = set(types)
    right = all_said = hit = true = 0
    for wanted, given in zip(gold, said, strict=True):
        wanted = [one for one in wanted if one[0] in kept]
        given = [one for one in given if one[0] in kept]
        right += sum(any(_overlap(one, other) for other in wanted) for one in given)
        hit += sum(any(_overlap(one, other) for other in given) for one in wanted)
        all_said, true = all_said + len(given), true + len(wanted)
    return right, all_said, hit, true


def _overlap(one: Found, other: Found) -> bool:
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


def row(name: str, counts: tuple[int, ...]) -> str:
    right, said, hit, true = counts
    precision, recall = right / max(1, said), hit / max(1, true)

    def score(beta: float) -> float:
        return (1 + beta**2) * precision * recall / max(1e-12, beta**2 * precision + recall)

    return f"| {name} | {true} | {said} | {precision:.3f} | {recall:.3f} | {score(1):.3f} | {score(2):.3f} |"


def table(gold: Sequence[Sequence[Found]], sides: dict[str, Sequence[Sequence[Found]]], types: Sequence[str]) -> None:
    print("| side, type | gold | found | precision | recall | F1 | F2 |\n| --- | --- | --- | --- | --- | --- | --- |")
    for side, said in sides.items():
        for kind in types:
            print(row(f"{side}, {kind}", counted(gold, said, [kind])))
        print(row(f"**{side}, all**", counted(gold, said, types)))


def worker(args: argparse.Namespace) -> None:
    """Sixfold's side."""
    from sixfold.safety import find
    from sixfold.safety.names import NameFinder

    texts = json.loads(Path(args.texts).read_text(encoding="utf-8"))
    names = NameFinder.load(*args.names) if args.names else None
    find(" ".join(texts[:50]), names=names)
    print(json.dumps({"ready": len(texts)}), flush=True)
    for line in sys.stdin:
        start, end = (int(word) for word in line.split()[1:])
        begun = time.perf_counter()
        found = [find(text, names=names) for text in texts[start:end]]
        seconds = time.perf_counter() - begun
        told = [[[one.type, one.start, one.end, one.score] for one in some] for some in found]
        print(json.dumps({"slice": [start, end], "seconds": seconds, "found": told}), flush=True)


def spans(side: Slicer, least: float, mapped: dict[str, str] | None = None) -> list[list[Found]]:
    out = []
    for some in side.all("found"):
        kept = [one for one in some if one[3] >= least]
        out.append([(mapped.get(one[0], "") if mapped else one[0], one[1], one[2]) for one in kept])
    return out


def compare(args: argparse.Namespace) -> None:
    texts, gold = english()
    size = sum(len(text.encode()) for text in texts) / 1e6
    types = [*PATTERNS, *(NAMES if args.names else {})]
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "texts"
        path.write_text(json.dumps(texts), encoding="utf-8")
        own = [sys.executable, __file__, "worker", "--texts", str(path)]
        sides = [Slicer("Sixfold", own)]
        if args.names:
            sides.append(Slicer("Sixfold, with names", [*own, "--names", *args.names]))
        if not args.ours:
            packages = (*PEER, args.spacy_package) if args.spacy_package else PEER
            python = str(peer_python("presidio", packages))
            peer = [python, str(HERE / "peers" / "presidio_turns.py"), "--texts", str(path)]
            sides.append(Slicer("Presidio, patterns alone", [*peer, "--patterns-alone"]))
            sides.append(Slicer("Presidio", [*peer, "--model", args.spacy]))
        take_slices(sides, len(texts), args.slices)
    print(f"{len(texts):,} texts, {size:.3f} MB of synth_dataset_v2; {machine()}\n")
    print("mapping (Sixfold: data set, Presidio): ", {name: {**PATTERNS, **NAMES}[name] for name in types}, "\n")
    theirs = {name: ours for ours, (_, name) in {**PATTERNS, **NAMES}.items()}
    told = {
        side.name: spans(side, args.least, theirs) if side.name.startswith("Presidio") else spans(side, 0.0)
        for side in sides
        if side.name != "Presidio, patterns alone"
    }
    table(gold, told, types)
    print("\n| side | seconds | MB/s |\n| --- | --- | --- |")
    for side in sides:
        print(f"| {side.name} | {side.seconds:.2f} | {size / side.seconds:.3f} |")


def alone() -> None:
    """The Chinese texts, on our side alone: Presidio has no recognisers for them."""
    from sixfold.safety import find

    texts, gold = chinese()
    begun = time.perf_counter()
    said = [[(one.type, one.start, one.end) for one in find(text)] for text in texts]
    seconds = time.perf_counter() - begun
    size = sum(len(text.encode()) for text in texts) / 1e6
    empty = sum(not entities for entities in gold)
    print(f"{len(texts):,} Chinese texts, {empty} without personal data, {size:.3f} MB; {machine()}\n")
    table(gold, {"Sixfold": said}, sorted({kind for some in gold for kind, _, _ in some}))
    taken = sum(bool(found) for found, true in zip(said, gold, strict=True) if not true)
    print(f"\n{taken} near-misses were taken for data")
    print(f"{size / seconds:.3f} MB/s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--names", nargs="*", default=[], help="checkpoints for entities")
    if len(sys.argv) > 1 and sys.argv[1] == "worker":
        parser.add_argument("worker")
        parser.add_argument("--texts", required=True)
    else:
        parser.add_argument("--chinese", action="store_true")
        parser.add_argument("--ours", action="store_true", help="without Presidio")
        parser.add_argument(
            "--spacy", default="", help="a spaCy model in Presidio's environment; patterns alone without"
        )
        parser.add_argument("--spacy-package", default="", help="what pip installs for it")
        parser.add_argument("--least", type=float, default=0.35)
        parser.add_argument("--slices", type=int, default=5)
    args = parser.parse_args()
    if hasattr(args, "worker"):
        worker(args)
    elif args.chinese:
        alone()
    else:
        compare(args)


if __name__ == "__main__":
    main()
