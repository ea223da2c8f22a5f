"""Which words share an embedding: near words, by their tokens (synonym encoding, ``train/sharing.py``).

As in the paper, words choose in the order in which they are frequent: each takes the words that may stand for it
(``word_lists.py``), and for which it may stand, if they are not taken yet. Words that have been taken take none, so
that no chain of small steps makes opposites one. Unlike the paper, words beside which the training rows have unlike
labels stay apart: ``death`` is near to ``life``. Only words that are one token each can share a row. Of Chinese those
of one character stay: their token is a part of other words too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from sixfold.data.examples import Examples
from sixfold.errors import DataError, UsageError
from sixfold.perturb.words import is_chinese
from sixfold.stages.exchanges import as_tokens, words_in
from sixfold.stages.word_labels import WordLabels
from sixfold.stages.word_lists import Others
from sixfold.train.sharing import Sharing
from sixfold.train.vocabulary import tied

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datasets

DIAL = "synonym_encoding"
WHERE = f"train.{DIAL}"


def sharing_of(
    rows: datasets.Dataset, examples: Examples, tokenizer: Any, languages: Mapping[str, float], size: int
) -> Sharing:
    """The words that share an embedding, for training rows.

    Args:
        rows: with a column ``text``, or ``words`` and ``tags``.
        examples: the rows, encoded, with their labels where rows have some.
        languages: shares of the rows, by script.
        size: rows of the embedding.

    Raises:
        DataError: no word of the rows is one token and has another that is.
        UsageError, SixfoldError: as ``Others.of``.
    """
    found = Others.of(rows, languages, dial=DIAL, where=WHERE, hint="leave it out")
    near = {word: [] if _too_short(word) else found.to(word) for word in sorted(words_in(rows))}
    back = {other: frozenset(found.to(other)) for other in {other for some in near.values() for other in some}}
    others = {word: [other for other in some if word in back[other]] for word, some in near.items()}
    single = {
        word[0]: [other[0] for other in some] for word, some in as_tokens(others, tokenizer).items() if len(word) == 1
    }
    counts = np.bincount(examples.ragged("input_ids").values, minlength=size)
    codes = _codes(_of_like_labels(single, WordLabels.of(examples, size)), counts)
    if not (codes != np.arange(size)).any():
        raise DataError(
            f"no word of the training rows shares an embedding with another ({DIAL}): none has a near word, each being "
            "one token",
            where=WHERE,
            hint="take freelb, which knows no words",
        )
    return Sharing(torch.from_numpy(codes), torch.from_numpy(counts))


def groups(sharing: Sharing, tokenizer: Any) -> list[list[str]]:
    """The words of each row that several share, the one that chose them first; frequent rows first."""
    codes, counts = sharing.codes.numpy(), sharing.counts.numpy()
    tokens = np.flatnonzero(sharing.shared.numpy())
    totals = np.bincount(codes, weights=counts, minlength=len(codes))
    found: dict[int, list[str]] = {}
    for token in sorted(tokens.tolist(), key=lambda one: (-totals[codes[one]], codes[one], one != codes[one], one)):
        found.setdefault(int(codes[token]), []).append(tokenizer.decode([token]).strip())
    return list(found.values())


def refuse(model: Any) -> None:
    """Raises UsageError for a model whose words cannot share an embedding."""
    if tied(model):
        raise UsageError("the model writes with its word embedding too, so words cannot share one", where=WHERE)


def _too_short(word: str) -> bool:
    return is_chinese(word) and len(word) < 2


def _of_like_labels(near: Mapping[int, list[int]], labels: WordLabels | None) -> Mapping[int, list[int]]:
    """Without the words that speak for other labels."""
    pairs = np.array([(word, other) for word, some in near.items() for other in some], dtype=np.int64).reshape(-1, 2)
    if labels is None or not len(pairs):
        return near
    apart = set(map(tuple, pairs[labels.differ(*pairs.T)].tolist()))
    return {word: [other for other in some if (word, other) not in apart] for word, some in near.items()}


def _codes(near: Mapping[int, list[int]], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """[vocabulary] what stands for each token, from the tokens near those that occur."""
    codes = np.arange(len(counts))
    taken: set[int] = set()
    for token in sorted(near, key=lambda one: (-counts[one], one)):
        if token in taken:
            continue
        taken.add(token)
        mine = [other for other in near[token] if other not in taken]
        codes[mine] = token
        taken.update(mine)
    return codes
