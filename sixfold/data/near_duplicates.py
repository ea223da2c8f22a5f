"""Texts that are nearly the same: MinHash finds likely pairs, their exact similarity decides.

Nothing here reads rows or drops any: texts come in batches, and each gets the number of the text it repeats. What is
kept in memory is a few numbers a text; signatures go to a temporary file, one band after the other.
"""

from __future__ import annotations

import itertools
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from sixfold import fetch
from sixfold.errors import UsageError
from sixfold.fetch import folders
from sixfold.text import HAN, normal

WIDTH = 5
SLOTS = 128
SEED = 1
RECALL = 0.99
"""Least chance that two texts are compared whose similarity is the threshold; it is higher above."""
LEAST_THRESHOLD = 0.5
NEIGHBOURS = 8
"""A text is compared with so many that follow it in its bucket: all pairs are too many where a million share a form."""
_PAIRS = 32
_UNIT = re.compile(rf"[{HAN}]|[^\W{HAN}]+")

Fetch = Callable[[NDArray[np.int64]], Sequence[str]]


def shingles(text: str) -> list[str]:
    """Every five neighbouring words, where each Chinese character is a word; case and marks do not count.

    A shorter text is one shingle; a text without letters and digits has none, and is like no other.
    """
    units = _UNIT.findall(normal(text))
    if len(units) < WIDTH:
        return [" ".join(units)] if units else []
    return list(map(" ".join, zip(*(units[start:] for start in range(WIDTH)), strict=False)))


def similarity(one: set[str], other: set[str]) -> float:
    """Jaccard similarity of two texts' shingles: what they share over what either has. 0 where both are empty."""
    shared = len(one & other)
    return shared / max(1, len(one) + len(other) - shared)


def banding(threshold: float) -> tuple[int, int]:
    """(bands, slots a band) for a threshold: the widest bands that still find a pair with the chance ``RECALL``.

    Two texts of similarity s agree in a band of r slots with the chance s^r (Broder 1997; Leskovec et al., Mining of
    Massive Datasets, chapter 3).

    Raises:
        UsageError: a threshold below 0.5, where most pairs of long texts would have to be compared, or above 1.
    """
    if not LEAST_THRESHOLD <= threshold <= 1:
        raise UsageError(f"a threshold of near-duplicates lies between {LEAST_THRESHOLD} and 1", found=threshold)
    for width in range(SLOTS, 0, -1):
        bands = SLOTS // width
        if 1 - (1 - threshold**width) ** bands >= RECALL:
            return bands, width
    raise AssertionError("bands of one slot find any pair")


def originals(batches: Iterable[Sequence[str]], fetch_texts: Fetch, count: int, threshold: float) -> NDArray[np.int64]:
    """[texts] for each text the first one that it nearly repeats, by however many steps; its own number where none.

    Texts whose similarity is at least the threshold belong together, and so do those that a chain of such pairs joins.
    A pair is missed with a chance of at most ``1 - RECALL``.

    Args:
        batches: all texts, in order.
        fetch_texts: texts by their numbers.
        count: how many texts there are.

    Raises:
        UsageError: see ``banding``.
        StorageError: the temporary file could not be written.
    """
    bands, width = banding(threshold)
    found = _Groups(count)
    folder = fetch.home()
    with folders.storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder) as file:
            spoken = _write_bands(file, batches, count, bands, width)
            for band in range(bands):
                for one, other in _candidates(_band(file, band, count), spoken, found):
                    _compare(one, other, found, fetch_texts, threshold)
    return found.of(np.arange(count)).astype(np.int64)


class _Groups:
    """Disjoint sets of texts, each known by its first text."""

    def __init__(self, count: int) -> None:
        self.above = np.arange(count, dtype=np.int32)

    def of(self, texts: NDArray[np.int64]) -> NDArray[np.int32]:
        found = self.above[texts]
        while not np.array_equal(found, higher := self.above[found]):
            found = higher
        self.above[texts] = found
        return found

    def join(self, one: int, other: int) -> None:
        first, second = sorted(self.of(np.array([one, other])).tolist())
        self.above[second] = first


def _write_bands(
    file: BinaryIO, batches: Iterable[Sequence[str]], count: int, bands: int, width: int
) -> NDArray[np.bool_]:
    """Write one 64-bit number a text and band, band by band; [texts] which texts have a shingle."""
    from rensa import RMinHash

    spoken = np.zeros(count, dtype=bool)
    start = 0
    for batch in batches:
        tokens = [shingles(text) for text in batch]
        matrix = RMinHash.digest_matrix_from_token_sets(tokens, SLOTS, SEED)
        numbers = itertools.chain.from_iterable(matrix.to_rows())
        slots = np.fromiter(numbers, np.uint64, len(batch) * SLOTS).reshape(len(batch), SLOTS)
        mixed = _mixed(slots[:, : bands * width].reshape(len(batch), bands, width))
        for band in range(bands):
            file.seek(8 * (band * count + start))
            file.write(np.ascontiguousarray(mixed[:, band]).data)
        spoken[start : start + len(batch)] = [bool(one) for one in tokens]
        start += len(batch)
    assert start == count, f"{start} texts came and {count} were announced"
    return spoken


def _mixed(slots: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """[texts, bands] one number for the slots of a band (the multiplier is that of splitmix64)."""
    out = np.zeros(slots.shape[:2], dtype=np.uint64)
    for place in range(slots.shape[2]):
        out = (out ^ slots[:, :, place]) * np.uint64(0xBF58476D1CE4E5B9)
        out ^= out >> np.uint64(31)
    return out


def _band(file: BinaryIO, band: int, count: int) -> NDArray[np.uint64]:
    file.seek(8 * band * count)
    return np.frombuffer(file.read(8 * count), dtype=np.uint64)


def _candidates(
    values: NDArray[np.uint64], spoken: NDArray[np.bool_], found: _Groups
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs that agree in a band and are not joined yet. The caller joins what is near before it asks for more."""
    order = np.argsort(values, kind="stable")
    order = order if spoken.all() else order[spoken[order]]
    ranked = values[order]
    del values
    new = np.ones(len(order) + 1, dtype=bool)
    new[1:-1] = ranked[1:] != ranked[:-1]
    del ranked
    shared = ~(new[:-1] & new[1:])
    texts, bucket = order[shared], np.cumsum(new[:-1])[shared]
    del order, new, shared
    for distance in range(1, NEIGHBOURS + 1):
        same = bucket[distance:] == bucket[:-distance]
        if not same.any():
            return
        one, other = texts[:-distance][same], texts[distance:][same]
        apart = found.of(one) != found.of(other)
        yield one[apart], other[apart]


def _compare(
    one: NDArray[np.int64], other: NDArray[np.int64], found: _Groups, fetch_texts: Fetch, threshold: float
) -> None:
    """Join the pairs that are near."""
    for start in range(0, len(one), _PAIRS):
        pairs = np.stack([one[start : start + _PAIRS], other[start : start + _PAIRS]])
        pairs = pairs[:, found.of(pairs[0]) != found.of(pairs[1])]  # what an earlier pair has joined is not asked again
        numbers, where = np.unique(pairs, return_inverse=True)
        if not len(numbers):
            continue
        runs = [set(shingles(text)) for text in fetch_texts(numbers)]
        for here, there in where.reshape(2, -1).T.tolist():
            if similarity(runs[here], runs[there]) >= threshold:
                found.join(int(numbers[here]), int(numbers[there]))
