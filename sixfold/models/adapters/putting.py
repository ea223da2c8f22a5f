"""An adapter on a model: put on, merged, counted. What is on a disk is in ``files.py``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sixfold.errors import ModelError
from sixfold.models.adapters.kinds import AdaLora, Adapter, Added, BitFit, Bottleneck, Lora
from sixfold.models.load import LABEL_HEADS

if TYPE_CHECKING:
    from torch import nn

    from sixfold.models.adapters.low_rank import Shapes


def add(model: Any, adapter: Adapter, *, seed: int, head: bool = True) -> Added:
    """Freeze a model and put an adapter on it, which changes nothing yet.

    Args:
        model: of transformers, changed in place.
        adapter: what to put on.
        seed: of its random weights.
        head: let the head learn too, where the model has labels.

    Raises:
        ModelError: it has an adapter already, no place for this one, or no biases.
    """
    import torch

    if any(True for _ in wrapped(model)):
        raise ModelError("the model has an adapter already", hint="merge it first, or load the base again")
    whole = sum(p.numel() for p in model.parameters())
    if isinstance(adapter, BitFit):
        own = _biases(model)
        model.requires_grad_(False)
        for bias in own.values():
            bias.requires_grad_(True)
    else:
        random = torch.Generator().manual_seed(seed % 2**63)
        found = _sites(model, adapter)
        model.requires_grad_(False)
        for path, layer in found.items():
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, _wrapper(adapter)(layer, adapter, random))
    for name in head_names(model) if head else ():
        model.get_parameter(name).requires_grad_(True)
    return Added(sum(p.numel() for p in model.parameters() if p.requires_grad), whole)


def merge(model: Any) -> None:
    """Put every low-rank update into its matrix: a plain model again, which learns nothing until told.

    Biases that learnt (``BitFit``) are where they belong already.

    Raises:
        ModelError: it has bottlenecks, which no matrix can take.
    """
    from sixfold.models.adapters.bottleneck import Bottlenecked

    found = dict(wrapped(model))
    if any(isinstance(layer, Bottlenecked) for layer in found.values()):
        raise ModelError(
            "a bottleneck adapter cannot be merged: there is a bend in it, which no matrix has",
            hint="use it beside its base",
        )
    for path, layer in found.items():
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, layer.merged())


def ranks(model: nn.Module) -> dict[str, int]:
    """Effective ranks of low-rank updates, by the paths of their layers."""
    return {path: layer.rank for path, layer in wrapped(model) if hasattr(layer, "rank")}


def wrapped(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """(path, layer) of each layer that an adapter has put on."""
    from sixfold.models.adapters.bottleneck import Bottlenecked
    from sixfold.models.adapters.low_rank import AdaLoraLinear, LoraLinear

    for path, layer in list(model.named_modules()):
        if isinstance(layer, LoraLinear | AdaLoraLinear | Bottlenecked):
            yield path, layer


def head_names(model: Any) -> list[str]:
    """Names of the weights of a head with labels, the pooler among them; none where the model has no labels."""
    base = model.base_model
    outside = [name for name, child in model.named_children() if child is not base]
    if base is model or not LABEL_HEADS.intersection(outside):
        return []
    pooler = f"{model.base_model_prefix}.pooler."
    return [name for name, _ in model.named_parameters() if name.split(".")[0] in outside or name.startswith(pooler)]


def update_names(model: Any, adapter: Adapter) -> list[str]:
    """Names of an adapter's own weights in a model that has it."""
    if isinstance(adapter, BitFit):
        return list(_biases(model))
    return [
        f"{path}.{part}"
        for path, layer in wrapped(model)
        if isinstance(layer, _wrapper(adapter))
        for part in layer.shapes(layer.base, adapter)
    ]


def update_shapes(model: Any, adapter: Adapter) -> Shapes:
    """Shapes of an adapter's own weights, by name, for a model that does not have it yet.

    Raises:
        ModelError: the model has no place for it.
    """
    if isinstance(adapter, BitFit):
        return {name: tuple(bias.shape) for name, bias in _biases(model).items()}
    return {
        f"{path}.{part}": shape
        for path, layer in _sites(model, adapter).items()
        for part, shape in _wrapper(adapter).shapes(layer, adapter).items()
    }


def _wrapper(adapter: Adapter) -> Any:
    from sixfold.models.adapters import bottleneck, low_rank

    assert not isinstance(adapter, BitFit), "nothing is put on"
    kinds: dict[type[Adapter], Any] = {
        Lora: low_rank.LoraLinear,
        AdaLora: low_rank.AdaLoraLinear,
        Bottleneck: bottleneck.Bottlenecked,
    }
    return kinds[type(adapter)]


def _sites(model: Any, adapter: Lora | AdaLora | Bottleneck) -> dict[str, nn.Linear]:
    """The linear layers that get something, by path; embeddings and heads get nothing."""
    from torch import nn

    if isinstance(adapter, Bottleneck):
        from sixfold.models.adapters.bottleneck import places

        return dict(places(model, adapter))
    inside = f"{model.base_model_prefix}." if model.base_model is not model else ""
    found = {
        path: layer
        for path, layer in model.named_modules()
        if type(layer) is nn.Linear
        and path.startswith(inside)
        and any(part.isdigit() for part in path.split("."))
        and (not adapter.targets or f".{path}".endswith(tuple(f".{name}" for name in adapter.targets)))
    }
    if not found:
        raise ModelError(
            "the model has no linear layers of these names",
            found=", ".join(adapter.targets) or "none inside its layers",
        )
    return found


def _biases(model: Any) -> dict[str, nn.Parameter]:
    """The biases of the base, by name; the head's learn with the head."""
    head = set(head_names(model))
    inside = f"{model.base_model_prefix}." if model.base_model is not model else ""
    found = {
        name: value
        for name, value in model.named_parameters()
        if name.startswith(inside) and name.endswith("bias") and name not in head
    }
    if not found:
        raise ModelError(
            "the model has no biases that could learn", found=model.config.model_type, hint="take low-rank updates"
        )
    return found
