"""Fine-tune: a base, a task head and labelled rows, to a checkpoint that is evaluated and calibrated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from sixfold.errors import UsageError, nearest
from sixfold.models import lineage, load, save
from sixfold.models.load import Loaded
from sixfold.models.shapes import forgets_case, has_types, widen
from sixfold.safety.canaries import Plan
from sixfold.score.scorer import Scorer
from sixfold.stages.context import NAME, Context, unmarked
from sixfold.stages.job import Job, Split, trained
from sixfold.stages.labelled import (
    data_results,
    encoded,
    judged,
    limit_of,
    mask_results,
    masked_evaluations,
    write_predictions,
)
from sixfold.stages.planted import CanaryConfig, plan_of, planted
from sixfold.stages.planted import told as planted_told
from sixfold.stages.rows import DataConfig, Prepared, prepare_rows
from sixfold.stages.training import device, training_results
from sixfold.stages.words import words_for
from sixfold.tasks.contract import Encoded, OnLong, Task
from sixfold.tasks.embedding import Embedding
from sixfold.tasks.registry import full_name, settings_of, task_class
from sixfold.tasks.token_classification import TokenClassification
from sixfold.train import state
from sixfold.train.config import TrainConfig
from sixfold.train.words import Words

VERSION = 2
"""Raised when the stage computes something else from the same inputs, so that finished runs are done again."""
LEAVES = "checkpoint"
"""What stands in the stage's folder when it is done."""
_CONVERSE = ("dialogue", "preference")
"""Tasks of another stage."""


class ScratchConfig(BaseModel):
    """A small encoder of random weights, with a tokenizer of the training text's characters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Literal["tiny", "mini", "small"] = Field("tiny", description="Layers and width; the larger, the slower.")


class Config(BaseModel):
    """What a recipe says of a finetune stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(None, pattern=NAME, description="Names the stage's folder.")
    task: str = Field(description="text_classification (classify), token_classification (entities) or embedding.")
    base: str | None = Field(
        None, description="Catalogue name, folder, or hf:owner/name. Left out: the checkpoint of the stage before."
    )
    scratch: ScratchConfig | None = Field(None, description="In place of a base: a new small encoder.")
    data: DataConfig
    train: TrainConfig = TrainConfig()
    max_tokens: PositiveInt | None = Field(None, description="Longest example. Left out: the base's own limit.")
    on_long: OnLong = Field("error", description="A text over the limit: error, truncate (keep its start), window.")
    several: bool = Field(False, description="A text may have several labels, or none.")
    word_shapes: bool = Field(True, description="Entities: give a base that forgets capitals the shapes of words.")
    class_weights: Literal["balanced"] | None = Field(None, description="balanced: rare classes weigh more.")
    canaries: CanaryConfig | None = Field(
        None, description="Plant secrets among the training rows; an audit then tells how far they can be got out."
    )
    abstain_below: float | None = Field(None, ge=0, le=1, description="No answer with a confidence under this.")

    @model_validator(mode="after")
    def _whole(self) -> Config:
        if self.base is not None and self.scratch is not None:
            raise ValueError("base and scratch exclude each other")
        options = sorted(self._options())
        if options and self.task != "text_classification":
            raise ValueError(f"{', '.join(options)} only fits text_classification, and the task is {self.task}")
        if self.train.mixup and self.task != "text_classification":
            raise ValueError(f"mixup (train.mixup) only fits text_classification, and the task is {self.task}")
        if self.train.synonym_encoding and self.task == "embedding":
            raise ValueError("synonym_encoding (train.synonym_encoding) is for classifiers, and the task is embedding")
        if self.train.muon_rate is not None and self.train.optimiser != "muon":
            raise ValueError("muon_rate (train.muon_rate) is for optimiser: muon")
        metric, known = self.train.metric, self.new_task().score_names
        if metric is not None and metric not in known:
            best = nearest(metric, known)
            advice = f"did you mean {best!r}?" if best else f"known here: {', '.join(known)}"
            raise ValueError(f"there is no metric {metric!r} (train.metric) for {self.task}; {advice}")
        return self

    @field_validator("task")
    @classmethod
    def _known(cls, name: str) -> str:
        """The full name, so that a short one makes the same run."""
        try:
            found = full_name(name)
        except UsageError as error:
            advice = f"did you mean {error.nearest!r}?" if error.nearest else error.hint
            raise ValueError(f"{error.what}; {advice}") from None
        if found in _CONVERSE:
            raise ValueError(f"{found} is learnt by the stage converse")
        return found

    def _options(self) -> dict[str, Any]:
        """What only a classifier is told."""
        options = {key: value for key in ("several", "class_weights", "abstain_below") if (value := getattr(self, key))}
        return {**options, "several": True} if "labels" in self.data.columns else options

    def new_task(self) -> Task:
        """The task before it has seen rows."""
        if self.task == "embedding":
            return Embedding(labelled="label" in self.data.columns)
        return task_class(self.task)(**self._options())


@dataclass(frozen=True)
class _Work:
    """A stage under way: what has been decided before training."""

    config: Config
    context: Context
    rows: Prepared
    task: Task
    loaded: Loaded
    encoded: dict[str, Encoded]
    canaries: Plan | None
    words: Words


def prepare(config: Config, context: Context) -> Prepared:
    """Read and check the rows. Raises before any compute; the digests decide whether the stage is skipped."""
    task = config.new_task()
    prepared = prepare_rows(config.data, task.columns, seed=context.seed)
    return replace(prepared, digests={**prepared.digests, "base": _parent_digest(config, context)})


def _parent_digest(config: Config, context: Context) -> str:
    if config.scratch is not None:
        return "scratch"
    ref = _base(config, context)
    from sixfold.models.resolve import resolve

    return lineage.digest_folder(resolve(ref).folder)


def _base(config: Config, context: Context) -> Any:
    if config.base is not None:
        return config.base
    if context.parent is None:
        raise UsageError(
            "there is nothing to fine-tune", where="finetune", hint="set base: minilm-l6, or scratch: {size: tiny}"
        )
    return context.parent


def run(config: Config, context: Context, prepared: Prepared) -> dict[str, Any] | None:
    """Train, calibrate, evaluate, save. None when the user stopped it (the state is saved)."""
    for line in prepared.told:
        context.tell(f"  {line}")
    work = _start(config, context, prepared)
    if not trained(_job(work), context):
        return None
    results = _finish(work)
    state.clear(context.training)
    return results


def _start(config: Config, context: Context, prepared: Prepared) -> _Work:
    task = config.new_task().learn(prepared.rows["train"])
    loaded = _load(config, context, task, prepared)
    task = _with_shapes(config, context, task, loaded)
    loaded.model.to(device())
    plan = _canaries(config, context, task, prepared, loaded)
    encoded = _encoded(config, task, prepared if plan is None else planted(prepared, plan, task), loaded)
    for split, part in encoded.items():
        context.tell(f"  {part.cut.told(split)}")
    if plan is not None:
        context.tell(f"  {planted_told(plan, task, prepared.mask, 'training rows')}")
    words = words_for(config.train, prepared, encoded["train"].examples, loaded.model, loaded.tokenizer, context)
    return _Work(config, context, prepared, task, loaded, encoded, plan, words)


def _canaries(config: Config, context: Context, task: Task, prepared: Prepared, loaded: Loaded) -> Plan | None:
    if config.canaries is None:
        return None
    languages, limit = prepared.described["languages"]["train"], _limit(config, loaded)
    return plan_of(config.canaries, languages, task, loaded.tokenizer, limit, context.seed)


def _limit(config: Config, loaded: Loaded) -> int:
    return limit_of(config.max_tokens, loaded.tokenizer.model_max_length)


def _encoded(config: Config, task: Task, prepared: Prepared, loaded: Loaded) -> dict[str, Encoded]:
    """The examples of every split.

    Raises:
        UsageError: the recipe asks for longer examples than the base reads.
        DataError: texts are too long, and the recipe does not say what to do with them.
    """
    hint = "set on_long: truncate (keep the start) or on_long: window (split into overlapping windows)"
    return encoded(task, prepared, loaded.tokenizer, _limit(config, loaded), config.on_long, hint=hint)


def _load(config: Config, context: Context, task: Task, prepared: Prepared) -> Loaded:
    if config.scratch is not None:
        return _from_scratch(config.scratch, context, task, prepared)
    train = config.train
    loaded = load(
        _base(config, context),
        task.head(),
        seed=context.seed,
        dropout=train.dropout,
        attention_dropout=0.0,  # lets attention run in its fused kernel; see docs/results.md
        new_head=True,
    )
    if not train.train_base:
        loaded.model.base_model.requires_grad_(False)
    for line in (*loaded.notes, f"new weights: {', '.join(loaded.new_weights) or 'none'}"):
        context.tell(f"  {line}")
    return loaded


def _with_shapes(config: Config, context: Context, task: Task, loaded: Loaded) -> Task:
    """Bring capitals back as token types where names are looked for and the tokenizer forgets them."""
    if not (isinstance(task, TokenClassification) and not task.characters and config.word_shapes):
        return task
    if not (forgets_case(loaded.tokenizer) and has_types(loaded.model)):
        return task
    widen(loaded.model)
    context.tell("  the tokenizer forgets capitals: words' shapes go in as token types")
    return replace(task, shapes=True)


def _from_scratch(config: ScratchConfig, context: Context, task: Task, prepared: Prepared) -> Loaded:
    from sixfold.models.resolve import Source
    from sixfold.models.scratch import character_tokenizer, encoder

    texts = _texts(prepared)
    tokenizer = character_tokenizer(texts)
    model = encoder(config.size, tokenizer, task.head(), seed=context.seed)
    parameters = sum(p.numel() for p in model.parameters())
    context.tell(f"  a new {config.size} encoder: {parameters:,} parameters, {len(tokenizer):,} characters")
    return Loaded(model, tokenizer, "scratch", Source("scratch", "folder", context.folder, ()), (), ())


def _texts(prepared: Prepared) -> Iterator[str]:
    train = prepared.rows["train"]
    if "words" in train.column_names:
        return (" ".join(words) for words in train["words"])
    return iter(train["text"])


def job(config: Config, context: Context, prepared: Prepared) -> Job:
    """All that comes before training, done; what is left is to train."""
    return _job(_start(config, context, prepared))


def _job(work: _Work) -> Job:
    def judge(predictions: list[Any], rows: Any) -> object:
        return work.task.evaluate(predictions, rows, seed=work.context.seed)

    def judge_tuned(predictions: list[Any], rows: Any) -> object:
        return work.task.tune(predictions, rows).evaluate(predictions, rows, seed=work.context.seed)

    again = 1 if work.rows.masked else 0  # the same rows masked
    splits = {
        name: Split(work.rows.rows[name], part.examples, judge_tuned, answered=2 + again, judged=1 + again)
        if name == "validation"
        else Split(work.rows.rows[name], part.examples, judge, answered=1 + again, judged=1 + again)
        for name, part in work.encoded.items()
        if name != "train"
    }
    return Job(
        model=work.loaded.model,
        tokenizer=work.loaded.tokenizer,
        task=work.task,
        train=work.config.train,
        examples=work.encoded["train"].examples,
        splits=splits,
        watched="validation" if "validation" in splits else None,
        words=work.words,
        kept=_kept(work, work.task),
    )


def _kept(work: _Work, task: Task) -> dict[str, Any]:
    """What the checkpoint keeps of the task."""
    return {
        **settings_of(task),
        "columns": work.rows.described["columns"],
        "max_tokens": work.encoded["train"].cut.limit,
        "on_long": work.config.on_long,
    }


def _finish(work: _Work) -> dict[str, Any]:
    """Calibrate on validation, evaluate what is held out, write the checkpoint."""
    context, model = work.context, work.loaded.model
    scorer = Scorer(model)
    done = judged(work.task, scorer, work.rows, work.encoded, seed=context.seed, tune=True, tell=context.tell)
    write_predictions(context, done, work.rows)
    masked = masked_evaluations(
        done,
        scorer,
        work.rows,
        work.loaded.tokenizer,
        work.encoded["train"].cut.limit,
        work.config.on_long,
        seed=context.seed,
        tell=context.tell,
    )
    history = lineage.build(
        parent=None if work.config.scratch else work.loaded.digest,
        data=work.rows.digests,
        config=work.config.model_dump(mode="json"),
        seed=context.seed,
        metrics={split: result["metrics"] for split, result in done.evaluations.items()},
        stage="finetune",
        base=work.config.base or ("scratch" if work.config.scratch else "the stage before"),
        data_notes=unmarked(work.rows.told),
        **({} if work.canaries is None else {"canaries": work.canaries.to_dict()}),
    )
    save(model, work.loaded.tokenizer, context.checkpoint, history, extra_config=_kept(work, done.task))
    return {
        "stage": "finetune",
        "name": context.folder.name,
        "task": done.task.name,
        "base": history["base"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "data": data_results(work.rows, work.encoded, work.config.on_long) | mask_results(done, masked, work.rows),
        "training": training_results(context),
        "evaluations": done.evaluations,
        **({"masked_evaluations": masked} if masked else {}),
        "scoring": asdict(scorer.ledger),
        "lineage": history,
    }
