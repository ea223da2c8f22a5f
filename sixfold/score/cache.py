"""What was asked before: a key for every row, and answers kept under a bound of memory.

Which rows are computed is decided in ``scorer.py``.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Column, Examples, Ragged

KEY_BYTES = 16
"""Of a row's key: two of a billion rows are alike by chance once in 10^20 times."""

ENTRY_BYTES = 416
"""What an entry takes beside the numbers of its answer: the key, an array's header, its place in the order."""

ROWS = 4096
"""Keys made at once, so that examples on disk are not all brought into memory."""


@dataclass(frozen=True)
class Identity:
    """Whose answers they are: rows of different identities never share an answer.

    Attributes:
        checkpoint: digest of the checkpoint.
        adapter: digest of an adapter on it.
        tenant: for whom was asked.
    """

    checkpoint: str
    adapter: str = ""
    tenant: str = ""


def row_keys(examples: Examples, scope: str) -> list[bytes]:
    """A key for each row: a hash of ``scope`` and of the bytes of all its columns but ``row``.

    Args:
        scope: all else that the answer depends on.
    """
    columns = {name: column for name, column in sorted(examples.columns.items()) if name != "row"}
    start = blake2b(repr((scope, [_kind(*item) for item in columns.items()])).encode(), digest_size=KEY_BYTES)
    keys = []
    for first in range(0, len(examples), ROWS):
        rows = range(first, min(first + ROWS, len(examples)))
        parts = [_row_bytes(column, rows) for column in columns.values()]
        ragged = [column for column in columns.values() if isinstance(column, Ragged)]
        if len(ragged) > 1:  # with one, the whole tells its length
            parts.append(_row_bytes(np.stack([np.diff(_offsets(column, rows)) for column in ragged], axis=1)))
        for row in parts[0] if len(parts) == 1 else map(b"".join, zip(*parts, strict=True)):
            hashed = start.copy()
            hashed.update(row)
            keys.append(hashed.digest())
    return keys


def _kind(name: str, column: Column) -> tuple[str, ...]:
    if isinstance(column, Ragged):
        return name, "ragged", column.values.dtype.str
    return name, str(column.shape[1:]), column.dtype.str


def _offsets(column: Ragged, rows: range) -> NDArray[np.int64]:
    return column.offsets[rows.start : rows.stop + 1]


def _row_bytes(column: Column, rows: range | None = None) -> Iterable[bytes]:
    """The bytes of each row of a column."""
    if isinstance(column, Ragged):
        assert rows is not None
        ends = _offsets(column, rows)
        whole = column.values[ends[0] : ends[-1]].tobytes()
        places = ((ends - ends[0]) * column.values.itemsize).tolist()
        return [whole[first:last] for first, last in itertools.pairwise(places)]
    part = column if rows is None else column[rows.start : rows.stop]
    whole, size = part.tobytes(), part[:1].nbytes
    return [whole[place * size : (place + 1) * size] for place in range(len(part))]


class Cache:
    """Answers by key, the least recently used dropped first. Scorers and threads may share one.

    Args:
        max_bytes: never held more than this; an answer that is larger by itself is not kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._answers: OrderedDict[bytes, NDArray] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._answers)

    def __iter__(self) -> Iterator[bytes]:
        """The keys, the least recently used first."""
        return iter(self._answers)

    def find(self, keys: Iterable[bytes]) -> dict[bytes, NDArray]:
        """The answers that are there, which count as used now."""
        found = {}
        with self._lock:
            for key in keys:
                answer = self._answers.get(key)
                if answer is not None:
                    self._answers.move_to_end(key)
                    found[key] = answer
        return found

    def keep(self, answers: Mapping[bytes, NDArray]) -> None:
        """Hold copies of the answers, and drop others as the bound asks for."""
        with self._lock:
            for key, answer in answers.items():
                if key in self._answers:
                    self.bytes -= _size(self._answers.pop(key))
                size = _size(answer)
                if size > self.max_bytes:
                    continue
                while self.bytes + size > self.max_bytes:
                    self.bytes -= _size(self._answers.popitem(last=False)[1])
                kept = answer.copy()  # an answer is a view of its whole batch, which would be held too
                kept.flags.writeable = False
                self._answers[key] = kept
                self.bytes += size


def _size(answer: NDArray) -> int:
    return ENTRY_BYTES + answer.nbytes
