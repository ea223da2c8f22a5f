"""Audit: a checkpoint's evidence, gathered: how good, how sure, how steady, why, what it gives away; and gates.

Nothing is trained and no checkpoint is made. What each question asks is measured in ``auditing/``, a file a question.
It leaves ``audit.json`` for machines and a model card, ``README.md``, for people.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from rich.markup import escape

from sixfold.data.partition import drawn
from sixfold.errors import Interrupted
from sixfold.fetch.folders import write_text
from sixfold.models import lineage
from sixfold.report.card import card
from sixfold.score.subject import Subject
from sixfold.stages.auditing import gates
from sixfold.stages.auditing.config import Config, Part
from sixfold.stages.auditing.explanations import explanations
from sixfold.stages.auditing.fairness import fairness
from sixfold.stages.auditing.inputs import Prepared, prepare
from sixfold.stages.auditing.leakage import leakage
from sixfold.stages.auditing.personal import personal
from sixfold.stages.auditing.provenance import provenance
from sixfold.stages.auditing.quality import answered, quality
from sixfold.stages.auditing.robustness import robustness
from sixfold.stages.context import Context, write_json

__all__ = ["LEAVES", "VERSION", "Config", "Prepared", "prepare", "run"]

VERSION = 1
"""Raised when the stage computes something else from the same inputs, so that finished runs are done again."""
LEAVES = "audit.json"
"""What stands in the stage's folder when it is done."""
CARD = "README.md"
Result = dict[str, Any]
_LEFT_OUT = "left out in the recipe (leave_out)"


def run(config: Config, context: Context, prepared: Prepared) -> Result | None:
    """Measure everything that the recipe asks for, judge the gates, and write down both.

    Raises:
        Interrupted: the user asked to stop. Attacks that are done are kept.
    """
    for line in prepared.rows.told:
        context.tell(f"  {line}")
    if prepared.learnt is False:
        context.tell("  [yellow]the training rows are not those that the checkpoint's lineage names[/]")
    begun = time.perf_counter()
    subject = Subject.load(prepared.folder)
    parts, metrics, missing = _measured(subject, config, context, prepared)
    judged = gates.judge([gates.Gate.read(gate) for gate in config.gates], metrics)
    for one in judged:
        mark = "[green]passed[/]" if one.passed else "[red]failed[/]"
        context.tell(f"  gate {one.gate}: {mark}, {escape(gates.told(one.metric))}")
    results = _results(config, context, prepared, subject, parts, metrics)
    results |= {
        "gates": [one.to_dict() for one in judged],
        "missing": missing,
        "refused": gates.refusal(judged),
        "seconds": time.perf_counter() - begun,
    }
    _write(context, results)
    return results


def _measured(
    subject: Subject, config: Config, context: Context, prepared: Prepared
) -> tuple[Result, dict[str, Result], dict[str, str]]:
    """All parts, all figures by name, and why what was not measured was not."""
    rows = prepared.rows.rows[prepared.split]
    role = next(column.role for column in subject.task.columns if not column.target)
    found = answered(subject, rows)
    told, metrics = quality(subject, rows, found, prepared.slices, prepared.foreign, seed=context.seed)
    context.tell(f"  {prepared.split}: {told['headline']} {escape(gates.told(metrics[told['headline']]))}")
    parts: Result = {"quality": told}
    missing: dict[str, str] = {}
    if not prepared.foreign:
        missing["foreign texts"] = "no source was named (foreign)"
    some = rows.select(drawn(len(rows), config.explained, context.seed))[role][:]
    train = prepared.rows.rows["train"]
    places = drawn(len(train), config.probed, context.seed)
    measures: Mapping[Part, Callable[[], tuple[Result | None, dict[str, Result]]]] = {
        "robustness": lambda: robustness(subject, config, context, prepared),
        "explanations": lambda: explanations(subject, some, seed=context.seed),
        "leakage": lambda: leakage(subject, config, context, prepared),
        "fairness": lambda: fairness(subject, rows[role][:]),
        "personal_data": lambda: personal(
            train.select(places)[role][:], len(train), masked="masked" in prepared.rows.described
        ),
    }
    for name, measure in measures.items():
        if not config.measures(name):
            missing[name] = _LEFT_OUT
            continue
        if context.stop():
            raise Interrupted("stopped; the attacks that are done are kept", hint="run the same command to go on")
        part, some_metrics = measure()
        if part is None:
            missing[name] = "none of the texts could be used"
            continue
        parts[name] = part
        metrics |= some_metrics
    return parts, metrics, missing


def _results(
    config: Config,
    context: Context,
    prepared: Prepared,
    subject: Subject,
    parts: Result,
    metrics: Mapping[str, Result],
) -> Result:
    evaluation = parts["quality"].pop("evaluation")
    history = lineage.build(
        parent=prepared.digests["base"],
        data=prepared.digests,
        config=config.model_dump(mode="json"),
        seed=context.seed,
        metrics=metrics,
        stage="audit",
        base=config.base or "the stage before",
        data_notes=list(prepared.rows.told),
    )
    return {
        "stage": "audit",
        "name": context.folder.name,
        "task": subject.task.name,
        "base": history["base"],
        "checkpoint": {
            "digest": prepared.digests["base"],
            "parameters": sum(p.numel() for p in subject.scorer.model.parameters()),
            "labels": list(subject.task.head().labels),
            "limit": subject.limit,
            "learnt": prepared.learnt,
            "language": prepared.language,
        },
        "split": prepared.split,
        "metrics": dict(metrics),
        "parts": parts,
        "provenance": provenance(prepared.folder, prepared.history),
        "data": prepared.rows.described,
        "evaluations": {prepared.split: evaluation},
        "scoring": asdict(subject.scorer.ledger),
        "lineage": history,
    }


def _write(context: Context, results: Result) -> None:
    """The machine-readable audit and the model card; no text of anyone stands in either."""
    kept = ("task", "checkpoint", "split", "gates", "missing", "metrics", "provenance", "lineage")
    write_json(context.folder / LEAVES, {"format": 1, **{name: results[name] for name in kept}})
    write_text(context.folder / CARD, card(results), parents=True)
