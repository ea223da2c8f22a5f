"""One measured number with its count and 95 % interval. How to find the interval: ``intervals.py``."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from sixfold.errors import DataError


@dataclass(frozen=True)
class Metric:
    """A number that can be defended.

    Attributes:
        name: what was measured, such as ``accuracy``.
        value: the number itself: a proportion (0.932, not 93.2) where ``percent``; NaN where nothing was
            counted.
        low: lower end of the 95 % interval.
        high: upper end of the 95 % interval.
        count: how many rows, sentences or entities it was measured on.
        method: how the interval was found, such as ``Wilson``.
        percent: whether a person reads it as per cent; a log-likelihood, for one, is not.
    """

    name: str
    value: float
    low: float
    high: float
    count: int
    method: str
    percent: bool = True

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return f"{self.name} – (n={self.count:,})"
        scale, digits, unit = (100.0, 1, " %") if self.percent else (1.0, 3, "")
        value, low, high = (f"{number * scale:.{digits}f}" for number in (self.value, self.low, self.high))
        return f"{self.name} {value}{unit} [{low}, {high}] (n={self.count:,}, {self.method})"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data: a number that is not finite becomes None, because JSON has no NaN."""
        return {
            key: None if isinstance(item, float) and not math.isfinite(item) else item
            for key, item in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Metric:
        """The inverse of ``to_dict``.

        Raises:
            DataError: when a key is missing or unknown.
        """
        names = {item.name for item in fields(cls)}
        if not (names - {"percent"} <= set(data) <= names):
            raise DataError(
                "this is not a metric",
                found=", ".join(map(str, data)) or "nothing",
                hint=f"a metric has the keys {', '.join(item.name for item in fields(cls))}",
            )
        numbers = {key: math.nan if data[key] is None else float(data[key]) for key in ("value", "low", "high")}
        return cls(**{**data, **numbers})
