"""Cilin, a thesaurus of Chinese (Mei et al. 1983, extended by HIT): groups of words that mean the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from sixfold.text.lexicon.catalogue import folder


class Cilin:
    """Synonyms of a word.

    Args:
        tree: the thesaurus; a leaf's key ends in ``=`` where its words are synonyms (``#``: related, ``@``: alone).
    """

    def __init__(self, tree: dict[str, Any]) -> None:
        self._groups = [tuple(words) for key, words in _leaves(tree) if key.endswith("=")]
        self._of: dict[str, tuple[int, ...]] = {}
        for number, words in enumerate(self._groups):
            for word in words:
                if number not in (known := self._of.get(word, ())):
                    self._of[word] = (*known, number)

    def groups(self, word: str) -> int:
        """How many groups of words that mean the same it is in: so many things can it mean."""
        return len(self._of.get(word, ()))

    def synonyms(self, word: str) -> list[str]:
        """The other words of its groups, in the thesaurus's order."""
        found = (other for number in self._of.get(word, ()) for other in self._groups[number])
        return [other for other in dict.fromkeys(found) if other != word]


def _leaves(tree: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for key, below in tree.items():
        if isinstance(below, dict):
            yield from _leaves(below["sub"])
        else:
            yield key, below


@cache
def load() -> Cilin:
    """The list ``cilin``.

    Raises:
        SixfoldError: it has not been pulled.
    """
    return Cilin(json.loads((folder("cilin") / "cilin_tree.json").read_text(encoding="utf-8")))
