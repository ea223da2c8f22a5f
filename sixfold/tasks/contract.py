"""The contract between a task and everything above it.

A task is a frozen object that knows one way to turn rows into something a model learns, and a model's answers back
into the user's terms. It knows nothing of files, loops, optimisers or reports. Adding a task is adding one file.

    rows ── encode ──> Examples ── collate ──> Batch ── loss ──> Terms          (training)
                       Examples ── predict(predictor) ──> predictions ── evaluate ──> metrics
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sixfold.data.columns import Column
from sixfold.data.examples import Examples
from sixfold.models.head import Head
from sixfold.text.counting import counted

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


class Rows(Protocol):
    """What tasks ask of rows; a ``datasets.Dataset`` is one. Columns are named by role."""

    @property
    def column_names(self) -> list[str]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, column: str, /) -> Sequence[Any]: ...


Batch = dict[str, Any]
"""What ``collate`` gives: ``flat``, the rows' tokens end to end (a ``models.forward.Flat``), and tensors of targets."""

OnLong = Literal["error", "truncate", "window"]
"""What to do with a text longer than the model's limit: refuse, keep its start, or split it into windows."""


@dataclass(frozen=True)
class Cut:
    """What encoding took away, or split. Shown before training.

    Attributes:
        rows: rows that were encoded.
        long_rows: rows longer than the limit.
        lost_tokens: tokens that no example holds.
        windows: examples beyond one a row.
        unlearnable: rows that have nothing to learn from: every labelled word was cut away.
        longest: tokens of the longest row, before any cut.
        limit: tokens an example may have.
        where: the first few long rows, as indices.
    """

    rows: int
    long_rows: int = 0
    lost_tokens: int = 0
    windows: int = 0
    unlearnable: int = 0
    longest: int = 0
    limit: int = 0
    where: tuple[int, ...] = ()

    def told(self, split: str) -> str:
        """What encoding a split took away, for a person; with rich's markup."""
        rows, longest = counted(self.rows, "row"), counted(self.longest, "token")
        if not self.long_rows:
            return f"{split}: {rows}, the longest {longest}, nothing cut"
        more, lost = counted(self.windows, "more window"), counted(self.lost_tokens, "token")
        done = f"{lost} cut away" if self.lost_tokens else f"split into {more}"
        bare = f", and all there is to learn in {counted(self.unlearnable, 'row')}" if self.unlearnable else ""
        return f"{split}: {rows}, [yellow]{self.long_rows:,} longer than {self.limit:,} tokens: {done}{bare}[/]"


@dataclass(frozen=True)
class Encoded:
    """Examples and what it took to make them. ``examples["row"]`` says which row each came from."""

    examples: Examples
    cut: Cut


@dataclass(frozen=True)
class Term:
    """One term of a loss over one micro-batch.

    Attributes:
        sum: scalar tensor, the loss summed over the targets.
        count: number of targets; equal to what ``Task.counts`` says for the batch.
        weight: the term's share in the whole loss.
        logits: [targets, ..., classes] what the term was computed from, as logits of a softmax; for regularisers that
            compare two passes. None: the term does not tell.
    """

    sum: torch.Tensor
    count: float
    weight: float = 1.0
    logits: torch.Tensor | None = None


@dataclass(frozen=True)
class Ask:
    """What is wanted of a model for some examples.

    Attributes:
        name: identifies the question; part of a cache key.
        collate: examples to a batch.
        read: runs the model on the batch and gives one array an example, in order.
        gradients: whether ``read`` differentiates; the model's weights are frozen meanwhile.
    """

    name: str
    collate: Callable[[Examples], Batch]
    read: Callable[[torch.nn.Module, Batch], list[NDArray]]
    gradients: bool = False


@dataclass(frozen=True)
class Limits:
    """When a generated text ends.

    Attributes:
        new_tokens: at most this many.
        stop_ids: any of these ends it.
        beams: 1 is greedy.
    """

    new_tokens: int
    stop_ids: tuple[int, ...] = ()
    beams: int = 1


class Predictor(Protocol):
    """What a task predicts with: a scorer, a generator, or both. Handed in, since both live in a higher layer."""

    def ask(self, examples: Examples, ask: Ask) -> list[NDArray]:
        """One array an example, in the order of the examples."""
        ...

    def generate(self, examples: Examples, limits: Limits) -> list[list[int]]:
        """New token ids for each example's ``input_ids`` (the prompt)."""
        ...


@runtime_checkable
class Task(Protocol):
    """One task. Every method is pure; what a task has learnt from the rows (its labels) is in its fields."""

    name: ClassVar[str]
    metric: ClassVar[str]
    """The score that early stopping watches unless the recipe names another; higher is better unless it is a loss."""

    @property
    def score_names(self) -> tuple[str, ...]:
        """The keys of what ``scores`` gives; early stopping may watch any."""
        ...

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it reads of a row."""
        ...

    def learn(self, rows: Rows) -> Self:
        """The same task, knowing what the training rows say (labels, class weights)."""
        ...

    def head(self) -> Head:
        """The head it needs on a base."""
        ...

    def encode(self, rows: Rows, tokenizer: PreTrainedTokenizerBase, limit: int, on_long: OnLong) -> Encoded:
        """Rows to examples. Rows without targets can be encoded too, for prediction."""
        ...

    def collate(self, examples: Examples, rng: np.random.Generator) -> Batch:
        """A batch. ``rng`` is fixed by (seed, epoch, step, micro-batch): masking draws from it."""
        ...

    def counts(self, batch: Batch) -> dict[str, float]:
        """Targets of each loss term in the batch, without running the model."""
        ...

    def loss(self, model: torch.nn.Module, batch: Batch) -> dict[str, Term]:
        """Named terms, each summed over the batch. The loop divides by the counts of the whole optimiser step."""
        ...

    def predict(self, predictor: Predictor, examples: Examples) -> list[Any]:
        """One prediction a row (not an example: windows are joined), in the user's terms."""
        ...

    def tune(self, predictions: Sequence[Any], rows: Rows) -> Self:
        """The same task with what is set on the validation split: thresholds, a temperature."""
        ...

    def scores(self, predictions: Sequence[Any], rows: Rows) -> dict[str, float]:
        """Plain numbers by name, cheap enough for every evaluation while training. ``metric`` is among them."""
        ...

    def evaluate(self, predictions: Sequence[Any], rows: Rows, *, seed: int) -> dict[str, Any]:
        """Everything a report shows, ready for JSON: metrics with counts and intervals, tables, the worst mistakes."""
        ...

    def settings(self) -> dict[str, Any]:
        """What a checkpoint must keep of the task, ready for JSON; the class takes it back as keyword arguments."""
        ...

    def show(self, prediction: Any) -> dict[str, Any]:
        """One prediction in the user's terms, ready for a JSON line."""
        ...


@runtime_checkable
class WholeBatchTask(Task, Protocol):
    """A task whose loss needs every row of the step at once (in-batch negatives): it gets gradient caching.

    The loop represents each micro-batch without gradients, asks for the loss of all representations together, and then
    runs each micro-batch again with the gradient of its own representations (Gao et al. 2021, arXiv:2101.06983).
    """

    def represent(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """[rows of the micro-batch, ...]"""
        ...

    def loss_of(self, representations: torch.Tensor, batches: Sequence[Batch]) -> dict[str, Term]:
        """Terms from the whole step's representations [rows of the step, ...], in the order of the micro-batches."""
        ...


@runtime_checkable
class FittedTask(Task, Protocol):
    """A task that must know the tokenizer's special tokens before it encodes (a mask, separators, an end)."""

    def fitted(self, tokenizer: PreTrainedTokenizerBase) -> Self:
        """The same task for one tokenizer. Raises ModelError where the tokenizer lacks what it needs."""
        ...


@runtime_checkable
class AddingTask(Task, Protocol):
    """A task whose ``collate`` puts tokens into a batch that no example holds (a mask, separators)."""

    @property
    def added_ids(self) -> tuple[int, ...]:
        """Which; their embeddings learn too."""
        ...


@runtime_checkable
class PreparedTask(Task, Protocol):
    """A task that adds columns once before training (a preference task: the reference's log-probabilities)."""

    def prepare(self, predictor: Predictor, examples: Examples) -> Examples: ...
