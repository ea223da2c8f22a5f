"""The optimisers' parameter groups, and the values derived from a model: learning rate, precision, micro-batch.

Muon's arithmetic is in ``muon.py``, schedules in ``schedule.py``.
"""

from __future__ import annotations

import re
from typing import Any, cast

import torch
from torch import nn

from sixfold.models.products import prefers_onednn
from sixfold.train.config import TrainConfig
from sixfold.train.events import Choice
from sixfold.train.muon import Muon, matched

BASE_RATE = 5e-5
BASE_WIDTH = 768
BASE_BATCH = 32
HEAD_SHARE = 20
"""A new head on a frozen base spoils nothing by large steps: 2e-3 on minilm-l6, as in docs/results.md."""

SET = "set in the recipe, or by the size of a new model"

LEAST_STEPS = 300
MOST_EPOCHS = 15
USUAL_EPOCHS = 3

_LAYER = re.compile(r"(?:^|\.)(?:layer|layers|h|block)\.(\d+)\.")

FUSED = {"Wqkv": 3, "Wi": 2}
"""Projections that ModernBERT keeps in one matrix. Muon makes each orthogonal by itself, as in a model that keeps them
apart: it learns better so (Jordan 2024, of queries, keys and values), and a fused one is orthogonal only as a whole."""


def learning_rate(model: Any, config: TrainConfig) -> Choice:
    """The peak learning rate: the recipe's, or derived.

    Derived: 5e-5 at BERT-base's width of 768 and 32 examples a step (Devlin et al. 2019 recommend 2e-5 to 5e-5), in
    inverse proportion to the width (as the maximal-update parametrisation has it for Adam's hidden matrices: Yang et
    al. 2022, arXiv:2203.03466) and to the square root of the batch (Malladi et al. 2022, arXiv:2205.10287). On a frozen
    base, where a new head is all that learns, ``HEAD_SHARE`` times that.
    """
    if config.learning_rate is not None:
        return Choice("learning rate", config.learning_rate, SET)
    width = model.config.hidden_size
    rate = BASE_RATE * BASE_WIDTH / width * (config.batch / BASE_BATCH) ** 0.5
    reason = f"{BASE_RATE:g} × {BASE_WIDTH}/{width} (width) × √({config.batch}/{BASE_BATCH}) (batch)"
    if not config.train_base:
        rate, reason = HEAD_SHARE * rate, f"{reason} × {HEAD_SHARE} (only the head learns)"
    return Choice("learning rate", rate, reason)


def epochs(config: TrainConfig, per_epoch: int) -> Choice:
    """Passes over the data: the recipe's, or three as Devlin et al. 2019, and more where rows are few.

    On small sets the usual three passes stop long before the model has converged, and longer training is what
    steadies it (Mosbach et al. 2021, arXiv:2006.04884); early stopping ends what does not help.
    """
    if config.epochs is not None:
        return Choice("epochs", config.epochs, SET)
    wanted = -(-LEAST_STEPS // per_epoch)
    passes = max(USUAL_EPOCHS, min(MOST_EPOCHS, wanted))
    if passes == USUAL_EPOCHS:
        return Choice("epochs", float(passes), "the usual number")
    return Choice("epochs", float(passes), f"{per_epoch} steps an epoch: few rows want about {LEAST_STEPS} steps")


def precision(config: TrainConfig, device: torch.device) -> Choice:
    """fp32, or bf16 for matrix products where the hardware multiplies it."""
    if config.precision != "auto":
        return Choice("precision", config.precision, SET)
    has = multiplies_bf16(device)
    if device.type == "cuda":
        return Choice("precision", "bf16" if has else "fp32", f"the GPU {'has' if has else 'lacks'} bf16")
    if has:
        return Choice("precision", "bf16", "this processor multiplies bf16 in hardware")
    return Choice("precision", "fp32", "this processor has no bf16 multiplication")


def products(device: torch.device, precision: str) -> list[Choice]:
    """By which library fp32 matrices are multiplied, where there is a choice."""
    if device.type != "cpu" or precision != "fp32" or not prefers_onednn():
        return []
    return [Choice("matrix products", "oneDNN", "MKL would not use this processor's AVX-512")]


def multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    cpu = cast(Any, torch.cpu)
    return cpu._is_amx_tile_supported() or cpu._is_avx512_bf16_supported()


def micro_tokens(model: Any, config: TrainConfig, *, packed: bool) -> Choice:
    """Tokens computed at once: as many as fit into a share of memory, since larger matrices multiply faster.

    A training token keeps about 40 numbers a width and layer for the backward pass (inputs of the six matrices and
    two norms, queries, keys, values, dropout masks and the wide activation of the feed-forward part).
    """
    if config.micro_tokens is not None:
        return Choice("micro-batch tokens", config.micro_tokens, SET)
    bytes_a_token = 40 * 4 * model.config.hidden_size * model.config.num_hidden_layers
    tokens = max(256, min(8192 if packed else 2048, 2 * 2**30 // bytes_a_token))
    return Choice("micro-batch tokens", tokens, f"about {bytes_a_token * tokens / 2**30:.1f} GiB of activations")


def _depth(name: str, layers: int) -> int:
    """0 for embeddings, 1 … layers for layers, layers + 1 for what comes after."""
    found = _LAYER.search(name)
    if found:
        return int(found.group(1)) + 1
    return 0 if "embed" in name else layers + 1


def _fused(name: str) -> int:
    """How many projections stand on top of each other in the matrix."""
    return FUSED.get(name.split(".")[-2], 1)


def _hidden(model: Any, parameters: dict[str, nn.Parameter]) -> set[str]:
    """Names of the matrices inside the layers: what Muon is for (Jordan 2024).

    An embedding's or a classifier's rows belong to tokens and labels, not to one map of vectors to vectors. Nor is a
    single column one (AdaLoRA's singular values).
    """
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    return {
        name
        for name, parameter in parameters.items()
        if parameter.ndim == 2 and parameter.shape[1] > 1 and _LAYER.search(name) and id(parameter) not in tables
    }


def optimiser(model: Any, parameters: dict[str, nn.Parameter], config: TrainConfig) -> Choice:
    """AdamW for all, or Muon for the matrices inside the layers."""
    if config.optimiser == "adamw":
        return Choice("optimiser", "adamw", "for every parameter")
    names = _hidden(model, parameters)
    count = sum(parameters[name].numel() for name in names)
    share = count / sum(parameter.numel() for parameter in parameters.values())
    rate = "with steps as large as AdamW's" if config.muon_rate is None else f"at a rate of {config.muon_rate:g}"
    return Choice(
        "optimiser",
        "muon",
        f"for {len(names)} matrices inside the layers ({share:.0%} of what learns), {rate}; "
        "AdamW for embeddings, norms, biases and heads",
    )


def build(
    model: Any, parameters: dict[str, nn.Parameter], config: TrainConfig, rate: float
) -> tuple[torch.optim.Optimizer, ...]:
    """The optimisers of the named parameters; every group has its ``share`` of the learning rate.

    Weight decay falls on matrices only: not on embeddings, biases or norms. A step takes rate x decay of a weight,
    Muon's too, whose own rate is another.
    """
    layers = model.config.num_hidden_layers
    hidden = _hidden(model, parameters) if config.optimiser == "muon" else set()
    groups: dict[tuple[bool, int, float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        decay = config.weight_decay if parameter.ndim >= 2 and "embed" not in name else 0.0
        share = config.layer_decay ** (layers + 1 - _depth(name, layers))
        parts = 1
        if name in hidden:
            own = matched(parameter.shape[1]) if config.muon_rate is None else config.muon_rate / rate
            share, decay, parts = share * own, decay / own, _fused(name)
        groups.setdefault((name in hidden, parts, share, decay), []).append(parameter)

    def chosen(muon: bool) -> list[dict[str, Any]]:
        return [
            {"params": members, "lr": rate * share, "weight_decay": decay, "share": share, "parts": parts}
            for (is_hidden, parts, share, decay), members in groups.items()
            if is_hidden is muon
        ]

    optimisers: list[torch.optim.Optimizer] = []
    if adamw := chosen(False):
        optimisers.append(torch.optim.AdamW(adamw, lr=rate, betas=(0.9, 0.999), eps=1e-8, fused=True))
    if muon := chosen(True):
        device = muon[0]["params"][0].device
        optimisers.append(Muon(muon, dtype=torch.bfloat16 if multiplies_bf16(device) else torch.float32))
    return tuple(optimisers)
