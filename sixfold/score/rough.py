"""Whether a search may ask in bf16 or int8: measured on the model's own texts, and refused where it does not pay.

The ladder: what a search finds at the lower precision is confirmed in fp32 from the raw string; a text on which it
finds nothing is searched again in fp32. So wrong answers cost time and never a wrong result; and with a share f of
texts on which nothing is found, a precision that is g times as fast saves time only while 1/g + f < 1.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from sixfold.data.examples import Examples
from sixfold.models.bf16 import in_bf16
from sixfold.models.compiled import Compiled, can_compile
from sixfold.models.int8 import can_int8
from sixfold.score.scorer import Precision, Scorer
from sixfold.score.subject import Subject
from sixfold.tasks.text_classification import LabelPrediction

Rough = Literal["compiled", "bf16", "int8"]
"""In the order in which they are tried. ``compiled`` is int8 by OpenVINO. int8 without it rounds a whole batch by one
scale, and was measured fast on batches of one shape but twice as slow as fp32 in an attack, whose batches all differ
(``docs/results.md``)."""
ROUNDS = 3
"""Times that both are run, in turns."""
COMPILED_FROM = 200_000
"""Tokens to be computed from which it pays to compile: fp32 does some 10,000 a second, ``compiled`` three to four times
as many, and compiling takes some ten seconds (minilm-l6, two cores)."""
LEAST_GAIN = 1.5
"""At this, texts on which nothing is found may be a third of all."""
MOST_FLIPS = 0.02


@dataclass(frozen=True)
class Weighed:
    """How a precision does against fp32.

    Attributes:
        texts: how many were asked about.
        flips: texts that got another answer.
        gain: how many times as fast it was.
    """

    precision: Precision
    texts: int
    flips: int
    gain: float

    @property
    def refusal(self) -> str | None:
        """Why it is not to be used; None if it is."""
        if self.flips > MOST_FLIPS * self.texts:
            return f"{self.precision} gives another answer to {self.flips:,} of {self.texts:,} texts"
        if self.gain < LEAST_GAIN:
            return f"{self.precision} is {self.gain:.2f} times as fast as fp32 here, and {LEAST_GAIN} is needed to pay"
        return None

    @property
    def reason(self) -> str:
        """Why it is used."""
        told = f"{self.precision} is {self.gain:.2f} times as fast as fp32"
        return f"{told} and gives {self.flips} of {self.texts} other answers"


def weigh(subject: Subject, examples: Examples, lower: Scorer) -> Weighed:
    """Measure a scorer against fp32 on some examples of the subject's task; the subject's cache and ledger stay.

    Args:
        lower: of the same weights, at a lower precision and without a cache.
    """
    scorers = subject.scorer.bare(), lower
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for scorer, seconds in zip(scorers, taken, strict=True):
            start = time.perf_counter()
            scorer.ask(examples, subject.task.question(), fresh=True)
            seconds.append(time.perf_counter() - start)
    exact, rough = (_answers(subject, scorer, examples) for scorer in scorers)
    flips = sum(a != b for a, b in zip(exact, rough, strict=True))
    return Weighed(lower.precision, len(exact), flips, statistics.median(taken[0]) / statistics.median(taken[1]))


def _answers(subject: Subject, scorer: Scorer, examples: Examples) -> list[tuple[str, ...]]:
    """Each row's label or labels, or its tags."""
    found = subject.task.predict(scorer, examples)
    return [one.labels if isinstance(one, LabelPrediction) else one.tags for one in found]


def roughly(
    subject: Subject,
    examples: Examples,
    wanted: Rough | Literal["auto"] = "auto",
    *,
    searched: int | None = None,
    questions: int | None = None,
) -> tuple[Subject | None, str]:
    """The subject that searches should ask first, if that proves to pay, and why or why not.

    Args:
        examples: some of those that will be searched, encoded by the subject's task.
        wanted: a precision; ``auto``: the first that pays.
        searched: how many will be searched; as many as there are examples unless given.
        questions: that are asked about each; about as many as it has tokens unless given, as in an attack.
    """
    exact = subject.scorer
    if not can_int8(exact.model):
        return None, "a lower precision is for models on the CPU and in fp32"
    refusals = []
    lengths = examples.lengths.astype(float)
    each = float((lengths * (questions or lengths)).mean()) if len(lengths) else 0.0
    few = (len(examples) if searched is None else searched) * each < COMPILED_FROM
    for precision in get_args(Rough) if wanted == "auto" else (wanted,):
        if precision == "compiled" and wanted == "auto" and (few or not can_compile(exact.model)):
            continue  # not worth a word: the others are tried
        if precision == "compiled" and not can_compile(exact.model):
            return None, "only a BERT that classifies can be compiled, with openvino and nncf installed"
        model = model_at(exact.model, precision, examples)
        weighed = weigh(subject, examples, exact.bare(model, precision=precision))
        if weighed.refusal is None:
            lower = exact.bare(model, precision=precision)
            lower.cache, lower.identity = exact.cache, exact.identity
            return replace(subject, scorer=lower), weighed.reason
        refusals.append(weighed.refusal)
    return None, "; ".join(refusals)


def model_at(model: Any, precision: Rough, examples: Examples) -> Any:
    """The model that answers at a precision."""
    if precision == "bf16":
        return in_bf16(model)
    return Compiled(model, list(examples.ragged("input_ids"))) if precision == "compiled" else model
