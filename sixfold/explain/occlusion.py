"""Occlusion: what the answer loses when units are missing (Zeiler and Fergus 2014, arXiv:1311.2901)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sixfold.errors import DataError
from sixfold.explain.game import Game, Weights
from sixfold.score.driver import Search


def occlusion(game: Game, rng: np.random.Generator, *, samples: int = 0, window: int = 1) -> Search[Weights]:
    """Leave out each window of neighbouring units in turn; a unit's weight is the mean loss of its windows.

    With a window of one unit this is leave-one-out.

    Raises:
        DataError: the text has fewer units than the window.
    """
    count = len(game)
    if window > count:
        raise DataError(
            f"the text has {count} units, fewer than the window of {window}",
            found=game.text[:80],
            hint="use a smaller window",
        )
    missing = windows(count, window)
    kept = np.concatenate([np.ones((1, count), dtype=np.bool_), ~missing])
    values = yield from game.values(kept)
    losses = values[0] - values[1:]
    return Weights(missing.T @ losses / missing.sum(axis=0))


def windows(count: int, window: int) -> NDArray[np.bool_]:
    """[windows, units] the units of each run of ``window`` neighbours."""
    starts = np.arange(count - window + 1)[:, None]
    places = np.arange(count)
    return (starts <= places) & (places < starts + window)
