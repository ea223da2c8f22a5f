"""Every transformation by its name: a new one is one row here, and its test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sixfold.errors import unknown
from sixfold.perturb import characters, chinese, lexical, rewrites
from sixfold.perturb.characters import ALL
from sixfold.perturb.neighbours import BASE_MODEL, load_neighbours
from sixfold.perturb.words import Rewrite, Transformation
from sixfold.text.lexicon import (
    cilin,
    conversion,
    glyphs,
    homoglyphs,
    inflections,
    misspellings,
    need,
    pinyin,
    wordnet,
)

EN, ZH = ("en",), ("zh",)


@dataclass(frozen=True)
class Row:
    """One transformation.

    Attributes:
        build: makes it, reading its word lists.
        what: a line for a person.
        languages: as the transformation has them; known before anything is read.
        lists: the word lists it needs; ``sixfold words pull NAME`` brings one.
        model: the base model it needs; ``sixfold models pull NAME`` brings it.
    """

    build: Callable[[], Transformation | Rewrite]
    what: str
    languages: tuple[str, ...]
    lists: tuple[str, ...] = ()
    model: str = ""


def _homoglyph() -> Transformation:
    return characters.Homoglyph(homoglyphs.load())


def _textbugger() -> Transformation:
    return characters.textbugger(homoglyphs.load())


def _synonym() -> Transformation:
    return lexical.Synonyms(wordnet.load(), inflections.load())


def _inflection() -> Transformation:
    return lexical.Inflect(inflections.load())


def _misspelling() -> Transformation:
    return lexical.Misspell(misspellings.load())


def _cilin() -> Transformation:
    return chinese.CilinSynonyms(cilin.load())


def _homophone() -> Transformation:
    return chinese.Homophone(pinyin.load())


def _look_alike() -> Transformation:
    return chinese.LookAlike(glyphs.load_look_alikes())


def _split() -> Transformation:
    return chinese.Split(glyphs.load_splits())


def _script() -> Transformation:
    return chinese.Script((conversion.to_traditional(), conversion.to_simplified()))


WORD: dict[str, Row] = {
    "swap": Row(characters.Swap, "two neighbouring characters change places", ALL),
    "delete": Row(characters.Delete, "a character is left out", ALL),
    "insert": Row(characters.Insert, "a letter comes in", EN),
    "substitute": Row(characters.Substitute, "a letter becomes any other", EN),
    "keyboard": Row(characters.Keyboard, "a letter becomes its neighbour on the keyboard", EN),
    "homoglyph": Row(_homoglyph, "a letter becomes one that looks alike", EN, ("homoglyphs",)),
    "zero-width": Row(characters.ZeroWidth, "a character that is not seen comes in", ALL),
    "case": Row(characters.Case, "capitals and small letters", EN),
    "deepwordbug": Row(characters.deepwordbug, "DeepWordBug's: swap, substitute, delete, insert", ALL),
    "pruthi": Row(characters.pruthi, "Pruthi's: swap, delete, keyboard, insert within the word", ALL),
    "textbugger-characters": Row(
        _textbugger, "TextBugger's, but for near words: blank, delete, swap, homoglyph, keyboard", ALL, ("homoglyphs",)
    ),
    "synonym": Row(_synonym, "a WordNet synonym in the same form", EN, ("wordnet", "inflections")),
    "neighbour": Row(
        load_neighbours, "a near word by an encoder, in the same form", EN, ("wordnet", "inflections"), BASE_MODEL
    ),
    "inflection": Row(_inflection, "another form of the word", EN, ("inflections",)),
    "misspelling": Row(_misspelling, "a common misspelling", EN, ("misspellings",)),
    "delete-word": Row(lexical.DeleteWord, "the word is left out", ALL),
    "number": Row(lexical.Number, "a whole number becomes one near it", ALL),
    "zh-synonym": Row(_cilin, "a Cilin synonym", ZH, ("cilin",)),
    "zh-homophone": Row(_homophone, "a character becomes one that sounds alike", ZH, ("pinyin", "characters")),
    "zh-glyph": Row(_look_alike, "a character becomes one that looks alike", ZH, ("look-alikes", "characters")),
    "zh-split": Row(_split, "a character is written as its parts", ZH, ("characters",)),
    "zh-script": Row(_script, "traditional or simplified characters", ZH, ("conversion",)),
    "zh-insert": Row(characters.ChineseInsert, "a mark or a blank comes in between two characters", ZH),
}
"""Those that change one word."""

TEXT: dict[str, Row] = {
    "contraction": Row(rewrites.Contract, "a contraction is spelt out, or the other way round", EN),
    "person-name": Row(rewrites.person_names, "a first name or surname becomes another, everywhere", EN),
    "place-name": Row(rewrites.place_names, "a city or country becomes another, everywhere", EN),
    "zh-person-name": Row(rewrites.chinese_person_names, "a person's name becomes another, everywhere", ZH),
    "zh-place-name": Row(rewrites.chinese_place_names, "a city, province or country becomes another, everywhere", ZH),
    "distractor": Row(rewrites.stress_test, "words that say nothing come behind the last one", ALL),
}
"""Those that change a whole text."""


def transformation(name: str) -> Transformation:
    """The transformation of one word that has this name.

    Raises:
        UsageError: there is none; the nearest name is shown.
        SixfoldError: word lists that it needs have not been pulled; told all at once.
        ModelError: the base model that it needs has not been pulled.
    """
    return _build(WORD, name)


def rewrite(name: str) -> Rewrite:
    """The transformation of a whole text that has this name. Errors as for ``transformation``."""
    return _build(TEXT, name)


def _build(table: dict[str, Row], name: str) -> Any:
    if name not in table:
        raise unknown("transformation", name, table)
    need(*table[name].lists)
    return table[name].build()
