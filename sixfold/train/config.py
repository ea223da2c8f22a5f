"""What a person may set about training. The rest is derived, and the derived value is printed with its reason."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

_IDLE = {
    "fgm": ("steps", "step_size", "start", "share"),
    "pgd": ("share",),
    "freelb": ("share",),
    "hotflip": ("step_size", "start"),
}
"""Keys that a method of adversarial training does not read."""


class AdversarialConfig(BaseModel):
    """Training on perturbed word embeddings (``adversarial.py``) or on exchanged words (``hotflip.py``).

    Sizes are shares of the mean norm of an embedding.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    method: Literal["fgm", "pgd", "freelb", "hotflip"] = Field(
        description="How the perturbation is found: fgm, pgd, freelb; or hotflip, which exchanges words."
    )
    epsilon: PositiveFloat | None = Field(
        None,
        description="Norm of a text's perturbation, as a share of a mean embedding's. Left out: 0.3 (hotflip: 0).",
    )
    steps: PositiveInt | None = Field(
        None, description="pgd, freelb: passes that look for it. Left out: 3. hotflip: gradients. Left out: 1."
    )
    step_size: PositiveFloat | None = Field(
        None, description="pgd, freelb: length of one step, a share like epsilon. Left out: 1.5 x epsilon / steps."
    )
    start: Literal["zero", "random"] | None = Field(
        None, description="pgd, freelb: where it begins. Left out: zero for pgd, random for freelb."
    )

    share: float | None = Field(
        None, gt=0, le=1, description="hotflip: share of the exchangeable words that is exchanged. Left out: 0.3."
    )

    @model_validator(mode="after")
    def _of_the_method(self) -> AdversarialConfig:
        idle = [key for key in _IDLE[self.method] if getattr(self, key) is not None]
        if idle and self.method == "fgm":
            raise ValueError(
                f"fgm takes one step of epsilon from the text itself: leave out {', '.join(idle)}, or take pgd"
            )
        if idle:
            raise ValueError(f"{self.method} does not read {', '.join(idle)}: leave it out")
        return self


class TrainConfig(BaseModel):
    """The dials of the training loop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: PositiveFloat | None = Field(
        None, description="Passes over the training examples; 0.5 is half a pass. Left out: 3, and more for few rows."
    )
    batch: PositiveInt = Field(32, description="Examples that one optimiser step learns from.")
    learning_rate: PositiveFloat | None = Field(
        None,
        description="Peak learning rate. Left out: derived from the model's width (see docs/finetune.md).",
    )
    optimiser: Literal["adamw", "muon"] = Field(
        "adamw", description="muon: for the matrices inside the layers, AdamW for the rest. For pretraining."
    )
    muon_rate: PositiveFloat | None = Field(
        None, description="Muon's peak learning rate: its steps' singular values. Left out: steps as large as AdamW's."
    )
    schedule: Literal["linear", "cosine", "constant", "wsd"] = Field(
        "linear", description="How the learning rate falls after warm-up."
    )
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of all steps over which the learning rate rises from 0.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay on matrices (not on embeddings).")
    clip: PositiveFloat = Field(1.0, description="Largest norm of the whole gradient; a longer one is scaled down.")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="Learning rate of a layer as a share of the one above it (1: all alike)."
    )
    dropout: float | None = Field(None, ge=0, lt=1, description="Dropout of hidden states. Left out: the base's own.")
    r_drop: float = Field(
        0.0,
        ge=0,
        description="R-Drop: how much two passes with different dropout must agree (1 is usual). Twice the work.",
    )
    adversarial: AdversarialConfig | None = Field(
        None, description="Learn from perturbed word embeddings too. Two to four times the work."
    )
    noise: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="NEFTune: size of random noise on word embeddings (5 is usual)."
    )
    mixup: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Classification: mix texts in pairs; the share is drawn from Beta(mixup, mixup).",
    )
    mask_share: float = Field(
        0.0, ge=0, lt=1, description="RanMASK: share of a text's tokens that is hidden each time it is seen."
    )
    synonym_encoding: bool = Field(
        False,
        description="Classification, entities: near words share one embedding: exchanged, they change nothing.",
    )
    train_base: bool = Field(True, description="false: the base is frozen and only the head learns.")
    evaluations: PositiveFloat = Field(1.0, description="Evaluations on the validation split an epoch.")
    metric: str | None = Field(None, description="The validation score that decides. Left out: the task's own.")
    patience: PositiveInt | None = Field(
        3, description="Stop after this many evaluations without a better score. null: never stop early."
    )
    save_minutes: float = Field(
        5.0, ge=0, description="Minutes between saved states (0: after every step). Ctrl-C saves one too."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the processor multiplies it in hardware, else fp32."
    )
    micro_tokens: PositiveInt | None = Field(
        None, description="Tokens computed at once; bounds memory, changes no result. Left out: derived."
    )

    @model_validator(mode="after")
    def _together(self) -> TrainConfig:
        others = [key for key in ("adversarial", "r_drop") if getattr(self, key)]
        if self.mixup and others:
            raise ValueError(f"mixup does not go together with {' and '.join(others)}: each needs texts by themselves")
        if self.synonym_encoding and not self.train_base:
            raise ValueError("synonym_encoding changes the base's word embedding, and train_base: false freezes it")
        return self

    @property
    def exchanges_words(self) -> bool:
        """Whether training must be told which words may be exchanged."""
        return self.adversarial is not None and self.adversarial.method == "hotflip"

    @property
    def of_words(self) -> str:
        """The dials that must be told of words, for a stage that knows none; empty without one."""
        hotflip = ["hotflip (train.adversarial)"] if self.exchanges_words else []
        sharing = ["synonym_encoding (train.synonym_encoding)"] if self.synonym_encoding else []
        return " and ".join(hotflip + sharing)
