"""Transfer: one base carried into several domains, in several ways, and the proof of what moved.

The keys are in ``transferring/config.py``, rows by domain in ``domains.py``, what each way trains in ``strategies.py``,
one training in ``training.py``, and what they say together in ``matrix.py``.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from sixfold.errors import UsageError
from sixfold.fetch.folders import replacing
from sixfold.models import lineage
from sixfold.models.adapters.beside import new_folder
from sixfold.models.tokenizer import lone_tokenizer
from sixfold.stages.auditing.figures import headline
from sixfold.stages.checkpoints import checkpoint_of
from sixfold.stages.context import Context, unmarked, write_json
from sixfold.stages.labelled import encoded, limit_of
from sixfold.stages.transferring import domains as by_domain
from sixfold.stages.transferring import few, matrix, routing
from sixfold.stages.transferring.config import Config
from sixfold.stages.transferring.domains import Domains
from sixfold.stages.transferring.strategies import Part, parts
from sixfold.stages.transferring.training import ADAPTER, CHECKPOINT, Work, done, untrained
from sixfold.tasks.contract import Encoded
from sixfold.train import processes

__all__ = ["LEAVES", "VERSION", "Config", "Prepared", "prepare", "run"]

VERSION = 1
"""Raised when the stage computes something else from the same inputs, so that finished runs are done again."""
LEAVES = "checkpoint"
"""What stands in the stage's folder when it is done."""
UNPLANNED = "a transfer stage trains in several ways, and that is not planned yet: plan a finetune of one domain"
Result = dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """Domains that a stage can use, and the base."""

    domains: Domains
    base: Path
    digests: dict[str, str]

    @property
    def told(self) -> tuple[str, ...]:
        """Lines for a person."""
        return self.domains.told


def prepare(config: Config, context: Context) -> Prepared:
    """Read and check every domain. Raises before any compute; the digests decide whether the stage is skipped."""
    if processes.current() is not None:
        raise UsageError("a transfer stage works in one process", hint="start it without torchrun")
    base = checkpoint_of(config.base, context, to="transfer")
    domains = by_domain.prepare(config, seed=context.seed)
    return Prepared(domains, base, {**domains.digests, "base": lineage.digest_folder(base)})


def run(config: Config, context: Context, prepared: Prepared) -> Result | None:
    """Train in every way, test on every domain, and leave what the recipe keeps. None when the user stopped it."""
    for line in prepared.told:
        context.tell(f"  {line}")
    work = _start(config, context, prepared)
    every = parts(config, prepared.domains, context.seed)
    found: dict[str, list[tuple[Part, Result]]] = {}
    for part in every:
        if context.stop():
            return None
        results = done(work, part)
        found.setdefault(part.strategy, []).append((part, results))
    results = _results(work, {name: [one for _, one in some] for name, some in found.items()})
    if config.few_shot is not None:
        results["few_shot"] = few.measured(work, config.few_shot)
    _leave(work, found, results)
    shutil.rmtree(context.training, ignore_errors=True)
    return results


def _start(config: Config, context: Context, prepared: Prepared) -> Work:
    tokenizer = lone_tokenizer(prepared.base)
    limit = limit_of(config.max_tokens, int(tokenizer.model_max_length))
    hint = "set on_long: truncate (keep the start) or on_long: window (split into overlapping windows)"
    examples: dict[str, Mapping[str, Encoded]] = {}
    for name, domain in prepared.domains.every.items():
        examples[name] = encoded(domain.task, domain.prepared, tokenizer, limit, config.on_long, hint=hint)
        for split, part in examples[name].items():
            context.tell(f"  {name}, {part.cut.told(split)}")
    return Work(config, context, prepared.domains, prepared.base, prepared.digests["base"], limit, examples)


def _results(work: Work, found: Mapping[str, Sequence[Result]]) -> Result:
    config, context, domains = work.config, work.context, work.domains
    learnt, columns = [domain.name for domain in domains.learnt], list(domains.every)
    figure = headline(domains.learnt[0].task)
    zero_shot = [name for name in columns if name not in learnt]
    start = untrained(work) if "sequential" in found else {}
    strategies: dict[str, Result] = {}
    for name, some in found.items():
        strategies[name] = matrix.summary(some, learnt, zero_shot, figure) | {
            "matrix": matrix.matrix(some, columns, figure),
            "parts": [
                {key: one[key] for key in ("row", "rows", "learning", "training", "ranks") if key in one}
                for one in some
            ],
        }
        if name == "sequential":
            strategies[name]["moved"] = matrix.moved(some, start, figure)
        if name != "separate" and "separate" in found:
            strategies[name]["against_separate"] = matrix.against(some, found["separate"], learnt)
    for name, one in strategies.items():
        context.tell(
            f"  {name.replace('_', ' ')}: {figure} {one['average']:.4f} on average, "
            f"{one['learning']:,} numbers learnt ({one['learning'] / one['parameters']:.2%} of the model), "
            f"{one['seconds']:,.0f} s"
        )
    best = found[config.kept]
    answers = matrix.own(best, learnt)
    evaluations = {name: {"metrics": one["cells"][name]} for name, one in answers.items()}
    return {
        "stage": "transfer",
        "name": context.folder.name,
        "task": config.task,
        "base": config.base or "the stage before",
        "figure": figure,
        "kept": config.kept,
        "learnt": learnt,
        "zero_shot": zero_shot,
        "strategies": strategies,
        "untrained": start,
        "shared_words": domains.shared,
        "domains": {
            name: {
                **dict(one.prepared.described),
                **_masked(one, answers),
                "split": one.split,
                "cut": {split: part.cut.long_rows for split, part in work.encoded[name].items()},
            }
            for name, one in domains.every.items()
        },
        "evaluations": evaluations,
        "lineage": _history(work, {name: one["metrics"] for name, one in evaluations.items()}),
    }


def _masked(domain: by_domain.Domain, answers: Mapping[str, Result]) -> Result:
    """What was masked of a domain, and each metric on held-out rows as they are and masked; empty without a mask."""
    if domain.prepared.mask is None or domain.name not in answers:
        return {}
    found, split = answers[domain.name], domain.split
    scores = [
        {"split": split, "as_they_are": found["cells"][domain.name][name], "masked": metric}
        for name, metric in found["masked"][domain.name].items()
    ]
    return {"masked": {**domain.prepared.described["masked"], "scores": scores}}


def _history(work: Work, metrics: Mapping[str, Any]) -> Result:
    return lineage.build(
        parent=work.digest,
        data=work.domains.digests,
        config=work.config.model_dump(mode="json"),
        seed=work.context.seed,
        metrics=metrics,
        stage="transfer",
        base=work.config.base or "the stage before",
        strategy=work.config.kept,
        data_notes=unmarked(work.domains.told),
    )


def _leave(work: Work, found: Mapping[str, Sequence[tuple[Part, Result]]], results: Result) -> None:
    """The checkpoint: a whole model, or a base with an adapter for each domain."""
    context, kept = work.context, work.config.kept
    some = [part for part, _ in found[kept]]
    start = {"adapters": work.base, "shared_adapters": None}.get(kept)
    if start is None:
        whole = some[-1].after if kept == "shared_adapters" else some[-1]
        assert whole is not None
        start = work.folder(whole) / CHECKPOINT
    with replacing(context.checkpoint) as temporary:
        for file in sorted(start.iterdir()):
            if file.is_file():
                shutil.copy2(file, temporary / file.name)
        write_json(temporary / lineage.FILE, results["lineage"])
    if not kept.endswith("adapters"):
        return
    for part in some:
        with replacing(new_folder(context.checkpoint, part.row)) as temporary:
            shutil.copytree(work.folder(part) / ADAPTER, temporary, dirs_exist_ok=True)
    if work.config.route and len(some) > 1:
        names = [part.row for part in some]
        told = routing.learnt(work, context.checkpoint, names, own_model=kept == "shared_adapters")
        results["routing"] = told
        if "missing" in told:
            context.tell(f"  no router: {escape(told['missing'])}")
