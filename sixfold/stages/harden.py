"""Harden: a fine-tuned checkpoint, to one that errs less under attack, measured on the same rows before and after.

The keys are in ``harden_config.py``, the attacks in ``attacked.py``, the examples that training gets beside the rows
in ``further.py``, and what before and after say together in ``harden_results.py``.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from sixfold.attack.building import Attack
from sixfold.attack.goals import goal_for
from sixfold.attack.run import sampled
from sixfold.attack.similarity import Encoder
from sixfold.data.examples import Examples
from sixfold.data.partition import digest
from sixfold.models import lineage, load, save
from sixfold.models.load import Loaded
from sixfold.score.subject import Subject
from sixfold.stages.attacked import Bench, Measured, attacks_by_name, seconds_of, with_weights
from sixfold.stages.context import Context, unmarked
from sixfold.stages.further import Adversarial, Augmented, Further, Maker, augmenter
from sixfold.stages.harden_config import Config, trained_with
from sixfold.stages.harden_inputs import Prepared, prepare
from sixfold.stages.harden_results import compared, refusal, robustness, told
from sixfold.stages.job import Job, Split, trained
from sixfold.stages.labelled import (
    data_results,
    encoded,
    judged,
    mask_results,
    masked_evaluations,
    write_predictions,
)
from sixfold.stages.rows import Prepared as Rows
from sixfold.stages.training import device, training_results
from sixfold.stages.voting import voting
from sixfold.stages.words import words_for
from sixfold.tasks.contract import Encoded, Task
from sixfold.tasks.registry import settings_of
from sixfold.text.counting import counted
from sixfold.train import state
from sixfold.train.words import Words

__all__ = ["LEAVES", "VERSION", "Config", "Prepared", "job", "prepare", "run"]

VERSION = 1
"""Raised when the stage computes something else from the same inputs, so that finished runs are done again."""
LEAVES = "checkpoint"
"""What stands in the stage's folder when it is done."""


@dataclass(frozen=True)
class _Work:
    """A stage under way: what has been decided before training."""

    config: Config
    context: Context
    prepared: Prepared
    loaded: Loaded
    subject: Subject
    encoded: dict[str, Encoded]
    bench: Bench
    further: Further | None
    words: Words


def run(config: Config, context: Context, prepared: Prepared) -> dict[str, Any] | None:
    """Attack, train, attack again, and save if the score on held-out rows has held. None when the user stopped it."""
    for line in prepared.rows.told:
        context.tell(f"  {line}")
    work = _start(config, context, prepared)
    before = _measured(work, work.subject, "before")
    if not trained(_job(work), context):
        return None
    results = _finish(work, before)
    state.clear(context.training)
    return results


def _start(config: Config, context: Context, prepared: Prepared) -> _Work:
    names = dict.fromkeys([*prepared.attacks, *([config.renew.attack] if config.renew else [])])
    built, encoder = attacks_by_name(names, prepared.task, config.words)
    loaded = load(
        prepared.folder,
        prepared.task.head(),
        seed=context.seed,
        dropout=config.train.dropout,
        attention_dropout=0.0,  # lets attention run in its fused kernel; see docs/results.md
    )
    if not config.train.train_base:
        loaded.model.base_model.requires_grad_(False)
    for line in loaded.notes:
        context.tell(f"  {line}")
    loaded.model.to(device())
    subject = Subject.of(loaded, prepared.folder)
    rows = prepared.rows
    hint = f"the checkpoint refuses longer texts; tune one with on_long: truncate or window ({prepared.folder})"
    examples = encoded(subject.task, rows, subject.tokenizer, subject.limit, subject.on_long, hint=hint)
    for split, part in examples.items():
        context.tell(f"  {part.cut.told(split)}")
    bench = _bench(config, context, prepared, [built[name] for name in prepared.attacks], encoder)
    further = _further(config, context, rows, subject, examples["train"].examples, built)
    words = words_for(config.train, rows, examples["train"].examples, loaded.model, subject.tokenizer, context)
    return _Work(config, context, prepared, loaded, subject, examples, bench, further, words)


def _bench(
    config: Config, context: Context, prepared: Prepared, attacks: Sequence[Attack], encoder: Encoder | None
) -> Bench:
    """The rows that are attacked, before and after."""
    rows, task = prepared.rows.rows[prepared.split], prepared.task
    chosen = rows.select([row.number for row in sampled(rows, task, config.examples, context.seed)])
    roles = [column.role for column in task.columns]
    return Bench(
        chosen,
        digest(chosen, roles),
        tuple(attacks),
        config.budget,
        context.seed,
        encoder,
        context.tell,
        context.stop,
    )


def _further(
    config: Config, context: Context, rows: Rows, subject: Subject, given: Examples, built: Mapping[str, Attack]
) -> Further | None:
    """What makes examples beside the rows for each epoch, if the recipe wants any."""
    makers: list[Maker] = []
    train = rows.rows["train"]
    if (wanted := config.augment) is not None:
        made = augmenter(wanted.method, config.words, rows.described["languages"]["train"])
        makers.append(Augmented(made, subject.task, train, wanted.times, context.seed))
    if (renew := config.renew) is not None:
        how = built[renew.attack]
        makers.append(Adversarial(subject, train, how, renew.examples, renew.budget, context.seed, context.stop))
    return Further(tuple(makers), subject, given) if makers else None


def job(config: Config, context: Context, prepared: Prepared) -> Job:
    """All that comes before training but the attacks, done; what is left is to train."""
    return _job(_start(config, context, prepared))


def _job(work: _Work) -> Job:
    task, rows = work.subject.task, work.prepared.rows.rows

    def judge(predictions: list[Any], of: Any) -> object:
        return task.evaluate(predictions, of, seed=work.context.seed)

    again = 1 if work.prepared.rows.masked else 0  # the same rows masked
    splits = {
        name: Split(
            rows[name],
            part.examples,
            judge,
            answered=(3 if name == "validation" else 2) + again,
            judged=2 + again,
        )
        for name, part in work.encoded.items()
        if name != "train"
    }
    chosen = {"metric", "patience"} & work.config.train.model_fields_set
    return Job(
        model=work.loaded.model,
        tokenizer=work.loaded.tokenizer,
        task=task,
        train=work.config.train,
        examples=work.encoded["train"].examples,
        splits=splits,
        # The best score on rows as they are would choose the weights that have changed least.
        watched="validation" if chosen and "validation" in splits else None,
        renew=work.further,
        words=work.words,
        kept=_kept(work, task),
        besides=lambda enough: _attacking(work, enough),
    )


def _attacking(work: _Work, enough: float) -> tuple[float, float]:
    """Seconds of the attacks before and after, and of those before each epoch."""
    bench = work.bench
    fixed = sum(seconds_of(work.subject, bench.rows, how, bench.budget, enough) for how in bench.attacks)
    each_epoch = 0.0 if work.further is None else work.further.seconds(enough)
    return fixed * (1 + (work.config.votes or 1)), each_epoch


def _kept(work: _Work, task: Task) -> dict[str, Any]:
    """What the checkpoint keeps of the task."""
    return {
        **settings_of(task),
        "columns": work.prepared.rows.described["columns"],
        "max_tokens": work.subject.limit,
        "on_long": work.subject.on_long,
        **({} if (voting := work.config.voting) is None else {"votes": voting.to_dict()}),
    }


def _measured(work: _Work, subject: Subject, when: Literal["before", "after"]) -> Measured:
    context, bench = work.context, work.bench
    context.tell(f"  {when} training:")
    clean = judged(
        subject.task,
        subject.scorer.bare(),
        work.prepared.rows,
        work.encoded,
        seed=context.seed,
        tune=when == "after",
        tell=context.tell,
    )
    names = ", ".join(how.name for how in bench.attacks)
    context.tell(f"  attacking {counted(len(bench.rows), 'row')} of {work.prepared.split} by {names}")
    subject = replace(subject, task=clean.task)  # type: ignore[arg-type]  # a subject's task was checked
    return Measured(subject, clean, bench.attacked(subject, context.folder / "attacks" / when))


def _finish(work: _Work, before: Measured) -> dict[str, Any]:
    """Calibrate, measure again, and write the checkpoint unless the clean score fell too far."""
    config, context, prepared = work.config, work.context, work.prepared
    model = work.loaded.model
    after = _measured(work, with_weights(work.subject, model, _digest(model), voting=config.voting), "after")
    write_predictions(context, after.clean, prepared.rows)
    masked = masked_evaluations(
        after.clean,
        after.subject.scorer.bare(),
        prepared.rows,
        work.subject.tokenizer,
        work.subject.limit,
        work.subject.on_long,
        seed=context.seed,
        tell=context.tell,
    )
    rows, split = prepared.rows.rows[prepared.split], prepared.split
    found = compared(before, after, rows, split, config=config, seed=context.seed)
    for line in told(found):
        context.tell(f"  {line}")
    share = config.train.mask_share
    votes = voting(after.subject, after.attacked, share, context.seed) if share and config.votes is None else None
    refused = refusal(found, config.max_clean_loss)
    evaluations = after.clean.evaluations
    history = lineage.build(
        parent=work.loaded.digest,
        data=prepared.digests,
        config=config.model_dump(mode="json"),
        seed=context.seed,
        metrics={split: result["metrics"] for split, result in evaluations.items()},
        robustness=robustness(found),
        stage="harden",
        base=config.base or "the stage before",
        data_notes=unmarked(prepared.rows.told),
    )
    if refused is None:
        kept = _kept(work, after.clean.task)
        save(work.loaded.model, work.loaded.tokenizer, context.checkpoint, history, extra_config=kept)
    else:
        shutil.rmtree(context.checkpoint, ignore_errors=True)  # of an earlier recipe: it would pass for this one's
    return {
        "stage": "harden",
        "name": context.folder.name,
        "task": after.clean.task.name,
        "base": history["base"],
        "parameters": sum(p.numel() for p in work.loaded.model.parameters()),
        "refused": refused,
        "hardening": {
            **found,
            "goal": goal_for(before.subject.task).what,
            "trained_with": trained_with(config),
            "max_clean_loss": config.max_clean_loss,
            "votes": votes,
            "voting": None if config.voting is None else config.voting.to_dict(),
        },
        "data": data_results(prepared.rows, work.encoded, work.subject.on_long)
        | mask_results(after.clean, masked, prepared.rows),
        "training": training_results(context),
        "evaluations": evaluations,
        **({"masked_evaluations": masked} if masked else {}),
        "lineage": history,
    }


def _digest(model: Any) -> str:
    """SHA-256 of a model's weights."""
    total = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        total.update(name.encode())
        total.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
