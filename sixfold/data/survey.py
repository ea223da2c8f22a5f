"""One pass over one split: every cell read, every fault placed, everything counted.

What to make of it is in ``findings.py``.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sixfold.data import cells, walking
from sixfold.data.columns import Column
from sixfold.data.tags import Tagging
from sixfold.text import language, normal, units

if TYPE_CHECKING:
    import datasets

INPUT_KINDS = ("text", "words", "messages")
LABEL_KINDS = ("label", "labels")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")


@dataclass
class Survey:
    """What one split holds.

    Attributes:
        rows: how many there are.
        faults: indices of the rows that cannot be used, by kind of fault.
        keys: a 64-bit hash of the normalised inputs of each row; 0 for a row that cannot be used.
        classes: one row's class names each; None for a row that cannot be used or has none.
        labels: rows by class; entities by type.
        tagging: of token tags.
        characters, units: lengths of the inputs of each row.
        languages: rows by language.
        controls, replaced: indices of rows with control characters, with U+FFFD.
        numbers: roles of texts and classes that stand as numbers, with how many cells do.
        changed: roles with a cell that is written otherwise than tasks read it.
    """

    rows: int = 0
    faults: dict[str, list[int]] = field(default_factory=dict)
    keys: array[int] = field(default_factory=lambda: array("Q"))
    classes: list[tuple[str, ...] | None] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)
    tagging: Tagging = field(default_factory=Tagging)
    characters: array[int] = field(default_factory=lambda: array("q"))
    units: array[int] = field(default_factory=lambda: array("q"))
    languages: Counter[str] = field(default_factory=Counter)
    controls: list[int] = field(default_factory=list)
    replaced: list[int] = field(default_factory=list)
    numbers: Counter[str] = field(default_factory=Counter)
    changed: set[str] = field(default_factory=set)


def survey(
    rows: datasets.Dataset, columns: Sequence[Column], mapping: Mapping[str, str], separators: Mapping[str, str]
) -> Survey:
    """Read every cell of the mapped columns of one split."""
    found = Survey(rows=len(rows))
    seen: dict[tuple[str, ...], tuple[str, ...]] = {}
    read = [column for column in columns if column.role in mapping]
    for index, raw in enumerate(_cells(rows, [mapping[column.role] for column in read])):
        values = _read(found, index, read, raw, separators)
        faulty = len(values) < len(read) or not _agree(found, index, read, values)
        _measure(found, index, read, values, faulty)
        # One tuple for all rows of a class: there may be millions.
        names = None if faulty else _count(found, read, values)
        found.classes.append(None if names is None else seen.setdefault(names, names))
    return found


def _cells(rows: datasets.Dataset, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for table in walking.tables(rows, list(dict.fromkeys(names))):
        yield from zip(*(table[name].to_pylist() for name in names), strict=True)


def _fault(found: Survey, index: int, what: str) -> None:
    found.faults.setdefault(what, []).append(index)


def _read(
    found: Survey, index: int, columns: Sequence[Column], raw: Sequence[Any], separators: Mapping[str, str]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for column, cell in zip(columns, raw, strict=True):
        if cell is None and not column.required:
            values[column.role] = None
            continue
        try:
            value = cells.read(column.kind, cell, separators.get(column.role, ";"))
        except cells.BadCellError as fault:
            _fault(found, index, f"{column.role} {fault}")
            continue
        values[column.role] = value
        if value != cell or type(value) is not type(cell):
            found.changed.add(column.role)
            found.numbers[column.role] += column.kind == "text" and not isinstance(cell, str)
    return values


def _agree(found: Survey, index: int, columns: Sequence[Column], values: Mapping[str, Any]) -> bool:
    """Whether the cells of a row fit each other: as many tags as words, spans inside the text."""
    by_kind = {column.kind: values[column.role] for column in columns}
    words, tags = by_kind.get("words"), by_kind.get("tags")
    if words is not None and tags is not None and len(words) != len(tags):
        _fault(found, index, "there are not as many tags as words")
        return False
    if values.get("chosen") is not None and values.get("chosen") == values.get("rejected"):
        _fault(found, index, "chosen and rejected are the same")
        return False
    text, spans = by_kind.get("text"), by_kind.get("spans")
    if text is not None and spans is not None and any(span["end"] > len(text) for span in spans):
        _fault(found, index, "a span ends behind its text")
        return False
    if tags is not None:
        before = found.tagging.unknown.total()
        found.tagging.add(tags)
        if found.tagging.unknown.total() > before:
            _fault(found, index, "a tag is neither O nor B-, I-, E- or S- with a type")
            return False
    return True


def _measure(found: Survey, index: int, columns: Sequence[Column], values: Mapping[str, Any], faulty: bool) -> None:
    inputs = [
        cells.as_string(column.kind, values[column.role])
        for column in columns
        if not column.target and column.kind in INPUT_KINDS and values.get(column.role) is not None
    ]
    whole = "\n".join(inputs)
    if _CONTROL.search(whole):
        found.controls.append(index)
    if "\ufffd" in whole:
        found.replaced.append(index)
    if faulty:
        found.keys.append(0)
        return
    content = "\x1e".join(map(normal, inputs)).encode("utf-8", "surrogatepass")
    found.keys.append(int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()) if inputs else 0)
    found.characters.append(len(whole))
    found.units.append(_units(columns, values, whole))
    found.languages[language(whole)] += 1


def _units(columns: Sequence[Column], values: Mapping[str, Any], whole: str) -> int:
    words = [values[column.role] for column in columns if column.kind == "words" and not column.target]
    return sum(map(len, words)) if words else units(whole)


def _count(found: Survey, columns: Sequence[Column], values: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Count the classes of a row, and return them."""
    classes: list[str] = []
    labelled = False
    for column in columns:
        value = values[column.role]
        if column.kind in LABEL_KINDS and column.target and value is not None:
            names = {value} if column.kind == "label" else set(value)
            found.labels.update(names)
            classes.extend(names)
            labelled = True
    return tuple(sorted(classes)) if labelled else None
