"""What a stage hands to the training loop once rows are encoded and the model is built.

``stages/rehearsal.py`` takes the same job to find out what it will cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from sixfold.data.examples import Examples, Ragged
from sixfold.score.scorer import Scorer
from sixfold.stages.context import Context
from sixfold.stages.training import device
from sixfold.tasks.contract import Task
from sixfold.tasks.masking import MaskToken
from sixfold.train.config import TrainConfig
from sixfold.train.events import Event, Stopped
from sixfold.train.loop import fit
from sixfold.train.optimiser import precision
from sixfold.train.renewed import Renew
from sixfold.train.tracking import tracked
from sixfold.train.words import NONE, Words


@dataclass(frozen=True)
class Split:
    """Rows that the model is measured on.

    Attributes:
        rows, examples: as they are and encoded.
        judge: what is computed from predictions and rows, besides training.
        answered, judged: how often the model answers them and the answers are judged, besides training.
    """

    rows: Any
    examples: Examples
    judge: Callable[[list[Any], Any], object]
    answered: int = 1
    judged: int = 1


@dataclass(frozen=True)
class Job:
    """Everything that decides a stage's training, and what is done with the model afterwards.

    Attributes:
        model: on its device.
        train: the dials, with what the stage has derived.
        groups: examples that go into one step (``train.loop.fit``).
        renew: makes further examples for each epoch; a plan has given ones in their place.
        words: what the dials ask to be told of words.
        splits: what is measured on after training, by name.
        watched: the split that decides which weights are the best; None without one.
        kept: what the checkpoint keeps in its configuration, for the stages after it.
        ending: what else is done with the trained model, such as texts that it writes.
        besides: seconds of what else the stage does, once and before each epoch, told from a part that takes about so
            many seconds as it is given.
    """

    model: Any
    tokenizer: Any
    task: Task
    train: TrainConfig
    examples: Examples
    splits: Mapping[str, Split]
    watched: str | None
    groups: Ragged | None = None
    renew: Renew | None = None
    words: Words = NONE
    kept: Mapping[str, Any] = field(default_factory=dict)
    ending: Callable[[], object] = field(default=lambda: None)
    besides: Callable[[float], tuple[float, float]] = field(default=lambda enough: (0.0, 0.0))

    @property
    def mask(self) -> MaskToken | None:
        """What a masked token becomes. Raises ModelError where the dials ask for masks and the tokenizer has none."""
        return MaskToken.of(self.tokenizer) if self.train.mask_share else None

    def predictions(self, model: nn.Module, split: Split) -> list[Any]:
        """Answers while training goes on, in its precision."""
        scorer = Scorer(model, precision=precision(self.train, device()).value)  # type: ignore[arg-type]
        return self.task.predict(scorer, split.examples)


def trained(job: Job, context: Context) -> bool:
    """Train to the end, watched and logged; False when the user stopped it (the state is saved)."""
    reason = ""
    for event in context.watch(tracked(training(job, context), context.training)):
        if isinstance(event, Stopped):
            reason = event.reason
    return reason != "interrupted"


def training(job: Job, context: Context) -> Iterator[Event]:
    """The stage's training run, from its last saved state if there is one."""
    split = None if job.watched is None else job.splits[job.watched]

    def evaluate(model: nn.Module) -> dict[str, float]:
        assert split is not None
        return job.task.scores(job.predictions(model, split), split.rows)

    return fit(
        job.model,
        job.task,
        job.examples,
        job.train,
        seed=context.seed,
        groups=job.groups,
        folder=context.training,
        evaluate=None if split is None else evaluate,
        stop=context.stop,
        mask=job.mask,
        words=job.words,
        renew=job.renew,
    )
