"""Adversarial training on words: learning from texts some of whose words have become those that raise the loss most.

HotFlip (Ebrahimi et al. 2018, arXiv:1712.06751): one gradient of the word embeddings tells, to first order, what each
exchange of one word for another would do to the loss, so the worst exchanges of a whole batch cost one pass and no
question to the model. Unlike the paper, which flips one character or word after the other, a share of a text's words
is exchanged at once, the worst ones, and the text itself is learnt from too. The same gradient can move the embeddings
of the exchanged text as well, as FGM does (``adversarial.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sixfold.data.examples import ranks
from sixfold.models.forward import Flat
from sixfold.text.counting import counted
from sixfold.train.config import AdversarialConfig
from sixfold.train.embedding import mean_norm, unit
from sixfold.train.events import Choice
from sixfold.train.passes import LossAt, Losses, held
from sixfold.train.swaps import Places, Swaps

SHARE = 0.3
STEPS = 1


@dataclass(frozen=True)
class HotFlip:
    """How words are exchanged.

    Attributes:
        table: the word embedding.
        share: of a row's words that others may stand for, rounded up: so many are exchanged at most.
        steps: gradients; each after the first is taken at the text that the one before it made, and chooses anew.
        epsilon: norm of a row's perturbation along the first gradient, on the exchanged text.
    """

    swaps: Swaps
    table: nn.Module
    share: float
    steps: int
    epsilon: float = 0.0

    def learn(self, loss_at: LossAt, flat: Flat, start: Tensor, parameters: Sequence[nn.Parameter]) -> Losses:
        """Add the gradients of a micro-batch's loss, on the text itself and on the text with words exchanged.

        Args:
            start: [tokens, width] zeros.
            parameters: what learns.
        """
        places = self.swaps.found(flat.input_ids.cpu().numpy(), flat.lengths)
        delta = start.detach().requires_grad_()
        first = loss_at(delta)
        first.backward()
        assert delta.grad is not None
        slope = delta.grad
        ids = self._flipped(flat, places, slope)
        for _ in range(self.steps - 1):
            delta = start.detach().requires_grad_()
            with held(parameters):
                (slope,) = torch.autograd.grad(loss_at(delta, ids), delta)
            ids = self._flipped(flat, places, slope)
        last = loss_at(self.epsilon * unit(slope, flat.lengths) if self.epsilon else None, ids)
        last.backward()
        return Losses(float(first.detach()) + float(last.detach()), float(last.detach()))

    @torch.no_grad()
    def _flipped(self, flat: Flat, places: Sequence[Places], slope: Tensor) -> Tensor:
        """[tokens] with the worst exchanges of each row made."""
        ids = flat.input_ids.clone()
        if not places:
            return ids
        device = ids.device
        gains, choices = zip(*(self._worst(flat.input_ids, found, slope) for found in places), strict=True)
        rows = np.concatenate([found.rows for found in places])
        taken = _best_of_rows(torch.cat(gains).cpu().numpy(), rows, len(flat.lengths), self.share)
        sizes = [len(found.starts) for found in places]
        for found, chosen, mine in zip(places, choices, taken.split(sizes), strict=True):
            spans = _spans(found, device)[mine.to(device)]
            ids[spans] = chosen[mine.to(device)]
        return ids

    def _worst(self, ids: Tensor, found: Places, slope: Tensor) -> tuple[Tensor, Tensor]:
        """[words] what the worst exchange of each adds to the loss, to first order; [words, size] its tokens."""
        others = torch.from_numpy(found.others).to(ids.device)
        spans = _spans(found, ids.device)
        there = others[:, :, :1] >= 0
        others = torch.where(there, others, others[:, :1])
        uphill = slope[spans].float()[:, None]
        gains = ((self.table(others) - self.table(ids[spans])[:, None]) * uphill).sum((2, 3))  # [words, most]
        best = gains.masked_fill(~there[:, :, 0], -math.inf).max(1)
        return best.values, others[torch.arange(len(others), device=ids.device), best.indices]


def _spans(found: Places, device: torch.device) -> Tensor:
    """[words, size] the places of each word's tokens."""
    return (torch.from_numpy(found.starts)[:, None] + torch.arange(found.others.shape[2])).to(device)


def _best_of_rows(gains: NDArray[np.float32], rows: NDArray[np.int64], count: int, share: float) -> Tensor:
    """bool [words] which are the best of their row: its share, rounded up, of those that gain anything."""
    most = np.ceil(share * np.bincount(rows, minlength=count))
    return torch.from_numpy((ranks(-gains, rows) < most[rows]) & (gains > 0))


def hotflip(config: AdversarialConfig, table: nn.Module, swaps: Swaps) -> tuple[HotFlip, list[Choice]]:
    """The exchanges that the dials ask for."""
    share, steps = config.share or SHARE, config.steps or STEPS
    told = (
        f"{share:.0%} of the words that others may stand for become those that raise the loss most, "
        f"by {counted(steps, 'gradient')}; that is learnt from, and the text itself"
    )
    choices = [
        Choice("adversarial training", config.method, told),
        Choice("words that others may stand for", len(swaps.others), "of those in the training texts"),
    ]
    norm = mean_norm(table)
    epsilon = (config.epsilon or 0.0) * norm
    if epsilon:
        reason = f"{config.epsilon:g} × {norm:.3g}, the mean norm of a word embedding; on the exchanged text"
        choices.append(Choice("perturbation", epsilon, reason))
    return HotFlip(swaps, table, share, steps, epsilon), choices
