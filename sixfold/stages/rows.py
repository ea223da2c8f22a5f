"""From a recipe's ``data:`` to checked rows in splits, with every dropped row counted and a digest of what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import datasets
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_serializer
from rich.markup import escape

from sixfold import data
from sixfold.data import partition
from sixfold.data.checking import Applied, Checked, apply, check
from sixfold.data.columns import Column
from sixfold.errors import DataError, Problem
from sixfold.metrics.tagging import spans


class DataConfig(BaseModel):
    """What a recipe says of the rows."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    source: Any = Field(description="File, folder, glob, catalogue name, hf:owner/name, or {train: …, test: …}.")
    format: str | None = Field(None, description="csv, jsonl, conll … Left out: by the file's name.")
    encoding: str | None = Field(None, description="Of text files. Left out: utf-8.")
    columns: dict[str, str] = Field(
        default_factory=dict, description="Role to the file's column, such as text: review."
    )
    split: dict[str, float] = Field(
        default_factory=lambda: {"validation": 0.1, "test": 0.1},
        description="Shares cut off the training rows by content hash, for splits that the source lacks.",
    )
    limit: PositiveInt | None = Field(None, description="Train on this many rows only, drawn by the seed.")
    overlaps: Literal["error", "remove"] = Field(
        "error", description="A row of train that is also in validation or test: refuse, or take it out of train."
    )
    allow: list[Literal["overlaps", "unseen", "one_class"]] = Field(
        default_factory=list,
        description="Problems that are only warned of; overlaps keeps rows that are in two splits.",
    )
    on_bad: Literal["error", "drop"] = Field("error", description="Rows with an error: refuse, or drop and count.")

    @field_serializer("source")
    def _named(self, source: Any) -> Any:
        """Rows given in memory are known by their digest, not by a name; none of them gets into a lineage."""
        if isinstance(source, Path):
            return str(source)
        if isinstance(source, list | tuple):
            return "<rows>" if source and isinstance(source[0], Mapping) else list(map(self._named, source))
        if isinstance(source, Mapping):
            return {name: self._named(part) for name, part in source.items()}
        return source if isinstance(source, str) else f"<{type(source).__name__}>"


@dataclass(frozen=True)
class Prepared:
    """Rows that a stage can use.

    Attributes:
        rows: columns named by role; ``train``, and ``validation`` and ``test`` where there are any.
        keys: a hash of each row's inputs, by split; the same row has the same key in every run.
        digests: SHA-256 of each split's content.
        described: what the report says of them, ready for JSON.
        told: lines for a person.
    """

    rows: datasets.DatasetDict
    keys: dict[str, list[str]]
    digests: dict[str, str]
    described: dict[str, Any]
    told: tuple[str, ...]


def prepare_rows(config: DataConfig, columns: Sequence[Column], *, seed: int) -> Prepared:
    """Read, check, split and limit rows.

    Raises:
        DataError: every problem of the rows at once, unless the recipe allows dropping them.
        UsageError: a source, format, encoding or role that does not exist.
    """
    read = data.read(config.source, format=config.format, encoding=config.encoding)
    allow = [*config.allow, *(["overlaps"] if config.overlaps == "remove" else [])]
    if "train" not in read:
        raise DataError(
            "there is no train split to learn from",
            found=", ".join(read),
            hint="give one: source: {train: FILE, test: FILE}",
        )
    checked = check(read, columns, config.columns, allow=allow)
    applied = apply(read, checked, on_bad=config.on_bad)
    inputs = [column.role for column in columns if not column.target and column.role in checked.mapping]
    rows = applied.rows
    if config.split:
        rows = partition.split(rows, config.split, on=inputs)
    told = [_line(problem) for problem in checked.problems]
    if config.overlaps == "remove":
        before = {name: len(split) for name, split in rows.items()}
        rows = partition.without_overlaps(rows, inputs)
        told += [
            f"{before[name] - len(rows[name]):,} rows taken out of {name}: they are in another split" for name in rows
        ]
    if config.limit is not None and config.limit < len(rows["train"]):
        told.append(f"training on {config.limit:,} of {len(rows['train']):,} rows (limit)")
        rows["train"] = rows["train"].shuffle(seed=seed).select(range(config.limit))
    roles = [column.role for column in columns if column.role in checked.mapping]
    digests = {name: partition.digest(split, roles) for name, split in rows.items()}
    for name, faults in applied.dropped.items():
        told += [f"{count:,} rows of {name} dropped: {what}" for what, count in faults.items()]
    return Prepared(
        rows=rows,
        keys={name: [key.hex() for key in partition.keys(split, inputs)] for name, split in rows.items()},
        digests=digests,
        described=_described(rows, checked, applied, digests, columns, config),
        told=tuple(told),
    )


def _line(problem: Problem) -> str:
    colour = {"error": "red", "warning": "yellow", "note": "dim"}[problem.level]
    return f"[{colour}]{escape(str(problem).splitlines()[0])}[/]"


def _described(
    rows: datasets.DatasetDict,
    checked: Checked,
    applied: Applied,
    digests: dict[str, str],
    columns: Sequence[Column],
    config: DataConfig,
) -> dict[str, Any]:
    return {
        "source": config.model_dump(mode="json")["source"],
        "columns": dict(checked.mapping),
        "splits": {
            name: {"rows": len(split), "digest": digests[name], "labels": _labels(split, columns)}
            for name, split in rows.items()
        },
        "languages": {name: dict(shares) for name, shares in checked.languages.items()},
        "problems": [asdict(problem) for problem in checked.problems],
        "dropped": [
            {"split": name, "problem": what, "rows": count}
            for name, faults in applied.dropped.items()
            for what, count in faults.items()
        ],
    }


def _labels(split: datasets.Dataset, columns: Sequence[Column]) -> dict[str, int]:
    """Rows by class, or entities by type, the most frequent first."""
    counts: Counter[str] = Counter()
    for column in columns:
        if column.role not in split.column_names:
            continue
        if column.kind == "label":
            counts.update(split[column.role])
        elif column.kind == "labels":
            counts.update(label for cell in split[column.role] for label in cell)
        elif column.kind == "tags":
            counts.update(kind for tags in split[column.role] for kind, _, _ in spans(tags))
    return dict(counts.most_common())
