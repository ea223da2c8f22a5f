"""Personal data in the training text: counted by type, never shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sixfold.metrics.intervals import proportion
from sixfold.safety.find import find
from sixfold.stages.auditing.figures import PERSONAL
from sixfold.stages.auditing.quality import written

Result = dict[str, Any]


def personal(given: Sequence[Any], of: int, *, masked: bool) -> tuple[Result, dict[str, Result]]:
    """What patterns find; names of people need a model and are not counted.

    Args:
        given: training texts, or rows of words.
        of: how many there are in all.
        masked: whether they were masked: what is found are then pseudonyms, and of nobody.
    """
    counts: Counter[str] = Counter()
    touched = 0
    for text in given:
        kinds = {one.type for one in find(written(text))}
        counts.update(kinds)
        touched += bool(kinds)
    metric = proportion("rows with personal data", touched, len(given)).to_dict()
    told = {"rows": len(given), "of": of, "types": dict(counts.most_common()), "metric": metric, "masked": masked}
    return told, {PERSONAL: metric}
