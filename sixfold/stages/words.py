"""What a stage tells training of words, where its dials ask for it."""

from __future__ import annotations

from typing import Any

from sixfold.data.examples import Examples
from sixfold.stages.exchanges import swaps_of
from sixfold.stages.rows import Prepared
from sixfold.stages.shared_words import refuse, sharing_of
from sixfold.train.config import TrainConfig
from sixfold.train.words import Words


def words_for(train: TrainConfig, rows: Prepared, examples: Examples, model: Any, tokenizer: Any) -> Words:
    """For the rows that a stage learns from, and the same encoded.

    Raises as ``swaps_of``, ``shared_words.refuse`` and ``sharing_of``.
    """
    given, languages = rows.rows["train"], rows.described["languages"]["train"]
    swaps = swaps_of(given, tokenizer, languages) if train.exchanges_words else None
    if not train.synonym_encoding:
        return Words(swaps)
    refuse(model)
    size = model.get_input_embeddings().num_embeddings
    return Words(swaps, sharing_of(given, examples, tokenizer, languages, size))
