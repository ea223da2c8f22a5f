"""A small encoder and its tokenizer from nothing but the training text, for a language that no base model speaks.

Pretraining such a model on plain text first is the pretrain stage's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sixfold.errors import unknown
from sixfold.models.head import MAPPINGS, Head
from sixfold.models.tokenizer_training import train_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

POSITIONS = 512


@dataclass(frozen=True)
class Size:
    """Layers, width, attention heads, and the width inside the feed-forward part (of a gated pair)."""

    layers: int
    width: int
    heads: int
    inner: int


SIZES = {
    "tiny": Size(2, 128, 2, 256),
    "mini": Size(4, 192, 3, 384),
    "small": Size(6, 384, 6, 768),
}


def character_tokenizer(texts: Iterable[str], *, least: int = 2, lower: bool = True) -> PreTrainedTokenizerFast:
    """A tokenizer that knows each character seen at least ``least`` times; others are ``[UNK]``."""
    return train_tokenizer(texts, "characters", vocabulary=1_000_000, least=least, lower=lower)


def encoder(size: str, tokenizer: PreTrainedTokenizerFast, head: Head, *, seed: int, dropout: float = 0.1) -> Any:
    """A ModernBERT of random weights (Warner et al. 2024, arXiv:2412.13663) with the head.

    Raises:
        UsageError: there is no such size.
    """
    import transformers

    if size not in SIZES:
        raise unknown("size", size, SIZES)
    shape = SIZES[size]
    config = transformers.ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        max_position_embeddings=POSITIONS,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        embedding_dropout=dropout,
        mlp_dropout=dropout,
        classifier_dropout=dropout,
    )
    if head.labels:
        config.id2label = dict(enumerate(head.labels))
        config.label2id = {label: index for index, label in enumerate(head.labels)}
    config.problem_type = "multi_label_classification" if head.multi_label else None
    mapping = getattr(transformers.models.auto.modeling_auto, MAPPINGS[head.kind])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return mapping[type(config)](config).eval()
