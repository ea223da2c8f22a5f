"""How the model breaks under attack: measured now, or by the harden stage that made the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sixfold.attack.attacks import ATTACKS
from sixfold.attack.goals import goal_for
from sixfold.attack.run import sampled
from sixfold.data.partition import digest
from sixfold.metrics.intervals import proportion
from sixfold.score.subject import Subject
from sixfold.stages.attacked import Attacked, Bench, attacks_by_name, usable, withstood
from sixfold.stages.auditing.config import Config
from sixfold.stages.auditing.figures import ALL, UNDER_ATTACK
from sixfold.stages.auditing.inputs import Prepared
from sixfold.stages.context import Context
from sixfold.text.counting import counted

Result = dict[str, Any]
SHOWN = 4
"""Texts of an attack that are kept for the report: those with the fewest changes."""


def robustness(subject: Subject, config: Config, context: Context, prepared: Prepared) -> tuple[Result, Result]:
    """Right answers under each attack and under all of them; and the figures by name."""
    if not prepared.attacks:
        assert prepared.measured_before is not None
        return _reused(prepared.measured_before)
    rows = prepared.rows.rows[prepared.split]
    built, encoder = attacks_by_name(prepared.attacks, subject.task, config.words)
    chosen = rows.select([row.number for row in sampled(rows, subject.task, config.attacked, context.seed)])
    roles = [column.role for column in subject.task.columns]
    names = ", ".join(prepared.attacks)
    context.tell(f"  attacking {counted(len(chosen), 'row')} of {prepared.split} by {names}")
    bench = Bench(
        chosen,
        digest(chosen, roles),
        tuple(built[name] for name in prepared.attacks),
        config.budget,
        context.seed,
        encoder,
        context.tell,
        context.stop,
    )
    attacked = bench.attacked(subject, context.folder / "attacks")
    goal = goal_for(subject.task).what
    return _measured(attacked, goal, config.budget)


def _reused(before: Mapping[str, Any]) -> tuple[Result, Result]:
    """What stands in the lineage: the harden stage attacked these very weights."""
    lines = before[UNDER_ATTACK]
    attacks = [
        {"name": name, "what": ATTACKS[name].what, "metric": line["after"], "texts": []}
        for name, line in lines.items()
        if name != ALL
    ]
    told = {
        "reused": True,
        "budget": before["budget"],
        "rows": lines[ALL]["after"]["count"],
        "attacks": attacks,
        "all": lines[ALL]["after"],
    }
    return told, {f"{UNDER_ATTACK}.{name}": line["after"] for name, line in lines.items()}


def _measured(attacked: Sequence[Attacked], goal: str, budget: int) -> tuple[Result, Result]:
    (found,) = usable([one.outcomes for one in attacked])
    held = np.array([[withstood(one) for one in outcomes] for outcomes in found], dtype=bool)
    figures = {one.name: _share(line) for one, line in zip(attacked, held, strict=True)}
    figures[ALL] = _share(np.asarray(held.all(axis=0)))
    attacks = []
    for one, outcomes in zip(attacked, found, strict=True):
        won = [outcome for outcome in outcomes if outcome.kind == "succeeded"]
        won.sort(key=lambda outcome: (len(outcome.edits) / max(1, outcome.words), outcome.row))
        attacks.append(
            {
                "name": one.name,
                "what": ATTACKS[one.name].what,
                "metric": figures[one.name],
                "texts": [outcome.to_dict() for outcome in won[:SHOWN]],
            }
        )
    told = {
        "reused": False,
        "budget": budget,
        "goal": goal,
        "rows": held.shape[1],
        "left_out": len(attacked[0].outcomes) - held.shape[1],
        "attacks": attacks,
        "all": figures[ALL],
    }
    return told, {f"{UNDER_ATTACK}.{name}": metric for name, metric in figures.items()}


def _share(held: NDArray[np.bool_]) -> Result:
    return proportion("accuracy", int(held.sum()), len(held)).to_dict()
