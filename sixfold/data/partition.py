"""Splits by content, what splits share, and the digest of rows. Reading rows is in ``sources.py``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sixfold.data.arrow import described
from sixfold.data.walking import tables
from sixfold.errors import DataError, UsageError, unknown
from sixfold.text import normal

if TYPE_CHECKING:
    import datasets

ORDER = ("train", "validation", "test")
SHOWN = 5


def split(
    dataset: datasets.Dataset | datasets.DatasetDict,
    fractions: Mapping[str, float],
    *,
    on: Sequence[str],
    group: str | None = None,
    seed: int = 0,
) -> datasets.DatasetDict:
    """Cut splits off the train rows by a hash of their content.

    A row's place depends on its own text and the seed alone, so it stays where it is as the file grows, and copies
    of one text land together (compared as ``text.normal`` does). The last split named gets the lowest hashes:
    changing an earlier fraction moves no row of a later one.

    Args:
        dataset: rows, or splits; a split that is already there is kept, and its fraction is not used.
        fractions: share of the rows for each new split, such as ``{"validation": 0.1, "test": 0.1}``.
        on: the columns that make the content.
        group: a column whose equal cells stay together (a customer, a document); then only it is hashed.
        seed: another cut.

    Raises:
        UsageError: fractions out of bounds, no such column.
        DataError: a split would be empty.
    """
    import datasets

    splits = dict(dataset) if isinstance(dataset, datasets.DatasetDict) else {"train": dataset}
    wanted = {name: share for name, share in fractions.items() if name not in splits and share}
    if any(not 0 <= share < 1 for share in fractions.values()) or sum(wanted.values()) >= 1:
        raise UsageError(
            "the fractions of a split lie between 0 and 1, and leave something to train on",
            found=dict(fractions),
        )
    if not wanted:
        return datasets.DatasetDict(splits)
    if "train" not in splits:
        raise DataError("there is no train split to cut from", found=", ".join(splits))
    rows = splits["train"]
    indices: dict[str, list[int]] = {name: [] for name in ("train", *wanted)}
    for index, key in enumerate(keys(rows, [group] if group else on, seed=seed)):
        indices[_place(int.from_bytes(key[:8]) / 2**64, wanted)].append(index)
    for name, some in indices.items():
        if not some:
            raise DataError(
                f"the split {name!r} would be empty",
                found=f"{len(rows):,} rows, fractions {dict(wanted)}",
                hint="give more rows or a larger fraction, or files of their own for the splits",
            )
    made = splits | {name: rows.select(some) for name, some in indices.items()}
    return datasets.DatasetDict(ordered(made))


def ordered(splits: Mapping[str, Any]) -> dict[str, Any]:
    """Train, validation, test, then the others as they come."""
    first = {name: splits[name] for name in ORDER if name in splits}
    return first | dict(splits)


def _place(share: float, fractions: Mapping[str, float]) -> str:
    limit = 0.0
    for name, fraction in reversed(list(fractions.items())):
        limit += fraction
        if share < limit:
            return name
    return "train"


def keys(rows: datasets.Dataset, on: Sequence[str], *, seed: int = 0) -> Iterator[bytes]:
    """A 16-byte BLAKE2b hash of each row's normalised cells in the columns ``on``."""
    _need(rows, on)
    salt = seed.to_bytes(16, signed=True)
    for table in tables(rows, on):
        for cells in zip(*(table[name].to_pylist() for name in on), strict=True):
            content = "\x1e".join(map(_told, cells))
            yield hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16, salt=salt).digest()


def drawn(count: int, most: int, seed: int) -> list[int]:
    """Places of at most so many rows of ``count``, drawn by the seed, in order."""
    return sorted(np.random.default_rng(seed % 2**64).permutation(count)[:most].tolist())


def _told(cell: Any) -> str:
    if isinstance(cell, list):
        return "\x1f".join(map(_told, cell))
    return normal(cell) if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False, default=str)


def _need(rows: datasets.Dataset, columns: Sequence[str]) -> None:
    if not columns:
        raise UsageError("no column was named")
    for name in columns:
        if name not in rows.column_names:
            raise unknown("column", name, rows.column_names)


def digest(dataset: datasets.Dataset, columns: Sequence[str]) -> str:
    """SHA-256 (64 hexadecimal digits) over the cells of those columns, row order included.

    The same for the same content, whether it comes from the cache, from memory, or in other chunks. Numbers and
    strings differ: 1 is not "1".

    Raises:
        UsageError: no such column.
    """
    _need(dataset, columns)
    whole = hashlib.sha256(json.dumps(list(columns), ensure_ascii=False).encode())
    for table in tables(dataset, columns):
        for name in columns:
            cells = json.dumps(table[name].to_pylist(), ensure_ascii=False, default=str, sort_keys=True)
            whole.update(cells.encode("utf-8", "surrogatepass"))
    return whole.hexdigest()


@dataclass(frozen=True)
class Overlap:
    """Rows of one split whose content also stands in another.

    Attributes:
        first: the split that they should be taken out of: train before validation before test.
        second: the other split.
        rows: indices of the rows of ``first``.
        texts: how many distinct contents they have.
        places: a few of them, as ``train.csv:12 = test.csv:3``.
    """

    first: str
    second: str
    rows: tuple[int, ...]
    texts: int
    places: tuple[str, ...]


def overlaps(splits: datasets.DatasetDict, on: Sequence[str]) -> list[Overlap]:
    """Every pair of splits that share content (compared as ``text.normal`` does) in the columns ``on``."""
    seen: dict[str, dict[bytes, int]] = {}
    found = []
    for second, rows in reversed(ordered(splits).items()):
        firsts: dict[bytes, int] = {}
        shared: dict[str, list[tuple[int, int]]] = {}
        contents: dict[str, set[bytes]] = {}
        for index, key in enumerate(keys(rows, on)):
            firsts.setdefault(key, index)
            for name, others in seen.items():
                if key in others:
                    shared.setdefault(name, []).append((index, others[key]))
                    contents.setdefault(name, set()).add(key)
        for name, pairs in shared.items():
            places = tuple(f"{place(rows, here)} = {place(splits[name], there)}" for here, there in pairs[:SHOWN])
            indices = tuple(here for here, _ in pairs)
            found.append(Overlap(second, name, indices, len(contents[name]), places))
        seen[second] = firsts
    return found


def place(rows: datasets.Dataset, index: int) -> str:
    """Where a row stands, as ``file:line``."""
    if "__line__" not in rows.column_names:
        return f"row {index + 1}"
    row = rows.select_columns(["__file__", "__line__"])[index]
    return f"{row['__file__']}:{row['__line__']}"


def without_overlaps(splits: datasets.DatasetDict, on: Sequence[str]) -> datasets.DatasetDict:
    """The splits with every row taken out of train that is in validation or test, and out of validation if in test.

    The counts are added to each split's notes.
    """
    import datasets

    made = dict(splits)
    dropped: dict[str, set[int]] = {}
    for overlap in overlaps(splits, on):
        dropped.setdefault(overlap.first, set()).update(overlap.rows)
        sentence = f"{len(overlap.rows):,} rows of {overlap.first} are also in {overlap.second}: taken out"
        made[overlap.first] = described(made[overlap.first], [sentence])
    for name, gone in dropped.items():
        made[name] = made[name].select([index for index in range(len(made[name])) if index not in gone])
    return datasets.DatasetDict(made)
