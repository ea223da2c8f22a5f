"""The one training loop. It yields events; progress bars, TensorBoard, reports and tests consume them.

It knows a task by its contract, data as examples and steps, and nothing of recipes, stages, files of text or attacks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sixfold.data.batching import Indices, Steps, padded_tokens
from sixfold.data.examples import Examples, Ragged
from sixfold.errors import DataError, ModelError, unknown
from sixfold.models.forward import Flat, can_pack
from sixfold.models.heap import heap_kept
from sixfold.models.products import rounded
from sixfold.tasks.contract import AddingTask, Batch, Task, Term, WholeBatchTask
from sixfold.train import state as states
from sixfold.train.config import TrainConfig
from sixfold.train.dropout import byte_dropout_in
from sixfold.train.events import Choice, Evaluated, Event, Saved, Started, Step, Stopped
from sixfold.train.optimiser import build, epochs, learning_rate, micro_tokens, optimiser, precision, products
from sixfold.train.r_drop import joined
from sixfold.train.schedule import factor
from sixfold.train.vocabulary import UsedRows, tied, used_ids

Evaluate = Callable[[nn.Module], dict[str, float]]

_LOWER_IS_BETTER = ("loss", "perplexity", "error", "ece", "bits_per_byte")


def better(metric: str, score: float, than: float | None) -> bool:
    """Whether ``score`` beats ``than`` (None: nothing yet) on the metric."""
    if math.isnan(score):
        return False
    if than is None:
        return True
    return score < than if metric.endswith(_LOWER_IS_BETTER) else score > than


def to_device(batch: Batch, device: torch.device) -> Batch:
    return {name: value.to(device) if isinstance(value, Tensor | Flat) else value for name, value in batch.items()}


@dataclass
class _Run:
    """What one run holds while it goes on."""

    model: Any
    task: Task
    examples: Examples
    config: TrainConfig
    seed: int
    device: torch.device
    steps: Steps
    rate: float
    epochs: float
    autocast: bool
    rows: UsedRows | None
    parameters: dict[str, nn.Parameter]
    progress: states.Progress = field(default_factory=states.Progress)
    best: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.optimisers = build(self.model, self.parameters, self.config, self.rate)
        self.total = max(1, round(self.epochs * self.steps.per_epoch))
        self.warmup = round(self.config.warmup * self.total)

    def snapshot(self) -> dict[str, Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    def put(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(weights[name])

    def state(self) -> states.State:
        weights = {name: parameter.detach() for name, parameter in self.parameters.items()}
        return states.State(
            self.progress, weights, self.best, states.optimiser_tensors(self.optimisers), states.rng_state()
        )

    def resume(self, state: states.State, folder: Path) -> None:
        fits = states.fits_optimisers(self.optimisers, state.optimiser)
        if not fits or _shapes(state.weights) != _shapes(self.parameters):
            raise ModelError(
                "the saved training state is of another model, another optimiser or other examples",
                where=folder,
                hint=f"remove {folder} to start this stage again",
            )
        self.progress = state.progress
        self.put(state.weights)
        self.best = {name: tensor.to(self.device) for name, tensor in state.best.items()}
        states.restore_optimisers(self.optimisers, state.optimiser)
        states.restore_rng(state.rng)

    def batches(self, micro: Sequence[Indices]) -> list[Batch]:
        """The micro-batches of the next step; each draws from its own generator, so that resuming changes nothing."""
        position = (self.seed, self.progress.epoch, self.progress.step_in_epoch)
        return [
            to_device(
                self.task.collate(self.examples.take(indices), np.random.default_rng((*position, number))),
                self.device,
            )
            for number, indices in enumerate(micro)
        ]

    def backward(self, batches: Sequence[Batch]) -> tuple[float, dict[str, float]]:
        """Gradients of the step's loss; gives the loss and each term's mean over the step's targets."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.autocast):
            if isinstance(self.task, WholeBatchTask):
                return _cached_backward(self.task, self.model, batches)
            return _summed_backward(self.task, self.model, batches, self.config.r_drop)

    def remaining(self) -> Iterator[list[Indices]]:
        """The steps that are left, from where the progress stands."""
        while self.progress.step < self.total:
            epoch = self.progress.epoch
            for micro in self.steps.epoch(epoch, self.progress.step_in_epoch):
                yield micro
                if self.progress.step >= self.total:
                    return
            assert self.progress.epoch == epoch + 1, "the loop counts epochs"

    def set_rate(self) -> float:
        rate = self.rate * factor(self.config.schedule, self.progress.step, self.total, self.warmup)
        for member in self.optimisers:
            for group in member.param_groups:
                group["lr"] = rate * group["share"]
        return rate

    def step(self, micro: Sequence[Indices]) -> Step:
        start = time.perf_counter()
        rate = self.set_rate()
        loss, terms = self.backward(self.batches(micro))
        norm = float(nn.utils.clip_grad_norm_(list(self.parameters.values()), self.config.clip))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm}"
            _refuse_nan(self.examples, micro, what, self.progress.step)
        for member in self.optimisers:
            member.step()
            member.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.progress.step_in_epoch += 1
        lengths = [self.steps.lengths[indices] for indices in micro]
        tokens = int(sum(part.sum() for part in lengths))
        return Step(
            step=self.progress.step,
            epoch=self.progress.step / self.steps.per_epoch,
            loss=loss,
            terms=terms,
            learning_rate=rate,
            grad_norm=norm,
            tokens=tokens,
            padded_tokens=sum(self.computed(part) for part in lengths),
            seconds=time.perf_counter() - start,
        )

    def computed(self, lengths: NDArray) -> int:
        """Tokens that a micro-batch computes, those that fill it up included."""
        return rounded(int(lengths.sum()), self.device) if self.steps.packed else padded_tokens(lengths)

    def evaluate(self, evaluate: Evaluate, metric: str) -> Evaluated:
        start = time.perf_counter()
        if self.rows is not None:
            self.rows.write_back()
        self.model.eval()
        with torch.no_grad():
            scores = evaluate(self.model)
        self.model.train()
        if metric not in scores:
            raise unknown("metric", metric, scores, where="train.metric")
        loss = scores.get("loss", math.inf)
        best = better(metric, scores[metric], self.progress.best_score) or (
            scores[metric] == self.progress.best_score and loss < self.progress.best_loss
        )
        if best:
            self.progress.best_score, self.progress.best_step = scores[metric], self.progress.step
            self.progress.best_loss = loss
            self.progress.misses = 0
            self.best = self.snapshot()
        else:
            self.progress.misses += 1
        epoch = self.progress.step / self.steps.per_epoch
        return Evaluated(self.progress.step, epoch, scores, metric, best, time.perf_counter() - start)


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in weights.items()}


def _divided(terms: dict[str, Term], totals: dict[str, float]) -> Tensor:
    """The step's share of the loss that these terms are: each sum over the whole step's count."""
    return torch.stack([term.weight * term.sum / (totals[name] or 1.0) for name, term in terms.items()]).sum()


def _summed_backward(
    task: Task, model: nn.Module, batches: Sequence[Batch], r_drop: float = 0.0
) -> tuple[float, dict[str, float]]:
    totals: dict[str, float] = {}
    for batch in batches:
        for name, count in task.counts(batch).items():
            totals[name] = totals.get(name, 0.0) + count
    loss, means = 0.0, dict.fromkeys(totals, 0.0)
    for batch in batches:
        terms = task.loss(model, batch)
        if r_drop:
            terms = joined(terms, task.loss(model, batch), r_drop)
        part = _divided(terms, totals)
        part.backward()
        loss += float(part.detach())
        for name, term in terms.items():
            means[name] += float(term.sum.detach()) / (totals[name] or 1.0)
    return loss, means


def _cached_backward(
    task: WholeBatchTask, model: nn.Module, batches: Sequence[Batch]
) -> tuple[float, dict[str, float]]:
    """Gradient caching (Gao et al. 2021, arXiv:2101.06983): a loss over all rows at the memory of one micro-batch.

    The second pass must draw the same dropout as the first, so the generator is put back before each micro-batch.
    """
    rngs, parts = [], []
    with torch.no_grad():
        for batch in batches:
            rngs.append(states.rng_state())
            parts.append(task.represent(model, batch))
    whole = torch.cat(parts).requires_grad_()
    terms = task.loss_of(whole, batches)
    loss = _divided(terms, {name: term.count for name, term in terms.items()})
    loss.backward()
    assert whole.grad is not None
    after = states.rng_state()
    for batch, rng, gradient in zip(batches, rngs, whole.grad.split([len(part) for part in parts]), strict=True):
        states.restore_rng(rng)
        task.represent(model, batch).backward(gradient)
    states.restore_rng(after)
    return float(loss.detach()), {name: float(term.sum.detach()) / (term.count or 1.0) for name, term in terms.items()}


def _refuse_nan(examples: Examples, micro: Sequence[Indices], what: str, step: int) -> None:
    indices = np.concatenate(list(micro))
    rows = examples.dense("row")[indices] if "row" in examples.columns else indices
    raise DataError(
        f"{what} at step {step + 1}: training stopped before it could spoil the weights",
        where=f"training rows {', '.join(str(row) for row in sorted(rows.tolist())[:8])} …",
        hint="lower the learning rate, or look at these rows; the last good state is kept",
    )


def _start(
    model: Any, task: Task, examples: Examples, config: TrainConfig, seed: int, groups: Ragged | None
) -> tuple[_Run, list[Choice]]:
    """Decide what the machine decides, and put the run together."""
    device = next(model.parameters()).device
    packed = can_pack(model)
    rate, number, micro = (
        learning_rate(model, config),
        precision(config, device),
        micro_tokens(model, config, packed=packed),
    )
    layout = Choice(
        "batch layout",
        "packed" if packed else "padded",
        "attention runs row by row, nothing is padded" if packed else f"no packing for {model.config.model_type}",
    )
    choices = [
        rate,
        number,
        micro,
        layout,
        *products(device, str(number.value)),
        Choice("device", str(device), f"{torch.get_num_threads()} threads"),
    ]
    rows = None
    if model.get_input_embeddings().weight.requires_grad and not tied(model):
        added = task.added_ids if isinstance(task, AddingTask) else ()
        size = model.get_input_embeddings().num_embeddings
        used = torch.from_numpy(used_ids(examples.ragged("input_ids").values, size, added)).to(device)
        rows = UsedRows(model.get_input_embeddings(), used)
        whole = rows.table.num_embeddings
        choices.append(Choice("embedding rows", len(used), f"of {whole:,}; the others occur in no training example"))
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if rows is not None:
        parameters["embeddings.used_rows"] = rows.weight
    steps = Steps(examples.lengths, config.batch, int(micro.value), seed, packed, groups)  # type: ignore[call-overload]
    passes = epochs(config, steps.per_epoch)
    choices[:0] = [passes, optimiser(model, parameters, config)]
    run = _Run(
        model=model,
        task=task,
        examples=examples,
        config=config,
        seed=seed,
        device=device,
        steps=steps,
        rate=float(rate.value),  # type: ignore[arg-type]
        epochs=float(passes.value),  # type: ignore[arg-type]
        autocast=number.value == "bf16",
        rows=rows,
        parameters=parameters,
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

    Raises:
        DataError: no examples, or a loss that is not a number.
        UsageError: the evaluation does not give the metric that the config names.
        ModelError: the saved state cannot be read, or is of another model.
        StorageError: a state could not be written; the one before it is whole.
    """
    if not len(examples):
        raise DataError("there is nothing to train on", hint="look at the data with: sixfold check")
    with ExitStack() as stack:
        run, choices = _start(model, task, examples, config, seed, groups)
        stack.callback(lambda: run.rows.release() if run.rows is not None else None)
        if run.device.type == "cpu":
            stack.enter_context(byte_dropout_in(model))
            stack.enter_context(heap_kept())
        torch.manual_seed(seed)
        saved = states.load(folder) if folder is not None else None
        if saved is not None:
            assert folder is not None
            run.resume(saved, folder)
        model.train()
        yield Started(run.total, run.progress.step, tuple(choices))
        yield from _go(run, folder, evaluate, stop)
        model.eval()


def _go(run: _Run, folder: Path | None, evaluate: Evaluate | None, stop: Callable[[], bool]) -> Iterator[Event]:
    config, progress = run.config, run.progress
    metric = config.metric or run.task.metric
    every = max(1, round(run.steps.per_epoch / config.evaluations))
    last_save = time.monotonic()
    reason: Literal["done", "early", "interrupted"] = "done"
    for micro in run.remaining():
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
            last_save = time.monotonic()
        if interrupted:
            reason = "interrupted"
            break
    if reason != "interrupted" and run.best:
        run.put(run.best)
    best_step = progress.best_step if run.best else progress.step
    yield Stopped(progress.step, reason, best_step, progress.best_score)
