"""What Chinese characters look like: their parts, and others that look alike."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sixfold.text.lexicon.catalogue import folder

SIDE_BY_SIDE = ("1", "3")
"""Structures whose parts stand from left to right, in two or three: only those can be read when they are split."""


def splits(parts: Mapping[str, Sequence[str]], structures: Mapping[str, str]) -> dict[str, str]:
    """Character to its parts in a row (请 to 言青), for those whose parts stand side by side."""
    return {
        character: "".join(found)
        for character, found in parts.items()
        if len(found) > 1 and structures.get(character) in SIDE_BY_SIDE
    }


def look_alikes(
    groups: Iterable[str],
    parts: Mapping[str, Sequence[str]],
    structures: Mapping[str, str],
    frequencies: Mapping[str, float],
) -> dict[str, str]:
    """Character to those that look alike, as one string.

    First those that share a line of ``groups`` with it, in the file's order, the line it heads first. Then, frequent
    ones first, those of the same structure that differ in the first part alone (请 晴 情). A character whose
    frequency is 0 is nobody's look-alike by its parts.

    Args:
        groups: lines of characters separated by tabs.
    """
    found: dict[str, dict[str, None]] = {}
    lines = [[character for character in line.split() if len(character) == 1] for line in groups]
    for group in lines:
        for character in group[:1]:
            found.setdefault(character, {}).update(dict.fromkeys(group))
    for group in lines:
        for character in group[1:]:
            found.setdefault(character, {}).update(dict.fromkeys(group))
    shared: dict[tuple[str | None, tuple[str, ...]], list[str]] = {}
    frequent = sorted((-frequencies.get(character, 0), character) for character in parts)
    for count, character in frequent:
        if count and len(parts[character]) > 1:
            shared.setdefault((structures.get(character), tuple(parts[character][1:])), []).append(character)
    for family in shared.values():
        for character in family:
            found.setdefault(character, {}).update(dict.fromkeys(family))
    return {
        character: "".join(other for other in alike if other != character)
        for character, alike in found.items()
        if len(alike) > 1
    }


def _read(name: str) -> Any:
    return json.loads((folder("characters") / f"char_{name}.json").read_text(encoding="utf-8"))


@cache
def frequencies() -> dict[str, float]:
    """Character to the logarithm of how often it was counted, 0 if never. From the list ``characters``.

    Raises:
        SixfoldError: it has not been pulled.
    """
    return {character: float(count) for character, count in _read("frequency").items()}


@cache
def load_splits() -> dict[str, str]:
    """The list ``characters``, as ``splits`` gives it.

    Raises:
        SixfoldError: it has not been pulled.
    """
    return splits(_read("stroke"), _read("struct"))


@cache
def load_look_alikes() -> dict[str, str]:
    """The lists ``look-alikes`` and ``characters``, as ``look_alikes`` gives them.

    Raises:
        SixfoldError: one of them has not been pulled.
    """
    path = folder("look-alikes") / "same_stroke.txt"
    with path.open(encoding="utf-8") as groups:
        return look_alikes(groups, _read("stroke"), _read("struct"), frequencies())
