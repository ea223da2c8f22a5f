"""Fine-tune: a base, a task head and labelled rows, to a checkpoint that is evaluated and calibrated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from sixfold.data import partition
from sixfold.errors import DataError, UsageError, nearest
from sixfold.fetch.folders import PRIVATE, write_lines
from sixfold.models import lineage, load, save
from sixfold.models.load import Loaded
from sixfold.models.shapes import forgets_case, has_types, widen
from sixfold.score.scorer import Scorer
from sixfold.stages.context import NAME, Context
from sixfold.stages.job import Job, Split, training
from sixfold.stages.rows import DataConfig, Prepared, prepare_rows
from sixfold.stages.training import device, headline, quantiles, training_results
from sixfold.tasks.contract import Cut, Encoded, OnLong, Task
from sixfold.tasks.registry import full_name, settings_of, task_class
from sixfold.tasks.token_classification import TokenClassification
from sixfold.text.counting import counted
from sixfold.train import state
from sixfold.train.config import TrainConfig
from sixfold.train.events import Stopped
from sixfold.train.tracking import tracked

VERSION = 1
"""Raised when the stage computes something else from the same inputs, so that finished runs are done again."""
SHOWN = 5
"""Places of long rows that an error names."""


class ScratchConfig(BaseModel):
    """A small encoder of random weights, with a tokenizer of the training text's characters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Literal["tiny", "mini", "small"] = Field("tiny", description="Layers and width; the larger, the slower.")


class Config(BaseModel):
    """What a recipe says of a finetune stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(None, pattern=NAME, description="Names the stage's folder.")
    task: str = Field(description="text_classification (classify) or token_classification (entities).")
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
            return full_name(name)
        except UsageError as error:
            advice = f"did you mean {error.nearest!r}?" if error.nearest else error.hint
            raise ValueError(f"{error.what}; {advice}") from None

    def _options(self) -> dict[str, Any]:
        """What only a classifier is told."""
        options = {key: value for key in ("several", "class_weights", "abstain_below") if (value := getattr(self, key))}
        return {**options, "several": True} if "labels" in self.data.columns else options

    def new_task(self) -> Task:
        """The task before it has seen rows."""
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
    events = tracked(training(_job(work), context), context.training)
    reason = ""
    for event in context.watch(events):
        if isinstance(event, Stopped):
            reason = event.reason
    if reason == "interrupted":
        return None
    results = _finish(work)
    state.clear(context.training)
    return results


def _start(config: Config, context: Context, prepared: Prepared) -> _Work:
    task = config.new_task().learn(prepared.rows["train"])
    loaded = _load(config, context, task, prepared)
    task = _with_shapes(config, context, task, loaded)
    loaded.model.to(device())
    encoded = _encoded(config, task, prepared, loaded)
    for split, part in encoded.items():
        context.tell(f"  {_cut_line(split, part.cut)}")
    return _Work(config, context, prepared, task, loaded, encoded)


def _encoded(config: Config, task: Task, prepared: Prepared, loaded: Loaded) -> dict[str, Encoded]:
    """The examples of every split.

    Raises:
        UsageError: the recipe asks for longer examples than the base reads.
        DataError: texts are too long, and the recipe does not say what to do with them.
    """
    most = loaded.tokenizer.model_max_length
    if config.max_tokens is not None and config.max_tokens > most:
        raise UsageError(
            f"max_tokens is {config.max_tokens:,}, and the base reads {most:,} tokens at most",
            where="max_tokens",
            hint=f"set max_tokens to {most} or less, or leave it out; on_long: window reads a longer text in parts",
        )
    limit = config.max_tokens or most
    # The stage knows where each row stands, so it refuses long ones itself, of all splits at once.
    on_long: OnLong = "truncate" if config.on_long == "error" else config.on_long
    encoded = {split: task.encode(rows, loaded.tokenizer, limit, on_long) for split, rows in prepared.rows.items()}
    if config.on_long == "error":
        _refuse_long(encoded, prepared)
    return encoded


def _refuse_long(encoded: dict[str, Encoded], prepared: Prepared) -> None:
    cuts = {split: part.cut for split, part in encoded.items()}
    count, total = sum(cut.long_rows for cut in cuts.values()), sum(cut.rows for cut in cuts.values())
    if not count:
        return
    verb = "is" if count == 1 else "are"
    places = [partition.place(prepared.rows[split], row) for split, cut in cuts.items() for row in cut.where]
    raise DataError(
        f"{count:,} of {counted(total, 'text')} ({count / total:.1%}) {verb} longer than the limit of "
        f"{cuts['train'].limit:,} tokens; the longest has {max(cut.longest for cut in cuts.values()):,}",
        where=", ".join(places[:SHOWN]) + (", …" if count > SHOWN else ""),
        hint="set on_long: truncate (keep the start) or on_long: window (split into overlapping windows)",
    )


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


def _cut_line(split: str, cut: Cut) -> str:
    rows, longest = counted(cut.rows, "row"), counted(cut.longest, "token")
    if not cut.long_rows:
        return f"{split}: {rows}, the longest {longest}, nothing cut"
    more, lost = counted(cut.windows, "more window"), counted(cut.lost_tokens, "token")
    done = f"{lost} cut away" if cut.lost_tokens else f"split into {more}"
    bare = f", and every entity of {counted(cut.unlearnable, 'row')}" if cut.unlearnable else ""
    return f"{split}: {rows}, [yellow]{cut.long_rows:,} longer than {cut.limit:,} tokens: {done}{bare}[/]"


def job(config: Config, context: Context, prepared: Prepared) -> Job:
    """All that comes before training, done; what is left is to train."""
    return _job(_start(config, context, prepared))


def _job(work: _Work) -> Job:
    def judge(predictions: list[Any], rows: Any) -> object:
        return work.task.evaluate(predictions, rows, seed=work.context.seed)

    def judge_tuned(predictions: list[Any], rows: Any) -> object:
        return work.task.tune(predictions, rows).evaluate(predictions, rows, seed=work.context.seed)

    splits = {
        name: Split(work.rows.rows[name], part.examples, judge_tuned, answered=2)
        if name == "validation"
        else Split(work.rows.rows[name], part.examples, judge)
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
    )


def _finish(work: _Work) -> dict[str, Any]:
    """Calibrate on validation, evaluate what is held out, write the checkpoint."""
    context, rows = work.context, work.rows.rows
    scorer = Scorer(work.loaded.model)
    task = work.task
    evaluations: dict[str, Any] = {}
    for split in ("validation", *(name for name in rows if name not in ("train", "validation"))):
        if split not in rows:
            continue
        predictions = task.predict(scorer, work.encoded[split].examples)
        if split == "validation":
            task = task.tune(predictions, rows[split])
            # the same logits, judged with what was tuned
            predictions = task.predict(scorer, work.encoded[split].examples)
        evaluations[split] = task.evaluate(predictions, rows[split], seed=context.seed)
        _write_predictions(context, split, task, predictions, work)
        context.tell(f"  {split}: {headline(evaluations[split])}")
    history = lineage.build(
        parent=None if work.config.scratch else work.loaded.digest,
        data=work.rows.digests,
        config=work.config.model_dump(mode="json"),
        seed=context.seed,
        metrics={split: result["metrics"] for split, result in evaluations.items()},
        stage="finetune",
        base=work.config.base or ("scratch" if work.config.scratch else "the stage before"),
        data_notes=list(work.rows.told),
    )
    extra = {
        **settings_of(task),
        "columns": work.rows.described["columns"],
        "max_tokens": work.encoded["train"].cut.limit,
        "on_long": work.config.on_long,
    }
    save(work.loaded.model, work.loaded.tokenizer, context.checkpoint, history, extra_config=extra)
    return {
        "stage": "finetune",
        "name": context.folder.name,
        "task": task.name,
        "base": history["base"],
        "parameters": sum(p.numel() for p in work.loaded.model.parameters()),
        "data": _data_results(work),
        "training": training_results(context),
        "evaluations": evaluations,
        "scoring": asdict(scorer.ledger),
        "lineage": history,
    }


def _data_results(work: _Work) -> dict[str, Any]:
    """What the rows were, with lengths in tokens and what was cut."""
    described = work.rows.described
    cuts = {split: part.cut for split, part in work.encoded.items()}
    splits = {
        split: {**facts, "lengths": quantiles(work.encoded[split].examples)}
        for split, facts in described["splits"].items()
    }
    cut = {
        "rows": sum(cut.long_rows for cut in cuts.values()),
        "tokens": sum(cut.lost_tokens for cut in cuts.values()),
        "unlearnable": sum(cut.unlearnable for cut in cuts.values()),
        "on_long": work.config.on_long,
        "by_split": {split: asdict(cut) for split, cut in cuts.items()},
    }
    return {**described, "splits": splits, "cut": cut}


def _write_predictions(context: Context, split: str, task: Task, predictions: list[Any], work: _Work) -> None:
    """One JSON line a row, for comparing runs row by row."""
    keys = work.rows.keys[split]
    target = next(column.role for column in task.columns if column.target)
    path = context.folder / "predictions" / f"{split}.jsonl"
    lines = (
        json.dumps({"row": key, "gold": gold, **task.show(prediction)}, ensure_ascii=False)
        for key, gold, prediction in zip(keys, work.rows.rows[split][target], predictions, strict=True)
    )
    write_lines(path, lines, mode=PRIVATE, parents=True)
