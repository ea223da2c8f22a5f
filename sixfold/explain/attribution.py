"""What explainers found of one text, as plain data: weights of spans of the user's own string."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sixfold.explain import shown
from sixfold.explain.faithfulness import Faithful
from sixfold.text import Span

SHOWN = 50
"""Explanations that a notebook shows."""


@dataclass(frozen=True)
class Attribution:
    """The weights that one explainer gives.

    Attributes:
        method: its name.
        weights: one a unit; positive speaks for the answer, negative against it.
        details: what the explainer can tell of its own exactness.
        faithfulness: its figures, one a filling, where they were asked for.
        stability: Kendall's tau of the weights over seeds, where there were several.
    """

    method: str
    weights: tuple[float, ...]
    details: Mapping[str, float] = field(default_factory=dict)
    faithfulness: tuple[Faithful, ...] = ()
    stability: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data: a number that is not finite becomes None."""
        return {
            "method": self.method,
            "weights": [_finite(weight) for weight in self.weights],
            "details": {name: _finite(value) for name, value in self.details.items()},
            "faithfulness": [one.to_dict() for one in self.faithfulness],
            "stability": self.stability,
        }


@dataclass(frozen=True)
class Explanation:
    """Why a model gave one answer to one text, by one explainer or several.

    Attributes:
        text: the user's string; of a row of words, the string that they make.
        label: the answer that is explained.
        probability: what the model gives it.
        spans: the units, as characters of ``text``.
        by: what a unit is.
        attributions: one an explainer, in the order in which they were asked for.
        chance: the figures of random weights, one a filling, where they were asked for.
        where: of an entity, its characters.
        unseen: parts of the text of which the tokenizer leaves no token.
        beyond: units behind what the model reads of so long a text.
        number: which of the texts that were given it is.
        flips: [units] whether the answer is another one without the unit, where that was asked for.
    """

    text: str
    label: str
    probability: float
    spans: tuple[Span, ...]
    by: str
    attributions: tuple[Attribution, ...] = ()
    chance: tuple[Faithful, ...] = ()
    where: tuple[int, int] | None = None
    unseen: tuple[Span, ...] = ()
    beyond: int = 0
    number: int = 0
    flips: tuple[bool, ...] = ()

    def of(self, method: str) -> Attribution:
        """One explainer's weights."""
        return next(one for one in self.attributions if one.method == method)

    def ranked(self, method: str | None = None) -> list[tuple[str, float]]:
        """Units with their weights, those that matter most first."""
        found = self.attributions[0] if method is None else self.of(method)
        pairs = [(self.text[start:end], weight) for (start, end), weight in zip(self.spans, found.weights, strict=True)]
        return sorted(pairs, key=lambda pair: -abs(pair[1]))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "number": self.number,
            "text": self.text,
            "label": self.label,
            "probability": self.probability,
            "by": self.by,
            "spans": [list(span) for span in self.spans],
            "where": None if self.where is None else list(self.where),
            "unseen": [list(span) for span in self.unseen],
            "beyond": self.beyond,
            "flips": list(self.flips),
            "chance": [one.to_dict() for one in self.chance],
            "attributions": [one.to_dict() for one in self.attributions],
        }

    def _repr_html_(self) -> str:
        return shown.html_of(self)


class Explanations(list[Explanation]):
    """Explanations in the order of the texts; shows itself in Jupyter."""

    def _repr_html_(self) -> str:
        more = f"<p>… and {len(self) - SHOWN:,} more</p>" if len(self) > SHOWN else ""
        return "".join(map(shown.html_of, self[:SHOWN])) + more


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
