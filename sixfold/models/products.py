"""Matrix products by the library that is fast on this processor.

torch multiplies fp32 matrices through MKL, which keeps its AVX-512 kernels to Intel's own processors: on an AMD Zen 5
it was measured at 108 GFLOP/s a core where oneDNN, which torch carries too, reaches 240 at the same accuracy
(``bench/products.py``). So there every ``nn.Linear`` of a model is computed through oneDNN while a batch runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear as plain_linear

FEWEST_ROWS = 32
"""Below this the kernels are equally fast, and oneDNN takes longer to start."""

GRAIN, LARGE = 16, 256
"""Batches are filled up to a multiple of this: oneDNN compiles a kernel for each shape (2 ms, and some hundred kB) and
keeps a thousand. From ``LARGE`` tokens on it is four times as much, which they hardly feel."""


@cache
def prefers_onednn() -> bool:
    """Whether this processor has AVX-512 that MKL will not use. It depends on the machine only, so that a run that is
    resumed computes the same numbers."""
    told: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(
        told.get("avx512_f")
        and "intel" not in str(told.get("cpu_name", "intel")).lower()
        and torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def rounded(tokens: int, device: torch.device) -> int:
    """How many tokens are computed for a packed batch of so many."""
    grain = GRAIN if tokens < LARGE else 4 * GRAIN
    return -(-tokens // grain) * grain if device.type == "cpu" and tokens >= FEWEST_ROWS else tokens


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[..., out] from [..., in] and [out, in], in any strides."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _onednn(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), gradient = ctx.saved_tensors, gradients[0]
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        slope, rows = (tensor.reshape(-1, tensor.shape[-1]) for tensor in (gradient, x))
        return (
            _onednn(slope, weight.t()).view(x.shape) if wants_x else None,
            _onednn(slope.t(), rows.t()) if wants_weight else None,
            slope.sum(0) if wants_bias else None,
        )


def _suits(x: Tensor, weight: Tensor) -> bool:
    return (
        prefers_onednn()
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.numel() >= FEWEST_ROWS * x.shape[-1]
        and not torch.is_autocast_enabled("cpu")
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``torch.nn.functional.linear``, faster where it can be: [..., out] from [..., in] and [out, in].

    It has first derivatives only.
    """
    if not _suits(x, weight):
        return plain_linear(x, weight, bias)
    return _Linear.apply(x, weight, bias) if torch.is_grad_enabled() else _onednn(x, weight, bias)


@contextmanager
def fast_products(model: nn.Module) -> Iterator[None]:
    """The model with every ``nn.Linear`` computed by ``linear``, for the length of one call."""
    if not prefers_onednn():
        yield
        return
    found = [m for m in model.modules() if type(m) is nn.Linear and "forward" not in m.__dict__]
    for module in found:
        module.__dict__["forward"] = _forward_of(module)
    try:
        yield
    finally:
        for module in found:
            module.__dict__.pop("forward", None)


def _forward_of(module: nn.Linear) -> Any:
    def forward(x: Tensor) -> Tensor:
        return linear(x, module.weight, module.bias)

    return forward
