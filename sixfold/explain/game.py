"""One text whose answer is explained, as a game: its units are the players, a copy with some of them is a coalition.

Explainers (``occlusion.py``, ``lime.py``, ``shapley.py`` ...) only ask what coalitions are worth. How copies are made
is in ``masking.py``; what a model's task makes of it, in ``subjects.py`` and ``decoder.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Examples
from sixfold.explain.masking import Copies, Kept, distinct
from sixfold.explain.units import Units
from sixfold.score.driver import Query, Search
from sixfold.tasks.contract import Ask

Floats = NDArray[np.float64]
Scale = Literal["probability", "log_odds"]
LEAST = 1e-12
"""Probabilities are held so far from 0 and 1 before a logarithm is taken."""


class Judged(NamedTuple):
    """What the model says of some copies.

    Attributes:
        probabilities: [copies] of the answer that is explained.
        holds: [copies] whether the model still gives that answer.
    """

    probabilities: Floats
    holds: NDArray[np.bool_]


@dataclass(frozen=True)
class Path:
    """What integrated gradients ask for: the way from a text of meaningless tokens to the text.

    Attributes:
        points: how far along the way (0 to 1) each point lies, to a query whose answers are [tokens] the gradient of
            the explained log-probability, times what the token's embedding is away from its beginning. The special
            tokens around the text stay as they are.
        ends: asks for the text, and for where the way begins.
        worth: the answers to ``ends`` to the log-probabilities there, [2].
        owners: [tokens of all windows, special ones included] the unit of each, -1 for what belongs to none.
        moves: [tokens of all windows] which of them the way changes.
        windows: examples that each point has.
        share: what a window's part counts.
    """

    points: Callable[[Sequence[float]], Query]
    ends: Query
    worth: Callable[[Sequence[NDArray], Examples], Floats]
    owners: NDArray[np.int64]
    moves: NDArray[np.bool_]
    windows: int = 1
    share: float = 1.0


@dataclass(frozen=True)
class Attention:
    """What attention rollout asks for: answers are [tokens] what of each flows to where the model reads its answer.

    Attributes:
        owners: as of ``Path``.
    """

    query: Query
    owners: NDArray[np.int64]


@dataclass(frozen=True)
class Game:
    """One answer of the model to one text.

    Attributes:
        text: the user's string.
        units: its players, as spans of the string.
        label: the answer that is explained, in the user's terms.
        ask: the question about each copy.
        judge: the answers to copies, and the copies' examples, to what they say of the explained answer.
        copies: by filling, how copies are made.
        filling: the one that explainers use.
        scale: what a coalition is worth: the probability of the answer, or its log-odds.
        where: of an entity, its characters.
        beyond: units behind what the model reads of so long a text; it sees them in copies that have become shorter.
        path, attention: for explainers that look inside; None where the model does not let them.
    """

    text: str
    units: Units
    label: str
    ask: Ask
    judge: Callable[[Sequence[NDArray], Examples], Judged]
    copies: dict[str, Copies]
    filling: str = "delete"
    scale: Scale = "probability"
    where: tuple[int, int] | None = None
    beyond: int = 0
    path: Path | None = field(default=None, repr=False)
    attention: Attention | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """Players."""
        return len(self.units)

    def filled(self, filling: str) -> Game:
        """The same game with another filling."""
        return replace(self, filling=filling)

    def judged(self, kept: Kept) -> Search[Judged]:
        """What the model says of copies [copies, units]; equal copies are asked about once."""
        some, places = distinct(kept)
        examples = self.copies[self.filling].examples(some)
        answers = yield Query(examples, self.ask)
        found = self.judge(answers, examples)
        return Judged(found.probabilities[places], found.holds[places])

    def values(self, kept: Kept) -> Search[Floats]:
        """[copies] what each coalition is worth."""
        found = yield from self.judged(kept)
        return self.worth(found.probabilities)

    def worth(self, probabilities: Floats) -> Floats:
        """Probabilities on the game's scale."""
        if self.scale == "probability":
            return probabilities
        held = np.clip(probabilities, LEAST, 1 - LEAST)
        return np.log(held) - np.log1p(-held)


@dataclass(frozen=True)
class Weights:
    """What an explainer found.

    Attributes:
        values: [units] what each unit does for the answer, on the game's scale; negative speaks against it.
        details: what the explainer can tell of its own exactness, by name: a convergence delta, an R², a residual.
    """

    values: Floats
    details: dict[str, float] = field(default_factory=dict)
