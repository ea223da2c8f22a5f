"""Words of the training rows and the words that may stand for them, as tokens: what hotflip exchanges.

They are those that the attacks by near words try: in English near words of an encoder (``textfooler-offline``), in
Chinese synonyms of Cilin (``zh-pwws``), of the same kind, no negation and no number. A word stands in the table where
it and its others are equally many tokens. Words that stand in an entity anywhere in the rows stay, as do all others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sixfold.attack.attacks import ATTACKS
from sixfold.attack.changes import Exchange
from sixfold.attack.chinese import synonyms
from sixfold.attack.english import near_words
from sixfold.errors import DataError, UsageError
from sixfold.perturb.pieces import Pieces
from sixfold.perturb.words import Sentence, is_chinese, is_latin
from sixfold.stages.rows import Prepared
from sixfold.text import lexicon
from sixfold.train.config import TrainConfig
from sixfold.train.swaps import Swaps, Tokens

if TYPE_CHECKING:
    import datasets

ASKED, MOST = 50, 20
"""Near words that are looked at, and others that a word gets at most, the nearest ones."""
LEAST_SHARE = 0.1
"""Of the training rows in a language, for its word lists to be wanted."""
MOST_TOKENS = 4
"""Of a word: longer ones are names and rare words."""
TEXTS = 1_000
"""Rows that are read at once."""
_LANGUAGES: Mapping[str, tuple[Callable[[str], bool], Callable[[], Exchange], Sequence[str]]] = {
    "en": (is_latin, lambda: near_words(ASKED), ATTACKS["textfooler-offline"].lists),
    "zh": (is_chinese, synonyms, ATTACKS["zh-pwws"].lists),
}
"""Which words are of a language, what may stand for them, and the word lists that this needs."""


def exchanges(train: TrainConfig, rows: Prepared, tokenizer: Any) -> Swaps | None:
    """The table for a stage's training rows where its dials ask for one. Raises as ``swaps_of``."""
    if not train.exchanges_words:
        return None
    return swaps_of(rows.rows["train"], tokenizer, rows.described["languages"]["train"])


def swaps_of(rows: datasets.Dataset, tokenizer: Any, languages: Mapping[str, float]) -> Swaps:
    """The table for training rows.

    Args:
        rows: with a column ``text``, or ``words`` and ``tags``.
        languages: shares of the rows, by script.

    Raises:
        UsageError: no words are known in any of these languages.
        DataError: no word of the rows has another of as many tokens.
        SixfoldError: a word list or a model that is needed is not on this machine.
    """
    known = [_LANGUAGES[name] for name, share in languages.items() if name in _LANGUAGES and share >= LEAST_SHARE]
    if not known:
        raise UsageError(
            "hotflip exchanges English and Chinese words, and the training rows have neither",
            where="train.adversarial.method",
            hint="take freelb, which knows no words",
        )
    lexicon.need(*chain.from_iterable(lists for *_, lists in known))
    found = [(reads, build()) for reads, build, _ in known]
    entities = _in_entities(rows)
    others = {
        word: [] if word.lower() in entities else exchange.of(word)[:MOST]
        for word in sorted(_words(rows))
        for reads, exchange in found
        if reads(word)
    }
    made = Swaps.of(_as_tokens(others, tokenizer), _goes_on(tokenizer))
    if not made.others:
        raise DataError(
            "no word of the training rows has another of as many tokens that may stand for it (hotflip)",
            where="train.adversarial.method",
            hint="take freelb, which knows no words",
        )
    return made


def _words(rows: datasets.Dataset) -> set[str]:
    found: set[str] = set()
    for some in rows.iter(TEXTS):
        if "words" in rows.column_names:
            found.update(chain.from_iterable(some["words"]))
        else:
            found.update(word for text in some["text"] for word in Sentence.of(text).words())
    return found


def _in_entities(rows: datasets.Dataset) -> set[str]:
    """Words that a tag calls a part of an entity, in small letters: what came in might be none, or of another kind."""
    if "tags" not in rows.column_names:
        return set()
    return {
        word.lower()
        for some in rows.iter(TEXTS)
        for words, tags in zip(some["words"], some["tags"], strict=True)
        for word, tag in zip(words, tags, strict=True)
        if tag != "O"
    }


def _as_tokens(others: Mapping[str, Sequence[str]], tokenizer: Any) -> dict[Tokens, list[Tokens]]:
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
