"""Texts for tasks and samples: the torch engine, asked with examples or token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from sixfold.data.examples import Examples
from sixfold.generate.requests import Request, Sampling, whole
from sixfold.generate.torch_engine import TorchEngine
from sixfold.models.mixed import BASE, COLUMN
from sixfold.tasks.contract import Ask, Limits

__all__ = ["Generator", "Sampling"]


class Generator:
    """Writes on from prompts.

    Args:
        model: a decoder of transformers with a language-model head, or a ``Mixed`` on one; put into evaluation mode.
        sampling: how tokens are chosen.
    """

    def __init__(self, model: Any, sampling: Sampling | None = None) -> None:
        self.engine = TorchEngine(model)
        self.sampling = sampling or Sampling()

    def generate(self, examples: Examples, limits: Limits) -> list[list[int]]:
        """New token ids for each example's ``input_ids``; the id that ended a text is not among them.

        With a ``Mixed``, each goes by the adapter that its column ``adapter`` numbers, as in a scorer.
        """
        prompts = [[int(token) for token in run] for run in examples.ragged("input_ids")]
        if COLUMN not in examples.columns:
            return self.write(prompts, limits)
        mixed = self.engine.mixed
        assert mixed is not None, "examples go by adapters that this generator has not"
        numbers = examples.dense(COLUMN).tolist()
        return self.write(prompts, limits, [None if number == BASE else mixed.names[number] for number in numbers])

    def ask(self, examples: Examples, ask: Ask) -> list[NDArray]:
        raise AssertionError("a generator answers no questions: tasks that need scores get a scorer")

    def write(
        self, prompts: Sequence[Sequence[int]], limits: Limits, adapters: Sequence[str | None] | None = None
    ) -> list[list[int]]:
        """New token ids for each prompt, in order; each by its adapter, where some are named."""
        assert limits.beams == 1, "beams are not there yet"
        requests = [
            Request(tuple(prompt), limits.new_tokens, self.sampling.of(place), stop_ids=limits.stop_ids, adapter=name)
            for place, (prompt, name) in enumerate(zip(prompts, adapters or [None] * len(prompts), strict=True))
        ]
        return [list(one.ids) for one in whole(self.engine, requests)]
