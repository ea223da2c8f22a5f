"""Texts for tasks and samples: the torch engine, asked with examples or token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from sixfold.data.examples import Examples
from sixfold.generate.requests import Request, Sampling, whole
from sixfold.generate.torch_engine import TorchEngine
from sixfold.tasks.contract import Ask, Limits

__all__ = ["Generator", "Sampling"]


class Generator:
    """Writes on from prompts.

    Args:
        model: a decoder of transformers with a language-model head; put into evaluation mode.
        sampling: how tokens are chosen.
    """

    def __init__(self, model: Any, sampling: Sampling | None = None) -> None:
        self.engine = TorchEngine(model)
        self.sampling = sampling or Sampling()

    def generate(self, examples: Examples, limits: Limits) -> list[list[int]]:
        """New token ids for each example's ``input_ids``; the id that ended a text is not among them."""
        prompts = [[int(token) for token in run] for run in examples.ragged("input_ids")]
        return self.write(prompts, limits)

    def ask(self, examples: Examples, ask: Ask) -> list[NDArray]:
        raise AssertionError("a generator answers no questions: tasks that need scores get a scorer")

    def write(self, prompts: Sequence[Sequence[int]], limits: Limits) -> list[list[int]]:
        """New token ids for each prompt, in order."""
        assert limits.beams == 1, "beams are not there yet"
        requests = [
            Request(tuple(prompt), limits.new_tokens, self.sampling.of(place), stop_ids=limits.stop_ids)
            for place, prompt in enumerate(prompts)
        ]
        return [list(one.ids) for one in whole(self.engine, requests)]
