"""Toy tasks that hold the contract against what the real ones will need: two loss terms, in-batch negatives,
generated text. Each is small enough to read; none is part of the product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy, normalize

from sixfold.data.columns import Column
from sixfold.data.examples import Examples, Ragged
from sixfold.models.forward import Flat, hidden_states, token_logits
from sixfold.models.head import Head
from sixfold.tasks.contract import Ask, Batch, Cut, Encoded, Limits, OnLong, Predictor, Rows, Term


class Untuned:
    """What the toys do not need."""

    def learn(self, rows: Rows) -> Self:
        return self

    def tune(self, predictions: Sequence[Any], rows: Rows) -> Self:
        return self

    def settings(self) -> dict[str, Any]:
        return {}

    def show(self, prediction: Any) -> dict[str, Any]:
        return {"prediction": prediction}

    def evaluate(self, predictions: Sequence[Any], rows: Rows, *, seed: int) -> dict[str, Any]:
        return {"metrics": self.scores(predictions, rows)}


def ids_of(texts: Sequence[str]) -> list[list[int]]:
    """Letters as numbers from 5 on."""
    return [[ord(letter) - ord("a") + 5 for letter in text] for text in texts]


MASK, END = 4, 3


@dataclass(frozen=True)
class MaskedAndOrder(Untuned):
    """Masked tokens and sentence order in one loss: two terms with counts of their own and a weight each.

    A row is two halves; half of the time they are swapped, drawn anew in every epoch. The order head reads the first
    token through the language-model head, as one spare token against another.
    """

    order_weight: float = 0.5
    name: ClassVar[str] = "toy_masked_and_order"
    metric: ClassVar[str] = "loss"
    score_names: ClassVar[tuple[str, ...]] = ("loss",)

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column("text", "text"),)

    def head(self) -> Head:
        return Head("masked_lm")

    def encode(self, rows: Rows, tokenizer: Any, limit: int, on_long: OnLong) -> Encoded:
        ids = ids_of(rows["text"])
        return Encoded(Examples({"input_ids": Ragged.of([[1, *row] for row in ids])}), Cut(len(ids)))

    def collate(self, examples: Examples, rng: np.random.Generator) -> Batch:
        rows, targets, orders = [], [], []
        for row in examples.ragged("input_ids"):
            body, middle = row[1:], len(row) // 2
            swapped = rng.random() < 0.5
            body = np.concatenate([body[middle:], body[:middle]]) if swapped else body
            masked = rng.random(len(body)) < 0.3
            targets.append(np.concatenate([[-100], np.where(masked, body, -100)]))
            rows.append(np.concatenate([[1], np.where(masked, MASK, body)]))
            orders.append(int(swapped))
        ids = Ragged.of(rows)
        return {
            "flat": Flat.of(ids.values, ids.lengths),
            "target": torch.from_numpy(np.concatenate(targets)).long(),
            "order": torch.tensor(orders),
        }

    def counts(self, batch: Batch) -> dict[str, float]:
        return {"masked": float((batch["target"] >= 0).sum()), "order": float(len(batch["order"]))}

    def loss(self, model: torch.nn.Module, batch: Batch) -> dict[str, Term]:
        logits = token_logits(model, batch["flat"])
        counts = self.counts(batch)
        masked = cross_entropy(logits, batch["target"], ignore_index=-100, reduction="sum")
        order = cross_entropy(logits[batch["flat"].starts][:, :2], batch["order"], reduction="sum")
        return {
            "masked": Term(masked, counts["masked"]),
            "order": Term(order, counts["order"], self.order_weight),
        }

    def predict(self, predictor: Predictor, examples: Examples) -> list[float]:
        def collate(part: Examples) -> Batch:
            return self.collate(part, np.random.default_rng(0))

        def read(model: torch.nn.Module, batch: Batch) -> list[NDArray]:
            logits = token_logits(model, batch["flat"])
            losses = cross_entropy(logits, batch["target"], ignore_index=-100, reduction="none")
            return [part.sum().numpy() for part in losses.split(list(batch["flat"].lengths))]

        return [float(answer) for answer in predictor.ask(examples, Ask("masked_loss", collate, read))]

    def scores(self, predictions: Sequence[float], rows: Rows) -> dict[str, float]:
        return {"loss": float(np.mean(predictions))}


@dataclass(frozen=True)
class Contrastive(Untuned):
    """Pairs that belong together, against every other row of the step."""

    whole_batch: ClassVar[bool] = True
    name: ClassVar[str] = "toy_contrastive"
    metric: ClassVar[str] = "recall_at_1"
    score_names: ClassVar[tuple[str, ...]] = ("recall_at_1",)

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column("text", "text"), Column("pair", "text"))

    def head(self) -> Head:
        return Head("embedding")

    def encode(self, rows: Rows, tokenizer: Any, limit: int, on_long: OnLong) -> Encoded:
        first, second = Ragged.of(ids_of(rows["text"])), Ragged.of(ids_of(rows["pair"]))
        return Encoded(Examples({"input_ids": first, "pair_ids": second}), Cut(len(first)))

    def collate(self, examples: Examples, rng: np.random.Generator) -> Batch:
        first, second = examples.ragged("input_ids"), examples.ragged("pair_ids")
        both = Ragged.of([run for pair in zip(first, second, strict=True) for run in pair])
        return {"flat": Flat.of(both.values, both.lengths)}

    def counts(self, batch: Batch) -> dict[str, float]:
        return {"pairs": len(batch["flat"].lengths) / 2}

    def represent(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        return normalize(hidden_states(model, batch["flat"])[batch["flat"].starts], dim=-1)

    def loss_of(self, representations: torch.Tensor, batches: Sequence[Batch]) -> dict[str, Term]:
        likeness = representations[0::2] @ representations[1::2].T / 0.1
        total = cross_entropy(likeness, torch.arange(len(likeness)), reduction="sum")
        return {"pairs": Term(total, float(len(likeness)))}

    def loss(self, model: torch.nn.Module, batch: Batch) -> dict[str, Term]:
        return self.loss_of(self.represent(model, batch), [batch])

    def predict(self, predictor: Predictor, examples: Examples) -> list[NDArray]:
        def read(model: torch.nn.Module, batch: Batch) -> list[NDArray]:
            return list(self.represent(model, batch).reshape(-1, 2, model.config.hidden_size).numpy())

        return predictor.ask(
            examples, Ask("embedding", lambda part: self.collate(part, np.random.default_rng(0)), read)
        )

    def scores(self, predictions: Sequence[NDArray], rows: Rows) -> dict[str, float]:
        first, second = np.stack(predictions).transpose(1, 0, 2)
        return {"recall_at_1": float(((first @ second.T).argmax(1) == np.arange(len(first))).mean())}


@dataclass(frozen=True)
class Copy(Untuned):
    """Write the prompt again: a task whose metric needs generated text."""

    name: ClassVar[str] = "toy_copy"
    metric: ClassVar[str] = "exact_match"
    score_names: ClassVar[tuple[str, ...]] = ("exact_match",)

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column("text", "text"),)

    def head(self) -> Head:
        return Head("causal_lm")

    def encode(self, rows: Rows, tokenizer: Any, limit: int, on_long: OnLong) -> Encoded:
        prompts = [[1, *row, 2] for row in ids_of(rows["text"])]
        answers = [[*row, END] for row in ids_of(rows["text"])]
        columns = {"input_ids": Ragged.of(prompts), "answer": Ragged.of(answers)}
        return Encoded(Examples(columns), Cut(len(prompts)))

    def collate(self, examples: Examples, rng: np.random.Generator) -> Batch:
        rows, targets = [], []
        for prompt, answer in zip(examples.ragged("input_ids"), examples.ragged("answer"), strict=True):
            rows.append(np.concatenate([prompt, answer[:-1]]))
            targets.append(np.concatenate([np.full(len(prompt) - 1, -100), answer]))
        ids = Ragged.of(rows)
        return {
            "flat": Flat.of(ids.values, ids.lengths),
            "target": torch.from_numpy(np.concatenate(targets)).long(),
        }

    def counts(self, batch: Batch) -> dict[str, float]:
        return {"answer": float((batch["target"] >= 0).sum())}

    def loss(self, model: torch.nn.Module, batch: Batch) -> dict[str, Term]:
        logits = token_logits(model, batch["flat"])
        total = cross_entropy(logits, batch["target"], ignore_index=-100, reduction="sum")
        return {"answer": Term(total, self.counts(batch)["answer"])}

    def predict(self, predictor: Predictor, examples: Examples) -> list[str]:
        written = predictor.generate(examples, Limits(new_tokens=8, stop_ids=(END,)))
        return ["".join(chr(token - 5 + ord("a")) for token in ids if token >= 5) for ids in written]

    def scores(self, predictions: Sequence[str], rows: Rows) -> dict[str, float]:
        return {"exact_match": float(np.mean([a == b for a, b in zip(predictions, rows["text"], strict=True)]))}


@dataclass
class Greedy:
    """The smallest generator: one row at a time, the likeliest next token, no cache."""

    model: torch.nn.Module
    written: int = field(default=0)

    def ask(self, examples: Examples, ask: Ask) -> list[NDArray]:
        raise AssertionError("the generative toy asks for text only")

    def generate(self, examples: Examples, limits: Limits) -> list[list[int]]:
        out = []
        for prompt in examples.ragged("input_ids"):
            ids, new = [int(token) for token in prompt], []
            while len(new) < limits.new_tokens and not (new and new[-1] in limits.stop_ids):
                with torch.inference_mode():
                    new.append(int(self.model(input_ids=torch.tensor([ids + new])).logits[0, -1].argmax()))
            self.written += len(new)
            out.append(new)
        return out
