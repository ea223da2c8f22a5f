"""Floating-point operations of a model on texts, and what named GPUs would need for them (an estimate)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

TRAINING = 3
"""A backward pass computes two matrix products for each of the forward pass (Kaplan et al. 2020, section 2.1)."""


@dataclass(frozen=True)
class Weights:
    """How many weights of a model's matrices are multiplied with what.

    Attributes:
        token: with every token.
        text: once a text: a head that labels it, and the pooling before it.
        target: with every token that a language model is asked about: its head, and the output layer.
    """

    token: int
    text: int
    target: int


def matrices(model: Any) -> Weights:
    """Tables that are looked up are none, unless the output layer shares them."""
    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    tables -= {id(getattr(output, "weight", None))}
    base = {id(one) for one in model.base_model.parameters()} - {id(getattr(output, "weight", None))}
    labels_texts = type(model).__name__.endswith("ForSequenceClassification")
    counts = {"token": 0, "text": 0, "target": 0}
    for name, one in model.named_parameters():
        if one.ndim != 2 or id(one) in tables:
            continue
        head = id(one) not in base
        if output is not None and head:
            counts["target"] += one.numel()
        elif labels_texts and (head or ".pooler." in name):
            counts["text"] += one.numel()
        else:
            counts["token"] += one.numel()
    return Weights(**counts)


def pairs(model: Any, lengths: NDArray[np.int64]) -> int:
    """How many pairs of tokens attention compares, over all layers, in texts of these lengths.

    Every token with every other, with those before it in a decoder, and with those inside its window in a local layer.
    """
    config = model.config
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    window = getattr(config, "sliding_window", None)
    local = sum(kind == "sliding_attention" for kind in kinds) if window else 0
    causal = any(getattr(module, "is_causal", False) for module in model.modules())

    def compared(reach: NDArray[np.int64]) -> int:
        """``reach``: how many tokens to each side count, itself included."""
        inside = reach * lengths - reach * (reach - 1) // 2  # itself and those before
        return int((inside if causal else 2 * inside - lengths).sum())

    near = np.minimum(lengths, (window or 0) if causal else (window or 0) + 1)
    return (len(kinds) - local) * compared(lengths) + local * compared(near)


def forward(model: Any, lengths: NDArray[np.int64], targets: float = 0.0) -> float:
    """Operations of one forward pass: 2 × weights × tokens, and 4 × width for every pair that attention compares.

    Kaplan et al. 2020 (arXiv:2001.08361, section 2.1); attention's two products (scores, sums of values) as in
    Chowdhery et al. 2022 (arXiv:2204.02311, appendix B), who count 12 × width a pair for forward and backward. What a
    clever implementation leaves out is counted, what it computes twice is not.

    Args:
        lengths: [texts] tokens of each.
        targets: tokens that a language model is asked about.
    """
    weights = matrices(model)
    config = model.config
    width = config.num_attention_heads * (getattr(config, "head_dim", None) or 0) or config.hidden_size
    multiplied = weights.token * int(lengths.sum()) + weights.text * len(lengths) + weights.target * targets
    return 2 * multiplied + 4 * width * pairs(model, lengths)


@dataclass(frozen=True)
class Gpu:
    """A GPU as its maker describes it.

    Attributes:
        peak: bf16 operations a second, dense, added up in fp32.
        memory: bytes.
        bandwidth: bytes a second.
    """

    name: str
    peak: float
    memory: float
    bandwidth: float


GPUS = (
    Gpu("L4", 121e12, 24e9, 300e9),  # NVIDIA L4 data sheet: 242 with sparsity
    Gpu("RTX 4090", 165.2e12, 24e9, 1008e9),  # NVIDIA Ada GPU architecture white paper, appendix A
    Gpu("A100 80GB", 312e12, 80e9, 2039e9),  # NVIDIA A100 data sheet, SXM
    Gpu("H100", 989e12, 80e9, 3350e9),  # NVIDIA H100 data sheet, SXM: 1,979 with sparsity
    Gpu("H200", 989e12, 141e9, 4800e9),  # NVIDIA H200 data sheet, SXM: 1,979 with sparsity
)
SHARE = 0.35
"""Of the peak that training reaches; published runs of large models lie between 0.2 and 0.6 (Chowdhery et al. 2022)."""
UPDATE_BYTES = 28
"""AdamW reads a weight, its gradient and two moments, and writes three of them, in fp32."""
LAUNCHES = 60
"""Kernels of one layer's forward and backward pass in eager torch, roughly."""
LAUNCH_SECONDS = 10e-6
"""Roughly what Python and the driver take to start one. Small models wait for this, whatever the GPU."""


def seconds_on(gpu: Gpu, *, flops: float, learning: int, steps: int, layers: int, micro_batches: int) -> float:
    """Estimated seconds of training: products at ``SHARE`` of the peak but no faster than kernels start; and updates.

    Args:
        flops: of all steps.
        learning: parameters that learn.
        layers: of the model.
        micro_batches: of all steps.
    """
    computed = flops / (SHARE * gpu.peak)
    started = micro_batches * layers * LAUNCHES * LAUNCH_SECONDS
    return max(computed, started) + steps * learning * UPDATE_BYTES / gpu.bandwidth
