"""Multinomial logistic regression on vectors that a model gives: a linear head, a router."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

STEPS = 1000


def logistic(vectors: Tensor, gold: Tensor, classes: int, strength: float) -> tuple[Tensor, Tensor]:
    """Weights with an L2 penalty, and biases without one, by L-BFGS.

    Args:
        vectors: [rows, width]
        gold: [rows] the right classes.
        strength: how much the rows' losses, added, weigh against half the weights' squared norm (scikit-learn's ``C``).

    Returns:
        float64 [classes, width] and [classes].
    """
    vectors = vectors.double()
    weight = torch.zeros(classes, vectors.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [weight, bias], max_iter=STEPS, tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        search.zero_grad()
        losses = cross_entropy(linear(vectors, weight, bias), gold, reduction="sum")
        # Divided by all that weighs, so that the tolerances mean the same for few rows and many.
        value = (strength * losses + weight.square().sum() / 2) / (strength * len(gold))
        value.backward()
        return value

    search.step(loss)
    return weight.detach(), bias.detach()
