"""What scoring cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Ledger:
    """What scoring cost. ``queries`` is the sum of ``duplicates``, ``cached`` and ``model_calls``.

    Attributes:
        queries: examples asked about.
        duplicates: examples that were the same as another of their call.
        cached: examples whose answer was known from an earlier call.
        model_calls: rows that the model computed.
        tokens: real tokens computed.
        padded_tokens: tokens computed, padding included.
        seconds: wall time inside the scorer.
    """

    queries: int = 0
    duplicates: int = 0
    cached: int = 0
    model_calls: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    seconds: float = 0.0
