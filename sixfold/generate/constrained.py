"""Texts that must fit a JSON schema or a regular expression: which tokens may come next.

llguidance (Microsoft, MIT) compiles the grammar and keeps its state; it needs some 50 microseconds a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sixfold.errors import UsageError
from sixfold.generate.requests import Grammar

if TYPE_CHECKING:
    from torch import Tensor

_KNOWN: dict[int, tuple[Any, Any]] = {}
"""Tokenizers that were made ready, by identity; each is held so that its number stays its own."""


class Held:
    """The state of one text under a grammar."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        import llguidance.numpy

        self._matcher = matcher
        self._numpy = llguidance.numpy
        self._bits = llguidance.numpy.allocate_token_bitmask(1, vocabulary)

    def forbid(self, logits: Tensor) -> None:
        """Put -inf in place of the logits [vocabulary] of tokens that may not come next."""
        import torch

        self._numpy.fill_next_token_bitmask(self._matcher, self._bits, 0)
        self._numpy.apply_token_bitmask_inplace(logits.numpy()[None], self._bits)
        if torch.isinf(logits).all():
            raise AssertionError("no token may come next, though the text is not done")

    def take(self, token: int) -> bool:
        """Take the token that was chosen; True when the text is whole."""
        self._matcher.consume_token(token)
        return bool(self._matcher.is_stopped())


def held(tokenizer: Any, grammar: Grammar) -> Held:
    """A text's state before its first token.

    Raises:
        UsageError: the schema or the expression is wrong, with what is wrong about it.
    """
    import llguidance
    import llguidance.hf

    if id(tokenizer) not in _KNOWN:
        _KNOWN[id(tokenizer)] = (tokenizer, llguidance.hf.from_tokenizer(tokenizer))
    known = _KNOWN[id(tokenizer)][1]
    if grammar.json_schema is not None:
        told = llguidance.LLMatcher.grammar_from_json_schema(grammar.json_schema)
    else:
        assert grammar.regex is not None
        told = llguidance.LLMatcher.grammar_from_regex(grammar.regex)
    wrong = llguidance.LLMatcher.validate_grammar(told, known)
    if wrong:
        raise UsageError(
            "the JSON schema cannot be used" if grammar.json_schema is not None else "the expression cannot be used",
            found=wrong.split("\n")[0],
        )
    return Held(llguidance.LLMatcher(known, told), known.vocab_size)
