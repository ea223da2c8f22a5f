"""The audit of a checkpoint that classifies texts or tags words: every part, measured on its rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.markup import escape

from sixfold.data.partition import drawn
from sixfold.score.subject import Subject
from sixfold.stages.auditing import gates
from sixfold.stages.auditing.config import Config
from sixfold.stages.auditing.explanations import explanations
from sixfold.stages.auditing.fairness import fairness
from sixfold.stages.auditing.found import Found, measure
from sixfold.stages.auditing.inputs import Prepared
from sixfold.stages.auditing.leakage import canaries, membership_of, together
from sixfold.stages.auditing.personal import personal
from sixfold.stages.auditing.quality import answered, quality
from sixfold.stages.auditing.robustness import robustness
from sixfold.stages.context import Context

Result = dict[str, Any]


def measured(config: Config, context: Context, prepared: Prepared) -> Found:
    """All that the recipe asks for.

    Raises:
        Interrupted: the user asked to stop. Attacks that are done are kept.
    """
    subject = Subject.load(prepared.folder)
    rows = prepared.rows.rows[prepared.split]
    role = next(column.role for column in subject.task.columns if not column.target)
    found = answered(subject, rows)
    told, metrics = quality(subject, rows, found, prepared.slices, prepared.foreign, seed=context.seed)
    evaluation = told.pop("evaluation")
    context.tell(f"  {prepared.split}: {told['headline']} {escape(gates.told(metrics[told['headline']]))}")
    parts: Result = {"quality": told}
    missing = {} if prepared.foreign else {"foreign texts": "no source was named (foreign)"}
    some = rows.select(drawn(len(rows), config.explained, context.seed))[role][:]
    train = prepared.rows.rows["train"]
    probed = train.select(drawn(len(train), config.probed, context.seed))
    measure(
        parts,
        metrics,
        missing,
        config,
        context,
        {
            "robustness": lambda: robustness(subject, config, context, prepared),
            "explanations": lambda: explanations(subject, some, seed=context.seed),
            "leakage": lambda: _leakage(subject, config, context, prepared, probed),
            "fairness": lambda: fairness(subject, rows[role][:]),
            "personal_data": lambda: personal(probed[role][:], len(train), masked=prepared.rows.mask is not None),
        },
    )
    return Found(
        parameters=sum(one.numel() for one in subject.scorer.model.parameters()),
        labels=list(subject.task.head().labels),
        limit=subject.limit,
        evaluation=evaluation,
        parts=parts,
        metrics=metrics,
        missing=missing,
        scoring=asdict(subject.scorer.ledger),
    )


def _leakage(
    subject: Subject, config: Config, context: Context, prepared: Prepared, probed: Any
) -> tuple[Result | None, dict[str, Result]]:
    rows = prepared.rows.rows[prepared.split]
    sides = (probed, rows.select(drawn(len(rows), config.probed, context.seed)))
    reference = None if prepared.reference is None else Subject.load(prepared.reference)
    masked = prepared.rows.mask is not None
    return together(
        membership_of(subject, sides, reference), canaries(subject, prepared.history.get("canaries"), masked=masked)
    )
