"""The sentences of a text that may still grow: names are found sentence by sentence."""

from __future__ import annotations

from sixfold.text.segment import Span, sentences

LONGEST_SENTENCE = 1000
"""Characters. A longer sentence is cut at its last blank before, so that a stream never waits for longer."""


def sentences_in(text: str, start: int, end: int, *, final: bool) -> list[Span]:
    """The sentences between two places; where more may come, those alone that are whole."""
    spans: list[Span] = []
    found = sentences(text[start:end])
    for number, one in enumerate(found, 1):
        first, last = one.start + start, one.end + start
        while last - first > LONGEST_SENTENCE:
            cut = text.rfind(" ", first + LONGEST_SENTENCE // 2, first + LONGEST_SENTENCE)
            cut = first + LONGEST_SENTENCE if cut < 0 else cut + 1
            spans.append(Span(first, cut))
            first = cut
        if final or number < len(found):
            spans.append(Span(first, last))
    return spans
