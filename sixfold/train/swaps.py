"""Words of a batch that others may stand for, found by their tokens alone.

Whoever knows words makes the table (``stages/exchanges.py``); here nothing is known of letters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Tokens = tuple[int, ...]


class Places(NamedTuple):
    """Where words of equally many tokens stand that others may stand for.

    Attributes:
        starts: int64 [words] the place of each one's first token in the flat batch, in order.
        rows: int64 [words]
        others: int64 [words, most, size] tokens of those others, -1 where a word has fewer.
    """

    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    others: NDArray[np.int64]


@dataclass(frozen=True)
class Swaps:
    """Which words may stand for which: as many tokens for as many, so that nothing else in a batch moves.

    Attributes:
        others: of a word's tokens, those of the words that may stand for it: int64 [words, size].
        stays: tokens of words that no other may stand for, so that no part of theirs is taken for a word.
        goes_on: bool [vocabulary] the token goes on with the word of the token before it.
    """

    others: Mapping[Tokens, NDArray[np.int64]]
    stays: frozenset[Tokens]
    goes_on: NDArray[np.bool_]

    @classmethod
    def of(cls, others: Mapping[Tokens, Sequence[Tokens]], goes_on: NDArray[np.bool_]) -> Self:
        """From tokens of words; those without others stay."""
        return cls(
            {word: np.array(found, dtype=np.int64) for word, found in others.items() if found},
            frozenset(word for word, found in others.items() if not found and len(word) > 1),
            goes_on,
        )

    def ids(self) -> set[int]:
        """The tokens that may come in."""
        return set(np.concatenate([found.ravel() for found in self.others.values()]).tolist()) if self.others else set()

    @cached_property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(sorted({len(word) for word in (*self.others, *self.stays)}, reverse=True))

    def found(self, ids: NDArray[np.int64], lengths: Iterable[int]) -> list[Places]:
        """The words of a flat batch, by their number of tokens. They do not overlap: the longest at a place counts."""
        taken: dict[int, list[tuple[int, int, NDArray[np.int64]]]] = {}
        at = 0
        for row, length in enumerate(lengths):
            end = at + length
            while at < end:
                word = self._word_at(ids, at, end)
                if word in self.others:
                    taken.setdefault(len(word), []).append((at, row, self.others[word]))
                at += len(word) or 1
        return [_places(words) for _, words in sorted(taken.items())]

    def _word_at(self, ids: NDArray[np.int64], at: int, end: int) -> Tokens:
        """The longest word of the table that begins here and ends where a word ends; nothing for none."""
        for size in self._sizes:
            after = at + size
            whole = after <= end and (after == end or not self.goes_on[ids[after]])
            if whole and ((word := tuple(ids[at:after].tolist())) in self.others or word in self.stays):
                return word
        return ()


def _places(words: Sequence[tuple[int, int, NDArray[np.int64]]]) -> Places:
    size = words[0][2].shape[1]
    most = max(len(found) for _, _, found in words)
    others = np.full((len(words), most, size), -1, dtype=np.int64)
    for number, (_, _, found) in enumerate(words):
        others[number, : len(found)] = found
    starts, rows = (np.array([word[part] for word in words], dtype=np.int64) for part in (0, 1))
    return Places(starts, rows, others)
