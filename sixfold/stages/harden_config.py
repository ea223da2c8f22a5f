"""What a recipe says of a harden stage: its keys, their defaults, and which of them do not go together.

The stage itself: ``harden.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from sixfold.attack.attacks import ATTACKS, BOTH, NAMES, SPELLING, WORDS
from sixfold.errors import nearest
from sixfold.perturb import augmenters
from sixfold.perturb.masked import CONTEXTUAL
from sixfold.stages.context import NAME
from sixfold.stages.rows import DataConfig
from sixfold.tasks.masking import Voting
from sixfold.train.config import TrainConfig

LEAST_KINDS = 3
"""Kinds of attacks before and after: fewer, and what one of them shows may be all there is."""
ATTACKED = {
    ("text_classification", "en"): ("deepwordbug", "pwws", "checklist"),
    ("text_classification", "zh"): ("zh-deepwordbug", "zh-pwws", "zh-checklist"),
    ("token_classification", "en"): ("deepwordbug", "pwws", "textbugger"),
    ("token_classification", "zh"): ("zh-deepwordbug", "zh-pwws", "zh-textbugger"),
}
"""Attacks unless others are named, by task and language. Names and places are what a tagger looks for: they stay."""
_DIALS = ("adversarial", "r_drop", "noise", "mixup", "mask_share", "synonym_encoding")
_NAMING = {"number", "contraction", "person-name", "place-name", "zh-person-name", "zh-place-name"}
_WORDING = {"eda", "synonym", "neighbour", "inflection", "delete-word", "zh-synonym", *CONTEXTUAL}
_NEITHER = {"aeda", "distractor"}
"""Augmenters by what they change; all others change spelling."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RenewConfig(_Strict):
    """Adversarial texts, made anew for each epoch by attacking the model as it is."""

    attack: str = Field(description="The attack that makes them.")
    examples: PositiveInt = Field(400, description="Training rows that are attacked before each epoch.")
    budget: PositiveInt = Field(200, description="Queries that each may cost.")

    @field_validator("attack")
    @classmethod
    def _known(cls, name: str) -> str:
        return _attack(name)


class AugmentConfig(_Strict):
    """Augmented texts, made anew for each epoch of every training row."""

    method: str = Field(description="The augmenter: eda, aeda, typos, synonym … (sixfold augment lists them).")
    times: PositiveInt = Field(1, description="New texts of each training row.")

    @field_validator("method")
    @classmethod
    def _known(cls, name: str) -> str:
        known = augmenters.names()
        if name not in known:
            best = nearest(name, known)
            raise ValueError(f"there is no augmenter {name!r}; did you mean {best or known[0]!r}?")
        return name


class Config(_Strict):
    """What a recipe says of a harden stage."""

    name: str | None = Field(None, pattern=NAME, description="Names the stage's folder.")
    base: str | None = Field(
        None, description="A fine-tuned checkpoint, or its run's folder. Left out: that of the stage before."
    )
    data: DataConfig
    train: TrainConfig = TrainConfig()
    augment: AugmentConfig | None = Field(None, description="Learn from augmented texts too, made anew each epoch.")
    renew: RenewConfig | None = Field(None, description="Learn from adversarial texts too, made anew each epoch.")
    votes: int | None = Field(
        None, ge=2, description="With train.mask_share: so many copies with hidden tokens vote on each answer."
    )
    attacks: list[str] | None = Field(
        None, description="Attacks before and after, of three kinds or more. Left out: by task and language."
    )
    examples: PositiveInt = Field(200, description="Held-out rows that are attacked, the same before and after.")
    budget: PositiveInt = Field(2_000, description="Queries that an attack may cost for each row.")
    words: str | None = Field(
        None, description="Of attacks and augmenters that ask a masked language model: one, such as a pretrained run's."
    )
    max_clean_loss: float = Field(
        0.01, ge=0, le=1, description="How far the task's score on held-out rows may fall; more, and it is refused."
    )

    @field_validator("attacks")
    @classmethod
    def _unlike(cls, names: list[str] | None) -> list[str] | None:
        if names is None:
            return None
        names = [_attack(name) for name in names]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands there twice")
        kinds = kinds_of(names)
        if len(kinds) < LEAST_KINDS:
            found = "; ".join(f"{', '.join(some)} changes {kind}" for kind, some in kinds.items())
            raise ValueError(f"attacks of at least {LEAST_KINDS} kinds tell how steady a model is, and {found}")
        return names

    @model_validator(mode="after")
    def _something(self) -> Config:
        wrong = [*self._idle(), *self._unlearnt()]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def voting(self) -> Voting | None:
        """How the hardened checkpoint's copies vote."""
        return None if self.votes is None else Voting(self.votes, self.train.mask_share)

    def _idle(self) -> Iterable[str]:
        if not any(getattr(self.train, key) for key in _DIALS) and self.renew is None and self.augment is None:
            dials = ", ".join(f"train.{key}" for key in _DIALS)
            yield f"nothing would harden the model: set renew or augment, or one of {dials}"
        if self.augment is not None and self.augment.method in CONTEXTUAL and self.words is None:
            yield f"{self.augment.method} (augment.method) asks a masked language model: name one as words"
        if self.votes is not None and not self.train.mask_share:
            yield "copies with hidden tokens vote (votes) only where such texts were learnt from: set train.mask_share"
        if self.train.muon_rate is not None and self.train.optimiser != "muon":
            yield "muon_rate (train.muon_rate) is for optimiser: muon"

    def _unlearnt(self) -> Iterable[str]:
        """An attack that was trained on tells little of others."""
        if self.renew is not None and self.attacks and not set(self.attacks) - {self.renew.attack}:
            yield f"one of the attacks at least must be none that is trained on ({self.renew.attack})"


def trained_on(config: Config, attack: str) -> Literal["yes", "its kind", "no"]:
    """Whether texts of an attack, or of another that changes the same, are learnt from."""
    if config.renew is not None and config.renew.attack == attack:
        return "yes"
    learnt: set[str] = set()
    if config.renew is not None:
        learnt |= _parts(ATTACKS[config.renew.attack].changes)
    if config.augment is not None and config.augment.method not in _NEITHER:
        method = config.augment.method
        learnt.add(NAMES if method in _NAMING else WORDS if method in _WORDING else SPELLING)
    if config.train.of_words:
        learnt.add(WORDS)
    return "its kind" if learnt & _parts(ATTACKS[attack].changes) else "no"


def _parts(kind: str) -> set[str]:
    return {SPELLING, WORDS} if kind == BOTH else {kind}


def trained_with(config: Config) -> list[str]:
    """What hardens the model, a line each."""
    found, train = [], config.train
    if (renew := config.renew) is not None:
        found.append(
            f"adversarial texts of {renew.attack}: {renew.examples:,} rows attacked before each epoch, "
            f"{renew.budget:,} queries each"
        )
    if (augment := config.augment) is not None:
        found.append(f"augmented texts: {augment.method}, {augment.times:,} of each row, anew each epoch")
    if train.exchanges_words:
        found.append("words exchanged for those that raise the loss most (hotflip)")
    elif train.adversarial is not None:
        found.append(f"perturbed word embeddings ({train.adversarial.method})")
    if train.synonym_encoding:
        found.append("near words that share one embedding (synonym encoding)")
    dials = {
        "r_drop": "two passes with different dropout that must agree",
        "noise": "noise on word embeddings",
        "mixup": "texts mixed in pairs",
        "mask_share": "hidden tokens",
    }
    if config.votes is not None:
        found.append(f"{config.votes:,} copies of a text that vote, which the attacks afterwards were made on")
    return found + [f"{what} ({key}: {getattr(train, key):g})" for key, what in dials.items() if getattr(train, key)]


def kinds_of(attacks: Sequence[str]) -> dict[str, list[str]]:
    """Attacks by what they change."""
    found: dict[str, list[str]] = {}
    for name in attacks:
        found.setdefault(ATTACKS[name].changes, []).append(name)
    return found


def _attack(name: str) -> str:
    """The name, if there is such an attack; a ValueError with the nearest one if not."""
    if name in ATTACKS:
        return name
    best = nearest(name, ATTACKS)
    advice = f"did you mean {best!r}?" if best else f"known here: {', '.join(ATTACKS)}"
    raise ValueError(f"there is no attack {name!r}; {advice}")
