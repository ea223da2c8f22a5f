"""What language-model tasks share: how well a text was said, row by row, and what that comes to."""

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
    """

    nats: float
    targets: int
    right: int


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
    """[nats, targets, right] of each example of a batch with ``places`` and ``target``."""
    return judged_at(model, batch["flat"], (batch["places"], batch["target"]))[0]


def judged_at(model: torch.nn.Module, flat: Flat, *asked: tuple[Tensor, Tensor]) -> list[list[NDArray[np.float64]]]:
    """For each ([targets] places, [targets] token ids), [nats, targets, right] of each example; one pass for all."""
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

    def summed(values: Tensor) -> NDArray[np.float64]:
        sums = torch.zeros(len(flat.lengths), dtype=torch.float64, device=places.device)
        return sums.index_add_(0, example, values.detach().double()).cpu().numpy()

    return list(np.stack([summed(losses), summed(torch.ones_like(losses)), summed(right)], axis=1))


def by_row(row: NDArray[np.int64], answers: Sequence[NDArray[np.float64]]) -> list[TextLoss]:
    """The answers of a row's pieces, added."""
    if not len(answers):
        return []
    sums = np.zeros((int(row.max()) + 1, 3))
    np.add.at(sums, row, np.stack(answers))
    return [TextLoss(float(nats), int(targets), int(right)) for nats, targets, right in sums]


def summary(predictions: Sequence[TextLoss]) -> dict[str, float]:
    """Loss a target, perplexity, and the share of targets put first."""
    targets = sum(prediction.targets for prediction in predictions)
    if not targets:
        return {"loss": math.nan, "perplexity": math.nan, "accuracy": math.nan}
    loss = sum(prediction.nats for prediction in predictions) / targets
    right = sum(prediction.right for prediction in predictions)
    return {"loss": loss, "perplexity": math.exp(min(loss, 700)), "accuracy": right / targets}


def measured(predictions: Sequence[TextLoss], texts: Sequence[str] | None, *, seed: int) -> dict[str, Any]:
    """Metrics with counts and intervals; bits per byte too where the texts are given."""
    sizes = None if texts is None else np.array([len(text.encode("utf-8", "surrogatepass")) for text in texts])
    metrics = likelihood(
        np.array([prediction.nats for prediction in predictions]),
        np.array([prediction.targets for prediction in predictions], dtype=np.int64),
        right=np.array([prediction.right for prediction in predictions], dtype=np.int64),
        sizes=sizes,
        seed=seed,
    )
    return {"metrics": {name: metric.to_dict() for name, metric in metrics.items()}, "count": len(predictions)}
