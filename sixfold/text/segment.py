"""Where words and sentences begin and end, as offsets into the string itself. No tokenizer of a model lives here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sixfold.text.language import HAN


class Span(NamedTuple):
    """Characters ``start`` to ``end`` (excluded) of a string."""

    start: int
    end: int


_PIECE = re.compile(
    rf"(?P<han>[{HAN}]+)"
    rf"|\d+(?:[.,:]\d+)*(?![^\W{HAN}])"  # 3,500.20
    rf"|[^\W{HAN}]+(?:['’\-][^\W{HAN}]+)*"  # don't, well-known
    r"|[^\w\s]"
)
_UNIT = re.compile(rf"[{HAN}]|[^\W{HAN}]+(?:['’][^\W{HAN}]+)*")
_END = re.compile(r"[。！？!?…‥．]+|\.+|\n+|\r")
_CLOSERS = "\"'”’」』）)】》〉]｣"
_ABBREVIATIONS = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "sr",
        "jr",
        "st",
        "vs",
        "etc",
        "e.g",
        "i.e",
        "cf",
        "no",
        "nos",
        "vol",
        "fig",
        "eq",
        "approx",
        "dept",
        "inc",
        "ltd",
        "co",
        "corp",
        "gen",
        "col",
        "sgt",
        "capt",
        "rev",
        "hon",
        "pres",
        "gov",
        "sen",
        "rep",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
        "a.m",
        "p.m",
        "u.s",
        "u.k",
        "u.n",
    ]
)
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘]+$")


def words(string: str) -> list[Span]:
    """The words of a string: Chinese ones by rjieba, others by Unicode word characters; a mark is a word of its own.

    The spans are in order, do not overlap, and cover every character that is not white space.
    """
    spans: list[Span] = []
    for piece in _PIECE.finditer(string):
        start, end = piece.span()
        if piece["han"] and end - start > 1:
            spans.extend(Span(start + first, start + last) for first, last in _chinese(piece["han"]))
        elif spans and spans[-1].end == start and _glued(string, spans[-1], start):
            spans[-1] = Span(spans[-1].start, end)
        else:
            spans.append(Span(start, end))
    return spans


def _chinese(run: str) -> Iterator[tuple[int, int]]:
    from rjieba import tokenize

    for _, start, end in tokenize(run, "default"):
        yield start, end


def _glued(string: str, before: Span, start: int) -> bool:
    """Whether what begins at ``start`` belongs to the word before it: a vowel sign, an accent, what follows one."""
    if unicodedata.category(string[start])[0] == "M" or string[start] == "\u200d":
        return True
    last = string[before.end - 1]
    return (unicodedata.category(last)[0] == "M" or last == "\u200d") and (
        last == "\u200d" or (string[start].isalpha() and string[before.start].isalpha())
    )


def written_out(pieces: Iterable[str]) -> str:
    """The words as a text: with a space between two, but not beside a wide character such as a Chinese one."""
    text = ""
    for piece in pieces:
        apart = text and piece and not (_is_wide(text[-1]) or _is_wide(piece[0]))
        text += f" {piece}" if apart else piece
    return text


def _is_wide(character: str) -> bool:
    """As Chinese and Japanese characters, their marks, and full-width digits are. Korean puts spaces between words."""
    return unicodedata.east_asian_width(character) in "WF" and not "\uac00" <= character <= "\ud7a3"


def units(string: str) -> int:
    """How long a text is to a reader: its words, where each Chinese character counts as one. Cheap: no segmenter."""
    return len(_UNIT.findall(string))


def sentences(string: str) -> list[Span]:
    """The sentences of a string, without the white space around them.

    A sentence ends at a Chinese or Western mark (with the quotes and brackets that close after it) or at a line's
    end. A full stop ends one only before white space, and not after a usual abbreviation or a single initial.

    The spans are in order, do not overlap, and cover every character that is not white space.
    """
    spans: list[Span] = []
    start = 0
    for mark in _END.finditer(string):
        end = mark.end()
        if end <= start or not _ends(string, mark):
            continue
        while end < len(string) and string[end] in _CLOSERS:
            end += 1
        _append(spans, string, start, end)
        start = end
    _append(spans, string, start, len(string))
    return spans


def _append(spans: list[Span], string: str, start: int, end: int) -> None:
    part = string[start:end]
    first = start + len(part) - len(part.lstrip())
    last = start + len(part.rstrip())
    if first < last:
        spans.append(Span(first, last))


def _ends(string: str, mark: re.Match[str]) -> bool:
    if mark[0][0] not in ".!?":
        return True
    next_one = mark.end()
    while next_one < len(string) and string[next_one] in _CLOSERS:
        next_one += 1
    after = string[next_one : next_one + 1]
    if after and not after.isspace():
        return mark[0][0] != "." and not after.isascii()
    if mark[0] != ".":
        return True
    last = _LAST_WORD.search(string, max(0, mark.start() - 20), mark.start())
    word = last[0].lower() if last else ""
    return word not in _ABBREVIATIONS and not (len(word) == 1 and word.isalpha() and word != "i")
