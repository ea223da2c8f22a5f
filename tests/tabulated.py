"""Games whose worth is any function of who is there, so that explainers can be held against values known by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Examples, Ragged
from sixfold.explain.game import Game, Judged
from sixfold.explain.units import Units
from sixfold.tasks.contract import Ask
from sixfold.text import Span

Worth = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From coalitions [m, units] of 0 and 1 to [m]."""
ASK = Ask("table", lambda examples: {}, lambda model, batch: [])


@dataclass(frozen=True)
class Rows:
    """A copy is the row of its zeros and ones."""

    def examples(self, kept: NDArray[np.bool_]) -> Examples:
        return Examples({"input_ids": Ragged.of(list(kept.astype(np.int32))), "row": np.arange(len(kept))})


@dataclass
class Table:
    """Answers with what a function says, and keeps every coalition that it was asked about."""

    worth: Worth
    asked: list[NDArray] = field(default_factory=list)

    def ask(self, examples: Examples, ask: Ask, *, fresh: bool = False) -> list[NDArray]:
        rows = np.stack(list(examples.ragged("input_ids"))).astype(np.float64)
        self.asked.append(rows)
        return list(self.worth(rows)[:, None])


def game_of(units: int, text: str = "", scale: str = "probability") -> Game:
    """A game of so many one-letter words, or of the words of a text."""
    words = text.split() if text else [chr(97 + place) for place in range(units)]
    string = text or " ".join(words)
    spans, place = [], 0
    for word in words:
        place = string.index(word, place)
        spans.append(Span(place, place + len(word)))
        place += len(word)
    ranges = np.stack([np.arange(units), np.arange(units) + 1], axis=1)
    return Game(
        text=string,
        units=Units(tuple(spans), ranges),
        label="yes",
        ask=ASK,
        judge=_judged,
        copies={"delete": Rows()},
        scale=scale,  # type: ignore[arg-type]
    )


def _judged(answers: Sequence[NDArray], examples: Examples) -> Judged:
    found = np.stack(answers)[:, 0]
    return Judged(found, found > 0.5)


def additive(*weights: float) -> Worth:
    return lambda rows: rows @ np.array(weights)


def glove(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Worth 1 with the left glove and one of two right ones: Shapley values 2/3, 1/6, 1/6."""
    return rows[:, 0] * np.maximum(rows[:, 1], rows[:, 2])


def pairs(units: int, seed: int = 0) -> Worth:
    """A random function of single units and of pairs."""
    draw = np.random.default_rng(seed)
    single, double = draw.normal(size=units), draw.normal(size=(units, units))
    return lambda rows: rows @ single + np.einsum("mi,ij,mj->m", rows, double, rows)


def anything(units: int, seed: int = 0) -> Worth:
    """A random number for each coalition."""
    table = np.random.default_rng(seed).normal(size=2**units)
    return lambda rows: table[(rows @ 2 ** np.arange(units)).astype(int)]
