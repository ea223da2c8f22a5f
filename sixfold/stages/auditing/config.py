"""What a recipe says of an audit stage: its keys and their defaults. The stage itself: ``stages/audit.py``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_serializer, field_validator

from sixfold.attack.attacks import ATTACKS
from sixfold.errors import nearest
from sixfold.stages.auditing.gates import Gate
from sixfold.stages.context import NAME
from sixfold.stages.rows import DataConfig

Part = Literal["robustness", "explanations", "leakage", "fairness", "personal_data"]
PARTS: tuple[Part, ...] = ("robustness", "explanations", "leakage", "fairness", "personal_data")
"""What may be left out. How good and how sure the model is, is always measured."""
SLICES = ("length", "language", "label")
"""Slices that need no column of the file."""


class Config(BaseModel):
    """What a recipe says of an audit stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(None, pattern=NAME, description="Names the stage's folder.")
    base: str | None = Field(
        None, description="The checkpoint, or its run's folder. Left out: that of the stage before."
    )
    data: DataConfig | None = Field(
        None,
        description="Labelled rows or documents, training ones among them. Left out: what the checkpoint learnt from.",
    )
    slices: list[str] = Field(
        default_factory=lambda: list(SLICES), description="length, language, label, or columns of the file (domain …)."
    )
    foreign: Any = Field(
        None, description="Texts that the model is not for: does it know them by being unsure? File or catalogue name."
    )
    attacks: list[str] | None = Field(
        None, description="Left out: those of the harden stage that made the checkpoint, or the usual ones."
    )
    attacked: PositiveInt = Field(100, description="Held-out rows that are attacked.")
    budget: PositiveInt = Field(500, description="Queries that an attack may cost for each row.")
    words: str | None = Field(None, description="Of attacks that ask a masked language model: one.")
    explained: PositiveInt = Field(40, description="Held-out rows that are explained.")
    probed: PositiveInt = Field(2_000, description="Training rows, and as many held-out ones, that leakage is told by.")
    reference: str | None = Field(
        None, description="A checkpoint of the same task that learnt none of these rows: membership against it, too."
    )
    leave_out: list[Part] = Field(default_factory=list, description="Parts that are not measured; the report says so.")
    gates: list[str] = Field(
        default_factory=list, description="What must hold, such as accuracy >= 0.9; else the audit fails (exit code 3)."
    )

    @field_validator("gates")
    @classmethod
    def _readable(cls, gates: list[str]) -> list[str]:
        return [str(Gate.read(gate)) for gate in gates]

    @field_validator("attacks")
    @classmethod
    def _known(cls, names: list[str] | None) -> list[str] | None:
        for name in names or ():
            if name not in ATTACKS:
                best = nearest(name, ATTACKS)
                advice = f"did you mean {best!r}?" if best else f"known here: {', '.join(ATTACKS)}"
                raise ValueError(f"there is no attack {name!r}; {advice}")
        return names

    @field_validator("slices", "attacks", "leave_out")
    @classmethod
    def _once(cls, names: list[str] | None) -> list[str] | None:
        twice = sorted({name for name in names or () if (names or []).count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands there twice")
        return names

    @field_serializer("foreign")
    def _named(self, foreign: Any) -> Any:
        """Rows given in memory do not go into a lineage."""
        return foreign if isinstance(foreign, str | None) else f"<{type(foreign).__name__}>"

    def measures(self, part: Part) -> bool:
        """Whether a part is measured."""
        return part not in self.leave_out
