"""How hard each row is for a checkpoint, by what its task learns: the number that membership is told by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Examples
from sixfold.errors import DataError, UsageError
from sixfold.metrics.intervals import Floats
from sixfold.safety.secret_losses import log_softmax
from sixfold.tasks.causal_lm import CausalLM
from sixfold.tasks.contract import Predictor, Task
from sixfold.tasks.dialogue import Dialogue
from sixfold.tasks.masked_and_order import MaskedAndOrder
from sixfold.tasks.masked_lm import MaskedLM
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.text_loss import TextLoss
from sixfold.tasks.token_classification import IGNORED, TokenClassification


def row_losses(task: Task, scorer: Predictor, examples: Examples) -> Floats:
    """[rows] the loss of each row in nats; NaN where a row has nothing that can be judged.

    - text_classification: the cross-entropy of the right label (several labels: the mean over all labels).
    - token_classification: the mean over the row's words.
    - causal_lm: the mean over the document's tokens. dialogue: over those of the assistant's turns. masked_lm: over
      those hidden under one mask, which the document alone decides, so that a reference model is asked the same.

    Temperatures and weights of classes are left out: the model is asked, not what was set on validation rows.

    Args:
        task: as it encoded the examples.
        scorer: a ``Scorer`` of the checkpoint.
        examples: encoded rows with their targets; pieces of one row are joined.

    Raises:
        DataError: the rows have no targets.
        UsageError: the task has no loss of single rows.
    """
    if isinstance(task, CausalLM | MaskedLM | Dialogue):
        return _means(task.predict(scorer, examples))
    if isinstance(task, MaskedAndOrder):
        return _means([one.masked for one in task.predict(scorer, examples)])
    if isinstance(task, TextClassification):
        _check_targets(examples, "label")
        return _of_labels(task, task.joined(scorer.ask(examples, task.question()), examples), examples)
    if isinstance(task, TokenClassification):
        _check_targets(examples, "tag")
        return _of_tags(*task.joined(scorer.ask(examples, task.question()), examples), examples)
    raise UsageError(
        f"rows of the task {task.name} have no loss that could tell membership",
        hint="those of text_classification, token_classification, causal_lm, masked_lm and dialogue have",
    )


def _check_targets(examples: Examples, name: str) -> None:
    if name not in examples.columns:
        raise DataError(f"the rows have no {name}s: without the right answer there is no loss")


def _means(found: list[TextLoss]) -> Floats:
    return np.array([one.nats / one.targets if one.targets else np.nan for one in found], dtype=np.float64)


def _of_labels(task: TextClassification, logits: Floats, examples: Examples) -> Floats:
    """A row's pieces all have its label, so that the last one's may stand for it."""
    label = examples.dense("label")
    gold = np.zeros((len(logits), *label.shape[1:]), dtype=label.dtype)
    gold[examples.dense("row")] = label
    if task.several:
        of_each: Floats = (np.logaddexp(0.0, logits) - gold * logits).mean(axis=1)
        return of_each
    losses = -log_softmax(logits)[np.arange(len(gold)), gold]
    return np.where(gold >= 0, losses, np.nan)


def _of_tags(logits: list[Floats], judged: list[NDArray[np.bool_]], examples: Examples) -> Floats:
    gold = [np.full(len(table), IGNORED) for table in logits]
    for row, word, tag in zip(examples.dense("row"), examples.ragged("word"), examples.ragged("tag"), strict=True):
        gold[row][word] = tag
    out = np.full(len(logits), np.nan)
    for row, (table, tags, seen) in enumerate(zip(logits, gold, judged, strict=True)):
        known = np.flatnonzero(seen & (tags != IGNORED))
        if len(known):
            out[row] = -log_softmax(table[known])[np.arange(len(known)), tags[known]].mean()
    return out
