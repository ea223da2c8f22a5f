"""Simplified and traditional Chinese, by OpenCC's tables: the phrase where it is known, else each character."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from sixfold.text.lexicon.catalogue import folder


class Conversion:
    """One direction.

    Args:
        characters: character to the other script's, the usual one first, separated by blanks.
        phrases: phrase to the other script's; needed where a character alone would be converted otherwise.
    """

    def __init__(self, characters: Mapping[str, str], phrases: Mapping[str, str]) -> None:
        self._characters = {ord(own): other.split()[0] for own, other in characters.items() if other.split()}
        # Most phrases say what the characters say anyway: those take no memory.
        self._phrases = {own: other for own, other in phrases.items() if own.translate(self._characters) != other}

    def __call__(self, word: str) -> str:
        """The word in the other script; itself where nothing differs."""
        return self._phrases.get(word) or word.translate(self._characters)


def parse(lines: Iterable[str]) -> dict[str, str]:
    """``own<TAB>other other`` by line; of a phrase the first is the usual one."""
    pairs = (line.rstrip("\n").split("\t") for line in lines)
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _read(path: Path, direction: str) -> Conversion:
    tables = []
    for kind in ("Characters", "Phrases"):
        with (path / f"{direction}{kind}.txt").open(encoding="utf-8") as lines:
            tables.append(parse(lines))
    return Conversion(tables[0], {own: other.split()[0] for own, other in tables[1].items()})


@cache
def to_traditional() -> Conversion:
    """From the list ``conversion``.

    Raises:
        SixfoldError: it has not been pulled.
    """
    return _read(folder("conversion"), "ST")


@cache
def to_simplified() -> Conversion:
    """From the list ``conversion``.

    Raises:
        SixfoldError: it has not been pulled.
    """
    return _read(folder("conversion"), "TS")
