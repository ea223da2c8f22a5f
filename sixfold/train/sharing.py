"""Words that mean much the same sharing one embedding, so that exchanging one for another changes nothing at all.

Synonym encoding (Wang et al. 2021, arXiv:1909.06723) puts a layer before the model that writes one word for all words
near it. Here words are tokens, and rows of the embedding are made equal instead and learn as one: the same function,
in an ordinary checkpoint that nothing must be put before.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LITTLE = 1e-3
"""What a token that no training example holds weighs in the mean of its row, in occurrences."""


@dataclass(frozen=True)
class Sharing:
    """Which tokens share a row of the embedding.

    Attributes:
        codes: int64 [vocabulary] the token that stands for each; itself if it shares with none. What stands for
            others stands for itself.
        counts: int64 [vocabulary] how often each occurs in the training examples.
    """

    codes: Tensor
    counts: Tensor

    def __post_init__(self) -> None:
        assert torch.equal(self.codes[self.codes], self.codes), "a token stands for itself or for another, not both"

    @property
    def shared(self) -> Tensor:
        """bool [vocabulary] which tokens share a row with another."""
        return torch.bincount(self.codes, minlength=len(self.codes))[self.codes] > 1

    def members(self, used: Tensor) -> tuple[Tensor, Tensor]:
        """[members] the tokens whose row is that of a used one, in order; [members] the number of each one's row."""
        rows = self.codes[used].unique()
        place = torch.full_like(self.codes, -1)
        place[rows] = torch.arange(len(rows))
        place = place[self.codes]
        members = (place >= 0).nonzero()[:, 0]
        return members, place[members]

    def means(self, table: Tensor, members: Tensor, place: Tensor) -> Tensor:
        """[rows, width] the mean of each row's members in ``table`` [vocabulary, width], by how often they occur."""
        weights = self.counts[members].double() + LITTLE
        total = torch.zeros(int(place.max()) + 1, dtype=torch.float64).index_add_(0, place, weights)
        shares = (weights / total[place])[:, None].to(table.device)
        means = torch.zeros(len(total), table.shape[1], dtype=torch.float64, device=table.device)
        return means.index_add_(0, place.to(table.device), table[members.to(table.device)] * shares).to(table.dtype)
