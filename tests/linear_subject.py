"""A model under attack that is plain to see through: each word has a weight, and the sum of a text's weights decides.

It answers queries as ``sixfold.score.subject.Subject`` does, so that searches can be tested to the last query. The real
one is attacked in ``test_attack_run.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Examples, Ragged
from sixfold.perturb.words import Edit, Sentence, applied
from sixfold.score.driver import Query
from sixfold.tasks.contract import Ask
from sixfold.tasks.text_classification import TextClassification


@dataclass(frozen=True)
class LinearText:
    sentence: Sentence
    is_words: bool = False

    def edited(self, edits: Sequence[Edit]) -> str:
        return applied(self.sentence.text, edits)


@dataclass
class LinearScorer:
    """Answers [0, sum of weights], and keeps every string that it was asked about, call by call."""

    weights: Mapping[str, float]
    strings: list[str] = field(default_factory=list)
    calls: list[list[str]] = field(default_factory=list)
    drawn: bool = False

    def ask(self, examples: Examples, ask: Ask, *, fresh: bool = False) -> list[NDArray]:
        asked = [self.strings[int(row[0])] for row in examples.ragged("input_ids")]
        self.calls.append(asked)
        return [self.answer(string) for string in asked]

    def answer(self, string: str) -> NDArray:
        words = [string[start:end].lower() for start, end in Sentence.of(string).spans]
        return np.array([0.0, sum(self.weights.get(word, 0.0) for word in words)])


@dataclass
class DrawnScorer(LinearScorer):
    """One whose answers are drawn: the first ``lucky[string]`` about a string are the opposite of what it thinks."""

    lucky: Mapping[str, int] = field(default_factory=dict)
    drawn: bool = True

    def ask(self, examples: Examples, ask: Ask, *, fresh: bool = False) -> list[NDArray]:
        before = Counter(string for call in self.calls for string in call)
        answers = []
        for row, answer in zip(examples.ragged("input_ids"), super().ask(examples, ask, fresh=fresh), strict=True):
            string = self.strings[int(row[0])]
            answers.append(-answer if before[string] < self.lucky.get(string, 0) else answer)
            before[string] += 1
        return answers


class LinearSubject:
    """Labels ``no`` and ``yes``; ``yes`` where the weights of the words sum up to more than 0."""

    def __init__(self, weights: Mapping[str, float], longest: int | None = None) -> None:
        self.scorer = LinearScorer(weights)
        self.task = TextClassification(("no", "yes"))
        self.tokenizer = SimpleNamespace(unk_token="[UNK]", mask_token="[MASK]")
        self.longest = longest

    def text(self, text: str) -> LinearText:
        return LinearText(Sentence.of(text))

    def query(self, text: LinearText, variants: Sequence[Sequence[Edit]]) -> Query:
        first = len(self.scorer.strings)
        self.scorer.strings += [applied(text.sentence.text, edits) for edits in variants]
        rows = Ragged.of([[number] for number in range(first, len(self.scorer.strings))])
        return Query(Examples({"input_ids": rows}), Ask("linear", lambda examples: {}, lambda model, batch: []))

    def logits(self, text: LinearText, query: Query, answers: Sequence[NDArray]) -> NDArray:
        return np.stack(answers)

    def probabilities(self, logits: NDArray) -> NDArray:
        grown = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return grown / grown.sum(axis=-1, keepdims=True)

    def whole(self, strings: Sequence[str]) -> NDArray:
        return np.stack([self.scorer.answer(string) for string in strings])


@dataclass(frozen=True)
class Table:
    """A transformation that looks words up."""

    found: Mapping[str, Sequence[str]]
    name: str = "table"
    languages: tuple[str, ...] = ("en",)

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        return list(self.found.get(sentence.word(position).lower(), ()))


def rows_of(*pairs: tuple[Any, Any]) -> Any:
    """Labelled rows."""
    import datasets

    return datasets.Dataset.from_dict({"text": [text for text, _ in pairs], "label": [label for _, label in pairs]})
