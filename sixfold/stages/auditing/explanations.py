"""Why the model answers so: which explainer may be trusted for it, the words that matter, suspected shortcuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sixfold.explain.aggregate import gathered
from sixfold.explain.methods import METHODS, USUAL
from sixfold.explain.run import Plan, explained
from sixfold.explain.trust import CHANCE, Standing, Trust, trust
from sixfold.metrics.value import Metric
from sixfold.score.subject import Subject
from sixfold.stages.auditing.figures import FAITHFULNESS, STABILITY

Result = dict[str, Any]
SEEDS = 2
"""Explainers that draw are run with so many seeds, to tell how stable they are."""


def explanations(subject: Subject, texts: Sequence[Any], *, seed: int) -> tuple[Result | None, dict[str, Result]]:
    """What explaining some texts tells of the model; None where none of them can be explained."""
    plan = Plan(USUAL, seed=seed, seeds=SEEDS, faithful=True, flips=True)
    done = dict(explained(subject, texts, plan, lenient=True))
    found = [one for number in sorted(done) for one in done[number]]
    if not found:
        return None, {}
    trusted = trust(found)
    best = _best(trusted)
    method = trusted.chosen or (USUAL[0] if best is None else best.method)
    told = {
        "trust": trusted.to_dict(),
        "gathered": gathered(found, method).to_dict(),
        "methods": [{"name": name, "baseline": METHODS[name].baseline} for name in USUAL],
        "texts": len(texts),
        "explained": len({one.number for one in found}),
    }
    return told, {} if best is None else _figures(best)


def _best(trusted: Trust) -> Standing | None:
    """The explainer that is the furthest ahead of random weights; baselines are not counted."""
    known = [one for one in trusted.standings if one.method != CHANCE and not METHODS[one.method].baseline]
    return max(known, key=lambda one: one.score.value, default=None)


def _figures(best: Standing) -> dict[str, Result]:
    metrics = {}
    if best.gain is not None:
        metrics[FAITHFULNESS] = best.gain.to_dict()
    if best.stability is not None:
        nan = float("nan")
        stable = Metric("agreement over seeds", best.stability, nan, nan, best.score.count, "mean", percent=False)
        metrics[STABILITY] = stable.to_dict()
    return metrics
