"""Canaries among a stage's training rows, so that an audit can tell how far what is learnt can be got out again.

They are sentences whose secrets patterns find, and go through the stage's mask as its rows do: with ``mask: true`` the
model never sees a secret, and its exposure shows what masking does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from sixfold.safety.canaries import FORMATS, Plan
from sixfold.safety.planting import cells, plant
from sixfold.safety.secret_losses import check_askable
from sixfold.stages.masked import RowMask
from sixfold.stages.rows import Prepared
from sixfold.tasks.contract import Task


class CanaryConfig(BaseModel):
    """Sentences with random secrets, planted among the training rows. No score is measured on them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: PositiveInt = Field(8, description="Canaries at each level of repeats.")
    repeats: tuple[PositiveInt, ...] = Field((1, 4, 16), description="How often those of each level are planted.")


def plan_of(
    config: CanaryConfig, languages: Mapping[str, float], task: Task, tokenizer: Any, limit: int, seed: int
) -> Plan:
    """Which canaries: in the language of most of the training text.

    Args:
        languages: share of the training text by language.
        task: with its labels learnt, or fitted to the tokenizer.
        limit: tokens of an example.

    Raises:
        UsageError: numbers that no plan can have, a task that canaries are not for, or canaries longer than the limit.
        ModelError: the tokenizer cannot tell secrets apart.
    """
    language = max(languages, key=lambda name: languages[name], default="en")
    known = [one for one in FORMATS.values() if one.found]
    fitting = [one for one in known if one.language == language] or known
    plan = Plan(seed=seed, count=config.count, repeats=config.repeats, formats=tuple(one.name for one in fitting))
    check_askable(plan, task, tokenizer, limit)
    return plan


def planted(prepared: Prepared, plan: Plan, task: Task) -> Prepared:
    """The same splits, canaries among the training rows, masked as these are.

    Args:
        task: with its labels learnt.
    """
    import datasets

    train = plant(prepared.rows["train"], plan, task, mask=None if prepared.mask is None else prepared.mask.row)
    roles = [column.role for column in task.columns]
    rows = datasets.DatasetDict({**prepared.rows, "train": datasets.Dataset.from_dict({r: train[r] for r in roles})})
    return replace(prepared, rows=rows)


def told(plan: Plan, task: Task, mask: RowMask | None, noun: str) -> str:
    """A line for a person.

    Args:
        mask: what the training rows went through, if anything.
        noun: what they are, such as ``training rows``.
    """
    line = f"{plan.rows:,} of the {noun} are canaries"
    if mask is None:
        return line
    each = [cells(one, task) for one in plan.canaries() if one.repeats]
    hidden = sum(mask.row(row) != row for row in each)
    return f"{line}; the mask replaced {hidden:,} of their {len(each):,} secrets"
