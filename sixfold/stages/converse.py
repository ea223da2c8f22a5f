"""Converse: a decoder learns to answer in conversations, or which answers are better; measured before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.markup import escape

from sixfold.data.conversations import THREAD, message
from sixfold.errors import DataError, UsageError
from sixfold.generate.torch_engine import TorchEngine
from sixfold.models import adapters, lineage, load, save
from sixfold.models.adapters import Lora
from sixfold.models.load import Loaded
from sixfold.models.resolve import resolve
from sixfold.score.scorer import Scorer
from sixfold.stages.context import Context, unmarked
from sixfold.stages.converse_config import Config
from sixfold.stages.conversing.evaluation import evaluated
from sixfold.stages.conversing.samples import answered
from sixfold.stages.job import Job, Split, trained
from sixfold.stages.labelled import Judged, data_results, encoded, mask_results, masked_evaluations
from sixfold.stages.rows import Prepared, held_out, prepare_rows
from sixfold.stages.training import device, headline, quicker, training_results
from sixfold.tasks.chat_template import TEMPLATES, ChatTemplate
from sixfold.tasks.contract import Encoded
from sixfold.tasks.dialogue import PROVED, Dialogue, prove, prove_rows
from sixfold.tasks.preference import Preference
from sixfold.train import state
from sixfold.train.config import TrainConfig

__all__ = ["LEAVES", "VERSION", "Config", "Prepared", "job", "prepare", "run"]

VERSION = 1
"""Raised when the stage computes something else from the same inputs, so that finished runs are done again."""
LEAVES = "checkpoint"
"""What stands in the stage's folder when it is done."""
ADAPTER = "adapter"
"""Where the updates alone are kept, beside the checkpoint in which they are merged."""
LORA_RATE = 10
"""How many times a whole model's learning rate low-rank updates get (Schulman et al. 2025, "LoRA Without Regret")."""


@dataclass(frozen=True)
class _Work:
    """A stage under way: what has been decided before training."""

    config: Config
    context: Context
    rows: Prepared
    task: Dialogue | Preference
    loaded: Loaded
    template: ChatTemplate
    encoded: dict[str, Encoded]
    train: TrainConfig
    lora: Lora | None
    learning: int
    proof: Mapping[str, Any]


def prepare(config: Config, context: Context) -> Prepared:
    """Read, check and split. Raises before any training; the digests decide whether the stage is skipped.

    Conversations that begin alike stay in one split.
    """
    data = config.data if config.data.group else config.data.model_copy(update={"group": THREAD})
    prepared = prepare_rows(data, config.new_task().columns, seed=context.seed)
    base = lineage.digest_folder(resolve(_base(config, context)).folder)
    return replace(prepared, digests={**prepared.digests, "base": base})


def _base(config: Config, context: Context) -> Any:
    if config.base is not None:
        return config.base
    if context.parent is None:
        raise UsageError("there is no model that could converse", where="converse", hint="set base: smollm2-135m")
    return context.parent


def run(config: Config, context: Context, prepared: Prepared) -> dict[str, Any] | None:
    """Measure, train, measure again, save. None when the user stopped it (the state is saved)."""
    for line in prepared.told:
        context.tell(f"  {line}")
    work = _start(config, context, prepared)
    before = _measured(work, "before")
    if not trained(_job(work), context):
        return None
    results = _finish(work, before)
    state.clear(context.training)
    return results


def _start(config: Config, context: Context, prepared: Prepared) -> _Work:
    loaded = _load(config, context)
    template = ChatTemplate(loaded.tokenizer)
    task = config.new_task().fitted(loaded.tokenizer)
    proof = _proved(task, template, prepared, context)
    most = loaded.tokenizer.model_max_length
    if config.context is not None and config.context > most:
        raise UsageError(
            f"context is {config.context:,}, and the base reads {most:,} tokens at most",
            where="context",
            hint=f"set context to {most} or less, or leave it out",
        )
    hint = "set on_long: split (between rounds) or on_long: truncate (keep the start)"
    found = encoded(task, prepared, loaded.tokenizer, config.context or most, config.cut, hint=hint)
    for split, part in found.items():
        context.tell(f"  {part.cut.told(split)}")
    if not len(found["train"].examples):
        raise DataError("nothing is left to learn from: every conversation is too long, or has no answer")
    loaded.model.to(device())
    if isinstance(task, Preference):
        scorer = Scorer(loaded.model)
        found = {split: replace(part, examples=task.prepare(scorer, part.examples)) for split, part in found.items()}
        context.tell("  what the base thinks of every pair was computed once: it is the reference")
    lora, learning = None, sum(p.numel() for p in loaded.model.parameters())
    train = config.train
    if config.lora is not None:
        given = config.lora
        lora = Lora(given.rank, given.alpha or 2 * given.rank, tuple(given.targets))
        added = adapters.add(loaded.model, lora, seed=context.seed, head=False)
        learning = added.learning
        loaded.model.to(device())
        context.tell(f"  {learning:,} numbers of low-rank updates learn ({learning / added.whole:.2%} of the model)")
        train = quicker(train, loaded.model, LORA_RATE)
        if config.train.learning_rate is None:
            told = f"{LORA_RATE} times that of a whole model: low-rank updates"
            context.tell(f"  learning rate: {train.learning_rate:.3g} ({told})")
    return _Work(config, context, prepared, task, loaded, template, found, train, lora, learning, proof)


def _load(config: Config, context: Context) -> Loaded:
    loaded = load(_base(config, context), config.new_task().head(), seed=context.seed, dropout=config.train.dropout)
    if config.template != "own":
        loaded.tokenizer.chat_template = TEMPLATES[config.template]
    for line in loaded.notes:
        context.tell(f"  {line}")
    return loaded


def _proved(
    task: Dialogue | Preference, template: ChatTemplate, prepared: Prepared, context: Context
) -> Mapping[str, Any]:
    """Hold the masks of the first conversations against their text.

    Raises:
        ModelError: something else than the answers would be learnt.
    """
    rows = prepared.rows["train"]
    if isinstance(task, Preference):
        some = zip(rows["messages"][:PROVED], rows["chosen"][:PROVED], strict=True)
        proof = prove(template, [([*messages, message("assistant", answer)], None) for messages, answer in some])
    else:
        proof = prove_rows(template, rows)
    context.tell(f"  {proof.told()}")
    return asdict(proof)


def job(config: Config, context: Context, prepared: Prepared) -> Job:
    """All that comes before training, done; what is left is to train."""
    return _job(_start(config, context, prepared))


def _job(work: _Work) -> Job:
    def judge(predictions: list[Any], rows: Any) -> object:
        return work.task.evaluate(predictions, rows, seed=work.context.seed)

    splits = {
        name: Split(work.rows.rows[name], part.examples, judge, answered=2, judged=2)
        for name, part in work.encoded.items()
        if name != "train"
    }
    return Job(
        model=work.loaded.model,
        tokenizer=work.loaded.tokenizer,
        task=work.task,
        train=work.train,
        examples=work.encoded["train"].examples,
        splits=splits,
        watched="validation" if "validation" in splits else None,
        kept=_kept(work),
    )


def _kept(work: _Work) -> dict[str, Any]:
    """What the checkpoint keeps in its configuration."""
    return {"converse": {"objective": work.config.objective, "stops": list(work.proof["stops"])}}


def _measured(work: _Work, when: str) -> dict[str, Any]:
    """The model on what is held out: figures by split, and what it answers."""
    scorer, seed = Scorer(work.loaded.model), work.context.seed
    evaluations: dict[str, Any] = {}
    for split, part in work.encoded.items():
        if split == "train":
            continue
        rows = work.rows.rows[split]
        task: Any = work.task
        found = task.evaluate(task.predict(scorer, part.examples), rows, seed=seed)
        evaluations[split] = {"kind": "language" if isinstance(work.task, Dialogue) else "preference", **found}
        work.context.tell(f"  {split}, {when}: {headline(found)}")
    split = held_out(work.rows)
    rows = work.rows.rows[split]
    engine = TorchEngine(work.loaded.model, work.loaded.tokenizer)
    dialogue: dict[str, Any] = {}
    if isinstance(work.task, Dialogue):
        dialogue = evaluated(
            engine, scorer, work.template, rows, work.config.evaluation, seed=seed, tell=work.context.tell
        )
    shown = answered(
        engine, work.template, rows, work.config.samples, new_tokens=work.config.evaluation.new_tokens, seed=seed
    )
    return {"evaluations": evaluations, "dialogue": dialogue, "samples": shown, "split": split}


def _masked(work: _Work, evaluations: Mapping[str, Any]) -> dict[str, Any]:
    """What was masked, and the model on what is held out, as it is and masked alike; empty without a mask."""
    if work.rows.mask is None:
        return {}
    task: Any = work.task
    scorer, tokenizer, seed = Scorer(work.loaded.model), work.loaded.tokenizer, work.context.seed
    limit = work.config.context or tokenizer.model_max_length
    if isinstance(task, Preference):
        # What its reference says of masked pairs is gone: the base has learnt since.
        return {"masked": work.rows.described["masked"]}
    done = Judged(task, {}, dict(evaluations))
    tell = work.context.tell
    found = masked_evaluations(done, scorer, work.rows, tokenizer, limit, work.config.cut, seed=seed, tell=tell)
    return mask_results(done, found, work.rows)


def _finish(work: _Work, before: dict[str, Any]) -> dict[str, Any]:
    """Merge what was learnt, measure, write the checkpoint."""
    context, model, tokenizer = work.context, work.loaded.model, work.loaded.tokenizer
    folder = context.folder / ADAPTER
    if work.lora is not None:
        base, digest = str(work.config.base or "the stage before"), work.loaded.digest
        adapters.save(model, work.lora, folder, base=base, base_digest=digest, kept=_kept(work))
        adapters.merge(model)
    model.requires_grad_(True)
    after = _measured(work, "after")
    metrics = {split: result["metrics"] for split, result in after["evaluations"].items()}
    history = lineage.build(
        parent=work.loaded.digest,
        data=work.rows.digests,
        config=work.config.model_dump(mode="json"),
        seed=context.seed,
        metrics=metrics,
        stage="converse",
        base=work.config.base or "the stage before",
        data_notes=unmarked(work.rows.told),
    )
    masked = _masked(work, after["evaluations"])
    samples = _side_by_side(before["samples"], after["samples"])
    for line in _shown(samples):
        context.tell(line)
    _stops(model, tokenizer, work)
    save(model, tokenizer, context.checkpoint, history, extra_config=_kept(work))
    return {
        "stage": "converse",
        "name": context.folder.name,
        "task": work.task.name,
        "base": history["base"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "learning": work.learning,
        "lora": None if work.lora is None else asdict(work.lora),
        "proof": dict(work.proof),
        "data": data_results(work.rows, work.encoded, work.config.cut) | masked,
        "training": training_results(context),
        "before": before,
        "evaluations": after["evaluations"],
        "dialogue": after["dialogue"],
        "samples": samples,
        "split": after["split"],
        "lineage": history,
    }


def _stops(model: Any, tokenizer: Any, work: _Work) -> None:
    """Engines stop at what the checkpoint names as an end: what was learnt as one has to be among it."""
    ids = tokenizer.convert_tokens_to_ids(list(work.proof["stops"]))
    if model.generation_config is not None:
        model.generation_config.eos_token_id = sorted({*ids, int(tokenizer.eos_token_id)})


def _shown(samples: list[dict[str, Any]]) -> Iterator[str]:
    """The first sample, for a person who watches."""
    for one in samples[:1]:
        yield "  a held-out conversation:"
        for turn in one["messages"]:
            yield f"    [dim]{turn['role']}:[/] {escape(turn['content'] or '')}"
        for when in ("before", "after"):
            yield f"    [bold]assistant, {when}:[/] {escape(one[when])}"


def _side_by_side(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"messages": one["messages"], "truth": one["truth"], "before": one["answer"], "after": two["answer"]}
        for one, two in zip(before, after, strict=True)
    ]
