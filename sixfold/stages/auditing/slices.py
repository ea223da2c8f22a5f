"""Parts of the held-out rows: by length, language, right label, or a column of the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sixfold.metrics.intervals import proportion
from sixfold.tasks.contract import Task
from sixfold.text import words as split_words
from sixfold.text.language import language

if TYPE_CHECKING:
    import datasets

Result = dict[str, Any]
LEAST = 10
"""Rows of a part that a figure is told of."""
MOST = 20
"""Parts of one column; the largest ones."""
Parts = dict[str, list[int]]


@dataclass(frozen=True)
class Slices:
    """Places of rows, by column and then by value.

    Attributes:
        told: what a value stands for, where it does not speak for itself.
        left_out: by column, rows in parts too small to be told of.
    """

    parts: Mapping[str, Parts]
    told: Mapping[str, str]
    left_out: Mapping[str, int]

    @property
    def names(self) -> list[str]:
        """``column.value`` of each part."""
        return [f"{column}.{written(value)}" for column, parts in self.parts.items() for value in parts]


def written(value: str) -> str:
    """A value as part of a figure's name: without blanks and signs that a gate is read by."""
    return re.sub(r"[\s<>=]+", "_", value) or "empty"


def sliced(rows: datasets.Dataset, task: Task, columns: Sequence[str]) -> Slices:
    """Cut rows into parts. A column that does not apply to the task (labels of tags) gives none."""
    parts: dict[str, Parts] = {}
    told: dict[str, str] = {}
    left_out: dict[str, int] = {}
    for column in columns:
        values, meant = _values(rows, task, column)
        told |= meant
        counts = Counter(values)
        kept = [value for value, count in counts.most_common(MOST) if count >= LEAST]
        if column == "length":
            kept = [value for value in ("short", "medium", "long") if value in kept]
        if len(kept) > 1:  # one part alone is all rows, or says nothing beside them
            parts[column] = {value: [place for place, one in enumerate(values) if one == value] for value in kept}
            left_out[column] = len(values) - sum(map(len, parts[column].values()))
    return Slices(parts, told, {column: count for column, count in left_out.items() if count})


def _values(rows: datasets.Dataset, task: Task, column: str) -> tuple[list[str], dict[str, str]]:
    """Each row's value, and what values mean."""
    role = next(one.role for one in task.columns if not one.target)
    if column == "length":
        return _lengths(rows[role])
    if column == "language":
        return [language(cell if isinstance(cell, str) else " ".join(cell)) for cell in rows[role]], {}
    if column == "label":
        single = "label" in rows.column_names
        return ([str(cell) for cell in rows["label"]] if single else []), {}
    return [str(cell) for cell in rows[column]], {}


def _lengths(cells: Sequence[Any]) -> tuple[list[str], dict[str, str]]:
    """Thirds by the number of words."""
    counts = np.array([len(split_words(cell)) if isinstance(cell, str) else len(cell) for cell in cells])
    first, second = (int(np.quantile(counts, share)) for share in (1 / 3, 2 / 3))
    told = {
        "short": f"up to {first:,} words",
        "medium": f"{first + 1:,} to {second:,} words",
        "long": f"more than {second:,} words",
    }
    return ["short" if count <= first else "medium" if count <= second else "long" for count in counts], told


def measured(
    slices: Slices, name: str, figure: Callable[[list[int]], Mapping[str, Any]]
) -> tuple[list[Result], dict[str, Result]]:
    """The figure of each part: rows of a table, and metrics by name.

    Args:
        name: of the figure on all rows.
        figure: of the rows at some places, as ``Metric.to_dict`` gives it.
    """
    table, metrics = [], {}
    for column, parts in slices.parts.items():
        for value, places in parts.items():
            metric = dict(figure(places))
            meant = slices.told.get(value, "") if column == "length" else ""
            table.append({"column": column, "value": value, "meant": meant, "rows": len(places), "metric": metric})
            metrics[f"{name}.{column}.{written(value)}"] = metric
    return table, metrics


def right(places: Sequence[int], correct: Sequence[bool]) -> Result:
    """The share of rows answered rightly."""
    return proportion("accuracy", sum(correct[place] for place in places), len(places)).to_dict()
