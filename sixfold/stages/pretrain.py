"""Pretrain: plain text, to a tokenizer and a model that know its language; from nothing, or on from a base."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sixfold.data.corpus import Corpus
from sixfold.data.examples import Examples
from sixfold.data.packing import best_fit
from sixfold.data.token_store import write_examples
from sixfold.errors import UsageError
from sixfold.fetch.folders import replacing
from sixfold.models import lineage, load, save, sizes
from sixfold.models.context import Extension, can_extend, extend, extension
from sixfold.models.heap import give_back
from sixfold.models.load import Loaded
from sixfold.models.resolve import Source, resolve
from sixfold.models.tokenizer import lone_tokenizer
from sixfold.models.tokenizer_training import measure, train_tokenizer
from sixfold.safety.canaries import Plan
from sixfold.safety.planting import plant
from sixfold.score.scorer import Scorer
from sixfold.stages.context import Context, unmarked
from sixfold.stages.corpora import read_corpus
from sixfold.stages.job import Job, Split, trained
from sixfold.stages.masked import Mask, RowMask, masked, masked_corpus
from sixfold.stages.planted import plan_of
from sixfold.stages.planted import told as planted_told
from sixfold.stages.pretrain_config import DECODER_VOCABULARY, ENCODER_VOCABULARY, Config, TokenizerConfig
from sixfold.stages.samples import samples
from sixfold.stages.training import device, headline, quantiles, training_results
from sixfold.tasks.contract import Cut, FittedTask, Rows
from sixfold.text.counting import counted
from sixfold.train import processes, state
from sixfold.train.config import TrainConfig

VERSION = 1
"""Raised when the stage computes something else from the same inputs, so that finished runs are done again."""
LEAVES = "checkpoint"
"""What stands in the stage's folder when it is done."""

_TOLD_AS = {"schedule": "schedule", "warmup": "warm-up", "weight_decay": "weight decay", "dropout": "dropout"}
"""Keys of training that the recipe may set over what is derived, and the derived value's name."""


@dataclass(frozen=True)
class Prepared:
    """A corpus that the stage can use, and what decides whether the stage is skipped.

    Attributes:
        mask: what its training documents go through before anything is learnt from them, if the recipe asks for it.
    """

    corpus: Corpus
    digests: dict[str, str]
    mask: Mask | None = None


@dataclass(frozen=True)
class _Work:
    """A stage under way: what has been decided before training."""

    config: Config
    context: Context
    corpus: Corpus
    task: FittedTask
    loaded: Loaded
    train: TrainConfig
    examples: Examples
    held_out: Examples
    cut: Cut
    limit: int
    longer: Extension | None = None
    canaries: Plan | None = None
    mask: Mask | None = None


def prepare(config: Config, context: Context) -> Prepared:
    """Read the corpus and take copies out. Raises before any training; the digests decide whether it is skipped."""
    corpus, mask = read_corpus(config.corpus, context.seed)
    digests = dict(corpus.digests)
    if not config.is_new:
        digests["base"] = lineage.digest_folder(resolve(_base(config, context)).folder)
    if isinstance(config.tokenizer, str):
        digests["tokenizer"] = lineage.digest_folder(_tokenizer_folder(config.tokenizer))
    return Prepared(corpus, digests, mask)


def run(config: Config, context: Context, prepared: Prepared) -> dict[str, Any] | None:
    """Tokenize, train, measure before and after, save. None when the user stopped it (the state is saved)."""
    for line in prepared.corpus.told:
        context.tell(f"  {line}")
    work = _start(config, context, prepared)
    before = _measured(work)
    if before is not None:
        context.tell(f"  held out, before: {headline(before)}")
    if work.longer is not None:
        extend(work.loaded.model, work.loaded.tokenizer, work.longer)
    if not trained(_job(work), context):
        return None
    results = _finish(work, prepared, before)
    state.clear(context.training)
    for name in ("tokens", "tokenizer", "masked"):  # the tokenizer is in the checkpoint
        shutil.rmtree(context.training / name, ignore_errors=True)
    return results


def _start(config: Config, context: Context, prepared: Prepared) -> _Work:
    """Tokenizer, tokens on disk, model, in this order: what a new model should be depends on the tokens."""
    corpus = prepared.corpus
    if prepared.mask is not None:
        corpus = masked_corpus(corpus, prepared.mask, context.training / "masked")
        context.tell(f"  {corpus.told[-1]}")
    loaded: Loaded | None = None
    longer: Extension | None = None
    if not config.is_new:
        loaded = _load_base(config, context)
        tokenizer = loaded.tokenizer
        if config.extend is not None:
            longer = extension(loaded.model, config.extend.context, config.extend.rope)
        limit = _limit(config, loaded, longer)
    else:
        tokenizer = _kept_tokenizer(config, context, corpus)
        limit = config.context or sizes.CONTEXT[config.kind]
        tokenizer.model_max_length = limit
    task = config.new_task().fitted(tokenizer)
    cuts: list[Cut] = []
    hide = None if prepared.mask is None else RowMask(prepared.mask, {"text": "text"})
    canaries: Plan | None = None
    if config.canaries is not None:
        languages = corpus.languages["train"]
        canaries = plan_of(config.canaries, languages, task, tokenizer, limit, context.seed)

    def encoded() -> Iterator[Examples]:
        for part in _with_canaries(corpus, canaries, task, hide):
            made = task.encode(part, tokenizer, limit, "window")
            cuts.append(made.cut)
            yield made.examples

    examples = write_examples(encoded(), context.training / "tokens", vocabulary=len(tokenizer))
    cut = _summed(cuts, limit)
    context.tell(f"  {_told(cut, examples)}")
    if canaries is not None:
        context.tell(f"  {planted_told(canaries, task, hide, 'training documents')}")
    held_out = task.encode(corpus.held_out, tokenizer, limit, "window").examples
    train = config.train
    if loaded is None:
        loaded, train = _new_model(config, context, tokenizer, task, int(examples.lengths.sum()), limit)
    elif longer is not None:
        train, told = _shared_out(train, limit, longer)
        for value in (*longer.told, *told):
            context.tell(f"  {value.name}: {value.value} ({value.reason})")
    loaded.model.to(device())
    return _Work(
        config, context, corpus, task, loaded, train, examples, held_out, cut, limit, longer, canaries, prepared.mask
    )


def _with_canaries(corpus: Corpus, plan: Plan | None, task: FittedTask, hide: RowMask | None) -> Iterator[Rows]:
    """The documents to learn from part by part, canaries among them: copies, which are meant, were left out before."""
    start = 0
    for part in corpus.parts("train"):
        if plan is None:
            yield part
            continue
        mask = None if hide is None else hide.row
        yield plant(part, plan, task, start=start, total=len(corpus.train), mask=mask)
        start += len(part)


def _base(config: Config, context: Context) -> str | Path:
    """The model to go on from: the recipe's, or that of the stage before."""
    base = config.base or context.parent
    if base is None:
        raise UsageError(
            "there is no model whose context could be extended",
            where="extend",
            hint="name a base, or put this stage after one that makes a model; a new one's length is its context",
        )
    return base


def _limit(config: Config, loaded: Loaded, longer: Extension | None) -> int:
    """Most tokens of an example. Raises UsageError where the model reads fewer than the recipe wants."""
    most = loaded.tokenizer.model_max_length if longer is None else longer.after
    if config.context is not None and config.context > most:
        more = f", or give the model more with extend: {{context: {config.context}}}"
        raise UsageError(
            f"context is {config.context:,}, and the model reads {most:,} tokens at most",
            where="context",
            hint=f"set context to {most} or less, or leave it out{more if can_extend(loaded.model) else ''}",
        )
    return config.context or most


def _shared_out(train: TrainConfig, limit: int, longer: Extension) -> tuple[TrainConfig, tuple[sizes.Derived, ...]]:
    """Fewer, longer blocks in a step, so that it learns from as many tokens as before; unless the batch is set."""
    if "batch" in train.model_fields_set:
        return train, ()
    batch = max(1, round(train.batch * longer.before / limit))
    reason = f"{train.batch} × {longer.before:,}/{limit:,}: as many tokens a step"
    return train.model_copy(update={"batch": batch}), (sizes.Derived("batch", batch, reason),)


def _load_base(config: Config, context: Context) -> Loaded:
    loaded = load(
        _base(config, context),
        config.new_task().head(),
        seed=context.seed,
        dropout=config.train.dropout,
        attention_dropout=0.0,
        new_head=True,
    )
    for line in (*loaded.notes, f"new weights: {', '.join(loaded.new_weights) or 'none'}"):
        context.tell(f"  {line}")
    return loaded


def _kept_tokenizer(config: Config, context: Context, corpus: Corpus) -> Any:
    """The tokenizer of this training, kept beside its states: trained again, it might be another one."""
    folder = context.training / "tokenizer"
    if not folder.is_dir():
        with replacing(folder) as temporary:
            _new_tokenizer(config, context, corpus).save_pretrained(temporary)
        give_back()  # the table of words that it was learnt from
    return lone_tokenizer(folder)


def _new_tokenizer(config: Config, context: Context, corpus: Corpus) -> Any:
    """The one that the recipe names, or a new one; with how well it fits the held-out text."""
    if isinstance(config.tokenizer, str):
        return lone_tokenizer(_tokenizer_folder(config.tokenizer))
    usual = DECODER_VOCABULARY if config.kind == "decoder" else ENCODER_VOCABULARY
    given = config.tokenizer or TokenizerConfig(vocabulary=usual)
    characters = int(corpus.characters["train"].sum(dtype="int64"))
    if characters > given.characters:
        context.tell(
            f"  the tokenizer learns from {given.characters:,} of {characters:,} characters, evenly from all text"
        )
    tokenizer = train_tokenizer(
        corpus.spread("train", given.characters),
        given.kind,
        vocabulary=given.vocabulary,
        use=config.kind,
        pre_tokenizer=given.pre_tokenizer,
        lower=given.lower,
    )
    found = measure(tokenizer, corpus.held_out["text"])
    context.tell(
        f"  a new {given.kind} tokenizer: {len(tokenizer):,} tokens, {found.tokens_a_character:.3f} a character and "
        f"{found.tokens_a_word:.2f} a word of held-out text, {found.unknown_share:.2%} unknown"
    )
    return tokenizer


def _tokenizer_folder(ref: str) -> Path:
    """A folder with a tokenizer, or that of a model."""
    folder = Path(ref)
    return folder if (folder / "tokenizer.json").is_file() else resolve(ref).folder


def _new_model(
    config: Config, context: Context, tokenizer: Any, task: FittedTask, tokens: int, limit: int
) -> tuple[Loaded, TrainConfig]:
    """A model of random weights, and how it learns; every derived value is told with its reason."""
    from sixfold.models import scratch

    given = config.model
    shape, told = sizes.shape(
        config.kind,
        given.size,
        layers=given.layers,
        width=given.width,
        heads=given.heads,
        inner=given.inner,
        context=limit,
        window=given.window,
    )
    chosen = config.train.model_fields_set
    several = processes.current() is not None  # then AdamW is derived in place of Muon; training tells why
    plan = sizes.training(
        config.kind,
        width=shape.width,
        parameters=shape.matrices + len(tokenizer) * shape.width,
        corpus_tokens=tokens,
        context=limit,
        epochs=config.train.epochs,
        batch_tokens=config.train.batch * limit if "batch" in chosen else None,
        optimiser=config.train.optimiser if "optimiser" in chosen or several else None,
        learning_rate=config.train.learning_rate,
        muon_rate=config.train.muon_rate,
    )
    given_anyway = {_TOLD_AS[key] for key in chosen if key in _TOLD_AS} | ({"optimiser"} if several else set())
    for value in (*told, *(value for value in plan.told if value.name not in given_anyway)):
        context.tell(f"  {value.name}: {value.value} ({value.reason})")
    dropout = plan.dropout if config.train.dropout is None else config.train.dropout
    if config.kind == "decoder":
        architecture = given.architecture or "llama"
        assert architecture != "modernbert", "the config has refused it"
        model = scratch.decoder(shape, tokenizer, seed=context.seed, architecture=architecture)
    else:
        model = scratch.encoder(shape, tokenizer, task.head(), seed=context.seed, dropout=dropout)
    derived = {
        "epochs": plan.epochs,
        "batch": max(1, round(plan.batch_tokens / limit)),
        "optimiser": plan.optimiser,
        "learning_rate": plan.learning_rate,
        "muon_rate": plan.muon_rate,
        "schedule": plan.schedule,
        "warmup": plan.warmup,
        "weight_decay": plan.weight_decay,
    }
    train = config.train.model_copy(update={key: value for key, value in derived.items() if key not in chosen})
    parameters = sum(parameter.numel() for parameter in model.parameters())
    context.tell(f"  a new {given.size} {config.kind} ({model.config.model_type}): {parameters:,} parameters")
    source = Source("scratch", "folder", context.folder, ())
    return Loaded(model, tokenizer, "scratch", source, (), ()), train


def job(config: Config, context: Context, prepared: Prepared) -> Job:
    """All that comes before training, done; what is left is to train."""
    work = _start(config, context, prepared)
    if work.longer is not None:
        extend(work.loaded.model, work.loaded.tokenizer, work.longer)
    return _job(work)


def _job(work: _Work) -> Job:
    def judge(predictions: list[Any], rows: Any) -> object:
        return work.task.evaluate(predictions, rows, seed=work.context.seed)

    times = 2 if work.mask is None else 3  # before training too, and the same documents masked
    held_out = Split(work.corpus.held_out, work.held_out, judge, answered=times, judged=times)
    return Job(
        model=work.loaded.model,
        tokenizer=work.loaded.tokenizer,
        task=work.task,
        train=work.train,
        examples=work.examples,
        splits={"held_out": held_out} if len(work.held_out) else {},
        watched="held_out" if len(work.held_out) else None,
        groups=best_fit(work.examples.lengths, work.limit),
        ending=lambda: _samples(work),
    )


def _samples(work: _Work) -> list[dict[str, Any]]:
    return samples(work.loaded.model, work.loaded.tokenizer, work.task, work.corpus.held_out, work.config.samples)


def _measured(work: _Work) -> dict[str, Any] | None:
    """The model on the held-out documents."""
    return _on(work, work.corpus.held_out, work.held_out) if len(work.held_out) else None


def _measured_masked(work: _Work) -> dict[str, Any]:
    """The metrics on the held-out documents, masked as those that were learnt from; none without a mask."""
    if work.mask is None or not len(work.held_out):
        return {}
    rows, _ = masked(work.corpus.held_out, {"text": "text"}, work.mask)
    found = _on(work, rows, work.task.encode(rows, work.loaded.tokenizer, work.limit, "window").examples)
    work.context.tell(f"  held out, masked: {headline(found)}")
    return {"masked_evaluations": {"held_out": {"metrics": found["metrics"]}}}


def _on(work: _Work, rows: Any, examples: Examples) -> dict[str, Any]:
    predictions = work.task.predict(Scorer(work.loaded.model), examples)
    return work.task.evaluate(predictions, rows, seed=work.context.seed)


def _finish(work: _Work, prepared: Prepared, before: dict[str, Any] | None) -> dict[str, Any]:
    """Measure, show what it says, write the checkpoint."""
    context, config = work.context, work.config
    after = _measured(work)
    if after is not None:
        context.tell(f"  held out: {headline(after)}")
    evaluations = {} if after is None else {"held_out": {"kind": "language", **after}}
    history = lineage.build(
        parent=None if config.is_new else work.loaded.digest,
        data=prepared.digests,
        config=config.model_dump(mode="json"),
        seed=context.seed,
        metrics={split: result["metrics"] for split, result in evaluations.items()},
        stage="pretrain",
        base=f"a new {config.model.size} {config.kind}" if config.is_new else str(_base(config, context)),
        data_notes=unmarked(work.corpus.told),
        **({} if work.canaries is None else {"canaries": work.canaries.to_dict()}),
    )
    most = work.limit if work.longer is None else work.longer.after
    extra = {"pretrained": {"objective": work.task.name, **work.task.settings()}, "max_tokens": most}
    save(work.loaded.model, work.loaded.tokenizer, context.checkpoint, history, extra_config=extra)
    said = _samples(work)
    return {
        "stage": "pretrain",
        "name": context.folder.name,
        "task": work.task.name,
        "base": history["base"],
        "parameters": sum(parameter.numel() for parameter in work.loaded.model.parameters()),
        "vocabulary": len(work.loaded.tokenizer),
        "context": most,
        "extended": None if work.longer is None else {"from": work.longer.before, "to": work.longer.after},
        "corpus": dict(work.corpus.described),
        "tokens": {"train": int(work.examples.lengths.sum()), "lengths": quantiles(work.examples)},
        "cut": asdict(work.cut),
        "training": training_results(context),
        "before": before,
        "evaluations": evaluations,
        **_measured_masked(work),
        "samples": said,
        "lineage": history,
    }


def _summed(cuts: list[Cut], limit: int) -> Cut:
    """What encoding all parts took away."""
    names = ("rows", "long_rows", "lost_tokens", "windows", "unlearnable")
    totals = {name: sum(getattr(cut, name) for cut in cuts) for name in names}
    return replace(Cut(0, limit=limit), longest=max((cut.longest for cut in cuts), default=0), **totals)


def _told(cut: Cut, examples: Examples) -> str:
    tokens = int(examples.lengths.sum())
    line = f"train: {counted(cut.rows, 'document')}, {counted(tokens, 'token')}, the longest {cut.longest:,}"
    more = [f"{cut.long_rows:,} longer than {cut.limit:,}: split into {cut.windows:,} more"] if cut.long_rows else []
    more += [f"{cut.lost_tokens:,} tokens of endless sentences cut away"] if cut.lost_tokens else []
    more += [f"{cut.unlearnable:,} of a single sentence: no order to learn"] if cut.unlearnable else []
    return "; ".join([line, *more])
