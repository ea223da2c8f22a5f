"""A training run cut short: the real loop on the real examples for some seconds, to tell what the whole run takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sixfold.data.batching import Indices, Steps, padded_tokens
from sixfold.data.examples import Examples, Ragged
from sixfold.models.forward import can_pack
from sixfold.tasks.contract import Task
from sixfold.tasks.masking import MaskToken
from sixfold.train.config import TrainConfig
from sixfold.train.events import Choice, Saved, Started, Step
from sixfold.train.loop import Evaluate, fit
from sixfold.train.optimiser import learning_rate, micro_tokens
from sixfold.train.tracking import tracked
from sixfold.train.words import NONE, Words

LOOKED = 20_000
"""Steps of the run among which the largest micro-batch is looked for: a second's work."""
TRIED = 2_000
"""Steps that a calibration takes at most."""
EVALUATED_AFTER = 3
"""Steps. From there on the best weights are held beside the model's, as in the whole run."""
NEVER = 1e9


@dataclass(frozen=True)
class Whole:
    """What the whole run consists of, epochs counted. With more than ``LOOKED`` steps the last three are extrapolated.

    Attributes:
        per_epoch: steps of an epoch.
        evaluations: looks at the watched split, unless training stops early.
        largest: tokens of the largest micro-batch.
        choices: values that the machine or the model decides.
    """

    steps: int
    per_epoch: int
    evaluations: int
    choices: tuple[Choice, ...]
    tokens: int
    micro_batches: int
    largest: int


@dataclass(frozen=True)
class Calibrated:
    """What some steps took.

    Attributes:
        whole: the run that they are part of.
        begin_seconds: until the first step could begin.
        steps, tokens, seconds: that were measured; the first step, with the largest micro-batch, is none of them.
        saves: states that the whole run writes as it goes.
        save_seconds: what writing one took; 0 where none is written.
    """

    whole: Whole
    begin_seconds: float
    steps: int
    tokens: int
    seconds: float
    saves: int
    save_seconds: float

    @property
    def training_seconds(self) -> float:
        """Of all steps of the whole run."""
        return self.seconds / self.tokens * self.whole.tokens


def calibrate(
    model: Any,
    task: Task,
    examples: Examples,
    config: TrainConfig,
    *,
    seed: int,
    groups: Ragged | None,
    folder: Path,
    evaluate: Evaluate | None,
    seconds: float,
    mark: Callable[[str], None] = lambda phase: None,
    mask: MaskToken | None = None,
    words: Words = NONE,
) -> Calibrated:
    """Train for ``seconds``, first on the step of the whole run that holds its largest micro-batch.

    The model is not what it was afterwards.

    Args:
        model, task, examples, config, seed, groups, mask, words: as ``fit`` would get them.
        folder: gets what a run keeps beside its states, and a state if the whole run would write one.
        evaluate: called after a few steps and again and again; only its first call should take long.
        mark: told ``training`` when the last step is done and ``saving`` when a state is written.
    """
    whole, some = _whole(model, task, examples, config, seed, groups, mask, words)
    stopping = False
    taken: list[tuple[int, float]] = []
    begin = save = 0.0
    saves = 0
    last = time.perf_counter()
    run = fit(
        model,
        task,
        examples,
        _one_pass(model, config, len(some)),
        seed=seed,
        groups=_taken_in_order(some, seed),
        folder=folder,
        evaluate=evaluate,
        stop=lambda: stopping,
        mask=mask,
        words=words,
    )
    with closing(run), closing(tracked(run, folder)) as events:  # type: ignore[type-var]
        for event in events:
            now = time.perf_counter()
            took, last = now - last, now
            if isinstance(event, Started):
                begin = took
            elif isinstance(event, Saved):
                save = took
                mark("saving")
            elif isinstance(event, Step):
                taken.append((event.tokens, took))
                tokens, spent = _counted(taken)
                if len(taken) > 1 and (spent >= seconds or len(taken) == len(some)):
                    mark("training")
                    saves = _saves(config, whole.steps, spent / tokens * whole.tokens)
                    if not saves:
                        break
                    stopping = True
    tokens, spent = _counted(taken)
    return Calibrated(whole, begin, len(taken) - 1, tokens, spent, saves, save)


def _one_pass(model: Any, config: TrainConfig, steps: int) -> TrainConfig:
    """The dials of a run over these steps, each taken as one group, that nothing but the clock ends."""
    return config.model_copy(
        update={
            "batch": 1,
            "epochs": 1.0,
            "learning_rate": learning_rate(model, config).value,
            "evaluations": steps / EVALUATED_AFTER,
            "patience": None,
            "save_minutes": NEVER,
        }
    )


def _whole(
    model: Any,
    task: Task,
    examples: Examples,
    config: TrainConfig,
    seed: int,
    groups: Ragged | None,
    mask: MaskToken | None,
    words: Words,
) -> tuple[Whole, list[Indices]]:
    """What the run consists of, and some of its steps: first the one with the largest micro-batch."""
    with closing(fit(model, task, examples, config, seed=seed, groups=groups, mask=mask, words=words)) as run:  # type: ignore[type-var]
        started = next(run)
    assert isinstance(started, Started)
    packed = can_pack(model)
    budget = int(micro_tokens(model, config, packed=packed).value)  # type: ignore[call-overload]
    lengths = examples.lengths
    steps = Steps(lengths, config.batch, budget, seed, packed, groups)
    some: list[Indices] = [np.empty(0, dtype=np.int64)]
    looked = tokens = micro_batches = largest = 0
    for micro in _steps(steps, min(started.steps, LOOKED)):
        looked += 1
        sizes = [int(lengths[part].sum()) if packed else padded_tokens(lengths[part]) for part in micro]
        tokens += sum(int(lengths[part].sum()) for part in micro)
        micro_batches += len(micro)
        if max(sizes) > largest:
            largest, some[0] = max(sizes), np.concatenate(micro)
        if looked <= TRIED:
            some.append(np.concatenate(micro))
    every = max(1, round(steps.per_epoch / config.evaluations))
    more = started.steps / looked
    whole = Whole(
        steps=started.steps,
        per_epoch=steps.per_epoch,
        evaluations=-(-started.steps // every),
        choices=started.choices,
        tokens=tokens if looked == started.steps else round(int(lengths.sum()) * started.steps / steps.per_epoch),
        micro_batches=round(micro_batches * more),
        largest=largest,
    )
    return whole, some


def _steps(steps: Steps, number: int) -> Iterator[list[Indices]]:
    """The first steps of a run."""
    return islice(chain.from_iterable(steps.epoch(epoch) for epoch in count()), number)


def _taken_in_order(wanted: Sequence[NDArray[np.int64]], seed: int) -> Ragged:
    """Groups of examples, one a step, placed so that ``fit``, which shuffles them by the seed, takes them in order."""
    units = Steps(np.ones(len(wanted), dtype=np.int64), 1, 1, seed).epoch(0)
    placed: list[NDArray[np.int64]] = list(wanted)
    for ((unit,),), step in zip(units, wanted, strict=True):
        placed[unit] = step
    return Ragged.of(placed, dtype=np.int64)


def _counted(taken: Sequence[tuple[int, float]]) -> tuple[int, float]:
    """Tokens and seconds of the steps after the first, in which kernels and memory are got ready."""
    return sum(tokens for tokens, _ in taken[1:]), sum(seconds for _, seconds in taken[1:])


def _saves(config: TrainConfig, steps: int, seconds: float) -> int:
    """How many states a run of so many seconds writes, counted as the loop does."""
    return int(seconds / (60 * config.save_minutes)) if config.save_minutes else steps
