"""The parts of a drawing: SVG elements, scales and ticks. Whole charts: ``svg.py``, ``tallies.py``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import escape

from sixfold.report.show import visible

LETTER = 5.9
"""Width of a letter at the size of tick labels, in drawing units."""


def element(name: str, *children: str, **attributes: str | float | None) -> str:
    """One SVG element; ``children`` are SVG already.

    ``class_`` is written class, ``stroke_width`` stroke-width; None is left out; values are escaped.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(children)}</{name}>" if children else f"<{name}{written}/>"


def words(text: str) -> str:
    """A string as SVG content: escaped, with hidden characters made visible."""
    return str(escape(visible(text)))


def label(
    text: str,
    x: float,
    y: float,
    *,
    anchor: str = "start",
    class_: str = "tick",
    full: str = "",
    rotate: float = 0,
) -> str:
    """Text at a point; ``full`` is shown on hovering where the text is a shortened one."""
    turned = f"rotate({rotate:g} {x:g} {y:g})" if rotate else None
    children = [words(text)]
    if full and full != text:
        children.append(element("title", words(full)))
    return element("text", *children, x=x, y=y, text_anchor=anchor, class_=class_, transform=turned)


def drawing(width: float, height: float, title: str, description: str, *children: str) -> str:
    """A whole SVG with an accessible name and description."""
    return element(
        "svg",
        element("title", words(title or "figure")),
        element("desc", words(description)),
        *children,
        viewBox=f"0 0 {width:.5g} {height:.5g}",
        width=width,
        height=height,
        role="img",
        aria_label=title or "figure",
        class_="drawing",
    )


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within ``low`` and ``high``."""
    span = high - low
    if not math.isfinite(span) or span <= 1e-300:
        return [low]
    step = 10.0 ** math.floor(math.log10(span / most))
    step = next(step * factor for factor in (1, 2, 5, 10, 20) if span / (step * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [place * step for place in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, and 2 and 5 between them where there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if len(powers) > 4 else (1, 2, 5)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    ticks = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
    if len(ticks) < 2:
        return nice_ticks(low, high)
    return ticks[:: math.ceil(len(ticks) / 7)]


@dataclass(frozen=True)
class Scale:
    """From values low..high to places first..last in the drawing, evenly or by logarithm."""

    low: float
    high: float
    first: float
    last: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (self._read(item) for item in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.first + share * (self.last - self.first)

    def ticks(self, most: int = 5) -> list[float]:
        return log_ticks(self.low, self.high) if self.log else nice_ticks(self.low, self.high, most)

    def _read(self, value: float) -> float:
        return math.log10(value) if self.log else value


def padded(values: Sequence[float], *, log: bool = False, share: float = 0.05) -> tuple[float, float]:
    """The least and greatest value with a little room around them, never an empty range."""
    low, high = min(values), max(values)
    if log:
        room = (high / low) ** share if high > low else 2.0
        return low / room, high * room
    room = (high - low) * share if high > low else abs(high) * 0.1 or 1.0
    # A quantity that is never negative keeps 0 as its floor.
    return (max(0.0, low - room) if low >= 0 else low - room), high + room


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return str(escape(visible(value)))
    return f"{value:.2f}".rstrip("0").rstrip(".") if math.isfinite(value) else "0"
