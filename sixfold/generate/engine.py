"""Text generation with a decoder: batches of unequal length, a key-value cache, seeded sampling.

The first, small engine: enough for the samples of a pretraining report and for tasks that predict by writing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from sixfold.data.examples import Examples
from sixfold.tasks.contract import Ask, Limits

ROWS = 32
"""Texts written at once."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: divides the logits; 0 always takes the likeliest token.
        top_p: only the likeliest tokens that together have this probability (Holtzman et al. 2020,
            arXiv:1904.09751).
        seed: of the first text; each further text has the next one, so that none depends on its batch.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        assert self.temperature >= 0
        assert 0 < self.top_p <= 1


class Generator:
    """Writes on from prompts.

    Args:
        model: a decoder of transformers with a language-model head; put into evaluation mode.
        sampling: how tokens are chosen.
    """

    def __init__(self, model: Any, sampling: Sampling | None = None) -> None:
        self.model = model.eval()
        self.sampling = sampling or Sampling()

    def generate(self, examples: Examples, limits: Limits) -> list[list[int]]:
        """New token ids for each example's ``input_ids``; the id that ended a text is not among them."""
        prompts = [[int(token) for token in run] for run in examples.ragged("input_ids")]
        return self.write(prompts, limits)

    def ask(self, examples: Examples, ask: Ask) -> list[NDArray]:
        raise AssertionError("a generator answers no questions: tasks that need scores get a scorer")

    def write(self, prompts: Sequence[Sequence[int]], limits: Limits) -> list[list[int]]:
        """New token ids for each prompt, in order; prompts of like length are written together."""
        assert limits.beams == 1, "beams are not there yet"
        assert all(prompts), "a prompt needs a token"
        order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
        out: list[list[int]] = [[] for _ in prompts]
        for start in range(0, len(order), ROWS):
            places = order[start : start + ROWS]
            for step in self._steps([prompts[place] for place in places], places, limits):
                for place, token in zip(places, step, strict=True):
                    if token is not None:
                        out[place].append(token)
        return out

    @torch.inference_mode()
    def _steps(
        self, prompts: Sequence[Sequence[int]], places: Sequence[int], limits: Limits
    ) -> Iterator[list[int | None]]:
        """One token a prompt and step; None for a prompt whose text has ended."""
        from transformers import DynamicCache

        device = next(self.model.parameters()).device
        random = [torch.Generator().manual_seed(self.sampling.seed + place) for place in places]
        longest = max(map(len, prompts))
        ids = torch.zeros(len(prompts), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):  # to the right, so that all go on at the same column
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        ids, mask = ids.to(device), mask.to(device)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        cache, going = DynamicCache(config=self.model.config), [True] * len(prompts)
        for _ in range(limits.new_tokens):
            answer = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                cache=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            chosen = _choose(answer.logits[:, -1].float().cpu(), self.sampling, random)
            going = [alive and int(token) not in limits.stop_ids for alive, token in zip(going, chosen, strict=True)]
            yield [int(token) if alive else None for alive, token in zip(going, chosen, strict=True)]
            if not any(going):
                return
            ids = chosen[:, None].to(device)
            mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=1)
            positions = positions[:, -1:] + 1


def _choose(logits: Tensor, sampling: Sampling, random: Sequence[torch.Generator]) -> Tensor:
    """[rows] the next token of each row from its logits [rows, vocabulary]."""
    if sampling.temperature == 0:
        return logits.argmax(-1)
    probabilities, tokens = (logits / sampling.temperature).softmax(-1).sort(-1, descending=True)
    before = probabilities.cumsum(-1) - probabilities
    kept = probabilities.masked_fill(before >= sampling.top_p, 0.0).cumsum(-1)
    draws = torch.stack([torch.rand((), generator=one) for one in random])[:, None] * kept[:, -1:]
    places = torch.searchsorted(kept, draws, right=True).clamp(max=logits.shape[-1] - 1)
    return tokens.gather(1, places)[:, 0]
