"""Learning what follows what: two neighbouring parts of a text, in order or not.

``order`` swaps the two parts (Lan et al. 2020, arXiv:1909.11942); ``next`` puts a part of another text in the second's
place (Devlin et al. 2019, arXiv:1810.04805).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from sixfold.data.columns import Column
from sixfold.data.examples import Examples, Ragged
from sixfold.errors import ModelError
from sixfold.metrics.intervals import mean, proportion
from sixfold.models.forward import Flat, row_logits
from sixfold.models.head import Head
from sixfold.tasks.contract import Ask, Batch, Cut, Encoded, OnLong, Predictor, Rows, Term
from sixfold.tasks.word_starts import WordStarts
from sixfold.text.segment import sentences

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IN_ORDER, OUT_OF_ORDER = 0, 1


@dataclass(frozen=True)
class OrderPrediction:
    """What the model says of one text's pairs.

    Attributes:
        pairs: how many were asked.
        right: how many it judged rightly.
        nats: -log probability of the truth, summed.
    """

    pairs: int
    right: int
    nats: float


@dataclass(frozen=True)
class Pairs:
    """Composed pairs, end to end.

    Attributes:
        ids: [tokens] with special tokens.
        source: [tokens] where each came from in the examples' tokens; -1 for a special token.
        types: [tokens] 0 for the first part, 1 for the second.
        lengths: [pairs]
        order: [pairs] ``IN_ORDER`` or ``OUT_OF_ORDER``.
    """

    ids: NDArray[np.int64]
    source: NDArray[np.int64]
    types: NDArray[np.int64]
    lengths: NDArray[np.int64]
    order: NDArray[np.int64]


@dataclass(frozen=True)
class SentenceOrder:
    """Plain text in, whether two parts of it stand in order.

    A text is cut between sentences into stretches that fit the model, and each stretch in two, near its middle. A
    stretch of one sentence has no order, and is counted as unlearnable.

    Attributes:
        against: what a wrong pair is: the two parts swapped (``order``), or a second part from another text (``next``).
        frame: special tokens before, between and after the parts; known after ``fitted``.
        types: whether the model tells the parts apart by token types.
    """

    against: Literal["order", "next"] = "order"
    frame: tuple[int, int, int] = (-1, -1, -1)

    name: ClassVar[str] = "sentence_order"
    metric: ClassVar[str] = "accuracy"
    score_names: ClassVar[tuple[str, ...]] = ("accuracy", "loss")

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", tuple(self.frame))

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column("text", "text", names=("text", "content", "document", "sentence"), help="what is learnt from"),)

    @property
    def added_ids(self) -> tuple[int, ...]:
        return self.frame

    def learn(self, rows: Rows) -> Self:
        return self

    def fitted(self, tokenizer: PreTrainedTokenizerBase) -> Self:
        """The same task for one tokenizer. Raises ModelError where it has no tokens to stand around parts."""
        if tokenizer.cls_token_id is None or tokenizer.sep_token_id is None:
            raise ModelError(
                "the tokenizer has no [CLS] and [SEP]: two parts cannot be put together",
                hint="a decoder learns with causal_lm",
            )
        first, last = int(tokenizer.cls_token_id), int(tokenizer.sep_token_id)
        return replace(self, frame=(first, last, last))

    def head(self) -> Head:
        return Head("sentence_order")

    def encode(self, rows: Rows, tokenizer: PreTrainedTokenizerBase, limit: int, on_long: OnLong) -> Encoded:
        """One example a stretch: its tokens without special ones, and how many of them are the first part's.

        A sentence longer than a stretch may be is cut off at its end, and counted.
        """
        room = limit - len(self.frame)
        runs, kinds, firsts, row_of = [], [], [], []
        lost = unlearnable = longest = added = 0
        long_rows: list[int] = []
        starts = WordStarts(tokenizer)
        for row, text in enumerate(rows["text"]):
            parts = [text[start:end] for start, end in sentences(text)]
            ids, begins = starts.of(parts) if parts else ([], [])
            whole = sum(map(len, ids)) + len(self.frame)
            longest = max(longest, whole)
            if whole > limit:
                long_rows.append(row)
            lost += sum(max(0, len(one) - room) for one in ids)
            made = [stretch for stretch in _stretches([min(len(one), room) for one in ids], room) if len(stretch) > 1]
            unlearnable += not made
            added += max(0, len(made) - 1)
            for stretch in made:
                middle = _middle([len(ids[place]) for place in stretch])
                runs.append(np.concatenate([ids[place][:room] for place in stretch]))
                kinds.append(np.concatenate([_marked(begins[place][:room]) for place in stretch]))
                firsts.append(sum(len(ids[place][:room]) for place in stretch[:middle]))
                row_of.append(row)
        columns: dict[str, Ragged | NDArray] = {
            "input_ids": Ragged.of(runs),
            "kind": Ragged.of(kinds, dtype=np.uint8),
            "first": np.array(firsts, dtype=np.int64),
            "row": np.array(row_of, dtype=np.int64),
        }
        cut = Cut(len(rows), len(long_rows), lost, added, unlearnable, longest, limit, tuple(long_rows[:5]))
        return Encoded(Examples(columns), cut)

    def pairs(self, examples: Examples, wrong: NDArray[np.bool_]) -> Pairs:
        """Put the parts together, out of order where ``wrong`` [examples] says so."""
        ids, firsts = examples.ragged("input_ids"), examples.dense("first")
        if self.against == "next" and len(examples) == 1:
            wrong = np.zeros(1, dtype=bool)  # there is no other text to take from
        other = (np.arange(len(examples)) + 1) % max(1, len(examples))
        places, types, order = [], [], []
        for number, (start, end) in enumerate(zip(ids.offsets[:-1], ids.offsets[1:], strict=True)):
            first, second = np.arange(start, start + firsts[number]), np.arange(start + firsts[number], end)
            if wrong[number] and self.against == "order":
                first, second = second, first
            elif wrong[number]:
                from_, to = ids.offsets[other[number]] + firsts[other[number]], ids.offsets[other[number] + 1]
                second = np.arange(from_, to)[: max(1, len(second))]
            places.append(np.concatenate([[-1], first, [-2], second, [-3]]))
            types.append(np.concatenate([np.zeros(len(first) + 2), np.ones(len(second) + 1)]))
            order.append(OUT_OF_ORDER if wrong[number] else IN_ORDER)
        source = np.concatenate(places).astype(np.int64)
        special = np.array(self.frame, dtype=np.int64)
        values = np.where(
            source < 0, special[np.clip(-source - 1, 0, 2)], np.asarray(ids.values)[np.maximum(source, 0)]
        )
        return Pairs(
            values,
            np.maximum(source, -1),
            np.concatenate(types).astype(np.int64),
            np.array([len(place) for place in places], dtype=np.int64),
            np.array(order, dtype=np.int64),
        )

    def collate(self, examples: Examples, rng: np.random.Generator) -> Batch:
        return self._batch(examples, rng.random(len(examples)) < 0.5)

    def _batch(self, examples: Examples, wrong: NDArray[np.bool_]) -> Batch:
        made = self.pairs(examples, wrong)
        return {"flat": Flat.of(made.ids, made.lengths, made.types), "order": torch.from_numpy(made.order)}

    def counts(self, batch: Batch) -> dict[str, float]:
        return {"order": float(len(batch["order"]))}

    def loss(self, model: torch.nn.Module, batch: Batch) -> dict[str, Term]:
        logits = row_logits(model, batch["flat"]).float()
        return {"order": Term(cross_entropy(logits, batch["order"], reduction="sum"), float(len(logits)))}

    def predict(self, predictor: Predictor, examples: Examples) -> list[OrderPrediction]:
        """Each stretch is asked once, swapped or not as it alone decides."""
        answers = predictor.ask(examples, Ask("order", self._fixed, _judged))
        return by_row(examples.dense("row"), answers)

    def _fixed(self, examples: Examples) -> Batch:
        """Swaps that depend on each example alone: the tokens' sum is even or odd."""
        odd = np.array([int(run.sum()) % 2 == 1 for run in examples.ragged("input_ids")])
        return replace(self, against="order")._batch(examples, odd)

    def tune(self, predictions: Sequence[OrderPrediction], rows: Rows) -> Self:
        return self

    def scores(self, predictions: Sequence[OrderPrediction], rows: Rows) -> dict[str, float]:
        pairs = sum(prediction.pairs for prediction in predictions)
        if not pairs:
            return {"accuracy": math.nan, "loss": math.nan}
        right, nats = (sum(getattr(prediction, name) for prediction in predictions) for name in ("right", "nats"))
        return {"accuracy": right / pairs, "loss": nats / pairs}

    def evaluate(self, predictions: Sequence[OrderPrediction], rows: Rows, *, seed: int) -> dict[str, Any]:
        pairs, right = (sum(getattr(prediction, name) for prediction in predictions) for name in ("pairs", "right"))
        losses = np.array([prediction.nats / prediction.pairs for prediction in predictions if prediction.pairs])
        metrics = {"accuracy": proportion("accuracy", right, pairs), "loss": mean("loss a text", losses)}
        return {"metrics": {name: metric.to_dict() for name, metric in metrics.items()}, "count": len(predictions)}

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    def show(self, prediction: OrderPrediction) -> dict[str, Any]:
        return asdict(prediction)


def by_row(row: NDArray[np.int64], answers: Sequence[NDArray]) -> list[OrderPrediction]:
    """The answers of a row's stretches, added; a row without any was asked nothing."""
    if not len(answers):
        return []
    sums = np.zeros((int(row.max()) + 1, 3))
    np.add.at(sums, row, np.stack(answers))
    return [OrderPrediction(int(pairs), int(right), float(nats)) for pairs, right, nats in sums]


def _judged(model: torch.nn.Module, batch: Batch) -> list[NDArray]:
    logits, order = row_logits(model, batch["flat"]).float(), batch["order"]
    losses, right = cross_entropy(logits, order, reduction="none"), logits.argmax(-1) == order
    return list(torch.stack([torch.ones_like(losses), right.float(), losses], dim=1).cpu().numpy())


def _marked(begins: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return begins.astype(np.uint8)


def _stretches(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Neighbouring sentences, as many as fit together."""
    out: list[list[int]] = []
    total = room + 1
    for place, length in enumerate(lengths):
        if total + length > room:
            out.append([])
            total = 0
        out[-1].append(place)
        total += length
    return out


def _middle(lengths: Sequence[int]) -> int:
    """How many sentences make the first part, so that the two are as even as can be; at least one in each."""
    ends = np.cumsum(lengths)
    return int(np.abs(2 * ends[:-1] - ends[-1]).argmin()) + 1
