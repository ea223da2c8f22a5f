"""LoRA: a frozen matrix and a low-rank update that learns (Hu et al. 2021, arXiv:2106.09685).

An adapter is kept in the form of ``peft`` (``adapter_config.json``, ``adapter_model.safetensors``), so that other tools
read ours. The layers are our own: their whole work is two thin products, and nothing is computed for the frozen matrix
but its own product.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sixfold.errors import ModelError
from sixfold.fetch.folders import replacing

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."


@dataclass(frozen=True)
class Lora:
    """What an adapter is.

    Attributes:
        rank: of each update.
        alpha: an update counts ``alpha / rank``-fold.
        targets: last names of the linear layers that get one; empty for all of them inside the layers.
    """

    rank: int = 16
    alpha: float = 32.0
    targets: tuple[str, ...] = ()


class LoraLinear(nn.Module):
    """A frozen linear layer with an update: x W' + scale (x A') B'."""

    def __init__(self, base: nn.Linear, lora: Lora, random: torch.Generator) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = lora.alpha / lora.rank
        bound = 1 / math.sqrt(base.in_features)  # kaiming_uniform(a=sqrt(5)), as in the paper's code
        down = torch.empty(lora.rank, base.in_features).uniform_(-bound, bound, generator=random)
        self.lora_A = nn.Linear(base.in_features, lora.rank, bias=False)
        self.lora_B = nn.Linear(lora.rank, base.out_features, bias=False)
        with torch.no_grad():
            self.lora_A.weight.copy_(down)
            self.lora_B.weight.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.scale * self.lora_B(self.lora_A(x))

    def merged(self) -> nn.Linear:
        """The plain layer that computes the same."""
        with torch.no_grad():
            self.base.weight += self.scale * (self.lora_B.weight @ self.lora_A.weight).to(self.base.weight.dtype)
        return self.base


def add(model: nn.Module, lora: Lora, *, seed: int) -> int:
    """Freeze the model and give its layers updates that change nothing yet; how many numbers learn.

    Raises:
        ModelError: it has no layer of those names.
    """
    random = torch.Generator().manual_seed(seed % 2**63)
    model.requires_grad_(False)
    found = list(_linears(model, lora))
    if not found:
        raise ModelError(
            "the model has no linear layers of these names",
            found=", ".join(lora.targets) or "none inside its layers",
        )
    for parent, name, layer in found:
        setattr(parent, name, LoraLinear(layer, lora, random))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def merge(model: nn.Module) -> None:
    """Put every update into its matrix: a plain model again, which learns nothing until told."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLinear):
                setattr(parent, name, child.merged())


def save_adapter(model: nn.Module, lora: Lora, folder: Path, base: str) -> None:
    """Write the updates alone, as a folder that appears whole or not at all.

    Args:
        base: what the adapter belongs to, for a person; its digest stands in the lineage.

    Raises:
        StorageError: it could not be written.
    """
    from safetensors.torch import save_file

    found = {name: module for name, module in model.named_modules() if isinstance(module, LoraLinear)}
    weights = {
        f"{_PREFIX}{name}.{part}.weight": getattr(module, part).weight.detach().contiguous()
        for name, module in found.items()
        for part in ("lora_A", "lora_B")
    }
    told = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted({name.rpartition(".")[2] for name in found}),
        "inference_mode": True,
    }
    with replacing(folder) as temporary:
        save_file(weights, temporary / WEIGHTS, metadata={"format": "pt"})
        (temporary / CONFIG).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def load_adapter(model: nn.Module, folder: Path) -> Lora:
    """Put a saved adapter on its base.

    Raises:
        ModelError: it is no LoRA adapter, or one of another shape.
    """
    from safetensors.torch import load_file

    try:
        told = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError) as error:
        raise ModelError("the adapter cannot be read", where=folder, found=error) from error
    if told.get("peft_type") != "LORA":
        raise ModelError("this is no LoRA adapter", where=folder, found=told.get("peft_type"))
    lora = Lora(int(told["r"]), float(told["lora_alpha"]), tuple(told["target_modules"]))
    add(model, lora, seed=0)
    own = dict(model.named_parameters())
    wanted = {name for name, value in own.items() if value.requires_grad}
    given = {name.removeprefix(_PREFIX): value for name, value in weights.items()}
    wrong = [name for name in given if name in own and own[name].shape != given[name].shape]
    if set(given) != wanted or wrong:
        odd = sorted(wanted ^ set(given) or wrong)
        raise ModelError("the adapter does not fit this model", where=folder, found=", ".join(odd[:3]))
    with torch.no_grad():
        for name, value in given.items():
            own[name].copy_(value)
    return lora


def _linears(model: Any, lora: Lora) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """(parent, name, layer) of each layer that gets an update; embeddings and heads get none."""
    for path, parent in list(model.base_model.named_modules()):
        for name, child in list(parent.named_children()):
            inside = any(part.isdigit() for part in path.split("."))
            if type(child) is nn.Linear and inside and (not lora.targets or name in lora.targets):
                yield parent, name, child
