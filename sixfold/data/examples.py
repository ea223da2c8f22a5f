"""Examples: encoded rows, kept as columns of numbers.

A column is a dense array (one number a row) or a ragged one (a run of numbers a row). Both are plain numpy arrays, so
that a corpus larger than memory is a few memory-mapped files and taking a batch is one gather. What the numbers mean
is a task's business.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ragged:
    """Runs of unequal length laid end to end.

    Attributes:
        values: [total] the runs' numbers.
        offsets: [runs + 1] where each run starts; the last is ``len(values)``.
    """

    values: NDArray
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, runs: Sequence[Sequence[float]] | Sequence[NDArray], dtype: type = np.int32) -> Ragged:
        lengths = np.fromiter((len(run) for run in runs), dtype=np.int64, count=len(runs))
        offsets = np.zeros(len(runs) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        if not len(runs):
            return cls(np.empty(0, dtype=dtype), offsets)
        return cls(np.concatenate([np.asarray(run, dtype=dtype) for run in runs]), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray:
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def __iter__(self) -> Iterator[NDArray]:
        return (self[index] for index in range(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    def take(self, indices: NDArray[np.int64]) -> Ragged:
        """The runs at ``indices``, in that order."""
        lengths = self.lengths[indices]
        offsets = np.zeros(len(indices) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][indices] - offsets[:-1], lengths)
        return Ragged(np.asarray(self.values[places]), offsets)

    def pad(self, fill: float) -> NDArray:
        """[runs, longest] with ``fill`` to the right of the shorter runs."""
        lengths = self.lengths
        out = np.full((len(self), int(lengths.max(initial=0))), fill, dtype=self.values.dtype)
        out[np.arange(out.shape[1]) < lengths[:, None]] = self.values
        return out


Column = Ragged | NDArray


@dataclass(frozen=True)
class Examples:
    """Encoded rows. ``columns["input_ids"]`` is always there and gives each example's length in tokens."""

    columns: Mapping[str, Column]

    def __post_init__(self) -> None:
        counts = {name: len(column) for name, column in self.columns.items()}
        assert "input_ids" in counts, "examples need input_ids"
        assert len(set(counts.values())) == 1, f"columns of unequal length: {counts}"

    def __len__(self) -> int:
        return len(self.columns["input_ids"])

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def ragged(self, name: str) -> Ragged:
        column = self.columns[name]
        assert isinstance(column, Ragged), f"{name} is not ragged"
        return column

    def dense(self, name: str) -> NDArray:
        column = self.columns[name]
        assert not isinstance(column, Ragged), f"{name} is ragged"
        return column

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[examples] tokens in each."""
        return self.ragged("input_ids").lengths

    def take(self, indices: NDArray[np.int64] | Sequence[int]) -> Examples:
        where = np.asarray(indices, dtype=np.int64)
        return Examples(
            {
                name: column.take(where) if isinstance(column, Ragged) else np.asarray(column[where])
                for name, column in self.columns.items()
            }
        )

    @classmethod
    def joined(cls, parts: Sequence[Examples]) -> Examples:
        """The examples of all parts, in their order. All parts with an example have the same columns and types."""
        full = [part for part in parts if len(part)] or list(parts[:1])
        if len(full) == 1:
            return full[0]
        names = set(full[0].columns)
        assert all(set(part.columns) == names for part in full), "examples of unequal columns"
        return cls({name: _joined([part.columns[name] for part in full], name) for name in full[0].columns})

    def with_column(self, name: str, column: Column) -> Examples:
        return Examples({**self.columns, name: column})

    def save(self, folder: Path) -> None:
        """Write one ``.npy`` file an array. The caller makes the folder atomic."""
        folder.mkdir(parents=True, exist_ok=True)
        kinds = {}
        for name, column in self.columns.items():
            if isinstance(column, Ragged):
                np.save(folder / f"{name}.values.npy", column.values, allow_pickle=False)
                np.save(folder / f"{name}.offsets.npy", column.offsets, allow_pickle=False)
                kinds[name] = "ragged"
            else:
                np.save(folder / f"{name}.npy", column, allow_pickle=False)
                kinds[name] = "dense"
        (folder / "columns.json").write_text(json.dumps(kinds), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Examples:
        """Read what ``save`` wrote, memory-mapped: nothing is brought into memory until it is taken."""

        def read(name: str) -> NDArray:
            return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)

        kinds = json.loads((folder / "columns.json").read_text(encoding="utf-8"))
        return cls(
            {
                name: Ragged(read(f"{name}.values"), np.asarray(read(f"{name}.offsets")))
                if kind == "ragged"
                else read(name)
                for name, kind in kinds.items()
            }
        )


def _joined(columns: Sequence[Column], name: str) -> Column:
    arrays = [column.values if isinstance(column, Ragged) else column for column in columns]
    assert len({array.dtype for array in arrays}) == 1, f"{name} has unequal types"
    whole = np.concatenate(arrays)
    if not isinstance(columns[0], Ragged):
        return whole
    lengths = np.concatenate([column.lengths for column in columns if isinstance(column, Ragged)])
    return Ragged(whole, np.concatenate([[0], np.cumsum(lengths)]))


def ranks(values: NDArray, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """[values] the place of each among those of its row, the smallest first; equal ones in the order given."""
    order = np.lexsort((values, rows))
    many = np.bincount(rows)
    out = np.empty(len(values), dtype=np.int64)
    out[order] = np.arange(len(values)) - (np.cumsum(many) - many)[rows[order]]
    return out
