"""Running a model on a flat batch: the rows' tokens laid end to end, nothing padded.

Where the model's family is known (``_ROW_HEADS``), the whole batch goes through the model as one sequence: linear
layers, norms and dropout see real tokens (and a few that fill the batch up: ``products.rounded``), and attention is
computed run by run over rows of equal length, so no row sees another. Any other model gets an ordinary padded batch.
Both give the same numbers.

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

from sixfold.models.products import fast_products, rounded

PACKED = "sixfold_packed"


@dataclass(frozen=True)
class Flat:
    """The tokens of some rows, end to end.

    Attributes:
        input_ids: [tokens]
        position_ids: [tokens] each token's place in its row.
        lengths: [rows] tokens in each row.
        types: [tokens] token types; None means all 0. A model without an embedding of them never sees them.
    """

    input_ids: Tensor
    position_ids: Tensor
    lengths: tuple[int, ...]
    types: Tensor | None = None

    @classmethod
    def of(cls, values: NDArray, lengths: NDArray[np.int64], types: NDArray | None = None) -> Flat:
        starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
        positions = np.arange(len(values)) - starts
        return cls(
            torch.from_numpy(np.asarray(values, dtype=np.int64)),
            torch.from_numpy(positions),
            tuple(lengths.tolist()),
            None if types is None else torch.from_numpy(np.asarray(types, dtype=np.int64)),
        )

    def to(self, device: torch.device) -> Flat:
        types = None if self.types is None else self.types.to(device)
        return Flat(self.input_ids.to(device), self.position_ids.to(device), self.lengths, types)

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


class _FlashRuns(torch.autograd.Function):
    """The CPU's flash kernel, run by run, as one node of the graph.

    Each run alone would be a dozen nodes (split, reshape, transpose, attention, concatenate): on short rows they cost
    more than the attention itself.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, runs: list[tuple[int, int]], causal: bool, scale: float | None
    ) -> Tensor:
        """``q``, ``k``, ``v`` and the result are [tokens, heads, width].

        Always in fp32: the kernel's bf16 backward was measured five times slower than its fp32 one on short rows.
        """
        given = q.dtype
        q, k, v = q.float(), k.float(), v.float()
        out = _blank(q, runs)
        kept = []
        for qs, ks, vs, os in zip(*(_by_run(tensor, runs) for tensor in (q, k, v, out)), strict=True):
            attended, lse = _flash(qs, ks, vs, 0.0, causal and qs.shape[2] > 1, attn_mask=None, scale=scale)
            os.copy_(attended)
            kept.append(lse)
        ctx.save_for_backward(q, k, v, out, *kept)
        ctx.settings = runs, causal, scale
        return out.to(given)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, *kept = ctx.saved_tensors
        runs, causal, scale = ctx.settings
        gradient = gradients[0]
        found = [_blank(q, runs) for _ in range(3)]
        tensors = (q, k, v, out, gradient.float().contiguous(), *found)
        for lse, (qs, ks, vs, os, gs, *targets) in zip(
            kept, zip(*(_by_run(tensor, runs) for tensor in tensors), strict=True), strict=True
        ):
            parts = _flash_backward(
                gs, qs, ks, vs, os, lse, 0.0, causal and qs.shape[2] > 1, attn_mask=None, scale=scale
            )
            for target, part in zip(targets, parts, strict=True):
                target.copy_(part)
        return (*(part.to(gradient.dtype) for part in found), None, None, None)


_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def _blank(like: Tensor, runs: list[tuple[int, int]]) -> Tensor:
    """[tokens, heads, width] not yet written, but for zeros at the tokens that belong to no run."""
    blank = torch.empty(like.shape)
    blank[sum(rows * length for rows, length in runs) :] = 0
    return blank


def _by_run(tensor: Tensor, runs: list[tuple[int, int]]) -> list[Tensor]:
    """[tokens, heads, width] as one view [rows, heads, length, width] a run."""
    heads, width = tensor.shape[1:]
    views, start = [], 0
    token, head, one = tensor.stride()
    for rows, length in runs:
        shape, stride = (rows, heads, length, width), (length * token, head, token, one)
        views.append(tensor.as_strided(shape, stride, tensor.storage_offset() + start * token))
        start += rows * length
    return views


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
    longest = max(length for _, length in sixfold_runs)
    windowless = sliding_window is None or longest <= sliding_window
    if query.device.type == "cpu" and windowless and not dropout and query.shape[1] == key.shape[1]:
        flat = [tensor[0].transpose(0, 1) for tensor in (query, key, value)]
        return _FlashRuns.apply(*flat, sixfold_runs, causal, scaling)[None], None
    sizes = [rows * length for rows, length in sixfold_runs]
    filling = query.shape[2] - sum(sizes)
    # split, not slices: its backward is one concatenation, where each slice's would fill a whole tensor
    parts = [tensor[0].transpose(0, 1).split([*sizes, filling]) for tensor in (query, key, value)]
    grouped = query.shape[1] != key.shape[1]
    outputs = []
    for (rows, length), q, k, v in zip(sixfold_runs, *(part[:-1] for part in parts), strict=True):
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
    outputs.append(query.new_zeros(filling, *outputs[0].shape[1:]))
    return torch.cat(outputs)[None], None


def _no_mask(**kwargs: Any) -> Tensor | None:
    """The packed path needs no mask; a model called the ordinary way gets the ordinary one."""
    return None if kwargs.get("attention_mask") is None else sdpa_mask(**kwargs)


AttentionInterface.register(PACKED, _packed_attention)
AttentionMaskInterface.register(PACKED, _no_mask)


def _bert_rows(model: Any, hidden: Tensor, flat: Flat) -> Tensor:
    """The head of BERT, and before it the last layer, of which it reads only each row's first token.

    The other tokens are needed as keys and values alone, so their queries and the feed-forward part, five sixths of
    the layer, are not computed. ``hidden`` is as long as the filled batch.
    """
    layer = model.bert.encoder.layer[-1]
    first = _attend_first(layer, hidden, flat)
    return model.classifier(model.dropout(model.bert.pooler(first[:, None])))


def _attend_first(layer: Any, hidden: Tensor, flat: Flat) -> Tensor:
    """[rows, width] what a BERT layer gives for each row's first token, from ``hidden`` [tokens, width]."""
    attention, first = layer.attention.self, hidden[flat.starts]
    heads = (attention.num_attention_heads, attention.attention_head_size)
    query = attention.query(first).unflatten(-1, heads)
    real = len(flat.input_ids)
    key, value = (linear(hidden)[:real].unflatten(-1, heads) for linear in (attention.key, attention.value))
    runs = flat.runs()
    rows, tokens = [count for count, _ in runs], [count * length for count, length in runs]
    contexts = []
    parts = zip(runs, query.split(rows), key.split(tokens), value.split(tokens), strict=True)
    for (count, length), q, k, v in parts:
        k, v = (part.unflatten(0, (count, length)).transpose(1, 2) for part in (k, v))
        dropout = attention.dropout.p if attention.training else 0.0
        attended = scaled_dot_product_attention(q[:, :, None], k, v, dropout_p=dropout, scale=attention.scaling)
        contexts.append(attended[:, :, 0])
    context = torch.cat(contexts).flatten(1)
    return layer.feed_forward_chunk(layer.attention.output(context, first))


def _modernbert_rows(model: Any, hidden: Tensor, flat: Flat) -> Tensor:
    if model.config.classifier_pooling == "mean":
        lengths = torch.tensor(flat.lengths, device=hidden.device)
        rows = torch.repeat_interleave(torch.arange(len(lengths), device=hidden.device), lengths)
        sums = hidden.new_zeros(len(lengths), hidden.shape[-1]).index_add_(0, rows, hidden[: len(rows)])
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
    return (
        not hasattr(model, "row_logits")
        and config.model_type in _ROW_HEADS
        and config._attn_implementation in ("sdpa", PACKED)
    )


@contextmanager
def _packed(model: Any) -> Iterator[None]:
    """The model with packed attention and fast products, for the length of one call."""
    before = model.config._attn_implementation
    model.config._attn_implementation = PACKED
    try:
        with fast_products(model):
            yield
    finally:
        model.config._attn_implementation = before


@contextmanager
def _without_last_layer(model: Any) -> Iterator[None]:
    """BERT without its last layer, which ``_bert_rows`` computes itself; other families as they are."""
    if model.config.model_type != "bert":
        yield
        return
    encoder = model.bert.encoder
    layers = encoder.layer
    encoder.layer = layers[:-1]
    try:
        yield
    finally:
        encoder.layer = layers


def _typed(model: Any, types: Tensor | None) -> dict[str, Tensor]:
    """Token types for a model that has an embedding of more than one."""
    has = types is not None and getattr(model.config, "type_vocab_size", 0) > 1
    return {"token_type_ids": types} if has else {}  # type: ignore[dict-item]


def _packed_inputs(model: Any, flat: Flat) -> dict[str, Any]:
    """The batch as one sequence, filled up with tokens that belong to no row."""
    filling = rounded(len(flat.input_ids), flat.input_ids.device) - len(flat.input_ids)

    def filled(values: Tensor) -> Tensor:
        return torch.cat([values, values[:1].expand(filling)])[None]  # an id that the batch has: its row is in use

    return {
        "input_ids": filled(flat.input_ids),
        "position_ids": filled(flat.position_ids),
        "sixfold_runs": flat.runs(),
        **_typed(model, None if flat.types is None else filled(flat.types)),
    }


def _cacheless(model: Any) -> dict[str, bool]:
    """Decoders would build a key-value cache that nobody reads."""
    return {"use_cache": False} if getattr(model.config, "use_cache", None) is not None else {}


def padding(model: Any) -> int:
    """The id that stands behind the shorter rows of a padded batch."""
    return model.config.pad_token_id or 0


def padded(model: Any, flat: Flat) -> dict[str, Tensor]:
    """The batch as models usually take it: ids and mask (1 on real tokens), each [rows, longest]."""
    longest = max(flat.lengths)
    mask = torch.arange(longest)[None] < torch.tensor(flat.lengths)[:, None]
    mask = mask.to(flat.input_ids.device)

    def spread(values: Tensor, fill: int) -> Tensor:
        out = torch.full(mask.shape, fill, dtype=torch.int64, device=mask.device)
        out[mask] = values
        return out

    types = _typed(model, None if flat.types is None else spread(flat.types, 0))
    return {"input_ids": spread(flat.input_ids, padding(model)), "attention_mask": mask.long(), **types}


def token_logits(model: Any, flat: Flat) -> Tensor:
    """[tokens, outputs] of a model with a head on every token (tags, or a vocabulary)."""
    if can_pack(model):
        with _packed(model):
            logits = model(**_packed_inputs(model, flat), **_cacheless(model)).logits[0]
            return logits[: len(flat.input_ids)]
    inputs = padded(model, flat)
    with fast_products(model):
        return model(**inputs, **_cacheless(model)).logits[inputs["attention_mask"].bool()]


def row_logits(model: Any, flat: Flat) -> Tensor:
    """[rows, outputs] of a model with one head a row."""
    if hasattr(model, "row_logits"):  # compiled (compiled.py)
        return model.row_logits(flat)
    if can_pack(model):
        with _packed(model), _without_last_layer(model):
            hidden = model.base_model(**_packed_inputs(model, flat), **_cacheless(model)).last_hidden_state[0]
        with fast_products(model):
            return _ROW_HEADS[model.config.model_type](model, hidden, flat)
    with fast_products(model):
        return model(**padded(model, flat), **_cacheless(model)).logits


def hidden_states(model: Any, flat: Flat) -> Tensor:
    """[tokens, width] the base's last hidden states."""
    base = model.base_model
    if can_pack(model):
        with _packed(model):
            hidden = base(**_packed_inputs(model, flat), **_cacheless(model)).last_hidden_state[0]
            return hidden[: len(flat.input_ids)]
    inputs = padded(model, flat)
    with fast_products(model):
        return base(**inputs, **_cacheless(model)).last_hidden_state[inputs["attention_mask"].bool()]
