"""Models of random weights: an encoder (ModernBERT) or a decoder (Llama, Qwen3) of transformers' own classes.

How large they are is decided in ``sizes.py``; the tokenizer is trained in ``tokenizer_training.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import torch

from sixfold.errors import unknown
from sixfold.models.head import MAPPINGS, Head
from sixfold.models.sizes import HEAD_WIDTH, LAYERS_AND_HEADS, WINDOW, Size
from sixfold.models.tokenizer_training import train_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Architecture = Literal["llama", "qwen3"]

SIZES = {
    name: Size(layers, HEAD_WIDTH * heads, heads, 2 * HEAD_WIDTH * heads)
    for name, (layers, heads) in LAYERS_AND_HEADS.items()
    if name in ("tiny", "mini", "small")
}
"""Encoders for learning a task from labelled texts alone; a larger one would need pretraining."""

GLOBAL_EVERY = 3
LOCAL_ROPE_BASE = 10_000.0
"""Both as ModernBERT, of layers with local attention."""


def character_tokenizer(texts: Iterable[str], *, least: int = 2, lower: bool = True) -> PreTrainedTokenizerFast:
    """A tokenizer that knows each character seen at least ``least`` times; others are ``[UNK]``."""
    return train_tokenizer(texts, "characters", vocabulary=1_000_000, least=least, lower=lower)


def encoder(
    size: str | Size, tokenizer: PreTrainedTokenizerFast, head: Head, *, seed: int, dropout: float = 0.1
) -> Any:
    """A ModernBERT (Warner et al. 2024, arXiv:2412.13663) with the head.

    Args:
        size: a name of ``SIZES``, or what ``sizes.shape`` gives.

    Raises:
        UsageError: there is no such size.
    """
    import transformers

    if isinstance(size, str) and size not in SIZES:
        raise unknown("size", size, SIZES)
    shape = SIZES[size] if isinstance(size, str) else size
    config = transformers.ModernBertConfig(
        **_common(shape, tokenizer),
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        layer_types=_layer_types(shape),
        local_attention=shape.window or WINDOW,
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": shape.rope_base},
            "sliding_attention": {"rope_type": "default", "rope_theta": LOCAL_ROPE_BASE},
        },
        embedding_dropout=dropout,
        mlp_dropout=dropout,
        classifier_dropout=dropout,
    )
    if head.labels:
        config.id2label = dict(enumerate(head.labels))
        config.label2id = {label: index for index, label in enumerate(head.labels)}
    config.problem_type = "multi_label_classification" if head.multi_label else None
    return _drawn(config, head, seed)


def decoder(size: Size, tokenizer: PreTrainedTokenizerFast, *, seed: int, architecture: Architecture = "llama") -> Any:
    """A Llama (Touvron et al. 2023, arXiv:2302.13971) or a Qwen3 that says the next token, with tied embeddings.

    Only Qwen3's class has layers that see no further back than a window.
    """
    import transformers

    assert size.window is None or architecture == "qwen3", f"{architecture} has no windows"
    config_class = {"llama": transformers.LlamaConfig, "qwen3": transformers.Qwen3Config}[architecture]
    windows = {"use_sliding_window": True, "sliding_window": size.window, "layer_types": _layer_types(size)}
    config = config_class(
        **_common(size, tokenizer),
        **(windows if size.window is not None else {}),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        num_key_value_heads=size.heads,
        head_dim=size.width // size.heads,
        rope_parameters={"rope_type": "default", "rope_theta": size.rope_base},
        tie_word_embeddings=True,
    )
    model = _drawn(config, Head("causal_lm"), seed)
    with torch.no_grad():
        for layer in model.model.layers:
            for back in (layer.self_attn.o_proj, layer.mlp.down_proj):
                back.weight.div_((2 * size.layers) ** 0.5)
    if tokenizer.pad_token_id == tokenizer.eos_token_id:
        # A padding row gets no gradient, and this one is learnt: it ends texts.
        model.get_input_embeddings().padding_idx = None
    return model


def _layer_types(size: Size) -> list[str]:
    """Which layers see all, and which a window."""
    return [
        "sliding_attention" if size.window is not None and layer % GLOBAL_EVERY else "full_attention"
        for layer in range(size.layers)
    ]


def _common(size: Size, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """What the configurations of all three classes call alike."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": size.width,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "intermediate_size": size.inner,
        "max_position_embeddings": size.context,
        "initializer_range": size.deviation,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _drawn(config: Any, head: Head, seed: int) -> Any:
    """The class of transformers for the configuration and the head, with random weights, in evaluation mode."""
    import transformers

    mapping = getattr(transformers.models.auto.modeling_auto, MAPPINGS[head.kind])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return mapping[type(config)](config).eval()
