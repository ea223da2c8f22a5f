"""What a stage tells training of words, where its dials ask for it."""

from __future__ import annotations

from typing import Any

from rich.markup import escape

from sixfold.data.examples import Examples
from sixfold.fetch.folders import PRIVATE, write_text
from sixfold.stages.context import Context
from sixfold.stages.exchanges import swaps_of
from sixfold.stages.rows import Prepared
from sixfold.stages.shared_words import groups, refuse, sharing_of
from sixfold.text.counting import counted
from sixfold.train.config import TrainConfig
from sixfold.train.words import Words

LISTED = "shared_words.txt"
"""In the stage's folder: the words of each embedding that several share, a line each, frequent ones first."""


def words_for(
    train: TrainConfig, rows: Prepared, examples: Examples, model: Any, tokenizer: Any, context: Context
) -> Words:
    """For the rows that a stage learns from, and the same encoded. Which words share an embedding is written down.

    Raises as ``swaps_of``, ``shared_words.refuse`` and ``sharing_of``.
    """
    given, languages = rows.rows["train"], rows.described["languages"]["train"]
    swaps = swaps_of(given, tokenizer, languages) if train.exchanges_words else None
    if not train.synonym_encoding:
        return Words(swaps)
    refuse(model)
    size = model.get_input_embeddings().num_embeddings
    sharing = sharing_of(given, examples, tokenizer, languages, size)
    found = groups(sharing, tokenizer)
    write_text(context.folder / LISTED, "".join(f"{' '.join(words)}\n" for words in found), mode=PRIVATE, parents=True)
    where = escape(str(context.folder / LISTED))
    context.tell(f"  {counted(len(found), 'group')} of near words share an embedding each: {where}")
    return Words(swaps, sharing)
