"""Greedy searches: one word after the other, the most important first, each with the best of its candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sixfold.attack.changes import Candidate, Changes
from sixfold.attack.importance import Rank, in_order, stand_in
from sixfold.attack.trial import Edits, Found, Order, Trial, first_reached, nearest
from sixfold.score.driver import Search


def greedy(trial: Trial, changes: Changes, rank: Rank) -> Search[Found]:
    """Greedy search in the order of importance (DeepWordBug, Gao et al. 2018; TextFooler, Jin et al. 2020).

    For each word all candidates are scored in one question. If one reaches the goal, the search ends with the one that
    is most like the text; otherwise the best is kept, if it is nearer to the goal than what was there.
    """
    order = yield from _order(trial, changes, rank)
    edits: Edits = ()
    score, tried = trial.start, False
    for position in order:
        if trial.budget.over:
            return Found("budget spent", edits, score)
        if changes.full(trial, edits):
            break
        candidates = yield from changes.at(trial, edits, position)
        if not candidates:
            continue
        tried, spent = True, trial.budget.spent
        judged = yield from trial.judged([(*edits, candidate.edit) for candidate in candidates])
        best = nearest(judged, [candidate.like for candidate in candidates])
        if judged.reached[best]:
            found = (*edits, candidates[best].edit)
            return Found("succeeded", found, float(judged.scores[best]), spent + first_reached(judged))
        if judged.scores[best] > score:
            edits, score = (*edits, candidates[best].edit), float(judged.scores[best])
        if len(judged) < len(candidates):
            return Found("budget spent", edits, score)
    return Found("failed" if tried else "no candidates", edits, score)


def _order(trial: Trial, changes: Changes, rank: Rank) -> Search[tuple[int, ...]]:
    """The trial's order; asked for, and kept there, unless it has one."""
    if trial.order is not None:
        trial.budget.take(trial.order.spent)
        return trial.order.words
    before = trial.budget.spent
    words = yield from rank.of(trial, changes.positions(trial))
    trial.order = Order(tuple(words), trial.budget.spent - before)
    return trial.order.words


def saliency(trial: Trial, changes: Changes) -> Search[Found]:
    """Probability weighted word saliency (PWWS, Ren et al. 2019, P19-1103).

    Every word's best candidate is found on the original text, where it gains ``gain``. The words are then changed in
    the order of softmax(saliency) * gain, where a word's saliency is what its becoming unknown gains.

    Two things differ from the paper: a candidate that reaches the goal by itself ends the search, and a change that
    does not bring the goal nearer is not kept.
    """
    positions = changes.positions(trial)
    unknown = stand_in(trial, "unk_token", "mask_token", "eos_token")
    judged = yield from trial.scored([(trial.sentence.edit(place, unknown),) for place in positions])
    weights = _softmax(judged.scores - trial.start)
    offered: list[tuple[int, Candidate]] = []
    for place, position in enumerate(positions):
        offered += [(place, one) for one in (yield from changes.at(trial, (), position))]
    if not offered:
        return Found("no candidates", (), trial.start)
    spent = trial.budget.spent
    judged = yield from trial.judged([(candidate.edit,) for _, candidate in offered])
    if judged.reached.any():
        best = nearest(judged, [candidate.like for _, candidate in offered])
        return Found("succeeded", (offered[best][1].edit,), float(judged.scores[best]), spent + first_reached(judged))
    if len(judged) < len(offered):
        return Found("budget spent", (), trial.start)
    return (yield from _in_turn(trial, changes, _best_by_word(offered, judged.scores, weights, trial.start)))


def _best_by_word(
    offered: Sequence[tuple[int, Candidate]], scores: np.ndarray, weights: np.ndarray, start: float
) -> list[Candidate]:
    """Each word's best candidate, in the order of weight * gain."""
    best: dict[int, tuple[float, Candidate]] = {}
    for (place, candidate), score in zip(offered, scores.tolist(), strict=True):
        if place not in best or score > best[place][0]:
            best[place] = score, candidate
    ranks = np.array([weights[place] * (score - start) for place, (score, _) in best.items()])
    candidates = [candidate for _, candidate in best.values()]
    return [candidates[place] for place in in_order(range(len(candidates)), ranks)]


def _in_turn(trial: Trial, changes: Changes, candidates: Sequence[Candidate]) -> Search[Found]:
    """Make one change after the other, each if it brings the goal nearer."""
    edits: Edits = ()
    score = trial.start
    for candidate in candidates:
        if trial.budget.over:
            return Found("budget spent", edits, score)
        if changes.full(trial, edits):
            break
        tried = (*edits, candidate.edit)
        judged = yield from trial.judged([tried])
        if judged.reached[0]:
            return Found("succeeded", tried, float(judged.scores[0]), trial.budget.spent)
        if judged.scores[0] > score:
            edits, score = tried, float(judged.scores[0])
    return Found("failed", edits, score)


def _softmax(values: np.ndarray) -> np.ndarray:
    if not len(values):
        return values
    grown = np.exp(values - values.max())
    return grown / grown.sum()
