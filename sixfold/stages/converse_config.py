"""What a recipe says of a converse stage."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from sixfold.stages.context import NAME
from sixfold.stages.conversing.config import EvaluationConfig
from sixfold.stages.rows import DataConfig
from sixfold.tasks.contract import OnLong
from sixfold.tasks.dialogue import Dialogue
from sixfold.tasks.preference import Preference
from sixfold.train.config import TrainConfig

Split = Literal["split", "truncate", "error"]
_ON_LONG: dict[str, OnLong] = {"split": "window", "truncate": "truncate", "error": "error"}


class LoraConfig(BaseModel):
    """Low-rank updates in place of the whole model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: PositiveInt = Field(16, description="Of each update; the higher, the more it can learn.")
    alpha: PositiveFloat | None = Field(
        None, description="Weight of the updates, times rank. Left out: twice the rank."
    )
    targets: list[str] = Field(
        default_factory=list, description="Layers that get one, such as q_proj. Left out: every matrix of every layer."
    )


class Config(BaseModel):
    """What a recipe says of a converse stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(None, pattern=NAME, description="Names the stage's folder.")
    objective: Literal["dialogue", "preference"] = Field(
        "dialogue",
        description="dialogue: learn the assistant's turns. preference: learn which of two answers is better.",
    )
    base: str | None = Field(
        None,
        description="A decoder: catalogue name, folder, hf:owner/name. Left out: the checkpoint of the stage before.",
    )
    data: DataConfig
    template: Literal["own", "chatml", "plain"] = Field(
        "own", description="How a conversation is written: as the base's tokenizer says, or by one of these."
    )
    context: PositiveInt | None = Field(None, description="Most tokens of an example. Left out: the base's own limit.")
    on_long: Split = Field(
        "split", description="A conversation over the limit: split between rounds, truncate (keep its start), error."
    )
    lora: LoraConfig | None = Field(None, description="Learn low-rank updates; left out, the whole model learns.")
    beta: PositiveFloat = Field(0.1, description="preference: the smaller, the further from the base it may move.")
    evaluation: EvaluationConfig = Field(
        default_factory=EvaluationConfig, description="What is measured on held-out conversations, before and after."
    )
    samples: PositiveInt = Field(3, description="Held-out conversations whose answers are shown side by side.")
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _whole(self) -> Config:
        if "beta" in self.model_fields_set and self.objective != "preference":
            raise ValueError("beta would do nothing with dialogue: leave it out")
        for key in ("mixup", "mask_share", "r_drop"):
            if getattr(self.train, key):
                raise ValueError(f"{key} (train.{key}) is for classifiers")
        if self.train.adversarial is not None:
            raise ValueError("adversarial (train.adversarial) is for classifiers")
        if self.train.synonym_encoding:
            raise ValueError("synonym_encoding (train.synonym_encoding) is for classifiers")
        if self.train.muon_rate is not None and self.train.optimiser != "muon":
            raise ValueError("muon_rate (train.muon_rate) is for optimiser: muon")
        metric, known = self.train.metric, self.new_task().score_names
        if metric is not None and metric not in known:
            raise ValueError(f"there is no metric {metric!r} (train.metric) for {self.objective}: {', '.join(known)}")
        return self

    @property
    def cut(self) -> OnLong:
        return _ON_LONG[self.on_long]

    def new_task(self) -> Dialogue | Preference:
        return Dialogue() if self.objective == "dialogue" else Preference(self.beta)
