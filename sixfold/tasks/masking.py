"""Random masking of texts (RanMASK: Zeng et al. 2021, arXiv:2105.03743): a share of the tokens becomes ``[MASK]``.

Training draws a mask each time a text is seen; prediction draws many and lets the answers vote. Both draw here, since
a vote is worth something only if the model has learnt from masks of the same kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Examples, Ragged, ranks
from sixfold.errors import ModelError
from sixfold.tasks.encoding import frame

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class MaskToken:
    """What a token becomes, and which tokens stay.

    Attributes:
        id: of ``[MASK]``.
        kept: ids that are never masked: the tokens around a text, and the tokenizer's other special ones. An unknown
            token is text.
    """

    id: int
    kept: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Raises ModelError where the tokenizer has no mask token."""
        if tokenizer.mask_token_id is None:
            raise ModelError(
                "the tokenizer has no mask token: nothing can be masked (train.mask_share)",
                hint="leave out mask_share, or take an encoder as the base",
            )
        around = frame(tokenizer)
        special = {*tokenizer.all_special_ids} - {tokenizer.unk_token_id}
        return cls(int(tokenizer.mask_token_id), tuple(sorted({*special, *around.before, *around.after})))


def masked(examples: Examples, token: MaskToken, share: float, rng: np.random.Generator) -> Examples:
    """The examples with ``share`` of each one's tokens masked, drawn evenly among those that are not kept.

    How many is exact but for rounding, and at least one token stays. The draws go row after row, one a token, so that
    it does not matter which rows are drawn together.
    """
    ids = examples.ragged("input_ids")
    values = np.asarray(ids.values)
    chosen = _chosen(~np.isin(values, token.kept), ids.lengths, share, rng)
    return examples.with_column("input_ids", Ragged(np.where(chosen, values.dtype.type(token.id), values), ids.offsets))


def _chosen(text: NDArray[np.bool_], lengths: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray:
    """bool [tokens] which of the ``text`` tokens are masked."""
    row = np.repeat(np.arange(len(lengths)), lengths)
    counts = np.bincount(row[text], minlength=len(lengths))
    wanted = np.minimum(np.floor(share * counts + 0.5).astype(np.int64), np.maximum(counts - 1, 0))
    draws = np.where(text, rng.random(len(text)), 1.0)
    return ranks(draws, row) < wanted[row]


@dataclass(frozen=True)
class Voting:
    """How a vote is held.

    Attributes:
        copies: of each text.
        share: of each copy's tokens that is hidden, as in training.
    """

    copies: int
    share: float

    @classmethod
    def of(cls, settings: Mapping[str, Any] | None) -> Self | None:
        """What a checkpoint keeps of it; None of one that answers by itself."""
        return cls(int(settings["copies"]), float(settings["share"])) if settings else None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
