"""One row of the table of recognisers: a pattern with what confirms it. How rows are tried is in ``scan.py``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

LONGEST = 88
"""Characters that a closed candidate may have: a row without ``ends`` may not look further ahead."""
CONTEXT = 64
"""Characters before a candidate in which its context words are looked for."""
NEAR = 24
"""Those in which words against it are looked for."""

Start = Literal["digit", "letter", "mark"]


@dataclass(frozen=True)
class Recogniser:
    """Finds one kind of entity.

    A row is *closed* (``pattern`` is the whole candidate, of bounded length) or *open* (``pattern`` is its head, and
    it goes on up to ``ends``). No pattern may repeat without a bound, so that a candidate costs a bounded time.

    Attributes:
        name: for a person, such as ``credit card``.
        type: one of ``entity.TYPES``.
        starts: the first character of a candidate: ASCII digits or letters; ``mark`` is one of ``+(:``; any other
            string lists characters, which the trigger of ``scan.py`` must know.
        pattern: a candidate from its first character on. A group ``e`` is the entity where it is a part.
        ends: where an open candidate ends: the first match behind its head.
        trim: the part of a candidate (from its first character) that is the entity; empty if none is.
        check: whether the entity is sound: a checksum, a range.
        checked: what the check is, for the reason.
        context: words before a candidate that speak for it, as regular expressions, letter case ignored. One that
            begins or ends with a Latin letter is no part of another word (``tel`` of ``hotel``), but for an ending.
        against_context: words that speak against it.
        score: without context. Below the threshold of ``find``, it is found with context only.
        with_context: with a context word before it.
        look_ahead: characters that a candidate may have. A longer open one is masked from its start, unchecked.
        examples, near_misses: texts; what is found in the first stands between « and ». Of a table's tests.
    """

    name: str
    type: str
    starts: Start | str
    pattern: str
    examples: tuple[str, ...]
    near_misses: tuple[str, ...]
    ends: str = ""
    trim: Callable[[str], str] | None = None
    check: Callable[[str], bool] | None = None
    checked: str = ""
    context: tuple[str, ...] = ()
    against_context: tuple[str, ...] = ()
    score: float = 0.6
    with_context: float = 0.95
    look_ahead: int = LONGEST
    before: str = field(default=r"(?<![A-Za-z0-9_])")
    after: str = field(default=r"(?![A-Za-z0-9_])")

    def __post_init__(self) -> None:
        assert self.ends or self.look_ahead <= LONGEST, self.name

    @cached_property
    def source(self) -> str:
        """The regular expression of a candidate with its borders."""
        return f"{self.before}(?:{self.pattern}){'' if self.ends else self.after}"

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(self.source)

    @cached_property
    def grouped(self) -> bool:
        """Whether the entity is a part of a candidate."""
        return "e" in self.regex.groupindex

    @cached_property
    def end_regex(self) -> re.Pattern[str] | None:
        return re.compile(self.ends) if self.ends else None

    @cached_property
    def _speaking(self) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
        made = [
            re.compile("|".join(map(_bordered, words))) if words else None
            for words in (self.context, self.against_context)
        ]
        return made[0], made[1]

    @cached_property
    def best(self) -> float:
        """The most that a candidate may score."""
        return max(self.score, self.with_context) if self.context else self.score

    @cached_property
    def _told(self) -> str:
        return f"{self.name}: {self.checked or 'its form'}"

    def judged(self, text: str, start: int) -> tuple[float, str]:
        """The score of a sound candidate, by the words before it, and the reason."""
        favour, against = self._speaking
        if favour is None and against is None:
            return self.score, self._told
        before = _HUMP.sub("_", text[max(0, start - CONTEXT) : start]).lower()
        found = _last(favour, before, 0)
        refuted = _last(against, before, len(before) - NEAR)
        if refuted is not None and (found is None or refuted.start() > found.start()):
            return self.score * 0.4, f"{self._told}, but {refuted[0]!r} before it"
        if found is not None:
            return self.best, f"{self._told}, and {found[0]!r} before it"
        return self.score, self._told


_LITERAL = re.compile(r"([a-z]+)(?![?*+{])(.*)", re.DOTALL)
_LETTER = "[a-zß-öø-ɏ]"
"""Latin, small."""
_ENDINGS = "(?:s|d|es|ed|ing|numbers?)?"
"""What a word that is spoken of, or a column's name, may go on with."""
_HUMP = re.compile("(?<=[a-z])(?=[A-Z])")
"""Between the words of a name such as phoneNumber."""


def _bordered(word: str) -> str:
    """The same word with Latin letters neither before nor behind it.

    What stands before is looked at behind its first letters: these are searched for fastest.
    """
    word = word.lower()
    found = _LITERAL.fullmatch(word)
    begun = word if found is None else f"{found[1]}(?<!{_LETTER}{found[1]}){found[2]}"
    return f"{begun}{_ENDINGS}(?!{_LETTER})" if word[-1].isascii() and word[-1].isalpha() else begun


def _last(words: re.Pattern[str] | None, text: str, start: int) -> re.Match[str] | None:
    """The match nearest to the candidate, which follows on the text."""
    found = None
    if words is not None:
        for match in words.finditer(text, max(0, start)):
            found = match
    return found
