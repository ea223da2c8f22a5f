"""Curves and reliability diagrams as inline SVG. Heat maps, bars and small intervals: ``tallies.py``.

Colours are classes (``s0`` … ``s7``) that ``style.css`` gives a light and a dark value; lines also differ in
their dashes, so that nothing hangs on colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sixfold.metrics.calibration import Bin
from sixfold.report import show
from sixfold.report.axes import LETTER, Scale, drawing, element, label, nice_ticks, padded, words
from sixfold.report.blocks import Curves, Diagram, Mark, Series
from sixfold.text.counting import counted

MOST_POINTS = 1200
# Beyond this the room around a curve would overflow; such a point is as good as infinite.
HUGE = 1e100

Points = list[tuple[float, float]]


def lines(chart: Curves) -> str:
    """A line chart with axes, ticks, legend and marks."""
    width, height = 440.0, 252.0
    drawn = [finite(series, log=chart.log) for series in chart.series]
    points = [point for series in drawn for point in series]
    description = _described(chart, drawn)
    if not points:
        return drawing(width, 80, chart.title, description, label("no finite points", 8, 44, class_="note"))
    legend, top = _legend(chart.series, width)
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    y_low, y_high = padded([y for _, y in points], log=chart.log)
    if chart.percent:
        y_high = min(y_high, max(1.0, max(y for _, y in points)))
    y_scale = Scale(y_low, y_high, height - 40, top + 22, chart.log)
    y_ticks = y_scale.ticks()
    y_texts = show.ticks(y_ticks, proportions=chart.percent)
    left = 12 + LETTER * max(show.width(text) for text in y_texts)
    x_scale = Scale(x_low, x_high if x_high > x_low else x_low + 1, left + 6, width - 24)
    parts = [legend, label(_with_unit(chart), 2, top + 8, class_="axis-name")]
    for tick, text in zip(y_ticks, y_texts, strict=True):
        parts.append(element("line", x1=left, x2=width - 8, y1=y_scale(tick), y2=y_scale(tick), class_="grid"))
        parts.append(label(text, left - 6, y_scale(tick) + 3.6, anchor="end"))
    floor = height - 40
    parts.append(element("line", x1=left, x2=width - 8, y1=floor, y2=floor, class_="axis"))
    parts += _x_axis(x_scale, floor, whole=all(x == int(x) for x, _ in points))
    parts.append(label(chart.x_label, width - 8, height - 6, anchor="end", class_="axis-name"))
    parts += _marks(chart.marks, x_scale, top + 16, floor)
    solid = [place for place, series in enumerate(chart.series) if not series.faint]
    for place, (series, its) in enumerate(zip(chart.series, drawn, strict=True)):
        colour = f"s{solid.index(place) % 8}" if place in solid else "faint"
        parts += _polyline(series, its, x_scale, y_scale, colour, chart.log)
    return drawing(width, height, chart.title, description, *parts)


def finite(series: Series, *, log: bool = False) -> Points:
    """The points that can be drawn, in order of x."""
    return sorted((float(x), float(y)) for x, y in series.points if y is not None and _drawable(x, y, log))


def thinned(points: Points, most: int = MOST_POINTS) -> Points:
    """At most ``most`` points: of each stretch the least and the greatest, so that no spike is lost."""
    if len(points) <= most:
        return points
    stretch = math.ceil(len(points) / (most // 2))
    kept: Points = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        kept += sorted({min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])})
    return kept


def lost_notes(chart: Curves) -> list[str]:
    """One sentence for each line that has points which cannot be drawn."""
    notes = []
    for series in chart.series:
        lost = [x for x, y in series.points if not _drawable(x, y, chart.log)]
        if lost:
            places = ", ".join(show.number(x) for x in lost[:5]) + (", …" if len(lost) > 5 else "")
            why = "not finite, or not above 0 on a logarithmic axis" if chart.log else "not finite"
            notes.append(
                f"{series.name}: {len(lost):,} of {len(series.points):,} points are {why} and are not drawn "
                f"(at {places})."
            )
    return notes


def thin_note(chart: Curves) -> str:
    """The sentence that says that long lines are thinned, if any is."""
    longest = max((len(series.points) for series in chart.series), default=0)
    if longest <= MOST_POINTS:
        return ""
    return f"Of {longest:,} points the least and the greatest of each of {MOST_POINTS // 2} stretches are drawn."


def reliability(diagram: Diagram) -> str:
    """Accuracy over confidence with Wilson whiskers, the diagonal, and below it where the rows are."""
    size, left, top, low = 232.0, 40.0, 24.0, 44.0
    width, height = left + size + 14, top + size + low + 44
    x_scale = Scale(0, 1, left, left + size)
    y_scale = Scale(0, 1, top + size, top)
    parts = [label("accuracy, %", 2, 10, class_="axis-name")]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        place = y_scale(tick)
        parts.append(element("line", x1=left, x2=left + size, y1=place, y2=place, class_="grid"))
        parts.append(label(show.percent(tick, 0), left - 6, place + 3.6, anchor="end"))
        parts.append(label(show.percent(tick, 0), x_scale(tick), height - 18, anchor="middle"))
    parts.append(element("line", x1=x_scale(0), y1=y_scale(0), x2=x_scale(1), y2=y_scale(1), class_="diagonal"))
    filled = [item for item in diagram.bins if item.count]
    for item in filled:
        parts += _whisker(item, x_scale, y_scale)
    base = top + size + low
    most = max((item.count for item in filled), default=1)
    for item in filled:
        tall = max(0.8, item.count / most * (low - 12))
        parts.append(
            element("rect", element("title", counted(item.count, "row")), x=x_scale(item.low) + 0.6, y=base -
            tall,
                    width=x_scale(item.high) - x_scale(item.low) - 1.2, height=tall, class_="bar quiet")
        )  # fmt: skip
    parts.append(element("line", x1=left, x2=left + size, y1=base, y2=base, class_="axis"))
    parts.append(label("confidence, %; bars: rows", left + size, height - 3, anchor="end", class_="axis-name"))
    told = "; ".join(
        f"confidence {show.percent(item.confidence)} %: accuracy {show.percent(item.accuracy)} % of {item.count:,}"
        for item in filled
    )
    return drawing(width, height, f"Reliability: {diagram.title}", told or "no rows", *parts)


def _drawable(x: float | None, y: float | None, log: bool) -> bool:
    if x is None or y is None or not (abs(x) < HUGE and abs(y) < HUGE):
        return False
    return not log or y > 1 / HUGE


def _described(chart: Curves, drawn: Sequence[Points]) -> str:
    told = []
    for series, points in zip(chart.series, drawn, strict=True):
        if points:
            first, last = points[0], points[-1]
            told.append(
                f"{series.name}: {len(points):,} points, "
                f"from {show.number(first[1])} at {show.number(first[0])} "
                f"to {show.number(last[1])} at {show.number(last[0])}"
            )
        else:
            told.append(f"{series.name}: no finite points")
    return "; ".join(told) or "no series"


def _with_unit(chart: Curves) -> str:
    return f"{chart.y_label}, %" if chart.percent and chart.y_label else chart.y_label


def _x_axis(scale: Scale, floor: float, *, whole: bool) -> list[str]:
    ticks = nice_ticks(scale.low, scale.high, 6)
    if whole:
        ticks = [tick for tick in ticks if tick == int(tick)] or [scale.low]
    parts = []
    for tick, text in zip(ticks, show.ticks(ticks), strict=True):
        parts.append(element("line", x1=scale(tick), x2=scale(tick), y1=floor, y2=floor + 4, class_="axis"))
        parts.append(label(text, scale(tick), floor + 17, anchor="middle"))
    return parts


def _legend(series: Sequence[Series], width: float) -> tuple[str, float]:
    """The legend and how high it is; none for a single line."""
    if len(series) < 2:
        return "", 4.0
    parts, x, y, place = [], 2.0, 10.0, 0
    for one in series:
        colour = "faint" if one.faint else f"s{place % 8}"
        place += not one.faint
        name = show.shortened(one.name, 40)
        long = 28 + LETTER * show.width(name) + 14
        if x > 2 and x + long > width:
            x, y = 2.0, y + 16
        parts.append(element("line", x1=x, x2=x + 20, y1=y - 3.5, y2=y - 3.5, class_=f"line {colour}"))
        parts.append(label(name, x + 25, y, full=one.name))
        x += long
    return element("g", *parts), y + 14


def _marks(marks: Sequence[Mark], scale: Scale, top: float, floor: float) -> list[str]:
    parts = []
    for mark in marks:
        if not math.isfinite(mark.x) or not scale.low <= mark.x <= scale.high:
            continue
        x = scale(mark.x)
        right = x > (scale.first + scale.last) / 2
        parts.append(element("line", x1=x, x2=x, y1=top + 2, y2=floor, class_="mark-line"))
        parts.append(label(mark.label, x - 4 if right else x + 4, top + 9, anchor="end" if right else "start",
                           class_="mark-name"))  # fmt: skip
    return parts


def _polyline(series: Series, points: Points, x_scale: Scale, y_scale: Scale, colour: str, log: bool) -> list[str]:
    """The line in pieces: it breaks where a point could not be drawn."""
    lost = sorted(x for x, y in series.points if x is not None and math.isfinite(x) and not _drawable(x, y, log))
    pieces: list[Points] = [[]]
    gaps = iter([*lost, math.inf])
    gap = next(gaps)
    for point in points:
        while point[0] > gap:
            pieces.append([])
            gap = next(gaps)
        pieces[-1].append(point)
    parts = []
    for piece in filter(None, pieces):
        places = " ".join(f"{x_scale(x):.1f},{y_scale(y):.1f}" for x, y in thinned(piece))
        parts.append(element("polyline", points=places, class_=f"line {colour}"))
    if len(points) <= 30 and not series.faint:
        for x, y in points:
            tip = element("title", words(f"{series.name} at {show.number(x)}: {show.number(y)}"))
            parts.append(element("circle", tip, cx=x_scale(x), cy=y_scale(y), r=2.6, class_=f"point {colour}"))
    return parts


def _whisker(item: Bin, x_scale: Scale, y_scale: Scale) -> list[str]:
    assert item.confidence is not None
    assert item.accuracy is not None
    assert item.accuracy_low is not None
    assert item.accuracy_high is not None
    x = x_scale(item.confidence)
    told = (
        f"{counted(item.count, 'row')}, confidence {show.percent(item.confidence)} %, "
        f"accuracy {show.percent(item.accuracy)} % "
        f"[{show.percent(item.accuracy_low)}, {show.percent(item.accuracy_high)}]"
    )
    tip = element("title", told)
    ends = {"y1": y_scale(item.accuracy_low), "y2": y_scale(item.accuracy_high)}
    return [
        element("line", x1=x, x2=x, **ends, class_="whisker"),
        element("circle", tip, cx=x, cy=y_scale(item.accuracy), r=3.6, class_="dot"),
    ]
