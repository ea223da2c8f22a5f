"""A stage rehearsed: everything up to training as it is, training for some seconds, and what follows on a part.

Nothing of a run is touched: the stage works in the folder that its context names. What it took is told as plain
numbers; ``sixfold/planning.py`` makes a plan of them.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from sixfold.data.examples import Examples
from sixfold.models import save
from sixfold.score.scorer import Scorer
from sixfold.stages.context import Context
from sixfold.stages.job import Job, Split
from sixfold.train import adversarial, flops
from sixfold.train.calibration import Calibrated, Whole, calibrate

FIRST_ROWS = 32
"""Rows of a split that are answered first; then more, until it took long enough to tell."""
SHARE = 0.1
"""Of the seconds of a calibration: what answering a split must take to tell how long the whole of it takes."""
SAMPLED = 256
"""Examples in which targets are counted."""
MORE = 8
"""By how much the part of a split grows at most, from one try to the next."""


@dataclass
class Memory:
    """The most memory that the process held in each phase of its life.

    Attributes:
        peaks: bytes by phase; where the system cannot begin anew, each is the most so far.
    """

    peaks: dict[str, int] = field(default_factory=dict)

    def mark(self, phase: str) -> None:
        """The phase ends here."""
        self.peaks[phase] = max(self.peaks.get(phase, 0), peak_resident())
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): the peak begins anew


def peak_resident() -> int:
    """Bytes: the most that the process has held. 0 on a system that does not tell."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


@dataclass(frozen=True)
class Rehearsed:
    """What a stage took, and what the whole of it would take.

    Attributes:
        parameters, learning: of the model, and those that training changes.
        layers: of the model.
        examples, epoch_tokens: to learn from in one epoch.
        watched: whether a split is looked at while it trains.
        calibrated: the training.
        training_flops, scoring_flops: of all steps; of all answers during and after training.
        start_seconds: from checked rows to examples and a model on its device.
        evaluation_seconds: one look at the watched split while training goes on.
        scoring_seconds: all answers after training (and before it, where a base is measured first), judged.
        besides_seconds: what else the stage does, such as attacks before and after, and making examples for an epoch.
        ending_seconds: the checkpoint, and texts that the model writes.
        peaks: bytes by phase: ``start``, ``training``, ``saving`` (if a state was written), ``ending``.
        device_peak: bytes of a GPU; 0 without one.
        checkpoint_bytes, state_bytes, tokens_bytes, log_bytes: on disk; the log's are of the whole run.
    """

    parameters: int
    learning: int
    layers: int
    examples: int
    epoch_tokens: int
    watched: bool
    calibrated: Calibrated
    training_flops: float
    scoring_flops: float
    start_seconds: float
    evaluation_seconds: float
    scoring_seconds: float
    besides_seconds: float
    ending_seconds: float
    peaks: Mapping[str, int]
    device_peak: int
    checkpoint_bytes: int
    state_bytes: int
    tokens_bytes: int
    log_bytes: int


def rehearse(
    stage: ModuleType, config: Any, context: Context, prepared: Any, memory: Memory, *, seconds: float
) -> Rehearsed:
    """Do a stage in short. Its checkpoint is written, with whatever weights it has then, for the stage after it.

    Args:
        stage: a module of ``recipe.STAGES``.
        config, context, prepared: as its ``run`` would get them; ``context.folder`` must be a temporary one.
        memory: goes on with the phases of this process.
        seconds: of training that are measured.

    Raises:
        SixfoldError: whatever the stage refuses.
    """
    begun = time.perf_counter()
    job: Job = stage.job(config, context, prepared)
    start = time.perf_counter() - begun
    once, each_epoch = job.besides(SHARE * seconds)
    memory.mark("start")
    learning = sum(one.numel() for one in job.model.parameters() if one.requires_grad)
    targets = _targets(job, context.seed)
    evaluation = _Evaluation(job, SHARE * seconds)
    examples = _of_an_epoch(job)
    calibrated = calibrate(
        job.model,
        job.task,
        examples,
        job.train,
        seed=context.seed,
        groups=job.groups,
        folder=context.training,
        evaluate=None if job.watched is None else evaluation,
        seconds=seconds,
        mark=memory.mark,
        mask=job.mask,
        words=job.words,
    )
    state = _bytes(context.training, "state-*/*")
    log = _bytes(context.training, "events.jsonl") + _bytes(context.training, "tensorboard/*")
    whole = calibrated.whole
    scoring = sum(_scored(job, split, SHARE * seconds) for split in job.splits.values())
    ended = time.perf_counter()
    save(job.model, job.tokenizer, context.checkpoint, {}, extra_config=job.kept or None)
    job.ending()
    ending = time.perf_counter() - ended
    memory.mark("ending")
    return Rehearsed(
        parameters=sum(one.numel() for one in job.model.parameters()),
        learning=learning,
        layers=job.model.config.num_hidden_layers,
        examples=len(examples),
        epoch_tokens=int(examples.lengths.sum()),
        watched=job.watched is not None,
        calibrated=calibrated,
        training_flops=_training_flops(job, examples, whole, targets),
        scoring_flops=_scoring_flops(job, whole, targets),
        start_seconds=start,
        evaluation_seconds=evaluation.seconds,
        scoring_seconds=scoring,
        besides_seconds=once + each_epoch * math.ceil(whole.steps / whole.per_epoch),
        ending_seconds=ending,
        peaks=dict(memory.peaks),
        device_peak=torch.cuda.max_memory_reserved() if torch.cuda.is_available() else 0,
        checkpoint_bytes=_bytes(context.checkpoint, "**/*"),
        state_bytes=state,
        tokens_bytes=_bytes(context.training, "tokens/*"),
        log_bytes=round(log / (calibrated.steps + 1) * whole.steps),
    )


class _Evaluation:
    """The look at the watched split while training goes on: taken once, on as much as tells how long it takes."""

    def __init__(self, job: Job, enough: float) -> None:
        self._job, self._enough = job, enough
        self._scores: dict[str, float] = {}
        self.seconds = 0.0

    def __call__(self, model: nn.Module) -> dict[str, float]:
        if not self._scores:
            assert self._job.watched is not None
            split = self._job.splits[self._job.watched]
            self.seconds = _told_from_a_part(split, self._enough, lambda part: self._look(model, part))
        return self._scores

    def _look(self, model: nn.Module, part: Split) -> float:
        begun = time.perf_counter()
        self._scores = self._job.task.scores(self._job.predictions(model, part), part.rows)
        return time.perf_counter() - begun


def _scored(job: Job, split: Split, enough: float) -> float:
    """Seconds of all answers of a split besides training, and of judging them."""
    found: list[tuple[Split, list[Any]]] = []

    def answer(part: Split) -> float:
        begun = time.perf_counter()
        found.append((part, job.task.predict(Scorer(job.model), part.examples)))
        return time.perf_counter() - begun

    answering = _told_from_a_part(split, enough, answer)
    part, predictions = found[-1]
    return split.answered * answering + split.judged * _judged(split, part.rows, predictions, enough)


def _judged(split: Split, rows: Any, predictions: list[Any], enough: float) -> float:
    """Seconds of judging the whole split, told from a part of it that is repeated until it takes ``enough``.

    Some of the work is the same for any number of rows, so that twice the rows do not take twice the time.
    """
    every, times, before, power = len(split.rows), 1, 0.0, 1.0
    while True:
        repeated = rows.select(list(range(len(rows))) * times)
        begun = time.perf_counter()
        split.judge(predictions * times, repeated)
        took = time.perf_counter() - begun
        if before:
            power = min(1.0, max(0.0, math.log2(took / before)))
        if len(repeated) >= every or took >= enough:
            return took * (every / len(repeated)) ** power
        before, times = took, 2 * times


def _told_from_a_part(split: Split, enough: float, answer: Callable[[Split], float]) -> float:
    """What ``answer`` gives for the whole split: told from so many of its rows that they take ``enough`` seconds."""
    rows, every, tokens = FIRST_ROWS, len(split.rows), int(split.examples.lengths.sum())
    while True:
        kept = np.flatnonzero(split.examples.dense("row") < rows)
        part = replace(split, rows=split.rows.select(range(min(rows, every))), examples=split.examples.take(kept))
        took = answer(part)
        if rows >= every or took >= enough:
            return took * tokens / max(1, int(part.examples.lengths.sum()))
        rows = round(rows * min(MORE, max(2.0, enough / took)))


def _targets(job: Job, seed: int) -> float:
    """For each token, about how many a language model is asked; 0 for a model of another kind."""
    if not flops.matrices(job.model).target:
        return 0.0
    some = job.examples.take(np.arange(min(len(job.examples), SAMPLED)))
    batch = job.task.collate(some, np.random.default_rng(seed))
    return sum(job.task.counts(batch).values()) / int(some.lengths.sum())


def _of_an_epoch(job: Job) -> Examples:
    """What an epoch learns from, given examples in place of those that are made for it."""
    if job.renew is None:
        return job.examples
    again = np.resize(np.arange(len(job.examples)), job.renew.per_epoch)
    return Examples.joined([job.examples, job.examples.take(again)])


def _training_flops(job: Job, examples: Examples, whole: Whole, targets: float) -> float:
    """All steps, with what regularisers add to each."""
    lengths = examples.lengths
    tokens = int(lengths.sum())
    return adversarial.work(job.train) * flops.forward(job.model, lengths, targets * tokens) * whole.tokens / tokens


def _scoring_flops(job: Job, whole: Whole, targets: float) -> float:
    """All answers, during training and besides it."""
    total = 0.0
    for name, split in job.splits.items():
        lengths = split.examples.lengths
        times = split.answered + (whole.evaluations if name == job.watched else 0)
        total += times * flops.forward(job.model, lengths, targets * int(lengths.sum()))
    return total


def _bytes(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern) if path.is_file())
