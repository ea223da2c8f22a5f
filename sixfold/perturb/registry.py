"""Every transformation by its name: a new one is one row here, and its test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sixfold.errors import unknown
from sixfold.perturb import characters, chinese, lexical, rewrites
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


@dataclass(frozen=True)
class Row:
    """One transformation.

    Attributes:
        build: makes it, reading its word lists.
        what: a line for a person.
        lists: the word lists it needs; ``sixfold words pull NAME`` brings one.
    """

    build: Callable[[], Transformation | Rewrite]
    what: str
    lists: tuple[str, ...] = ()


WORD: dict[str, Row] = {
    "swap": Row(characters.Swap, "two neighbouring characters change places"),
    "delete": Row(characters.Delete, "a character is left out"),
    "insert": Row(characters.Insert, "a letter comes in"),
    "substitute": Row(characters.Substitute, "a letter becomes any other"),
    "keyboard": Row(characters.Keyboard, "a letter becomes its neighbour on the keyboard"),
    "homoglyph": Row(
        lambda: characters.Homoglyph(homoglyphs.load()), "a letter becomes one that looks alike", ("homoglyphs",)
    ),
    "zero-width": Row(characters.ZeroWidth, "a character that is not seen comes in"),
    "case": Row(characters.Case, "capitals and small letters"),
    "deepwordbug": Row(characters.deepwordbug, "DeepWordBug's: swap, substitute, delete, insert"),
    "pruthi": Row(characters.pruthi, "Pruthi's: swap, delete, keyboard, insert within the word"),
    "textbugger-characters": Row(
        lambda: characters.textbugger(homoglyphs.load()),
        "TextBugger's, but for near words: blank, delete, swap, homoglyph, keyboard",
        ("homoglyphs",),
    ),
    "synonym": Row(
        lambda: lexical.Synonyms(wordnet.load(), inflections.load()),
        "a WordNet synonym in the same form",
        ("wordnet", "inflections"),
    ),
    "inflection": Row(lambda: lexical.Inflect(inflections.load()), "another form of the word", ("inflections",)),
    "misspelling": Row(lambda: lexical.Misspell(misspellings.load()), "a common misspelling", ("misspellings",)),
    "delete-word": Row(lexical.DeleteWord, "the word is left out"),
    "number": Row(lexical.Number, "a whole number becomes one near it"),
    "zh-synonym": Row(lambda: chinese.CilinSynonyms(cilin.load()), "a Cilin synonym", ("cilin",)),
    "zh-homophone": Row(
        lambda: chinese.Homophone(pinyin.load()), "a character becomes one that sounds alike", ("pinyin", "characters")
    ),
    "zh-glyph": Row(
        lambda: chinese.LookAlike(glyphs.load_look_alikes()),
        "a character becomes one that looks alike",
        ("look-alikes", "characters"),
    ),
    "zh-split": Row(
        lambda: chinese.Split(glyphs.load_splits()), "a character is written as its parts", ("characters",)
    ),
    "zh-script": Row(
        lambda: chinese.Script((conversion.to_traditional(), conversion.to_simplified())),
        "traditional or simplified characters",
        ("conversion",),
    ),
    "zh-insert": Row(characters.ChineseInsert, "a mark or a blank comes in between two characters"),
}
"""Those that change one word."""

TEXT: dict[str, Row] = {
    "contraction": Row(rewrites.Contract, "a contraction is spelt out, or the other way round"),
    "person-name": Row(rewrites.person_names, "a first name or surname becomes another, everywhere"),
    "place-name": Row(rewrites.place_names, "a city or country becomes another, everywhere"),
    "zh-person-name": Row(rewrites.chinese_person_names, "a person's name becomes another, everywhere"),
    "zh-place-name": Row(rewrites.chinese_place_names, "a city, province or country becomes another, everywhere"),
    "distractor": Row(rewrites.stress_test, "words that say nothing come behind the last one"),
}
"""Those that change a whole text."""


def transformation(name: str) -> Transformation:
    """The transformation of one word that has this name.

    Raises:
        UsageError: there is none; the nearest name is shown.
        SixfoldError: word lists that it needs have not been pulled; told all at once.
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
