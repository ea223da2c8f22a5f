"""Encoded rows on disk: parts go straight into ``.npy`` files and come back memory-mapped, however large they are.

What the columns are is in ``examples.py``; what the numbers mean is a task's business.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import DataError
from sixfold.fetch import folders

TOKENS = "input_ids"
ROW = "row"


def write_examples(parts: Iterable[Examples], folder: Path, *, vocabulary: int | None = None) -> Examples:
    """Write encoded parts one after the other, in the layout of ``Examples.save``, and give them back mapped.

    One part is in memory at a time. ``folder`` appears whole or not at all; what stood there is replaced.

    Args:
        parts: all with the same columns of the same types. In each, ``row`` counts the part's own rows from 0, and
            each of its rows has an example (as every task of plain text encodes); the rows of later parts follow on.
        vocabulary: how many tokens there are; ``input_ids`` get the smallest integer type that holds them. None
            keeps the type that they come in.

    Raises:
        DataError: there is no part, or none with an example.
        StorageError: the files could not be written.
    """
    with folders.replacing(folder) as temporary, ExitStack() as files:
        columns: dict[str, _Column] = {}
        rows = 0
        for part in parts:
            if not columns:
                columns = {name: _Column(temporary, name, one, vocabulary, files) for name, one in part.columns.items()}
            assert columns.keys() == part.columns.keys(), "parts with different columns"
            for name, column in columns.items():
                column.add(part.columns[name] if name != ROW else part.dense(ROW) + rows)
            rows += int(part.dense(ROW).max(initial=-1)) + 1 if ROW in columns else 0
        if not columns or not columns[TOKENS].count:
            raise DataError("there is nothing to write: no text gave a token")
        for column in columns.values():
            column.close()
        kinds = {name: "ragged" if column.offsets else "dense" for name, column in columns.items()}
        (temporary / "columns.json").write_text(json.dumps(kinds), encoding="utf-8")
    return Examples.load(folder)


class _Column:
    """One column as it grows: its numbers, and for a ragged one where each run begins."""

    def __init__(
        self, folder: Path, name: str, first: Ragged | NDArray, vocabulary: int | None, files: ExitStack
    ) -> None:
        ragged = isinstance(first, Ragged)
        kind = (first.values if isinstance(first, Ragged) else first).dtype
        if name == TOKENS and vocabulary is not None:
            kind = np.min_scalar_type(vocabulary - 1)
        self.name = name
        self.count = 0
        self.values = _Array(folder / f"{name}.values.npy" if ragged else folder / f"{name}.npy", kind, files)
        self.offsets = _Array(folder / f"{name}.offsets.npy", np.dtype(np.int64), files) if ragged else None
        if self.offsets is not None:
            self.offsets.add(np.zeros(1, dtype=np.int64))

    def add(self, part: Ragged | NDArray) -> None:
        self.count += len(part)
        assert isinstance(part, Ragged) == (self.offsets is not None), f"{self.name} is ragged in some parts only"
        if not isinstance(part, Ragged):
            self.values.add(part)
            return
        assert self.offsets is not None
        self.offsets.add(part.offsets[1:] - part.offsets[0] + self.values.count)
        self.values.add(part.values[part.offsets[0] : part.offsets[-1]])

    def close(self) -> None:
        self.values.close()
        if self.offsets is not None:
            self.offsets.close()


class _Array:
    """A one-dimensional ``.npy`` file that grows. Its header is written again once the length is known."""

    def __init__(self, path: Path, kind: np.dtype, files: ExitStack) -> None:
        self.kind = kind
        self.count = 0
        self.file: BinaryIO = files.enter_context(open(path, "wb"))  # noqa: SIM115
        self._header()
        self.start = self.file.tell()

    def add(self, values: NDArray) -> None:
        if values.dtype != self.kind:
            fitting = not values.size or np.iinfo(self.kind).max >= values.max() >= values.min() >= 0
            assert fitting, f"numbers that {self.kind} does not hold"
            values = values.astype(self.kind)
        self.file.write(np.ascontiguousarray(values).data)
        self.count += len(values)

    def close(self) -> None:
        self.file.seek(0)
        self._header()
        assert self.file.tell() == self.start, "the header has room for any length"
        self.file.close()

    def _header(self) -> None:
        shape = {"descr": npy.dtype_to_descr(self.kind), "fortran_order": False, "shape": (self.count,)}
        npy.write_array_header_1_0(self.file, shape)
