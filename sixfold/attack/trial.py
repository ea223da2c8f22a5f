"""One text under attack: what a search asks through, and what it finds. How to search: ``greedy.py``, ``beam.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from sixfold.attack.budget import Budget
from sixfold.attack.goals import Aim, Judged
from sixfold.perturb.words import Edit, Sentence
from sixfold.score.driver import Search

if TYPE_CHECKING:
    from sixfold.score.subject import Subject, Text

Edits = tuple[Edit, ...]
READINGS = 2
"""Further draws that must agree before a search believes what one draw of a model that answers by draws says."""
Kind = Literal["succeeded", "failed", "no candidates", "budget spent", "not confirmed", "skipped"]
"""What came of an attack.

``no candidates``: nothing may be changed, so nothing was tried; that is no proof of anything. ``budget spent``: the
queries ended before the search did. ``not confirmed``: the search reached the goal, but the model, asked anew about the
finished string, did not agree. ``skipped``: the answer was wrong before, or the row leaves nothing to attack.
"""


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        edits: of the nearest variant; empty if none was nearer than the text as it is.
        score: its score, as the goal counts.
        enough: queries after which the goal was reached; a budget of so many would have done.
    """

    kind: Kind
    edits: Edits
    score: float
    enough: int | None = None


@dataclass(frozen=True)
class Order:
    """The words of a text that may be changed, in the order in which a search tries them, and the queries it took."""

    words: tuple[int, ...]
    spent: int


@dataclass
class Trial:
    """One text under attack.

    Attributes:
        start: the score of the text as it is.
        frozen: words that stay as they are.
        rng: the example's own, so that what is drawn does not hang on other examples.
        known: candidates that were found for all words at once, by the name of what found them.
        order: of the words; a greedy search that is given one does not ask for it, and counts its queries as spent.
    """

    subject: Subject
    text: Text
    aim: Aim
    budget: Budget
    rng: np.random.Generator
    start: float = 0.0
    frozen: frozenset[int] = frozenset()
    known: dict[str, list[list[str]]] = field(default_factory=dict)
    order: Order | None = None

    @property
    def sentence(self) -> Sentence:
        return self.text.sentence

    def judged(self, variants: Sequence[Edits]) -> Search[Judged]:
        """Ask the model about variants, as far as the budget goes: fewer are judged where it ends.

        Where answers are drawn, variants that reach the goal are asked about ``READINGS`` times more. They reach it
        only if every draw agrees, and their score is the mean: else a search would end at the first lucky draw.
        """
        judged = yield from self.scored(variants)
        lucky = np.flatnonzero(judged.reached).tolist()
        if not self.subject.scorer.drawn or not len(lucky):
            return judged
        again = yield from self.scored([variants[place] for place in lucky for _ in range(READINGS)])
        whole = len(again) // READINGS
        scores, reached = judged.scores.copy(), np.zeros(len(judged), dtype=np.bool_)
        read, held = (each[: whole * READINGS].reshape(whole, READINGS) for each in (again.scores, again.reached))
        places = lucky[:whole]
        scores[places] = (scores[places] + read.sum(axis=1)) / (1 + READINGS)
        reached[places] = held.all(axis=1)
        return Judged(scores, reached, np.cumsum(1 + READINGS * judged.reached))

    def scored(self, variants: Sequence[Edits]) -> Search[Judged]:
        """As ``judged``, each asked about once: enough for an order of words."""
        variants = variants[: self.budget.take(len(variants))]
        if not variants:
            return Judged(np.zeros(0), np.zeros(0, dtype=np.bool_))
        query = self.subject.query(self.text, variants)
        answers = yield query
        logits = self.subject.logits(self.text, query, answers)
        return self.aim.judge(self.subject.probabilities(logits))


def nearest(judged: Judged, likeness: Sequence[float | None]) -> int:
    """The variant to go on with: of those that reach the goal the one most like the text, else the best score.

    Of equals the first. Without a measure of likeness, the best score decides among those that reach it too.
    """

    def rank(place: int) -> tuple[bool, float, float]:
        reached = bool(judged.reached[place])
        like = likeness[place] if reached else None
        return reached, 0.0 if like is None else like, float(judged.scores[place])

    return max(range(len(judged)), key=rank)


def first_reached(judged: Judged) -> int:
    """How many queries about the variants, in their order, had to be spent to reach the goal."""
    first = int(judged.reached.argmax())
    return first + 1 if judged.spent is None else int(judged.spent[first])
