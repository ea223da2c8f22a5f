"""The exception tree, and how problems are collected and told.

A user's mistake is told in one message: what, where, what was found, the nearest valid choice, and what to do
next. A broken invariant of ours is an ``assert``, never one of these.

    SixfoldError            exit code 1
    ├── UsageError          exit code 2: a flag, key, name or path that does not exist
    ├── DataError           the rows cannot be used as asked
    ├── ModelError          a model folder or checkpoint cannot be used
    ├── IntegrityError      bytes are not the bytes that were pinned
    ├── StorageError        a file could not be written (disk full, no permission)
    ├── GateError           exit code 3: a check that was asked for did not pass
    └── Interrupted         exit code 130: stopped by Ctrl-C, after saving
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal


class SixfoldError(Exception):
    """Base of every error that a user is meant to read.

    Args:
        what: one sentence that says what is wrong.
        where: file, line, key or flag.
        found: what stands there.
        nearest: the nearest valid choice.
        hint: what to do next; a command where there is one.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        found: object = None,
        nearest: object = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.found = found
        self.nearest = nearest
        self.hint = hint
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        for name, value in (("where", self.where), ("found", self.found)):
            if value is not None:
                lines.append(f"  {name}: {value}")
        if self.nearest is not None:
            lines.append(f"  did you mean: {self.nearest}")
        if self.hint is not None:
            lines.append(f"  next: {self.hint}")
        return "\n".join(lines)


class UsageError(SixfoldError):
    """A flag, key, name or path that does not exist or does not fit."""

    exit_code = 2


class DataError(SixfoldError):
    """Rows that cannot be used as asked."""


class ModelError(SixfoldError):
    """A model folder or checkpoint that cannot be used."""


class IntegrityError(SixfoldError):
    """Bytes that are not the bytes that were pinned."""


class StorageError(SixfoldError):
    """A file that could not be written."""


class GateError(SixfoldError):
    """A check that the user asked for did not pass."""

    exit_code = 3


class Interrupted(SixfoldError):  # noqa: N818 (not an error, though it ends a run like one)
    """Stopped by Ctrl-C after the state was saved."""

    exit_code = 130


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice most like ``name`` (case ignored), or None when nothing is near."""
    by_lower = {choice.lower(): choice for choice in choices}
    match = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[match[0]] if match else None


def unknown(kind: str, name: str, choices: Iterable[str], *, where: object = None) -> UsageError:
    """The error for a name that is not among ``choices``: it shows the nearest one, or lists them all."""
    known = sorted(choices)
    best = nearest(name, known)
    listed = ", ".join(known) if known else "none"
    return UsageError(
        f"there is no {kind} {name!r}",
        where=where,
        nearest=best,
        hint=None if best and len(known) > 30 else f"choose one of: {listed}",
    )


Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Problem:
    """One kind of problem, however many places it occurs in.

    Attributes:
        level: ``error`` stops the run, ``warning`` is allowed but shown, ``note`` is only information.
        what: one sentence.
        count: how many rows (or places) have it.
        where: up to a few places, such as ``train.csv:17``.
        remedy: how to mend it.
    """

    level: Level
    what: str
    count: int = 1
    where: tuple[str, ...] = ()
    remedy: str = ""

    def __str__(self) -> str:
        places = f" ({', '.join(self.where)}{', …' if self.count > len(self.where) else ''})" if self.where else ""
        remedy = f"\n    mend: {self.remedy}" if self.remedy else ""
        times = f" [{self.count:,}×]" if self.count > 1 else ""
        return f"{self.level}: {self.what}{times}{places}{remedy}"


@dataclass
class Problems:
    """Collects all problems so that they are told at once."""

    items: list[Problem] = field(default_factory=list)

    def add(
        self,
        level: Level,
        what: str,
        *,
        count: int = 1,
        where: Iterable[str] = (),
        remedy: str = "",
    ) -> None:
        self.items.append(Problem(level, what, count, tuple(where)[:5], remedy))

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.items if problem.level == "error"]

    def raise_errors(self, *, where: object = None, hint: str | None = None) -> None:
        """Raise one DataError that tells every error, when there is any."""
        if not self.errors:
            return
        count = len(self.errors)
        told = "\n".join(f"  {problem}" for problem in self.errors)
        noun = "problem" if count == 1 else "problems"
        raise DataError(f"{count} {noun} in the data:\n{told}", where=where, hint=hint)
