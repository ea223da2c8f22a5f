"""One pass over the documents of a corpus: how long each is, which text it has, what is odd about it.

What to do about it is decided in ``corpus.py``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sixfold.data import cells, documents, partition, walking
from sixfold.text import language, normal

if TYPE_CHECKING:
    import datasets

ENDLESS = 1 << 20
"""Characters of a line that are told: no person writes so many without a break."""
SHOWN_CHARACTERS = 40
_LANGUAGE_CHARACTERS = 1000
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")


@dataclass(frozen=True)
class Survey:
    """What is known of each document, in arrays.

    Attributes:
        characters: [documents] their lengths; 0 for one without text.
        hashes: [documents] 64 bits of the normalised text's hash, the first that ``partition.keys`` has.
        copies, originals: [copies] documents with the text of an earlier one, and the first one with that text.
        languages, language: their names; [documents] which of them, by the first thousand characters.
        control, replaced: [documents] which hold control characters, U+FFFD.
        endless: where lines of more than ``ENDLESS`` characters stand, with how each begins.
    """

    characters: NDArray[np.uint32]
    hashes: NDArray[np.uint64]
    copies: NDArray[np.int64]
    originals: NDArray[np.int64]
    languages: tuple[str, ...]
    language: NDArray[np.uint8]
    control: NDArray[np.bool_]
    replaced: NDArray[np.bool_]
    endless: dict[str, str]


def survey(rows: datasets.Dataset) -> Survey:
    """Read the column ``text`` of every row once. A row without text is told by its length, 0."""
    count = len(rows)
    characters = np.zeros(count, dtype=np.uint32)
    digests = np.zeros((2, count), dtype=np.uint64)
    spoken = np.zeros(count, dtype=np.uint8)
    control, replaced = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    names: dict[str, int] = {}
    for index, text in _texts(rows):
        content = normal(text).encode("utf-8", "surrogatepass")
        digests[:, index] = np.frombuffer(hashlib.blake2b(content, digest_size=16).digest(), dtype=">u8")
        characters[index] = len(text)
        spoken[index] = names.setdefault(language(text[:_LANGUAGE_CHARACTERS]), len(names))
        control[index] = _CONTROL.search(text) is not None
        replaced[index] = "\ufffd" in text
    copies, originals = _copies(digests, characters > 0)
    hashes = digests[0].copy()  # without the other half
    endless = _endless(rows, characters)
    return Survey(characters, hashes, copies, originals, tuple(names), spoken, control, replaced, endless)


def _texts(rows: datasets.Dataset) -> Iterator[tuple[int, str]]:
    """Documents that have text. One is a Python string at a time: a table of long ones would be large."""
    index = 0
    for table in walking.tables(rows, ["text"]):
        for cell in table["text"]:
            if text := _text(cell.as_py()):
                yield index, text
            index += 1


def _text(cell: str | None) -> str:
    """The cell, or nothing where it is empty as ``cells`` has it."""
    try:
        return str(cells.read("text", cell))
    except cells.BadCellError:
        return ""


def _endless(rows: datasets.Dataset, characters: NDArray[np.uint32]) -> dict[str, str]:
    """Lines of more than ``ENDLESS`` characters, whole or as the documents that one was cut into."""
    found: dict[str, str] = {}
    before, begins, length = "", "", 0
    for index in np.flatnonzero(characters >= documents.MOST_CHARACTERS).tolist():
        text = rows[index]["text"]
        if "\n" in text:
            continue
        if (place := partition.place(rows, index)) != before:
            before, begins, length = place, text[:SHOWN_CHARACTERS], 0
        length += len(text)
        if length > ENDLESS:
            found[place] = begins
    return found


def _copies(digests: NDArray[np.uint64], filled: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Documents with the digest of an earlier one, in order, and the first one with it."""
    order = np.lexsort((digests[1], digests[0]))
    order = order[filled[order]]
    opens = np.zeros(len(order), dtype=bool)
    opens[:1] = True
    for half in digests:
        ranked = half[order]
        opens[1:] |= ranked[1:] != ranked[:-1]
    starts, again = np.flatnonzero(opens), np.flatnonzero(~opens)
    copies, originals = order[again], order[starts[np.searchsorted(starts, again) - 1]]
    places = np.argsort(copies)
    return copies[places], originals[places]


def histogram(characters: NDArray[np.uint32]) -> list[tuple[int, int, int]]:
    """(least, most, documents) of each power of two between the shortest and the longest document."""
    if not len(characters):
        return []
    powers = np.frexp(characters.astype(np.float64))[1] - 1
    counts = np.bincount(powers)
    first = int(powers.min())
    return [(1 << power, (2 << power) - 1, int(counts[power])) for power in range(first, len(counts))]
