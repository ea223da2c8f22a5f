"""How like two texts are to a sentence encoder: a constraint of attacks, and a figure of their report.

The encoder is a base model whose hidden states are averaged (as sentence-transformers does for all-MiniLM-L6-v2). It is
asked through the driver, as the scorer ``similarity``: the candidates of hundreds of texts in one batch, the original
once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from sixfold.data.examples import Examples, Ragged
from sixfold.models.forward import Flat, hidden_states
from sixfold.models.head import Head
from sixfold.models.load import load
from sixfold.perturb.words import Edit, Sentence, applied
from sixfold.score.driver import Query, Search
from sixfold.score.scorer import Scorer
from sixfold.tasks.contract import Ask, Batch
from sixfold.tasks.encoding import Frame, frame

SIMILARITY = "similarity"
"""The name of the encoder among a driver's scorers."""
LONGEST = 256
"""Tokens of a text that are read, as all-MiniLM-L6-v2 was trained."""


@dataclass(frozen=True)
class Encoder:
    """A sentence encoder.

    Attributes:
        name: what it is called in reports.
        digest: of its checkpoint.
        limit: tokens of a text that are read; the rest is cut off.
    """

    name: str
    scorer: Scorer
    tokenizer: Any
    digest: str
    around: Frame
    limit: int

    @classmethod
    def load(cls, ref: str | Path) -> Self:
        """An encoder: a catalogue name, a folder, or ``hf:owner/name``. Errors as for ``models.load``."""
        loaded = load(ref, Head("embedding"))
        limit = min(LONGEST, loaded.tokenizer.model_max_length)
        scorer = Scorer(loaded.model)
        name = ref if isinstance(ref, str) else ref.name
        return cls(name, scorer, loaded.tokenizer, loaded.digest, frame(loaded.tokenizer), limit)

    def query(self, strings: Sequence[str]) -> Query:
        """The question for each string's vector, of length 1."""
        ids = self.tokenizer(list(strings), add_special_tokens=False, verbose=False)["input_ids"]
        room = self.limit - len(self.around)
        rows = Ragged.of([self.around.around(row[:room]) for row in ids])
        return Query(Examples({"input_ids": rows}), _MEAN, SIMILARITY)

    def cosines(self, pairs: Iterable[tuple[str, str]]) -> list[float]:
        """The cosine of the two texts of each pair."""
        texts = [text for pair in pairs for text in pair]
        if not texts:
            return []
        query = self.query(texts)
        vectors = np.stack(self.scorer.ask(query.examples, query.ask))
        return [float(cosine) for cosine in (vectors[::2] * vectors[1::2]).sum(axis=1)]


@dataclass(frozen=True)
class Likeness:
    """How like a changed text must stay to the original.

    Attributes:
        least: the bound, in the terms of ``measure``.
        measure: ``cosine``, or ``angular``: 1 - angle / pi.
        window: words around the change that are compared; None is the whole text. A text that is no longer than the
            window is compared whole.
    """

    encoder: Encoder
    least: float
    measure: Literal["cosine", "angular"] = "cosine"
    window: int | None = None

    @property
    def what(self) -> str:
        """The constraint in words."""
        where = "the whole text" if self.window is None else f"{self.window} words around"
        kind = "cosine" if self.measure == "cosine" else "angular similarity"
        return f"{kind} of {self.encoder.name} at least {self.least:g}, {where}"

    def of(self, sentence: Sentence, edits: Sequence[Edit], candidates: Sequence[Edit]) -> Search[list[float]]:
        """How like the original each candidate makes the text, when ``edits`` have been made before."""
        start, end = self._bounds(sentence, candidates[0])
        inside = [edit for edit in edits if start <= edit.start and edit.end <= end]
        strings = [_part(sentence.text, start, end, (*inside, candidate)) for candidate in candidates]
        answers = yield self.encoder.query([sentence.text[start:end], *strings])
        cosines = np.stack(answers[1:]) @ answers[0]
        return [float(value) for value in (cosines if self.measure == "cosine" else angular(cosines))]

    def _bounds(self, sentence: Sentence, candidate: Edit) -> tuple[int, int]:
        """Which part of the string is compared."""
        spans = sentence.spans
        if self.window is None or len(spans) <= self.window:
            return 0, len(sentence.text)
        position = next(place for place, span in enumerate(spans) if candidate.start < span.end)
        first = min(max(0, position - self.window // 2), len(spans) - self.window)
        # The candidate may take a blank before its word along.
        return min(spans[first].start, candidate.start), max(spans[first + self.window - 1].end, candidate.end)


def angular(cosines: NDArray) -> NDArray:
    """1 - angle / pi: 1 for the same direction, 0 for the opposite one."""
    return 1 - np.arccos(np.clip(cosines, -1.0, 1.0)) / math.pi


def _part(text: str, start: int, end: int, edits: Iterable[Edit]) -> str:
    return applied(text[start:end], [edit._replace(start=edit.start - start, end=edit.end - start) for edit in edits])


def _collate(examples: Examples) -> Batch:
    ids = examples.ragged("input_ids")
    return {"flat": Flat.of(ids.values, ids.lengths)}


def _read(model: torch.nn.Module, batch: Batch) -> list[NDArray]:
    hidden = hidden_states(model, batch["flat"]).float().cpu()
    means = torch.stack([part.mean(dim=0) for part in hidden.split(list(batch["flat"].lengths))])
    return list(torch.nn.functional.normalize(means, dim=1).numpy())


_MEAN = Ask("mean_of_hidden_states", _collate, _read)
