"""Cross-entropy over a vocabulary without ever holding all logits.

Logits of 6,000 tokens over 50,000 pieces are 1.2 GB, and their gradient as much again. Here they are computed for a few
tokens at a time, turned into the gradient at once, and thrown away: three matrix products, as in the plain way, and
none again in the backward pass. The idea is that of Liger's fused linear cross-entropy (Hsu et al. 2024,
arXiv:2410.10989).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sixfold.models.forward import Flat, hidden_states
from sixfold.models.products import fast_products, linear, rounded

LOGITS = 2**23
"""Logits held at once: 32 MB of fp32, which glibc still takes from the heap that training keeps (``heap.py``)."""


class _SummedCrossEntropy(torch.autograd.Function):
    """The sum over tokens of -log softmax(hidden @ weight.T + bias)[target]."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor) -> Tensor:
        """``hidden`` [tokens, width], ``weight`` [vocabulary, width], ``bias`` [vocabulary], ``target`` [tokens].

        ``hidden`` may have further rows, which only fill the batch up.
        """
        needs = [ctx.needs_input_grad[place] for place in range(3)]
        precision = torch.bfloat16 if torch.is_autocast_enabled(hidden.device.type) else hidden.dtype
        table, rows = weight.to(precision), hidden.to(precision)
        of_hidden = torch.zeros_like(hidden) if needs[0] else None
        of_weight: Tensor | None = None
        of_bias: Tensor | None = None
        total = hidden.new_zeros((), dtype=torch.float32)
        parts = -(-len(hidden) * len(weight) // LOGITS)
        step = max(1, rounded(-(-len(hidden) // max(1, parts)), hidden.device))  # parts of about one size
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, len(target), step):
                part, wanted = rows[start : start + step], target[start : start + step]
                places = wanted[:, None]
                logits = linear(part, table, None if bias is None else bias.to(precision))[: len(wanted)].float()
                chosen, top = logits.gather(1, places), logits.amax(1, keepdim=True)
                slope = logits.softmax(1)  # one pass; the norm is told from where the largest logit went
                total += (top - slope.amax(1, keepdim=True).log() - chosen).sum()
                del logits
                if not any(needs):
                    continue
                slope.scatter_add_(1, places, slope.new_full((1, 1), -1.0).expand(len(places), 1))
                if needs[2]:
                    of_bias = _added(of_bias, slope.sum(0))
                slope = _filled(slope, len(part), precision)
                if of_hidden is not None:
                    of_hidden[start : start + step] = linear(slope, table.T)
                if needs[1]:
                    of_weight = _added(of_weight, linear(slope.T, part.T))
        if not len(target):  # a gradient all the same: processes that share out their gradients must all have one
            of_weight = torch.zeros_like(weight) if needs[1] else None
            of_bias = torch.zeros_like(bias) if bias is not None and needs[2] else None
        ctx.save_for_backward(of_hidden, of_weight, of_bias)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scale = gradients[0]
        return (*(None if found is None else found * scale.to(found.dtype) for found in ctx.saved_tensors), None)


def _filled(slope: Tensor, rows: int, kind: torch.dtype) -> Tensor:
    """The slopes in another precision, and rows of zeros behind them."""
    if rows == len(slope):
        return slope.to(kind)
    filled = slope.new_empty(rows, slope.shape[1], dtype=kind)
    filled[: len(slope)] = slope
    filled[len(slope) :] = 0
    return filled


def _added(total: Tensor | None, more: Tensor) -> Tensor:
    """In fp32, and without a pass over zeros."""
    return more.float() if total is None else total.add_(more)


def summed_cross_entropy(hidden: Tensor, projection: nn.Linear, target: Tensor) -> Tensor:
    """Scalar fp32: the cross-entropy of the projection's outputs, summed over the tokens.

    Args:
        hidden: [tokens, width], or more rows, of which the first ones count.
        projection: width to vocabulary; its weight may be the embedding's.
        target: [tokens] token ids.
    """
    return _SummedCrossEntropy.apply(hidden, projection.weight, projection.bias, target)


def _bert_head(model: Any) -> tuple[nn.Module, nn.Linear]:
    return model.cls.predictions.transform, model.cls.predictions.decoder


def _modernbert_head(model: Any) -> tuple[nn.Module, nn.Linear]:
    return model.head, model.decoder


def _decoder_head(model: Any) -> tuple[nn.Module, nn.Linear]:
    return nn.Identity(), model.lm_head


_HEADS = {
    "bert": _bert_head,
    "modernbert": _modernbert_head,
    "llama": _decoder_head,
    "qwen2": _decoder_head,
    "qwen3": _decoder_head,
}


def has_split_head(model: Any) -> bool:
    """Whether the model's family is one whose language-model head is known here in its two parts."""
    return model.config.model_type in _HEADS


def token_loss(model: Any, flat: Flat, *asked: tuple[Tensor, Tensor]) -> list[Tensor]:
    """Scalars: the summed losses of a language model at some tokens of a batch; only there is its head computed.

    Args:
        model: with a language-model head, of a family in ``_HEADS``.
        asked: for each sum, [targets] indices into the flat batch's tokens, and [targets] token ids.
    """
    transform, projection = _HEADS[model.config.model_type](model)
    hidden = hidden_states(model, flat)
    with fast_products(model):
        return [summed_cross_entropy(transform(_rows(hidden, places)), projection, target) for places, target in asked]


def token_losses(model: Any, flat: Flat, places: Tensor, target: Tensor) -> Tensor:
    """[targets] the loss at each of some tokens, with gradients; logits are computed again in the backward pass.

    Arguments as for ``token_loss``, one pair.
    """
    from torch.utils.checkpoint import checkpoint

    transform, projection = _HEADS[model.config.model_type](model)
    hidden = hidden_states(model, flat)

    def part(rows: Tensor, wanted: Tensor) -> Tensor:
        with fast_products(model):  # in the backward pass too
            return nn.functional.cross_entropy(projection(transform(rows)).float(), wanted, reduction="none")

    most = max(1, LOGITS // projection.out_features)
    found = [
        checkpoint(part, hidden[places[start : start + most]], target[start : start + most], use_reentrant=False)
        for start in range(0, len(target), most)
    ]
    return torch.cat([hidden.new_zeros(0, dtype=torch.float32), *found])


def token_judged(model: Any, flat: Flat, *asked: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """For each pair as in ``token_loss``: [targets] each token's own loss, and whether the model puts it first."""
    transform, projection = _HEADS[model.config.model_type](model)
    hidden = hidden_states(model, flat)
    with fast_products(model):
        return [_judged(transform(_rows(hidden, places)), projection, target) for places, target in asked]


def _rows(hidden: Tensor, places: Tensor) -> Tensor:
    """[targets or a few more, width]: the first one again fills them up.

    Each number of rows is another kernel, of which oneDNN keeps a thousand: 3.5 MB a step for a table of 4,000 pieces.
    """
    missing = rounded(len(places), hidden.device) - len(places)
    return hidden[torch.cat([places, places[:1].expand(missing)]) if missing else places]


def _judged(hidden: Tensor, projection: nn.Linear, target: Tensor) -> tuple[Tensor, Tensor]:
    """A few tokens' logits at a time. ``hidden`` may have more rows than there are targets."""
    losses, right = [hidden.new_zeros(0, dtype=torch.float32)], [target.new_zeros(0, dtype=torch.bool)]
    most = max(1, LOGITS // projection.out_features)
    for start in range(0, len(target), most):
        wanted = target[start : start + most]
        logits = projection(hidden[start : start + most])[: len(wanted)].float()
        losses.append(nn.functional.cross_entropy(logits, wanted, reduction="none"))
        right.append(logits.argmax(-1) == wanted)
    return torch.cat(losses), torch.cat(right)
