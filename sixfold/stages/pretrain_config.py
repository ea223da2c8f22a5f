"""What a recipe says of a pretrain stage: its keys, their defaults, and which of them do not go together.

The stage itself: ``pretrain.py``.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from sixfold.data.corpus import HELD_OUT, MOST_HELD_OUT, Near
from sixfold.data.documents import Unit
from sixfold.models import sizes
from sixfold.models.context import Rope
from sixfold.models.tokenizer_training import Kind, PreTokenizer
from sixfold.stages.context import NAME
from sixfold.stages.planted import CanaryConfig
from sixfold.tasks.causal_lm import CausalLM
from sixfold.tasks.contract import FittedTask
from sixfold.tasks.masked_and_order import MaskedAndOrder
from sixfold.tasks.masked_lm import MaskedLM
from sixfold.tasks.sentence_order import SentenceOrder
from sixfold.train.config import TrainConfig

Objective = Literal["masked_lm", "causal_lm", "sentence_order", "masked_and_order"]
Architecture = Literal["modernbert", "llama", "qwen3"]

_ONLY: dict[str, tuple[str, ...]] = {
    "share": ("masked_lm", "masked_and_order"),
    "whole_words": ("masked_lm", "masked_and_order"),
    "against": ("sentence_order", "masked_and_order"),
    "order_weight": ("masked_and_order",),
    "samples": ("causal_lm",),
    "canaries": ("masked_lm", "causal_lm"),
    "train.r_drop": (),
    "train.mixup": (),
    "train.mask_share": (),
    "train.train_base": (),
}
"""Keys that only some objectives read."""

ENCODER_VOCABULARY, DECODER_VOCABULARY = 8_000, 16_000
MOST_CHARACTERS = 10_000_000
"""That a tokenizer learns from. The table of its words takes up to 100 bytes for each of them, of Chinese most."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenizerConfig(_Strict):
    """A tokenizer to train on the corpus."""

    kind: Kind = Field("bpe", description="bpe (on bytes), wordpiece, unigram or characters.")
    vocabulary: PositiveInt = Field(ENCODER_VOCABULARY, description="Most tokens, special ones included.")
    pre_tokenizer: PreTokenizer = Field("gpt2", description="How bpe splits first: gpt2 or qwen2.")
    lower: bool = Field(False, description="Fold capitals (not for bpe).")
    characters: PositiveInt = Field(
        MOST_CHARACTERS, description="Of the corpus that it learns from, evenly from all of it; bounds memory."
    )


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
    mask: bool = Field(
        False,
        description="Replace personal data that patterns find by pseudonyms, in what is learnt from.",
    )


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
    window: PositiveInt | None = Field(
        None,
        description="Tokens that two of three layers see. Left out: 128 in an encoder for more than 512, else all.",
    )


class ExtendConfig(_Strict):
    """A longer context for the base, or for the model of the stage before."""

    context: PositiveInt = Field(description="Most tokens of a text that the model is to read.")
    rope: Rope = Field("base", description="What its rotary embedding gets: a larger base, or linear or yarn scaling.")


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
    extend: ExtendConfig | None = Field(
        None, description="A longer context for the base. Without base: for the model of the stage before."
    )
    share: float = Field(0.3, gt=0, lt=1, description="Share of the words that are hidden.")
    whole_words: bool = Field(True, description="Hide words whole or not at all.")
    against: Literal["order", "next"] = Field("order", description="A wrong pair: its parts swapped, or another text.")
    order_weight: float = Field(0.5, gt=0, description="Of the order's loss beside the hidden words'.")
    samples: list[str] = Field(default_factory=list, description="Beginnings that a decoder goes on from.")
    canaries: CanaryConfig | None = Field(
        None, description="Plant secrets among the documents; an audit then tells how far they can be got out."
    )
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _whole(self) -> Config:
        if not self.is_new:
            given = sorted({"model", "tokenizer"} & self.model_fields_set)
            if given:
                raise ValueError(f"a base brings its own {' and '.join(given)}: leave out base, or {', '.join(given)}")
        if self.model.window is not None and self.kind == "decoder" and self.model.architecture in (None, "llama"):
            raise ValueError("llama has no layers with a window (model.window): leave it out, or take qwen3")
        decoder = self.model.architecture in ("llama", "qwen3")
        if self.model.architecture is not None and decoder != (self.kind == "decoder"):
            raise ValueError(f"the objective {self.objective} is not for {self.model.architecture}")
        chosen = self.model_fields_set | {f"train.{key}" for key in self.train.model_fields_set}
        idle = sorted(key for key, objectives in _ONLY.items() if key in chosen and self.objective not in objectives)
        if "train.dropout" in chosen and self.kind == "decoder" and self.is_new:
            idle.append("train.dropout")
        if idle:
            raise ValueError(f"{', '.join(idle)} would do nothing with {self.objective}: leave it out")
        derived = self.is_new and "optimiser" not in self.train.model_fields_set
        if words := self.train.of_words:
            raise ValueError(f"{words}: for classifiers; leave it out, or take freelb")
        if self.train.muon_rate is not None and self.train.optimiser != "muon" and not derived:
            raise ValueError("muon_rate (train.muon_rate) is for optimiser: muon")
        metric, known = self.train.metric, self.new_task().score_names
        if metric is not None and metric not in known:
            raise ValueError(f"there is no metric {metric!r} (train.metric) for {self.objective}: {', '.join(known)}")
        return self

    @property
    def is_new(self) -> bool:
        """Whether the model begins with random weights."""
        return self.base is None and self.extend is None

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
