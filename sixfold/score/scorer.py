"""The scorer: many examples in, one answer each out, in batches that waste nothing.

Examples are sorted by length and cut by a token budget, run without gradients, and scattered back. What it cost stands
in a ledger. Duplicates, caching and the driver of searches are to come on top.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from numpy.typing import NDArray

from sixfold.data.batching import padded_tokens, sorted_batches
from sixfold.data.examples import Examples
from sixfold.models.forward import Flat, can_pack
from sixfold.models.products import rounded
from sixfold.tasks.contract import Ask, Limits

BUDGETS = {"cpu": 2048}
"""Tokens computed at once: matrices large enough to be fast, activations small enough to stay near the core.

On the CPU, 8,192 took a tenth longer than 2,048, and more memory (minilm-l6, 14 tokens a row; docs/results.md).
"""
BUDGET = 8192
"""On every other device."""


@dataclass
class Ledger:
    """What scoring cost.

    Attributes:
        queries: examples asked about.
        model_calls: rows that the model computed.
        tokens: real tokens computed.
        padded_tokens: tokens computed, padding included.
        seconds: wall time inside the model.
    """

    queries: int = 0
    model_calls: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    seconds: float = 0.0


class Scorer:
    """Answers questions about examples with one model.

    Args:
        model: in evaluation mode or not; it is put into it.
        precision: of matrix products.
        budget: tokens computed at once; bounds memory. By the model's device unless given.
        progress: told the number of examples done after each batch.
    """

    def __init__(
        self,
        model: Any,
        *,
        precision: Literal["fp32", "bf16"] = "fp32",
        budget: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.model = model.eval()
        self.precision = precision
        self.budget = budget or BUDGETS.get(self._device.type, BUDGET)
        self.progress = progress
        self.ledger = Ledger()

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def ask(self, examples: Examples, ask: Ask) -> list[NDArray]:
        """One answer an example, in the order of the examples."""
        start = time.perf_counter()
        device = self._device
        packed = can_pack(self.model)
        lengths = examples.lengths
        answers: list[Any] = [None] * len(examples)
        for indices in sorted_batches(lengths, self.budget, packed=packed):
            batch = ask.collate(examples.take(indices))
            batch = {
                name: value.to(device) if isinstance(value, torch.Tensor | Flat) else value
                for name, value in batch.items()
            }
            with (
                torch.inference_mode(),
                torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16"),
            ):
                for index, answer in zip(indices, ask.read(self.model, batch), strict=True):
                    answers[index] = answer
            self._note(lengths[indices], packed=packed)
        self.ledger.seconds += time.perf_counter() - start
        return answers

    def _note(self, lengths: NDArray, *, packed: bool) -> None:
        tokens = int(lengths.sum())
        self.ledger.queries += len(lengths)
        self.ledger.model_calls += len(lengths)
        self.ledger.tokens += tokens
        self.ledger.padded_tokens += rounded(tokens, self._device) if packed else padded_tokens(lengths)
        if self.progress is not None:
            self.progress(len(lengths))

    def generate(self, examples: Examples, limits: Limits) -> list[list[int]]:
        """A scorer writes nothing: tasks that need text get a generator."""
        raise AssertionError("this task needs a generator, not a scorer")
