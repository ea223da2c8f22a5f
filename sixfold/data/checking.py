"""Checking rows against what a task needs: all problems at once; then rows under the task's own names.

Each cell is read in ``cells.py`` and each split walked in ``survey.py``; how it is printed is in ``commands/check.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from sixfold.data import arrow, cells, partition, walking
from sixfold.data.columns import Column
from sixfold.data.findings import ALLOWANCES, Faults, find
from sixfold.data.survey import Survey, survey
from sixfold.errors import Problem, Problems, UsageError, nearest, unknown

if TYPE_CHECKING:
    import datasets

HIDDEN = ("__file__", "__line__")


@dataclass(frozen=True)
class Lengths:
    """Quantiles of the lengths of a split's inputs."""

    least: int
    median: int
    p90: int
    p99: int
    most: int


@dataclass(frozen=True)
class Checked:
    """What ``check`` found. Plain data.

    Attributes:
        problems: all of them, errors first.
        columns: what was asked for.
        mapping: role -> column of the file.
        separators: role -> what stands between class names in a cell.
        rows: rows by split.
        labels: rows by class (entities by type) by split, the most frequent first.
        characters: lengths of the inputs by split.
        units: the same in words, where each Chinese character is one.
        languages: share of the rows by language, by split.
        scheme: of tags: BIO, IOB1, BIOES, mixed, none; None when there are no tags.
        unusable: rows (indices) that cannot be used as asked, by split and by the words of their problem.
        changed: roles whose cells ``apply`` has to write anew.
        notes: what was noted while the rows were read.
    """

    problems: tuple[Problem, ...]
    columns: tuple[Column, ...]
    mapping: Mapping[str, str]
    separators: Mapping[str, str]
    rows: Mapping[str, int]
    labels: Mapping[str, Mapping[str, int]]
    characters: Mapping[str, Lengths]
    units: Mapping[str, Lengths]
    languages: Mapping[str, Mapping[str, float]]
    scheme: str | None
    unusable: Mapping[str, Mapping[str, tuple[int, ...]]]
    changed: frozenset[str]
    notes: tuple[str, ...]

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.level == "error"]

    @property
    def droppable(self) -> list[Problem]:
        """The errors that are gone once the rows that have them are dropped."""
        whats = {what for faults in self.unusable.values() for what in faults}
        return [problem for problem in self.errors if problem.what in whats]


def check(
    rows: datasets.DatasetDict,
    columns: Sequence[Column],
    mapping: Mapping[str, str] | None = None,
    *,
    allow: Collection[str] = (),
) -> Checked:
    """Everything that is wrong or odd about rows, for a task with these columns. Raises nothing for the rows.

    Args:
        rows: as ``read`` gives them.
        columns: what the task needs; hand over only the inputs to check rows for prediction.
        mapping: role -> column of the file. A role that is not in it is found by its own or a usual name.
        allow: problems that are only warned of: ``overlaps`` (rows in two splits), ``unseen`` (labels that train
            lacks), ``one_class``.

    Raises:
        UsageError: the mapping names no role of the task, or ``allow`` no such problem.
    """
    for name in allow:
        if name not in ALLOWANCES:
            raise unknown("allowance", name, ALLOWANCES)
    problems = Problems()
    found = _resolve(rows, columns, mapping or {}, problems)
    separators = {
        column.role: cells.separator([cell for split in rows.values() for cell in split[found[column.role]]])
        for column in columns
        if column.kind == "labels" and column.role in found
    }
    surveys = {name: survey(split, columns, found, separators) for name, split in partition.ordered(rows).items()}
    unusable = _findings(rows, surveys, columns, found, problems, allow)
    notes = dict.fromkeys(note for split in rows.values() for note in arrow.notes(split))
    for note in notes:
        problems.add("note", note)
    order = ["error", "warning", "note"]
    measured = {name: one for name, one in surveys.items() if one.characters}
    return Checked(
        problems=tuple(sorted(problems, key=lambda problem: order.index(problem.level))),
        columns=tuple(columns),
        mapping=found,
        separators=separators,
        rows={name: one.rows for name, one in surveys.items()},
        labels={name: _counts(one, columns) for name, one in surveys.items()},
        characters={name: _lengths(one.characters) for name, one in measured.items()},
        units={name: _lengths(one.units) for name, one in measured.items()},
        languages={name: _shares(one.languages) for name, one in measured.items()},
        scheme=_scheme(surveys) if any(column.kind == "tags" for column in columns) else None,
        unusable=unusable,
        changed=frozenset(role for one in surveys.values() for role in one.changed),
        notes=tuple(notes),
    )


def check_header(rows: datasets.DatasetDict, header: Sequence[str]) -> None:
    """Refuse names that were not used, and a file that has a header line after all.

    Raises:
        UsageError: the source names its columns itself, has fewer of them, or names them in its first line.
    """
    first = next(iter(rows.values()))
    present = [name for name in first.column_names if name not in HIDDEN]
    if len(present) < len(header):
        raise UsageError(
            f"header names {len(header)} columns, and the source has {len(present)}", found=", ".join(present)
        )
    if not set(header) <= set(present):
        raise UsageError(
            "header names the columns of csv, tsv and xlsx files, and this source names its own",
            found=", ".join(present),
            hint="leave header out; columns: says which column plays which role",
        )
    if all(str(first[0][name]).strip().lower() == name.lower() for name in header):
        raise UsageError("the file has a header line already", where=partition.place(first, 0), hint="leave header out")


def _resolve(
    rows: datasets.DatasetDict, columns: Sequence[Column], mapping: Mapping[str, str], problems: Problems
) -> dict[str, str]:
    """Role -> column for every column that is found in all splits; a problem for every other."""
    roles = [column.role for column in columns]
    for role in mapping:
        if role not in roles:
            raise unknown("column role", role, roles)
    present = [name for name in next(iter(rows.values())).column_names if name not in HIDDEN]
    found: dict[str, str] = {}
    for column in columns:
        asked = mapping.get(column.role)
        name = asked if asked in present else None if asked else _usual(column, present, found.values())
        if name is None:
            if column.required or asked:
                _missing(column, asked, present, problems)
            continue
        lacking = [split for split, some in rows.items() if name not in some.column_names]
        if lacking and column.required:
            problems.add("error", f"the split {', '.join(lacking)} has no column {name!r}, which train has")
        elif not lacking:
            found[column.role] = name
    return found


def _usual(column: Column, present: Sequence[str], taken: Collection[str]) -> str | None:
    by_lower = {name.lower(): name for name in present if name not in taken}
    return next((by_lower[name.lower()] for name in (column.role, *column.names) if name.lower() in by_lower), None)


def _missing(column: Column, asked: str | None, present: Sequence[str], problems: Problems) -> None:
    wanted = asked or column.role
    best = nearest(wanted, present)
    usual = f"; usual names are {', '.join(column.names[:6])}" if column.names and not asked else ""
    problems.add(
        "error",
        f"there is no column {wanted!r} (the {column.role}){usual}; the file has {', '.join(present) or 'none'}",
        remedy=f"did you mean {best!r}? Say so with `columns: {{{column.role}: {best}}}`"
        if best
        else f"name the column with `columns: {{{column.role}: ...}}`",
    )


def _findings(
    rows: datasets.DatasetDict,
    surveys: Mapping[str, Survey],
    columns: Sequence[Column],
    found: Mapping[str, str],
    problems: Problems,
    allow: Collection[str],
) -> dict[str, dict[str, tuple[int, ...]]]:
    def place(split: str, index: int) -> str:
        return partition.place(rows[split], index)

    faults: Faults = {name: dict(one.faults) for name, one in surveys.items()}
    find(surveys, [column for column in columns if column.role in found], place, problems, faults, allow)
    return {split: {what: tuple(indices) for what, indices in some.items()} for split, some in faults.items() if some}


def _counts(one: Survey, columns: Sequence[Column]) -> dict[str, int]:
    tagged = any(column.kind == "tags" for column in columns)
    return dict((one.tagging.entities if tagged else one.labels).most_common())


def _lengths(values: Sequence[int]) -> Lengths:
    ranked = sorted(values)

    def at(share: float) -> int:
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))]

    return Lengths(ranked[0], at(0.5), at(0.9), at(0.99), ranked[-1])


def _shares(counts: Mapping[str, int]) -> dict[str, float]:
    total = sum(counts.values())
    return {name: count / total for name, count in sorted(counts.items(), key=lambda item: -item[1])}


def _scheme(surveys: Mapping[str, Survey]) -> str:
    """The scheme of all splits together: validation may lack what tells BIO and IOB1 apart."""
    schemes = {one.tagging.scheme for one in surveys.values()} - {"none"}
    return schemes.pop() if len(schemes) == 1 else "mixed" if schemes else "none"


@dataclass(frozen=True)
class Applied:
    """Rows that a task can use.

    Attributes:
        rows: columns named by role, cells in the form of their kind; ``__file__`` and ``__line__`` kept.
        dropped: how many rows were dropped, by split and by the words of their problem. A row with two problems
            counts under both.
    """

    rows: datasets.DatasetDict
    dropped: Mapping[str, Mapping[str, int]]


def apply(
    rows: datasets.DatasetDict,
    checked: Checked,
    *,
    on_bad: Literal["error", "drop"] = "error",
    keep: Sequence[str] = (),
) -> Applied:
    """The rows that were checked, under the task's names.

    Args:
        rows: the very rows that ``check`` saw.
        checked: what it found.
        on_bad: ``error`` raises for any problem; ``drop`` leaves out the rows that cannot be used, and counts them.
        keep: other columns of the file to carry along.

    Raises:
        DataError: all problems that dropping rows does not mend; with ``error``, every problem of level error.
        UsageError: no such value of ``on_bad``, no such column to keep, or it has a role's name and is another column.
    """
    if on_bad not in ("error", "drop"):
        raise unknown("value of on_bad", on_bad, ("error", "drop"))
    allowed = checked.droppable if on_bad == "drop" else []
    Problems([problem for problem in checked.errors if problem not in allowed]).raise_errors(
        hint="`sixfold check` shows all of it"
        + ("; `on_bad: drop` leaves out the rows that cannot be used" if checked.droppable else "")
    )
    import datasets

    made = {}
    for name, split in rows.items():
        gone = {index for indices in checked.unusable.get(name, {}).values() for index in indices}
        made[name] = _renamed(split, checked, keep)
        if gone:
            made[name] = made[name].select([index for index in range(len(split)) if index not in gone])
        if not len(made[name]):
            Problems([Problem("error", f"no row of {name} can be used", len(split))]).raise_errors()
    dropped = {
        split: {what: len(indices) for what, indices in faults.items()} for split, faults in checked.unusable.items()
    }
    return Applied(datasets.DatasetDict(made), dropped)


def _renamed(split: datasets.Dataset, checked: Checked, keep: Iterable[str]) -> datasets.Dataset:
    import pyarrow as pa

    kept = list(keep)
    for name in kept:
        if name not in split.column_names:
            raise unknown("column", name, [one for one in split.column_names if one not in HIDDEN])
        if checked.mapping.get(name, name) != name:
            raise UsageError(
                f"the column {name!r} has the name of a role that another column plays",
                found=f"{name} = {checked.mapping[name]}",
                hint=f"rename the column {name!r} in the file",
            )
    if len(set(checked.mapping.values())) < len(checked.mapping):
        raise UsageError("one column cannot play two roles", found=dict(checked.mapping))
    names = {name: role for role, name in checked.mapping.items()}
    rows = split.select_columns([*names, *(name for name in kept if name not in names), *_hidden(split)])
    rows = rows.rename_columns({name: role for name, role in names.items() if name != role})
    many, one = pa.list_(pa.string()), pa.string()
    types = {"text": one, "label": one, "labels": many, "words": many, "tags": many, "number": pa.float64()}
    for column in checked.columns:
        if column.role in checked.changed and column.kind in types and column.role in checked.mapping:
            change = partial(_read, column, checked.separators.get(column.role, ";"))
            rows = walking.with_column(rows, column.role, change, types[column.kind])
    return rows


def _hidden(split: datasets.Dataset) -> list[str]:
    return [name for name in HIDDEN if name in split.column_names]


def _read(column: Column, separator: str, cell: Any) -> Any:
    """A cell as its kind has it; None where it cannot be read, as its row is dropped then."""
    try:
        return cells.read(column.kind, cell, separator)
    except cells.BadCellError:
        return None
