"""Training only the rows of the embedding table that the training tokens use.

A word piece that no training example holds gets no gradient. With AdamW and no weight decay on embeddings its row
never moves, so leaving it out of the optimiser gives the same weights, bit for bit, at none of the cost: an encoder
of 22 million parameters has 12 million of them in this table, and a text of ten thousand words touches a third.

Where words share an embedding (``sharing.py``), the rows of those that do are one row here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding

from sixfold.train.sharing import Sharing

CHUNK = 2**22
"""Tokens looked at at once."""


class UsedRows:
    """The used rows of ``table`` as a parameter of their own, until ``release``.

    While the model is in training mode the table looks ids up in the small parameter; in evaluation mode it uses the
    full table, which ``write_back`` brings up to date.
    """

    def __init__(self, table: nn.Embedding, used: Tensor, sharing: Sharing | None = None) -> None:
        """
        Args:
            used: [used] ids that occur, in order.
            sharing: tokens that share a row are brought to their mean.
        """
        self.table = table
        rows, device = table.weight.detach(), table.weight.device
        if sharing is None:
            self.used, self._place = used, torch.arange(len(used), device=device)
            start = rows[used].clone()
        else:
            members, place = sharing.members(used.cpu())
            start = sharing.means(rows, members, place)
            self.used, self._place = members.to(device), place.to(device)
        lookup = torch.full((table.num_embeddings,), -1, dtype=torch.int64, device=device)
        lookup[self.used] = self._place
        self.weight = nn.Parameter(start)
        if sharing is not None:
            self.write_back()
        self._required = table.weight.requires_grad
        table.weight.requires_grad_(False)
        padding = None
        if table.padding_idx is not None and lookup[table.padding_idx] >= 0:
            padding = int(lookup[table.padding_idx])

        def forward(ids: Tensor) -> Tensor:
            if table.training:
                return embedding(lookup[ids], self.weight, padding)
            return embedding(ids, table.weight, table.padding_idx)

        table.forward = forward  # type: ignore[assignment,method-assign]

    def write_back(self) -> None:
        """Copy the trained rows into the full table."""
        with torch.no_grad():
            self.table.weight[self.used] = self.weight[self._place]

    def read_again(self) -> None:
        """Take the rows from the full table, after weights were loaded into it."""
        with torch.no_grad():
            self.weight[self._place] = self.table.weight[self.used]

    def release(self) -> None:
        """Write back and leave the table as it was found."""
        self.write_back()
        del self.table.forward
        self.table.weight.requires_grad_(self._required)


def used_ids(values: NDArray, size: int, added: Iterable[int] = ()) -> NDArray[np.int64]:
    """The distinct token ids of a corpus that may be a memory-mapped file, and those ``added``; in order."""
    seen = np.zeros(size, dtype=bool)
    for start in range(0, len(values), CHUNK):
        seen[np.asarray(values[start : start + CHUNK])] = True
    seen[list(added)] = True
    return np.flatnonzero(seen)


def tied(model: Any) -> bool:
    """Whether the output layer shares the embedding table (then every row gets a gradient from it)."""
    table = model.get_input_embeddings()
    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return output is not None and getattr(output, "weight", None) is table.weight
