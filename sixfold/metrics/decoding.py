"""The best legal tag sequence under per-word scores: Viterbi with hard transitions. No model is here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sixfold.errors import ModelError
from sixfold.metrics.tagging import transitions

Bools = NDArray[np.bool_]
BATCH = 256


def decode_constrained(scores: Sequence[NDArray], tags: Sequence[str]) -> list[list[str]]:
    """The best legal tags of each sentence (BIO, BIOES or BILOU, as the tags show).

    Args:
        scores: of each sentence the log-probabilities or logits, float [words, tags].
        tags: the tag of each column.

    Raises:
        ModelError: when a score is not finite, or the tags allow no legal sequence.
    """
    start, allowed, end = transitions(tags)
    found: list[list[str]] = [[] for _ in scores]
    # Sentences of like length share a batch, so that little is padded.
    order = sorted(range(len(scores)), key=lambda row: len(scores[row]))
    for first in range(0, len(order), BATCH):
        rows = [row for row in order[first : first + BATCH] if len(scores[row])]
        if not rows:
            continue
        lengths = np.array([len(scores[row]) for row in rows])
        padded = np.zeros((len(rows), lengths.max(), len(tags)))
        for place, row in enumerate(rows):
            padded[place, : lengths[place]] = scores[row]
        best = viterbi_batch(padded, lengths, start, allowed, end)
        for place, row in enumerate(rows):
            found[row] = [tags[tag] for tag in best[place, : lengths[place]]]
    return found


def viterbi(scores: NDArray, start: Bools, allowed: Bools, end: Bools) -> NDArray[np.int64]:
    """The tag indices [words] of one sentence's best legal sequence; see ``viterbi_batch``."""
    if len(scores) == 0:
        return np.zeros(0, dtype=np.int64)
    return viterbi_batch(np.asarray(scores)[None], np.array([len(scores)]), start, allowed, end)[0]


def viterbi_batch(scores: NDArray, lengths: NDArray, start: Bools, allowed: Bools, end: Bools) -> NDArray[np.int64]:
    """The sequence with the greatest sum of scores among the legal ones (Viterbi 1967).

    Args:
        scores: float [batch, words, tags]; what lies past a sentence's length is not read.
        lengths: words of each sentence, int [batch], at least 1.
        start: tags that may come first, bool [tags].
        allowed: ``allowed[i, j]``: tag j may follow tag i, bool [tags, tags].
        end: tags that may come last, bool [tags].

    Returns:
        int [batch, words]; 0 past a sentence's length.

    Raises:
        ModelError: when a score is not finite, or no sequence is legal.
    """
    scores = np.asarray(scores, dtype=np.float64)
    batch, words, tags = scores.shape
    inside = np.arange(words) < np.asarray(lengths)[:, None]
    if not np.isfinite(scores[inside]).all():
        raise ModelError("the model gave scores that are not numbers", hint="the training may have diverged")
    barred = np.where(allowed, 0.0, -np.inf)
    best = scores[:, 0] + np.where(start, 0.0, -np.inf)
    came = np.zeros((batch, words, tags), dtype=np.int64)
    for word in range(1, words):
        steps = best[:, :, None] + barred
        came[:, word] = steps.argmax(axis=1)
        onward = np.take_along_axis(steps, came[:, word][:, None], axis=1)[:, 0] + scores[:, word]
        best = np.where(inside[:, word, None], onward, best)
    best = best + np.where(end, 0.0, -np.inf)
    if not np.isfinite(best.max(axis=1)).all():
        raise ModelError("the tags allow no legal sequence", hint="each type that has an I- tag needs a B- tag")
    return _traced(best.argmax(axis=1), came, inside)


def _traced(last: NDArray[np.int64], came: NDArray[np.int64], inside: Bools) -> NDArray[np.int64]:
    batch, words, _ = came.shape
    path = np.zeros((batch, words), dtype=np.int64)
    tag, rows = last, np.arange(batch)
    for word in range(words - 1, -1, -1):
        path[:, word] = np.where(inside[:, word], tag, 0)
        tag = np.where(inside[:, word], came[rows, word, tag], tag)
    return path
