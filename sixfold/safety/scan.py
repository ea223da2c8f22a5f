"""Goes through a text once and finds what the table of recognisers describes.

What is decided at a place depends on the text before it and on at most ``REACH`` characters behind it (of an open
candidate: on its own look-ahead), never on how the text came in. So a stream gives what the whole text gives.

Most text holds nothing. One regular expression goes through it and gives *triggers* (a digit, an @, a colon) and cues;
a candidate begins at one, or in the word before it. Rows are tried there alone, no place is tried twice, and whatever
is tried is of bounded length: the time grows with the text and no faster.
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

_WORD = "A-Za-z0-9_"
_LEAD_CHARACTER = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-(")
_WORD_CHARACTER = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_TWO_CAPITALS = re.compile(rf"(?<![{_WORD}])[A-Z]{{2}} ")
_WORD_CUES = (
    r"www\.",
    "hf_",
    "eyJ",
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)
_CUES = (
    "微信",
    "密码",
    "口令",
    "址",
    "住",
    "寄[到至给往]",
    "送[到至给往]",
    "-----BEGIN ",
    *PLACES,
    *(f"{letter}[A-Z]" for letter in PLATES),
    *_WORD_CUES,
)
# Alternatives that begin with a literal, so that characters are skipped without trying more.
_MARK_TRIGGERS = (*(f"{digit}(?<![0-9].)" for digit in "0123456789"), "@", ":", "=")
TRIGGER = re.compile("|".join((*_MARK_TRIGGERS, *_CUES)))
_ASCII_TRIGGER = re.compile("|".join((*_MARK_TRIGGERS, *(cue for cue in _CUES if cue.isascii()))))
"""The same in a text without others: half the time."""
TRIGGER_LENGTH = 20
"""No trigger is longer; a place so far before the end of what has come is one already or never."""
_ASCII_STARTS = {
    "digit": "0123456789",
    "letter": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "mark": "+(:",
}


@dataclass(frozen=True)
class Table:
    """Rows by the first character of their candidates, and for each of these one expression for all of them.

    Attributes:
        any: where there are several rows.
        top: the most that a closed candidate may score.
    """

    rows: dict[str, tuple[Recogniser, ...]]
    any: dict[str, re.Pattern[str]]
    top: dict[str, float]


@lru_cache(maxsize=32)
def table(types: frozenset[str] | None = None) -> Table:
    """The rows of some types, of all unless given."""
    return table_of(tuple(row for row in ROWS if types is None or row.type in types))


def table_of(rows: Sequence[Recogniser]) -> Table:
    """Some rows of the table, in its order."""
    by_start: dict[str, list[Recogniser]] = {}
    for row in rows:
        for character in _starts(row):
            by_start.setdefault(character, []).append(row)
    made = {some: _any(some) for some in set(map(tuple, by_start.values())) if len(some) > 1}
    return Table(
        {character: tuple(some) for character, some in by_start.items()},
        {character: made[tuple(some)] for character, some in by_start.items() if len(some) > 1},
        {character: _best(some) for character, some in by_start.items()},
    )


def _best(rows: Sequence[Recogniser]) -> float:
    """The most that a closed candidate of some rows may score."""
    return max((row.best for row in rows if not row.ends), default=0.0)


def _starts(row: Recogniser) -> str:
    return _ASCII_STARTS.get(row.starts, row.starts)


def _any(rows: Sequence[Recogniser]) -> re.Pattern[str]:
    """Matches where one of the rows does; its group says which is the first."""
    return re.compile("|".join(f"({_plain(row)})" for row in rows))


def _plain(row: Recogniser) -> str:
    return row.source.replace("?P<e>", "?:")


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
        decided = len(text) if final else len(text) - REACH + 1
        for start in self.starts(text):
            if start >= decided:
                break
            if start < self.place:
                continue
            try:
                found = self._at(text, start, final)
            except Wait:
                self.place = start
                return
            if found is not None:
                self.place = found.end
                yield found
                if self.skipping is not None:
                    return
        self.place = len(text) if final else self._settled(text, max(self.place, decided))

    def starts(self, text: str) -> Iterator[int]:
        """Places from ``place`` on where a candidate may begin: before triggers, and at them. None comes twice."""
        done, rows = self.place, self.rows.rows
        triggers = _ASCII_TRIGGER if text.isascii() else TRIGGER
        for trigger in triggers.finditer(text, done):
            at = trigger.start()
            first = at
            if at > done:
                before = text[at - 1]
                if before == " " or before in _LEAD_CHARACTER:
                    first = self._lead(text, at, done)
            for start in range(first, at + 1):
                character = text[start]
                if character not in rows:
                    continue
                if character in _WORD_CHARACTER and text[start - 1 : start] in _WORD_CHARACTER:
                    continue
                yield start
            if at >= done:
                done = at + 1

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

    def _settled(self, text: str, at: int) -> int:
        """The first place from ``at`` on where a candidate may start, whatever comes."""
        trigger = TRIGGER.search(text, at)
        return self._lead(text, max(at, len(text) - TRIGGER_LENGTH) if trigger is None else trigger.start(), at)

    def _lead(self, text: str, trigger: int, least: int) -> int:
        """The first place before a trigger, from ``least`` on, where a candidate with its trigger there may start."""
        bound = max(least, trigger - LEAD)
        first = trigger
        if trigger > bound and text[trigger - 1] == " " and text[trigger : trigger + 1] in (":", "="):  # api_key = ...
            first -= 1
        while first > bound and text[first - 1] in _LEAD_CHARACTER:
            first -= 1
        if first >= bound + 3 and _TWO_CAPITALS.match(text, first - 3):  # AB 12 34 56 C
            return first - 3
        return first

    def _at(self, text: str, start: int, final: bool) -> Entity | None:
        """What starts at a place: of several, the one with the best score, or a better one that starts inside it."""
        best = self._best(text, start, final, closed=False)
        if best is None or best.score >= SURE or not best.whole:
            return best
        for inside in range(start + 1, best.end):
            character = text[inside]
            if self.rows.top.get(character, 0.0) <= best.score:
                continue
            if character in _WORD_CHARACTER and text[inside - 1] in _WORD_CHARACTER:
                continue
            better = self._best(text, inside, final, closed=True)
            if better is not None and better.end > best.end and better.score > best.score:
                return better
        return best

    def _best(self, text: str, start: int, final: bool, closed: bool) -> Entity | None:
        rows = self.rows.rows.get(text[start], ())
        self.tried += 1
        if len(rows) > 1:
            match = self.rows.any[text[start]].match(text, start)
            if match is None:
                return None
            assert match.lastindex is not None
            rows = rows[match.lastindex - 1 :]
        best: Entity | None = None
        for row in rows:
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
        # What is cheaper comes first: most candidates of a row that needs context have none.
        judged = row.judged(text, start) if row.score < self.least else None
        if judged is not None and judged[0] < self.least:
            return None
        value = text[first:end]
        if row.trim is not None:
            value = row.trim(value)
            if not value:
                return None
        if row.check is not None and not row.check(value):
            return None
        score, reason = judged or row.judged(text, start)
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
