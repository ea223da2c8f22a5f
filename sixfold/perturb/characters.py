"""Changes of single characters in a word: typing mistakes, look-alikes, characters that are not seen.

A character is what a reader sees as one (``words.characters``). ``inner`` leaves the first and the last as they are.
Every candidate is listed, from the word's beginning to its end; the caller draws from them, as the papers do.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sixfold.perturb.words import Sentence, Transformation, characters, distinct, is_chinese, is_latin
from sixfold.text.lexicon.keyboard import NEIGHBOURS

ALL = ("en", "zh")
"""Languages of a transformation that looks at no letter."""
LEAST_INNER = 4
"""A word of fewer characters has no inner place where something would be seen (Pruthi et al. 2019)."""
ZERO_WIDTH = "\u200b\u200c\u2060"
"""Zero-width space, zero-width non-joiner, word joiner: nothing is drawn for them."""


@dataclass(frozen=True)
class Swap:
    """Two neighbouring characters change places."""

    name: str = "swap"
    languages: tuple[str, ...] = ALL
    inner: bool = False

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        parts = characters(word)
        places = list(_places(parts, self.inner))
        return distinct(
            word,
            (
                _joined(parts, place, place + 2, parts[place + 1] + parts[place])
                for place in places
                if place + 1 in places
            ),
        )


@dataclass(frozen=True)
class Delete:
    """One character is left out; never the only one."""

    name: str = "delete"
    languages: tuple[str, ...] = ALL
    inner: bool = False

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        parts = characters(word)
        return distinct(word, (_joined(parts, place, place + 1, "") for place in _places(parts, self.inner)))


@dataclass(frozen=True)
class Insert:
    """One of ``letters`` comes in before a character, or behind the last; within the word only, if ``inner``."""

    name: str = "insert"
    languages: tuple[str, ...] = ("en",)
    inner: bool = False
    letters: str = string.ascii_lowercase

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        if not is_latin(word):
            return []
        parts = characters(word)
        gaps = range(1, len(parts)) if self.inner else range(len(parts) + 1)
        letters = self.letters.upper() if word.isupper() and len(parts) > 1 else self.letters
        return distinct(word, (_joined(parts, gap, gap, letter) for gap in gaps for letter in letters))


@dataclass(frozen=True)
class Substitute:
    """A letter becomes another of ``letters``."""

    name: str = "substitute"
    languages: tuple[str, ...] = ("en",)
    inner: bool = False
    letters: str = string.ascii_lowercase

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        return _substituted(sentence.word(position), self.inner, lambda part: self.letters if part.isalpha() else "")


@dataclass(frozen=True)
class Keyboard:
    """A letter or digit becomes one beside it on an English keyboard."""

    name: str = "keyboard"
    languages: tuple[str, ...] = ("en",)
    inner: bool = False

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        return _substituted(sentence.word(position), self.inner, lambda part: NEIGHBOURS.get(part.lower(), ""))


@dataclass(frozen=True)
class Homoglyph:
    """A letter becomes one that looks alike: another script's, or a sign.

    Attributes:
        table: character to its look-alikes, nearest first (``text.lexicon.homoglyphs``).
        most: look-alikes of one character.
    """

    table: Mapping[str, Sequence[str]]
    name: str = "homoglyph"
    languages: tuple[str, ...] = ("en",)
    inner: bool = False
    most: int = 3

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        parts = characters(word)
        return distinct(
            word,
            (
                _joined(parts, place, place + 1, alike)
                for place in _places(parts, self.inner)
                for alike in self.table.get(parts[place], ())[: self.most]
            ),
        )


@dataclass(frozen=True)
class ZeroWidth:
    """A character of no width comes in between two (Boucher et al. 2021, arXiv:2106.09898).

    Many tokenizers of encoders throw such characters away; against those it changes nothing.
    """

    name: str = "zero-width"
    languages: tuple[str, ...] = ALL
    marks: str = ZERO_WIDTH

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        return inserted(sentence.word(position), self.marks)


@dataclass(frozen=True)
class ChineseInsert:
    """A mark or a blank comes in between two characters of a Chinese word, as in texts that evade a filter."""

    name: str = "zh-insert"
    languages: tuple[str, ...] = ("zh",)
    marks: str = " ·*、"

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        return inserted(word, self.marks) if is_chinese(word) else []


@dataclass(frozen=True)
class Case:
    """The word in capitals, in small letters, with a first capital, with all capitals and small letters exchanged."""

    name: str = "case"
    languages: tuple[str, ...] = ("en",)

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        first = word[:1].upper() + word[1:].lower()
        return distinct(word, (word.upper(), word.lower(), first, word.swapcase()))


@dataclass(frozen=True)
class Together:
    """Several transformations as one: the candidates of each in turn. ``parts`` lets a caller draw from each."""

    name: str
    parts: tuple[Transformation, ...]

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(language for part in self.parts for language in part.languages))

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        found = (candidate for part in self.parts for candidate in part.candidates(sentence, position))
        return list(dict.fromkeys(found))


def deepwordbug() -> Together:
    """DeepWordBug (Gao et al. 2018, arXiv:1801.04354): swap, substitute, delete, insert, anywhere in the word."""
    return Together("deepwordbug", (Swap(), Substitute(), Delete(), Insert()))


def pruthi() -> Together:
    """Pruthi et al. 2019 (arXiv:1905.11268): swap, delete, keyboard, insert; the first and last letter stay."""
    return Together("pruthi", (Swap(inner=True), Delete(inner=True), Keyboard(inner=True), Insert(inner=True)))


def textbugger(homoglyphs: Mapping[str, Sequence[str]]) -> Together:
    """TextBugger's changes of characters (Li et al. 2019, arXiv:1812.05271): its fifth, near words, is none of them.

    A blank within the word, delete, swap (the first and last letter stay), a look-alike, the keyboard's neighbour.
    """
    parts = (
        Insert(inner=True, letters=" "),
        Delete(inner=True),
        Swap(inner=True),
        Homoglyph(homoglyphs),
        Keyboard(),
    )
    return Together("textbugger-characters", parts)


def inserted(word: str, marks: str) -> list[str]:
    """The word with one mark between two of its characters: gap by gap, mark by mark."""
    parts = characters(word)
    return distinct(word, (_joined(parts, gap, gap, mark) for gap in range(1, len(parts)) for mark in marks))


def _places(parts: Sequence[str], inner: bool) -> range:
    """The characters that may change."""
    if inner:
        return range(1, len(parts) - 1) if len(parts) >= LEAST_INNER else range(0)
    return range(len(parts))


def _substituted(word: str, inner: bool, others: Callable[[str], Iterable[str]]) -> list[str]:
    if not is_latin(word):
        return []
    parts = characters(word)
    return distinct(
        word,
        (
            _joined(parts, place, place + 1, other.upper() if parts[place].isupper() else other)
            for place in _places(parts, inner)
            for other in others(parts[place])
        ),
    )


def _joined(parts: Sequence[str], start: int, end: int, replacement: str) -> str:
    return "".join((*parts[:start], replacement, *parts[end:]))
