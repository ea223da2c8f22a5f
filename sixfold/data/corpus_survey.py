"""One pass over the documents of a corpus: how long each is, which text it has, what is odd about it.

What to do about it is decided in ``corpus.py``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
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


@dataclass
class Survey:
    """What is known of each document, in arrays.

    Attributes:
        characters: [documents] their lengths; 0 for one without text.
        digests: [documents, 2] 16 bytes of BLAKE2b of the normalised text, the same as ``partition.keys`` has.
        language: [documents] which of ``languages``, by the first thousand characters.
        control, replaced: [documents] which hold control characters, U+FFFD.
        endless: where lines of more than ``ENDLESS`` characters stand, with how each begins.
    """

    characters: NDArray[np.uint32]
    digests: NDArray[np.uint64]
    language: NDArray[np.uint8]
    control: NDArray[np.bool_]
    replaced: NDArray[np.bool_]
    languages: list[str] = field(default_factory=list)
    endless: dict[str, str] = field(default_factory=dict)


def survey(rows: datasets.Dataset) -> Survey:
    """Read the column ``text`` of every row once. Rows without text are told by their length, 0."""
    count = len(rows)
    found = Survey(
        characters=np.zeros(count, dtype=np.uint32),
        digests=np.zeros((count, 2), dtype=np.uint64),
        language=np.zeros(count, dtype=np.uint8),
        control=np.zeros(count, dtype=bool),
        replaced=np.zeros(count, dtype=bool),
    )
    names: dict[str, int] = {}
    for index, text in _texts(rows):
        content = hashlib.blake2b(normal(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        found.digests[index] = np.frombuffer(content, dtype=">u8")
        found.characters[index] = len(text)
        found.language[index] = names.setdefault(language(text[:_LANGUAGE_CHARACTERS]), len(names))
        found.control[index] = _CONTROL.search(text) is not None
        found.replaced[index] = "\ufffd" in text
    found.languages = list(names)
    found.endless = _endless(rows, found.characters)
    return found


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


def first_copies(found: Survey) -> NDArray[np.int64]:
    """[documents] for each document the first one with the same text; its own number for one that is empty."""
    count = len(found.characters)
    order = np.lexsort((found.digests[:, 1], found.digests[:, 0]))
    ranked = found.digests[order]
    opens = np.ones(count, dtype=bool)
    opens[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    del ranked
    opens |= (found.characters == 0)[order]
    first = np.empty(count, dtype=np.int64)
    first[order] = order[np.maximum.accumulate(np.where(opens, np.arange(count), 0))]
    return first


def histogram(characters: NDArray[np.uint32]) -> list[tuple[int, int, int]]:
    """(least, most, documents) of each power of two between the shortest and the longest document."""
    if not len(characters):
        return []
    powers = np.frexp(characters.astype(np.float64))[1] - 1
    counts = np.bincount(powers)
    first = int(powers.min())
    return [(1 << power, (2 << power) - 1, int(counts[power])) for power in range(first, len(counts))]
