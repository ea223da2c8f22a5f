"""Whether a model gives away which rows it was trained on: members told from others by how hard they are for it.

A row that a model learnt from has a lower loss than one that it never saw (Yeom et al. 2018, arXiv:1709.01604). Some
rows are easy for every model: the loss less that of a reference model, which saw none of both, tells more (Watson et
al. 2022, arXiv:2111.08440; the simplest form of Carlini et al. 2022, arXiv:2112.03570). Losses are made in
``row_losses.py``. Both kinds of rows must come from the same source, split at random: otherwise what is told apart is
the sources.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sixfold.errors import DataError
from sixfold.metrics.intervals import Floats
from sixfold.metrics.ranking import auc, hits
from sixfold.metrics.value import Metric

LEAST = 10
"""Rows of each kind under which nothing is told."""
RATES = (0.01, 0.001)
"""Shares of others that are taken for members, at which it is told how many members are found."""


@dataclass(frozen=True)
class Membership:
    """How well members are told from others.

    Attributes:
        attack: ``loss``, or ``loss against a reference``.
        auc: the probability that a member looks more like one than another row does: 0.5 is chance, 1 is certain. The
            interval is DeLong's.
        found: the share of members found at each rate of others taken for members (``RATES``); None where there are
            fewer others than could tell that rate. Intervals are over members, at the threshold that the others set.
        members, others: rows that were compared.
        left_out: rows of both kinds without a loss.
    """

    attack: str
    auc: Metric
    found: Mapping[float, Metric | None]
    members: int
    others: int
    left_out: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        found = {f"{rate:g}": None if one is None else one.to_dict() for rate, one in self.found.items()}
        return {
            "attack": self.attack,
            "auc": self.auc.to_dict(),
            "found": found,
            "members": self.members,
            "others": self.others,
            "left_out": self.left_out,
        }


def membership(members: Floats, others: Floats, *, reference: tuple[Floats, Floats] | None = None) -> Membership:
    """How well the losses of training rows are told from those of held-out rows.

    Args:
        members: [m] losses of rows that the model was trained on; NaN where a row has none, which is left out.
        others: [n] losses of rows of the same source that it was not trained on.
        reference: losses of the same rows, [m] and [n], under a model that was trained on neither.

    Raises:
        DataError: fewer than ``LEAST`` rows of a kind have a loss.
    """
    scores = [np.asarray(losses, dtype=np.float64) for losses in (members, others)]
    if reference is not None:
        assert [len(one) for one in reference] == [len(one) for one in scores], "not the same rows"
        scores = [own - np.asarray(other, dtype=np.float64) for own, other in zip(scores, reference, strict=True)]
    inside, outside = (one[np.isfinite(one)] for one in scores)
    for name, found in (("training", inside), ("held-out", outside)):
        if len(found) < LEAST:
            raise DataError(
                f"{len(found)} {name} rows have a loss, too few to tell membership by",
                hint=f"at least {LEAST} of each kind are needed, and a thousand to tell small leaks",
            )
    return Membership(
        "loss" if reference is None else "loss against a reference",
        auc("AUC", -inside, -outside),  # the lower the loss, the more it looks like a member
        {rate: _found_at(rate, inside, outside) for rate in RATES},
        len(inside),
        len(outside),
        sum(map(len, scores)) - len(inside) - len(outside),
    )


def _found_at(rate: float, members: Floats, others: Floats) -> Metric | None:
    found = hits(f"members found at {rate * 100:g} % false alarms", -members, -others, rate)
    return found if math.isfinite(found.value) else None
