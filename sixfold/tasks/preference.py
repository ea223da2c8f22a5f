"""Learning which of two answers is better: direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from sixfold.data.columns import Column
from sixfold.data.conversations import message
from sixfold.data.examples import Examples, Ragged
from sixfold.metrics.intervals import mean, proportion
from sixfold.models.forward import Flat
from sixfold.models.head import Head
from sixfold.models.token_loss import token_judged, token_losses
from sixfold.tasks.chat_template import ChatTemplate
from sixfold.tasks.contract import Ask, Batch, Cut, Encoded, OnLong, Predictor, Rows, Term
from sixfold.tasks.dialogue import SHOWN, Written, written

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Preferred:
    """What a model thinks of a pair.

    Attributes:
        chosen, rejected: log-probability of each answer, less the reference's where that is known.
    """

    chosen: float
    rejected: float

    @property
    def margin(self) -> float:
        return self.chosen - self.rejected


@dataclass(frozen=True)
class Preference:
    """A conversation and two answers to its last turn; the model learns to find the first likelier.

    An example holds both, end to end. ``reference``, what the model thought of them before training, is computed once
    by ``prepare`` and kept in the example.

    Attributes:
        beta: how much the model may move away from the reference: the smaller, the further.
    """

    beta: float = 0.1

    name: ClassVar[str] = "preference"
    metric: ClassVar[str] = "accuracy"
    score_names: ClassVar[tuple[str, ...]] = ("accuracy", "margin", "loss")

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column("messages", "messages", help="the conversation up to the answer"),
            Column("chosen", "text", target=True, help="the better answer"),
            Column("rejected", "text", target=True, help="the worse answer"),
        )

    def learn(self, rows: Rows) -> Self:
        return self

    def fitted(self, tokenizer: PreTrainedTokenizerBase) -> Self:
        """The same task for one tokenizer. Raises ModelError where it has no template, or no end of a text."""
        ChatTemplate(tokenizer)
        return self

    def head(self) -> Head:
        return Head("causal_lm")

    def encode(self, rows: Rows, tokenizer: PreTrainedTokenizerBase, limit: int, on_long: OnLong) -> Encoded:
        """A pair of which a side is too long loses early rounds of its conversation, the same on both sides."""
        template = ChatTemplate(tokenizer)
        sides: list[tuple[Written, Written]] = []
        owners, long, lost, longest = [], list[int](), 0, 0
        for row, (messages, chosen, rejected) in enumerate(
            zip(rows["messages"], rows["chosen"], rows["rejected"], strict=True)
        ):
            pair = _pair(template, messages, chosen, rejected)
            size = max(map(len, pair))
            longest = max(longest, size)
            if size > limit:
                long.append(row)
                shorter = _fitting(template, messages, chosen, rejected, limit)
                lost += sum(map(len, pair)) - (0 if shorter is None else sum(map(len, shorter)))
                if shorter is None:
                    continue
                pair = shorter
            sides.append(pair)
            owners.append(row)
        columns: dict[str, Ragged | NDArray] = {
            "input_ids": Ragged.of([a.ids + b.ids for a, b in sides]),
            "learnt": Ragged.of([a.learnt + b.learnt for a, b in sides], dtype=np.int8),
            "first": np.array([len(a) for a, _ in sides], dtype=np.int64),
            "row": np.array(owners, dtype=np.int64),
        }
        cut = Cut(
            rows=len(rows),
            long_rows=len(long),
            lost_tokens=lost,
            unlearnable=len(rows) - len(sides),
            longest=longest,
            limit=limit,
            where=tuple(long[:SHOWN]),
        )
        return Encoded(Examples(columns), cut)

    def prepare(self, predictor: Predictor, examples: Examples) -> Examples:
        """The examples with what the model that ``predictor`` asks thinks of each pair: the reference."""
        found = predictor.ask(examples, Ask("answers", self._batch, _sums))
        chosen, rejected = (np.array([one[side] for one in found], dtype=np.float64) for side in (0, 1))
        return examples.with_column("reference_chosen", chosen).with_column("reference_rejected", rejected)

    def collate(self, examples: Examples, rng: np.random.Generator) -> Batch:
        return self._batch(examples)

    def _batch(self, examples: Examples) -> Batch:
        ids, learnt, first = examples.ragged("input_ids"), examples.ragged("learnt"), examples.dense("first")
        lengths = np.stack([first, ids.lengths - first], axis=1).ravel()
        starts = np.cumsum(lengths) - lengths
        asked = learnt.values.astype(bool).copy()
        asked[starts] = False
        where = np.flatnonzero(asked)
        batch: Batch = {
            "flat": Flat.of(ids.values, lengths),
            "places": torch.from_numpy(where - 1),
            "target": torch.from_numpy(np.asarray(ids.values[where], dtype=np.int64)),
            "side": torch.from_numpy(np.searchsorted(starts, where, side="right") - 1),
        }
        if "reference_chosen" in examples.columns:
            reference = [examples.dense(f"reference_{side}") for side in ("chosen", "rejected")]
            batch["reference"] = torch.from_numpy(np.stack(reference, axis=1)).float()
        return batch

    def counts(self, batch: Batch) -> dict[str, float]:
        return {"pair": len(batch["flat"].lengths) / 2}

    def loss(self, model: torch.nn.Module, batch: Batch) -> dict[str, Term]:
        """-log sigmoid of beta times how much further the answers are apart than the reference has them."""
        losses = token_losses(model, batch["flat"], batch["places"], batch["target"])
        sums = _by_side(losses, batch)
        moved = -sums - batch["reference"]
        pairs = torch.nn.functional.logsigmoid(self.beta * (moved[:, 0] - moved[:, 1]))
        return {"pair": Term(-pairs.sum(), float(len(pairs)))}

    def predict(self, predictor: Predictor, examples: Examples) -> list[Preferred]:
        answers = predictor.ask(examples, Ask("answers", self._batch, _sums))
        base = np.zeros((len(examples), 2))
        if "reference_chosen" in examples.columns:
            base = np.stack([examples.dense(f"reference_{side}") for side in ("chosen", "rejected")], axis=1)
        rows = examples.dense("row")
        out = [Preferred(0.0, 0.0)] * (int(rows.max()) + 1 if len(rows) else 0)
        for row, answer, known in zip(rows, answers, base, strict=True):
            out[row] = Preferred(float(answer[0] - known[0]), float(answer[1] - known[1]))
        return out

    def tune(self, predictions: Sequence[Preferred], rows: Rows) -> Self:
        return self

    def scores(self, predictions: Sequence[Preferred], rows: Rows) -> dict[str, float]:
        margins = np.array([one.margin for one in predictions])
        if not len(margins):
            return dict.fromkeys(self.score_names, float("nan"))
        return {
            "accuracy": float((margins > 0).mean()),
            "margin": float(margins.mean()),
            "loss": float(np.logaddexp(0, -self.beta * margins).mean()),
        }

    def evaluate(self, predictions: Sequence[Preferred], rows: Rows, *, seed: int) -> dict[str, Any]:
        margins = np.array([one.margin for one in predictions])
        right = proportion("reward accuracy", int((margins > 0).sum()), len(margins))
        margin = mean("reward margin", self.beta * margins)
        return {
            "metrics": {"accuracy": right.to_dict(), "margin": margin.to_dict()},
            "count": len(margins),
        }

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    def show(self, prediction: Preferred) -> dict[str, Any]:
        return {**asdict(prediction), "margin": prediction.margin}


def _pair(template: ChatTemplate, messages: Any, chosen: str, rejected: str) -> tuple[Written, Written]:
    """Both conversations; only the last turn of each is compared."""
    first, second = (written(template, [*messages, message("assistant", answer)]) for answer in (chosen, rejected))
    return _last_only(first), _last_only(second)


def _last_only(one: Written) -> Written:
    """The conversation with its last learnt stretch alone learnt."""
    end = len(one.learnt)
    while end and not one.learnt[end - 1]:
        end -= 1
    start = end
    while start and one.learnt[start - 1]:
        start -= 1
    return replace(one, learnt=[start <= place < end for place in range(len(one))])


def _fitting(
    template: ChatTemplate, messages: Sequence[Any], chosen: str, rejected: str, limit: int
) -> tuple[Written, Written] | None:
    """The pair with as many late rounds as fit."""
    head = [messages[0]] if messages and messages[0]["role"] == "system" else []
    starts = [place for place, one in enumerate(messages) if one["role"] == "user"]
    for start in starts[1:]:
        pair = _pair(template, [*head, *messages[start:]], chosen, rejected)
        if max(map(len, pair)) <= limit:
            return pair
    return None


def _by_side(losses: torch.Tensor, batch: Batch) -> torch.Tensor:
    """[pairs, 2] the losses of each answer, added."""
    sums = losses.new_zeros(len(batch["flat"].lengths))
    return sums.index_add(0, batch["side"], losses).view(-1, 2)


def _sums(model: torch.nn.Module, batch: Batch) -> list[NDArray[np.float64]]:
    """[2] log-probabilities of each pair's answers."""
    ((losses, _),) = token_judged(model, batch["flat"], (batch["places"], batch["target"]))
    return list((-_by_side(losses.double(), batch)).cpu().numpy())
