"""Characters that look like an English letter or digit, out of Unicode's confusables."""

from __future__ import annotations

import json
import string
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sixfold.text.lexicon.catalogue import folder

SCRIPTS = ("CYRILLIC", "GREEK", "LATIN", "DIGIT", "ARMENIAN")
"""Scripts that ordinary fonts draw, in the order in which look-alikes are given."""


def look_alikes(confusables: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, tuple[str, ...]]:
    """English letter or digit to single characters that look like it, by script, then by code point.

    Left out: what NFKC turns back into a plain letter (the alphabets of mathematics, full-width letters), as many
    tokenizers do that too; capitals for small letters and the other way round; rare scripts that are drawn as boxes.
    """
    found = {}
    for letter in string.ascii_letters + string.digits:
        alike = {str(one["c"]) for one in confusables.get(letter, ())}
        ranked = sorted((SCRIPTS.index(script), other) for other in alike if (script := _script(letter, other)))
        if ranked:
            found[letter] = tuple(other for _, other in ranked)
    return found


def _script(letter: str, other: str) -> str:
    """The other character's script, or nothing if it is left out."""
    if len(other) != 1 or unicodedata.normalize("NFKC", other) != other or not other.isalnum():
        return ""
    if letter.isalpha() and other.isalpha() and other.isupper() != letter.isupper():
        return ""
    script = unicodedata.name(other, "").partition(" ")[0]
    return script if script in SCRIPTS else ""


@cache
def load() -> dict[str, tuple[str, ...]]:
    """The list ``homoglyphs``, as ``look_alikes`` gives it.

    Raises:
        SixfoldError: it has not been pulled.
    """
    return look_alikes(json.loads((folder("homoglyphs") / "confusables.json").read_text(encoding="utf-8")))
