"""Pretrain: plain text, to a tokenizer and a model that know its language; from nothing, or on from a base."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn

from sixfold.data.corpus import HELD_OUT, MOST_HELD_OUT, Corpus, Near, prepare_corpus
from sixfold.data.documents import Unit
from sixfold.data.examples import Examples
from sixfold.data.packing import best_fit
from sixfold.data.token_store import write_examples
from sixfold.errors import UsageError
from sixfold.fetch.folders import replacing
from sixfold.models import lineage, load, save, sizes
from sixfold.models.load import Loaded
from sixfold.models.resolve import Source, resolve
from sixfold.models.tokenizer import lone_tokenizer
from sixfold.models.tokenizer_training import Kind, PreTokenizer, measure, train_tokenizer
from sixfold.score.scorer import Scorer
from sixfold.stages.context import NAME, Context
from sixfold.stages.samples import samples
from sixfold.stages.training import device, headline, quantiles, training_results
from sixfold.tasks.causal_lm import CausalLM
from sixfold.tasks.contract import Cut, FittedTask
from sixfold.tasks.masked_and_order import MaskedAndOrder
from sixfold.tasks.masked_lm import MaskedLM
from sixfold.tasks.sentence_order import SentenceOrder
from sixfold.text.counting import counted
from sixfold.train import processes, state
from sixfold.train.config import TrainConfig
from sixfold.train.events import Event, Stopped
from sixfold.train.loop import fit
from sixfold.train.optimiser import precision
from sixfold.train.tracking import tracked

VERSION = 1
"""Raised when the stage computes something else from the same inputs, so that finished runs are done again."""

Objective = Literal["masked_lm", "causal_lm", "sentence_order", "masked_and_order"]
Architecture = Literal["modernbert", "llama", "qwen3"]
_TOLD_AS = {"schedule": "schedule", "warmup": "warm-up", "weight_decay": "weight decay", "dropout": "dropout"}
"""Keys of training that the recipe may set over what is derived, and the derived value's name."""

_ONLY: dict[str, tuple[str, ...]] = {
    "share": ("masked_lm", "masked_and_order"),
    "whole_words": ("masked_lm", "masked_and_order"),
    "against": ("sentence_order", "masked_and_order"),
    "order_weight": ("masked_and_order",),
    "samples": ("causal_lm",),
    "train.r_drop": (),
    "train.train_base": (),
}
"""Keys that only some objectives read."""

ENCODER_VOCABULARY, DECODER_VOCABULARY = 8_000, 16_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenizerConfig(_Strict):
    """A tokenizer to train on the corpus."""

    kind: Kind = Field("bpe", description="bpe (on bytes), wordpiece, unigram or characters.")
    vocabulary: PositiveInt = Field(ENCODER_VOCABULARY, description="Most tokens, special ones included.")
    pre_tokenizer: PreTokenizer = Field("gpt2", description="How bpe splits first: gpt2 or qwen2.")
    lower: bool = Field(False, description="Fold capitals (not for bpe).")


class CorpusConfig(_Strict):
    """The text."""

    source: Any = Field(description="File, folder, glob, list, catalogue name, or {train: …, validation: …}.")
    format: str | None = Field(None, description="txt, jsonl, parquet … Left out: by the file's name.")
    encoding: str | None = Field(None, description="Of text files. Left out: utf-8.")
    header: list[str] | None = Field(None, description="The columns' names of a csv, tsv or xlsx file without them.")
    columns: dict[str, str] = Field(default_factory=dict, description="{text: NAME} where the name does not tell.")
    document: Unit = Field("line", description="What a document of a txt file is: a line, up to a blank line, a file.")
    near: Near = Field("remove", description="Near-copies: remove, count, or off (not looked for).")
    threshold: float = Field(
        0.8, ge=0.5, le=1, description="From which similarity (Jaccard) a document is a near-copy."
    )
    held_out: float = Field(HELD_OUT, ge=0, lt=1, description="Share of the documents that is only measured on.")
    most_held_out: PositiveInt = Field(MOST_HELD_OUT, description="Documents held out at most.")


class ModelConfig(_Strict):
    """A model from nothing: one dial, and the shape's numbers for whoever wants to set them."""

    size: sizes.SizeName = Field("tiny", description="tiny, mini, small, medium or base.")
    architecture: Architecture | None = Field(
        None, description="modernbert for an encoder; llama or qwen3 for a decoder. Left out: by the objective."
    )
    layers: PositiveInt | None = Field(None, description="Left out: by the size.")
    width: PositiveInt | None = Field(None, description="Left out: by the size.")
    heads: PositiveInt | None = Field(None, description="Left out: by the width.")
    inner: PositiveInt | None = Field(None, description="Width inside the feed-forward part. Left out: by the width.")


class Config(_Strict):
    """What a recipe says of a pretrain stage."""

    name: str | None = Field(None, pattern=NAME, description="Names the stage's folder.")
    objective: Objective = Field("masked_lm", description="masked_lm, causal_lm, sentence_order or masked_and_order.")
    corpus: CorpusConfig
    base: str | None = Field(None, description="Goes on from this model. Left out: a new model.")
    model: ModelConfig = Field(default_factory=ModelConfig, description="The new model.")
    tokenizer: TokenizerConfig | str | None = Field(
        None, description="Of a new model: how to train one, or the folder of one. Left out: bpe on bytes."
    )
    context: PositiveInt | None = Field(None, description="Most tokens of one example. Left out: the model's own.")
    share: float = Field(0.3, gt=0, lt=1, description="Share of the words that are hidden.")
    whole_words: bool = Field(True, description="Hide words whole or not at all.")
    against: Literal["order", "next"] = Field("order", description="A wrong pair: its parts swapped, or another text.")
    order_weight: float = Field(0.5, gt=0, description="Of the order's loss beside the hidden words'.")
    samples: list[str] = Field(default_factory=list, description="Beginnings that a decoder goes on from.")
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _whole(self) -> Config:
        if self.base is not None:
            given = sorted({"model", "tokenizer"} & self.model_fields_set)
            if given:
                raise ValueError(f"a base brings its own {' and '.join(given)}: leave out base, or {', '.join(given)}")
        decoder = self.model.architecture in ("llama", "qwen3")
        if self.model.architecture is not None and decoder != (self.kind == "decoder"):
            raise ValueError(f"the objective {self.objective} is not for {self.model.architecture}")
        chosen = self.model_fields_set | {f"train.{key}" for key in self.train.model_fields_set}
        idle = sorted(key for key, objectives in _ONLY.items() if key in chosen and self.objective not in objectives)
        if "train.dropout" in chosen and self.kind == "decoder" and self.base is None:
            idle.append("train.dropout")
        if idle:
            raise ValueError(f"{', '.join(idle)} would do nothing with {self.objective}: leave it out")
        derived = self.base is None and "optimiser" not in self.train.model_fields_set
        if self.train.muon_rate is not None and self.train.optimiser != "muon" and not derived:
            raise ValueError("muon_rate (train.muon_rate) is for optimiser: muon")
        metric, known = self.train.metric, self.new_task().score_names
        if metric is not None and metric not in known:
            raise ValueError(f"there is no metric {metric!r} (train.metric) for {self.objective}: {', '.join(known)}")
        return self

    @property
    def kind(self) -> sizes.Kind:
        return "decoder" if self.objective == "causal_lm" else "encoder"

    def new_task(self) -> FittedTask:
        """The task before it knows a tokenizer."""
        if self.objective == "causal_lm":
            return CausalLM()
        if self.objective == "sentence_order":
            return SentenceOrder(self.against)
        if self.objective == "masked_and_order":
            return MaskedAndOrder(self.share, self.whole_words, self.against, self.order_weight)
        return MaskedLM(self.share, self.whole_words)


@dataclass(frozen=True)
class Prepared:
    """A corpus that the stage can use, and what decides whether the stage is skipped."""

    corpus: Corpus
    digests: dict[str, str]


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


def prepare(config: Config, context: Context) -> Prepared:
    """Read the corpus and take copies out. Raises before any training; the digests decide whether it is skipped."""
    given = config.corpus
    corpus = prepare_corpus(
        given.source,
        document=given.document,
        near=given.near,
        threshold=given.threshold,
        held_out=given.held_out,
        most_held_out=given.most_held_out,
        columns=given.columns or None,
        format=given.format,
        encoding=given.encoding,
        header=given.header,
    )
    digests = dict(corpus.digests)
    if config.base is not None:
        digests["base"] = lineage.digest_folder(resolve(config.base).folder)
    if isinstance(config.tokenizer, str):
        digests["tokenizer"] = lineage.digest_folder(_tokenizer_folder(config.tokenizer))
    return Prepared(corpus, digests)


def run(config: Config, context: Context, prepared: Prepared) -> dict[str, Any] | None:
    """Tokenize, train, measure before and after, save. None when the user stopped it (the state is saved)."""
    for line in prepared.corpus.told:
        context.tell(f"  {line}")
    work = _start(config, context, prepared)
    before = _measured(work) if config.base is not None else None
    if before is not None:
        context.tell(f"  held out, before: {headline(before)}")
    reason = ""
    for event in context.watch(tracked(_training(work), context.training)):
        if isinstance(event, Stopped):
            reason = event.reason
    if reason == "interrupted":
        return None
    results = _finish(work, prepared, before)
    state.clear(context.training)
    for name in ("tokens", "tokenizer"):  # the tokenizer is in the checkpoint
        shutil.rmtree(context.training / name, ignore_errors=True)
    return results


def _start(config: Config, context: Context, prepared: Prepared) -> _Work:
    """Tokenizer, tokens on disk, model, in this order: what a new model should be depends on the tokens."""
    corpus = prepared.corpus
    loaded: Loaded | None = None
    if config.base is not None:
        loaded = _load_base(config, context)
        tokenizer = loaded.tokenizer
        if config.context is not None and config.context > tokenizer.model_max_length:
            raise UsageError(
                f"context is {config.context:,}, and the base reads {tokenizer.model_max_length:,} tokens at most",
                where="context",
                hint=f"set context to {tokenizer.model_max_length} or less, or leave it out",
            )
        limit = config.context or tokenizer.model_max_length
    else:
        tokenizer = _kept_tokenizer(config, context, corpus)
        limit = config.context or sizes.CONTEXT[config.kind]
        tokenizer.model_max_length = limit
    task = config.new_task().fitted(tokenizer)
    cuts: list[Cut] = []

    def encoded(split: str) -> Iterator[Examples]:
        for part in corpus.parts(split):
            made = task.encode(part, tokenizer, limit, "window")
            cuts.append(made.cut)
            yield made.examples

    examples = write_examples(encoded("train"), context.training / "tokens", vocabulary=len(tokenizer))
    cut = _summed(cuts, limit)
    context.tell(f"  {_told(cut, examples)}")
    held_out = task.encode(corpus.held_out, tokenizer, limit, "window").examples
    train = config.train
    if loaded is None:
        loaded, train = _new_model(config, context, tokenizer, task, int(examples.lengths.sum()), limit)
    loaded.model.to(device())
    return _Work(config, context, corpus, task, loaded, train, examples, held_out, cut, limit)


def _load_base(config: Config, context: Context) -> Loaded:
    assert config.base is not None
    loaded = load(
        config.base,
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
    return lone_tokenizer(folder)


def _new_tokenizer(config: Config, context: Context, corpus: Corpus) -> Any:
    """The one that the recipe names, or a new one; with how well it fits the held-out text."""
    if isinstance(config.tokenizer, str):
        return lone_tokenizer(_tokenizer_folder(config.tokenizer))
    usual = DECODER_VOCABULARY if config.kind == "decoder" else ENCODER_VOCABULARY
    given = config.tokenizer or TokenizerConfig(vocabulary=usual)
    tokenizer = train_tokenizer(
        (text for part in corpus.parts("train") for text in part["text"]),
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


def _training(work: _Work) -> Iterator[Event]:
    number = precision(work.train, device()).value

    def evaluate(model: nn.Module) -> dict[str, float]:
        predictions = work.task.predict(Scorer(model, precision=number), work.held_out)  # type: ignore[arg-type]
        return work.task.scores(predictions, work.corpus.held_out)

    return fit(
        work.loaded.model,
        work.task,
        work.examples,
        work.train,
        seed=work.context.seed,
        groups=best_fit(work.examples.lengths, work.limit),
        folder=work.context.training,
        evaluate=evaluate if len(work.held_out) else None,
        stop=work.context.stop,
    )


def _measured(work: _Work) -> dict[str, Any] | None:
    """The model on the held-out documents."""
    if not len(work.held_out):
        return None
    predictions = work.task.predict(Scorer(work.loaded.model), work.held_out)
    return work.task.evaluate(predictions, work.corpus.held_out, seed=work.context.seed)


def _finish(work: _Work, prepared: Prepared, before: dict[str, Any] | None) -> dict[str, Any]:
    """Measure, show what it says, write the checkpoint."""
    context, config = work.context, work.config
    after = _measured(work)
    if after is not None:
        context.tell(f"  held out: {headline(after)}")
    evaluations = {} if after is None else {"held_out": {"kind": "language", **after}}
    history = lineage.build(
        parent=None if config.base is None else work.loaded.digest,
        data=prepared.digests,
        config=config.model_dump(mode="json"),
        seed=context.seed,
        metrics={split: result["metrics"] for split, result in evaluations.items()},
        stage="pretrain",
        base=config.base or f"a new {config.model.size} {config.kind}",
        data_notes=list(work.corpus.told),
    )
    extra = {"pretrained": {"objective": work.task.name, **work.task.settings()}, "max_tokens": work.limit}
    save(work.loaded.model, work.loaded.tokenizer, context.checkpoint, history, extra_config=extra)
    said = samples(work.loaded.model, work.loaded.tokenizer, work.task, work.corpus.held_out, config.samples)
    return {
        "stage": "pretrain",
        "name": context.folder.name,
        "task": work.task.name,
        "base": history["base"],
        "parameters": sum(parameter.numel() for parameter in work.loaded.model.parameters()),
        "vocabulary": len(work.loaded.tokenizer),
        "context": work.limit,
        "corpus": dict(work.corpus.described),
        "tokens": {"train": int(work.examples.lengths.sum()), "lengths": quantiles(work.examples)},
        "cut": asdict(work.cut),
        "training": training_results(context),
        "before": before,
        "evaluations": evaluations,
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
