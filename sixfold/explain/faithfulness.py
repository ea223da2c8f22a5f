"""How faithful weights are to the model: what happens to the answer when the units they name are taken away, or alone.

Comprehensiveness and sufficiency are ERASER's (DeYoung et al. 2020, arXiv:1911.03429), the log-odds are those of
Shrikumar et al. 2017 (arXiv:1704.02685). Every figure stands beside that of random weights, on the same text. No
explainer is known here, only weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np

from sixfold.explain.game import LEAST, Floats, Game
from sixfold.explain.masking import Kept
from sixfold.score.driver import Search

BINS = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Shares of the units, the heaviest first, that are taken away or left alone; one unit at least."""
LOG_ODDS_AT = 0.2
DRAWS = 5
"""Random rankings of each text."""


@dataclass(frozen=True)
class Faithful:
    """The figures of one attribution, with one filling.

    Attributes:
        filling: how units were taken away.
        comprehensiveness: [bins] probability lost without the heaviest units; greater is better.
        sufficiency: [bins] probability lost with the heaviest units alone; smaller is better.
        log_odds: the change of the log-probability without the heaviest fifth; smaller is better.
        tau: Kendall's rank agreement with leaving out one unit at a time; None where nothing can be ranked.
    """

    filling: str
    comprehensiveness: tuple[float, ...]
    sufficiency: tuple[float, ...]
    log_odds: float
    tau: float | None

    @property
    def aopc(self) -> tuple[float, float]:
        """Comprehensiveness and sufficiency, each the mean over the bins (the area over the perturbation curve)."""
        return float(np.mean(self.comprehensiveness)), float(np.mean(self.sufficiency))

    @property
    def score(self) -> float:
        """What explainers are compared by: comprehensiveness less sufficiency."""
        comprehensive, sufficient = self.aopc
        return comprehensive - sufficient

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        comprehensive, sufficient = self.aopc
        return {**asdict(self), "aopc_comprehensiveness": comprehensive, "aopc_sufficiency": sufficient}


@dataclass(frozen=True)
class Measured:
    """The figures of a text: of each of its attributions, and the mean of random ones; with every filling."""

    of: tuple[tuple[Faithful, ...], ...]
    chance: tuple[Faithful, ...]


def measured(game: Game, weights: Sequence[Floats], rng: np.random.Generator) -> Search[Measured]:
    """Measure several attributions of one text in one question a filling.

    Args:
        weights: [units] of each attribution.
        rng: draws the random rankings.
    """
    rankings = [*weights, *rng.standard_normal((DRAWS, len(game)))]
    by_filling = []
    for filling in sorted(game.copies, key=lambda name: name != game.filling):  # the explainers' own comes first
        by_filling.append((yield from _with(game.filled(filling), rankings)))
    of = tuple(tuple(found[place] for found in by_filling) for place in range(len(weights)))
    return Measured(of, tuple(_mean(found[len(weights) :]) for found in by_filling))


def _with(game: Game, rankings: Sequence[Floats]) -> Search[list[Faithful]]:
    count = len(game)
    whole = np.ones((1, count), dtype=np.bool_)
    tops = np.concatenate([top(ranking) for ranking in rankings])
    kept = np.concatenate([whole, ~np.eye(count, dtype=np.bool_), ~tops, tops])
    found = (yield from game.judged(kept)).probabilities
    base, alone_out = found[0], found[1 : count + 1]
    without, alone = found[count + 1 :].reshape(2, len(rankings), len(BINS))
    at = BINS.index(LOG_ODDS_AT)
    odds = np.log(np.maximum(without[:, at], LEAST)) - np.log(max(base, LEAST))
    return [
        Faithful(
            game.filling,
            tuple((base - without[place]).tolist()),
            tuple((base - alone[place]).tolist()),
            float(odds[place]),
            kendall(ranking, base - alone_out),
        )
        for place, ranking in enumerate(rankings)
    ]


def top(weights: Floats) -> Kept:
    """[bins, units] the heaviest units: those that speak most for the answer; of equals the first."""
    place = np.argsort(np.argsort(-weights, kind="stable"), kind="stable")
    return place < np.array([[ceil(round(share * len(weights), 9))] for share in BINS])


def kendall(first: Floats, second: Floats) -> float | None:
    """Kendall's tau-b of two rankings, which knows ties; None where one has no order at all."""
    one, other = (np.sign(line[:, None] - line[None, :]) for line in (first, second))
    ordered = np.sqrt((one != 0).sum() * (other != 0).sum())
    return float((one * other).sum() / ordered) if ordered else None


def agreement(weights: Sequence[Floats]) -> float | None:
    """The mean Kendall's tau of all pairs of rankings: how stable an explainer is over seeds."""
    taus = [kendall(one, other) for place, one in enumerate(weights) for other in weights[place + 1 :]]
    known = [tau for tau in taus if tau is not None]
    return float(np.mean(known)) if known else None


def _mean(some: Sequence[Faithful]) -> Faithful:
    taus = [one.tau for one in some if one.tau is not None]
    return Faithful(
        some[0].filling,
        tuple(np.mean([one.comprehensiveness for one in some], axis=0).tolist()),
        tuple(np.mean([one.sufficiency for one in some], axis=0).tolist()),
        float(np.mean([one.log_odds for one in some])),
        float(np.mean(taus)) if taus else None,
    )
