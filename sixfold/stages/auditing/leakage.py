"""What the checkpoint gives away of its training text: membership by loss, planted canaries, documents written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sixfold.data.examples import Examples
from sixfold.errors import DataError, UsageError
from sixfold.generate.engine import Generator
from sixfold.metrics.intervals import Floats
from sixfold.safety.canaries import Plan
from sixfold.safety.exposure import exposure
from sixfold.safety.extraction import DOCUMENTS, completion, extraction
from sixfold.safety.membership import LEAST, membership
from sixfold.safety.row_losses import row_losses
from sixfold.score.scorer import Scorer
from sixfold.stages.auditing.figures import (
    EXPOSURE,
    EXTRACTED,
    EXTRACTED_PERSONAL,
    FINISHED,
    MEMBERSHIP,
    MEMBERSHIP_HITS,
)
from sixfold.tasks.contract import Rows, Task

Result = dict[str, Any]
Part = tuple[Result, dict[str, Result]]
"""What the report shows, and figures by name; both empty where nothing could be measured."""


class Asked(Protocol):
    """A checkpoint with its task."""

    @property
    def task(self) -> Task: ...
    @property
    def scorer(self) -> Scorer: ...
    @property
    def tokenizer(self) -> Any: ...
    @property
    def limit(self) -> int: ...

    def encoded(self, rows: Rows) -> Examples:
        """Rows as the task reads them."""
        ...


def together(*parts: Part) -> tuple[Result | None, dict[str, Result]]:
    """Some parts as one; None where all are empty."""
    told: Result = {}
    metrics: dict[str, Result] = {}
    for part, figures in parts:
        told |= part
        metrics |= figures
    return told or None, metrics


def membership_of(asked: Asked, sides: tuple[Rows, Rows], reference: Asked | None) -> Part:
    """Membership by the loss of each row, and by its loss against a reference if there is one.

    Args:
        sides: rows that it learnt from, and others.
    """
    if min(map(len, sides)) < LEAST:
        return {}, {}
    losses = _losses(asked, sides)
    found = [membership(*losses)]
    if reference is not None:
        found.append(membership(*losses, reference=_losses(reference, sides)))
    worst = max(found, key=lambda one: one.auc.value)
    metrics = {MEMBERSHIP: worst.auc.to_dict()}
    hits = next((one for one in worst.found.values() if one is not None), None)
    if hits is not None:
        metrics[MEMBERSHIP_HITS] = hits.to_dict()
    return {"membership": {"attacks": [one.to_dict() for one in found]}}, metrics


def _losses(asked: Asked, sides: tuple[Rows, Rows]) -> tuple[Floats, Floats]:
    first, second = (row_losses(asked.task, asked.scorer, asked.encoded(rows)) for rows in sides)
    return first, second


def canaries(asked: Asked, planted: Mapping[str, Any] | None, *, masked: bool) -> Part:
    """The exposure of the canaries that a lineage tells of.

    Args:
        masked: whether they were planted in text that was masked then.
    """
    if not planted:
        return {}, {}
    found = exposure(Plan.from_dict(planted), asked.task, asked.scorer, asked.tokenizer, asked.limit)
    most = max((level for level in found.levels if level.repeats), key=lambda level: level.repeats)
    return {"canaries": {**found.to_dict(), "masked": masked}}, {EXPOSURE: most.mean.to_dict()}


def finished(asked: Asked, planted: Mapping[str, Any] | None) -> Part:
    """Canaries that a decoder finishes when it is given the first half of their secrets."""
    if not planted:
        return {}, {}
    found = completion(Generator(asked.scorer.model), asked.tokenizer, Plan.from_dict(planted))
    told = [{"repeats": repeats, "metric": metric.to_dict()} for repeats, metric in found.items()]
    return {"finished": told}, {FINISHED: found[max(found)].to_dict()}


def extracted(
    asked: Asked, train: Sequence[str], held_out: Sequence[str], most: int, seed: int
) -> tuple[Part, str | None]:
    """Documents that a decoder writes out from their beginnings; or why they cannot be asked for.

    Args:
        train: documents that it learnt from.
        most: documents of each kind that are asked at most.
    """
    writer = Generator(asked.scorer.model)
    try:
        found = extraction(
            writer, asked.tokenizer, asked.limit, train, held_out, documents=min(most, DOCUMENTS), seed=seed
        )
    except (DataError, UsageError) as error:  # all too short, or the model reads too little
        return ({}, {}), error.what
    sides = [probe.train for probe in found.probes]
    metrics = {EXTRACTED: max((one.verbatim for one in sides), key=lambda one: one.value).to_dict()}
    if personal := [one.entities for one in sides if one.entities.count]:
        metrics[EXTRACTED_PERSONAL] = max(personal, key=lambda one: one.value).to_dict()
    return ({"extraction": found.to_dict()}, metrics), None
