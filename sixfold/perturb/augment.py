"""Augmentation: more texts made of a text, by operations that leave alone what the label hangs on.

What is drawn for a row follows from its content, the augmenter's name and the seed alone: a row's texts are the same
whatever rows stand beside it. Operations are in ``operations.py``; the augmenters by name in ``augmenters.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np

from sixfold.errors import UsageError
from sixfold.perturb.constraints import Allowed, label_keeping, no_names, no_stop_words
from sixfold.perturb.operations import Fixed, Ground, Operation
from sixfold.perturb.words import Edit, Sentence, applied
from sixfold.text import Span
from sixfold.text.language import has_han
from sixfold.text.lexicon import stop_words
from sixfold.text.lexicon.sentiment import SENTIMENT

T = TypeVar("T")

CHUNK = 64
"""Rows that are looked at together, so that a model that is asked gets full batches."""
TRIES = 8
"""Draws for each text that is wanted: some give nothing, or what was drawn before."""
SINGLE = 0.9
"""Share of a row's words that are single characters, from which on it is a row of characters (Chinese)."""

Source = Callable[[Sequence[Ground]], Sequence[Sequence[Operation]]]
"""The operations for each of some texts: by their languages, or by what a model says of them."""


class Augmented(NamedTuple):
    """A text made of a row's text.

    Attributes:
        row: number of the row that it was made of.
        text: the new text.
        edits: what was changed, in order; they speak of the row's text.
    """

    row: int
    text: str
    edits: tuple[Edit, ...]


class AugmentedWords(NamedTuple):
    """Words made of a row's words: as many, each in its place, so that their tags hold.

    Attributes:
        row: number of the row.
        words: the new words.
        places: which of them are new.
    """

    row: int
    words: list[str]
    places: list[int]


@dataclass(frozen=True)
class Augmenter:
    """Operations and what they may not touch.

    Negations, numbers, names (by capitals, or by tags in Chinese) and the words of ``keep`` are neither changed nor
    moved nor left out, and no negation, number or word of ``keep`` comes in.

    Attributes:
        name: as in ``augmenters.py``; part of the seed.
        source: the operations, of which each text gets those of its language.
        keep: words in small letters; the plainest words of praise and blame if not given.
        grammar: words in small letters that are not exchanged for others; called when it is first needed.
    """

    name: str
    source: Source
    keep: Collection[str] = SENTIMENT
    grammar: Callable[[], Collection[str]] = stop_words.load

    def rows(self, texts: Iterable[str], times: int, seed: int) -> Iterator[Augmented]:
        """Up to ``times`` distinct new texts of each text, row by row; fewer, or none, where too little can be changed.

        Raises:
            SixfoldError: a word list has not been pulled.
        """
        for first, chunk in _chunks(texts):
            grounds = [self._ground(Sentence.of(text)) for text in chunk]
            for row, (ground, operations) in enumerate(zip(grounds, self.source(grounds), strict=True), first):
                for text, edits in self._drawn(ground, operations, times, seed):
                    yield Augmented(row, text, edits)

    def tagged(
        self,
        rows: Iterable[tuple[Sequence[str], Sequence[str]]],
        times: int,
        seed: int,
        *,
        entities: bool = False,
    ) -> Iterator[AugmentedWords]:
        """The same for rows of words and tags: words are exchanged one for one, so that the tags hold.

        Args:
            rows: words and tags of each row.
            entities: words of entities may change too, not only those that are tagged ``O``.

        Raises:
            UsageError: the augmenter has no operation that keeps words in their places.
            SixfoldError: a word list has not been pulled.
        """
        for first, chunk in _chunks(rows):
            laid = [_Laid.of(words) for words, _ in chunk]
            grounds = [
                self._ground(one.sentence, None if entities else one.outside(tags), one.fixed)
                for one, (_, tags) in zip(laid, chunk, strict=True)
            ]
            offered = zip(laid, grounds, self.source(grounds), strict=True)
            for row, (one, ground, operations) in enumerate(offered, first):
                for _, edits in self._drawn(ground, self._in_place(operations), times, seed):
                    yield AugmentedWords(row, *one.edited(edits))

    def _in_place(self, operations: Sequence[Operation]) -> list[Operation]:
        kept = [operation for operation in operations if operation.one_for_one]
        if operations and not kept:
            raise UsageError(
                f"{self.name} changes how many words there are, and rows of words have one tag a word",
                hint="take one that exchanges words, such as eda (only its synonyms are used), typos or synonym",
            )
        return kept

    def _ground(self, sentence: Sentence, free: Allowed | None = None, fixed: Fixed = "") -> Ground:
        safe = label_keeping(sentence, self.keep) & no_names(sentence)
        safe = safe if free is None else safe & free
        return Ground(sentence, safe, safe & no_stop_words(sentence, self.grammar()), self.keep, fixed)

    def _drawn(
        self, ground: Ground, operations: Sequence[Operation], times: int, seed: int
    ) -> Iterator[tuple[str, tuple[Edit, ...]]]:
        """Operations take turns, in an order that is drawn for the row."""
        text, made = ground.sentence.text, 0
        rng = np.random.default_rng(_seed(self.name, text, seed))
        order = rng.permutation(len(operations)).tolist()
        seen = {text}
        for turn in range(times * TRIES if operations else 0):
            edits = operations[order[turn % len(order)]].draw(ground, rng)
            new = applied(text, edits)
            if new in seen:
                continue
            seen.add(new)
            yield new, edits
            made += 1
            if made == times:
                return


@dataclass(frozen=True)
class _Laid:
    """A row's words as a text.

    Attributes:
        words: the row's.
        starts: where each begins in the text.
        sentence: the words that can change: the row's own, or, if they are characters, what a segmenter finds in them.
        fixed: what must stay as many as it is.
    """

    words: tuple[str, ...]
    starts: tuple[int, ...]
    sentence: Sentence
    fixed: Fixed

    @classmethod
    def of(cls, words: Sequence[str]) -> _Laid:
        single = sum(len(word) == 1 for word in words) >= SINGLE * len(words)
        characters = single and any(map(has_han, words))
        text, starts = "", []
        for word in words:
            # Chinese words stand beside each other; a blank between them would be read as the text's own.
            text += " " if text and not characters and not (has_han(text[-1]) or has_han(word[:1])) else ""
            starts.append(len(text))
            text += word
        spans = [Span(start, start + len(word)) for start, word in zip(starts, words, strict=True)]
        if characters:
            ones = {span.start for span in spans if span.end == span.start + 1}
            found = Sentence.of(text).spans
            kept = tuple(span for span in found if ones.issuperset(range(*span)))
            return cls(tuple(words), tuple(starts), Sentence(text, kept), "characters")
        kept = tuple(span for span in spans if any(map(str.isalnum, text[span.start : span.end])))
        return cls(tuple(words), tuple(starts), Sentence(text, kept), "words")

    def outside(self, tags: Sequence[str]) -> Allowed:
        """Positions whose words are all tagged ``O``. [words of the sentence]"""
        tagged = {start for start, tag in zip(self.starts, tags, strict=True) if tag != "O"}
        return np.array([tagged.isdisjoint(range(*span)) for span in self.sentence.spans], dtype=np.bool_)

    def edited(self, edits: Sequence[Edit]) -> tuple[list[str], list[int]]:
        """The row's words after the edits, and which are new."""
        place_of = {start: place for place, start in enumerate(self.starts)}
        words, places = list(self.words), []
        for start, _, replacement in edits:
            parts = replacement if self.fixed == "characters" else [replacement]
            for place, part in enumerate(parts, place_of[start]):
                if words[place] != part:
                    words[place] = part
                    places.append(place)
        return words, places


def _chunks(items: Iterable[T]) -> Iterator[tuple[int, list[T]]]:
    """``CHUNK`` of the items at a time, with the number of the first."""
    rest, first = iter(items), 0
    while chunk := list(islice(rest, CHUNK)):
        yield first, chunk
        first += len(chunk)


def _seed(name: str, text: str, seed: int) -> int:
    content = f"{name}\x1f{text}".encode("utf-8", "surrogatepass")
    salt = (seed % (1 << 128)).to_bytes(16)
    return int.from_bytes(hashlib.blake2b(content, digest_size=16, salt=salt).digest())
