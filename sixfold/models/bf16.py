"""A model's copy in bf16, for many questions to weights that stay as they are.

Autocast rounds the inputs of every matrix product anew and keeps what lies between in fp32: on a processor that
multiplies bf16 eight times as fast as fp32, those copies took as long as the products.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


def in_bf16(model: Any) -> Any:
    """A copy whose base is in bf16, half as large; the head, whose answers are read, stays as it is."""
    made = copy.deepcopy(model)
    base = made.base_model
    base.to(torch.bfloat16)
    for child in made.children():
        if child is not base:
            child.register_forward_pre_hook(_as_it_was)
    return made


def _as_it_was(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(one.float() if isinstance(one, torch.Tensor) and one.is_floating_point() else one for one in given)
