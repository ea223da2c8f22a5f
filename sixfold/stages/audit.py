"""Audit: a checkpoint's evidence, gathered: how good, how sure, how steady, why, what it gives away; and gates.

Nothing is trained and no checkpoint is made. What each question asks is measured in ``auditing/``, a file a question.
It leaves ``audit.json`` for machines and a model card, ``README.md``, for people.
"""

from __future__ import annotations

import time
from typing import Any

from rich.markup import escape

from sixfold.fetch.folders import write_text
from sixfold.models import lineage
from sixfold.report.card import card
from sixfold.stages.auditing import gates, inputs, labelled, language, talks, texts
from sixfold.stages.auditing.config import Config
from sixfold.stages.auditing.found import Found
from sixfold.stages.auditing.provenance import provenance
from sixfold.stages.checkpoints import checkpoint_of
from sixfold.stages.context import Context, unmarked, write_json

__all__ = ["LEAVES", "VERSION", "Config", "Prepared", "prepare", "run"]

VERSION = 1
"""Raised when the stage computes something else from the same inputs, so that finished runs are done again."""
LEAVES = "audit.json"
"""What stands in the stage's folder when it is done."""
CARD = "README.md"
Result = dict[str, Any]
Prepared = inputs.Prepared | texts.Prepared | talks.Prepared
"""Rows of a fine-tuned checkpoint, the documents of a language model, or conversations."""


def prepare(config: Config, context: Context) -> Prepared:
    """Read what is audited and what it is audited on; check the recipe against it. Raises before any compute."""
    folder = checkpoint_of(config.base, context, to="audit")
    if talks.is_conversational(folder):
        return talks.prepare(config, context)
    return texts.prepare(config, context) if texts.is_language_model(folder) else inputs.prepare(config, context)


def run(config: Config, context: Context, prepared: Prepared) -> Result | None:
    """Measure everything that the recipe asks for, judge the gates, and write down both.

    Raises:
        Interrupted: the user asked to stop. Attacks that are done are kept.
    """
    for line in prepared.told:
        context.tell(f"  {line}")
    if prepared.learnt is False:
        context.tell("  [yellow]the training rows are not those that the checkpoint's lineage names[/]")
    begun = time.perf_counter()
    if isinstance(prepared, texts.Prepared):
        found = language.measured(config, context, prepared)
    elif isinstance(prepared, talks.Prepared):
        found = talks.measured(config, context, prepared)
    else:
        found = labelled.measured(config, context, prepared)
    judged = gates.judge([gates.Gate.read(gate) for gate in config.gates], found.metrics)
    for one in judged:
        mark = "[green]passed[/]" if one.passed else "[red]failed[/]"
        context.tell(f"  gate {one.gate}: {mark}, {escape(gates.told(one.metric))}")
    results = _results(config, context, prepared, found)
    results |= {
        "gates": [one.to_dict() for one in judged],
        "missing": found.missing,
        "refused": gates.refusal(judged),
        "seconds": time.perf_counter() - begun,
    }
    _write(context, results)
    return results


def _results(config: Config, context: Context, prepared: Prepared, found: Found) -> Result:
    history = lineage.build(
        parent=prepared.digests["base"],
        data=prepared.digests,
        config=config.model_dump(mode="json"),
        seed=context.seed,
        metrics=found.metrics,
        stage="audit",
        base=config.base or "the stage before",
        data_notes=unmarked(prepared.told),
    )
    return {
        "stage": "audit",
        "name": context.folder.name,
        "task": prepared.task.name,
        "base": history["base"],
        "checkpoint": {
            "digest": prepared.digests["base"],
            "parameters": found.parameters,
            "labels": found.labels,
            "limit": found.limit,
            "learnt": prepared.learnt,
            "language": prepared.language,
        },
        "split": prepared.split,
        "metrics": dict(found.metrics),
        "parts": found.parts,
        "provenance": provenance(prepared.folder, prepared.history),
        "data": dict(prepared.described),
        "evaluations": {prepared.split: found.evaluation},
        "scoring": found.scoring,
        "lineage": history,
    }


def _write(context: Context, results: Result) -> None:
    """The machine-readable audit and the model card; no text of anyone stands in either."""
    kept = ("task", "checkpoint", "split", "gates", "missing", "metrics", "provenance", "lineage")
    write_json(context.folder / LEAVES, {"format": 1, **{name: results[name] for name in kept}})
    write_text(context.folder / CARD, card(results), parents=True)
