"""Running a model on a flat batch: the rows' tokens laid end to end, nothing padded.

Where the model's family is known (``_ROW_HEADS``), the whole batch goes through the model as one sequence: linear
layers, norms and dropout see real tokens only, and attention is computed run by run over rows of equal length, so no
row sees another. Any other model gets an ordinary padded batch. Both give the same numbers.

Transformers' own bidirectional mask ignores position ids, so packing an encoder through it would let rows see each
other: the attention function registered here takes the rows' lengths instead of a mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

PACKED = "sixfold_packed"


@dataclass(frozen=True)
class Flat:
    """The tokens of some rows, end to end.

    Attributes:
        input_ids: [tokens]
        position_ids: [tokens] each token's place in its row.
        lengths: [rows] tokens in each row.
    """

    input_ids: Tensor
    position_ids: Tensor
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, values: NDArray, lengths: NDArray[np.int64]) -> Flat:
        starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
        positions = np.arange(len(values)) - starts
        return cls(
            torch.from_numpy(np.asarray(values, dtype=np.int64)),
            torch.from_numpy(positions),
            tuple(lengths.tolist()),
        )

    def to(self, device: torch.device) -> Flat:
        return Flat(self.input_ids.to(device), self.position_ids.to(device), self.lengths)

    @property
    def starts(self) -> Tensor:
        """[rows] where each row begins."""
        lengths = torch.tensor(self.lengths)
        return (lengths.cumsum(0) - lengths).to(self.input_ids.device)

    def runs(self) -> list[tuple[int, int]]:
        """Neighbouring rows of equal length, as (rows, length)."""
        runs: list[tuple[int, int]] = []
        for length in self.lengths:
            if runs and runs[-1][1] == length:
                runs[-1] = (runs[-1][0] + 1, length)
            else:
                runs.append((1, length))
        return runs


def _window_mask(length: int, window: int, causal: bool, device: torch.device) -> Tensor:
    """[length, length] True where a token may look: closer than ``window``, and not ahead when causal."""
    distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)[None, :]
    near = distance.abs() < window
    return near & (distance >= 0) if causal else near


def _packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sixfold_runs: list[tuple[int, int]] | None = None,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention inside each row of a packed batch.

    ``query`` is [1, heads, tokens, width]; gives [1, tokens, heads, width].
    """
    if sixfold_runs is None:
        return sdpa_attention_forward(
            module,
            query,
            key,
            value,
            attention_mask,
            dropout=dropout,
            scaling=scaling,
            is_causal=is_causal,
            **kwargs,
        )
    causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    sizes = [rows * length for rows, length in sixfold_runs]
    # split, not slices: its backward is one concatenation, where each slice's would fill a whole tensor
    parts = [tensor[0].transpose(0, 1).split(sizes) for tensor in (query, key, value)]
    grouped = query.shape[1] != key.shape[1]
    outputs = []
    for (rows, length), q, k, v in zip(sixfold_runs, *parts, strict=True):
        q, k, v = (part.unflatten(0, (rows, length)).transpose(1, 2) for part in (q, k, v))
        windowed = sliding_window is not None and length > sliding_window
        output = scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=_window_mask(length, sliding_window, causal, q.device) if windowed else None,  # type: ignore[arg-type]
            dropout_p=dropout,
            is_causal=causal and not windowed and length > 1,
            scale=scaling,
            enable_gqa=grouped,
        )
        outputs.append(output.transpose(1, 2).flatten(0, 1))
    return torch.cat(outputs)[None], None


def _no_mask(**kwargs: Any) -> Tensor | None:
    """The packed path needs no mask; a model called the ordinary way gets the ordinary one."""
    return None if kwargs.get("attention_mask") is None else sdpa_mask(**kwargs)


AttentionInterface.register(PACKED, _packed_attention)
AttentionMaskInterface.register(PACKED, _no_mask)


def _bert_rows(model: Any, hidden: Tensor, flat: Flat) -> Tensor:
    pooled = model.bert.pooler(hidden[flat.starts][:, None])
    return model.classifier(model.dropout(pooled))


def _modernbert_rows(model: Any, hidden: Tensor, flat: Flat) -> Tensor:
    if model.config.classifier_pooling == "mean":
        lengths = torch.tensor(flat.lengths, device=hidden.device)
        rows = torch.repeat_interleave(torch.arange(len(lengths), device=hidden.device), lengths)
        sums = hidden.new_zeros(len(lengths), hidden.shape[-1]).index_add_(0, rows, hidden)
        pooled = sums / lengths[:, None]
    else:
        pooled = hidden[flat.starts]
    return model.classifier(model.drop(model.head(pooled)))


def _decoder_rows(model: Any, hidden: Tensor, flat: Flat) -> Tensor:
    ends = flat.starts + torch.tensor(flat.lengths, device=hidden.device) - 1
    return model.score(hidden[ends])


_ROW_HEADS = {
    "bert": _bert_rows,
    "modernbert": _modernbert_rows,
    "llama": _decoder_rows,
    "qwen3": _decoder_rows,
    "qwen2": _decoder_rows,
}


def can_pack(model: nn.Module) -> bool:
    """Whether the model's family is one that this module packs."""
    config: Any = model.config
    return config.model_type in _ROW_HEADS and config._attn_implementation in ("sdpa", PACKED)


@contextmanager
def _packed(model: Any) -> Iterator[None]:
    """The model with packed attention, for the length of one call."""
    before = model.config._attn_implementation
    model.config._attn_implementation = PACKED
    try:
        yield
    finally:
        model.config._attn_implementation = before


def _packed_inputs(flat: Flat) -> dict[str, Any]:
    return {
        "input_ids": flat.input_ids[None],
        "position_ids": flat.position_ids[None],
        "sixfold_runs": flat.runs(),
    }


def _cacheless(model: Any) -> dict[str, bool]:
    """Decoders would build a key-value cache that nobody reads."""
    return {"use_cache": False} if getattr(model.config, "use_cache", None) is not None else {}


def padded(flat: Flat, fill: int) -> tuple[Tensor, Tensor]:
    """[rows, longest] ids and the mask that is 1 on real tokens."""
    longest = max(flat.lengths)
    mask = torch.arange(longest)[None] < torch.tensor(flat.lengths)[:, None]
    mask = mask.to(flat.input_ids.device)
    ids = torch.full(mask.shape, fill, dtype=torch.int64, device=mask.device)
    ids[mask] = flat.input_ids
    return ids, mask.long()


def _fill(model: Any) -> int:
    return model.config.pad_token_id or 0


def token_logits(model: Any, flat: Flat) -> Tensor:
    """[tokens, outputs] of a model with a head on every token (tags, or a vocabulary)."""
    if can_pack(model):
        with _packed(model):
            return model(**_packed_inputs(flat), **_cacheless(model)).logits[0]
    ids, mask = padded(flat, _fill(model))
    logits = model(input_ids=ids, attention_mask=mask, **_cacheless(model)).logits
    return logits[mask.bool()]


def row_logits(model: Any, flat: Flat) -> Tensor:
    """[rows, outputs] of a model with one head a row."""
    if can_pack(model):
        with _packed(model):
            hidden = model.base_model(**_packed_inputs(flat), **_cacheless(model)).last_hidden_state[0]
        return _ROW_HEADS[model.config.model_type](model, hidden, flat)
    ids, mask = padded(flat, _fill(model))
    return model(input_ids=ids, attention_mask=mask, **_cacheless(model)).logits


def hidden_states(model: Any, flat: Flat) -> Tensor:
    """[tokens, width] the base's last hidden states."""
    base = model.base_model
    if can_pack(model):
        with _packed(model):
            return base(**_packed_inputs(flat), **_cacheless(model)).last_hidden_state[0]
    ids, mask = padded(flat, _fill(model))
    return base(input_ids=ids, attention_mask=mask, **_cacheless(model)).last_hidden_state[mask.bool()]
