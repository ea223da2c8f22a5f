"""A vector for a text: texts that belong together come to lie close, all others apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize, softplus

from sixfold.data.columns import Column
from sixfold.data.examples import Examples, Ragged
from sixfold.metrics import retrieval
from sixfold.metrics.intervals import proportion
from sixfold.models.forward import Flat, hidden_states
from sixfold.models.head import Head
from sixfold.tasks.contract import Ask, Batch, Cut, Encoded, OnLong, Predictor, Rows, Term
from sixfold.tasks.encoding import frame, framed, pieces, places, row_numbers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MISSES = 50
"""Worst misses that a report keeps."""


@dataclass(frozen=True)
class Vectors:
    """A row's vectors, L2-normalised: float [width] each.

    Attributes:
        pair: of the text that belongs to it, where the row has one.
    """

    text: NDArray[np.float32]
    pair: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Embedding:
    """Text to vector: the mean of the last hidden states, L2-normalised.

    Learns from pairs against the other pairs of the step (multiple negatives ranking: Henderson et al. 2017,
    arXiv:1705.00652), or from labels: every two rows of one label are a pair (supervised contrastive learning: Khosla
    et al. 2020, arXiv:2004.11362, but rows of the same label never stand in the denominator).

    An example is a row: its texts end to end, a long one as several runs.

    Attributes:
        labelled: a row is a text and a label, in place of a text and its pair.
        temperature: divides cosines; the smaller, the more the nearest wrong ones count.
    """

    labelled: bool = False
    temperature: float = 0.05

    name: ClassVar[str] = "embedding"
    metric: ClassVar[str] = "mrr"

    @property
    def target(self) -> str:
        """The role that says what belongs together."""
        return "label" if self.labelled else "pair"

    @property
    def columns(self) -> tuple[Column, ...]:
        texts, pairs = (
            ("text", "sentence", "question", "query"),
            ("pair", "answer", "positive", "paraphrase", "passage"),
        )
        text = Column("text", "text", names=texts, help="what gets a vector")
        if self.labelled:
            labels = ("label", "category", "intent", "class", "topic")
            return text, Column("label", "label", target=True, names=labels, help="texts of one label belong together")
        return text, Column("pair", "text", target=True, names=pairs, help="a text that belongs to it")

    @property
    def score_names(self) -> tuple[str, ...]:
        return ("recall_at_1", "recall_at_10", "mrr", *(("centroid_accuracy",) if self.labelled else ()))

    def learn(self, rows: Rows) -> Self:
        return self

    def head(self) -> Head:
        return Head("embedding")

    def encode(self, rows: Rows, tokenizer: PreTrainedTokenizerBase, limit: int, on_long: OnLong) -> Encoded:
        paired = not self.labelled and "pair" in rows.column_names
        sides = [list(rows["text"]), *([list(rows["pair"])] if paired else [])]
        texts = [text for row in zip(*sides, strict=True) for text in row]
        around = frame(tokenizer)
        ids = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []
        parts, cut = pieces([len(one) for one in ids], limit, around, on_long, overlap=False)
        runs, side = framed(ids, parts, around), row_numbers(parts)
        row = side // len(sides)
        tokens = np.bincount(row, runs.lengths, minlength=len(rows)).astype(np.int64)
        columns: dict[str, Ragged | NDArray] = {
            "input_ids": _cut(runs.values, tokens),
            "runs": _cut(runs.lengths, np.bincount(row, minlength=len(rows))),
            "first": np.bincount(row[side % len(sides) == 0], minlength=len(rows)),
            "row": np.arange(len(rows), dtype=np.int64),
        }
        if self.target in rows.column_names:
            columns["group"] = _groups(rows[self.target])
        return Encoded(Examples(columns), _of_rows(cut, [len(one) for one in ids], len(rows), len(sides), len(around)))

    def collate(self, examples: Examples, rng: np.random.Generator) -> Batch:
        batch = self._inputs(examples)
        if "group" in examples.columns:
            batch["group"] = torch.from_numpy(examples.dense("group"))
        return batch

    def _inputs(self, examples: Examples) -> Batch:
        """``text_of``: [runs] the text that each run of tokens is of, from 0; ``sides``: texts a row."""
        ids, runs, first = examples.ragged("input_ids"), examples.ragged("runs"), examples.dense("first")
        sides = np.stack([first, runs.lengths - first], axis=1)
        sides = sides if sides[:, 1].any() else sides[:, :1]
        text_of = np.repeat(np.arange(sides.size), sides.ravel())
        flat = Flat.of(ids.values, runs.values)
        return {"flat": flat, "text_of": torch.from_numpy(text_of), "sides": sides.shape[1]}

    def represent(self, model: torch.nn.Module, batch: Batch) -> Tensor:
        """[rows, texts a row, width]"""
        return pooled(model, batch["flat"], batch["text_of"]).unflatten(0, (-1, batch["sides"]))

    def loss_of(self, representations: Tensor, batches: Sequence[Batch]) -> dict[str, Term]:
        first, second = representations[:, 0], representations[:, -1]
        right, wrong = self._compared(torch.cat([batch["group"] for batch in batches]))
        with torch.autocast(first.device.type, enabled=False):  # in bf16 a cosine is off by more than it matters
            losses = ranking_losses(first @ second.T / self.temperature, right, wrong)
        return {self.target: Term(losses.sum(), float(right.any(1).sum()))}

    def _compared(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        """[rows, rows] each: what a row is to find, and what it is not to find; the rest does not count."""
        same, itself = groups[:, None] == groups[None], torch.eye(len(groups), dtype=torch.bool, device=groups.device)
        return (same & ~itself if self.labelled else itself), ~same

    def counts(self, batch: Batch) -> dict[str, float]:
        return {self.target: float(self._compared(batch["group"])[0].any(1).sum())}

    def loss(self, model: torch.nn.Module, batch: Batch) -> dict[str, Term]:
        return self.loss_of(self.represent(model, batch), [batch])

    def predict(self, predictor: Predictor, examples: Examples) -> list[Vectors]:
        def read(model: torch.nn.Module, batch: Batch) -> list[NDArray]:
            return list(self.represent(model, batch).cpu().numpy())

        return [Vectors(*found) for found in predictor.ask(examples, Ask("vectors", self._inputs, read))]

    def tune(self, predictions: Sequence[Vectors], rows: Rows) -> Self:
        return self

    def scores(self, predictions: Sequence[Vectors], rows: Rows) -> dict[str, float]:
        ranks, _ = self._ranks(predictions, rows)
        found = retrieval.shares(ranks[ranks > 0])
        if not self.labelled:
            return found
        right = retrieval.centroids_right(_texts(predictions), _groups(rows["label"]))[ranks > 0]
        return {**found, "centroid_accuracy": float(right.mean()) if len(right) else float("nan")}

    def _ranks(self, predictions: Sequence[Vectors], rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """[rows] the rank of what belongs to each row (0: nothing does), and the row of the nearest that does not.

        Pairs of the same text are one.
        """
        groups, texts = _groups(rows[self.target]), _texts(predictions)
        if self.labelled or not len(texts):
            return retrieval.fellow_ranks(texts, groups)
        _, firsts = np.unique(groups, return_index=True)
        pairs = [one.pair for one in predictions]
        ranks, nearest = retrieval.pair_ranks(texts, np.stack(pairs)[firsts], groups)  # type: ignore[arg-type]
        return ranks, firsts[nearest]

    def evaluate(self, predictions: Sequence[Vectors], rows: Rows, *, seed: int) -> dict[str, Any]:
        ranks, nearest = self._ranks(predictions, rows)
        found = retrieval.metrics(ranks[ranks > 0], seed=seed)
        if self.labelled:
            right = retrieval.centroids_right(_texts(predictions), _groups(rows["label"]))
            name = "nearest-centroid accuracy"
            found["centroid_accuracy"] = proportion(name, int(right.sum()), int((ranks > 0).sum()))
        groups = _groups(rows[self.target])
        return {
            "kind": "embedding",
            "by": self.target,
            "metrics": {key: metric.to_dict() for key, metric in found.items()},
            "count": len(ranks),
            "alone": int((ranks == 0).sum()),
            "candidates": len(ranks) - 1 if self.labelled else len(set(groups.tolist())),
            "misses": self._misses(ranks, nearest, rows),
        }

    def _misses(self, ranks: NDArray[np.int64], nearest: NDArray[np.int64], rows: Rows) -> list[dict[str, Any]]:
        """Rows that found something else first, the farthest off first."""
        wrong = np.flatnonzero(ranks > 1)
        texts, targets, where = rows["text"], rows[self.target], places(rows)
        return [
            {
                "text": texts[place],
                "expected": targets[place],
                "nearest": f"{texts[near]} ({targets[near]})" if self.labelled else targets[near],
                "rank": int(ranks[place]),
                "where": where(place),
            }
            for place in wrong[np.argsort(-ranks[wrong], kind="stable")][:MISSES].tolist()
            for near in [int(nearest[place])]
        ]

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    def show(self, prediction: Vectors) -> dict[str, Any]:
        return {"vector": [round(float(number), 6) for number in prediction.text]}


def pooled(model: Any, flat: Flat, text_of: Tensor | None = None) -> Tensor:
    """[texts, width] the mean of each text's last hidden states, special tokens included, L2-normalised.

    Args:
        text_of: [runs of the batch] which text each is of, from 0; every run is a text unless given.
    """
    hidden = hidden_states(model, flat)
    hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    which = torch.arange(len(flat.lengths), device=hidden.device) if text_of is None else text_of
    lengths = torch.tensor(flat.lengths, device=hidden.device)
    sums = hidden.new_zeros(int(which[-1]) + 1, hidden.shape[-1])
    # A sum and a mean have the same direction.
    return normalize(sums.index_add(0, which.repeat_interleave(lengths), hidden), dim=-1)


def ranking_losses(likeness: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
    """[rows] the mean over what is right of -log of its share among itself and all that is wrong; 0 without any.

    Args:
        likeness: [rows, candidates] logits.
        right, wrong: bool [rows, candidates]; what is neither does not count.
    """
    least = torch.finfo(likeness.dtype).min / 4  # finite, so that rows without a wrong one have a gradient of 0
    against = likeness.masked_fill(~wrong, least).logsumexp(1, keepdim=True)
    losses = softplus(against - likeness).masked_fill(~right, 0.0)
    return losses.sum(1) / right.sum(1).clamp(min=1)


def _cut(values: NDArray, lengths: NDArray[np.int64]) -> Ragged:
    return Ragged(values, np.concatenate([[0], np.cumsum(lengths)]))


def _groups(cells: Sequence[Any]) -> NDArray[np.int64]:
    """[rows] equal numbers for equal cells, from 0."""
    _, groups = np.unique(np.array([str(cell) for cell in cells], dtype=object), return_inverse=True)
    return groups.astype(np.int64)


def _texts(predictions: Sequence[Vectors]) -> NDArray[np.float32]:
    return np.stack([one.text for one in predictions]) if predictions else np.zeros((0, 1), dtype=np.float32)


def _of_rows(cut: Cut, lengths: Sequence[int], rows: int, sides: int, frame_tokens: int) -> Cut:
    """A cut of texts, told by rows: a row is long if one of its texts is."""
    texts = [place for place, length in enumerate(lengths) if length + frame_tokens > cut.limit]
    long_rows = list(dict.fromkeys(place // sides for place in texts))
    return replace(cut, rows=rows, long_rows=len(long_rows), where=tuple(long_rows[: len(cut.where)]))
