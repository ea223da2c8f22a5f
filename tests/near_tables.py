"""Near words by a table, in place of the word lists that stages ask. Nothing here asserts."""

from __future__ import annotations

import pytest
from linear_subject import Table

from sixfold.attack.building import GRAMMAR, MEANING
from sixfold.attack.changes import Exchange
from sixfold.perturb.words import is_chinese, is_latin
from sixfold.stages import word_lists

READS = {"en": is_latin, "zh": is_chinese}


def by_table(words: dict[str, list[str]]) -> Exchange:
    return Exchange(Table(words), None, (GRAMMAR,), (MEANING,))


def know(monkeypatch: pytest.MonkeyPatch, **tables: dict[str, list[str]]) -> None:
    """Let stages know these words of these languages, and no word list be needed."""
    known = {name: (READS[name], lambda words=words: by_table(words), ()) for name, words in tables.items()}
    monkeypatch.setattr(word_lists, "_LANGUAGES", known)
