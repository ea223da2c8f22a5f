"""Words of the training rows and the words that may stand for them, as tokens: what hotflip exchanges.

A word stands in the table where it and its others (``word_lists.py``) are equally many tokens; all others stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sixfold.errors import DataError
from sixfold.perturb.pieces import Pieces
from sixfold.perturb.words import Sentence, is_chinese
from sixfold.stages.word_lists import TEXTS, Others
from sixfold.train.swaps import Swaps, Tokens

if TYPE_CHECKING:
    import datasets

WHERE = "train.adversarial.method"
MOST = 20
"""Others that a word gets at most, the nearest ones."""
MOST_TOKENS = 4
"""Of a word: longer ones are names and rare words."""


def swaps_of(rows: datasets.Dataset, tokenizer: Any, languages: Mapping[str, float]) -> Swaps:
    """The table for training rows.

    Args:
        rows: with a column ``text``, or ``words`` and ``tags``.
        languages: shares of the rows, by script.

    Raises:
        DataError: no word of the rows has another of as many tokens.
        UsageError, SixfoldError: as ``Others.of``.
    """
    hint = "take freelb, which knows no words"
    found = Others.of(rows, languages, dial="hotflip", where=WHERE, hint=hint)
    others = {word: found.to(word)[:MOST] for word in sorted(words_in(rows))}
    made = Swaps.of(as_tokens(others, tokenizer), _goes_on(tokenizer))
    if not made.others:
        raise DataError(
            "no word of the training rows has another of as many tokens that may stand for it (hotflip)",
            where=WHERE,
            hint=hint,
        )
    return made


def words_in(rows: datasets.Dataset) -> set[str]:
    """The words of rows with a column ``text``, or ``words``."""
    found: set[str] = set()
    for some in rows.iter(TEXTS):
        if "words" in rows.column_names:
            found.update(chain.from_iterable(some["words"]))
        else:
            found.update(word for text in some["text"] for word in Sentence.of(text).words())
    return found


def as_tokens(others: Mapping[str, Sequence[str]], tokenizer: Any) -> dict[Tokens, list[Tokens]]:
    """By the tokens of a word at the start of a text, and behind a blank where those are others."""
    every = list(dict.fromkeys(chain(others, *others.values())))
    found: dict[Tokens, list[Tokens]] = {}
    for before in ("", " "):
        tokens = dict(zip(every, _encoded([before + word for word in every], tokenizer), strict=True))
        for word, near in others.items():
            own = tokens[word]
            if not 0 < len(own) <= MOST_TOKENS or tokenizer.unk_token_id in own:
                continue
            fitting = [tokens[other] for other in near if len(tokens[other]) == len(own)]
            some = found.setdefault(own, [])  # where nothing comes in, the word is known and stays
            some += [one for one in fitting if one != own and one not in some and tokenizer.unk_token_id not in one]
    return found


def _encoded(texts: Sequence[str], tokenizer: Any) -> list[Tokens]:
    if not texts:
        return []
    return [tuple(row) for row in tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]]


def _goes_on(tokenizer: Any) -> NDArray[np.bool_]:
    """[vocabulary] tokens of letters that are spelt as going on with a word. Chinese words have no such end."""
    begins = Pieces(tokenizer).begins
    out = np.zeros(max(len(begins), len(tokenizer)), dtype=np.bool_)
    for token, place in tokenizer.get_vocab().items():
        letters = token.removeprefix("##")
        out[place] = not begins[place] and letters[:1].isalnum() and not is_chinese(letters[:1])
    return out
