"""Which words of a text matter most to the model: the order in which a greedy search tries them.

Most orders cost one query a word; all of one text's are asked together. An order by gradient costs one query in all,
but the attacker must have the model's weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sixfold.attack.trial import Trial
from sixfold.errors import ModelError
from sixfold.score.driver import Search
from sixfold.score.edited import Tokens
from sixfold.score.gradients import gradient_query
from sixfold.tasks.encoding import pieces


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
    judged = yield from trial.scored([(trial.sentence.edit(place, replacement),) for place in positions])
    return in_order(positions, judged.scores)


def _by_gradient(trial: Trial, positions: Sequence[int]) -> Search[list[int]]:
    """By how steep the right answer's loss is at the word's embeddings, the steepest of its tokens (A2T)."""
    if not trial.budget.take(1):
        return list(positions)
    query = gradient_query(trial.subject, trial.text, [()], [trial.aim.label])  # type: ignore[arg-type]
    answers = yield query
    steep = _steepness(trial, answers)
    ranges = _token_ranges(trial)
    scores = [steep[first:last].max(initial=0.0) for first, last in ranges[list(positions)]]
    return in_order(positions, np.array(scores))


def _steepness(trial: Trial, answers: Sequence[NDArray]) -> NDArray[np.float64]:
    """[tokens] the length of the gradient at each token of the text; where windows overlap, the longer one."""
    subject, before = trial.subject, len(trial.subject.frame.before)
    count = len(trial.text.tokens.ids)
    parts, _ = pieces([count], subject.limit, subject.frame, subject.on_long)
    steep = np.zeros(count)
    for part, answer in zip(parts, answers, strict=True):
        lengths = np.linalg.norm(answer, axis=1)[before : before + part.end - part.start]
        steep[part.start : part.end] = np.maximum(steep[part.start : part.end], lengths)
    return steep


def _token_ranges(trial: Trial) -> NDArray[np.int64]:
    """[words, 2] each word's first token, and the token after its last."""
    tokens = trial.text.tokens
    if isinstance(tokens, Tokens):
        return tokens.ranges(trial.sentence.spans)
    ends = np.cumsum(tokens.lengths)
    return np.stack([ends - tokens.lengths, ends], axis=1)


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
GRADIENT = Rank("words by the gradient of the right answer's loss", _by_gradient)
MASK = Rank("words by what a mask in their place changes", _by_mask)
