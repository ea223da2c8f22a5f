"""Whether a search may ask in int8: measured on the model's own texts, and refused where it does not pay.

The ladder: what a search finds in int8 is confirmed in fp32 from the raw string; a text on which it finds nothing is
searched again in fp32. So wrong answers in int8 cost time and never a wrong result; and with a share f of texts on
which nothing is found, int8 that is g times as fast saves time only while 1/g + f < 1.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace

from sixfold.data.examples import Examples
from sixfold.models.int8 import can_int8
from sixfold.score.scorer import Scorer
from sixfold.score.subject import Subject
from sixfold.tasks.text_classification import LabelPrediction

ROUNDS = 3
"""Times that both are run, in turns."""
LEAST_GAIN = 1.5
"""At this, texts on which nothing is found may be a third of all."""
MOST_FLIPS = 0.02


@dataclass(frozen=True)
class Weighed:
    """How int8 does against fp32.

    Attributes:
        texts: how many were asked about.
        flips: texts that got another answer.
        gain: how many times as fast it was.
    """

    texts: int
    flips: int
    gain: float

    @property
    def refusal(self) -> str | None:
        """Why it is not to be used; None if it is."""
        if self.flips > MOST_FLIPS * self.texts:
            return f"int8 gives another answer to {self.flips:,} of {self.texts:,} texts"
        if self.gain < LEAST_GAIN:
            return f"int8 is {self.gain:.2f} times as fast as fp32 here, and {LEAST_GAIN} is needed to pay"
        return None


def weigh(subject: Subject, examples: Examples) -> Weighed:
    """Measure int8 against fp32 on some examples of the subject's task; its cache and ledger stay as they are.

    Raises:
        UsageError: the model is not on the CPU and in fp32.
    """
    model, budget = subject.scorer.model, subject.scorer.budget
    scorers = Scorer(model, budget=budget), Scorer(model, precision="int8", budget=budget)
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for scorer, seconds in zip(scorers, taken, strict=True):
            start = time.perf_counter()
            scorer.ask(examples, subject.task.question(), fresh=True)
            seconds.append(time.perf_counter() - start)
    exact, rough = (_answers(subject, scorer, examples) for scorer in scorers)
    flips = sum(a != b for a, b in zip(exact, rough, strict=True))
    return Weighed(len(exact), flips, statistics.median(taken[0]) / statistics.median(taken[1]))


def _answers(subject: Subject, scorer: Scorer, examples: Examples) -> list[tuple[str, ...]]:
    """Each row's label or labels, or its tags."""
    found = subject.task.predict(scorer, examples)
    return [one.labels if isinstance(one, LabelPrediction) else one.tags for one in found]


def in_int8(subject: Subject, examples: Examples) -> tuple[Subject, str]:
    """The subject that searches should ask, and why: one in int8 if that proves to pay, else the same.

    Args:
        examples: some of those that will be searched, encoded by the subject's task.
    """
    if not can_int8(subject.scorer.model):
        return subject, "int8 is for models on the CPU and in fp32"
    weighed = weigh(subject, examples)
    if weighed.refusal is not None:
        return subject, weighed.refusal
    scorer = subject.scorer
    rounded = Scorer(scorer.model, precision="int8", budget=scorer.budget, cache=scorer.cache, identity=scorer.identity)
    why = f"int8 is {weighed.gain:.2f} times as fast as fp32 and gives {weighed.flips} of {weighed.texts} other answers"
    return replace(subject, scorer=rounded), why
