"""What an attack wants a model to say. A goal is set once; each row gives it an aim; an aim judges answers.

No text is here, only numbers: probabilities after the task's temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sixfold.errors import ModelError, UsageError, unknown
from sixfold.metrics.decoding import decode_constrained
from sixfold.metrics.tagging import Span, spans, tags_of
from sixfold.tasks.contract import Task
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.token_classification import IGNORED, TokenClassification

Floats = NDArray[np.float64]
LEAST_PROBABILITY = 1e-30


@dataclass(frozen=True)
class Judged:
    """What a goal makes of the model's answers to some variants of one text.

    Attributes:
        scores: [variants] greater is nearer to the goal.
        reached: [variants] whether the goal is reached.
        spent: [variants] queries up to each, itself included; None where each took one.
    """

    scores: Floats
    reached: NDArray[np.bool_]
    spent: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.scores)


class Aim(Protocol):
    """A goal for one row.

    Attributes:
        label: the right answer as the head's output; of a row of words one tag a word, where an entity is.
    """

    @property
    def label(self) -> int | list[int]: ...

    def right(self, probabilities: NDArray) -> bool:
        """Whether the answer to the text as it is is right; what is wrong already is not attacked."""
        ...

    def judge(self, probabilities: NDArray) -> Judged:
        """Judge the answers to some variants: [variants, classes], or [variants, words, tags]."""
        ...


@dataclass(frozen=True)
class Untargeted:
    """Any label but the right one. The score is 1 - p(right label), as in most papers.

    It is summed up from the other labels: a model that is sure would round it to 0, and no word would matter.
    """

    gold: int

    @property
    def label(self) -> int:
        return self.gold

    def right(self, probabilities: NDArray) -> bool:
        return int(probabilities[0].argmax()) == self.gold

    def judge(self, probabilities: NDArray) -> Judged:
        others = np.delete(probabilities, self.gold, axis=1).sum(axis=1)
        return Judged(others, probabilities.argmax(axis=1) != self.gold)


@dataclass(frozen=True)
class Targeted:
    """One label that the attacker chose. The score is its probability."""

    gold: int
    target: int

    @property
    def label(self) -> int:
        return self.gold

    def right(self, probabilities: NDArray) -> bool:
        return int(probabilities[0].argmax()) == self.gold

    def judge(self, probabilities: NDArray) -> Judged:
        return Judged(probabilities[:, self.target], probabilities.argmax(axis=1) == self.target)


@dataclass(frozen=True)
class Margin:
    """Any label but the right one, ahead of it by at least ``least`` (Carlini and Wagner 2017, on probabilities)."""

    gold: int
    least: float

    @property
    def label(self) -> int:
        return self.gold

    def right(self, probabilities: NDArray) -> bool:
        return int(probabilities[0].argmax()) == self.gold

    def judge(self, probabilities: NDArray) -> Judged:
        others = np.delete(probabilities, self.gold, axis=1).max(axis=1)
        ahead = others - probabilities[:, self.gold]
        return Judged(ahead, (ahead >= self.least) & (ahead > 0))


@dataclass(frozen=True)
class LostLabel:
    """Where a text has several labels: one of the right ones is no longer given.

    Attributes:
        gold: indices of the right labels.
        thresholds: [classes] from which probability a label is given.
    """

    gold: tuple[int, ...]
    thresholds: tuple[float, ...]

    @property
    def label(self) -> int:
        return self.gold[0]

    def right(self, probabilities: NDArray) -> bool:
        return not bool(self.judge(probabilities).reached[0])

    def judge(self, probabilities: NDArray) -> Judged:
        below = np.array(self.thresholds)[list(self.gold)] - probabilities[:, self.gold]
        return Judged(below.max(axis=1), (below > 0).any(axis=1))


@dataclass(frozen=True)
class LostEntities:
    """Fewer than ``least`` of a sentence's entities are still found, with their type and all their words.

    The score is the mean over the entities of 1 - the lowest probability of the right tag among their words, so that
    the search is led towards the entity that is nearest to being lost. Entities found where none are do not count.

    Attributes:
        gold: the right entities.
        labels: the tag of each output.
        least: share of the entities; 1 means that losing any is enough.
        words: of the sentence.
    """

    gold: tuple[Span, ...]
    labels: tuple[str, ...]
    least: float
    words: int

    @property
    def label(self) -> list[int]:
        tags = tags_of(self.gold, self.words)
        return [IGNORED if tag == "O" else self.labels.index(tag) for tag in tags]

    def right(self, probabilities: NDArray) -> bool:
        return not bool(self.judge(probabilities).reached[0])

    def judge(self, probabilities: NDArray) -> Judged:
        tags = [set(spans(line)) for line in decoded(probabilities, self.labels)]
        shares = np.array([len(found & set(self.gold)) / len(self.gold) for found in tags])
        index = {label: place for place, label in enumerate(self.labels)}
        lost = [1 - self._lowest(probabilities, entity, index) for entity in self.gold]
        return Judged(np.mean(lost, axis=0), shares < self.least)

    def _lowest(self, probabilities: NDArray, entity: Span, index: Mapping[str, int]) -> Floats:
        """[variants] the lowest probability of an entity's tags."""
        kind, start, end = entity
        tags = [index[f"B-{kind}"], *[index[f"I-{kind}"]] * (end - start - 1)]
        return probabilities[:, np.arange(start, end), tags].min(axis=1)


def decoded(probabilities: NDArray, labels: Sequence[str]) -> list[list[str]]:
    """The best legal tags [words] of each variant."""
    return decode_constrained(list(np.log(probabilities + LEAST_PROBABILITY)), labels)


@dataclass(frozen=True)
class Goal:
    """What is wanted of every row.

    Attributes:
        name: as on the command line.
        what: one line for a person.
        aim: a row's right answer (label, labels or tags) to its aim; None where the row leaves nothing to attack.
    """

    name: str
    what: str
    aim: Callable[[Any], Aim | None]


GOALS = ("untargeted", "targeted", "margin", "entities")


def goal_for(task: Task, name: str | None = None, *, target: str | None = None, bound: float | None = None) -> Goal:
    """The goal of that name for a task; without a name, any wrong label, or any entity lost.

    Args:
        target: the label wanted by ``targeted``.
        bound: of ``margin``, by how much (in probability) another label is ahead, 0.5 unless given; of ``entities``,
            the share of a sentence's entities of which fewer must be found, 1 unless given: any lost is enough.

    Raises:
        UsageError: no such goal or label, or one that does not fit the task, or a bound outside of 0 to 1.
        ModelError: the task cannot be attacked.
    """
    if name is not None and name not in GOALS:
        raise unknown("goal", name, GOALS)
    if bound is not None and not 0 < bound <= 1:
        raise UsageError("a goal's bound is more than 0 and at most 1", found=bound)
    if bound is not None and name not in ("margin", "entities"):
        raise UsageError("only the goals margin and entities have a bound", found=name or "no goal was named")
    if (target is not None) != (name == "targeted"):
        raise UsageError("the goal targeted needs a target label, and no other goal has one", found=target)
    if isinstance(task, TokenClassification):
        return _entity_goal(task, name or "entities", 1.0 if bound is None else bound)
    if isinstance(task, TextClassification):
        return _label_goal(task, name or "untargeted", target, 0.5 if bound is None else bound)
    raise ModelError(
        "only models that classify texts or find entities can be attacked",
        found=task.name,
        hint="give a checkpoint of sixfold finetune --task classify or --task entities",
    )


def _entity_goal(task: TokenClassification, name: str, least: float) -> Goal:
    if name != "entities":
        raise UsageError(f"the goal {name!r} is for texts with a label; this model finds entities", nearest="entities")

    def aim(tags: Sequence[str]) -> Aim | None:
        gold = tuple(span for span in spans(tags) if f"B-{span[0]}" in task.labels)
        return LostEntities(gold, task.labels, least, len(tags)) if gold else None

    what = "an entity is lost" if least == 1 else f"fewer than {least:.0%} of the entities are found"
    return Goal(name, what, aim)


def _label_goal(task: TextClassification, name: str, target: str | None, least: float) -> Goal:
    index = {label: place for place, label in enumerate(task.labels)}
    if name == "entities":
        raise UsageError("the goal entities is for models that find entities", nearest="untargeted")
    if task.several:
        if name != "untargeted":
            raise UsageError(f"the goal {name!r} is for texts with one label", nearest="untargeted")
        cuts = task.thresholds or (0.5,) * len(task.labels)

        def lost(labels: Sequence[str]) -> Aim | None:
            gold = tuple(index[label] for label in labels if label in index)
            return LostLabel(gold, cuts) if gold else None

        return Goal(name, "a right label is no longer given", lost)
    if target is not None and target not in index:
        raise unknown("label", target, task.labels)
    # A label that training did not know is at -1: no answer is right.
    if target is not None:
        wanted = index[target]
        return Goal(
            name,
            f"the label becomes {target}",
            lambda label: None if str(label) == target else Targeted(index.get(str(label), -1), wanted),
        )
    if name == "margin":
        return Goal(
            name, f"a wrong label is ahead by {least:g}", lambda label: Margin(index.get(str(label), -1), least)
        )
    return Goal(name, "the label becomes wrong", lambda label: Untargeted(index.get(str(label), -1)))
