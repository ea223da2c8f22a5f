"""R-Drop: two passes with different dropout should agree (Liang et al. 2021, arXiv:2106.14448)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import kl_div

from sixfold.errors import UsageError
from sixfold.tasks.contract import Term


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """Scalar: the mean of both Kullback-Leibler divergences of softmax(logits [targets, ..., classes]), summed."""
    one, two = first.float().log_softmax(-1), second.float().log_softmax(-1)
    there = kl_div(one, two, reduction="sum", log_target=True)
    back = kl_div(two, one, reduction="sum", log_target=True)
    return (there + back) / 2


def joined(first: Mapping[str, Term], second: Mapping[str, Term], weight: float) -> dict[str, Term]:
    """Two passes over one batch as one: the mean of their losses, and ``weight`` / 2 times their divergence.

    That is half of the paper's objective, so that a learning rate keeps its meaning.

    Raises:
        UsageError: a term does not tell its logits.
    """
    out = {}
    for name, term in first.items():
        logits, again = term.logits, second[name].logits
        if logits is None or again is None:
            raise UsageError(f"R-Drop does not fit this task: its {name} term tells no logits", where="train.r_drop")
        total = (term.sum + second[name].sum + weight * divergence(logits, again)) / 2
        out[name] = Term(total, term.count, term.weight)
    return out
