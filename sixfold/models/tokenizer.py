"""The tokenizer of a model folder, checked against the model; and the one padding token of both.

Training a tokenizer is in ``tokenizer_training.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sixfold.errors import ModelError
from sixfold.models.quiet import told


def load_tokenizer(folder: Path, config: Any) -> Any:
    """The tokenizer of a model folder; ``model_max_length`` is never more than the model's positions.

    Raises:
        ModelError: as ``lone_tokenizer``, or it has more tokens than there are embeddings.
    """
    tokenizer = lone_tokenizer(folder)
    rows = config.get_text_config().vocab_size
    if len(tokenizer) > rows:
        raise ModelError(
            "the tokenizer knows more tokens than the model has embeddings for",
            where=folder,
            found=f"{len(tokenizer):,} tokens, {rows:,} embeddings",
            hint="use the tokenizer that this model was trained with",
        )
    positions = getattr(config, "max_position_embeddings", None)
    if positions:
        # RoBERTa and its kin keep the first positions for padding, and their tokenizers say so.
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    return tokenizer


def lone_tokenizer(folder: Path) -> Any:
    """The tokenizer in a folder, with a model or without.

    Raises:
        ModelError: it cannot be read, or gives no offsets.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the Rust tokenizers raise bare Exception for a damaged file
        raise told("the tokenizer of the model cannot be read", folder, error) from error
    if not tokenizer.is_fast:
        raise ModelError(
            "the tokenizer gives no character offsets, which labels of words and explanations need",
            where=folder,
            found=type(tokenizer).__name__,
            hint="save it as tokenizer.json (transformers' AutoTokenizer with use_fast=True does)",
        )
    return tokenizer


def settle_padding(tokenizer: Any, config: Any) -> tuple[str, ...]:
    """Give tokenizer and configuration the same padding token; what was decided, as sentences.

    A decoder that classifies looks for the last token before the padding: without one, no batch is possible.
    """
    notes: tuple[str, ...] = ()
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ModelError(
                "texts cannot be batched: the tokenizer has neither a padding nor an end-of-text token",
                hint="name one of its tokens as pad_token in tokenizer_config.json",
            )
        tokenizer.pad_token = tokenizer.eos_token
        notes = (
            f"padding with {tokenizer.eos_token!r}: it has no padding token, and a new one would need"
            " a new row of the embedding; padded places are masked, so it is never read",
        )
    config.pad_token_id = tokenizer.pad_token_id
    return notes
