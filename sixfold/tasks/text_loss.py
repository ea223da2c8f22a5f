"""What language-model tasks share: how well a text was said, row by row and place by place, and what it comes to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from sixfold.metrics.likelihood import likelihood
from sixfold.metrics.positions import ENDS, by_position
from sixfold.models.forward import Flat, token_logits
from sixfold.models.token_loss import has_split_head, token_judged, token_loss
from sixfold.tasks.contract import Batch, Term

SCORES = ("loss", "perplexity", "accuracy")


@dataclass(frozen=True)
class TextLoss:
    """How well a model says a text.

    Attributes:
        nats: -log probability, summed over what was asked.
        targets: how many tokens that was.
        right: how many of them the model put first.
        by_position: nats and targets of each stretch of positions (``metrics.positions``), as far as there are any.
    """

    nats: float
    targets: int
    right: int
    by_position: tuple[tuple[float, int], ...] = ()

    @classmethod
    def of(cls, sums: NDArray[np.float64]) -> TextLoss:
        """From [stretches, 3]: nats, targets and right."""
        nats, targets, right = sums.sum(axis=0)
        reached = int(np.flatnonzero(sums[:, 1]).max(initial=-1)) + 1
        places = tuple((float(each), int(count)) for each, count in sums[:reached, :2])
        return cls(float(nats), int(targets), int(right), places)


def terms(model: torch.nn.Module, flat: Flat, asked: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Term]:
    """A term for each name: the loss at some places of a batch, [targets] indices and [targets] token ids."""
    if has_split_head(model):
        sums = token_loss(model, flat, *asked.values())
    else:
        logits = token_logits(model, flat)
        sums = [cross_entropy(logits[places].float(), target, reduction="sum") for places, target in asked.values()]
    counts = [float(len(target)) for _, target in asked.values()]
    return {name: Term(total, count) for name, total, count in zip(asked, sums, counts, strict=True)}


def judged(model: torch.nn.Module, batch: Batch) -> list[NDArray[np.float64]]:
    """[stretches, 3] of each example of a batch with ``places`` and ``target``, as ``judged_at``."""
    return judged_at(model, batch["flat"], (batch["places"], batch["target"]))[0]


def judged_at(model: torch.nn.Module, flat: Flat, *asked: tuple[Tensor, Tensor]) -> list[list[NDArray[np.float64]]]:
    """For each ([targets] places, [targets] token ids), what each example comes to; one pass for all.

    An example's answer is [stretches, 3]: nats, targets and right at each stretch of positions. A target's position is
    that of the place where the model answers, counted from 1: how many tokens a decoder has read by then.
    """
    if has_split_head(model):
        found = token_judged(model, flat, *asked)
    else:
        whole = token_logits(model, flat)
        found = [
            (cross_entropy(whole[places].float(), target, reduction="none"), whole[places].argmax(-1) == target)
            for places, target in asked
        ]
    return [_by_example(flat, places, *one) for (places, _), one in zip(asked, found, strict=True)]


def _by_example(flat: Flat, places: Tensor, losses: Tensor, right: Tensor) -> list[NDArray[np.float64]]:
    example = torch.bucketize(places, flat.starts, right=True) - 1
    stretch = torch.bucketize(flat.position_ids[places] + 1, torch.tensor(ENDS, device=places.device))
    cells = len(flat.lengths) * len(ENDS)

    def summed(values: Tensor) -> NDArray[np.float64]:
        sums = torch.zeros(cells, dtype=torch.float64, device=places.device)
        return sums.index_add_(0, example * len(ENDS) + stretch, values.detach().double()).cpu().numpy()

    found = np.stack([summed(losses), summed(torch.ones_like(losses)), summed(right)], axis=1)
    return list(found.reshape(len(flat.lengths), len(ENDS), 3))


def by_row(row: NDArray[np.int64], answers: Sequence[NDArray[np.float64]]) -> list[TextLoss]:
    """The answers of a row's pieces, added."""
    if not len(answers):
        return []
    sums = np.zeros((int(row.max()) + 1, *answers[0].shape))
    np.add.at(sums, row, np.stack(answers))
    return [TextLoss.of(one) for one in sums]


def summary(predictions: Sequence[TextLoss]) -> dict[str, float]:
    """Loss a target, perplexity, and the share of targets put first."""
    targets = sum(prediction.targets for prediction in predictions)
    if not targets:
        return {"loss": math.nan, "perplexity": math.nan, "accuracy": math.nan}
    loss = sum(prediction.nats for prediction in predictions) / targets
    right = sum(prediction.right for prediction in predictions)
    return {"loss": loss, "perplexity": math.exp(min(loss, 700)), "accuracy": right / targets}


def measured(predictions: Sequence[TextLoss], texts: Sequence[str] | None, *, seed: int) -> dict[str, Any]:
    """Metrics with counts and intervals, and the loss by position; bits per byte too where the texts are given."""
    sizes = None if texts is None else np.array([len(text.encode("utf-8", "surrogatepass")) for text in texts])
    metrics = likelihood(
        np.array([prediction.nats for prediction in predictions]),
        np.array([prediction.targets for prediction in predictions], dtype=np.int64),
        right=np.array([prediction.right for prediction in predictions], dtype=np.int64),
        sizes=sizes,
        seed=seed,
    )
    return {
        "metrics": {name: metric.to_dict() for name, metric in metrics.items()},
        "count": len(predictions),
        "positions": _positions(predictions, seed),
    }


def _positions(predictions: Sequence[TextLoss], seed: int) -> list[dict[str, Any]]:
    reached = max((len(prediction.by_position) for prediction in predictions), default=0)
    table = np.zeros((len(predictions), reached, 2))
    for row, prediction in enumerate(predictions):
        table[row, : len(prediction.by_position)] = np.array(prediction.by_position).reshape(-1, 2)
    stretches = by_position(table[..., 0], table[..., 1].astype(np.int64), seed=seed)
    return [stretch.to_dict() for stretch in stretches]
