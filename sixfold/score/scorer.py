"""The scorer: many examples in, one answer each out, in batches that waste nothing.

Equal examples are computed once, and not at all where the cache knows them. The others are sorted by length and cut by
a token budget, run, and scattered back. What it cost stands in a ledger. Many searches are merged in ``driver.py``.
Examples may go by different adapters of one base (``models/mixed.py``): their column ``adapter`` says by which.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from sixfold.data.batching import padded_tokens, sorted_batches
from sixfold.data.examples import Examples
from sixfold.errors import UsageError
from sixfold.models.forward import Flat, can_pack
from sixfold.models.int8 import Int8Linears, can_int8
from sixfold.models.mixed import BASE, COLUMN, Mixed, by_adapter
from sixfold.models.products import rounded
from sixfold.score.cache import Cache, Identity, row_keys
from sixfold.score.ledger import Ledger
from sixfold.tasks.contract import Ask, Limits

Precision = Literal["fp32", "bf16", "int8", "compiled"]

BUDGETS = {"cpu": 2048}
"""Tokens computed at once: matrices large enough to be fast, activations small enough to stay near the core.

On the CPU, 8,192 took a tenth longer than 2,048, and more memory (minilm-l6, 14 tokens a row; docs/results.md).
"""
BUDGET = 8192
"""On every other device."""


class Scorer:
    """Answers questions about examples with one model.

    Args:
        model: in evaluation mode or not; it is put into it. A ``Mixed`` answers each example by the adapter that its
            column ``adapter`` numbers, and by the base alone where there is no such column.
        precision: of matrix products. In ``int8`` (``models/int8.py``) an answer hangs a little on its batch;
            ``compiled`` says that the model is one of ``models/compiled.py``.
        budget: tokens computed at once; bounds memory. By the model's device unless given.
        progress: told the number of examples done after each batch.
        cache: answers of earlier calls. Not for a model whose weights change.
        identity: whose answers the cache holds; needed with one. With a ``Mixed``, of the base: an example's adapter
            is added by its digest.

    Attributes:
        drawn: whether the same question may get another answer (``voter.py``).

    Raises:
        UsageError: int8 is asked of a model that is not on the CPU and in fp32.
    """

    drawn = False

    def __init__(
        self,
        model: Any,
        *,
        precision: Precision = "fp32",
        budget: int | None = None,
        progress: Callable[[int], None] | None = None,
        cache: Cache | None = None,
        identity: Identity | None = None,
    ) -> None:
        assert cache is None or identity is not None, "a cache needs to know whose answers it holds"
        self.mixed = model if isinstance(model, Mixed) else None
        assert self.mixed is None or not (identity and identity.adapter), "rows tell their own adapters"
        self.model = (model.model if isinstance(model, Mixed) else model).eval()
        self.precision = precision
        self.budget = budget or BUDGETS.get(self._device.type, BUDGET)
        self.progress = progress
        self.cache = cache
        self.identity = identity
        self.ledger = Ledger()
        self._int8 = _rounded(self.model) if precision == "int8" else None

    def bare(self, model: Any = None, *, precision: Precision = "fp32") -> Scorer:
        """One that asks alike and keeps nothing: no cache, and a ledger of its own.

        Args:
            model: whose answers are asked for; this one's unless given.
        """
        return Scorer(self.model if model is None else model, precision=precision, budget=self.budget)

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def ask(self, examples: Examples, ask: Ask, *, fresh: bool = False) -> list[NDArray]:
        """One answer an example, in the order of the examples. Equal examples may share one array.

        Args:
            fresh: compute every example, and keep nothing.
        """
        start = time.perf_counter()
        self.ledger.queries += len(examples)
        if fresh:
            answers = self._computed(examples, np.arange(len(examples)), ask)
        else:
            keys = self._keys(examples, ask)
            found = self._found(examples, keys, ask)
            answers = [found[key] for key in keys]
        self.ledger.seconds += time.perf_counter() - start
        return answers

    def _keys(self, examples: Examples, ask: Ask) -> list[bytes]:
        """A key for each row. One that goes by an adapter has that of a scorer which knows no other adapter."""
        scope = f"{ask.name} {self.precision}"
        if self.mixed is None:
            return row_keys(examples, f"{scope} {self.identity}")
        numbers, identity = self._numbers(examples), self.identity or Identity("")
        plain = Examples({name: column for name, column in examples.columns.items() if name != COLUMN})
        keys = [b""] * len(examples)
        for number in np.unique(numbers).tolist():
            places = np.flatnonzero(numbers == number)
            adapter = "" if number == BASE else self.mixed.digests[number]
            found = row_keys(plain.take(places), f"{scope} {replace(identity, adapter=adapter)}")
            for place, key in zip(places.tolist(), found, strict=True):
                keys[place] = key
        return keys

    def _numbers(self, examples: Examples) -> NDArray[np.int64]:
        """[examples] the number of each one's adapter."""
        if COLUMN in examples.columns:
            assert self.mixed is not None, "examples go by adapters that this scorer has not"
            return examples.dense(COLUMN)
        return np.full(len(examples), BASE, dtype=np.int64)

    def _found(self, examples: Examples, keys: list[bytes], ask: Ask) -> dict[bytes, NDArray]:
        """The answer to each key, out of the cache or of the model."""
        places = dict(zip(keys, range(len(keys)), strict=True))
        known = {} if self.cache is None else self.cache.find(places)
        wanted = [key for key in places if key not in known] if known else list(places)
        self.ledger.cached += len(known)
        self.ledger.duplicates += len(keys) - len(places)
        self._tell(len(keys) - len(wanted))
        which = np.fromiter((places[key] for key in wanted), np.int64, len(wanted))
        computed = dict(zip(wanted, self._computed(examples, which, ask), strict=True))
        if self.cache is not None:
            self.cache.keep(computed)
        return {**known, **computed}

    def _computed(self, examples: Examples, which: NDArray[np.int64], ask: Ask) -> list[NDArray]:
        """The model's answers to the examples at ``which``, in that order."""
        model = getattr(self.model, "exact", self.model) if ask.gradients else self.model
        packed = can_pack(model)
        lengths, numbers = examples.lengths[which], self._numbers(examples)[which]
        answers: list[Any] = [None] * len(which)
        with self._ready(ask), self._rounding():
            for indices in sorted_batches(lengths, self.budget, packed=packed):
                laid = indices[by_adapter(numbers[indices])] if self.mixed is not None else indices
                batch = self._moved(ask.collate(examples.take(which[laid])))
                with self._adapted(numbers[laid], batch):
                    read = ask.read(model, batch)
                for index, answer in zip(laid.tolist(), read, strict=True):
                    answers[index] = self.mixed.cut(answer, numbers[index]) if self.mixed is not None else answer
                self._note(lengths[indices], packed=packed)
        return answers

    def _adapted(self, numbers: NDArray[np.int64], batch: dict[str, Any]) -> AbstractContextManager[None]:
        """The model with each row of a batch under its adapter."""
        return nullcontext() if self.mixed is None else self.mixed.rows(numbers, batch["flat"])

    @contextmanager
    def _ready(self, ask: Ask) -> Iterator[None]:
        """The model ready for a question: without gradients, or with its weights frozen and not in int8."""
        if ask.gradients:
            with _frozen(self.model):
                yield
            return
        with torch.inference_mode(), nullcontext() if self._int8 is None else self._int8.used():
            yield

    @contextmanager
    def _rounding(self) -> Iterator[None]:
        """Products in bf16 where that is asked of fp32 weights, which are rounded once for all batches.

        A copy in bf16 (``models/bf16.py``) needs none of it, and its head is to stay in fp32.
        """
        wanted = self.precision == "bf16" and next(self.model.parameters()).dtype == torch.float32
        with torch.autocast(self._device.type, torch.bfloat16, enabled=wanted):
            yield

    def _moved(self, batch: dict[str, Any]) -> dict[str, Any]:
        device = self._device
        return {
            name: value.to(device) if isinstance(value, torch.Tensor | Flat) else value for name, value in batch.items()
        }

    def _note(self, lengths: NDArray[np.int64], *, packed: bool) -> None:
        tokens = int(lengths.sum())
        self.ledger.model_calls += len(lengths)
        self.ledger.tokens += tokens
        self.ledger.padded_tokens += rounded(tokens, self._device) if packed else padded_tokens(lengths)
        self._tell(len(lengths))

    def _tell(self, done: int) -> None:
        if done and self.progress is not None:
            self.progress(done)

    def generate(self, examples: Examples, limits: Limits) -> list[list[int]]:
        """A scorer writes nothing: tasks that need text get a generator."""
        raise AssertionError("this task needs a generator, not a scorer")


def _rounded(model: Any) -> Int8Linears:
    if not can_int8(model):
        raise UsageError(
            "int8 is for models on the CPU and in fp32",
            found=f"{next(model.parameters()).dtype} on {next(model.parameters()).device}",
            hint="on a GPU, bf16 is faster than fp32",
        )
    return Int8Linears(model)


@contextmanager
def _frozen(model: torch.nn.Module) -> Iterator[None]:
    """Gradients are computed, but none of a weight."""
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in learning:
        weight.requires_grad_(False)
    try:
        with torch.enable_grad():
            yield
    finally:
        for weight in learning:
            weight.requires_grad_(True)
