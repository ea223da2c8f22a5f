"""Learning-rate schedules: pure functions of the step, so that resuming needs no state."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["linear", "cosine", "constant", "wsd"]

WSD_DECAY = 0.2
"""Share of the run over which warm-up/stable/decay comes down (Hu et al. 2024, arXiv:2404.06395, use 10 to 20 %)."""


def factor(schedule: Schedule, step: int, steps: int, warmup: int) -> float:
    """What the peak learning rate is multiplied with at ``step`` (0-based) of ``steps``.

    The rise is linear over ``warmup`` steps. Then: ``linear`` to 0 at the end (Devlin et al. 2019), ``cosine`` to 0
    (Loshchilov & Hutter 2017), ``constant``, or ``wsd``: constant, then linear to 0 over the last fifth.
    """
    if step < warmup:
        return (step + 1) / warmup
    left = (steps - step) / max(1, steps - warmup)
    if schedule == "linear":
        return left
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (1 - left)))
    if schedule == "wsd":
        return min(1.0, (steps - step) / max(1, round(steps * WSD_DECAY)))
    return 1.0
