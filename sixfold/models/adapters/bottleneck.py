"""Bottleneck layers, and where they go in the families of models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from sixfold.errors import ModelError
from sixfold.models.adapters.kinds import Bottleneck
from sixfold.models.adapters.low_rank import Shapes

PLACES = (
    ("attention.output.dense", "output.dense"),  # BERT, RoBERTa, ELECTRA, DeBERTa
    ("attention.attn.o", "output.dense"),  # MPNet
    ("attention.out_lin", "ffn.lin2"),  # DistilBERT
    ("attn.Wo", "mlp.Wo"),  # ModernBERT
    ("self_attn.o_proj", "mlp.down_proj"),  # Llama, Qwen, Mistral
)
"""The last linear layer of a layer's attention, and of its feed-forward part: a family each."""

_BENDS = {"relu": torch.relu, "gelu": nn.functional.gelu, "silu": nn.functional.silu}


class Bottlenecked(nn.Module):
    """A frozen linear layer h = x W' + b with a bottleneck behind it: h + f(h D' + d) U' + u."""

    def __init__(self, base: nn.Linear, adapter: Bottleneck, random: torch.Generator) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.bend = _BENDS[adapter.activation]
        self.down = nn.Linear(base.out_features, adapter.size)
        self.up = nn.Linear(adapter.size, base.out_features)
        with torch.no_grad():
            self.down.weight.normal_(0, 0.01, generator=random)  # near the identity, as Houlsby et al. begin
            for rest in (self.down.bias, self.up.weight, self.up.bias):
                rest.zero_()
        self.down.to(base.weight)
        self.up.to(base.weight)

    @staticmethod
    def shapes(base: nn.Linear, adapter: Bottleneck) -> Shapes:
        """Of the weights that learn, by their names in this layer."""
        width, size = base.out_features, adapter.size
        return {
            "down.weight": (size, width),
            "down.bias": (size,),
            "up.weight": (width, size),
            "up.bias": (width,),
        }

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.base(x)
        return hidden + self.up(self.bend(self.down(hidden)))


def places(model: Any, adapter: Bottleneck) -> Iterator[tuple[str, nn.Linear]]:
    """(path, layer) of each linear layer that gets a bottleneck behind it.

    Raises:
        ModelError: the model's family is none of those whose places are known.
    """
    found: list[tuple[str, dict[str, nn.Linear]]] = []
    for path, layer in model.named_modules():
        for pair in PLACES:
            ends = {inner: end for inner in pair if (end := _linear_at(layer, inner)) is not None}
            if len(ends) == len(pair):
                found.append((path, ends))
    if len(found) != model.config.num_hidden_layers:
        raise ModelError(
            "it is not known where bottlenecks go in this family of models",
            found=model.config.model_type,
            hint="take low-rank updates, or a model built like BERT, RoBERTa, DeBERTa, MPNet, DistilBERT, ModernBERT, "
            "Llama or Qwen",
        )
    for path, ends in found:
        for inner, end in list(ends.items())[adapter.placement == "pfeiffer" :]:
            yield f"{path}.{inner}", end


def _linear_at(layer: nn.Module, path: str) -> nn.Linear | None:
    found: Any = layer
    for part in path.split("."):
        found = found._modules.get(part)
        if found is None:
            return None
    return found if type(found) is nn.Linear else None
