"""How well a language model says held-out text: loss, perplexity, bits per byte, with intervals over documents."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sixfold.metrics.intervals import bootstrap, patterns
from sixfold.metrics.value import Metric


def likelihood(
    nats: NDArray[np.float64],
    targets: NDArray[np.int64],
    *,
    right: NDArray[np.int64] | None = None,
    sizes: NDArray[np.int64] | None = None,
    seed: int,
) -> dict[str, Metric]:
    """Metrics of documents.

    Args:
        nats: [documents] -log probability, summed over a document's targets.
        targets: [documents] how many tokens that was.
        right: [documents] targets that the model put first.
        sizes: [documents] bytes of UTF-8 in each. Bits per byte compare models with different tokenizers, and only
            make sense where every token is a target.
    """
    count = int(targets.sum())
    if not count:
        return {"loss": Metric("loss", math.nan, math.nan, math.nan, 0, "none", percent=False)}
    columns = [nats, targets, right if right is not None else targets * 0, sizes if sizes is not None else targets * 0]
    distinct, counts = patterns(np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1))

    def statistic(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        loss = sums[:, 0] / np.maximum(sums[:, 1], 1)
        bits = sums[:, 0] / math.log(2) / np.maximum(sums[:, 3], 1)
        share = sums[:, 2] / np.maximum(sums[:, 1], 1)
        return np.stack([loss, np.exp(np.minimum(loss, 700)), share, bits], axis=1)

    found = bootstrap(distinct, counts, statistic, seed=seed)
    metrics = {
        "loss": found.metric(0, "loss", count, percent=False),
        "perplexity": found.metric(1, "perplexity", count, percent=False),
    }
    if right is not None:
        metrics["accuracy"] = found.metric(2, "token accuracy", count)
    if sizes is not None:
        metrics["bits_per_byte"] = found.metric(3, "bits per byte", int(sizes.sum()), percent=False)
    return metrics
