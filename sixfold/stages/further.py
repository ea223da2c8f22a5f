"""Examples that a stage makes anew for each epoch: training rows that an attack or an augmentation has changed.

How the training takes them in is in ``train/renewed.py``.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from torch import nn

from sixfold.attack.building import Attack
from sixfold.attack.masked_words import WORDS, MaskedWords
from sixfold.attack.run import attack
from sixfold.data.examples import Examples
from sixfold.errors import Interrupted, UsageError
from sixfold.perturb import augmenters
from sixfold.perturb.augment import Augmenter
from sixfold.perturb.masked import CONTEXTUAL, contextual
from sixfold.score.driver import alone
from sixfold.stages.attacked import seconds_of, with_weights
from sixfold.tasks.contract import Task
from sixfold.tasks.texts import Texts
from sixfold.text import lexicon

if TYPE_CHECKING:
    import datasets

    from sixfold.score.subject import Subject

CACHE_BYTES = 2**26
SAMPLED = 256
"""Rows whose augmentation is timed for a plan."""


class Changed(NamedTuple):
    """A changed row, its columns named by the task's roles, and the number of the training row it was."""

    number: int
    row: dict[str, Any]


class Maker(Protocol):
    """Changes training rows."""

    @property
    def most(self) -> int:
        """Rows that an epoch gets at most."""
        ...

    def made(self, epoch: int, model: nn.Module) -> list[Changed]:
        """An epoch's rows; the same for the same epoch and weights."""
        ...

    def seconds(self, enough: float) -> float:
        """How long an epoch's rows take, told from a part that takes about ``enough`` seconds."""
        ...


@dataclass(frozen=True)
class Further:
    """The further examples of each epoch: a ``train.renewed.Renew``.

    Attributes:
        subject: the checkpoint as it was; knows task, tokenizer and limit.
        given: the training examples, for their columns.
    """

    makers: tuple[Maker, ...]
    subject: Subject
    given: Examples

    @property
    def per_epoch(self) -> int:
        return sum(maker.most for maker in self.makers)

    def seconds(self, enough: float) -> float:
        """How long an epoch's examples take to make, told from a part of them."""
        return sum(maker.seconds(enough) for maker in self.makers)

    def __call__(self, epoch: int, model: nn.Module) -> Examples:
        """One example a row: of a text that became too long its start."""
        made = list(itertools.chain.from_iterable(maker.made(epoch, model) for maker in self.makers))
        if not made:
            return self.given.take([])
        rows = Texts({name: [one.row[name] for one in made] for name in made[0].row})
        found = self.subject.task.encode(rows, self.subject.tokenizer, self.subject.limit, "truncate").examples
        numbers = np.array([one.number for one in made])[found.dense("row")]
        return found.with_column("row", numbers.astype(self.given.dense("row").dtype))


@dataclass(frozen=True)
class Augmented:
    """New texts of every training row.

    Attributes:
        times: texts of each row; fewer where too little can be changed.
    """

    how: Augmenter
    task: Task
    rows: datasets.Dataset
    times: int
    seed: int

    @property
    def most(self) -> int:
        return self.times * len(self.rows)

    def made(self, epoch: int, model: nn.Module) -> list[Changed]:
        return list(
            self._made(self.rows, int(np.random.default_rng((self.seed, epoch, *b"augmented")).integers(2**62)))
        )

    def _made(self, rows: datasets.Dataset, seed: int) -> Iterator[Changed]:
        target = next(column.role for column in self.task.columns if column.target)
        gold = rows[target]
        if "words" in rows.column_names:
            for words in self.how.tagged(zip(rows["words"], gold, strict=True), self.times, seed):
                yield Changed(words.row, {"words": words.words, target: gold[words.row]})
        else:
            for text in self.how.rows(rows["text"], self.times, seed):
                yield Changed(text.row, {"text": text.text, target: gold[text.row]})

    def seconds(self, enough: float) -> float:
        begun = time.perf_counter()
        some = self.rows.select(range(min(SAMPLED, len(self.rows))))
        for _ in self._made(some, self.seed):
            pass
        return (time.perf_counter() - begun) * len(self.rows) / len(some)


def augmenter(method: str, words: str | None, languages: Mapping[str, float]) -> Augmenter:
    """The augmenter of that name.

    Args:
        words: a masked language model, for those that ask one.
        languages: of the texts.

    Raises:
        UsageError: it changes no text of these languages.
        SixfoldError: a word list or a model that it needs is not on this machine.
    """
    if method in CONTEXTUAL:
        found = MaskedWords.load(words)
        made = contextual(method, found.tokenizer, found.around, found.limit)
        return augmenters.contextual(
            made, lambda prompts, most: alone(found.best(prompts, most), {WORDS: found.scorer})
        )
    spoken = [language for language, share in languages.items() if share > 0]
    needs = augmenters.row(method).needs
    if augmenters.ANY not in needs and not any(language in needs for language in spoken):
        raise UsageError(
            f"{method} changes texts in {' and '.join(needs)}, and these are in {', '.join(spoken)}",
            where="augment.method",
            hint="aeda puts marks between the words of any language",
        )
    lexicon.need(*augmenters.lists_of(method, spoken))
    return augmenters.augmenter(method)


@dataclass(frozen=True)
class Adversarial:
    """Texts found by attacking the model as it is, with their right answers.

    Whether a text fools the model already or is only the nearest that was found: both are where it is weak.

    Attributes:
        subject: the checkpoint as it was; its scorer's model is replaced by that of the epoch.
        rows: the training rows.
        examples: how many are attacked before each epoch, drawn by seed and epoch.
        budget: queries that each may cost.
        stop: whether the user has asked to stop.
    """

    subject: Subject
    rows: datasets.Dataset
    how: Attack
    examples: int
    budget: int
    seed: int
    stop: Callable[[], bool] = field(default=lambda: False)

    @property
    def most(self) -> int:
        return min(self.examples, len(self.rows))

    def made(self, epoch: int, model: nn.Module) -> list[Changed]:
        """Raises Interrupted when the user asks to stop meanwhile: the state has been saved before."""
        drawn = np.random.default_rng((self.seed, epoch, *b"attacked")).permutation(len(self.rows))[: self.most]
        numbers = np.sort(drawn).tolist()
        now = with_weights(self.subject, model, f"{self.subject.digest}, epoch {epoch}", CACHE_BYTES)
        found = []
        for one in attack(
            now,
            self.rows.select(numbers),
            self.how,
            seed=self.seed + epoch,
            budget=self.budget,
        ):
            if self.stop():
                raise Interrupted("stopped; the state is saved", hint="run the same command to go on")
            if one.edits:
                found.append((one.place, Changed(numbers[one.place], one.as_row())))
        return [changed for _, changed in sorted(found, key=lambda item: item[0])]

    def seconds(self, enough: float) -> float:
        return seconds_of(self.subject, self.rows.select(range(self.most)), self.how, self.budget, enough)
