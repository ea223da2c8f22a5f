"""A tokenizer as masked-word transformations need it: where a word's tokens are, and which tokens are a whole word."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sixfold.perturb.words import is_chinese, is_latin
from sixfold.text import Span, words
from sixfold.text.segment import written_out

_SPACES = ("Ġ", "▁", " ")


class Pieces:
    """Tokens of words, and words of tokens.

    Args:
        tokenizer: a fast one of transformers: WordPiece, byte-level BPE, unigram, or one token a character.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @property
    def mask(self) -> int:
        """The id of its mask token, which it must have."""
        return int(self._tokenizer.mask_token_id)

    @cached_property
    def begins(self) -> NDArray[np.bool_]:
        """[vocabulary] whether a token is spelt as the first of a word behind a blank, not as one that goes on."""
        vocabulary = self._tokenizer.get_vocab()
        spaced = any(token.startswith(_SPACES) for token in vocabulary)
        begins = np.zeros(max(vocabulary.values()) + 1, dtype=np.bool_)
        for token, place in vocabulary.items():
            begins[place] = token.startswith(_SPACES) if spaced else not token.startswith("##")
        return begins

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """[vocabulary] whether a token can be a part of a text: it is there, and none of the special ones."""
        usable = np.zeros(len(self.begins), dtype=np.bool_)
        usable[list(self._tokenizer.get_vocab().values())] = True
        usable[self._tokenizer.all_special_ids] = False
        return usable

    def encoded(self, text: str) -> tuple[list[int], list[Span]]:
        """The text's token ids without special tokens, and where in it each token's own letters are.

        Half a surrogate is read as a question mark: the tokenizer takes none.
        """
        found = self._tokenizer(
            text.encode("utf-8", "replace").decode("utf-8"),
            add_special_tokens=False,
            split_special_tokens=True,  # a text that spells [MASK] is read as text
            return_offsets_mapping=True,
            verbose=False,
        )
        return found["input_ids"], [_without_blanks(text, *offsets) for offsets in found["offset_mapping"]]

    def whole(self, ids: Sequence[int]) -> str:
        """The word that the tokens spell; empty if that is none: a part of a word, several words, a mark.

        The tokens must be the ones that the tokenizer itself gives the word: others would be read as another text.
        """
        string = self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        # A decoder of pieces sets Chinese characters apart.
        string = written_out(string.split(" ")) if not string.startswith(" ") else string
        word = string.strip()
        if not (is_chinese(word) or (is_latin(word) and words(word) == [Span(0, len(word))])):
            return ""
        again = self._tokenizer.backend_tokenizer.encode(string, add_special_tokens=False)
        # A tokenizer may be saved with padding switched on.
        real = [token for token, there in zip(again.ids, again.attention_mask, strict=True) if there]
        return word if real == list(map(int, ids)) else ""


def _without_blanks(text: str, start: int, end: int) -> Span:
    """Byte-level tokens count the blank before a word as theirs."""
    piece = text[start:end]
    return Span(min(start + len(piece) - len(piece.lstrip()), end), end)
