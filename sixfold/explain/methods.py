"""The explainers by name. An explainer is a sampling plan and an estimator, as a search on a game."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sixfold.errors import UsageError, unknown
from sixfold.explain import lime as lime_plan
from sixfold.explain import shapley
from sixfold.explain.game import Game, Weights
from sixfold.explain.inside import MOST_STEPS, attention_rollout, integrated_gradients
from sixfold.explain.occlusion import occlusion
from sixfold.explain.owen import partition
from sixfold.score.driver import Search


class Explainer(Protocol):
    def __call__(self, game: Game, rng: np.random.Generator, *, samples: int) -> Search[Weights]: ...


@dataclass(frozen=True)
class Method:
    """An explainer with what a reader must know of it.

    Attributes:
        samples: copies of a text it asks about unless told otherwise (of gradients: points); 0: no choice.
        drawn: whether its weights hang on the seed.
        baseline: whether it is here for comparison only, never to be trusted.
    """

    name: str
    explain: Explainer
    what: str
    paper: str
    samples: int = 0
    drawn: bool = False
    baseline: bool = False


METHODS = {
    method.name: method
    for method in (
        Method("occlusion", occlusion, "what is lost without the unit", "Zeiler and Fergus 2014, arXiv:1311.2901"),
        Method(
            "lime",
            lime_plan.lime,
            "a linear model near the text",
            "Ribeiro et al. 2016, arXiv:1602.04938",
            lime_plan.SAMPLES,
            drawn=True,
        ),
        Method(
            "shap",
            shapley.shap,
            "Shapley values, exact for short texts, else over permutations",
            "Lundberg and Lee 2017, arXiv:1705.07874",
            shapley.SAMPLES,
            drawn=True,
        ),
        Method(
            "shap-permutation",
            shapley.permutation,
            "Shapley values over random orders and their reverse",
            "Lundberg and Lee 2017, arXiv:1705.07874",
            shapley.SAMPLES,
            drawn=True,
        ),
        Method(
            "shap-partition",
            partition,
            "Owen values by sentences and their halves",
            "Owen 1977; Lundberg and Lee 2017, arXiv:1705.07874",
            shapley.SAMPLES,
        ),
        Method(
            "shap-kernel",
            shapley.kernel_shap,
            "Shapley values by regression",
            "Lundberg and Lee 2017, arXiv:1705.07874",
            shapley.SAMPLES,
            drawn=True,
        ),
        Method(
            "integrated-gradients",
            integrated_gradients,
            "gradients along a path from a text of masks",
            "Sundararajan et al. 2017, arXiv:1703.01365",
            MOST_STEPS,
        ),
        Method(
            "attention-rollout",
            attention_rollout,
            "attention through all layers: a baseline, blind to the answer",
            "Abnar and Zuidema 2020, arXiv:2005.00928",
            baseline=True,
        ),
    )
}
USUAL = ("occlusion", "lime", "shap", "integrated-gradients")


def named(names: Sequence[str]) -> tuple[Method, ...]:
    """The methods of these names, each once.

    Raises:
        UsageError: there is none of that name, or no name.
    """
    if not names:
        raise UsageError("no explainer was named", hint=f"--method, one of: {', '.join(METHODS)}")
    for name in names:
        if name not in METHODS:
            raise unknown("explainer", name, METHODS)
    return tuple(METHODS[name] for name in dict.fromkeys(names))
