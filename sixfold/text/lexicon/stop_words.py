"""Words without content of their own."""

from __future__ import annotations

import json
from functools import cache

from sixfold.text.lexicon.catalogue import folder

LANGUAGES = ("en", "zh")


def parse(lists: dict[str, list[str]]) -> frozenset[str]:
    """The English and Chinese words, in small letters. Numbers and marks are none: the English list has some."""
    words = (word.lower() for language in LANGUAGES for word in lists[language])
    return frozenset(word for word in words if any(map(str.isalpha, word)))


@cache
def load() -> frozenset[str]:
    """The list ``stop-words``, as ``parse`` gives it.

    Raises:
        SixfoldError: it has not been pulled.
    """
    return parse(json.loads((folder("stop-words") / "stopwords-iso.json").read_text(encoding="utf-8")))
