"""Random noise on word embeddings: NEFTune (Jain et al. 2023, arXiv:2310.05914), and the random start of FreeLB.

The noise of a row depends on its own length. In implementations that take the length of the padded or packed batch,
a short text gets less of it the longer its neighbours are (huggingface/transformers#34659).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def uniform(rng: np.random.Generator, lengths: Sequence[int], width: int, size: float) -> Tensor:
    """[tokens, width] drawn evenly from ±size / √(length of the row x width): a row's norm is about size / √3.

    It is drawn row after row, so that it does not matter how a step's rows are cut into micro-batches.
    """
    drawn = torch.from_numpy(rng.random((sum(lengths), width), dtype=np.float32))
    sizes = size / (torch.tensor(lengths, dtype=torch.float32) * width).sqrt()
    return (2 * drawn - 1) * torch.repeat_interleave(sizes, torch.tensor(lengths))[:, None]
