"""Beam search: the best few variants are changed further, all together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sixfold.attack.changes import Changes
from sixfold.attack.trial import Edits, Found, Trial, first_reached, nearest
from sixfold.perturb.words import Edit, Rewrite
from sixfold.score.driver import Asks, Search


@dataclass(frozen=True)
class Moves:
    """The single changes of a text.

    Attributes:
        what: for a report.
        rules: the constraints, for a report.
        of: a trial to all its changes, in a fixed order.
        scorers: models that are asked on the way.
        one_for_one: whether each change leaves one word one word.
    """

    what: str
    rules: tuple[str, ...]
    of: Callable[[Trial], Search[list[Edits]]]
    scorers: Mapping[str, Asks] = field(default_factory=dict)
    one_for_one: bool = True


def beam(trial: Trial, moves: Moves, *, width: int, most: int | None = None) -> Search[Found]:
    """Beam search; a width of 1 is the greedy search that looks at all words in each step.

    Args:
        width: variants that are kept from one step to the next.
        most: steps, and so changes of one text; None is as many as there are places.
    """
    known = yield from moves.of(trial)
    states: list[Edits] = [()]
    found = Found("no candidates", (), trial.start)
    steps = 0
    while most is None or steps < most:
        variants = list(dict.fromkeys(_grown(states, known)))
        if not variants:
            break
        if trial.budget.over:
            return Found("budget spent", found.edits, found.score)
        spent, steps = trial.budget.spent, steps + 1
        judged = yield from trial.judged(variants)
        best = nearest(judged, [None] * len(variants))
        score = float(judged.scores[best])
        if judged.reached[best]:
            return Found("succeeded", variants[best], score, spent + first_reached(judged))
        better = score > found.score
        found = Found("failed", variants[best] if better else found.edits, score if better else found.score)
        if len(judged) < len(variants):
            return Found("budget spent", found.edits, found.score)
        states = [variants[place] for place in np.argsort(-judged.scores, kind="stable")[:width]]
    return found


def _grown(states: Sequence[Edits], moves: Sequence[Edits]) -> Iterator[Edits]:
    """Every state with one more move that touches none of its edits; in the order of the text, so that the same
    changes made in another order are one variant."""
    for state in states:
        for move in moves:
            if not any(_touch(one, other) for one in state for other in move):
                yield tuple(sorted((*state, *move)))


def _touch(one: Edit, other: Edit) -> bool:
    """Whether two edits change the same place."""
    return one.start == other.start or (one.start < other.end and other.start < one.end)


def of_words(changes: Changes) -> Moves:
    """The candidates of every word that may be changed."""

    def of(trial: Trial) -> Search[list[Edits]]:
        found: list[Edits] = []
        for position in changes.positions(trial):
            found += [(one.edit,) for one in (yield from changes.at(trial, (), position))]
        return found

    return Moves(changes.offer.what, tuple(changes.told()), of, changes.scorers)


def of_rewrites(rewrites: Sequence[Rewrite]) -> Moves:
    """The variants of several rewrites, one rewrite after the other."""

    def of(trial: Trial) -> Search[list[Edits]]:
        yield from ()
        return list(dict.fromkeys(variant for one in rewrites for variant in one.variants(trial.sentence)))

    return Moves(", ".join(one.name for one in rewrites), (), of, one_for_one=False)


def both(first: Moves, second: Moves) -> Moves:
    """The moves of two, in turn."""

    def of(trial: Trial) -> Search[list[Edits]]:
        return [*(yield from first.of(trial)), *(yield from second.of(trial))]

    return Moves(
        f"{first.what}, {second.what}",
        (*first.rules, *second.rules),
        of,
        {**first.scorers, **second.scorers},
        first.one_for_one and second.one_for_one,
    )
