"""Explainers that look inside the model: integrated gradients along a path of embeddings, and attention rollout.

Both ask the scorer like any other, so that many texts go through the model together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sixfold.data.examples import Examples
from sixfold.errors import ModelError
from sixfold.explain.game import Attention, Floats, Game, Path, Weights
from sixfold.explain.masking import RowCopies, patient, stand_in
from sixfold.models.forward import Flat, padded
from sixfold.score.driver import Query, Search
from sixfold.score.edited import Tokens
from sixfold.score.gradients import gradient_query
from sixfold.score.subject import Subject, Text
from sixfold.tasks.contract import Ask, Batch
from sixfold.tasks.encoding import pieces
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.token_classification import IGNORED

FIRST_STEPS = 16
MOST_STEPS = 256
BOUND = 0.01
"""The convergence delta that is small enough, as a share of what the path explains."""


def integrated_gradients(
    game: Game, rng: np.random.Generator, *, samples: int = MOST_STEPS, bound: float = BOUND, first: int = FIRST_STEPS
) -> Search[Weights]:
    """Gradients summed up along the way from meaningless tokens to the text (Sundararajan et al. 2017).

    Gauss-Legendre points, doubled until what the gradients sum up to is the difference of the ends but for ``bound`` of
    it, or till there are ``samples`` of them. Weights are parts of the log-probability, whatever the game's scale.

    Raises:
        ModelError: the game's units are not made of whole tokens.
    """
    path = game.path
    if path is None:
        raise ModelError("gradients belong to tokens: take words, subwords or sentences as units")
    answers = yield path.ends
    end, begin = path.worth(answers, path.ends.examples).tolist()
    steps = min(first, samples)
    while True:
        tokens = yield from _summed(path, steps)
        delta = tokens.sum() - (end - begin)
        if abs(delta) <= bound * max(abs(end - begin), 1e-6) or steps >= samples:
            break
        steps = min(2 * steps, samples)
    found = _by_unit(path.owners, tokens, len(game))
    details = {"delta": float(delta), "steps": steps, "empty": begin, "whole": end, "elsewhere": float(found[0])}
    return Weights(found[1:], details)


def _summed(path: Path, steps: int) -> Search[Floats]:
    """[tokens of all windows] the integral along the path, by so many points."""
    nodes, shares = np.polynomial.legendre.leggauss(steps)
    answers = yield path.points(((1 + nodes) / 2).tolist())
    lines = [np.concatenate(answers[place : place + path.windows]) for place in range(0, len(answers), path.windows)]
    return path.share * path.moves * ((shares / 2) @ np.stack(lines).astype(np.float64))


def path_of(subject: Subject, text: Text, owner: NDArray[np.int64], label: int | Sequence[int]) -> Path:
    """The path of a text or row.

    Args:
        owner: [tokens of all windows] the unit of each.
        label: a class; of a row, one tag a word, ``IGNORED`` for those not asked about.
    """
    fill, _ = stand_in(subject.tokenizer)
    whole = subject.examples(text, [()])
    windows = len(whole)
    inside = windowed(subject, np.zeros(len(text.tokens.ids), dtype=np.int64))
    ends = RowCopies(whole, inside, fill).examples(np.array([[True], [False]]))
    share = 1 / windows if isinstance(subject.task, TextClassification) else 1.0

    def points(along: Sequence[float]) -> Query:
        query = gradient_query(
            subject,
            text,
            [()] * len(along),
            [label] * len(along),  # type: ignore[arg-type]
            along=along,
            baseline=fill,
        )
        return Query(query.examples, dotted(query.ask))

    def worth(answers: Sequence[NDArray], examples: Examples) -> Floats:
        found = np.zeros(2)
        for place, (row, logits) in enumerate(zip(examples.dense("row").tolist(), answers, strict=True)):
            found[row] += share * _log_probability(subject.task, logits, label, examples, place)
        return found

    return Path(points, Query(ends, subject.task.question()), worth, owner, inside >= 0, windows, share)


def windowed(subject: Subject, owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """[tokens of all windows] the unit of each token of a text as it is encoded: -1 for the special ones around it."""
    some, _ = pieces([len(owner)], subject.limit, subject.frame, patient(subject.on_long))
    before, after = (np.full(len(ids), -1) for ids in (subject.frame.before, subject.frame.after))
    return np.concatenate([run for part in some for run in (before, owner[part.start : part.end], after)])


def _log_probability(task: Any, logits: NDArray, label: Any, examples: Examples, place: int) -> float:
    """Of the label in one window, without temperature, as the gradients see it."""
    lines = logits.astype(np.float64)
    if isinstance(task, TextClassification):
        if task.several:
            return float(-np.logaddexp(0, -lines[label]))
        return float(lines[label] - np.logaddexp.reduce(lines))
    tags = np.asarray(label)[examples.ragged("word")[place]]
    asked = np.flatnonzero(tags != IGNORED)
    return float((lines[asked, tags[asked]] - np.logaddexp.reduce(lines[asked], axis=1)).sum())


def dotted(ask: Ask) -> Ask:
    """A question for gradients of a loss along a path, answered by what each token does for the log-probability.

    [tokens] in place of [tokens, width], so that a path of hundreds of points is small.
    """

    def read(model: Any, batch: Batch) -> list[NDArray]:
        flat: Flat = batch["flat"]
        table: nn.Module = model.get_input_embeddings()
        lengths = torch.tensor(flat.lengths, device=flat.input_ids.device)
        with torch.no_grad():
            own = table(flat.input_ids)
            start = table(batch["baseline"].repeat_interleave(lengths))
            away = (own - start).float().cpu().split(list(flat.lengths))
        slopes = ask.read(model, batch)
        return [-(slope * part.numpy()).sum(axis=1) for slope, part in zip(slopes, away, strict=True)]

    return Ask(f"{ask.name}, times the way", ask.collate, read, gradients=True)


def attention_rollout(game: Game, rng: np.random.Generator, *, samples: int = 0) -> Search[Weights]:
    """How much of each token flows through all layers' attention to where the answer is read (Abnar and Zuidema 2020).

    A baseline: it does not know which answer is meant, and says nothing of signs.

    Raises:
        ModelError: the game's units are not made of whole tokens.
    """
    if game.attention is None:
        raise ModelError("attention belongs to tokens: take words, subwords or sentences as units")
    answers = yield game.attention.query
    flows = np.concatenate(answers) / len(answers)
    return Weights(_by_unit(game.attention.owners, flows, len(game))[1:])


def _by_unit(owners: NDArray[np.int64], tokens: Floats, units: int) -> Floats:
    """[1 + units] the sums of tokens' weights: first of those that belong to none."""
    sums = np.zeros(units + 1)
    np.add.at(sums, owners + 1, tokens)
    return sums


def attention_of(subject: Subject, text: Text, owner: NDArray[np.int64], word: int | None = None) -> Attention:
    """The question of rollout for a text; of a row, for one of its words."""
    whole = subject.examples(text, [()])
    if word is None:
        lengths = whole.lengths
        reads_last = hasattr(subject.scorer.model, "score")  # the head of decoders in transformers
        places = lengths - 1 if reads_last else np.zeros(len(lengths), dtype=np.int64)
    else:
        where = [np.flatnonzero(numbers == word) for numbers in whole.ragged("word")]
        firsts = whole.ragged("place")
        places = np.array([firsts[w][at[0]] if len(at) else 0 for w, at in enumerate(where)], dtype=np.int64)
    return attention_at(whole, places, subject.task.question(), owner)


def attention_at(whole: Examples, places: NDArray[np.int64], of: Ask, owner: NDArray[np.int64]) -> Attention:
    """The question of rollout for examples whose answer is read at ``places``."""
    return Attention(Query(whole.with_column("read_at", places), rollout_question(of)), owner)


def rollout_question(of: Ask) -> Ask:
    """[tokens] what of each flows to the token at ``read_at``."""

    def collate(examples: Examples) -> Batch:
        return {**of.collate(examples), "read_at": torch.from_numpy(examples.dense("read_at"))}

    def read(model: Any, batch: Batch) -> list[NDArray]:
        flat: Flat = batch["flat"]
        inputs = padded(model, flat)
        with _eager(model):
            layers = model(**inputs, output_attentions=True).attentions
        rows = torch.arange(len(flat.lengths), device=flat.input_ids.device)
        reach = torch.nn.functional.one_hot(batch["read_at"], inputs["input_ids"].shape[1]).float()
        for layer in reversed(layers):
            mean = layer.mean(dim=1).float()
            mean = mean / mean.sum(dim=-1, keepdim=True)
            reach = 0.5 * reach + 0.5 * torch.einsum("rq,rqk->rk", reach, mean)
        return [reach[row, :length].cpu().numpy() for row, length in zip(rows.tolist(), flat.lengths, strict=True)]

    return Ask(f"attention rollout, {of.name}", collate, read)


@contextmanager
def _eager(model: Any) -> Iterator[None]:
    """The model with attention that tells its weights."""
    before = model.config._attn_implementation
    model.config._attn_implementation = "eager"
    try:
        yield
    finally:
        model.config._attn_implementation = before


def offsets_of(tokens: Tokens) -> NDArray[np.int64]:
    """[tokens, 2] the characters of the string that each token stands for."""
    found = tokens.splicer.tokenizer(tokens.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return np.asarray(found["offset_mapping"], dtype=np.int64).reshape(-1, 2)
