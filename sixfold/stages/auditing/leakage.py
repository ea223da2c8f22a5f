"""What the checkpoint gives away of its training text: membership by loss, and the exposure of planted canaries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sixfold.data.partition import drawn
from sixfold.metrics.intervals import Floats
from sixfold.safety.canaries import Plan
from sixfold.safety.exposure import exposure
from sixfold.safety.membership import LEAST, membership
from sixfold.safety.row_losses import row_losses
from sixfold.score.subject import Subject
from sixfold.stages.auditing.config import Config
from sixfold.stages.auditing.figures import EXPOSURE, MEMBERSHIP, MEMBERSHIP_HITS
from sixfold.stages.auditing.inputs import Prepared
from sixfold.stages.context import Context

if TYPE_CHECKING:
    import datasets

Result = dict[str, Any]


def leakage(
    subject: Subject, config: Config, context: Context, prepared: Prepared
) -> tuple[Result | None, dict[str, Result]]:
    """Membership by the loss of each row, by its loss against a reference if there is one, and canaries if any are
    planted; None where there are too few rows.
    """
    told: Result = {}
    metrics: dict[str, Result] = {}
    rows = prepared.rows.rows
    sides = [_drawn(rows["train"], config, context), _drawn(rows[prepared.split], config, context)]
    if min(map(len, sides)) >= LEAST:
        of, metrics = _membership(subject, prepared.reference, sides)
        told["membership"] = of
    if planted := prepared.history.get("canaries"):
        found = exposure(Plan.from_dict(planted), subject.task, subject.scorer, subject.tokenizer, subject.limit)
        told["canaries"] = found.to_dict()
        most = max((level for level in found.levels if level.repeats), key=lambda level: level.repeats)
        metrics[EXPOSURE] = most.mean.to_dict()
    return told or None, metrics


def _drawn(rows: datasets.Dataset, config: Config, context: Context) -> datasets.Dataset:
    return rows.select(drawn(len(rows), config.probed, context.seed))


def _membership(
    subject: Subject, reference: Path | None, sides: list[datasets.Dataset]
) -> tuple[Result, dict[str, Result]]:
    losses = _losses(subject, sides)
    found = [membership(*losses)]
    if reference is not None:
        found.append(membership(*losses, reference=_losses(Subject.load(reference), sides)))
    worst = max(found, key=lambda one: one.auc.value)
    metrics = {MEMBERSHIP: worst.auc.to_dict()}
    hits = next((one for one in worst.found.values() if one is not None), None)
    if hits is not None:
        metrics[MEMBERSHIP_HITS] = hits.to_dict()
    return {"attacks": [one.to_dict() for one in found]}, metrics


def _losses(subject: Subject, sides: list[datasets.Dataset]) -> tuple[Floats, Floats]:
    first, second = (row_losses(subject.task, subject.scorer, subject.encoded(rows)) for rows in sides)
    return first, second
