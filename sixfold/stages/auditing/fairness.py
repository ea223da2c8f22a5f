"""Whether an answer hangs on a person's sex: the same text with pronouns or names exchanged must be answered alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sixfold.metrics.intervals import proportion
from sixfold.perturb.counterparts import KINDS, Kind, counterpart, counterpart_words
from sixfold.score.subject import Subject
from sixfold.stages.auditing.figures import FLIPS

Result = dict[str, Any]
SHOWN = 6
"""Texts of a kind that are kept for the report."""


def fairness(subject: Subject, given: Sequence[Any]) -> tuple[Result, dict[str, Result]]:
    """Texts whose answer changes with a person's sex, by what was exchanged; and the figures by name.

    Args:
        given: texts, or rows of words.
    """
    found = {kind: _of_kind(subject, given, kind) for kind in KINDS}
    return {"kinds": found, "texts": len(given)}, {f"{FLIPS}.{kind}": one["metric"] for kind, one in found.items()}


def _of_kind(subject: Subject, given: Sequence[Any], kind: Kind) -> Result:
    pairs = [(place, text, _counterpart(text, kind)) for place, text in enumerate(given)]
    pairs = [pair for pair in pairs if pair[1] != pair[2]]
    before, after = (_answers(subject, [pair[side] for pair in pairs]) for side in (1, 2))
    flips = [place for place, (first, second) in enumerate(zip(before, after, strict=True)) if first != second]
    shown = [
        {
            "row": pairs[place][0],
            "text": _text(pairs[place][1]),
            "counterpart": _text(pairs[place][2]),
            "before": before[place],
            "after": after[place],
        }
        for place in flips[:SHOWN]
    ]
    return {
        "texts": len(pairs),
        "metric": proportion("answers that change", len(flips), len(pairs)).to_dict(),
        "shown": shown,
    }


def _counterpart(given: Any, kind: Kind) -> Any:
    return counterpart(given, kind) if isinstance(given, str) else counterpart_words(given, kind)


def _text(given: Any) -> str:
    return given if isinstance(given, str) else " ".join(given)


def _answers(subject: Subject, given: Sequence[Any]) -> list[str]:
    """What the model says of each text, in words; of a row of words its tags."""
    if not given:
        return []
    task: Any = subject.task
    found = []
    for logits in subject.whole(given):
        probabilities = subject.probabilities(logits[None])[0]
        if probabilities.ndim == 2:
            found.append(" ".join(task.labels[place] for place in probabilities.argmax(-1)))
        elif getattr(task, "several", False):
            cuts = np.array(task.thresholds or [0.5] * len(task.labels))
            found.append(", ".join(task.labels[place] for place in np.flatnonzero(probabilities >= cuts)) or "nothing")
        else:
            found.append(task.labels[int(probabilities.argmax())])
    return found
