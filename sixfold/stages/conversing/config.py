"""What a recipe says of how a dialogue is evaluated. The evaluation itself: ``evaluation.py``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt


class EvaluationConfig(BaseModel):
    """What is measured of answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ranked: NonNegativeInt = Field(
        200, description="Held-out conversations in which the next turn is ranked among nine others; 0 for none."
    )
    generated: NonNegativeInt = Field(
        100, description="Held-out conversations whose last question is answered; 0 for none."
    )
    new_tokens: PositiveInt = Field(96, description="Most tokens of an answer.")
    probes: bool = Field(
        True, description="Ask the written lists too: contradictions, instructions, requests to be refused."
    )
