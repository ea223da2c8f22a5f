"""Canaries among a stage's training rows, so that an audit can tell how far what is learnt can be got out again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from sixfold.safety.canaries import FORMATS, Plan
from sixfold.safety.planting import plant
from sixfold.stages.rows import Prepared
from sixfold.tasks.contract import Task


class CanaryConfig(BaseModel):
    """Sentences with random secrets, planted among the training rows. No score is measured on them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: PositiveInt = Field(8, description="Canaries at each level of repeats.")
    repeats: tuple[PositiveInt, ...] = Field((1, 4, 16), description="How often those of each level are planted.")


def plan_of(config: CanaryConfig, prepared: Prepared, seed: int) -> Plan:
    """Which canaries: in the language of most training rows.

    Raises:
        UsageError: numbers that no plan can have.
    """
    shares: Mapping[str, float] = prepared.described["languages"]["train"]
    language = max(shares, key=lambda name: shares[name], default="en")
    fitting = tuple(one.name for one in FORMATS.values() if one.language == language)
    return Plan(seed=seed, count=config.count, repeats=config.repeats, formats=fitting or tuple(FORMATS))


def planted(prepared: Prepared, plan: Plan, task: Task) -> Prepared:
    """The same splits, canaries among the training rows.

    Args:
        task: with its labels learnt.
    """
    import datasets

    train = plant(prepared.rows["train"], plan, task)
    roles = [column.role for column in task.columns]
    rows = datasets.DatasetDict({**prepared.rows, "train": datasets.Dataset.from_dict({r: train[r] for r in roles})})
    return replace(prepared, rows=rows)
