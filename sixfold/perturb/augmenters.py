"""Every augmenter by its name: those of papers, typing mistakes, and any transformation of the registry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from sixfold.errors import UsageError, unknown
from sixfold.perturb import registry
from sixfold.perturb.augment import Augmenter
from sixfold.perturb.chinese import CilinSynonyms
from sixfold.perturb.lexical import Synonyms
from sixfold.perturb.masked import CONTEXTUAL
from sixfold.perturb.neighbours import Neighbours
from sixfold.perturb.operations import (
    DeleteWords,
    Ground,
    InsertMarks,
    InsertSynonym,
    Operation,
    Replace,
    Rewritten,
    SwapWords,
)
from sixfold.perturb.words import Best, Contextual, Prompts, Sentence, Transformation
from sixfold.text import language
from sixfold.text.lexicon.sentiment import SENTIMENT

USUAL = 5
"""Of candidates that come by rank the first so many are drawn from."""
RANKED = ("synonym", "neighbour", "zh-synonym", "zh-homophone", "zh-glyph")
LEAST_COSINE = 0.7
"""Of a near word. An attack tries more: it is told by the label which of them went too far."""
ASKED = 32
"""Words of a text that a model is asked about, at most."""
ANY = "any"
"""In place of a language: whatever it is."""

Answer = Callable[[Prompts, int], Sequence[Best]]
"""Runs a masked language model: for each row of the prompts, the so many best tokens at its places."""


@dataclass(frozen=True)
class Row:
    """One augmenter.

    Attributes:
        what: a line for a person.
        needs: by language, the transformations of the registry that it is made of.
        operations: makes its operations of them.
        exchanges: whether words become others, which spares words of grammar.
    """

    what: str
    needs: Mapping[str, tuple[str, ...]]
    operations: Callable[[Sequence[str]], tuple[Operation, ...]]
    exchanges: bool = True


def _eda(names: Sequence[str]) -> tuple[Operation, ...]:
    (synonyms,) = _replaced(names)
    assert isinstance(synonyms, Replace)
    return synonyms, InsertSynonym(synonyms), SwapWords(), DeleteWords()


def _aeda(names: Sequence[str]) -> tuple[Operation, ...]:
    return (InsertMarks(),)


def _replaced(names: Sequence[str]) -> tuple[Operation, ...]:
    return tuple(
        Replace(_surely(registry.transformation(name)), USUAL if name in RANKED else 0, numbers=name == "number")
        for name in names
    )


def _surely(transformation: Transformation) -> Transformation:
    """The same, held to what most surely means the same: the most usual sense, words of one meaning, the nearest."""
    if isinstance(transformation, Synonyms):
        return replace(transformation, senses=1)
    if isinstance(transformation, CilinSynonyms):
        return replace(transformation, groups=1)
    if isinstance(transformation, Neighbours):
        return replace(transformation, least=LEAST_COSINE)
    return transformation


def _rewritten(names: Sequence[str]) -> tuple[Operation, ...]:
    return tuple(Rewritten(registry.rewrite(name)) for name in names)


PAPERS: dict[str, Row] = {
    "eda": Row(
        "EDA (Wei and Zou 2019, arXiv:1901.11196): synonyms, one inserted, words swapped, words left out",
        {"en": ("synonym",), "zh": ("zh-synonym",)},
        _eda,
    ),
    "aeda": Row("AEDA (Karimi et al. 2021): marks come in between words", {ANY: ()}, _aeda, exchanges=False),
    "typos": Row(
        "mistakes of typing: keys (English), characters that sound or look alike (Chinese)",
        {"en": ("pruthi",), "zh": ("zh-homophone", "zh-glyph")},
        _replaced,
    ),
}
"""Augmenters that are more than one transformation."""


def names() -> list[str]:
    """Every augmenter's name."""
    return [*PAPERS, *registry.WORD, *registry.TEXT, *CONTEXTUAL]


def row(name: str) -> Row:
    """What the augmenter of that name is.

    Raises:
        UsageError: there is none, or it needs a model (see ``contextual``).
    """
    if name in CONTEXTUAL:
        raise UsageError(f"{name} asks a masked language model", hint="name one with --words CHECKPOINT")
    if name in PAPERS:
        return PAPERS[name]
    if name not in names():
        raise unknown("augmenter", name, names())
    if name in registry.WORD:
        found = registry.WORD[name]
        return Row(found.what, dict.fromkeys(found.languages, (name,)), _replaced)
    found = registry.TEXT[name]
    return Row(found.what, dict.fromkeys(found.languages, (name,)), _rewritten, exchanges=False)


def lists_of(name: str, languages: Sequence[str]) -> tuple[str, ...]:
    """The word lists that the augmenter reads for texts of these languages.

    Raises:
        UsageError: as ``row``.
    """
    made = row(name)
    used = [one for language in languages for one in made.needs.get(language, ())]
    lists = [words for one in used for words in {**registry.WORD, **registry.TEXT}[one].lists]
    return tuple(dict.fromkeys([*lists, "stop-words"] if made.exchanges else lists))


def augmenter(name: str, keep: Collection[str] = SENTIMENT) -> Augmenter:
    """The augmenter of that name. Word lists are read when the first text of a language needs them.

    Args:
        keep: words in small letters that must stay, beside negations, numbers and names.

    Raises:
        UsageError: as ``row``.
    """
    made = row(name)

    @cache
    def of(language: str) -> tuple[Operation, ...]:
        needs = made.needs.get(language, made.needs.get(ANY))
        return () if needs is None else made.operations(needs)

    def source(grounds: Sequence[Ground]) -> list[tuple[Operation, ...]]:
        return [of(language(ground.sentence.text)) for ground in grounds]

    return Augmenter(name, source, keep) if made.exchanges else Augmenter(name, source, keep, grammar=frozenset)


def contextual(transformation: Contextual, answer: Answer) -> Augmenter:
    """The augmenter that exchanges words for what a masked language model would put there.

    Args:
        transformation: what to ask (``masked.contextual``).
        answer: asks the model; gets the questions of many texts at once.
    """
    return Augmenter(transformation.name, lambda grounds: _asked(transformation, answer, grounds))


@dataclass(frozen=True)
class _Answered:
    """A transformation whose candidates are known already: by position, of one text."""

    name: str
    languages: tuple[str, ...]
    known: Mapping[int, list[str]]

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        return self.known.get(position, [])


def _asked(transformation: Contextual, answer: Answer, grounds: Sequence[Ground]) -> list[tuple[Operation, ...]]:
    """One question to the model for all the texts."""
    positions = [_spread(np.flatnonzero(ground.content).tolist()) for ground in grounds]
    asked = [transformation.prompts(ground.sentence, some) for ground, some in zip(grounds, positions, strict=True)]
    every = Prompts([ids for one in asked for ids in one.ids], [at for one in asked for at in one.places])
    best = list(answer(every, transformation.most)) if len(every) else []
    made: list[tuple[Operation, ...]] = []
    for ground, some, one in zip(grounds, positions, asked, strict=True):
        own, best = best[: len(one)], best[len(one) :]
        found = transformation.candidates(ground.sentence, some, own)
        known = _Answered(transformation.name, transformation.languages, dict(zip(some, found, strict=True)))
        made.append((Replace(known, usual=USUAL, one_for_one=transformation.name != "bae-insert"),))
    return made


def _spread(positions: list[int]) -> list[int]:
    """At most ``ASKED`` of them, all over the text."""
    if len(positions) <= ASKED:
        return positions
    return [positions[place] for place in np.linspace(0, len(positions) - 1, ASKED).astype(int)]
