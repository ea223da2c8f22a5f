"""Word shapes for a base whose tokenizer forgets capitals.

A lower-casing tokenizer turns ``Apple`` and ``apple`` into one token, and with it goes the best hint that English gives
of a name. BERT's token types, of which a single text uses only the first, carry the hint instead: type 1 for a
capitalised word, 2 for one in capitals, 3 for a mixed one. The checkpoint stays an ordinary one of its class.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

SHAPES = 4


def shape(word: str) -> int:
    """0 without capitals, 1 Capitalised (or one capital letter), 2 CAPITALS, 3 anything else with a capital."""
    letters = [letter for letter in word if letter.isalpha()]
    capitals = sum(letter.isupper() for letter in letters)
    if not capitals:
        return 0
    if capitals == 1 and letters[0].isupper():
        return 1
    return 2 if capitals == len(letters) else 3


def forgets_case(tokenizer: Any) -> bool:
    """Whether capitals make no difference to the tokenizer."""
    lower, upper = tokenizer(["apple", "APPLE"], add_special_tokens=False)["input_ids"]
    return lower == upper


def has_types(model: Any) -> bool:
    """Whether the model has an embedding of token types that single texts leave unused."""
    return getattr(model.config, "type_vocab_size", 0) > 1 and _table(model) is not None


def widen(model: Any) -> None:
    """Give the model a token type for each shape. All start as type 0, so that it computes what it did before."""
    table = _table(model)
    assert table is not None
    with torch.no_grad():
        wide = nn.Embedding(SHAPES, table.embedding_dim, dtype=table.weight.dtype)
        wide.weight.copy_(table.weight[:1].expand(SHAPES, -1))
    wide.requires_grad_(table.weight.requires_grad)  # a frozen base stays frozen
    model.base_model.embeddings.token_type_embeddings = wide
    model.config.type_vocab_size = SHAPES


def _table(model: Any) -> nn.Embedding | None:
    embeddings = getattr(model.base_model, "embeddings", None)
    return getattr(embeddings, "token_type_embeddings", None)
