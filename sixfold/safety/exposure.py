"""How well a model knows the canaries that were planted in its training rows: their exposure.

(Carlini et al. 2019, "The Secret Sharer", arXiv:1802.08232, definition 5.) A canary's loss is ranked among those of the
same sentence with other secrets: ``log2 |R| - log2 rank`` bits are saved to one who guesses by the model.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from sixfold.errors import UsageError
from sixfold.metrics.intervals import Floats, bootstrap, patterns, proportion
from sixfold.metrics.value import Metric
from sixfold.safety.canaries import FORMATS, Canary, Plan
from sixfold.safety.planting import target_of
from sixfold.safety.secret_losses import SecretLosses, secret_losses
from sixfold.score.scorer import Scorer
from sixfold.tasks.contract import Task

CANDIDATES = 1023
"""Other secrets that a canary is ranked among: exposures of up to 10 bits can be told."""


@dataclass(frozen=True)
class Space:
    """What the canaries of a format are ranked among.

    Attributes:
        format: name of the sentence.
        candidates: other secrets that were asked about; no canary has one of them.
        exact: they are all that there are. Otherwise they are a sample, and ranks are estimates.
        cap: bits; the greatest exposure that can be told, of a canary better known than all candidates. In a sample
            it is a lower bound of the canary's exposure.
        chance: bits; the mean exposure of secrets that the model does not know (about 1.44, not 0).
    """

    format: str
    candidates: int
    exact: bool
    cap: float
    chance: float

    @classmethod
    def of(cls, name: str, candidates: int, *, exact: bool) -> Space:
        cap = math.log2(candidates + 1)
        chance = cap - float(np.log2(np.arange(1, candidates + 2)).mean())
        return cls(name, candidates, exact, cap, chance)


@dataclass(frozen=True)
class Exposed:
    """One canary.

    Attributes:
        format, number, repeats: as in the plan; repeats is 0 for a control.
        loss: nats a token (a label, a tag) that was asked.
        bits: its exposure.
        at_cap: no candidate has as low a loss.
    """

    format: str
    number: int
    repeats: int
    loss: float
    bits: float
    at_cap: bool


@dataclass(frozen=True)
class Level:
    """Canaries that were planted equally often.

    Attributes:
        repeats: how often; 0 for controls.
        mean: of their exposures, in bits, with a bootstrap interval over canaries; none where all are equal.
        greatest: bits; the best known one.
        at_cap: how many are better known than all candidates. Where these are a sample, such canaries make the mean a
            lower bound.
        share_at_cap: of all canaries of the level, with Wilson's interval.
        above_controls: mean exposure above that of the controls, in bits; None for the controls.
    """

    repeats: int
    mean: Metric
    greatest: float
    at_cap: int
    share_at_cap: Metric
    above_controls: Metric | None

    def to_dict(self) -> dict[str, Any]:
        above = None if self.above_controls is None else self.above_controls.to_dict()
        return {
            "repeats": self.repeats,
            "mean": self.mean.to_dict(),
            "greatest": self.greatest,
            "at_cap": self.at_cap,
            "share_at_cap": self.share_at_cap.to_dict(),
            "above_controls": above,
        }


@dataclass(frozen=True)
class Exposure:
    """All canaries of a plan.

    Attributes:
        plan: which canaries.
        spaces: what they were ranked among, by format.
        canaries: each of them, controls last.
        levels: by how often they were planted, controls last.
        tokens: that the model computed for it.
    """

    plan: Plan
    spaces: tuple[Space, ...]
    canaries: tuple[Exposed, ...]
    levels: tuple[Level, ...]
    tokens: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; no secret is in it."""
        return {
            "plan": self.plan.to_dict(),
            "spaces": [asdict(one) for one in self.spaces],
            "canaries": [asdict(one) for one in self.canaries],
            "levels": [one.to_dict() for one in self.levels],
            "tokens": self.tokens,
        }


def exposures(losses: Floats, candidates: Floats) -> Floats:
    """The exposure of each loss among those of candidates, in bits: log2(n + 1) - log2(rank).

    With all other secrets as candidates it is exact. With n of them drawn at random, rank / (n + 1) estimates the
    share of secrets that are known as well, which cannot be told to lie below 1 / (n + 1): an exposure is log2(n + 1)
    at most. Of equal losses, half count as lower, as if the order among them were drawn.

    Args:
        losses: [canaries]
        candidates: [n]
    """
    ordered = np.sort(candidates)
    lower, upper = (np.searchsorted(ordered, losses, side) for side in ("left", "right"))
    return math.log2(len(candidates) + 1) - np.log2(1 + (lower + upper) / 2)


def exposure(
    plan: Plan, task: Task, scorer: Scorer, tokenizer: Any, limit: int, *, candidates: int = CANDIDATES
) -> Exposure:
    """Measure the canaries of a plan, and its controls.

    All canaries of a format are ranked among the same candidates, so that for each format (candidates + canaries)
    texts are computed, once each, whatever their labels; for a masked language model as often as a secret has tokens.
    What canaries share in candidates, their exposures share in error.

    Args:
        plan: what was planted in the training rows of the model.
        task: fitted to the tokenizer, or with the labels that it had when canaries were planted.
        limit: tokens of an example.
        candidates: for each format, at most so many: all other secrets if there are no more, else a sample by the
            plan's seed.

    Raises:
        UsageError: no candidates, or as ``secret_losses``.
        ModelError: as ``secret_losses``.
    """
    if candidates < 1:
        raise UsageError("a canary is ranked among one candidate at least", found=candidates)
    before = scorer.ledger.tokens
    canaries = plan.canaries()
    spaces, found = [], list[Exposed]()
    for name in dict.fromkeys(one.format for one in canaries):
        own = [one for one in canaries if one.format == name]
        others, exact = _others(plan, own, candidates)
        secrets = [*(one.secret for one in own), *others]
        losses = secret_losses(task, scorer, tokenizer, limit, FORMATS[name], secrets)
        spaces.append(Space.of(name, len(others), exact=exact))
        found += _ranked(own, [target_of(one, task) for one in own], losses)
    found.sort(key=lambda one: (one.repeats == 0, one.repeats, one.format, one.number))
    return Exposure(plan, tuple(spaces), tuple(found), _levels(plan, found), scorer.ledger.tokens - before)


def _ranked(own: Sequence[Canary], targets: Sequence[int], losses: SecretLosses) -> list[Exposed]:
    """Each canary of a format among the candidates, which come behind them, all as if its answer were theirs."""
    out = []
    for place, (one, target) in enumerate(zip(own, targets, strict=True)):
        mine, others = losses.nats[place, target], losses.nats[len(own) :, target]
        bits = float(exposures(mine[None], others)[0])
        loss = float(mine / losses.asked[place])
        out.append(Exposed(one.format, one.number, one.repeats, loss, bits, bool(mine < others.min())))
    return out


def _others(plan: Plan, own: Sequence[Canary], most: int) -> tuple[list[str], bool]:
    """Secrets that no canary of a format has, and whether they are all that there are."""
    taken, space = {one.secret for one in own}, range(10**plan.digits)
    exact = len(space) - len(taken) <= most
    draw = random.Random(f"sixfold candidates {plan.seed} {own[0].format}")
    numbers = space if exact else draw.sample(space, most + len(taken))
    spelt = (FORMATS[own[0].format].spelt(one, plan.digits) for one in numbers)
    free = (secret for secret in spelt if secret not in taken)
    return list(islice(free, most)), exact


def _levels(plan: Plan, found: Sequence[Exposed]) -> tuple[Level, ...]:
    controls = np.array([one.bits for one in found if one.repeats == 0])
    out = []
    for repeats in (*sorted(plan.repeats), 0):
        here = [one for one in found if one.repeats == repeats]
        bits = np.array([one.bits for one in here])
        mean, above = _against(bits, controls, plan.seed)
        first = sum(one.at_cap for one in here)
        share = proportion("canaries better known than all candidates", first, len(here))
        out.append(Level(repeats, mean, float(bits.max()), first, share, above if repeats else None))
    return tuple(out)


def _against(bits: Floats, controls: Floats, seed: int) -> tuple[Metric, Metric]:
    """The mean of some exposures, and how far it lies above that of the controls."""
    count = len(bits)
    rows = np.zeros((count + len(controls), 4))
    rows[:count, 0], rows[:count, 1] = bits, 1
    rows[count:, 2], rows[count:, 3] = controls, 1
    found = bootstrap(*patterns(rows), _means, seed=seed)
    mean = found.metric(0, "exposure", count, percent=False)
    above = found.metric(1, "exposure above controls", count, percent=False)
    return _bounded(mean, bits), _bounded(_bounded(above, bits), controls)


def _bounded(metric: Metric, values: Floats) -> Metric:
    """Without its interval where all values are equal, as at the cap: resampled they stay so, which is no certainty."""
    if values.min() < values.max():
        return metric
    return replace(metric, low=math.nan, high=math.nan, method="none: all are equal")


def _means(sums: Floats) -> Floats:
    """From sums and counts of both to the first mean and its distance from the second; NaN where one has no canary."""
    with np.errstate(invalid="ignore"):
        first, second = sums[:, 0] / sums[:, 1], sums[:, 2] / sums[:, 3]
    return np.stack([first, first - second], axis=1)
