"""Chinese words for words, and characters for characters. Everything is looked up; what is in no list stays.

Replacements are simplified characters, except for ``Script``. Candidates go from a word's first character to its last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sixfold.perturb.words import Sentence, distinct
from sixfold.text.lexicon.cilin import Cilin
from sixfold.text.lexicon.pinyin import Homophones

ZH = ("zh",)


@dataclass(frozen=True)
class CilinSynonyms:
    """A word of the same group of Cilin, in its order.

    Attributes:
        groups: a word that is in more groups has no synonyms, as nobody knows which is meant; 0: any.
    """

    cilin: Cilin
    name: str = "zh-synonym"
    languages: tuple[str, ...] = ZH
    groups: int = 0

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        return [] if self.groups and self.cilin.groups(word) > self.groups else self.cilin.synonyms(word)


@dataclass(frozen=True)
class Homophone:
    """One character becomes one that sounds alike (tones aside), as when typing by sound; frequent ones first.

    Attributes:
        most: homophones of one character.
    """

    homophones: Homophones
    name: str = "zh-homophone"
    languages: tuple[str, ...] = ZH
    most: int = 5

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        readings = self.homophones.readings(word)
        return _replaced(word, lambda place: _others(word[place], self.homophones.sounding(readings[place]), self.most))


@dataclass(frozen=True)
class LookAlike:
    """One character becomes one that looks alike.

    Attributes:
        table: character to its look-alikes, nearest first (``text.lexicon.glyphs``).
        most: look-alikes of one character.
    """

    table: Mapping[str, str]
    name: str = "zh-glyph"
    languages: tuple[str, ...] = ZH
    most: int = 5

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        return _replaced(word, lambda place: self.table.get(word[place], "")[: self.most])


@dataclass(frozen=True)
class Split:
    """One character is written as its parts: 请 as 言青.

    Attributes:
        table: character to its parts in a row (``text.lexicon.glyphs``).
    """

    table: Mapping[str, str]
    name: str = "zh-split"
    languages: tuple[str, ...] = ZH

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        return _replaced(word, lambda place: (self.table.get(word[place], ""),))


@dataclass(frozen=True)
class Script:
    """The word in traditional characters, or in simplified ones.

    Attributes:
        conversions: each gives the word in another script, or the word itself (``text.lexicon.conversion``).
    """

    conversions: tuple[Callable[[str], str], ...]
    name: str = "zh-script"
    languages: tuple[str, ...] = ZH

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        return distinct(word, (conversion(word) for conversion in self.conversions))


def _replaced(word: str, others: Callable[[int], Iterable[str]]) -> list[str]:
    """The word with one character replaced by each of its others."""
    return distinct(
        word,
        (word[:place] + other + word[place + 1 :] for place in range(len(word)) for other in others(place) if other),
    )


def _others(character: str, found: str, most: int) -> str:
    return found.replace(character, "")[:most]
