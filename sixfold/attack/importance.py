"""Which words of a text matter most to the model: the order in which a greedy search tries them.

Each order costs one query a word; all of one text's are asked together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sixfold.attack.trial import Trial
from sixfold.errors import ModelError
from sixfold.score.driver import Search


@dataclass(frozen=True)
class Rank:
    """An order of words.

    Attributes:
        what: for a report.
        of: a trial and the words that may be changed to those words, the most important first.
    """

    what: str
    of: Callable[[Trial, Sequence[int]], Search[list[int]]]


def _by_deletion(trial: Trial, positions: Sequence[int]) -> Search[list[int]]:
    """By how near the goal the text comes without the word (TextFooler, Jin et al. 2020).

    Where a row's words must stay as many as they are, the word becomes unknown instead.
    """
    if trial.text.is_words:
        return (yield from _by_unknown(trial, positions))
    return (yield from _by_replacing(trial, positions, ""))


def _by_unknown(trial: Trial, positions: Sequence[int]) -> Search[list[int]]:
    """By how near the goal the text comes with an unknown word in the word's place (as TextAttack's default)."""
    return (yield from _by_replacing(trial, positions, stand_in(trial, "unk_token", "mask_token", "eos_token")))


def _by_mask(trial: Trial, positions: Sequence[int]) -> Search[list[int]]:
    """By how near the goal the text comes with a mask in the word's place (BERT-Attack, Li et al. 2020)."""
    return (yield from _by_replacing(trial, positions, stand_in(trial, "mask_token", "unk_token", "eos_token")))


def _by_replacing(trial: Trial, positions: Sequence[int], replacement: str) -> Search[list[int]]:
    judged = yield from trial.judged([(trial.sentence.edit(place, replacement),) for place in positions])
    return in_order(positions, judged.scores)


def stand_in(trial: Trial, *names: str) -> str:
    """The first of the tokenizer's special tokens of those names, as a string.

    Raises:
        ModelError: it has none of them.
    """
    for name in names:
        token = getattr(trial.subject.tokenizer, name, None)
        if token is not None:
            return str(token)
    raise ModelError("the tokenizer has no token that could stand for an unknown word", hint="rank words by deletion")


def in_order(positions: Sequence[int], scores: NDArray) -> list[int]:
    """The positions with the greatest score first, of equals the first in the text; those without a score last."""
    known = [-np.inf] * len(positions)
    known[: len(scores)] = scores.tolist()
    return [place for _, place in sorted(zip(known, positions, strict=True), key=lambda pair: (-pair[0], pair[1]))]


DELETION = Rank("words by what their deletion changes", _by_deletion)
UNKNOWN = Rank("words by what an unknown word in their place changes", _by_unknown)
MASK = Rank("words by what a mask in their place changes", _by_mask)
