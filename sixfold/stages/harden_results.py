"""What a model says and how it is fooled before and after hardening, side by side, as plain data for the report.

Every comparison is paired: the same rows, the same attacks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sixfold.attack.attacks import ATTACKS
from sixfold.attack.goals import goal_for
from sixfold.attack.outcome import Outcome
from sixfold.attack.summary import summary
from sixfold.metrics import compare
from sixfold.metrics.compare import Comparison
from sixfold.metrics.intervals import proportion
from sixfold.metrics.tagging import spans, tags_of
from sixfold.report import show
from sixfold.stages.attacked import Measured, usable, withstood
from sixfold.stages.harden_config import Config, trained_on

if TYPE_CHECKING:
    import datasets

    from sixfold.score.subject import Subject

Result = dict[str, Any]
SIDES = ("before", "after")
SHOWN = 12
"""Rows of an attack whose texts are kept for the report."""


def compared(
    before: Measured, after: Measured, rows: datasets.Dataset, split: str, *, config: Config, seed: int
) -> Result:
    """Before and after: on rows as they are, under each attack, and under all attacks together.

    A row withstands an attack if the answer was right before it and no success was confirmed: what an attack could not
    change counts as withstood too. Rows that leave nothing to attack, or are too long, are in no figure of attacks.

    Args:
        rows: the split's, of which some were attacked.
        config: says what attacks had, and what was learnt from.
        seed: of the bootstrap.
    """
    sides = usable([one.outcomes for one in before.attacked], [one.outcomes for one in after.attacked])
    held = [np.array([[withstood(one) for one in found] for found in side], dtype=bool) for side in sides]
    right = [np.array([one.was_right for one in side[0]], dtype=bool) for side in sides]
    worst = [np.asarray(side.all(axis=0)) for side in held]
    tests = compare.corrected(
        [
            _clean_test(before, after, rows, split, seed),
            compare.accuracy(*right),
            *(compare.accuracy(*pair) for pair in zip(*held, strict=True)),
            compare.accuracy(*worst),
        ]
    )
    each = [
        _attack(before, after, place, config, seed) | _both([side[place] for side in held], tests[2 + place])
        for place in range(len(before.attacked))
    ]
    name = after.subject.task.metric
    metrics = [side.clean.evaluations[split]["metrics"][name] for side in (before, after)]
    return {
        "split": split,
        "of": len(rows),
        "rows": len(right[0]),
        "left_out": len(before.attacked[0].outcomes) - len(right[0]),
        "budget": config.budget,
        "seed": seed,
        "metric": {**dict(zip(SIDES, metrics, strict=True)), "name": metrics[0]["name"], "test": tests[0].to_dict()},
        "clean": _both(right, tests[1]),
        "attacks": each,
        "all": _both(worst, tests[-1]),
    }


def _both(sides: Sequence[NDArray[np.bool_]], test: Comparison) -> Result:
    shares = [proportion("accuracy", int(side.sum()), len(side)).to_dict() for side in sides]
    return {**dict(zip(SIDES, shares, strict=True)), "test": test.to_dict()}


def _attack(before: Measured, after: Measured, place: int, config: Config, seed: int) -> Result:
    """One attack, for the report."""
    old, new = before.attacked[place], after.attacked[place]
    row = ATTACKS[old.name]
    won = [one for one in old.outcomes if one.kind == "succeeded"]
    read = sum(_rightly(after.subject, won))
    return {
        "name": old.name,
        "what": row.what,
        "paper": row.paper,
        "changes": row.changes,
        "settings": old.settings,
        "trained_on": trained_on(config, old.name),
        "summaries": {
            side: summary(found.outcomes, budget=config.budget, seed=seed)
            for side, found in zip(SIDES, (old, new), strict=True)
        },
        "costs": dict(zip(SIDES, (old.cost, new.cost), strict=True)),
        "old_texts": proportion("old texts read rightly", read, len(won)).to_dict(),
        "pairs": _pairs(old.outcomes, new.outcomes, after.subject),
    }


def _rightly(subject: Subject, outcomes: Sequence[Outcome]) -> list[bool]:
    """Whether the model is right about each adversarial text, read as a user would give it."""
    if not outcomes:
        return []
    goal = goal_for(subject.task)
    given = [list(one.adversarial_words) or one.adversarial for one in outcomes]
    found = []
    for one, logits in zip(outcomes, subject.whole(given), strict=True):
        aim = goal.aim(one.gold)
        found.append(aim is not None and aim.right(subject.probabilities(logits[None])))
    return found


def _pairs(before: Sequence[Outcome], after: Sequence[Outcome], subject: Subject) -> list[Result]:
    """Rows on which the base erred under attack, and what the attack reached afterwards; the fewest changes first.

    Half of them withstand now, half do not, as far as there are any.
    """
    lost = [pair for pair in zip(before, after, strict=True) if pair[0].kind == "succeeded"]
    lost.sort(key=lambda pair: (len(pair[0].edits) / max(1, pair[0].words), pair[0].row))
    held = [pair for pair in lost if withstood(pair[1])]
    gone = [pair for pair in lost if not withstood(pair[1])]
    few = SHOWN // 2
    kept = {id(pair) for pair in [*held[: max(few, SHOWN - len(gone))], *gone[: max(few, SHOWN - len(held))]]}
    chosen = [pair for pair in lost if id(pair) in kept]
    reads = _rightly(subject, [old for old, _ in chosen])
    return [
        {"before": old.to_dict(), "after": new.to_dict(), "reads_old": right}
        for (old, new), right in zip(chosen, reads, strict=True)
    ]


def _clean_test(before: Measured, after: Measured, rows: datasets.Dataset, split: str, seed: int) -> Comparison:
    """The paired test of the task's metric on all rows of the split, as they are."""
    task: Any = after.subject.task
    answers = [side.clean.predictions[split] for side in (before, after)]
    target = next(column.role for column in task.columns if column.target)
    if task.name == "token_classification":
        right = [tags_of(spans(tags), len(tags)) for tags in rows[target]]
        return compare.taggers(right, *([list(one.tags) for one in side] for side in answers), seed=seed)
    if task.several:
        names = sorted({*task.labels, *(label for cell in rows[target] for label in cell)})
        sides = (rows[target], *([one.labels for one in side] for side in answers))
        marks = [np.array([[name in cell for name in names] for cell in side], dtype=bool) for side in sides]
        tests: Sequence[Comparison] = compare.several_labels(*marks, seed=seed)
    else:
        # Where it abstains, its likeliest label counts, as in the metrics.
        sides = (rows[target], *([task.labels[int(one.probabilities.argmax())] for one in side] for side in answers))
        names = sorted({str(label) for side in sides for label in side})
        index = {name: place for place, name in enumerate(names)}
        gold, first, second = (np.array([index[str(label)] for label in side]) for side in sides)
        tests = compare.classifiers(gold, first, second, len(names), seed=seed)
    return next(test for test in tests if test.metric == "macro F1")


def refusal(found: Result, most: float) -> Result | None:
    """Why the result is refused, as the parts of an error; None if the score on rows as they are has held.

    Args:
        found: as ``compared`` gives it.
        most: how far the score may fall.
    """
    metric = found["metric"]
    before, after = (metric[side]["value"] for side in SIDES)
    if before is None or after is None or before - after <= most + 1e-9:
        return None
    return {
        "what": f"{metric['name']} on {found['split']} rows as they are fell from {show.percent(before)} to "
        f"{show.percent(after)} %, and the recipe lets it fall by {show.percent(most)} points",
        "found": f"{show.gained(metric['test']['difference'], metric['test']['low'], metric['test']['high'])} points "
        f"on {metric['before']['count']:,} rows",
        "hint": "train more gently (a smaller epsilon or mask_share, fewer renew.examples, fewer epochs), "
        "or allow it: max_clean_loss",
    }


def told(found: Result) -> Iterator[str]:
    """Before and after, in lines of a table for a terminal."""
    lines = [(f"{found['metric']['name']}, {found['of']:,} rows as they are", found["metric"])]
    lines += [(f"under {one['name']}", one) for one in found["attacks"]]
    lines += [("under all of them", found["all"])]
    width = max(len(name) for name, _ in lines)
    yield f"[dim]{'right answers, %':<{width}}  {'before':>6}  {'after':>6}  difference[/]"
    for name, line in lines:
        before, after = (show.percent(line[side]["value"]) for side in SIDES)
        test = line["test"]
        gained = show.gained(test["difference"], test["low"], test["high"]).replace("[", r"\[")
        yield f"{name:<{width}}  {before:>6}  {after:>6}  {gained}, p {show.p_value(test['p_holm'])}"


def robustness(found: Result) -> Result:
    """What the lineage keeps: accuracy under each attack and under all, before and after."""
    lines = {one["name"]: one for one in found["attacks"]} | {"all": found["all"]}
    return {
        "split": found["split"],
        "budget": found["budget"],
        "accuracy_under_attack": {name: {side: line[side] for side in SIDES} for name, line in lines.items()},
    }
