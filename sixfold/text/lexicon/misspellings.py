"""How people misspell English words."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from sixfold.text.lexicon.catalogue import folder


def parse(lines: Iterable[str]) -> dict[str, str]:
    """Word to its misspellings, separated by blanks; both in the file's capitals.

    A line is the word and its misspellings. Those with anything but letters, apostrophes and hyphens are left out (the
    file has damaged ones), and those that differ in capitals alone.
    """
    found: dict[str, list[str]] = {}
    for line in lines:
        word, *wrong = line.split() or [""]
        if _is_word(word):
            found.setdefault(word, []).extend(one for one in wrong if _is_word(one) and one.lower() != word.lower())
    return {word: " ".join(dict.fromkeys(wrong)) for word, wrong in found.items() if wrong}


def _is_word(word: str) -> bool:
    plain = word.replace("'", "").replace("-", "")
    return word.isascii() and word[:1].isalpha() and plain.isalpha() and "''" not in word


@cache
def load() -> dict[str, str]:
    """The list ``misspellings``, as ``parse`` gives it.

    Raises:
        SixfoldError: it has not been pulled.
    """
    with (folder("misspellings") / "spelling_en.txt").open(encoding="utf-8") as lines:
        return parse(lines)
