"""The predictions that a stage left, a JSON line a row: read back, and matched with those of another run.

What is done with the pairs: ``compare.py``.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sixfold.errors import DataError

ANSWERS = ("tags", "labels", "label")
"""The key that holds a task's answer in a line; the first that is there."""


def path_of(stage: Path, split: str) -> Path:
    """Where a stage keeps the predictions of a split."""
    return stage / "predictions" / f"{split}.jsonl"


def splits_of(stage: Path) -> list[str]:
    """The splits that a stage has predictions of."""
    return sorted(path.stem for path in (stage / "predictions").glob("*.jsonl"))


@dataclass(frozen=True)
class Row:
    """One line of predictions: labels in order, or BIO tags. ``abstained``: the model itself gave no label."""

    key: str
    gold: tuple[str, ...]
    answer: tuple[str, ...]
    abstained: bool = False


def read(path: Path) -> tuple[str, list[Row]]:
    """What kind of answer the file holds (one of ``ANSWERS``), and its rows.

    Raises:
        DataError: a line is damaged, or there is none; with its number.
    """
    kinds: set[str] = set()
    rows = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                kind, row = _row(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError, DataError) as error:
                raise DataError(
                    "this line is no prediction that can be compared",
                    where=f"{path}:{number}",
                    found=f"{type(error).__name__}: {error}"[:120],
                    hint="run the recipe again to write it anew",
                ) from error
            kinds.add(kind)
            rows.append(row)
    if len(kinds) != 1:
        found = ", ".join(sorted(kinds)) or "no line"
        raise DataError("a file of predictions holds answers of one kind", where=path, found=found)
    return kinds.pop(), rows


def _row(line: dict[str, Any]) -> tuple[str, Row]:
    kind = next((name for name in ANSWERS if name in line), None)
    if kind is None:
        raise ValueError(f"none of {', '.join(ANSWERS)}")
    key, gold, answer = str(line["row"]), line["gold"], line[kind]
    if kind == "tags":
        return kind, Row(key, _bio(gold), _bio(answer))
    if kind == "labels":
        return kind, Row(key, _sorted(gold), _sorted(answer))
    abstained = answer is None
    if abstained:
        answer = max(line["probabilities"].items(), key=lambda item: item[1])[0]
    (gold,) = _sorted(gold)
    return kind, Row(key, (gold,), (str(answer),), abstained)


def _bio(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags of any scheme as BIO, so that only what they mean is compared."""
    from sixfold.metrics.tagging import spans, tags_of

    return tuple(tags_of(spans(tags), len(tags)))


def _sorted(cell: Any) -> tuple[str, ...]:
    return tuple(sorted(set(map(str, cell)))) if isinstance(cell, list) else (str(cell),)


def matched(first: Sequence[Row], second: Sequence[Row]) -> tuple[list[tuple[Row, Row]], int]:
    """Rows with the same key and right answer, in order; and how many more have the same key but another answer."""
    waiting: defaultdict[tuple[str, tuple[str, ...]], deque[Row]] = defaultdict(deque)
    for row in second:
        waiting[row.key, row.gold].append(row)
    both, left = [], Counter[str]()
    for row in first:
        same = waiting.get((row.key, row.gold))
        if same:
            both.append((row, same.popleft()))
        else:
            left[row.key] += 1
    rest = Counter(row.key for rows in waiting.values() for row in rows)
    return both, (left & rest).total()
