"""A longer context for a model that tells places apart by rotary embeddings (RoPE): what to set, and setting it.

How long the context of a new model is stands in ``sizes.py``; training on longer texts is the pretrain stage's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from sixfold.errors import ModelError, UsageError
from sixfold.models.sizes import Derived

Rope = Literal["base", "linear", "yarn"]

LOCAL = "sliding_attention"
LEAST_BEFORE = 64
"""A model that was trained on less than this has no pairs of numbers that turned often enough to tell by."""


@dataclass(frozen=True)
class Extension:
    """How a model's context grows.

    Attributes:
        before, after: most tokens of a text.
        parameters: of the rotary embedding, as configurations of transformers hold them.
        told: each value with its reason.
    """

    before: int
    after: int
    parameters: Mapping[str, Any]
    told: tuple[Derived, ...]


def raised_base(base: float, before: int, after: int) -> float:
    """A base with which a context of ``after`` tokens holds no angle that one of ``before`` has not shown.

    A pair of numbers that turned whole circles within the old context knows every angle. The slowest one that did is
    made to turn once in the new context, and those behind it then turn less than they have before: the critical base
    of Liu et al. 2023 (arXiv:2310.05209), base^(log of after/2π to the base before/2π).
    """
    known, wanted = (math.log(max(tokens, LEAST_BEFORE) / (2 * math.pi)) for tokens in (before, after))
    return base ** (wanted / known)


def can_extend(model: Any) -> bool:
    """Whether the model has a rotary embedding that nothing scales yet."""
    return bool(list(_rotary(model))) and all(kind == "default" for kind in _kinds(model.config.rope_parameters))


def extension(model: Any, context: int, rope: Rope) -> Extension:
    """What a longer context takes; the model stays as it is.

    Args:
        context: most tokens of a text that the model is to read.
        rope: ``base``: a larger base (``raised_base``). ``linear``: all places closer together (Chen et al. 2023,
            arXiv:2306.15595). ``yarn``: only for the pairs of numbers that turn slowly, and sharper attention (Peng et
            al. 2023, arXiv:2309.00071).

    Raises:
        ModelError: the model has no rotary embedding, or one that is scaled already.
        UsageError: it reads that many tokens as it is.
    """
    name, before = model.config.model_type, int(getattr(model.config, "max_position_embeddings", None) or 0)
    if not list(_rotary(model)):
        raise ModelError(
            f"{name} cannot be given a longer context: it has no rotary embedding (RoPE), {_otherwise(model, before)}",
            where="extend",
            hint="leave out extend, or choose a base with RoPE: ModernBERT, Llama, Qwen",
        )
    parameters: dict[str, Any] = model.config.rope_parameters
    if not can_extend(model):
        raise ModelError(
            f"the rotary embedding of this {name} is scaled already, and two scalings do not add up",
            where="extend",
            found=", ".join(sorted(set(_kinds(parameters)))),
            hint="extend the model that it was made from, in one step",
        )
    if context <= before:
        raise UsageError(
            f"the base reads {before:,} tokens already",
            where="extend.context",
            found=context,
            hint="leave out extend; context sets how many tokens of a text it learns from",
        )
    told = [Derived("context", context, f"{before:,} before")]
    if not _nested(parameters):
        changed, values = _scaled(parameters, before, context, rope)
        return Extension(before, context, changed, (*told, *values))
    layers = {}
    for kind, old in parameters.items():
        if kind == LOCAL and model.config.sliding_window <= before:
            reason = f"as before: these layers see no further than {model.config.sliding_window:,} tokens"
            layers[kind], values = dict(old), (Derived("RoPE base", float(old["rope_theta"]), reason),)
        else:
            layers[kind], values = _scaled(old, before, context, rope)
        place = "local" if kind == LOCAL else "global"
        told += [Derived(f"{value.name} of {place} layers", value.value, value.reason) for value in values]
    return Extension(before, context, layers, tuple(told))


def extend(model: Any, tokenizer: Any, extension: Extension) -> None:
    """Give the model its longer context, in place: configuration, rotary embedding, and the tokenizer's limit."""
    model.config.rope_parameters = {
        kind: dict(value) if isinstance(value, Mapping) else value for kind, value in extension.parameters.items()
    }
    model.config.max_position_embeddings = extension.after
    tokenizer.model_max_length = extension.after
    for name, module in list(_rotary(model)):
        parent, _, leaf = name.rpartition(".")
        made = type(module)(config=model.config).to(next(model.parameters()).device)
        setattr(model.get_submodule(parent), leaf, made.train(module.training))


def _rotary(model: Any) -> Iterator[tuple[str, nn.Module]]:
    """The modules that turn queries and keys, by name; transformers itself tells them by their class's name."""
    if not getattr(model.config, "rope_parameters", None):
        return
    for name, module in model.named_modules():
        if "RotaryEmbedding" in type(module).__name__ and hasattr(module, "rope_type"):
            yield name, module


def _nested(parameters: Mapping[str, Any]) -> bool:
    """Whether each kind of layer has parameters of its own."""
    return any(isinstance(value, Mapping) for value in parameters.values())


def _kinds(parameters: Mapping[str, Any]) -> list[str]:
    each = list(parameters.values()) if _nested(parameters) else [parameters]
    return [one.get("rope_type", "default") for one in each]


def _scaled(old: Mapping[str, Any], before: int, after: int, rope: Rope) -> tuple[dict[str, Any], tuple[Derived, ...]]:
    base, factor = float(old["rope_theta"]), after / before
    if rope == "base":
        raised = float(f"{raised_base(base, before, after):.3g}")
        exponent = f"log({after:,}/2π)/log({max(before, LEAST_BEFORE):,}/2π)"
        reason = f"{base:,.0f}^({exponent}), the critical base of Liu et al. 2023"
        return {**old, "rope_theta": raised}, (Derived("RoPE base", raised, reason),)
    ratio = f"{after:,}/{before:,}"
    if rope == "linear":
        reason = f"{ratio}: places closer together (Chen et al. 2023)"
        return {**old, "rope_type": "linear", "factor": factor}, (Derived("RoPE factor", factor, reason),)
    made = {**old, "rope_type": "yarn", "factor": factor, "original_max_position_embeddings": before}
    return made, (Derived("RoPE factor", factor, f"{ratio}, by YaRN (Peng et al. 2023)"),)


def _otherwise(model: Any, before: int) -> str:
    learnt = any(isinstance(module, nn.Embedding) and _places(name) for name, module in model.named_modules())
    return f"but a learnt vector for each of its {before:,} places" if learnt else "whose angles could be stretched"


def _places(name: str) -> bool:
    return "position" in name or name.endswith("wpe")
