"""What a text is cut into for an explanation: words, subwords, sentences or characters, as spans of the user's string.

Which tokens of the model belong to which unit is found here too. Nothing is masked or asked here.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sixfold.errors import unknown
from sixfold.perturb.words import characters
from sixfold.text import Span, sentences, words

By = Literal["words", "subwords", "sentences", "characters"]
KINDS = get_args(By)
Offsets = NDArray[np.int64]
"""[tokens, 2] the characters of the user's string that each token stands for."""


@dataclass(frozen=True)
class Units:
    """The parts of one text that are taken away and put back.

    Attributes:
        spans: in order, without overlap, none cutting a character as a reader sees it.
        ranges: [units, 2] each unit's first token, and the token after its last.
        shared: whether tokens belong to several units, so that a unit cannot be taken out by its tokens.
        unseen: units that the tokenizer leaves no token of; no model can hang on them, and they are not in ``spans``.
    """

    spans: tuple[Span, ...]
    ranges: NDArray[np.int64]
    shared: bool = False
    unseen: tuple[Span, ...] = ()

    def __len__(self) -> int:
        return len(self.spans)

    def owners(self, tokens: int) -> NDArray[np.int64]:
        """[tokens] the unit that each token belongs to, -1 for what is always kept."""
        assert not self.shared
        owners = np.full(tokens, -1, dtype=np.int64)
        for unit, (first, last) in enumerate(self.ranges.tolist()):
            owners[first:last] = unit
        return owners


def units_of(text: str, offsets: Offsets, by: str) -> Units:
    """Cut a text.

    Words that share a token (a tokenizer may write 很好 as one) become one unit; characters stay apart.

    Args:
        offsets: of the model's tokens.

    Raises:
        UsageError: there is no such kind of unit.
    """
    if by not in KINDS:
        raise unknown("kind of unit", by, KINDS)
    spans = _spans(text, offsets, by)
    ranges = token_ranges(offsets, spans)
    seen = ranges[:, 0] < ranges[:, 1]
    unseen = tuple(span for span, yes in zip(spans, seen, strict=True) if not yes)
    spans = [span for span, yes in zip(spans, seen, strict=True) if yes]
    ranges = ranges[seen]
    if by == "characters":
        shared = bool((ranges[1:, 0] < ranges[:-1, 1]).any())
        return Units(tuple(spans), ranges, shared, unseen)
    joined = _joined(spans, ranges)
    return Units(tuple(joined), token_ranges(offsets, joined), unseen=unseen)


def token_ranges(offsets: Offsets, spans: Sequence[Span]) -> NDArray[np.int64]:
    """[spans, 2] the first token of each span of characters, and the token after its last."""
    firsts, lasts = np.array(spans, dtype=np.int64).reshape(-1, 2).T
    starts = np.searchsorted(offsets[:, 1], firsts, side="right")
    ends = np.searchsorted(offsets[:, 0], lasts, side="left")
    return np.stack([starts, np.maximum(starts, ends)], axis=1)


def _spans(text: str, offsets: Offsets, by: str) -> list[Span]:
    if by == "words":
        return worded(text)
    if by == "sentences":
        return sentences(text)
    if by == "characters":
        return [span for span in _letters(text) if not text[span.start : span.end].isspace()]
    return _subwords(text, offsets)


def worded(text: str) -> list[Span]:
    """The words that can matter by themselves: letters, digits, and symbols such as emoji; no punctuation.

    A text of nothing else has its marks.
    """
    found = words(text)
    return [span for span in found if matters(text[span.start : span.end])] or found


def matters(word: str) -> bool:
    """Whether a word is more than punctuation."""
    return any(letter.isalnum() or unicodedata.category(letter) == "So" for letter in word)


def _letters(text: str) -> list[Span]:
    """Each character as a reader sees it: accents and joined emoji stay with their base."""
    ends = list(itertools.accumulate(map(len, characters(text))))
    return [Span(start, end) for start, end in itertools.pairwise([0, *ends])]


def _subwords(text: str, offsets: Offsets) -> list[Span]:
    """A span a token; tokens that share a character, as the bytes of an emoji do, are one."""
    letters = _letters(text)
    begins = np.array([span.start for span in letters], dtype=np.int64)
    found: list[Span] = []
    for start, end in offsets.tolist():
        piece = text[start:end]
        start += len(piece) - len(piece.lstrip())  # byte-level tokens count the blank before a word as theirs
        if start >= end:
            continue
        first = letters[int(np.searchsorted(begins, start, side="right")) - 1].start
        last = letters[int(np.searchsorted(begins, end - 1, side="right")) - 1].end
        if found and first < found[-1].end:
            found[-1] = Span(min(found[-1].start, first), max(found[-1].end, last))
        else:
            found.append(Span(first, last))
    return found


def _joined(spans: Sequence[Span], ranges: NDArray[np.int64]) -> list[Span]:
    """Neighbours that share a token made one."""
    found: list[Span] = []
    reach = -1
    for span, (first, last) in zip(spans, ranges.tolist(), strict=True):
        if found and first < reach:
            found[-1] = Span(found[-1].start, span.end)
        else:
            found.append(span)
        reach = last
    return found
