"""What a recipe says of a transfer stage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from sixfold.errors import UsageError, nearest
from sixfold.models import adapters
from sixfold.models.adapters.beside import NAME as ADAPTER_NAME
from sixfold.stages.context import NAME
from sixfold.stages.rows import DataConfig
from sixfold.tasks.contract import OnLong, Task
from sixfold.tasks.registry import full_name, task_class
from sixfold.train.config import TrainConfig

Strategy = Literal["separate", "mixture", "adapters", "shared_adapters", "sequential"]
STRATEGIES: tuple[Strategy, ...] = ("separate", "mixture", "adapters", "shared_adapters", "sequential")
KEPT: tuple[Strategy, ...] = ("shared_adapters", "mixture", "adapters", "sequential")
"""What a checkpoint can be left by; the first one that was run is, unless the recipe names one."""
FEW = Literal["frozen", "contrastive", "full"]
Kind = Literal["lora", "adalora", "bottleneck", "bitfit"]
_TASKS = ("text_classification", "token_classification")
_KEYS: dict[Kind, tuple[str, ...]] = {
    "lora": ("rank", "alpha", "targets"),
    "adalora": ("rank", "alpha", "targets"),
    "bottleneck": ("size", "placement"),
    "bitfit": (),
}
"""What each kind of adapter can be told."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DomainConfig(DataConfig):
    """The rows of one domain."""

    map: dict[str, str] = Field(
        default_factory=dict,
        description="Its labels to those of the other domains; of entities, to a type of theirs, or to O for none.",
    )


class AdapterConfig(_Strict):
    """What is learnt in place of the model."""

    kind: Kind = Field("lora", description="lora, adalora, bottleneck (Houlsby or Pfeiffer), bitfit (biases only).")
    rank: PositiveInt = Field(8, description="lora, adalora: of each update; adalora moves ranks between layers.")
    alpha: PositiveFloat | None = Field(
        None, description="Weight of the updates, times rank. Left out: twice the rank."
    )
    targets: list[str] = Field(
        default_factory=list, description="Layers that get an update. Left out: every matrix of every layer."
    )
    size: PositiveInt = Field(32, description="bottleneck: its width.")
    placement: Literal["houlsby", "pfeiffer"] = Field(
        "houlsby", description="bottleneck: after attention and feed-forward, or after the feed-forward alone."
    )
    rate: PositiveFloat = Field(10.0, description="How many times a whole model's learning rate it gets.")

    @model_validator(mode="after")
    def _used(self) -> AdapterConfig:
        idle = self.model_fields_set - {"kind", "rate", *_KEYS[self.kind]}
        if idle:
            raise ValueError(f"{', '.join(sorted(idle))} would do nothing for {self.kind}: leave it out")
        return self

    def new(self) -> adapters.Adapter:
        """What is put on a model."""
        if self.kind == "bottleneck":
            return adapters.Bottleneck(self.size, self.placement)
        if self.kind == "bitfit":
            return adapters.BitFit()
        alpha = self.alpha or 2.0 * self.rank
        if self.kind == "adalora":
            start = max(self.rank + 1, round(1.5 * self.rank))
            return adapters.AdaLora(self.rank, start, alpha * start / self.rank, tuple(self.targets))
        return adapters.Lora(self.rank, alpha, tuple(self.targets))


class FewShotConfig(_Strict):
    """How far a few rows a class go in each domain."""

    per_class: list[PositiveInt] = Field(default=[1, 4, 16, 64], min_length=1, description="Rows of each class.")
    ways: list[FEW] = Field(
        default=["frozen", "contrastive", "full"],
        min_length=1,
        description="frozen: a linear head on embeddings. contrastive: embeddings tuned first (SetFit). full.",
    )


class Config(_Strict):
    """What a recipe says of a transfer stage."""

    name: str | None = Field(None, pattern=NAME, description="Names the stage's folder.")
    task: str = Field("text_classification", description="text_classification (classify) or token_classification.")
    base: str | None = Field(
        None, description="Catalogue name, folder, or hf:owner/name. Left out: the checkpoint of the stage before."
    )
    domains: dict[str, DomainConfig] = Field(
        min_length=1, description="Rows by domain, in the order in which they are learnt one after another."
    )
    zero_shot: dict[str, DomainConfig] = Field(
        default_factory=dict, description="Domains that are tested on and never learnt."
    )
    labels: Literal["same", "union", "own"] = Field(
        "same",
        description="same: domains with other labels are refused. union: one head for all. own: a head each.",
    )
    strategies: list[Strategy] = Field(
        default=["separate", "mixture", "adapters"], min_length=1, description="What is compared."
    )
    keep: Strategy | None = Field(
        None, description="Which one the checkpoint is. Left out: shared_adapters, mixture, adapters, sequential."
    )
    adapter: AdapterConfig = AdapterConfig()
    temperature: float = Field(
        1.0, ge=1, description="Of the mixture: 1 takes domains as they are, more brings small ones up."
    )
    replay: float = Field(
        0.1, gt=0, le=1, description="sequential: share of earlier domains' rows that are learnt again."
    )
    few_shot: FewShotConfig | None = Field(None, description="Also learn from a few rows a class, in three ways.")
    route: bool = Field(True, description="Learn to tell which adapter a text belongs to, where there are several.")
    train: TrainConfig = TrainConfig()
    max_tokens: PositiveInt | None = Field(None, description="Longest example. Left out: the base's own limit.")
    on_long: OnLong = Field("error", description="A text over the limit: error, truncate (keep its start), window.")

    @field_validator("task")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            found = full_name(name)
        except UsageError as error:
            raise ValueError(f"{error.what}; {error.hint}") from None
        if found not in _TASKS:
            raise ValueError(f"domains are carried over for {' and '.join(_TASKS)}, not for {found}")
        return found

    @field_validator("domains", "zero_shot")
    @classmethod
    def _named(cls, domains: dict[str, DomainConfig]) -> dict[str, DomainConfig]:
        wrong = [name for name in domains if not ADAPTER_NAME.fullmatch(name)]
        if wrong:
            raise ValueError(f"{', '.join(map(repr, wrong))} names no domain: letters, digits, - and _ do, at most 64")
        _refuse_alike(domains)
        return domains

    @model_validator(mode="after")
    def _whole(self) -> Config:
        _refuse_alike([*self.domains, *self.zero_shot])
        if len(self.strategies) != len(set(self.strategies)):
            raise ValueError("a strategy stands there twice")
        if words := self.train.of_words:
            raise ValueError(f"{words}: for finetune and harden; leave it out, or take freelb")
        if len(self.domains) < 2 and set(self.strategies) - {"separate", "adapters"}:
            raise ValueError("with one domain there is nothing to mix and no order: leave separate and adapters")
        if self.labels == "own":
            joint = [one for one in self.strategies if one not in ("separate", "adapters")]
            if joint:
                raise ValueError(
                    f"labels: own gives each domain a head of its own, and {', '.join(joint)} has one head"
                )
            if self.zero_shot:
                raise ValueError("labels: own leaves no head for domains that are never learnt (zero_shot)")
        if self.keep is not None and self.keep not in self.strategies:
            best = nearest(self.keep, self.strategies)
            raise ValueError(f"keep: {self.keep} is not among the strategies; did you mean {best!r}?")
        if not set(self.strategies) - {"separate"}:
            raise ValueError("separate models alone leave no checkpoint that answers all domains: add another strategy")
        if self.keep == "separate":
            raise ValueError("separate models are one checkpoint each: keep one of the others")
        if self.few_shot is not None and self.task != "text_classification":
            raise ValueError("few_shot is for text_classification")
        metric, known = self.train.metric, self.new_task().score_names
        if metric is not None and metric not in known:
            raise ValueError(f"there is no metric {metric!r} (train.metric) for {self.task}: {', '.join(known)}")
        return self

    @property
    def kept(self) -> Strategy:
        """What the checkpoint is."""
        return next(one for one in ((self.keep,) if self.keep else KEPT) if one in self.strategies)

    def new_task(self) -> Task:
        """The task before it has seen rows."""
        return task_class(self.task)()


def _refuse_alike(names: Iterable[str]) -> None:
    """Two names that are one file on some disks, or one name given twice."""
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            raise ValueError(f"two domains of one name: {seen[name.lower()]} and {name}")
        seen[name.lower()] = name
