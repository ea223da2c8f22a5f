"""What an audit has found so far, and how one part after the other is added to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sixfold.errors import Interrupted
from sixfold.stages.auditing.config import Config, Part
from sixfold.stages.context import Context

Result = dict[str, Any]
Measure = Callable[[], tuple[Result | None, dict[str, Result]]]
"""Gives a part and its figures by name; None where nothing could be measured."""
_LEFT_OUT = "left out in the recipe (leave_out)"


@dataclass(frozen=True)
class Found:
    """The evidence of one checkpoint.

    Attributes:
        parameters, labels, limit: of the model: how many, what it answers with, and how many tokens it reads.
        evaluation: of the held-out split, as the task gives it.
        parts: what the report shows, by part.
        metrics: figures by name, as gates know them.
        missing: what was not measured, and why.
        scoring: what the forward passes cost.
    """

    parameters: int
    labels: list[str]
    limit: int
    evaluation: Result
    parts: Result
    metrics: dict[str, Result]
    missing: dict[str, str]
    scoring: Result


def measure(
    parts: Result,
    metrics: dict[str, Result],
    missing: dict[str, str],
    config: Config,
    context: Context,
    measures: Mapping[Part, Measure | str],
) -> None:
    """Measure part by part, into the first three.

    Args:
        measures: what measures each part, or why it cannot be measured.

    Raises:
        Interrupted: the user asked to stop.
    """
    for name, how in measures.items():
        if isinstance(how, str) or not config.measures(name):
            missing[name] = how if isinstance(how, str) else _LEFT_OUT
            continue
        if context.stop():
            raise Interrupted("stopped; the attacks that are done are kept", hint="run the same command to go on")
        part, figures = how()
        if part is None:
            missing[name] = "none of the texts could be used"
            continue
        parts[name] = part
        metrics |= figures
