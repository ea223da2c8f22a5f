"""What an attack or an augmentation may not change. Each constraint says yes or no to positions, or to candidates.

They are arrays of bool, so that several are joined by ``&``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sixfold.errors import unknown
from sixfold.perturb.words import Sentence, characters, chinese_tags, is_chinese, is_latin
from sixfold.text import sentences
from sixfold.text.language import has_han

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
_NEGATING = ("不", "没", "沒", "无", "無", "未", "勿")
"""What a Chinese word begins with that says "not": 不好, 没用. Words such as 未来 are taken for negations too."""
_DIGIT = re.compile(r"\d")
_NAMES = ("nr", "ns", "nt", "nz")
"""rjieba's tags of people, places, organisations and other names."""
LEAST_LONG = 4
"""In a headline words of fewer letters are often small; and so many longer words are needed to call it one."""
_NUMBER = re.compile(r"(?=\d)[\d.,:%]+|[零〇一二两三四五六七八九十百千万亿]+")
ROUNDING = 1e-6
"""Vectors of fp32 are alike up to this."""
_WRITTEN_NUMBERS = _listed(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion
    """
)


def is_negation(word: str) -> bool:
    """Whether the word is, or ends in, a negation (``not``, ``don't``, ``不``), or is Chinese and begins with one."""
    plain = word.lower().replace("’", "'")
    return plain in NEGATIONS or plain.endswith("n't") or (plain.startswith(_NEGATING) and is_chinese(plain))


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


def no_names(sentence: Sentence) -> Allowed:
    """Positions of words that are no names, as far as capitals (English) and rjieba's tags (Chinese) tell. [words]

    A word is a name if it has a capital within a sentence (not ``I``), or is in capitals, or has one behind its first
    letter; the first word of a sentence also if a name follows. Where most words have capitals, as in headlines, they
    tell nothing.
    """
    named = np.zeros(len(sentence), dtype=np.bool_)
    for position, word in enumerate(sentence.words()):
        named[position] = _looks_named(word)
    firsts = _first_words(sentence)
    for position in firsts:
        word = sentence.word(position)
        inner = any(map(str.isupper, word[1:]))
        followed = position + 1 < len(sentence) and position + 1 not in firsts and named[position + 1]
        named[position] &= inner or followed
    if _capitals_tell_nothing(sentence, firsts):
        named[:] = False
    spoken = [span for span, kind in chinese_tags(sentence.text) if kind.startswith(_NAMES)]
    for position, (start, end) in enumerate(sentence.spans):
        named[position] |= any(span.start < end and start < span.end for span in spoken)
    return ~named


def _looks_named(word: str) -> bool:
    return is_latin(word) and any(map(str.isupper, word)) and re.split("['’]", word)[0] != "I"


def _first_words(sentence: Sentence) -> set[int]:
    """Positions of the words that begin a sentence."""
    starts = np.array([span.start for span in sentence.spans], dtype=np.int64)
    begins = [span.start for span in sentences(sentence.text)]
    return set(np.searchsorted(starts, begins).tolist()) - {len(sentence)}


def _capitals_tell_nothing(sentence: Sentence, firsts: Collection[int]) -> bool:
    inside = [word for position, word in enumerate(sentence.words()) if position not in firsts and is_latin(word)]
    small = sum(word[0].islower() for word in inside)
    if not small:
        return True
    long = [word for word in inside if len(word) >= LEAST_LONG]
    return len(long) >= LEAST_LONG and sum(word[0].isupper() for word in long) > len(long) / 2


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
        pieces = candidate.split()
        if has_han(candidate):  # what was put beside a Chinese word stands without a blank
            pieces += [candidate.removeprefix(word), candidate.removesuffix(word)]
        return any(new and not old for piece in pieces for new, old in zip(kept(piece), own, strict=True))

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


def similar(
    vector: NDArray[np.floating],
    candidates: NDArray[np.floating],
    least: float,
    *,
    measure: Literal["cosine", "angular"] = "cosine",
) -> Allowed:
    """Candidates whose embedding is at least so near to the original's. [candidates]

    Args:
        vector: [width] the original's, encoded once.
        candidates: [candidates, width]. A vector of zeros is near to nothing.
        least: bound, included.
        measure: ``cosine``; or ``angular``, 1 - angle / pi, which TextFooler bounds (Jin et al. 2020,
            arXiv:1907.11932; 0.841 there, a cosine of 0.878).
    """
    if measure not in ("cosine", "angular"):
        raise unknown("measure", measure, ("cosine", "angular"))
    own, others = np.asarray(vector, dtype=np.float64), np.asarray(candidates, dtype=np.float64)
    norms = np.linalg.norm(others, axis=1) * np.linalg.norm(own)
    near = np.divide(others @ own, norms, out=np.full(len(others), np.nan), where=norms > 0)
    if measure == "angular":
        near = 1 - np.arccos(np.clip(near, -1, 1)) / np.pi
    return near >= least - ROUNDING


def _each(sentence: Sentence, test: Callable[[str], bool]) -> Allowed:
    return np.array([test(word) for word in sentence.words()], dtype=np.bool_)
