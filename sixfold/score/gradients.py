"""Gradients with respect to a text's word embeddings: what HotFlip, saliency and integrated gradients are made of.

They are asked for like any other answer, so many texts and many points of a path go through the model together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, logsigmoid

from sixfold.data.examples import Examples, Ragged
from sixfold.models.forward import Flat, row_logits, token_logits
from sixfold.perturb.words import Edit
from sixfold.score.driver import Query
from sixfold.score.subject import Subject, Text
from sixfold.tasks.contract import Ask, Batch
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.token_classification import IGNORED

ZERO = -1
"""Instead of a token id: the baseline whose embedding is all zeros."""


def gradient_query(
    subject: Subject,
    text: Text,
    variants: Sequence[Sequence[Edit]],
    labels: Sequence[int] | Sequence[Sequence[int]],
    *,
    along: Sequence[float] | None = None,
    baseline: int = ZERO,
) -> Query:
    """Ask for the gradient of a label's loss (-log probability) with respect to the word embeddings.

    An answer is float32 [tokens, width], the special tokens around the text included. A variant in several windows
    has an answer for each; ``row`` of the query's examples says whose it is.

    Args:
        labels: for each variant the class whose loss is meant; of a row of words, one tag a word, ``IGNORED`` for words
            that are not asked about (the losses of the others are added).
        along: for each variant, how far from the baseline (0) to the text (1) its embeddings lie, for integrated
            gradients (Sundararajan et al. 2017, arXiv:1703.01365). The special tokens around the text stay as they are.
        baseline: the token in place of each token of the text where the path begins, or ``ZERO``.
    """
    examples = subject.examples(text, variants)
    row = examples.dense("row")
    if isinstance(subject.task, TextClassification):
        examples = examples.with_column("wanted", np.array(labels, dtype=np.int64)[row])
    else:
        words = examples.ragged("word")
        tags = [np.asarray(labels[number])[words[place]] for place, number in enumerate(row.tolist())]
        examples = examples.with_column("wanted", Ragged.of(tags))
    if along is not None:
        examples = examples.with_column("along", np.array(along, dtype=np.float32)[row])
        examples = examples.with_column("baseline", np.full(len(row), baseline, dtype=np.int64))
    return Query(examples, _question(subject, path=along is not None))


def _question(subject: Subject, *, path: bool) -> Ask:
    kind = "one of several labels" if getattr(subject.task, "several", False) else subject.task.name
    edges = len(subject.frame.before), len(subject.frame.after)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return _loss(subject.task, model, batch)

    return embedding_gradient(kind, subject.task.question().collate, loss, edges, path=path)


def embedding_gradient(
    kind: str,
    inputs: Callable[[Examples], Batch],
    loss: Callable[[nn.Module, Batch], Tensor],
    edges: tuple[int, int],
    *,
    path: bool,
) -> Ask:
    """The question for a loss's gradient; answers as of ``gradient_query``.

    Args:
        kind: names the loss.
        inputs: examples to a batch. Their column ``wanted`` is what the loss is of; with a path, ``along`` and
            ``baseline`` say how far and from where.
        loss: summed over the batch, whose rows do not see each other.
        edges: special tokens before and after a text, which a path leaves as they are.
    """

    def collate(examples: Examples) -> Batch:
        batch = inputs(examples)
        wanted = examples.columns["wanted"]
        batch["wanted"] = torch.from_numpy(np.asarray(wanted.values if isinstance(wanted, Ragged) else wanted)).long()
        if path:
            batch["share"] = torch.from_numpy(_shares(examples, *edges))
            batch["baseline"] = torch.from_numpy(examples.dense("baseline"))
        return batch

    def read(model: nn.Module, batch: Batch) -> list[NDArray]:
        flat: Flat = batch["flat"]
        with _embedded(model, batch) as found:
            total = loss(model, batch)
        (slope,) = torch.autograd.grad(total, found.output)
        tokens = slope[_places(slope, flat)].float().cpu()
        return [part.numpy() for part in tokens.split(list(flat.lengths))]

    return Ask(f"embedding gradient, {kind}, path: {path}", collate, read, gradients=True)


def _shares(examples: Examples, before: int, after: int) -> NDArray[np.float32]:
    """[tokens] how much of each token's own embedding there is; all of a special token's around the text."""
    ids, along = examples.ragged("input_ids"), examples.dense("along")
    place = np.arange(len(ids.values)) - np.repeat(ids.offsets[:-1], ids.lengths)
    left = np.repeat(ids.lengths, ids.lengths) - place
    return np.where((place < before) | (left <= after), np.float32(1), np.repeat(along, ids.lengths))


def _loss(task: Any, model: nn.Module, batch: Batch) -> Tensor:
    """The sum over the batch: rows do not see each other, so its gradient at a row is that of the row's own loss."""
    wanted = batch["wanted"]
    if isinstance(task, TextClassification):
        logits = row_logits(model, batch["flat"]).float()
        if task.several:
            return -logsigmoid(logits.gather(1, wanted[:, None])).sum()
        return cross_entropy(logits, wanted, reduction="sum")
    logits = token_logits(model, batch["flat"])[batch["begins"]].float()
    return cross_entropy(logits, wanted, ignore_index=IGNORED, reduction="sum")


@dataclass
class _Found:
    """The word embeddings that went into the model, as it laid them out."""

    output: Tensor


@contextmanager
def _embedded(model: Any, batch: Batch) -> Iterator[_Found]:
    """Catch the word embeddings of one call, moved towards their baseline where the batch says so."""
    table: nn.Module = model.get_input_embeddings()
    found = _Found(torch.empty(0))

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        point = output.detach()
        if "share" in batch:
            point = _moved(point, table, batch)
        found.output = point.requires_grad_()
        return found.output

    handle = table.register_forward_hook(hook)
    try:
        yield found
    finally:
        handle.remove()


def _moved(point: Tensor, table: Any, batch: Batch) -> Tensor:
    """Towards the baseline: ``share`` of each token's own embedding, the rest of the baseline's."""
    flat: Flat = batch["flat"]
    places, lengths = _places(point, flat), torch.tensor(flat.lengths, device=point.device)
    with torch.no_grad():
        ids = batch["baseline"].repeat_interleave(lengths)
        start = table.forward(ids.clamp(min=0)) * (ids >= 0)[:, None]
        moved = point.clone()
        moved[places] = start + batch["share"][:, None] * (point[places] - start)
    return moved


def _places(laid: Tensor, flat: Flat) -> tuple[Tensor, Tensor]:
    """Where each token of the flat batch lies in [1, tokens and filling, width], or in [rows, longest, width]."""
    place = flat.position_ids
    if laid.shape[0] == 1:
        return torch.zeros_like(place), torch.arange(len(place), device=place.device)
    lengths = torch.tensor(flat.lengths, device=place.device)
    return torch.arange(len(lengths), device=place.device).repeat_interleave(lengths), place
