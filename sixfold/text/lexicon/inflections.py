"""English inflection by table: which word a form is of, and the forms of a word. What is in no table has no forms.

The tables are lemminflect's, made from the SPECIALIST lexicon. Its rules for unknown words are not used: a wrong form
would be worse than none.
"""

from __future__ import annotations

import gzip
from bisect import bisect_left
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from sixfold.text.lexicon.catalogue import folder

BASE = {"noun": "NN", "verb": "VB", "adj": "JJ", "adv": "RB"}
"""Part of speech to the Penn tag of the base form."""
_TAGS = {"noun": ("NNS",), "verb": ("VBD", "VBN", "VBG", "VBZ"), "adj": ("JJR", "JJS"), "adv": ("RBR", "RBS")}
PART = {tag: part for part, base in BASE.items() for tag in (base, *_TAGS[part])}
"""Penn tag to part of speech."""


class Analysis(NamedTuple):
    """What a form can be: the Penn tag ``tag`` of the word ``lemma``."""

    lemma: str
    tag: str

    @property
    def part(self) -> str:
        return PART[self.tag]


class Inflections:
    """Forms and their words.

    Args:
        forms: lines ``take,verb,took,taken,taking,takes``; spellings of one form are set apart by ``/``, and an empty
            form is regular (a participle that is the past form) or lacks.
        lemmas: lines ``bought,verb,buy``.
    """

    def __init__(self, forms: Iterable[str], lemmas: Iterable[str]) -> None:
        # Sorted lines take a quarter of the memory that a dictionary would.
        self._forms = sorted(line for line in map(str.strip, forms) if line)
        self._lemmas = sorted(line for line in map(str.strip, lemmas) if line)

    def analyses(self, form: str) -> list[Analysis]:
        """What the form can be: nouns before verbs, adjectives and adverbs; base forms first.

        A noun that is its own plural is read as one: most such are not counted (``good``, ``film``, ``traffic``).
        """
        found = []
        for line in _starting(self._lemmas, f"{form},"):
            _, part, lemmas = line.split(",")
            for lemma in lemmas.split("/") if part in BASE else ():
                tags = (BASE[part], *(tag for tag in _TAGS[part] if (lemma, tag) != (form, "NNS")))
                found += [Analysis(lemma, tag) for tag in tags if form in self.inflected(lemma, tag)]
        order = list(PART)
        return sorted(found, key=lambda one: order.index(one.tag))

    def inflected(self, lemma: str, tag: str) -> tuple[str, ...]:
        """The spellings of one form of a word, the usual one first; none where the table has none.

        The base form of any word is the word.
        """
        part = PART[tag]
        if tag == BASE[part]:
            return (lemma,)
        for line in _starting(self._forms, f"{lemma},{part},"):
            forms = line.split(",")[2:]
            at = _TAGS[part].index(tag)
            given = forms[at] if at < len(forms) else ""
            if not given and tag == "VBN":
                given = forms[0]
            return tuple(given.split("/")) if given else ()
        return ()

    def forms(self, lemma: str, part: str) -> list[str]:
        """Every form of a word as one part of speech, the base form first."""
        found = (form for tag in (BASE[part], *_TAGS[part]) for form in self.inflected(lemma, tag))
        return list(dict.fromkeys(found))


def _starting(lines: list[str], beginning: str) -> list[str]:
    at, found = bisect_left(lines, beginning), []
    while at < len(lines) and lines[at].startswith(beginning):
        found.append(lines[at])
        at += 1
    return found


@cache
def load() -> Inflections:
    """The list ``inflections``.

    Raises:
        SixfoldError: it has not been pulled.
    """
    path = folder("inflections")
    with (
        gzip.open(path / "infl_lu.csv.gz", "rt", encoding="utf-8") as forms,
        gzip.open(path / "lemma_lu.csv.gz", "rt", encoding="utf-8") as lemmas,
    ):
        return Inflections(forms, lemmas)
