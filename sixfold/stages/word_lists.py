"""What may stand for a word of the training rows, by language: the words that the attacks by near words try.

In English near words of an encoder (``textfooler-offline``), in Chinese synonyms of Cilin (``zh-pwws``), of the same
kind, no negation and no number. Words that stand in an entity anywhere in the rows stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Self

from sixfold.attack.attacks import ATTACKS
from sixfold.attack.changes import Exchange
from sixfold.attack.chinese import synonyms
from sixfold.attack.english import near_words
from sixfold.errors import UsageError
from sixfold.perturb.words import is_chinese, is_latin
from sixfold.text import lexicon

if TYPE_CHECKING:
    import datasets

ASKED = 50
"""Near words that are looked at."""
LEAST_SHARE = 0.1
"""Of the training rows in a language, for its word lists to be wanted."""
TEXTS = 1_000
"""Rows that are read at once."""
_LANGUAGES: Mapping[str, tuple[Callable[[str], bool], Callable[[], Exchange], Sequence[str]]] = {
    "en": (is_latin, lambda: near_words(ASKED), ATTACKS["textfooler-offline"].lists),
    "zh": (is_chinese, synonyms, ATTACKS["zh-pwws"].lists),
}
"""Which words are of a language, what may stand for them, and the word lists that this needs."""


@dataclass(frozen=True)
class Others:
    """Words that may stand for a word, the nearest first.

    Attributes:
        languages: which words are of each, and what may stand for them.
        rows: with a column ``text``, or ``words`` and ``tags``.
    """

    languages: Sequence[tuple[Callable[[str], bool], Exchange]]
    rows: datasets.Dataset

    @classmethod
    def of(cls, rows: datasets.Dataset, languages: Mapping[str, float], *, dial: str, where: str, hint: str) -> Self:
        """For training rows.

        Args:
            languages: shares of the rows, by script.
            dial, where, hint: what asks for it, for an error.

        Raises:
            UsageError: no words are known in any of these languages.
            SixfoldError: a word list or a model that is needed is not on this machine.
        """
        known = [_LANGUAGES[name] for name, share in languages.items() if name in _LANGUAGES and share >= LEAST_SHARE]
        if not known:
            raise UsageError(
                f"{dial} knows English and Chinese words, and the training rows have neither", where=where, hint=hint
            )
        lexicon.need(*chain.from_iterable(lists for *_, lists in known))
        return cls([(reads, build()) for reads, build, _ in known], rows)

    def to(self, word: str) -> list[str]:
        """What may stand for a word; nothing for one that stays."""
        if word.lower() in self._entities:
            return []
        return [other for reads, exchange in self.languages if reads(word) for other in exchange.of(word)]

    @cached_property
    def _entities(self) -> frozenset[str]:
        """Words that a tag calls a part of an entity, in small letters: what came in might be none, or another kind."""
        if "tags" not in self.rows.column_names:
            return frozenset()
        return frozenset(
            word.lower()
            for some in self.rows.iter(TEXTS)
            for words, tags in zip(some["words"], some["tags"], strict=True)
            for word, tag in zip(words, tags, strict=True)
            if tag != "O"
        )
