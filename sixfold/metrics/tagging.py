"""What a sequence of entity tags says: its spans, its scheme, and which tag may follow which. No scores here.

A tag is ``O`` or a prefix, a dash and a type: B (begin), I (inside), E or L (end), S or U (single), M (as I).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sixfold.errors import DataError, UsageError

Span = tuple[str, int, int]
"""(type, first word, word after the last one)."""

Scheme = Literal["O", "IO", "IOB1", "BIO", "IOE", "BIOES", "BILOU", "mixed"]

# Letters of other schemes, read as those of BIOES.
SAME = {"B": "B", "I": "I", "E": "E", "S": "S", "L": "E", "U": "S", "M": "I"}


def parts(tag: str) -> tuple[str, str]:
    """The prefix (one of O B I E S) and the type of a tag; a bare prefix has the type ``_``.

    Raises:
        DataError: when it is no tag.
    """
    if tag == "O":
        return "O", ""
    prefix = SAME.get(tag[:1])
    if prefix is None or tag[1:2] not in ("", "-"):
        raise DataError(
            "this is not an entity tag",
            found=repr(tag[:60]),
            hint="write O, or B-, I-, E- (L-), S- (U-) and a type, such as B-PER",
        )
    return prefix, tag[2:] or "_"


def spans(tags: Sequence[str]) -> list[Span]:
    """The entities of one sentence, read as conlleval does: no tag sequence is illegal.

    A type change or a B starts an entity; so does an I or an E where nothing is open. E and S close theirs.

    Returns:
        (type, start, end) of each entity in order, end excluded.

    Raises:
        DataError: for a string that is no tag.
    """
    found: list[Span] = []
    start, before = 0, ("O", "")
    for place, tag in enumerate([*tags, "O"]):
        now = parts(tag)
        if before[0] != "O" and not _continues(before, now):
            found.append((before[1], start, place))
        if now[0] != "O" and not _continues(before, now):
            start = place
        before = now
    return found


def _continues(before: tuple[str, str], now: tuple[str, str]) -> bool:
    """Whether two neighbouring tags belong to one entity."""
    return before[0] in "BI" and now[0] in "IE" and before[1] == now[1]


def tags_of(entities: Iterable[Span], words: int, scheme: Scheme = "BIO") -> list[str]:
    """The tags of one sentence: the inverse of ``spans``. The entities must not overlap.

    Args:
        entities: (type, start, end), end excluded.
        words: the sentence's length.
        scheme: ``BIO`` (each entity starts with B), ``BIOES`` or ``BILOU``.

    Raises:
        UsageError: for another scheme.
    """
    letters = {"BIO": tuple("BIIB"), "BIOES": tuple("BIES"), "BILOU": tuple("BILU")}.get(scheme)
    if letters is None:
        raise UsageError(f"cannot write tags as {scheme!r}", hint="choose one of: BIO, BIOES, BILOU")
    begin, inside, end, single = letters
    tags = ["O"] * words
    for kind, first, after in entities:
        assert 0 <= first < after <= words, (kind, first, after, words)
        assert set(tags[first:after]) == {"O"}, "entities overlap"
        tags[first:after] = [f"{inside}-{kind}"] * (after - first)
        tags[after - 1] = f"{end}-{kind}"
        tags[first] = f"{begin if after - first > 1 else single}-{kind}"
    return tags


def scheme(sentences: Iterable[Sequence[str]]) -> Scheme:
    """Which scheme the sentences are tagged in.

    ``BIO`` (also called IOB2): every entity starts with B. ``IOB1``: B only where it parts two neighbours
    of one type. ``IO``: no B at all and never a need of one. ``mixed``: entities start in both ways
    (reading them still works).

    Raises:
        DataError: for a string that is no tag.
    """
    letters: set[str] = set()
    starts: set[str] = set()
    for tags in sentences:
        letters.update(tag[:1] for tag in tags)
        before = ("O", "")
        for tag in tags:
            now = parts(tag)
            if now[0] == "I" and not _continues(before, now):
                starts.add("I")
            elif now[0] == "B":
                # Directly after an entity of the same type IOB1 needs its B as well, so such a B tells
                # nothing.
                starts.add("B after" if before[0] in "BI" and before[1] == now[1] else "B")
            before = now
    return _named(letters - {"O"}, starts)


def _named(letters: set[str], starts: set[str]) -> Scheme:
    if not letters:
        return "O"
    if letters & {"L", "U"}:
        return "BILOU" if not letters & {"E", "S", "M"} else "mixed"
    if letters & {"S", "M"} or {"B", "E"} <= letters:
        return "BIOES"
    if "E" in letters:
        return "IOE"
    if "I" not in starts:
        return "BIO"
    if "B" in starts:
        return "mixed"
    return "IOB1" if "B after" in starts else "IO"


def transitions(tags: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which tags may start a sentence [tags], follow each other [before, after], and end it [tags].

    The scheme is read off the tags: with E, L, S or U among them BIOES; else BIO where each type that has
    an I has a B; else IO or IOB1, where anything may follow anything.

    Raises:
        DataError: for a string that is no tag.
    """
    pairs = [parts(tag) for tag in tags]
    prefixes = {prefix for prefix, _ in pairs}
    begun = {kind for prefix, kind in pairs if prefix == "B"}
    if not (prefixes & {"B", "S"}) or (not prefixes & {"E", "S"} and {k for p, k in pairs if p == "I"} - begun):
        everything = np.ones(len(tags), dtype=bool)
        return everything, np.ones((len(tags), len(tags)), dtype=bool), everything
    closing = bool(prefixes & {"E", "S"})
    start = np.array([prefix in "OBS" for prefix, _ in pairs])
    end = np.array([not (closing and prefix in "BI") for prefix, _ in pairs])
    follows = np.array([[_continues(before, now) for now in pairs] for before in pairs], dtype=bool)
    return start, follows | (end[:, None] & start[None, :]), end
