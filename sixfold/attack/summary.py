"""What the outcomes of an attack say together: counts, rates with intervals, and success against budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np

from sixfold.attack.outcome import Outcome
from sixfold.attack.trial import Kind
from sixfold.metrics import entities
from sixfold.metrics.intervals import mean, proportion
from sixfold.metrics.value import Metric

BUDGETS = (100, 500, 2_000)
"""Queries an example at which success is told, as papers do."""
MOST_CHANGED = 20


def counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Outcomes by kind, those of each kind that there is none of included; skipped ones by their reason."""
    found = Counter(one.kind for one in outcomes)
    why = Counter(one.why for one in outcomes if one.kind == "skipped")
    kinds = [kind for kind in get_args(Kind) if kind != "skipped"]
    return {kind: found[kind] for kind in kinds} | {
        f"skipped: {reason}": why[reason] for reason in ("already wrong", "nothing to attack", "too long")
    }


def summary(outcomes: Sequence[Outcome], *, budget: int | None, seed: int) -> dict[str, Any]:
    """Everything a report shows of one attack, ready for JSON.

    A row without a candidate was not tried: it counts neither as withstood nor as lost, and is in none of the rates but
    ``clean``. A row whose budget was spent, or whose success was not confirmed, counts as withstood.

    Args:
        budget: queries that each example had.
        seed: of the bootstrap.
    """
    usable = [one for one in outcomes if one.why not in ("nothing to attack", "too long")]
    tried = [one for one in usable if one.was_right and one.kind != "no candidates"]
    won = [one for one in tried if one.kind == "succeeded"]
    left_out = sum(one.kind == "no candidates" for one in usable)
    budgets = [most for most in BUDGETS if budget is None or most <= budget]
    metrics = {
        "clean": proportion("accuracy before", sum(one.was_right for one in usable), len(usable)),
        "under_attack": proportion("accuracy under attack", len(tried) - len(won), len(usable) - left_out),
        "success": proportion("success of the attack", len(won), len(tried)),
        "queries": mean("queries an example", _floats(one.queries for one in tried)),
        "changed": mean("words changed in a success", _floats(_share(one) for one in won), percent=True),
        "similarity": mean("similarity of a success", _floats(one.similarity for one in won)),
    }
    found: dict[str, Any] = {
        "counts": counts(outcomes),
        "count": len(outcomes),
        "metrics": {name: metric.to_dict() for name, metric in metrics.items()},
        "median_queries": float(np.median([one.queries for one in tried])) if tried else None,
        "budgets": [{"budget": most, **_at(tried, usable, most, left_out)} for most in budgets],
        "curve": _curve(tried),
        "per_class": _per_class(tried),
        "most_changed": _most_changed(won),
    }
    tagged = [one for one in usable if one.original_words]
    return found | ({"entities": _entities(tagged, seed)} if tagged else {})


def worst_case(by_attack: Mapping[str, Sequence[Outcome]]) -> dict[str, Any]:
    """Several attacks as one attacker, who takes whichever succeeds: counts and accuracy under all of them.

    A row is left out if no attack had a candidate for it.
    """
    rows: dict[tuple[str, int], list[Outcome]] = {}
    for found in by_attack.values():
        for one in found:
            rows.setdefault((one.row, one.place), []).append(one)
    usable = [found for found in rows.values() if not any(o.why in ("nothing to attack", "too long") for o in found)]
    tried = [found for found in usable if not all(one.kind == "no candidates" for one in found)]
    right = [found for found in tried if found[0].was_right]
    lost = sum(any(one.kind == "succeeded" for one in found) for found in right)
    return {
        "attacks": list(by_attack),
        "under_attack": proportion("accuracy under all attacks", len(right) - lost, len(tried)).to_dict(),
        "success": proportion("success of any attack", lost, len(right)).to_dict(),
    }


def _floats(values: Any) -> np.ndarray:
    return np.array([value for value in values if value is not None], dtype=np.float64)


def _share(one: Outcome) -> float:
    return len(one.edits) / max(1, one.words)


def _at(tried: Sequence[Outcome], usable: Sequence[Outcome], most: int, left_out: int) -> dict[str, Any]:
    """Success and accuracy if each example had had so many queries: exact, since a search does not know its budget."""
    won = sum(one.kind == "succeeded" and one.enough is not None and one.enough <= most for one in tried)
    success = proportion("success of the attack", won, len(tried))
    under: Metric = proportion("accuracy under attack", len(tried) - won, len(usable) - left_out)
    return {"success": success.to_dict(), "under_attack": under.to_dict()}


def _curve(tried: Sequence[Outcome]) -> list[tuple[int, float]]:
    """(queries, share of the examples that so many are enough for), at every number at which the share grows."""
    enough = Counter(one.enough for one in tried if one.kind == "succeeded" and one.enough is not None)
    won, found = 0, [(0, 0.0)]
    for queries in sorted(enough):
        won += enough[queries]
        found.append((queries, won / len(tried)))
    return found


def _per_class(tried: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Success by the right answer, the most vulnerable first; not for tags."""
    groups: dict[str, list[Outcome]] = {}
    for one in tried:
        if not one.original_words:
            groups.setdefault(one.gold if isinstance(one.gold, str) else ", ".join(one.gold), []).append(one)
    rows = [
        {
            "label": label,
            "success": proportion(label, sum(one.kind == "succeeded" for one in found), len(found)).to_dict(),
        }
        for label, found in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row["success"]["value"], row["label"]))


def _most_changed(won: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The words whose change made the model err most often, with what they became."""
    words: dict[str, Counter[str]] = {}
    for one in won:
        for start, end, replacement in one.edits:
            words.setdefault(one.original[start:end].strip().casefold(), Counter())[replacement.strip()] += 1
    ranked = sorted(words.items(), key=lambda item: (-item[1].total(), item[0]))
    return [
        {"word": word, "count": became.total(), "became": [new for new, _ in became.most_common(5)]}
        for word, became in ranked[:MOST_CHANGED]
        if word
    ]


def _entities(tagged: Sequence[Outcome], seed: int) -> dict[str, Any]:
    """Entity F1 before and under attack, over the same sentences; a sentence that withstood keeps its answer."""
    gold = [list(one.gold) for one in tagged]
    before = [list(one.before) for one in tagged]
    after = [list(one.after if one.kind == "succeeded" else one.before) for one in tagged]
    found = {name: entities.evaluate(gold, tags, seed=seed) for name, tags in (("before", before), ("after", after))}
    return {
        name: {"f1": result.f1.to_dict(), "recall": result.recall.to_dict(), "precision": result.precision.to_dict()}
        for name, result in found.items()
    }
