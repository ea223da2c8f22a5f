"""Whole sentences of sst2's training rows, held out with their phrases, to choose dials on.

Most rows of train are phrases of sentences that are there too, so rows cut off at random flatter whatever learns
phrases by heart; the official validation rows are what results are reported on, and must not choose.
"""

from __future__ import annotations

import csv
import json
import os
import random
from pathlib import Path

LEAST_WORDS = 12
COUNT = 2_000
SHORTEST_PHRASE = 3
"""In words; shorter ones stand in many sentences and give none away."""


def held_out(folder: Path) -> dict[str, str]:
    """Files ``train`` and ``test`` (JSON lines) in ``folder``, written if they are not there."""
    files = {split: folder / f"sst2-whole-{split}.jsonl" for split in ("train", "test")}
    if not all(file.is_file() for file in files.values()):
        with (Path(os.environ["SIXFOLD_DATA"]) / "sst2_glue" / "train.tsv").open(encoding="utf-8", newline="") as lines:
            rows = list({row["sentence"].strip(): row for row in csv.DictReader(lines, delimiter="\t")}.items())
        taken = _taken([text for text, _ in rows])
        inside = _phrases(taken)
        splits = {
            "train": [(text, row) for text, row in rows if text not in taken and text not in inside],
            "test": [(text, row) for text, row in rows if text in taken],
        }
        folder.mkdir(parents=True, exist_ok=True)
        for split, some in splits.items():
            written = (json.dumps({"text": text, "label": row["label"]}) + "\n" for text, row in some)
            files[split].write_text("".join(written), encoding="utf-8")
    return {split: str(file) for split, file in files.items()}


def _taken(texts: list[str]) -> set[str]:
    """Texts of enough words that are no phrase of another."""
    long = [text for text in texts if len(text.split()) >= LEAST_WORDS]
    inner = _phrases(set(long))
    whole = sorted(text for text in long if text not in inner)
    return set(random.Random(0).sample(whole, COUNT))


def _phrases(texts: set[str]) -> set[str]:
    """Every run of ``SHORTEST_PHRASE`` words and more in the texts, but the texts themselves."""
    found = set()
    for words in map(str.split, texts):
        for start in range(len(words)):
            for stop in range(start + SHORTEST_PHRASE, len(words) + 1):
                if stop - start < len(words):
                    found.add(" ".join(words[start:stop]))
    return found
