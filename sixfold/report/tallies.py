"""Charts of counted things as inline SVG: heat maps, bars, intervals in tables. Curves: ``svg.py``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sixfold.report import show
from sixfold.report.axes import LETTER, Scale, drawing, element, label, words
from sixfold.report.blocks import Bars, Heatmap

MOST_BARS = 40
HEAT_STEPS = 0.04, 0.96
"""Opacity of the palest and of the darkest cell."""


def heatmap(chart: Heatmap) -> str:
    """A matrix of coloured cells: with values up to 25 columns, with small cells and tooltips beyond."""
    across, down = len(chart.columns), len(chart.rows)
    most = max(across, down, 1)
    cell = 38.0 if most <= 8 else 27.0 if most <= 25 else 13.0 if most <= 60 else 9.0
    font = "tick" if most <= 25 else "tick small" if most <= 60 else "tick tiny"
    letter = LETTER if most <= 25 else 4.8 if most <= 60 else 4.2
    row_names = [show.shortened(name, 24) for name in chart.rows]
    column_names = [show.shortened(name, 20) for name in chart.columns]
    left = 26 + letter * max(map(show.width, row_names), default=0)
    top = 26 + letter * 0.9 * max(map(show.width, column_names), default=0)
    # Slanted column names reach out to the right of the last column.
    width = max(left + across * cell + 16 + (top - 26) * 0.55, 220.0)
    height = top + down * cell + 44
    parts = [
        label(chart.column_label, left, 11, class_="axis-name"),
        label(chart.row_label, 11, top + down * cell, class_="axis-name", rotate=-90),
        element("rect", x=left, y=top, width=across * cell, height=down * cell, class_="heat-ground"),
    ]
    for place, (name, full) in enumerate(zip(row_names, chart.rows, strict=True)):
        parts.append(label(name, left - 5, top + (place + 0.5) * cell + 3, anchor="end", class_=font, full=full))
    for place, (name, full) in enumerate(zip(column_names, chart.columns, strict=True)):
        parts.append(label(name, left + (place + 0.5) * cell + 2, top - 5, class_=font, full=full, rotate=-60))
    for i, row in enumerate(chart.values):
        greatest = _row_total(row) if chart.shade == "row" else _greatest(chart.values)
        for j, value in enumerate(row):
            if value:
                parts.append(_heat_cell(chart, i, j, value, greatest, left + j * cell, top + i * cell, cell))
    parts += _heat_key(chart, left, top + down * cell + 16)
    told = f"{down} rows by {across} columns. {chart.caption}"
    return drawing(width, height, chart.title or "Heat map", told, *parts)


def bars(chart: Bars) -> str:
    """Horizontal bars: a row a label, a column of bars a series; a last row sums up what does not fit."""
    names, rows = list(chart.labels), [series.counts for series in chart.series]
    hidden = max(0, len(names) - MOST_BARS)
    if hidden:
        names = [*names[:MOST_BARS], f"… {hidden:,} more"]
        rows = [(*counts[:MOST_BARS], sum(counts[MOST_BARS:])) for counts in rows]
    shorter = [show.shortened(name, 26) for name in names]
    left = 14 + LETTER * 1.22 * max(map(show.width, shorter), default=4)
    columns = max(1, len(rows))
    each = min(300.0, max(120.0, (700 - left) / columns))
    line, top = 21.0, 26.0
    width, height = left + columns * each, top + len(names) * line + 8
    parts = []
    for place, (name, full) in enumerate(zip(shorter, names, strict=True)):
        parts.append(label(name, left - 8, top + (place + 0.5) * line + 4, anchor="end", class_="name", full=full))
    for column, (series, counts) in enumerate(zip(chart.series, rows, strict=True)):
        start = left + column * each
        total, most = sum(series.counts), max([*counts[:MOST_BARS], 1])
        room = each - 16 - LETTER * (max(map(len, map(show.count, counts)), default=1) + 8)
        parts.append(label(f"{series.name}  ({total:,})", start, 12, class_="axis-name"))
        parts.append(element("line", x1=start, x2=start, y1=top - 4, y2=height - 4, class_="axis"))
        for place, value in enumerate(counts):
            # The row that sums up the rest has no bar: beside it the others would vanish.
            long, y = value / most * room if place < MOST_BARS else 0.0, top + place * line
            parts.append(element("rect", x=start, y=y + 4, width=long, height=line - 8, class_=f"bar f{column % 8}"))
            share = f" ({show.percent(value / total, 0 if value / total >= 0.1 else 1)} %)" if total else ""
            parts.append(label(f"{show.count(value)}{share}", start + long + 5, y + line / 2 + 4))
    told = f"{len(chart.labels)} labels in {', '.join(series.name for series in chart.series)}"
    return drawing(width, height, chart.title or "Counts by label", told, *parts)


def interval(value: float | None, low: float | None, high: float | None, floor: float, ceiling: float) -> str:
    """A small dot with whiskers for a table's cell, on the scale floor..ceiling that its column shares."""
    scale = Scale(floor, ceiling, 5, 105)
    parts = [element("line", x1=5, x2=105, y1=8, y2=8, class_="track")]
    if value is not None and math.isfinite(value):
        if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
            parts.append(element("line", x1=scale(low), x2=scale(high), y1=8, y2=8, class_="whisker"))
        parts.append(element("circle", cx=scale(value), cy=8, r=3.2, class_="dot"))
    # Its numbers stand beside it, so it is only decoration for a screen reader.
    return element("svg", *parts, viewBox="0 0 110 16", width=110, height=16, class_="mini", aria_hidden="true")


def _row_total(row: Sequence[float | None]) -> float:
    return math.fsum(abs(value) for value in row if value is not None and math.isfinite(value)) or 1.0


def _greatest(values: Sequence[Sequence[float | None]]) -> float:
    found = [abs(value) for row in values for value in row if value is not None and math.isfinite(value)]
    return max(found, default=1.0) or 1.0


def _heat_cell(chart: Heatmap, i: int, j: int, value: float, greatest: float, x: float, y: float, cell: float) -> str:
    if not math.isfinite(value):
        return label("?", x + cell / 2, y + cell / 2 + 3.6, anchor="middle")
    share = min(1.0, abs(value) / greatest)
    least, most = HEAT_STEPS
    written = {"count": show.count, "number": show.number, "percent": show.percent}[chart.format](value)
    tip = f"{chart.rows[i]} → {chart.columns[j]}: {written}"
    if chart.shade == "row":
        tip += f" ({show.percent(share)} % of the row)"
    room = 0.75 if cell > 10 else 0.3
    colour = ("heat-right" if chart.shade == "row" and i == j else "heat") if value > 0 else "heat-minus"
    rect = element(
        "rect", element("title", words(tip)), x=x + room, y=y + room, width=cell - 2 * room, height=cell - 2
        * room, class_=colour, fill_opacity=least + (most - least) * share,
    )  # fmt: skip
    if cell < 20:
        return rect
    ink = "cell on" if share > 0.5 else "cell"
    return rect + label(written, x + cell / 2, y + cell / 2 + 3.6, anchor="middle", class_=ink)


def _heat_key(chart: Heatmap, x: float, y: float) -> list[str]:
    end = "100 % of the row" if chart.shade == "row" else show.number(_greatest(chart.values))
    parts = [label("0", x, y + 10)]
    least, most = HEAT_STEPS
    for place in range(5):
        opacity = least + (most - least) * place / 4
        parts.append(
            element("rect", x=x + 12 + place * 16, y=y, width=15, height=12, class_="heat", fill_opacity=opacity)
        )
    return [*parts, label(end, x + 97, y + 10)]
