"""An explanation as coloured text: for a notebook, and for a terminal. Pages are made in ``report/``."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text

if TYPE_CHECKING:
    from sixfold.explain.attribution import Attribution, Explanation

FOR, AGAINST = (0, 104, 168), (208, 96, 0)
"""Blue speaks for the answer, orange against it: colours that most colour-blind people can tell apart."""

_JOINERS = "\u200d\ufe0e\ufe0f"


def html_of(explanation: Explanation) -> str:
    """A fragment that needs no style sheet; text is escaped."""
    lines = [f"<p><b>{html.escape(_head(explanation))}</b></p>"]
    for one in explanation.attributions:
        pieces = []
        for text, weight, strength in _pieces(explanation, one):
            escaped = html.escape(text)
            if weight is None:
                pieces.append(escaped)
                continue
            red, green, blue = FOR if weight >= 0 else AGAINST
            style = f"background:rgba({red},{green},{blue},{0.55 * strength:.3f})"
            pieces.append(f'<span style="{style}" title="{weight:+.4g}">{escaped}</span>')
        text = "".join(pieces)
        lines.append(f'<p style="white-space:pre-wrap"><small>{html.escape(one.method)}</small><br>{text}</p>')
    return "<div>" + "".join(lines) + "</div>"


def lines_of(explanation: Explanation) -> Iterator[Text]:
    """Lines for rich: the answer, then the text once an explainer, each unit coloured by its weight."""
    yield Text(_head(explanation), style="bold")
    for one in explanation.attributions:
        line = Text()
        for text, weight, strength in _pieces(explanation, one):
            line.append(visible(text), None if weight is None else _style(weight, strength))
        yield Text(f"  {one.method}", style="dim")
        yield Text("  ") + line


def top_of(explanation: Explanation, one: Attribution, most: int = 5) -> str:
    """The units that matter most with their weights, in a line."""
    best = explanation.ranked(one.method)[:most]
    return ", ".join(f"{visible(text)} {weight:+.3f}" for text, weight in best)


def visible(text: str) -> str:
    """The text without what could move a terminal's cursor; line ends and tabs become blanks."""
    return "".join(
        letter if letter.isprintable() or letter in _JOINERS else " " if letter.isspace() else "\ufffd"
        for letter in text
    )


def _head(explanation: Explanation) -> str:
    what = explanation.label
    if explanation.where is not None:
        start, end = explanation.where
        what = f"{explanation.text[start:end]}: {what}"
    cut = f"; the model reads none of the last {explanation.beyond}" if explanation.beyond else ""
    return f"{visible(what)} ({explanation.probability:.1%}{cut})"


def _style(weight: float, strength: float) -> Style:
    """On a dark ground and on a light one: the colour fades to grey, and the text on it is white or as it was."""
    if strength < 0.08:
        return Style()
    red, green, blue = (round(96 + (part - 96) * strength) for part in (FOR if weight >= 0 else AGAINST))
    return Style(bgcolor=f"rgb({red},{green},{blue})", color="white", underline=weight < 0)


def _pieces(explanation: Explanation, one: Attribution) -> Iterator[tuple[str, float | None, float]]:
    """The text cut at its units: string, weight (None between units), and how strong among the others (0 to 1)."""
    greatest = max((abs(weight) for weight in one.weights if math.isfinite(weight)), default=0.0) or 1.0
    place = 0
    for (start, end), weight in zip(explanation.spans, one.weights, strict=True):
        if place < start:
            yield explanation.text[place:start], None, 0.0
        yield explanation.text[start:end], weight, min(1.0, abs(weight) / greatest)
        place = end
    if place < len(explanation.text):
        yield explanation.text[place:], None, 0.0
