"""One random change of a text for augmentation, as edits; what may not change stays. Nothing is read or counted here.

Each operation draws from a ``numpy`` generator that it is handed, and gives no edits where nothing can be changed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from sixfold.perturb.constraints import Allowed, is_number, keeps_label
from sixfold.perturb.words import Edit, Rewrite, Sentence, Transformation
from sixfold.text import Span, language
from sixfold.text.language import has_han
from sixfold.text.segment import written_out

SHARE = 0.1
"""Of the words that an operation changes, and at least one (EDA's alpha)."""
MARK_SHARE = 1 / 3
"""Of the words before which a mark may come in (AEDA)."""
MARKS = {"zh": "。；？：！，"}
OTHER_MARKS = ".;?:!,"
Fixed = Literal["", "words", "characters"]
"""What must stay as many as it is: nothing; the words (they have tags); or the words, which are single characters."""
_BLANK = re.compile(r"\s")


@dataclass(frozen=True)
class Ground:
    """A text, and what in it may be changed.

    Attributes:
        sentence: the text.
        free: bool [words] may be moved or left out.
        content: bool [words] those of them that are no words of grammar: may become others.
        keep: words (small letters) that may not come in.
        fixed: what must stay as many as it is.
    """

    sentence: Sentence
    free: Allowed
    content: Allowed
    keep: Collection[str] = ()
    fixed: Fixed = ""

    def some(self, share: float) -> int:
        """How many words a share of them is: at least one."""
        return max(1, int(share * len(self.sentence)))


class Operation(Protocol):
    """A way to change a text at random.

    Attributes:
        one_for_one: whether the words are as many afterwards, each in its place.
    """

    @property
    def one_for_one(self) -> bool: ...

    def draw(self, ground: Ground, rng: np.random.Generator) -> tuple[Edit, ...]: ...


@dataclass(frozen=True)
class Replace:
    """Some words become candidates of theirs.

    Attributes:
        usual: only the first so many candidates are drawn from, where they come by rank; 0: all.
        numbers: only numbers are exchanged, which otherwise stay.
    """

    transformation: Transformation
    usual: int = 0
    numbers: bool = False
    share: float = SHARE
    one_for_one: bool = True

    def draw(self, ground: Ground, rng: np.random.Generator) -> tuple[Edit, ...]:
        drawn = drawn_words(self, ground, rng)
        return tuple(sorted(ground.sentence.edit(position, new) for position, new in drawn))


@dataclass(frozen=True)
class InsertSynonym:
    """A synonym of one of the words comes in before another, for some words (EDA's random insertion)."""

    synonyms: Replace
    one_for_one: bool = False

    def draw(self, ground: Ground, rng: np.random.Generator) -> tuple[Edit, ...]:
        found = [new for _, new in drawn_words(self.synonyms, ground, rng)]
        places = rng.permutation(_gaps(ground.sentence)).tolist()
        return tuple(sorted(_before(ground.sentence, place, new) for place, new in zip(places, found, strict=False)))


@dataclass(frozen=True)
class SwapWords:
    """Pairs of words change places, each word once (EDA's random swap)."""

    share: float = SHARE
    one_for_one: bool = False

    def draw(self, ground: Ground, rng: np.random.Generator) -> tuple[Edit, ...]:
        sentence = ground.sentence
        drawn = rng.permutation(np.flatnonzero(ground.free)).tolist()
        edits: list[Edit] = []
        for one, other in list(zip(drawn[::2], drawn[1::2], strict=False))[: ground.some(self.share)]:
            first, second = sentence.word(one), sentence.word(other)
            if first != second:
                edits += [sentence.edit(one, second), sentence.edit(other, first)]
        return tuple(sorted(edits))


@dataclass(frozen=True)
class DeleteWords:
    """Every word is left out with a probability, but at least one is, and one stays (EDA's random deletion)."""

    share: float = SHARE
    one_for_one: bool = False

    def draw(self, ground: Ground, rng: np.random.Generator) -> tuple[Edit, ...]:
        free = np.flatnonzero(ground.free)
        if not len(free) or len(ground.sentence) < 2:
            return ()
        gone = free[rng.random(len(free)) < self.share].tolist() or [int(rng.choice(free))]
        if len(gone) == len(ground.sentence):
            gone.remove(rng.choice(gone))
        return _left_out(ground.sentence, gone)


@dataclass(frozen=True)
class InsertMarks:
    """Marks come in before some words, from one to a third of them (AEDA, Karimi et al. 2021, arXiv:2108.13230)."""

    most: float = MARK_SHARE
    one_for_one: bool = False

    def draw(self, ground: Ground, rng: np.random.Generator) -> tuple[Edit, ...]:
        sentence = ground.sentence
        gaps = _gaps(sentence)
        if not gaps:
            return ()
        marks = MARKS.get(language(sentence.text), OTHER_MARKS)
        count = int(rng.integers(1, ground.some(self.most) + 1))
        places = rng.permutation(gaps)[:count].tolist()
        return tuple(sorted(_before(sentence, place, marks[rng.integers(len(marks))]) for place in places))


@dataclass(frozen=True)
class Rewritten:
    """One of a rewrite's variants. Rewrites keep what a text says, so nothing is held back from them."""

    rewrite: Rewrite
    one_for_one: bool = False

    def draw(self, ground: Ground, rng: np.random.Generator) -> tuple[Edit, ...]:
        variants = self.rewrite.variants(ground.sentence)
        return tuple(sorted(variants[rng.integers(len(variants))])) if variants else ()


def drawn_words(replace: Replace, ground: Ground, rng: np.random.Generator) -> list[tuple[int, str]]:
    """Some positions in random order, and for each a candidate of its word: as many as the share says, or can be."""
    allowed = ground.content
    if replace.numbers:
        allowed = np.array([is_number(word) for word in ground.sentence.words()], dtype=np.bool_)
    drawn: list[tuple[int, str]] = []
    for position in rng.permutation(np.flatnonzero(allowed)).tolist():
        if len(drawn) == ground.some(replace.share):
            break
        if candidates := _candidates(replace, ground, position, rng):
            drawn.append((position, candidates[rng.integers(len(candidates))]))
    return drawn


def _candidates(replace: Replace, ground: Ground, position: int, rng: np.random.Generator) -> list[str]:
    """What the word may become here. Of several transformations in one, one is drawn, so that all are as frequent."""
    word, transformation = ground.sentence.word(position), replace.transformation
    parts = getattr(transformation, "parts", None)
    if parts:
        transformation = parts[rng.integers(len(parts))]
    found = transformation.candidates(ground.sentence, position)
    if not replace.numbers:
        found = [one for one, keeps in zip(found, keeps_label(word, found, ground.keep), strict=True) if keeps]
    if ground.fixed:
        found = [one for one in found if one and not _BLANK.search(one)]
    if ground.fixed == "characters":
        found = [one for one in found if len(one) == len(word)]
    return found[: replace.usual or None]


def _gaps(sentence: Sentence) -> list[int]:
    """Words before which something may come in: not within what is written in one piece, such as ``1.8-inch``."""
    text = sentence.text
    return [
        position
        for position, (start, _) in enumerate(sentence.spans)
        if start == 0 or text[start - 1].isspace() or has_han(text[start - 1 : start + 1])
    ]


def _before(sentence: Sentence, position: int, new: str) -> Edit:
    """The edit that puts a word or a mark before a word, with a blank between them where the script has one."""
    start = sentence.spans[position].start
    return Edit(start, start, written_out([new, sentence.text[start]])[:-1])


def _left_out(sentence: Sentence, gone: Sequence[int]) -> tuple[Edit, ...]:
    """The edits that leave words out. Neighbours go in one, with one blank beside them."""
    runs: list[Span] = []
    for span in (sentence.spans[position] for position in sorted(gone)):
        if runs and not sentence.text[runs[-1].end : span.start].strip(" "):
            runs[-1] = Span(runs[-1].start, span.end)
        else:
            runs.append(span)
    whole = Sentence(sentence.text, tuple(runs))
    return tuple(whole.edit(run, "") for run in range(len(runs)))
