"""How far a few rows a class go in each domain, in the three ways of ``few_shot.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sixfold.errors import DataError
from sixfold.stages import few_shot
from sixfold.stages.auditing.figures import headline
from sixfold.stages.transferring.config import FewShotConfig
from sixfold.stages.transferring.training import Work, stopped

Result = dict[str, Any]
_WAYS: dict[str, Callable[..., few_shot.Learnt]] = {
    "frozen": few_shot.frozen,
    "contrastive": few_shot.contrastive,
    "full": few_shot.full,
}


def measured(work: Work, config: FewShotConfig) -> Result:
    """By domain a row for each way and count: the score on the domain's test rows.

    A domain that has too few rows of a class is told in ``missing`` in place of a score.
    """
    found: list[Result] = []
    missing: list[Result] = []
    seed, tell = work.context.seed, work.context.tell
    on_long = "truncate" if work.config.on_long == "error" else work.config.on_long
    for domain in work.domains.learnt:
        for count in config.per_class:
            try:
                chosen = few_shot.drawn(domain.rows["train"], count, seed)
            except DataError as error:
                missing.append({"domain": domain.name, "per_class": count, "why": f"{error.what}: {error.found}"})
                continue
            some = domain.rows["train"].select(chosen.tolist())
            for way in config.ways:
                if work.context.stop():
                    raise stopped(work.context)
                learnt = _WAYS[way](work.base, some, seed=seed, on_long=on_long)
                judged = learnt.task.evaluate(learnt.predictions(domain.tested), domain.tested, seed=seed)
                metric = judged["metrics"][headline(learnt.task)]
                found.append({"domain": domain.name, "per_class": count, "way": way, "metric": metric})
                tell(f"  {domain.name}, {count} a class, {way}: {metric['name']} {metric['value']:.3f}")
    return {"scores": found, "missing": missing}
