"""What an attack or an augmentation may not change. Each constraint says yes or no to positions, or to candidates.

They are arrays of bool, so that several are joined by ``&``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from sixfold.perturb.words import Sentence, characters

Allowed = NDArray[np.bool_]


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


NEGATIONS = _listed(
    """
    no not n't nor never none nobody nothing nowhere neither cannot without hardly barely scarcely
    不 没 没有 无 非 别 未 勿 莫 不是 不会 不能 不要 不可 不得 不用 从不 从未 绝不 并不 毫不 毫无 并非 尚未 未曾 不再
    """
)
"""Words that turn a statement round: changing one often changes the right answer."""
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"(?=\d)[\d.,:%]+|[零〇一二两三四五六七八九十百千万亿]+")
_WRITTEN_NUMBERS = _listed(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion
    """
)


def is_negation(word: str) -> bool:
    """Whether the word is, or ends in, a negation: ``not``, ``don't``, ``不``."""
    plain = word.lower().replace("’", "'")
    return plain in NEGATIONS or plain.endswith("n't")


def is_number(word: str) -> bool:
    """Whether the word is nothing but a number, in digits or written out."""
    return _NUMBER.fullmatch(word) is not None or word.lower() in _WRITTEN_NUMBERS


def no_stop_words(sentence: Sentence, stop_words: Collection[str]) -> Allowed:
    """Positions of words that are not in the list, which is in small letters. [words]"""
    return _each(sentence, lambda word: word.lower().replace("’", "'") not in stop_words)


def no_repeat(sentence: Sentence, edited: Collection[int]) -> Allowed:
    """Positions that have not been edited yet. [words]"""
    allowed = np.ones(len(sentence), dtype=np.bool_)
    allowed[sorted(edited)] = False
    return allowed


def least_length(sentence: Sentence, least: int) -> Allowed:
    """Positions of words with at least so many characters, as a reader counts them. [words]"""
    return _each(sentence, lambda word: len(characters(word)) >= least)


def label_keeping(sentence: Sentence, keep: Collection[str] = ()) -> Allowed:
    """Positions of words that are no negation, hold no number, and are not in ``keep`` (small letters). [words]"""

    def kept(word: str) -> bool:
        return is_negation(word) or is_number(word) or _DIGIT.search(word) is not None or word.lower() in keep

    return _each(sentence, lambda word: not kept(word))


def share_changed(sentence: Sentence, edited: Collection[int], most: float) -> Allowed:
    """Positions that may be edited so that at most this share of the words is. [words]

    The bound is rounded up, so that one word may always be changed; those edited before may be edited again.
    """
    room = len(set(edited)) < max(1, math.ceil(most * len(sentence) - 1e-9))
    allowed = np.full(len(sentence), room and most > 0)
    allowed[sorted(edited)] = True
    return allowed


def keeps_label(word: str, candidates: Sequence[str], keep: Collection[str] = ()) -> Allowed:
    """Candidates that bring in no negation, no number and no word of ``keep`` that was not there. [candidates]"""

    def kept(piece: str) -> tuple[bool, bool, bool]:
        return is_negation(piece), is_number(piece), piece.lower() in keep

    own = kept(word)

    def added(candidate: str) -> bool:
        pieces = [kept(piece) for piece in candidate.split()]
        return any(new and not old for piece in pieces for new, old in zip(piece, own, strict=True))

    return np.array([not added(candidate) for candidate in candidates], dtype=np.bool_)


def same_part_of_speech(
    word: str, candidates: Sequence[str], parts_of_speech: Callable[[str], Collection[str]]
) -> Allowed:
    """Candidates that can be a part of speech that the word can be; what no list knows is let through. [candidates]

    No tagger is asked: a word is every part of speech that the word list gives it, in any sentence. That is weaker than
    TextFooler's tagger, needs no model, and costs a look-up.
    """
    own = set(parts_of_speech(word))
    if not own:
        return np.ones(len(candidates), dtype=np.bool_)
    found = [set(parts_of_speech(candidate)) for candidate in candidates]
    return np.array([not parts or not own.isdisjoint(parts) for parts in found], dtype=np.bool_)


def _each(sentence: Sentence, test: Callable[[str], bool]) -> Allowed:
    return np.array([test(word) for word in sentence.words()], dtype=np.bool_)
