"""The reference engine: any decoder of transformers, a key-value cache, texts of unequal length side by side.

They may go by different adapters of one base (``models/mixed.py``).
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sixfold.errors import UsageError
from sixfold.generate.constrained import Held, held
from sixfold.generate.requests import Chunk, Finish, Request, checked
from sixfold.generate.sampling import chosen
from sixfold.generate.streaming import TextStream
from sixfold.models.mixed import Mixed, by_adapter

ROWS = 32
"""Texts written at once."""


@dataclass
class _Going:
    """A request that is being written."""

    place: int
    request: Request
    random: torch.Generator
    stream: TextStream | None
    held: Held | None
    ids: list[int] = field(default_factory=list)

    def add(self, token: int, logprob: float | None) -> Chunk:
        """What the token comes to."""
        self.ids.append(token)
        if token in self.request.stop_ids:
            return Chunk(self.place, self._rest(), finish="stop")
        text = self.stream.add(token) if self.stream is not None else ""
        logprobs = () if logprob is None else (logprob,)
        finish: Finish | None = None
        if self.stream is not None and self.stream.stopped:
            finish = "stop"
        elif self.held is not None and self.held.take(token):
            finish, text = "stop", text + self._rest()
        elif len(self.ids) >= self.request.new_tokens:
            finish, text = "length", text + self._rest()
        return Chunk(self.place, text, (token,), logprobs, finish)

    def _rest(self) -> str:
        return self.stream.rest() if self.stream is not None else ""


class TorchEngine:
    """Writes with a model of transformers.

    Args:
        model: a decoder with a language-model head; put into evaluation mode. A ``Mixed`` writes each text by the
            adapter that its request names.
        tokenizer: its tokenizer; without one, chunks have ids and no text, and stop strings are not known.
    """

    def __init__(self, model: Any, tokenizer: Any = None) -> None:
        self.mixed = model if isinstance(model, Mixed) else None
        self.model = (model.model if isinstance(model, Mixed) else model).eval()
        self.tokenizer = tokenizer
        self.context = int(getattr(self.model.config, "max_position_embeddings", 0) or 2**31)
        self._cancelled: set[int] = set()
        self._lock = threading.Lock()

    def cancel(self, request: int) -> None:
        with self._lock:
            self._cancelled.add(request)

    def stream(self, requests: Sequence[Request]) -> Generator[Chunk]:
        """Chunks as they come; requests of like length are written together, ``ROWS`` at a time.

        Raises:
            UsageError: as ``Engine.stream``; an adapter that is not there.
        """
        checked(requests, self.context)
        numbers = self._numbers(requests)
        with self._lock:
            self._cancelled.clear()
        order = sorted(range(len(requests)), key=lambda place: len(requests[place].prompt))
        for start in range(0, len(order), ROWS):
            places = np.array(order[start : start + ROWS])
            places = places[by_adapter(numbers[places])]
            yield from self._batch([self._going(place, requests[place]) for place in places.tolist()], numbers[places])

    def _numbers(self, requests: Sequence[Request]) -> NDArray[np.int64]:
        """[requests] the number of each one's adapter."""
        named = [one.adapter for one in requests]
        if self.mixed is not None:
            return self.mixed.numbers(named)
        for place, name in enumerate(named):
            if name is not None:
                raise UsageError("the model has no adapters", where=f"request {place + 1}", found=name)
        return np.zeros(len(requests), dtype=np.int64)

    def _adapted(self, numbers: NDArray[np.int64]) -> AbstractContextManager[None]:
        return nullcontext() if self.mixed is None else self.mixed.rows(numbers)

    def _going(self, place: int, request: Request) -> _Going:
        assert self.tokenizer is not None or not (request.stop or request.grammar), "a tokenizer is needed for these"
        stream = None if self.tokenizer is None else TextStream(self.tokenizer, request.stop)
        random = torch.Generator().manual_seed(request.sampling.seed)
        grammar = None if request.grammar is None else held(self.tokenizer, request.grammar)
        return _Going(place, request, random, stream, grammar)

    @torch.inference_mode()
    def _batch(self, going: list[_Going], numbers: NDArray[np.int64]) -> Iterator[Chunk]:
        from transformers import DynamicCache

        device = next(self.model.parameters()).device
        prompts = [one.request.prompt for one in going]
        longest = max(map(len, prompts))
        ids = torch.zeros(len(prompts), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):  # to the right, so that all go on at the same column
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        ids, mask = ids.to(device), mask.to(device)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        cache = DynamicCache(config=self.model.config)
        while going:
            with self._adapted(numbers):
                answer = self.model(
                    input_ids=ids,
                    attention_mask=mask,
                    position_ids=positions,
                    cache=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
            tokens, logprobs = self._next(answer.logits[:, -1].float().cpu(), going)
            chunks = self._added(going, tokens, logprobs)
            yield from chunks
            alive = [row for row, chunk in enumerate(chunks) if chunk.finish is None]
            if len(alive) < len(going):
                if not alive:
                    return
                rows = torch.tensor(alive, device=device)
                cache.batch_select_indices(rows)
                going, numbers = [going[row] for row in alive], numbers[alive]
                mask, positions = mask[rows], positions[rows]
                tokens = tokens[torch.tensor(alive)]
            ids = tokens[:, None].to(device)
            mask = torch.cat([mask, mask.new_ones(len(going), 1)], dim=1)
            positions = positions[:, -1:] + 1

    def _next(self, logits: Tensor, going: Sequence[_Going]) -> tuple[Tensor, list[float | None]]:
        """The next token of each row, and the log-probability of those whose requests ask for it."""
        allowed = logits
        if any(one.held is not None for one in going):
            allowed = logits.clone()
            for row, one in enumerate(going):
                if one.held is not None:
                    one.held.forbid(allowed[row])
        tokens = chosen(
            allowed,
            [one.request.sampling for one in going],
            [one.random for one in going],
            [one.request.prompt for one in going],
            [one.ids for one in going],
        )
        told: list[float | None] = [
            float(logits[row].log_softmax(-1)[tokens[row]]) if one.request.logprobs else None
            for row, one in enumerate(going)
        ]
        return tokens, told

    def _added(self, going: Sequence[_Going], tokens: Tensor, logprobs: Sequence[float | None]) -> list[Chunk]:
        with self._lock:
            cancelled = set(self._cancelled)
        return [
            Chunk(one.place, "", finish="cancelled") if one.place in cancelled else one.add(int(token), logprob)
            for one, token, logprob in zip(going, tokens, logprobs, strict=True)
        ]
