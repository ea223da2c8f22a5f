"""Learning a language from plain text: the model says each token from those before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from sixfold.data.columns import Column
from sixfold.data.examples import Examples, Ragged
from sixfold.errors import ModelError
from sixfold.models.forward import Flat
from sixfold.models.head import Head
from sixfold.tasks.contract import Ask, Batch, Encoded, OnLong, Predictor, Rows, Term
from sixfold.tasks.encoding import Frame, framed, pieces, row_numbers
from sixfold.tasks.text_loss import SCORES, TextLoss, by_row, judged, measured, summary, terms

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class CausalLM:
    """Plain text in, the next token out, everywhere.

    A text begins with the token that ends one (or the tokenizer's own beginning), so that its first token is learnt
    too, and ends with it, so that the model learns to stop.
    """

    name: ClassVar[str] = "causal_lm"
    metric: ClassVar[str] = "loss"
    score_names: ClassVar[tuple[str, ...]] = SCORES

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column("text", "text", names=("text", "content", "document", "sentence"), help="what is learnt from"),)

    def learn(self, rows: Rows) -> Self:
        return self

    def fitted(self, tokenizer: PreTrainedTokenizerBase) -> Self:
        """The same task for one tokenizer. Raises ModelError where it has no token that ends a text."""
        if tokenizer.eos_token_id is None:
            raise ModelError("the tokenizer has no token that ends a text", hint="an encoder learns with masked_lm")
        return self

    def head(self) -> Head:
        return Head("causal_lm")

    def encode(self, rows: Rows, tokenizer: PreTrainedTokenizerBase, limit: int, on_long: OnLong) -> Encoded:
        end = int(tokenizer.eos_token_id)
        first = end if tokenizer.bos_token_id is None else int(tokenizer.bos_token_id)
        texts = list(rows["text"])
        # verbose: a long text is cut after this, and needs no warning
        found = tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False) if texts else {}
        ids = found["input_ids"] if texts else []
        around = Frame((first,), (end,))
        parts, cut = pieces([len(row) for row in ids], limit, around, on_long, overlap=False)
        made = framed(ids, parts, around)
        whole = np.array([part.end == len(ids[part.row]) for part in parts], dtype=bool)
        columns: dict[str, Ragged | NDArray] = {
            "input_ids": _without_ends(made, ~whole),
            "row": row_numbers(parts),
        }
        return Encoded(Examples(columns), cut)

    def collate(self, examples: Examples, rng: np.random.Generator) -> Batch:
        return self._batch(examples)

    def _batch(self, examples: Examples) -> Batch:
        """Each place but a text's last, and the token that follows it."""
        ids = examples.ragged("input_ids")
        places = np.ones(len(ids.values), dtype=bool)
        places[ids.offsets[1:] - 1] = False
        where = np.flatnonzero(places)
        return {
            "flat": Flat.of(ids.values, ids.lengths),
            "places": torch.from_numpy(where),
            "target": torch.from_numpy(np.asarray(ids.values[where + 1], dtype=np.int64)),
        }

    def counts(self, batch: Batch) -> dict[str, float]:
        return {"token": float(len(batch["target"]))}

    def loss(self, model: torch.nn.Module, batch: Batch) -> dict[str, Term]:
        return terms(model, batch["flat"], {"token": (batch["places"], batch["target"])})

    def predict(self, predictor: Predictor, examples: Examples) -> list[TextLoss]:
        return by_row(examples.dense("row"), predictor.ask(examples, Ask("next_loss", self._batch, judged)))

    def tune(self, predictions: Sequence[TextLoss], rows: Rows) -> Self:
        return self

    def scores(self, predictions: Sequence[TextLoss], rows: Rows) -> dict[str, float]:
        return summary(predictions)

    def evaluate(self, predictions: Sequence[TextLoss], rows: Rows, *, seed: int) -> dict[str, Any]:
        return measured(predictions, rows["text"], seed=seed)

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    def show(self, prediction: TextLoss) -> dict[str, Any]:
        return {"loss": prediction.nats / max(1, prediction.targets), "tokens": prediction.targets}


def _without_ends(runs: Ragged, where: NDArray[np.bool_]) -> Ragged:
    """The runs, those at ``where`` without their last number."""
    keep = np.ones(len(runs.values), dtype=bool)
    keep[runs.offsets[1:][where] - 1] = False
    offsets = np.zeros(len(runs) + 1, dtype=np.int64)
    np.cumsum(runs.lengths - where, out=offsets[1:])
    return Ragged(runs.values[keep], offsets)
