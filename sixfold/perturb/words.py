"""A user's string with its words, and edits of it. Transformations are in the other files; no list is read here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sixfold.text import Span, words
from sixfold.text.language import HAN, has_han


class Edit(NamedTuple):
    """What stands from ``start`` to ``end`` (excluded) of the user's string becomes ``replacement``."""

    start: int
    end: int
    replacement: str


@dataclass(frozen=True)
class Sentence:
    """A user's string and its words. It may be a whole text of many sentences: nothing here depends on where one ends.

    Attributes:
        text: the string, as the user gave it.
        spans: its words in order, as offsets into ``text``; a Chinese word as it is segmented. Marks and symbols
            are no words: nothing is gained by changing them.
    """

    text: str
    spans: tuple[Span, ...]

    @classmethod
    def of(cls, text: str) -> Sentence:
        """The string, cut into words."""
        return cls(text, tuple(span for span in words(text) if any(map(str.isalnum, text[span.start : span.end]))))

    def __len__(self) -> int:
        return len(self.spans)

    def word(self, position: int) -> str:
        start, end = self.spans[position]
        return self.text[start:end]

    def words(self) -> list[str]:
        return [self.text[start:end] for start, end in self.spans]

    def edit(self, position: int, replacement: str) -> Edit:
        """The edit that puts ``replacement`` in a word's place. With an empty one, a blank beside the word goes too."""
        start, end = self.spans[position]
        if not replacement:
            if start and self.text[start - 1] == " ":
                start -= 1
            elif self.text[end : end + 1] == " ":
                end += 1
        return Edit(start, end, replacement)

    def replaced(self, position: int, replacement: str) -> str:
        """The whole string with one word replaced."""
        return applied(self.text, [self.edit(position, replacement)])


def applied(text: str, edits: Iterable[Edit]) -> str:
    """The string after all edits, each of which speaks of the original string.

    They may not overlap, but for neighbours that are left out: both take the blank between them.
    """
    pieces, place, left_out = [], 0, False
    for start, end, replacement in sorted(edits, key=lambda edit: edit[:2]):
        if left_out and not replacement:
            start = max(start, place)
        assert place <= start <= end <= len(text), "edits overlap, or lie outside of the string"
        pieces += [text[place:start], replacement]
        place, left_out = end, not replacement
    return "".join([*pieces, text[place:]])


class Transformation(Protocol):
    """What one word could be changed to.

    Attributes:
        name: as in the registry.
        languages: ISO 639-1 codes of the words that it changes.
    """

    @property
    def name(self) -> str: ...

    @property
    def languages(self) -> tuple[str, ...]: ...

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        """Replacements of the word at ``position``, distinct and unlike it, always in the same order.

        What does not fit (a word of another language, one that is in no list) has none.
        """
        ...


class Rewrite(Protocol):
    """What a whole string could be changed to; for what is more than one word, or needs several places at once."""

    @property
    def name(self) -> str: ...

    @property
    def languages(self) -> tuple[str, ...]: ...

    def variants(self, sentence: Sentence) -> list[tuple[Edit, ...]]:
        """Each variant as the edits that make it, which do not overlap; distinct, always in the same order."""
        ...


@dataclass(frozen=True)
class Prompts:
    """What a masked language model is asked, as rows that are ready for it.

    Attributes:
        ids: of each row, its token ids (int32), the special tokens around it included.
        places: of each row, the places in it whose distribution over the vocabulary is wanted (int64).
    """

    ids: list[NDArray[np.int32]]
    places: list[NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.ids)


class Best(NamedTuple):
    """What a model says of one row's places: its most likely tokens, the likeliest first.

    Attributes:
        ids: int [places, k]
        log_probabilities: float [places, k] in descending order.
    """

    ids: NDArray[np.integer]
    log_probabilities: NDArray[np.floating]


class Contextual(Protocol):
    """What one word could be changed to in its text, by a masked language model. Whoever uses it runs the model.

    Attributes:
        name: as in ``masked.CONTEXTUAL``.
        languages: ISO 639-1 codes of the words that it changes.
        most: candidates of one word, and the k of the answers it wants.
    """

    @property
    def name(self) -> str: ...

    @property
    def languages(self) -> tuple[str, ...]: ...

    @property
    def most(self) -> int: ...

    def prompts(self, sentence: Sentence, positions: Sequence[int]) -> Prompts:
        """What to ask for the words at ``positions``. A row may ask for several words; some words need none."""
        ...

    def candidates(self, sentence: Sentence, positions: Sequence[int], best: Sequence[Best]) -> list[list[str]]:
        """Replacements of each of the words, as ``Transformation.candidates``, the likeliest first.

        Args:
            sentence, positions: as they were given to ``prompts``.
            best: the answer to each row of the prompts.
        """
        ...


_HAN_RUN = re.compile(f"[{HAN}]+")
_JOINERS = "\u200d\ufe0e\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"


def characters(word: str) -> list[str]:
    """A word's characters as a reader sees them: accents, variation selectors and joined emoji stay with their base."""
    found: list[str] = []
    for letter in word:
        joined = found and (
            unicodedata.category(letter)[0] == "M" or letter in _JOINERS or found[-1].endswith("\u200d")
        )
        if joined:
            found[-1] += letter
        else:
            found.append(letter)
    return found


def is_latin(word: str) -> bool:
    """Whether an ASCII letter is in the word, and no Chinese character."""
    return any(letter.isascii() and letter.isalpha() for letter in word) and not has_han(word)


def is_chinese(word: str) -> bool:
    """Whether every character of the word is Chinese."""
    return bool(word) and all(map(has_han, word))


def chinese_tags(text: str) -> Iterator[tuple[Span, str]]:
    """The Chinese words of a text with rjieba's tags: ``nr`` for a person's name, ``ns`` for a place's, and so on."""
    from rjieba import tag

    for run in _HAN_RUN.finditer(text):
        start = run.start()
        for word, kind in tag(run[0]):
            yield Span(start, start + len(word)), kind
            start += len(word)


def cased_like(word: str, candidate: str) -> str:
    """The candidate with the capitals of ``word``: all, only the first, or as the candidate is spelt."""
    letters = [letter for letter in word if letter.isalpha()]
    if len(letters) > 1 and all(map(str.isupper, letters)):
        return candidate.upper()
    if letters and letters[0].isupper():
        return candidate[:1].upper() + candidate[1:]
    return candidate


def distinct(word: str, found: Iterable[str]) -> list[str]:
    """The candidates in their order, each once, without the word itself and without the empty string."""
    return [candidate for candidate in dict.fromkeys(found) if candidate and candidate != word]
