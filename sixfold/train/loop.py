"""The one training loop. It yields events; progress bars, TensorBoard, reports and tests consume them.

It knows a task by its contract, data as examples and steps, and nothing of recipes, stages, files of text or attacks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sixfold.data.batching import Indices, Steps, padded_tokens
from sixfold.data.examples import Examples, Ragged
from sixfold.errors import DataError, ModelError, unknown
from sixfold.models.forward import can_pack
from sixfold.models.heap import heap_kept
from sixfold.models.products import rounded
from sixfold.tasks.contract import Task
from sixfold.tasks.masking import MaskToken
from sixfold.train import processes
from sixfold.train import state as states
from sixfold.train.config import TrainConfig
from sixfold.train.events import Choice, Evaluated, Event, Renewed, Saved, Started, Step, Stopped
from sixfold.train.gradients import refuse
from sixfold.train.learner import Alone, Learner
from sixfold.train.many import Many
from sixfold.train.optimiser import epochs, learning_rate, micro_tokens, precision, products
from sixfold.train.renewed import Renew, RenewedExamples
from sixfold.train.schedule import factor
from sixfold.train.words import NONE, Words

Evaluate = Callable[[nn.Module], dict[str, float]]

_LOWER_IS_BETTER = ("loss", "perplexity", "error", "ece", "bits_per_byte")


def better(metric: str, score: float, than: float | None) -> bool:
    """Whether ``score`` beats ``than`` (None: nothing yet) on the metric."""
    if math.isnan(score):
        return False
    if than is None:
        return True
    return score < than if metric.endswith(_LOWER_IS_BETTER) else score > than


@dataclass
class _Run:
    """What one run holds while it goes on."""

    learner: Learner
    task: Task
    examples: Examples
    config: TrainConfig
    seed: int
    device: torch.device
    steps: Steps
    rate: float
    total: int
    progress: states.Progress = field(default_factory=states.Progress)
    best: dict[str, Tensor] = field(default_factory=dict)
    renewed: RenewedExamples | None = None

    def __post_init__(self) -> None:
        self.warmup = round(self.config.warmup * self.total)

    def state(self) -> states.State:
        learner = self.learner
        return states.State(self.progress, learner.weights(), self.best, learner.optimisers_state(), states.rng_state())

    def resume(self, state: states.State, folder: Path) -> None:
        if not self.learner.fits(state):
            raise ModelError(
                "the saved training state is of another model, another optimiser or other examples",
                where=folder,
                hint=f"go on with what it was saved from, or remove {folder} to start this stage again",
            )
        self.progress = state.progress
        self.learner.put(state.weights)
        self.best = {name: tensor.to(self.device) for name, tensor in state.best.items()}
        self.learner.restore(state.optimiser)
        states.restore_rng(state.rng)

    def epoch(self) -> Iterator[list[Indices]]:
        """The steps that are left of the epoch in which the progress stands."""
        progress = self.progress
        for micro in self.steps.epoch(progress.epoch, progress.step_in_epoch):
            yield micro
            if progress.step >= self.total:
                return

    def renew(self) -> Renewed:
        """Make the examples of the epoch that begins. What that draws at random is none of the run's."""
        assert self.renewed is not None
        start, epoch, rng = time.perf_counter(), self.progress.epoch, states.rng_state()
        model = self.learner.whole().eval()
        made = self.renewed.make(epoch, model)
        model.train()
        model.zero_grad(set_to_none=True)
        states.restore_rng(rng)
        again = self.renewed.renew.per_epoch - made
        return Renewed(self.progress.step, epoch, made, again, time.perf_counter() - start)

    def take(self, examples: Examples) -> None:
        """Learn from these from now on; there are as many as before."""
        assert len(examples) == self.steps.units
        self.examples = self.learner.examples = examples
        self.steps = replace(self.steps, lengths=examples.lengths)

    def step(self, micro: list[Indices]) -> Step:
        start = time.perf_counter()
        progress = self.progress
        rate = self.rate * factor(self.config.schedule, progress.step, self.total, self.warmup)
        micro = self.learner.cut(micro)
        learnt = self.learner.learn(micro, (self.seed, progress.epoch, progress.step_in_epoch), rate)
        if not learnt.finite:
            loss, norm = learnt.loss, learnt.norm
            what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm}"
            _refuse_nan(self.examples, micro, what, progress.step)
        progress.step += 1
        progress.step_in_epoch += 1
        lengths = [self.steps.lengths[indices] for indices in micro]
        tokens = int(sum(part.sum() for part in lengths))
        return Step(
            step=progress.step,
            epoch=progress.step / self.steps.per_epoch,
            loss=learnt.loss,
            terms=learnt.terms,
            learning_rate=rate,
            grad_norm=learnt.norm,
            tokens=tokens,
            padded_tokens=sum(self.computed(part) for part in lengths),
            seconds=time.perf_counter() - start,
        )

    def computed(self, lengths: NDArray) -> int:
        """Tokens that a micro-batch computes, those that fill it up included."""
        return rounded(int(lengths.sum()), self.device) if self.steps.packed else padded_tokens(lengths)

    def evaluate(self, evaluate: Evaluate, metric: str) -> Evaluated:
        start = time.perf_counter()
        model = self.learner.whole().eval()
        with torch.no_grad():
            scores = evaluate(model)
        model.train()
        if metric not in scores:
            raise unknown("metric", metric, scores, where="train.metric")
        loss = scores.get("loss", math.inf)
        best = better(metric, scores[metric], self.progress.best_score) or (
            scores[metric] == self.progress.best_score and loss < self.progress.best_loss
        )
        if not self.learner.settled:
            best = False  # of a model that is to shrink yet, neither the best nor a miss
        elif best:
            self.progress.best_score, self.progress.best_step = scores[metric], self.progress.step
            self.progress.best_loss = loss
            self.progress.misses = 0
            self.best = {name: tensor.clone() for name, tensor in self.learner.weights().items()}
        else:
            self.progress.misses += 1
        epoch = self.progress.step / self.steps.per_epoch
        return Evaluated(self.progress.step, epoch, scores, metric, best, time.perf_counter() - start)


def _refuse_nan(examples: Examples, micro: Sequence[Indices], what: str, step: int) -> None:
    indices = np.concatenate(list(micro))
    rows = examples.dense("row")[indices] if "row" in examples.columns else indices
    raise DataError(
        f"{what} at step {step + 1}: training stopped before it could spoil the weights",
        where=f"training rows {', '.join(str(row) for row in sorted(rows.tolist())[:8])} …",
        hint="lower the learning rate, or look at these rows; the last good state is kept",
    )


def _start(
    model: Any,
    task: Task,
    examples: Examples,
    config: TrainConfig,
    seed: int,
    groups: Ragged | None,
    folder: Path | None,
    mask: MaskToken | None,
    words: Words,
    renew: Renew | None,
) -> tuple[_Run, list[Choice]]:
    """Decide what the machine decides, and put the run together."""
    refuse(task, config)
    renewed = None if renew is None else RenewedExamples(examples, renew, seed=seed, folder=folder)
    device = next(model.parameters()).device
    packed = can_pack(model)
    rate, number, micro = (
        learning_rate(model, config),
        precision(config, device),
        micro_tokens(model, config, packed=packed),
    )
    lengths = examples.lengths if renewed is None else np.resize(examples.lengths, renewed.per_epoch)
    steps = Steps(lengths, config.batch, int(micro.value), seed, packed, groups)  # type: ignore[call-overload]
    passes = epochs(config, steps.per_epoch)
    layout = Choice(
        "batch layout",
        "packed" if packed else "padded",
        "attention runs row by row, nothing is padded" if packed else f"no packing for {model.config.model_type}",
    )
    parts: dict[str, Any] = {"rate": float(rate.value), "autocast": number.value == "bf16"}  # type: ignore[arg-type]
    parts["renewed"] = renewed is not None
    total = max(1, round(float(passes.value) * steps.per_epoch))  # type: ignore[arg-type]
    group = processes.current()
    learner: Learner
    if group is None:
        learner = Alone(model, task, examples, config, mask=mask, words=words, steps=total, **parts)
    else:
        learner = Many(group, model, task, examples, config, folder=folder, **parts)
    choices = [
        passes,
        *learner.choices,
        rate,
        number,
        micro,
        layout,
        *products(device, str(number.value)),
        Choice("device", str(device), f"{torch.get_num_threads()} threads"),
    ]
    run = _Run(
        learner=learner,
        task=task,
        examples=examples,
        config=config,
        seed=seed,
        device=device,
        steps=steps,
        rate=parts["rate"],
        total=total,
        renewed=renewed,
    )
    return run, choices


def fit(
    model: Any,
    task: Task,
    examples: Examples,
    config: TrainConfig,
    *,
    seed: int,
    groups: Ragged | None = None,
    folder: Path | None = None,
    evaluate: Evaluate | None = None,
    stop: Callable[[], bool] = lambda: False,
    mask: MaskToken | None = None,
    words: Words = NONE,
    renew: Renew | None = None,
) -> Iterator[Event]:
    """Train ``model`` in place; the best weights are in it when the last event has been taken.

    Args:
        model: on its device, in any mode; parameters that should not learn have ``requires_grad`` off.
        task: gives batches and losses.
        examples: what to learn from.
        config: the dials.
        seed: fixes order, dropout and masking.
        groups: examples that go into the same step (``Steps.groups``); ``config.batch`` then counts groups.
        folder: where states are kept; a state found there is resumed. None: nothing is written.
        evaluate: scores of the model (in evaluation mode, no gradients) on the validation split.
        stop: asked after every step; True saves the state and ends the run (Ctrl-C).
        mask: what a masked token becomes; needed with ``config.mask_share``.
        words: which words may stand for which; needed with hotflip and with ``synonym_encoding``.
        renew: makes examples that an epoch learns from beside those given (``renewed.py``). Not with ``groups``.

    Raises:
        DataError: no examples, or a loss that is not a number.
        UsageError: the evaluation does not give the metric that the config names; or a dial of the config does not fit
            the task, or several processes.
        ModelError: the saved state cannot be read, or is of another model.
        StorageError: a state could not be written; the one before it is whole.
        SixfoldError: another process of the run ended (``processes.py``).
    """
    if not len(examples):
        raise DataError("there is nothing to train on", hint="look at the data with: sixfold check")
    assert renew is None or groups is None, "groups are of the examples given"
    assert mask is not None or not config.mask_share, "mask_share needs a mask token"
    with ExitStack() as stack:
        run, choices = _start(
            model, task, examples, config, seed, groups, folder, mask if config.mask_share else None, words, renew
        )
        stack.callback(run.learner.release)
        if run.device.type == "cpu":
            stack.enter_context(heap_kept())
        torch.manual_seed(seed)
        saved = states.load(folder) if folder is not None else None
        if saved is not None:
            assert folder is not None
            run.resume(saved, folder)
        if run.renewed is not None:
            run.renewed.begin(None if saved is None else (run.progress.epoch, run.progress.step_in_epoch))
        model.train()
        yield Started(run.total, run.progress.step, tuple(choices))
        yield from _go(run, folder, evaluate, stop)
        model.eval()


def _go(run: _Run, folder: Path | None, evaluate: Evaluate | None, stop: Callable[[], bool]) -> Iterator[Event]:
    config, progress = run.config, run.progress
    metric = config.metric or run.task.metric
    every = max(1, round(run.steps.per_epoch / config.evaluations))
    saved, last_save = progress.step, time.monotonic()
    reason: Literal["done", "early", "interrupted"] = "done"
    while reason == "done" and progress.step < run.total:
        if run.renewed is not None:
            if not run.renewed.has(progress.epoch):
                if folder is not None and progress.step > saved:
                    yield Saved(progress.step, states.save(run.state(), folder))
                yield run.renew()
            run.take(run.renewed.examples(progress.epoch))
        for micro in run.epoch():
            yield run.step(micro)
            if progress.step_in_epoch == run.steps.per_epoch:
                progress.epoch, progress.step_in_epoch = progress.epoch + 1, 0
            due = progress.step % every == 0 or progress.step == run.total
            if evaluate is not None and due:
                yield run.evaluate(evaluate, metric)
                if config.patience is not None and progress.misses >= config.patience:
                    reason = "early"
                    break
            interrupted = stop()
            if folder is not None and (interrupted or time.monotonic() - last_save >= 60 * config.save_minutes):
                yield Saved(progress.step, states.save(run.state(), folder))
                saved, last_save = progress.step, time.monotonic()
            if interrupted:
                reason = "interrupted"
                break
    if reason != "interrupted" and run.best:
        run.learner.put(run.best)
    best_step = progress.best_step if run.best else progress.step
    yield Stopped(progress.step, reason, best_step, progress.best_score)
