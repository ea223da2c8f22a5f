"""Matrix products of linear layers in 8-bit integers, on the CPU: faster, and a little wrong.

Weights are rounded once, each output with its own scale; inputs at each call, with one scale for the whole batch.
Embeddings, norms, attention, the pooler and the head stay as they are. Whether it pays and keeps a model's labels
depends on the processor and the model: ``score/rough.py`` measures both, ``bench/int8_spike.py`` against other ways.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

LEAST = 64
"""Inputs and outputs of a layer that is worth it."""


@cache
def halved() -> bool:
    """Whether inputs get 7 bits: without VNNI, sums of two 8-bit products overflow their 16 bits."""
    told: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return not any(told.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))


def can_int8(model: nn.Module) -> bool:
    """Whether the model is on a CPU, in fp32, and torch has the kernels."""
    weight = next(model.parameters())
    kernels = "onednn" in torch.backends.quantized.supported_engines
    return kernels and weight.device.type == "cpu" and weight.dtype == torch.float32


class Int8Linears:
    """The linear layers of a model's base, with their weights rounded. The model itself is not changed.

    Args:
        model: its weights must stay as they are.
    """

    def __init__(self, model: Any) -> None:
        assert can_int8(model)
        self._forwards = {
            module: _forward_of(module) for name, module in model.base_model.named_modules() if _suits(name, module)
        }

    def __len__(self) -> int:
        return len(self._forwards)

    @contextmanager
    def used(self) -> Iterator[None]:
        """The model with these in place of its own, for the length of some calls without gradients."""
        for module, forward in self._forwards.items():
            module.__dict__["forward"] = forward
        try:
            yield
        finally:
            for module in self._forwards:
                module.__dict__.pop("forward", None)


def _suits(name: str, module: nn.Module) -> bool:
    inner = "pooler" not in name.split(".")
    return inner and type(module) is nn.Linear and min(module.in_features, module.out_features) >= LEAST


def _forward_of(module: nn.Linear) -> Any:
    packed = _packed(module.weight.detach(), None if module.bias is None else module.bias.detach())

    def forward(x: Tensor) -> Tensor:
        return torch.ops.quantized.linear_dynamic(x, packed, halved())

    return forward


def _packed(weight: Tensor, bias: Tensor | None) -> Any:
    """What the kernel takes for [out, in] weights and an [out] bias."""
    scales = (weight.abs().amax(dim=1).double() / 127).clamp(min=1e-12)
    engine = torch.backends.quantized.engine
    torch.backends.quantized.engine = "onednn"  # 5 % faster than fbgemm; the packed weights remember it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # tensors of 8-bit types are to go after torch 2.13
            rounded = torch.quantize_per_channel(weight, scales, torch.zeros(len(scales)).long(), 0, torch.qint8)
        return torch.ops.quantized.linear_prepack(rounded, bias)
    finally:
        torch.backends.quantized.engine = engine
