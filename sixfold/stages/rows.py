"""From a recipe's ``data:`` to checked rows in splits, with every dropped row counted and a digest of what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import datasets
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_serializer, field_validator
from rich.markup import escape

from sixfold import data
from sixfold.data import partition
from sixfold.data.checking import Applied, Checked, apply, check, check_header
from sixfold.data.columns import Column
from sixfold.errors import DataError, Level, Problem, Problems
from sixfold.metrics.tagging import spans
from sixfold.stages.masked import RowMask, masked_rows
from sixfold.text.counting import counted

SHOWN = 5
"""Places that an error names."""


class DataConfig(BaseModel):
    """What a recipe says of the rows."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    source: Any = Field(description="File, folder, glob, catalogue name, hf:owner/name, or {train: …, test: …}.")
    format: str | None = Field(None, description="csv, jsonl, conll … Left out: by the file's name.")
    encoding: str | None = Field(None, description="Of text files. Left out: utf-8.")
    header: list[str] | None = Field(
        None, min_length=1, description="Names of the columns of a csv, tsv or xlsx file without a header line."
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="Role to the file's column, such as text: review."
    )
    split: dict[str, float] = Field(
        default_factory=lambda: {"validation": 0.1, "test": 0.1},
        description="Shares cut off the training rows by content hash, for splits that the source lacks.",
    )
    group: str | None = Field(
        None, description="A column of the file (a customer, a document): its rows of one value stay in one split."
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
    mask: bool = Field(
        False, description="Replace personal data that patterns find by pseudonyms, in the training rows."
    )

    @field_validator("header")
    @classmethod
    def _distinct(cls, names: list[str] | None) -> list[str] | None:
        if names is not None and len(set(names)) < len(names):
            raise ValueError("a column is named twice")
        return names

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
        masked: what is held out, masked as train is; empty where the recipe does not ask for a mask.
        mask: what train went through, if the recipe asks for it.
    """

    rows: datasets.DatasetDict
    keys: dict[str, list[str]]
    digests: dict[str, str]
    described: dict[str, Any]
    told: tuple[str, ...]
    masked: datasets.DatasetDict = field(default_factory=datasets.DatasetDict)
    mask: RowMask | None = None


def prepare_rows(config: DataConfig, columns: Sequence[Column], *, seed: int, keep: Sequence[str] = ()) -> Prepared:
    """Read, check, split and limit rows.

    Args:
        keep: other columns of the file to carry along.

    Raises:
        DataError: every problem of the rows at once, unless the recipe allows dropping them.
        UsageError: a source, format, encoding or role that does not exist.
    """
    talk = any(column.kind == "messages" for column in columns)
    read = data.read(config.source, format=config.format, encoding=config.encoding, columns=config.header, talk=talk)
    if config.header:
        check_header(read, config.header)
    allow = [*config.allow, *(["overlaps"] if config.overlaps == "remove" else [])]
    if "train" not in read:
        raise DataError(
            "there is no train split to learn from",
            found=", ".join(read),
            hint="give one: source: {train: FILE, test: FILE}",
        )
    checked = check(read, columns, config.columns, allow=allow)
    carried = dict.fromkeys([*keep, *([config.group] if config.group else [])])
    applied = apply(read, checked, on_bad=config.on_bad, keep=list(carried))
    inputs = [column.role for column in columns if not column.target and column.role in checked.mapping]
    rows = applied.rows
    told = [_line(problem) for problem in checked.problems]
    group = {name: role for role, name in checked.mapping.items()}.get(config.group or "", config.group)
    if group:
        _check_group(rows, group)
    if config.split:
        rows = partition.split(rows, config.split, on=inputs, group=group)
    if config.overlaps == "remove":
        before = {name: len(split) for name, split in rows.items()}
        for on in (inputs, [group] if group else []):
            rows = partition.without_overlaps(rows, on) if on else rows
        told += [
            f"{counted(before[name] - len(rows[name]), 'row')} taken out of {name}: also in another split"
            for name in rows
        ]
    elif group:
        told += _shared(rows, inputs, group, allowed="overlaps" in config.allow)
    if group:
        told.append(f"split by {escape(str(config.group))}: {_groups(rows, group)}")
        rows = rows if group in (*checked.mapping, *keep) else rows.remove_columns(group)
    if config.limit is not None and config.limit < len(rows["train"]):
        told.append(f"training on {config.limit:,} of {counted(len(rows['train']), 'row')} (limit)")
        rows["train"] = rows["train"].shuffle(seed=seed).select(range(config.limit))
    found = masked_rows(rows, columns, seed) if config.mask else None
    if found is not None:
        rows = found.rows
        told.append(found.tally.told("row"))
    roles = [column.role for column in columns if column.role in checked.mapping]
    digests = {name: partition.digest(split, roles) for name, split in rows.items()}
    for name, faults in applied.dropped.items():
        told += [f"{counted(count, 'row')} of {name} dropped: {escape(what)}" for what, count in faults.items()]
    return Prepared(
        rows=rows,
        keys={name: [key.hex() for key in partition.keys(split, inputs)] for name, split in rows.items()},
        digests=digests,
        described=_described(rows, checked, applied, digests, columns, config)
        | ({} if found is None else {"masked": found.tally.described}),
        told=tuple(told),
        masked=datasets.DatasetDict() if found is None else found.held_out,
        mask=None if found is None else found.how,
    )


def held_out(prepared: Prepared) -> str:
    """The split that a checkpoint is measured on: test, or validation where there is none.

    Raises:
        DataError: nothing is held out.
    """
    for split in ("test", "validation"):
        if split in prepared.rows:
            return split
    raise DataError(
        "no rows are held out: on rows that were learnt nothing can be measured",
        found=", ".join(prepared.rows),
        hint="data.split: {validation: 0.1, test: 0.1} cuts some off",
    )


def _check_group(rows: datasets.DatasetDict, group: str) -> None:
    """Refuse rows of no group: they would all count as one."""
    problems = Problems()
    for name, split in rows.items():
        empty = [index for index, cell in enumerate(split[group]) if cell is None or not str(cell).strip()]
        if empty:
            where = [partition.place(split, index) for index in empty[:SHOWN]]
            what = f"rows of {name} have no value in the column {group!r} that groups them"
            problems.add("error", what, count=len(empty), where=where, remedy="fill the cells, or take the rows out")
    problems.raise_errors()


def _shared(rows: datasets.DatasetDict, inputs: Sequence[str], group: str, *, allowed: bool) -> list[str]:
    """What splits share although rows are grouped: groups of splits that the source came with, texts of two groups.

    Raises:
        DataError: they share some, and the recipe does not allow it.
    """
    problems = Problems()
    for on, noun in (([group], f"{group} of"), (inputs, "text of")):
        for one in partition.overlaps(rows, on):
            what = f"rows of {one.first} have the {noun} a row of {one.second}"
            remedy = f"`overlaps: remove` takes them out of {one.first}, `allow: [overlaps]` keeps them"
            level: Level = "warning" if allowed else "error"
            problems.add(level, what, count=len(one.rows), where=one.places, remedy=remedy)
    problems.raise_errors()
    return [_line(problem) for problem in problems]


def _groups(rows: datasets.DatasetDict, group: str) -> str:
    counts = {name: len(set(partition.keys(split, [group]))) for name, split in rows.items()}
    return ", ".join(f"{counted(count, 'group')} in {name}" for name, count in counts.items())


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
