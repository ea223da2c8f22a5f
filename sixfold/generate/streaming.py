"""Tokens to text as they come: no half characters, and nothing that may be the beginning of a stop string."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class TextStream:
    """The text of one request.

    Args:
        tokenizer: of transformers; special tokens give no text.
        stop: strings that end the text; they are not part of it.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str] = ()) -> None:
        from tokenizers.decoders import DecodeStream

        self._tokenizer = tokenizer.backend_tokenizer
        self._decoder = DecodeStream(skip_special_tokens=True)
        self._stop = tuple(one for one in stop if one)
        self._held = ""
        self.stopped = False

    def add(self, token: int) -> str:
        """What can be shown now that the token is there; ``stopped`` says whether a stop string is met."""
        self._held += self._decoder.step(self._tokenizer, token) or ""
        found = min((place for one in self._stop if (place := self._held.find(one)) >= 0), default=-1)
        if found >= 0:
            shown, self._held, self.stopped = self._held[:found], "", True
            return shown
        kept = max((_overlap(self._held, one) for one in self._stop), default=0)
        shown = self._held[: len(self._held) - kept]
        self._held = self._held[len(shown) :]
        return shown

    def rest(self) -> str:
        """What was held back, once no more tokens come. Bytes that are no whole character are left out."""
        shown, self._held = self._held, ""
        return shown


def _overlap(text: str, stop: str) -> int:
    """How many characters at the text's end may be the beginning of the stop string."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if stop.startswith(text[-length:]):
            return length
    return 0
