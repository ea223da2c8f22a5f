"""Goes through a text once and finds what the table of recognisers describes.

What is decided at a place depends on the text before it and on at most ``REACH`` characters behind it (of an open
candidate: on its own look-ahead), never on how the text came in. So a stream gives what the whole text gives.

Most text holds nothing. One regular expression that begins with a set of characters finds *triggers* (a digit, an @, a
colon, a cue), and rows are tried only at the words around a trigger. No place is tried twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sixfold.safety.entity import Entity
from sixfold.safety.recognisers import ROWS
from sixfold.safety.recognisers.regions import PLACES, PLATES
from sixfold.safety.recognisers.row import CONTEXT, LONGEST, Recogniser

LEAST = 0.5
"""The score from which a candidate counts."""
LEAD = 64
"""Characters of a word before a trigger in which a candidate may start: an address before its @."""
REACH = 2 * LONGEST + 8
"""Characters behind a place that decide about closed candidates that start there, and about better ones in them."""
BACK = CONTEXT + 8
"""Characters before a place that decide about it."""
ENDING = 64
"""No row's end is longer: characters that are kept while the end of an over-long candidate is looked for."""
SURE = 0.9
"""A candidate with at least this score is not given up for one that starts inside it."""

_ASIDE = str.maketrans(
    "０１２３４５６７８９＠．－：＋＝"
    "ＡＢＣＤＥＦＧＨＩＪＫＬＭＮＯＰＱＲＳＴＵＶＷＸＹＺａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ",
    "0123456789@.-:+=ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
)
_WIDE = re.compile("[０-９Ａ-Ｚａ-ｚ＠．－：＋＝]")

_LEAD_CHARACTER = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-(")
_WORD_CHARACTER = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_CUES = {
    "微": "信",
    "密": "码",
    "口": "令",
    "址": "",
    "住": "",
    "寄": "[到至给往]",
    "送": "[到至给往]",
    "-": "----BEGIN ",
    "w": r"ww\.",
    "h": "f_",
    "e": "yJ",
}
_TWO_CAPITALS = re.compile(r"(?<![A-Za-z0-9_])[A-Z]{2} ")
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"


def _trigger() -> re.Pattern[str]:
    """Begins with a plain set, which is what makes the search fast: characters are skipped without trying more."""
    cues = dict(_CUES)
    for place in PLACES:
        cues[place[0]] = "|".join(filter(None, (cues.get(place[0]), place[1:])))
    for letter in PLATES:
        cues[letter] = "|".join(filter(None, (cues.get(letter), "(?=[A-Z])")))
    for month in _MONTHS.split("|"):
        cues[month[0]] = "|".join(filter(None, (cues.get(month[0]), month[1:])))
    first = "".join(re.escape(character) for character in sorted(cues))
    rest = "|".join(f"(?<={re.escape(character)})(?:{after})" for character, after in sorted(cues.items()))
    return re.compile(f"[0-9@:={first}](?:(?<=[0-9])[0-9]*|(?<=[@:=])|{rest})")


TRIGGER = _trigger()
TRIGGER_LENGTH = 20
"""No trigger is longer; a place so far before the end of what has come is one already or never."""
_IN_WORD = frozenset("0123456789@:=")
_ASCII_STARTS = {
    "digit": "0123456789",
    "letter": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "mark": "+(:",
}


@dataclass(frozen=True)
class Table:
    """Rows by the first character of their candidates, and for each of these one expression for all of them."""

    rows: dict[str, tuple[Recogniser, ...]]
    any: dict[str, re.Pattern[str]]


@lru_cache(maxsize=32)
def table(types: frozenset[str] | None = None) -> Table:
    """The rows of some types, of all unless given."""
    by_start: dict[str, list[Recogniser]] = {}
    for row in ROWS:
        if types is None or row.type in types:
            for character in _ASCII_STARTS.get(row.starts, row.starts):
                by_start.setdefault(character, []).append(row)
    made = {rows: _any(rows) for rows in set(map(tuple, by_start.values()))}
    return Table(
        {character: tuple(rows) for character, rows in by_start.items()},
        {character: made[tuple(rows)] for character, rows in by_start.items()},
    )


def _any(rows: Sequence[Recogniser]) -> re.Pattern[str]:
    """Matches where one of the rows does; its group says which is the first."""
    return re.compile("|".join(f"({row.source.replace('?P<e>', '?:')})" for row in rows))


def folded(text: str) -> str:
    """The text with full-width letters, digits and marks as ASCII ones: the same length, so that places hold."""
    if text.isascii() or not _WIDE.search(text):
        return text
    return text.translate(_ASIDE)


class Wait(Exception):  # noqa: N818 (no error: more text is needed)
    """What is found at a place cannot be known before more text has come."""


@dataclass
class Scanner:
    """Goes through a text that may still grow.

    Texts are given folded.

    Attributes:
        rows: what is looked for.
        least: the score from which a candidate counts.
        place: where it stands: what lies before is settled.
        skipping: the row whose over-long candidate has not ended yet. Its entity was told, up to ``place``.
        tried: candidates that were looked at: what the time is proportional to.
    """

    rows: Table
    least: float = LEAST
    place: int = 0
    skipping: Recogniser | None = None
    tried: int = 0

    def entities(self, text: str, final: bool) -> Iterator[Entity]:
        """What is found from ``place`` on, as far as it is settled; ``place`` is then the first unsettled character."""
        if self.skipping is not None:
            yield self._skipped(text, final)
            if self.skipping is not None:
                return
        at = self.place
        while True:
            trigger = TRIGGER.search(text, at)
            if trigger is None:
                break
            first = trigger.start()
            if not final and first + REACH > len(text):
                self.place = self._lead(text, first)
                return
            try:
                found = self._around(text, first, trigger.end(), final)
            except Wait:
                self.place = self._lead(text, first)
                return
            if found is None:
                at = first + 1
                if text[first] in _IN_WORD:  # of a cue, the word around it was not tried
                    at = self.place = trigger.end()
            else:
                at = self.place = found.end
                yield found
                if self.skipping is not None:
                    return
        self.place = len(text) if final else max(self.place, self._lead(text, max(at, len(text) - TRIGGER_LENGTH)))

    def forget(self, count: int) -> None:
        """The first characters of the text were taken away."""
        self.place -= count

    def _skipped(self, text: str, final: bool) -> Entity:
        """More of an over-long candidate, up to its end if that has come."""
        row, start = self.skipping, self.place
        assert row is not None
        assert row.end_regex is not None
        ended = row.end_regex.search(text, start)
        if ended is not None or final:
            self.skipping = None
        self.place = _end_so_far(text, start, ended, final)
        return Entity(start, self.place, row.type, row.score, row.name, whole=False, goes_on=True)

    def _lead(self, text: str, at: int) -> int:
        """The first place before ``at`` where a candidate may start that has its trigger there."""
        bound = max(self.place, at - LEAD)
        first = at - 1 if at > bound and text[at - 1] == " " and text[at] in ":=" else at  # api_key = ...
        while first > bound and text[first - 1] in _LEAD_CHARACTER:
            first -= 1
        if first >= bound + 3 and _TWO_CAPITALS.match(text, first - 3):  # AB 12 34 56 C
            return first - 3
        return first

    def _around(self, text: str, first: int, end: int, final: bool) -> Entity | None:
        """The first entity that starts in the word of a trigger (or at it, where the trigger is a cue)."""
        if text[first] not in _IN_WORD:
            return self._at(text, first, final)
        for start in range(self._lead(text, first), first + 1):
            character = text[start]
            if character in _WORD_CHARACTER and start and text[start - 1] in _WORD_CHARACTER:
                continue
            found = self._at(text, start, final)
            if found is not None:
                return found
        return None

    def _at(self, text: str, start: int, final: bool) -> Entity | None:
        """What starts at a place: of several, the one with the best score, or a better one that starts inside it."""
        best = self._best(text, start, final, closed=False)
        if best is None or best.score >= SURE or not best.whole:
            return best
        for inside in range(start + 1, best.end):
            if text[inside] in _WORD_CHARACTER and text[inside - 1] in _WORD_CHARACTER:
                continue
            better = self._best(text, inside, final, closed=True)
            if better is not None and better.end > best.end and better.score > best.score:
                return better
        return best

    def _best(self, text: str, start: int, final: bool, closed: bool) -> Entity | None:
        together = self.rows.any.get(text[start])
        self.tried += 1
        match = None if together is None else together.match(text, start)
        if match is None:
            return None
        assert match.lastindex is not None
        best: Entity | None = None
        for row in self.rows.rows[text[start]][match.lastindex - 1 :]:
            if closed and row.ends:
                continue
            self.tried += 1
            found = self._by(row, text, start, final)
            if found is not None and not found.whole:
                return found
            if found is not None and found.score >= self.least and (best is None or _rank(found) > _rank(best)):
                best = found
        return best

    def _by(self, row: Recogniser, text: str, start: int, final: bool) -> Entity | None:
        match = row.regex.match(text, start)
        if match is None:
            return None
        first, end = match.span("e") if row.grouped else match.span()
        if row.end_regex is not None:
            ended = row.end_regex.search(text, match.end(), start + row.look_ahead + 1)
            if ended is not None:
                end = ended.end()
            elif len(text) > start + row.look_ahead:
                return self._endless(row, text, first, match.end(), final)
            elif final:
                end = len(text)
            else:
                raise Wait
        value = text[first:end]
        if row.trim is not None:
            value = row.trim(value)
            if not value:
                return None
        if row.check is not None and not row.check(value):
            return None
        score, reason = row.judged(text, start)
        return Entity(first, first + len(value), row.type, score, reason)

    def _endless(self, row: Recogniser, text: str, first: int, head: int, final: bool) -> Entity:
        assert row.end_regex is not None
        ended = row.end_regex.search(text, head)
        if ended is None and not final:
            self.skipping = row
        end = _end_so_far(text, head, ended, final)
        reason = f"{row.name}: longer than {row.look_ahead:,} characters"
        return Entity(first, end, row.type, row.score, reason, whole=False)


def _end_so_far(text: str, after: int, ended: re.Match[str] | None, final: bool) -> int:
    if ended is not None:
        return ended.end()
    return len(text) if final else max(after, len(text) - ENDING)


def _rank(found: Entity) -> tuple[float, int]:
    return found.score, found.end - found.start


def patterns(text: str, *, types: Iterable[str] | None = None, least: float = LEAST) -> list[Entity]:
    """The entities of a whole text that patterns find, in order; they do not overlap."""
    scanner = Scanner(table(None if types is None else frozenset(types)), least)
    return list(scanner.entities(folded(text), final=True))
