"""Words that a masked language model would put there: in a word's place, or beside it.

No model is run here: a transformation says what to ask (``prompts``) and reads the answers (``candidates``), so that
whoever searches can put the questions of many texts into one batch.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sixfold.errors import ModelError, unknown
from sixfold.perturb.characters import ALL
from sixfold.perturb.pieces import Pieces
from sixfold.perturb.words import Best, Contextual, Prompts, Sentence, cased_like, is_chinese, is_latin
from sixfold.text import Span
from sixfold.text.segment import written_out

TRIES = 20
"""Combinations of tokens that are looked at for each that may be kept: most combinations are no words."""


class Around(Protocol):
    """The special tokens that a tokenizer puts around one text (``tasks.encoding.Frame``)."""

    @property
    def before(self) -> tuple[int, ...]: ...

    @property
    def after(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class MaskedReplace:
    """A word becomes one that the model finds likely there.

    Without ``masked`` the model reads the text as it stands and is asked at the word's own tokens (BERT-Attack, Li et
    al. 2020, arXiv:2004.09984): one row answers for all words of a text. With it the word is hidden (BAE-R, Garg and
    Ramakrishnan 2020, arXiv:2004.01970): by one mask, or, if it is Chinese, by one for each of its tokens.

    A word of several tokens becomes the exact best combinations (``best_sums``) that are whole words.

    Attributes:
        pieces: the model's tokenizer.
        around: its frame.
        limit: most tokens of a row, the frame included; of a longer text, what is near the word is read.
        most: candidates of a word, and tokens that are looked at for each place.
    """

    pieces: Pieces
    around: Around
    limit: int
    name: str = "bert-attack"
    masked: bool = False
    languages: tuple[str, ...] = ALL
    most: int = 48

    def prompts(self, sentence: Sentence, positions: Sequence[int]) -> Prompts:
        return _asked(self._questions(sentence, positions), self.around, self.limit)[0]

    def candidates(self, sentence: Sentence, positions: Sequence[int], best: Sequence[Best]) -> list[list[str]]:
        slots = _asked(self._questions(sentence, positions), self.around, self.limit)[1]
        return [
            self._words(sentence.word(position), slot, best[slot.row]) if slot else []
            for position, slot in zip(positions, slots, strict=True)
        ]

    def _questions(self, sentence: Sentence, positions: Sequence[int]) -> list[_Question | None]:
        ids, tokens = _tokens(self.pieces, sentence, positions)
        return [
            None if own is None else self._question(tuple(ids), own, is_chinese(sentence.word(position)))
            for position, own in zip(positions, tokens, strict=True)
        ]

    def _question(self, ids: tuple[int, ...], own: range, chinese: bool) -> _Question:
        begins = tuple(bool(self.pieces.begins[token]) for token in ids[own.start : own.stop])
        if not self.masked:
            return _Question(ids, own.start, begins)
        begins = begins if chinese else begins[:1]
        hidden = (self.pieces.mask,) * len(begins)
        return _Question(ids[: own.start] + hidden + ids[own.stop :], own.start, begins)

    def _words(self, word: str, slot: _Slot, best: Best) -> list[str]:
        kind = is_chinese if is_chinese(word) else is_latin
        fitting = (cased_like(word, one) for one in _whole(self.pieces, slot, best, self.most) if kind(one))
        return _first(self.most, (one for one in fitting if one.lower() != word.lower()))


@dataclass(frozen=True)
class MaskedInsert:
    """A word that the model finds likely comes in behind a word, or before it (BAE-I, arXiv:2004.01970).

    The candidate is the word with the new one: ``good`` to ``good old``. Of Chinese, one character comes in.

    Attributes:
        before: the new word stands before the word.
        Others: as ``MaskedReplace``.
    """

    pieces: Pieces
    around: Around
    limit: int
    name: str = "bae-insert"
    before: bool = False
    languages: tuple[str, ...] = ALL
    most: int = 50

    def prompts(self, sentence: Sentence, positions: Sequence[int]) -> Prompts:
        return _asked(self._questions(sentence, positions), self.around, self.limit)[0]

    def candidates(self, sentence: Sentence, positions: Sequence[int], best: Sequence[Best]) -> list[list[str]]:
        slots = _asked(self._questions(sentence, positions), self.around, self.limit)[1]
        return [
            self._words(sentence, position, slot, best[slot.row]) if slot else []
            for position, slot in zip(positions, slots, strict=True)
        ]

    def _questions(self, sentence: Sentence, positions: Sequence[int]) -> list[_Question | None]:
        ids, tokens = _tokens(self.pieces, sentence, positions)
        made: list[_Question | None] = []
        for position, own in zip(positions, tokens, strict=True):
            at = None if own is None else own.start if self.before else own.stop
            # A Chinese word's first token may be spelt like one that goes on; an English word comes with its blank.
            begins = None if is_chinese(sentence.word(position)) else True
            row = None if at is None else (*ids[:at], self.pieces.mask, *ids[at:])
            made.append(None if row is None or at is None else _Question(row, at, (begins,)))
        return made

    def _words(self, sentence: Sentence, position: int, slot: _Slot, best: Best) -> list[str]:
        word = sentence.word(position)
        kind = is_chinese if is_chinese(word) else is_latin
        beside = {one.lower() for one in sentence.words()[max(position - 1, 0) : position + 2]}
        found = (one for one in _whole(self.pieces, slot, best, self.most) if kind(one) and one.lower() not in beside)
        return _first(self.most, (written_out([one, word] if self.before else [word, one]) for one in found))


def bert_attack(pieces: Pieces, around: Around, limit: int) -> MaskedReplace:
    """BERT-Attack's replacements: the 48 likeliest, the text read as it stands."""
    return MaskedReplace(pieces, around, limit)


def bae_replace(pieces: Pieces, around: Around, limit: int) -> MaskedReplace:
    """BAE-R's replacements: the 50 likeliest where the word is hidden."""
    return MaskedReplace(pieces, around, limit, "bae-replace", masked=True, most=50)


CONTEXTUAL: dict[str, Callable[[Pieces, Around, int], Contextual]] = {
    "bert-attack": bert_attack,
    "bae-replace": bae_replace,
    "bae-insert": MaskedInsert,
}
"""Every transformation that asks a masked language model, by its name."""


def contextual(name: str, tokenizer: Any, around: Around, limit: int) -> Contextual:
    """The transformation of that name for one model.

    Args:
        tokenizer: the model's.
        around: its frame.
        limit: most tokens of a row.

    Raises:
        UsageError: there is no such name.
        ModelError: the tokenizer has no mask token.
    """
    if name not in CONTEXTUAL:
        raise unknown("transformation", name, CONTEXTUAL)
    if tokenizer.mask_token_id is None:
        raise ModelError("the tokenizer has no mask token: its model cannot say what fits into a text", found=name)
    return CONTEXTUAL[name](Pieces(tokenizer), around, limit)


def best_sums(scores: Sequence[NDArray[np.floating] | Sequence[float]]) -> Iterator[tuple[int, ...]]:
    """Which one of each list to take, the best sum first; every combination once, none computed before it is due.

    Each list is in descending order. A combination's followers take one step down in the last list that it has taken a
    step in, or in one behind it; so each has one predecessor, whose sum is no smaller, and a heap gives them in order.
    """
    if not all(len(one) for one in scores):
        return

    def entry(taken: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        return -sum(float(one[place]) for one, place in zip(scores, taken, strict=True)), taken

    heap = [entry((0,) * len(scores))]
    while heap:
        _, taken = heapq.heappop(heap)
        yield taken
        last = max((at for at, place in enumerate(taken) if place), default=0)
        for at in range(last, len(taken)):
            if taken[at] + 1 < len(scores[at]):
                heapq.heappush(heap, entry((*taken[:at], taken[at] + 1, *taken[at + 1 :])))


@dataclass(frozen=True)
class _Question:
    """What is asked for one word.

    Attributes:
        row: the text's tokens as the model is to read them, without the frame.
        first: the first place that is asked for.
        begins: of each place, whether its token must be spelt as a word's beginning; None if either will do.
    """

    row: tuple[int, ...]
    first: int
    begins: tuple[bool | None, ...]


@dataclass(frozen=True)
class _Slot:
    """One word's share of the answers: ``len(begins)`` of the row's places, from ``first`` on."""

    row: int
    first: int
    begins: tuple[bool | None, ...]


def _asked(questions: Iterable[_Question | None], around: Around, limit: int) -> tuple[Prompts, list[_Slot | None]]:
    """The questions as rows, those about the same row in one; and where each one's answer will stand."""
    room = limit - len(around.before) - len(around.after)
    places: dict[tuple[int, ...], list[int]] = {}
    slots: list[_Slot | None] = []
    for one in questions:
        if one is None or len(one.begins) > room:
            slots.append(None)
            continue
        start = _window(len(one.row), room, one.first, one.first + len(one.begins))
        row = one.row[start : start + room]
        asked = places.setdefault(row, [])
        slots.append(_Slot(list(places).index(row), len(asked), one.begins))
        asked += range(len(around.before) + one.first - start, len(around.before) + one.first - start + len(one.begins))
    ids = [np.array((*around.before, *row, *around.after), dtype=np.int32) for row in places]
    return Prompts(ids, [np.array(asked, dtype=np.int64) for asked in places.values()]), slots


def _window(length: int, room: int, first: int, stop: int) -> int:
    """Where to begin to read ``room`` of the tokens, with those from ``first`` to ``stop`` about in the middle.

    Beginnings lie a quarter of the room apart, so that neighbouring words are asked about in the same row.
    """
    if length <= room:
        return 0
    step = max(1, room // 4)
    start = round(((first + stop) / 2 - room / 2) / step) * step
    return max(0, stop - room, min(start, first, length - room))


def _tokens(pieces: Pieces, sentence: Sentence, positions: Sequence[int]) -> tuple[list[int], list[range | None]]:
    """The text's tokens, and which of them are each word's; None where a token reaches beyond the word.

    Words that are neither English nor Chinese have None too.
    """
    ids, spans = pieces.encoded(sentence.text)
    starts, ends = [span.start for span in spans], [span.end for span in spans]

    def of(position: int, span: Span) -> range | None:
        word = sentence.word(position)
        first, stop = bisect_right(ends, span.start), bisect_left(starts, span.end)
        known = is_latin(word) or is_chinese(word)
        if not known or stop <= first or starts[first] < span.start or ends[stop - 1] > span.end:
            return None
        return range(first, stop)

    return ids, [of(position, sentence.spans[position]) for position in positions]


def _whole(pieces: Pieces, slot: _Slot, best: Best, most: int) -> Iterator[str]:
    """The whole words among the best combinations of tokens, the best first."""
    likely = [
        _likely(pieces, best.ids[place], best.log_probabilities[place], begins)
        for place, begins in enumerate(slot.begins, slot.first)
    ]
    taken = best_sums([scores for _, scores in likely])
    for combination in islice(taken, TRIES * most):
        tokens = [int(ids[place]) for (ids, _), place in zip(likely, combination, strict=True)]
        if word := pieces.whole(tokens):
            yield word


def _likely(
    pieces: Pieces, ids: NDArray[np.integer], scores: NDArray[np.floating], begins: bool | None
) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    """Of one place's tokens, those that are no special ones and join what is before them as asked."""
    known = ids < len(pieces.usable)  # a model may have more rows than its tokenizer has tokens
    ids, scores = ids[known], scores[known]
    fits = pieces.usable[ids]
    if begins is not None:
        fits = fits & (pieces.begins[ids] == begins)
    return ids[fits], scores[fits]


def _first(most: int, found: Iterable[str]) -> list[str]:
    """The first so many that are distinct."""
    kept: dict[str, None] = {}
    for one in found:
        kept.setdefault(one)
        if len(kept) == most:
            break
    return list(kept)
