"""One training of a transfer stage: a part's rows are learnt, and every domain is answered and judged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sixfold.errors import Interrupted
from sixfold.models import adapters, lineage, load, save
from sixfold.models.load import Loaded
from sixfold.score.scorer import Scorer
from sixfold.stages.auditing.figures import headline
from sixfold.stages.context import PART, Context, unmarked, write_json
from sixfold.stages.job import Job, Split, trained
from sixfold.stages.training import device, quicker, training_results
from sixfold.stages.transferring.config import Config
from sixfold.stages.transferring.domains import Domain, Domains, concatenated
from sixfold.stages.transferring.strategies import Part
from sixfold.tasks.contract import Encoded, Task
from sixfold.tasks.registry import settings_of
from sixfold.tasks.text_classification import TextClassification
from sixfold.train import state

Result = dict[str, Any]
ADAPTER, CHECKPOINT = "adapter", "checkpoint"
"""What a part leaves in its folder."""


@dataclass(frozen=True)
class Work:
    """A stage under way.

    Attributes:
        base: where the base lies.
        digest: of the base.
        limit: most tokens of an example.
        encoded: by domain and split.
    """

    config: Config
    context: Context
    domains: Domains
    base: Path
    digest: str
    limit: int
    encoded: Mapping[str, Mapping[str, Encoded]]

    def folder(self, part: Part) -> Path:
        """Where a part's training and what it leaves are kept until the stage is done."""
        return self.context.training / part.name

    def kept(self, task: Task, domain: Domain) -> Result:
        """What a checkpoint or an adapter keeps of the task."""
        return {
            **settings_of(task),
            "columns": domain.prepared.described["columns"],
            "max_tokens": self.limit,
            "on_long": self.config.on_long,
        }


def done(work: Work, part: Part) -> Result:
    """A part's results; it is trained unless that was done before this run was stopped.

    What it leaves for other parts lies in its folder: ``checkpoint`` of a whole model, ``adapter``.

    Raises:
        Interrupted: the user asked to stop. The state is saved, and the parts before are kept.
    """
    folder = work.folder(part)
    note = folder / PART
    if note.is_file():
        return dict(json.loads(note.read_text(encoding="utf-8")))
    work.context.tell(f"  [bold]{part.strategy.replace('_', ' ')}[/], {part.row}")
    job, loaded, adapter, learning = _start(work, part)
    context = replace(work.context, folder=folder)
    if not trained(job, context):
        raise stopped(work.context)
    task, results = _judged(work, part, job.task, loaded)
    told = training_results(context)
    results |= {
        "strategy": part.strategy,
        "row": part.row,
        "learning": learning,
        "parameters": sum(one.numel() for one in loaded.model.parameters()),
        "rows": len(job.examples),
        "training": {name: told[name] for name in ("seconds", "tokens", "best_step", "reason")},
    }
    if adapter is not None and isinstance(adapter, adapters.AdaLora):
        results["ranks"] = adapters.ranks(loaded.model)
    _leave(work, part, task, loaded, adapter)
    state.clear(context.training)
    write_json(note, results)
    if part.strategy == "sequential" and part.after is not None:
        shutil.rmtree(work.folder(part.after) / CHECKPOINT, ignore_errors=True)  # of a sequence the last is kept
    return results


def stopped(context: Context) -> Interrupted:
    """What a stage raises that the user stopped between or within its parts."""
    return Interrupted("stopped; the state is saved", where=context.folder, hint="run the same command to go on")


def _start(work: Work, part: Part) -> tuple[Job, Loaded, adapters.Adapter | None, int]:
    """The model that learns, and on what."""
    config, seed = work.config, work.context.seed
    own = [work.domains.every[name] for name in part.places]
    task = own[0].task
    start = work.base if part.after is None else work.folder(part.after) / CHECKPOINT
    loaded = load(
        start,
        task.head(),
        seed=seed,
        dropout=config.train.dropout,
        attention_dropout=0.0,  # lets attention run in its fused kernel; see docs/results.md
        new_head=part.after is None,
    )
    train, adapter = config.train, None
    learning = sum(one.numel() for one in loaded.model.parameters())
    if part.adapter:
        adapter = config.adapter.new()
        learning = adapters.add(loaded.model, adapter, seed=seed).learning
        train = quicker(train, loaded.model, config.adapter.rate)
    elif not config.train.train_base:
        loaded.model.base_model.requires_grad_(False)
        learning = sum(one.numel() for one in loaded.model.parameters() if one.requires_grad)
    loaded.model.to(device())
    rows = concatenated([_some(domain, part.places[domain.name]) for domain in own], task)
    examples = _examples(work, rows, task, loaded).examples
    splits = {}
    if all("validation" in domain.rows for domain in own):
        held = concatenated([domain.rows["validation"] for domain in own], task)
        splits["validation"] = Split(held, _examples(work, held, task, loaded).examples, lambda *_: None)
    job = Job(
        model=loaded.model,
        tokenizer=loaded.tokenizer,
        task=task,
        train=train,
        examples=examples,
        splits=splits,
        watched="validation" if splits else None,
    )
    return job, loaded, adapter, learning


def _some(domain: Domain, places: list[int] | None) -> Any:
    rows = domain.rows["train"]
    return rows if places is None else rows.select(places)


def _examples(work: Work, rows: Any, task: Task, loaded: Loaded) -> Encoded:
    """Rows whose length was checked when the stage began."""
    on_long = "truncate" if work.config.on_long == "error" else work.config.on_long
    return task.encode(rows, loaded.tokenizer, work.limit, on_long)


def _judged(work: Work, part: Part, task: Task, loaded: Loaded) -> tuple[Task, Result]:
    """What the model says of every domain that it has a head for.

    Thresholds and temperature are set on the validation rows of what it learnt.
    """
    scorer, seed = Scorer(loaded.model), work.context.seed
    own = [work.domains.every[name] for name in part.places]
    if all("validation" in domain.rows for domain in own):
        held = concatenated([domain.rows["validation"] for domain in own], task)
        task = task.tune(task.predict(scorer, _examples(work, held, task, loaded).examples), held)
    cells: Result = {}
    right: dict[str, list[bool]] = {}
    for name, domain in work.domains.every.items():
        if task.head() != domain.task.head():
            continue
        examples = work.encoded[name][domain.split].examples
        predictions = task.predict(scorer, examples)
        found = task.evaluate(predictions, domain.tested, seed=seed)
        cells[name] = found["metrics"]
        if isinstance(task, TextClassification):
            gold = domain.tested[task.target]
            right[name] = [one.labels == (str(label),) for one, label in zip(predictions, gold, strict=True)]
    masked = {domain.name: _masked(work, domain, task, loaded, scorer) for domain in own if domain.prepared.mask}
    figure = headline(task)
    told = "  ".join(f"{name} {cells[name][figure]['value']:.3f}" for name in cells)
    work.context.tell(f"    {figure}: {told}")
    return task, {"cells": cells, "right": right, **({"masked": masked} if masked else {})}


def _masked(work: Work, domain: Domain, task: Task, loaded: Loaded, scorer: Scorer) -> Result:
    """The metrics on a learnt domain's held-out rows whose personal data is replaced as that of its training rows."""
    rows = domain.prepared.masked[domain.split]
    predictions = task.predict(scorer, _examples(work, rows, task, loaded).examples)
    return dict(task.evaluate(predictions, rows, seed=work.context.seed)["metrics"])


def _leave(work: Work, part: Part, task: Task, loaded: Loaded, adapter: adapters.Adapter | None) -> None:
    """Write what other parts, or the stage's checkpoint, need of this one."""
    config, folder = work.config, work.folder(part)
    domain = work.domains.every[next(iter(part.places))]
    if adapter is not None:
        start = work.digest if part.after is None else lineage.digest_folder(work.folder(part.after) / CHECKPOINT)
        base = config.base or "the stage before"
        adapters.save(
            loaded.model,
            adapter,
            folder / ADAPTER,
            base=base,
            base_digest=start,
            kept=work.kept(task, domain),
            rows=len(domain.rows["train"]),
        )
        return
    if part.strategy == "separate":
        return
    history = lineage.build(
        parent=work.digest,
        data=work.domains.digests,
        config=config.model_dump(mode="json"),
        seed=work.context.seed,
        stage="transfer",
        base=config.base or "the stage before",
        strategy=part.strategy,
        data_notes=unmarked(work.domains.told),
    )
    save(loaded.model, loaded.tokenizer, folder / CHECKPOINT, history, extra_config=work.kept(task, domain))


def untrained(work: Work) -> dict[str, float]:
    """By domain, the score of the base with a new head: what forward transfer is measured from."""
    domain = work.domains.learnt[0]
    loaded = load(work.base, domain.task.head(), seed=work.context.seed, new_head=True)
    loaded.model.to(device())
    scorer, found = Scorer(loaded.model), {}
    for name, each in work.domains.every.items():
        if each.task.head() == domain.task.head():
            predictions = domain.task.predict(scorer, work.encoded[name][each.split].examples)
            metrics = domain.task.evaluate(predictions, each.tested, seed=work.context.seed)["metrics"]
            found[name] = float(metrics[headline(domain.task)]["value"])
    return found
