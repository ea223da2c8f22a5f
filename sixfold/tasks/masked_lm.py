"""Learning a language from plain text: some words are hidden, and the model says what they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
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
from sixfold.tasks.encoding import frame, framed, pieces, row_numbers
from sixfold.tasks.text_loss import SCORES, TextLoss, by_row, judged, measured, summary, terms
from sixfold.tasks.word_starts import WordStarts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GOES_ON, BEGINS, SPECIAL = 0, 1, 2
"""What a token is to the mask: inside a word, a word's first, or never hidden."""


@dataclass(frozen=True)
class MaskedLM:
    """Plain text in, hidden tokens back.

    Attributes:
        share: of the words that are hidden, 30 % as ModernBERT. Wettig et al. 2023 (arXiv:2202.08005) find that more
            than BERT's 15 % teaches more, and that every hidden token may as well be ``[MASK]``.
        whole_words: a word is hidden whole or not at all (Cui et al. 2021, arXiv:1906.08101, for Chinese).
        mask_id: the tokenizer's ``[MASK]``; known after ``fitted``.
    """

    share: float = 0.3
    whole_words: bool = True
    mask_id: int = -1

    name: ClassVar[str] = "masked_lm"
    metric: ClassVar[str] = "loss"
    score_names: ClassVar[tuple[str, ...]] = SCORES

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column("text", "text", names=("text", "content", "document", "sentence"), help="what is learnt from"),)

    @property
    def added_ids(self) -> tuple[int, ...]:
        return (self.mask_id,)

    def learn(self, rows: Rows) -> Self:
        return self

    def fitted(self, tokenizer: PreTrainedTokenizerBase) -> Self:
        """The same task for one tokenizer.

        Raises:
            ModelError: it has no mask token.
        """
        if tokenizer.mask_token_id is None:
            raise ModelError(
                "the tokenizer has no mask token: nothing can be hidden", hint="a decoder learns with causal_lm"
            )
        return replace(self, mask_id=int(tokenizer.mask_token_id))

    def head(self) -> Head:
        return Head("masked_lm")

    def encode(self, rows: Rows, tokenizer: PreTrainedTokenizerBase, limit: int, on_long: OnLong) -> Encoded:
        around = frame(tokenizer)
        ids, begins = WordStarts(tokenizer).of(list(rows["text"]))
        parts, cut = pieces([len(row) for row in ids], limit, around, on_long, overlap=False)
        before, after = [SPECIAL] * len(around.before), [SPECIAL] * len(around.after)
        kinds = [[*before, *_kinds(begins[part.row][part.start : part.end]), *after] for part in parts]
        columns: dict[str, Ragged | NDArray] = {
            "input_ids": framed(ids, parts, around),
            "kind": Ragged.of(kinds, dtype=np.uint8),
            "row": row_numbers(parts),
        }
        return Encoded(Examples(columns), cut)

    def collate(self, examples: Examples, rng: np.random.Generator) -> Batch:
        """Hide words, each with the same chance, drawn anew in every epoch."""
        ids, kinds = examples.ragged("input_ids"), np.asarray(examples.ragged("kind").values)
        hidden = hide(kinds, self.share, rng, whole_words=self.whole_words)
        places = np.flatnonzero(hidden)
        values = np.where(hidden, self.mask_id, ids.values)
        return {
            "flat": Flat.of(values, ids.lengths),
            "places": torch.from_numpy(places),
            "target": torch.from_numpy(np.asarray(ids.values[places], dtype=np.int64)),
        }

    def counts(self, batch: Batch) -> dict[str, float]:
        return {"token": float(len(batch["target"]))}

    def loss(self, model: torch.nn.Module, batch: Batch) -> dict[str, Term]:
        return terms(model, batch["flat"], {"token": (batch["places"], batch["target"])})

    def predict(self, predictor: Predictor, examples: Examples) -> list[TextLoss]:
        """Each row's loss under one mask that the row alone decides, so that two models are asked the same."""
        return by_row(examples.dense("row"), predictor.ask(examples, Ask("masked_loss", self._fixed, judged)))

    def _fixed(self, examples: Examples) -> Batch:
        """A batch whose masks depend on each example alone, not on the batch it is in."""
        ids = examples.ragged("input_ids")
        parts = [
            self.collate(examples.take([place]), np.random.default_rng(np.asarray(ids[place], dtype=np.uint32)))
            for place in range(len(examples))
        ]
        starts = np.cumsum(ids.lengths) - ids.lengths
        return {
            "flat": Flat.of(np.concatenate([part["flat"].input_ids.numpy() for part in parts]), ids.lengths),
            "places": torch.cat([part["places"] + int(start) for part, start in zip(parts, starts, strict=True)]),
            "target": torch.cat([part["target"] for part in parts]),
        }

    def tune(self, predictions: Sequence[TextLoss], rows: Rows) -> Self:
        return self

    def scores(self, predictions: Sequence[TextLoss], rows: Rows) -> dict[str, float]:
        return summary(predictions)

    def evaluate(self, predictions: Sequence[TextLoss], rows: Rows, *, seed: int) -> dict[str, Any]:
        return measured(predictions, None, seed=seed)

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    def show(self, prediction: TextLoss) -> dict[str, Any]:
        return {"loss": prediction.nats / max(1, prediction.targets), "tokens": prediction.targets}


def _kinds(begins: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """What the tokens of a part are to the mask; a word that the part cuts in two begins anew."""
    kinds = begins.astype(np.uint8)
    kinds[:1] = BEGINS
    return kinds


def hide(
    kinds: NDArray[np.uint8], share: float, rng: np.random.Generator, *, whole_words: bool = True
) -> NDArray[np.bool_]:
    """[tokens] which tokens are hidden: each word (or token) with the same chance, special tokens never."""
    unit = np.cumsum(kinds != GOES_ON) if whole_words else np.arange(1, len(kinds) + 1)
    chosen = rng.random(int(unit[-1]) + 1 if len(unit) else 1) < share
    return chosen[unit] & (kinds != SPECIAL)
