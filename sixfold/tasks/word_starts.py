"""Which tokens begin a word, so that whole words can be masked, in English and in Chinese."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sixfold.text.language import has_han
from sixfold.text.segment import words

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SPACES = ("Ġ", "▁", " ")
_LINE = ("Ċ", "ĉ")


class WordStarts:
    """Tells a tokenizer's word starts.

    Where words stand apart, a token's spelling tells it (``##ing`` goes on, ``Ġgo`` begins). Chinese words are found by
    the segmenter, and tokens are matched to them by their offsets.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.begins = _by_spelling(tokenizer)

    def of(self, texts: list[str]) -> tuple[list[list[int]], list[NDArray[np.bool_]]]:
        """Token ids of each text, without special tokens, and whether each begins a word.

        The first token of a text always begins one. A text that spells a special token is read as text.
        """
        chinese = [has_han(text) for text in texts]
        encoded = self.tokenizer(
            texts,
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            return_offsets_mapping=any(chinese),
            verbose=False,  # long texts are cut after this
        )
        ids = encoded["input_ids"]
        starts = []
        for place, text in enumerate(texts):
            begins = self.begins[np.asarray(ids[place], dtype=np.int64)]
            if chinese[place]:
                begins = _by_offsets(text, np.asarray(encoded["offset_mapping"][place], dtype=np.int64).reshape(-1, 2))
            begins[:1] = True
            starts.append(begins)
        return ids, starts


def _by_spelling(tokenizer: Any) -> NDArray[np.bool_]:
    """[vocabulary] whether a token begins a word of a text whose words stand apart."""
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    spaced = any(token.startswith(_SPACES) for token in tokens)
    pieces = any(token.startswith("##") for token in tokens)
    return np.array([_begins(token, spaced=spaced, pieces=pieces) for token in tokens], dtype=bool)


def _begins(token: str, *, spaced: bool, pieces: bool) -> bool:
    if pieces:
        return not token.startswith("##")
    if spaced:
        return token.startswith(_SPACES + _LINE) or not token[:1].isalnum()
    return True


def _by_offsets(text: str, offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A token begins a word if no token before it reaches into the word that it begins in."""
    firsts = np.array([span.start for span in words(text)], dtype=np.int64)
    word = np.searchsorted(firsts, _first_letters(text, offsets), side="right")
    last = np.searchsorted(firsts, np.maximum(offsets[:, 1] - 1, offsets[:, 0]), side="right")
    begins = np.ones(len(word), dtype=bool)
    begins[1:] = word[1:] != np.maximum(word, last)[:-1]
    return begins


def _first_letters(text: str, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each token's own text begins: byte-level tokens count the blank before a word as theirs."""
    return np.array(
        [end - len(text[start:end].lstrip()) if end > start else start for start, end in offsets.tolist()],
        dtype=np.int64,
    )
