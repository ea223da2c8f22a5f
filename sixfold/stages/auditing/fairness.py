"""Whether an answer hangs on a person's sex: the same text with pronouns or names exchanged must be answered alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sixfold.metrics.intervals import proportion
from sixfold.perturb.counterparts import KINDS, Kind, counterpart, counterpart_words
from sixfold.score.subject import Subject
from sixfold.stages.auditing.figures import FLIPS
from sixfold.stages.auditing.quality import said, written

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
    pairs = [(text, other) for text in given if (other := _counterpart(text, kind)) != text]
    before, after = (list(map(said, subject.predicted([pair[side] for pair in pairs]))) for side in (0, 1))
    flips = [place for place, (first, second) in enumerate(zip(before, after, strict=True)) if first != second]
    shown = [
        {
            "text": written(pairs[place][0]),
            "counterpart": written(pairs[place][1]),
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
