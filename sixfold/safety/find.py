"""``find(text)``: the personal data in a text. Patterns need no model; names of people and places need a checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from sixfold.errors import unknown
from sixfold.safety.entity import NAMES, TYPES, Entity
from sixfold.safety.scan import LEAST, patterns
from sixfold.safety.sentences import sentences_in

if TYPE_CHECKING:
    from sixfold.safety.names import NameFinder


def find(
    text: str,
    *,
    types: Collection[str] | None = None,
    names: NameFinder | None = None,
    least: float = LEAST,
) -> list[Entity]:
    """The entities of a text in order; they do not overlap.

    Args:
        types: look for these alone; for all unless given.
        names: finds people, places and organisations; they are not looked for without it.
        least: the score from which a candidate counts.

    Raises:
        UsageError: there is no such type.
    """
    check_types(types)
    found = patterns(text, types=types, least=least)
    if names is None or (types is not None and not set(types) & set(NAMES)):
        return found
    spans = sentences_in(text, 0, len(text), final=True)
    return merged(found, wanted(names.entities(text, spans), types, least))


def wanted(found: Iterable[Entity], types: Collection[str] | None, least: float) -> list[Entity]:
    return [one for one in found if one.score >= least and (types is None or one.type in types)]


def check_types(types: Iterable[str] | None) -> None:
    for name in types or ():
        if name not in TYPES:
            raise unknown("type of personal data", name, TYPES)


def merged(patterns: Sequence[Entity], names: Sequence[Entity]) -> list[Entity]:
    """Both in order; of a name that overlaps what a pattern found, nothing is left but what lies outside."""
    out = list(patterns)
    for name in names:
        start = name.start
        for other in [one for one in patterns if one.end > name.start and one.start < name.end]:
            if start < other.start:
                out.append(_part(name, start, other.start))
            start = max(start, other.end)
        if start < name.end:
            out.append(_part(name, start, name.end))
    return sorted(out, key=lambda one: one.start)


def _part(name: Entity, start: int, end: int) -> Entity:
    return Entity(start, end, name.type, name.score, name.reason)
