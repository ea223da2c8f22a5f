"""How tables and marked texts are laid out, as data for the templates. No HTML but that of intervals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from sixfold.errors import DataError
from sixfold.metrics.tagging import parts, spans
from sixfold.report import show, tallies
from sixfold.report.blocks import Cell, Column, Marked, Mistake, Mistakes, Span, Table

LONGEST_TEXT = 600
LONGEST_WORD = 28
NUMERIC = {"count", "number", "percent"}
ESTIMATES = {"interval", "range"}
PALETTE = 8


@dataclass(frozen=True)
class Head:
    """A column's heading; ``scale`` tells the ends of the drawing in an interval column."""

    name: str
    class_: str
    scale: str = ""


@dataclass(frozen=True)
class Shown:
    """A cell: what is read, by what it is sorted, and the drawing beside it if it is an interval."""

    text: str
    class_: str
    key: str
    range: str = ""
    drawing: Markup | None = None


@dataclass(frozen=True)
class Piece:
    """A stretch of text with one look; ``strength`` 0 to 1 is how strong the colour of a weight is."""

    text: str
    class_: str = ""
    label: str = ""
    title: str = ""
    strength: float | None = None


def heads(table: Table) -> list[Head]:
    found = []
    for place, column in enumerate(table.columns):
        scale = ""
        if column.format == "interval":
            floor, ceiling = _domain(table, place)
            ends = show.ticks([floor, ceiling], proportions=column.percent)
            scale = " … ".join(ends)
        unit = ", %" if column.format == "percent" or (column.format in ESTIMATES and column.percent) else ""
        found.append(Head(column.name + unit, _class(column), scale))
    return found


def rows(table: Table) -> list[list[Shown]]:
    """The cells in the order they are shown.

    Raises:
        DataError: a row that has another number of cells than there are columns.
    """
    domains = [_domain(table, place) if column.format == "interval" else (0.0, 1.0)
               for place, column in enumerate(table.columns)]  # fmt: skip
    for place, row in enumerate(table.rows):
        if len(row) != len(table.columns):
            raise DataError(
                "a row of a report's table does not fit its columns",
                where=f"{table.caption or 'a table'}, row {place + 1:,}",
                found=f"{len(row)} cells for {len(table.columns)} columns",
            )
    return [
        [_cell(value, column, domain) for value, column, domain in zip(row, table.columns, domains, strict=True)]
        for row in table.rows
    ]


def plain(value: Cell) -> str:
    """A cell or fact whose format nobody chose."""
    if value is None:
        return show.NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return show.number(value)
    return value if isinstance(value, str) else show.number(value[0])


def looks_like_code(value: Cell) -> bool:
    """Whether a fact is a digest, which reads better in a fixed width."""
    return isinstance(value, str) and len(value) >= 12 and all(c in "0123456789abcdef:" for c in value)


def pieces(block: Marked) -> list[Piece]:
    """The text cut at every border of a span; where spans overlap the shortest is seen.

    Raises:
        DataError: a span that does not lie in the text.
    """
    for span in block.spans:
        if not 0 <= span.start <= span.end <= len(block.text):
            raise DataError(
                "a marked span does not lie in its text",
                found=f"{span.start} to {span.end} of {len(block.text)} characters",
            )
    classes = block.classes or sorted({span.label for span in block.spans if span.label and span.weight is None})
    weights = [abs(span.weight) for span in block.spans if span.weight is not None]
    greatest = max(filter(math.isfinite, weights), default=0.0) or 1.0
    borders = sorted({0, len(block.text), *(edge for span in block.spans for edge in (span.start, span.end))})
    found = []
    for start, end in itertools.pairwise(borders):
        over = [span for span in block.spans if span.start <= start and end <= span.end]
        text = block.text[start:end]
        if over:
            found.append(_marked(text, min(over, key=lambda span: span.end - span.start), end, classes, greatest))
        else:
            found.append(Piece(text))
    return found


def cut(text: str, longest: int = LONGEST_TEXT) -> tuple[str, str]:
    """The beginning of a long text, and a line that says how much is not shown (empty if nothing)."""
    if len(text) <= longest:
        return text, ""
    return text[:longest], f"{len(text) - longest:,} more characters are not shown"


def kinds(mistakes: Mistakes) -> tuple[str, ...]:
    """All entity types in these mistakes, so that each has one colour throughout."""
    tags = {tag for item in mistakes.items for tag in (*item.gold_tags, *item.predicted_tags)}
    return tuple(sorted({parts(tag)[1] for tag in tags if tag != "O"}))


def tagged(mistake: Mistake, classes: tuple[str, ...] = ()) -> tuple[Marked, Marked]:
    """The words of a mistake as one text, marked with the gold and with the predicted entities.

    An entity that the other side does not have is marked ``wrong``.
    """
    text, places = joined(mistake.words)
    gold, predicted = spans(mistake.gold_tags), spans(mistake.predicted_tags)

    def marked(entities: Sequence[tuple[str, int, int]], others: Sequence[tuple[str, int, int]]) -> Marked:
        return Marked(
            text,
            tuple(
                Span(places[first][0], places[after - 1][1], kind, wrong=(kind, first, after) not in others)
                for kind, first, after in entities
            ),
            classes=classes,
        )

    return marked(gold, predicted), marked(predicted, gold)


def joined(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Words as one text, and where each stands in it; Chinese characters are joined without a space."""
    text, places = "", []
    for word in words:
        if text and word and not (show.is_chinese(text[-1]) and show.is_chinese(word[0])):
            text += " "
        places.append((len(text), len(text) + len(word)))
        text += word
    return text, places


def _marked(text: str, span: Span, end: int, classes: Sequence[str], greatest: float) -> Piece:
    # The label stands once, where the span ends.
    shown = span.label or "" if end == span.end else ""
    if span.weight is None:
        place = classes.index(span.label) % PALETTE if span.label in classes else 0
        return Piece(text, f"c{place}{' wrong' if span.wrong else ''}", shown, span.label or "")
    if not math.isfinite(span.weight):
        return Piece(text, "unknown", shown, "weight is not finite")
    sign = "for" if span.weight >= 0 else "against"
    title = f"{span.label + ': ' if span.label else ''}{show.number(span.weight)}"
    return Piece(text, sign, "", title, round(abs(span.weight) / greatest, 3))


def _class(column: Column) -> str:
    return "number" if column.format in NUMERIC else column.format


def _domain(table: Table, place: int) -> tuple[float, float]:
    """The scale all intervals of a column are drawn on: proportions end at 1 and start at a round tenth."""
    column = [row[place] for row in table.rows if place < len(row)]
    ends = [end for cell in column if isinstance(cell, tuple) for end in cell]
    known = [end for end in ends if end is not None and math.isfinite(end)]
    if not known:
        return 0.0, 1.0
    if table.columns[place].percent:
        return math.floor(min(*known, 0.9) * 10) / 10, max(1.0, *known)
    low, high = min(known), max(known)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _written(value: float | None, column: Column) -> str:
    return show.percent(value) if column.percent else show.number(value)


def _cell(value: Cell, column: Column, domain: tuple[float, float]) -> Shown:
    class_ = _class(column)
    if isinstance(value, tuple):
        middle, low, high = value
        known = all(one is not None and math.isfinite(one) for one in value)  # of one text there is no interval
        ends = f"[{_written(low, column)}, {_written(high, column)}]" if known else ""
        drawn = known and column.format == "interval"
        picture = Markup(tallies.interval(middle, low, high, *domain)) if drawn else None
        return Shown(_written(middle, column), class_, _key(middle), ends, picture)
    if isinstance(value, bool | str) or value is None or column.format in ("text", "code"):
        text = plain(value)
        # Only a word that no column can hold may be broken anywhere.
        if any(len(word) > LONGEST_WORD for word in text.split()):
            class_ += " long"
        return Shown(text, class_, "" if value is None else str(value))
    writers = {"count": show.count, "percent": show.percent, "interval": show.percent}
    return Shown(writers.get(column.format, show.number)(value), class_, _key(value))


def _key(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else repr(float(value))
