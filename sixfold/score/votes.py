"""One answer out of many copies of a text with random tokens hidden (RanMASK, Zeng et al. 2021, arXiv:2105.03743)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Examples, Ragged
from sixfold.score.driver import Asks
from sixfold.tasks.contract import Ask
from sixfold.tasks.encoding import Frame

COPIES = 8192
"""Copies in memory at once."""


@dataclass(frozen=True)
class Votes:
    """What the copies of each example say.

    Attributes:
        counts: [examples, classes] copies whose best class it is.
        logits: [examples, classes] mean over the copies.
    """

    counts: NDArray[np.int64]
    logits: NDArray[np.float64]

    @property
    def shares(self) -> NDArray[np.float64]:
        """[examples, classes] of the copies."""
        return self.counts / self.counts.sum(axis=1, keepdims=True)


def voted(
    scorer: Asks,
    examples: Examples,
    ask: Ask,
    *,
    masks: int,
    share: float,
    mask_id: int,
    frame: Frame,
    seed: int,
) -> Votes:
    """Answer each example by the votes of copies with hidden tokens. Nothing is cached: each copy is drawn anew.

    Args:
        ask: gives the logits [classes] of an example.
        masks: copies of each example.
        share: of an example's tokens that is hidden in each copy, always the same number.
        mask_id: stands in a hidden token's place.
        frame: the special tokens around a text, which are never hidden.
        seed: an example's copies depend on it and on the example's place alone.
    """
    assert masks > 0
    assert 0 <= share <= 1
    counts, means = [], []
    for start in range(0, len(examples), max(1, COPIES // masks)):
        part = np.arange(start, min(len(examples), start + max(1, COPIES // masks)))
        copies = _hidden(examples.take(np.repeat(part, masks)), masks, share, mask_id, frame, (seed, start))
        answers = np.stack(scorer.ask(copies, ask, fresh=True)).reshape(len(part), masks, -1)
        best = answers.argmax(axis=-1)[:, :, None] == np.arange(answers.shape[-1])
        counts.append(best.sum(axis=1))
        means.append(answers.mean(axis=1, dtype=np.float64))
    if not counts:
        return Votes(np.zeros((0, 0), dtype=np.int64), np.zeros((0, 0)))
    return Votes(np.concatenate(counts), np.concatenate(means))


def _hidden(copies: Examples, masks: int, share: float, mask_id: int, frame: Frame, seed: tuple[int, int]) -> Examples:
    """The copies, ``masks`` of each example in a row, with tokens hidden."""
    ids = copies.ragged("input_ids")
    values = ids.values.copy()
    for place in range(0, len(ids), masks):
        inside = ids.lengths[place] - len(frame)
        rng = np.random.default_rng((seed[0], seed[1] + place // masks))
        chosen = np.argsort(rng.random((masks, inside)), axis=1)[:, : int(share * inside + 0.5)]
        firsts = ids.offsets[place : place + masks, None] + len(frame.before)
        values[firsts + chosen] = mask_id
    return copies.with_column("input_ids", Ragged(values, ids.offsets))
