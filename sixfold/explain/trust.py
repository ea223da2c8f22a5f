"""Which explainer to trust for a checkpoint: the most faithful one, if it is more so than random weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sixfold.explain.attribution import Explanation
from sixfold.explain.faithfulness import BINS, Faithful
from sixfold.explain.game import Floats
from sixfold.explain.methods import METHODS
from sixfold.metrics.intervals import mean
from sixfold.metrics.value import Metric

CHANCE = "random weights"


@dataclass(frozen=True)
class Standing:
    """How faithful an explainer is on some texts, with one filling.

    Attributes:
        comprehensiveness, sufficiency: means over texts and bins (AOPC).
        score: the first less the second.
        gain: score less that of random weights on the same texts; paired.
        log_odds, tau: means over texts.
        curves: [2, bins] mean comprehensiveness and sufficiency at each share of the units.
        stability: mean agreement of the weights over seeds; None where there was one seed or nothing is drawn.
    """

    method: str
    filling: str
    comprehensiveness: Metric
    sufficiency: Metric
    score: Metric
    gain: Metric | None
    log_odds: Metric
    tau: Metric
    curves: tuple[tuple[float, ...], tuple[float, ...]]
    stability: float | None = None

    @property
    def better_than_chance(self) -> bool:
        """Whether the lower end of the gain's interval is above nothing. One text has no interval."""
        return self.gain is not None and self.gain.low > 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        metrics = ("comprehensiveness", "sufficiency", "score", "gain", "log_odds", "tau")
        told = {name: None if (one := getattr(self, name)) is None else one.to_dict() for name in metrics}
        curves = {"shares": list(BINS), "comprehensiveness": list(self.curves[0]), "sufficiency": list(self.curves[1])}
        return {"method": self.method, "filling": self.filling, **told, "curves": curves, "stability": self.stability}


@dataclass(frozen=True)
class Trust:
    """What may be said of a checkpoint's explanations.

    Attributes:
        standings: by filling, each explainer's and that of chance, the best first.
        chosen: the explainer to trust; None where none is better than random weights.
        said: the choice in a sentence.
        texts: how many explanations it was measured on.
    """

    standings: tuple[Standing, ...]
    chosen: str | None
    said: str
    texts: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        standings = [one.to_dict() for one in self.standings]
        return {"standings": standings, "chosen": self.chosen, "said": self.said, "texts": self.texts}


def trust(explanations: Sequence[Explanation]) -> Trust:
    """Weigh explainers by their figures on the same texts, with the filling that explanations were made with.

    A text of one unit says nothing: every ranking of it is the same.
    """
    some = [one for one in explanations if len(one.spans) > 1 and one.chance]
    if not some:
        return Trust((), None, "no text has two units or more, so no explainer can be told from another", 0)
    standings: list[Standing] = []
    for place, chance in enumerate(some[0].chance):
        of_chance = [one.chance[place] for one in some]
        found = [_standing(CHANCE, of_chance, None)]
        for number, attribution in enumerate(some[0].attributions):
            of_method = [one.attributions[number].faithfulness[place] for one in some]
            steadiness = [one.attributions[number].stability for one in some]
            found.append(_standing(attribution.method, of_method, of_chance, [s for s in steadiness if s is not None]))
        assert all(one.filling == chance.filling for one in found)
        standings += sorted(found, key=lambda one: -one.score.value)
    chosen, said = _chosen([one for one in standings if one.filling == some[0].chance[0].filling], len(some))
    return Trust(tuple(standings), chosen, said, len(some))


def _standing(
    method: str, figures: Sequence[Faithful], chance: Sequence[Faithful] | None, steadiness: Sequence[float] = ()
) -> Standing:
    aopc = np.array([one.aopc for one in figures])
    score = _array(one.score for one in figures)
    return Standing(
        method,
        figures[0].filling,
        mean("comprehensiveness", aopc[:, 0]),
        mean("sufficiency", aopc[:, 1]),
        mean("score", score),
        None if chance is None else mean("gain over chance", score - _array(one.score for one in chance)),
        mean("log-odds", _array(one.log_odds for one in figures)),
        mean("agreement with leaving one out", _array(one.tau for one in figures if one.tau is not None)),
        (_curve([one.comprehensiveness for one in figures]), _curve([one.sufficiency for one in figures])),
        float(np.mean(steadiness)) if len(steadiness) else None,
    )


def _array(values: Any) -> Floats:
    return np.array(list(values), dtype=np.float64)


def _curve(lines: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(np.mean(lines, axis=0).tolist())


def _chosen(standings: Sequence[Standing], texts: int) -> tuple[str | None, str]:
    known = [one for one in standings if one.method != CHANCE and not METHODS[one.method].baseline]
    if not known:
        return None, "only baselines were asked for: they are there for comparison"
    best = known[0]
    if texts == 1:
        return best.method, f"{best.method} is the most faithful on this one text; more texts tell it for the model"
    if not best.better_than_chance:
        return None, f"no explainer is more faithful than random weights on these {texts:,} texts: trust none"
    assert best.gain is not None
    gain = f"{best.gain.value:.3f} [{best.gain.low:.3f}, {best.gain.high:.3f}]"
    return best.method, f"trust {best.method}: it is ahead of random weights by {gain} on {texts:,} texts"
