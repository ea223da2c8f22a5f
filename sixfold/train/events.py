"""What the training loop tells: small events that a progress bar, TensorBoard, a report and tests consume."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Choice:
    """A value that the machine or the model decided, and why."""

    name: str
    value: object
    reason: str


@dataclass(frozen=True)
class Started:
    """Before the first step.

    Attributes:
        steps: optimiser steps of the whole run.
        first_step: where this process begins (above 0 when resumed).
        choices: derived values with their reasons.
    """

    steps: int
    first_step: int
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Step:
    """One optimiser step.

    Attributes:
        step: 1-based.
        epoch: passes over the data so far, as a fraction.
        loss: the weighted sum of the terms.
        terms: each term's mean over its targets. With adversarial training they are those of the first pass, and
            ``adversarial`` is what the passes on perturbed embeddings add to the loss.
        learning_rate: of the matrices of the top layer.
        grad_norm: before clipping.
        tokens: real tokens computed.
        padded_tokens: tokens computed, padding included.
        seconds: wall time of the step.
    """

    step: int
    epoch: float
    loss: float
    terms: dict[str, float]
    learning_rate: float
    grad_norm: float
    tokens: int
    padded_tokens: int
    seconds: float


@dataclass(frozen=True)
class Renewed:
    """Before an epoch, further examples were made for it.

    Attributes:
        step: steps done before.
        epoch: for which, counted from 0.
        made: how many.
        again: given examples that are seen twice in place of missing ones.
    """

    step: int
    epoch: int
    made: int
    again: int
    seconds: float


@dataclass(frozen=True)
class Evaluated:
    """One look at the validation split.

    Attributes:
        scores: by name; ``metric`` is among them.
        best: whether this is the best so far.
    """

    step: int
    epoch: float
    scores: dict[str, float]
    metric: str
    best: bool
    seconds: float


@dataclass(frozen=True)
class Saved:
    """The state was written; a broken run resumes from here."""

    step: int
    path: Path


@dataclass(frozen=True)
class Stopped:
    """After the last step, with the best weights restored.

    Attributes:
        reason: ``done``, ``early`` (no better score within the patience) or ``interrupted``.
        best_step: the step whose weights the model now has.
    """

    step: int
    reason: Literal["done", "early", "interrupted"]
    best_step: int
    best_score: float | None


Event = Started | Renewed | Step | Evaluated | Saved | Stopped
