"""How a value is written for a person: numbers, durations, strings that nobody has checked. No HTML."""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NOTHING = "–"
MINUS = "−"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# Characters that reorder or hide what stands around them: shown by number, so that a text cannot lie about
# itself.
HIDDEN = {
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    *range(0x200B, 0x2010),
    0x061C,
    0xFEFF,
    0x2060,
    0x00AD,
}


def visible(text: str) -> str:
    """The text with control characters, bidirectional overrides and lone surrogates made visible.

    Tabs and line feeds stay. The result can be encoded as UTF-8.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_seen, text))


def _seen(character: str) -> str:
    code = ord(character)
    if character in "\n\t":
        return character
    if code < 0x20 or 0x7F <= code < 0xA0 or code in HIDDEN or 0xD800 <= code < 0xE000 or code & 0xFFFE == 0xFFFE:
        return f"⟨U+{code:04X}⟩"
    return character


def count(value: float | None) -> str:
    """A whole number with thousands separators."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:,.0f}".replace("-", MINUS)


def percent(value: float | None, digits: int = 1) -> str:
    """A proportion in per cent, without the sign: 0.9321 is ``93.2``.

    What is not quite 0 or 1 is never rounded to it (within six digits): 0.9998 is ``99.98``.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{value * 100:.{digits}f}"
    if digits < 6 and 0 < value < 1 and float(text) in (0.0, 100.0):
        return percent(value, digits + 1)
    return text.replace("-", MINUS)


def figure(metric: Mapping[str, Any], key: str = "value") -> str:
    """A number of a ``Metric.to_dict()`` as a person reads it: in per cent where it is a proportion."""
    value = metric[key]
    if value is None:
        return "not measured"
    return f"{percent(value)} %" if metric.get("percent", True) else number(value)


def interval(metric: Mapping[str, Any]) -> str:
    """A ``Metric.to_dict()`` with the ends of its interval, if it has one: ``86.6 % [83.4 %, 89.2 %]``."""
    if metric["low"] is None or metric["high"] is None:
        return figure(metric)
    return f"{figure(metric)} [{figure(metric, 'low')}, {figure(metric, 'high')}]"


def ticks(values: Sequence[float], *, proportions: bool = False) -> list[str]:
    """The numbers of an axis, all with the same digits after the point: as many as they need."""
    scaled = [value * 100 for value in values] if proportions else list(values)
    greatest = max(map(abs, scaled), default=0.0)
    if greatest >= 1e6 or 0 < greatest < 1e-3:
        return [number(value) for value in scaled]
    gaps = [abs(b - a) for a, b in itertools.pairwise(scaled) if b != a]
    off = 1e-3 * min(gaps, default=greatest)
    digits = next((d for d in range(6) if all(abs(v - round(v, d)) <= off for v in scaled)), 6)
    return [f"{value + 0.0:,.{digits}f}".replace("-", MINUS) for value in scaled]


def number(value: float | None) -> str:
    """Any number in about three figures: ``12,346``, ``3.14``, ``0.0123``, ``2×10⁻⁵``."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    size = abs(value)
    if value == int(value) and size < 1e15:
        return count(value)
    if size >= 1e15 or size < 1e-3:
        mantissa, power = f"{value:.2e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa}×10{str(int(power)).translate(SUPERSCRIPTS)}".replace("-", MINUS)
    digits = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3 if size >= 0.1 else 4
    return f"{value:,.{digits}f}".replace("-", MINUS)


def points(value: float) -> str:
    """A difference of two proportions with its sign, in percentage points: ``+3.4``."""
    sign = "+" if value > 0 else MINUS if value < 0 else ""
    return sign + percent(abs(value))


def gained(difference: float, low: float, high: float) -> str:
    """A difference of two proportions with its interval: ``+3.4 [−0.2, +7.0]``."""
    return f"{points(difference)} [{points(low)}, {points(high)}]"


def p_value(value: float) -> str:
    """The p of a test; of very small ones only that they are."""
    if value >= 1e-4:
        return f"{value:.4f}"
    return number(value) if value >= 1e-12 else "< 10⁻¹²"


def duration(seconds: float | None) -> str:
    """``0.4 s``, ``52 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values under names with dots; an empty mapping has none."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def width(text: str) -> float:
    """How wide a text is drawn, in Latin letters: Chinese characters count nearly two."""
    return sum(1.8 if unicodedata.east_asian_width(character) in "WF" else 1.0 for character in text)


def shortened(text: str, most: float) -> str:
    """The text, or its beginning and an ellipsis, at most ``most`` Latin letters wide."""
    if width(text) <= most:
        return text
    kept, used = [], 1.0
    for character in text:
        used += width(character)
        if used > most:
            break
        kept.append(character)
    return "".join(kept) + "…"


def is_chinese(character: str) -> bool:
    """Whether words next to this character are written without a space."""
    return unicodedata.east_asian_width(character) in "WF"
