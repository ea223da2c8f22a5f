"""Hidden tokens and the order of sentences in one loss, as BERT and ALBERT were pretrained.

The order is answered in the vocabulary: at the first token the language-model head says ``[SEP]`` for in order and
``[MASK]`` for out of order, two pieces that no text holds. So any masked-language model learns both, with no second
head to save, and the checkpoint loads anywhere as what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from sixfold.data.columns import Column
from sixfold.data.examples import Examples
from sixfold.metrics.intervals import proportion
from sixfold.models.forward import Flat
from sixfold.models.head import Head
from sixfold.tasks.contract import Ask, Batch, Encoded, OnLong, Predictor, Rows, Term
from sixfold.tasks.masked_lm import SPECIAL, MaskedLM, hide
from sixfold.tasks.sentence_order import IN_ORDER, SentenceOrder
from sixfold.tasks.text_loss import TextLoss, judged_at, measured, summary, terms

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Both:
    """How well a model says a text's hidden tokens, and judges its order."""

    masked: TextLoss
    order: TextLoss


@dataclass(frozen=True)
class MaskedAndOrder:
    """Plain text in; hidden tokens back, and whether its parts stand in order.

    Attributes:
        share: of the words that are hidden.
        whole_words: a word is hidden whole or not at all.
        against: what a pair out of order is, as in ``SentenceOrder``.
        order_weight: of the order's term beside the masked one's.
        mask_id: the tokenizer's ``[MASK]``; known after ``fitted``.
        frame: special tokens around the parts; known after ``fitted``.
    """

    share: float = 0.3
    whole_words: bool = True
    against: Literal["order", "next"] = "order"
    order_weight: float = 0.5
    mask_id: int = -1
    frame: tuple[int, int, int] = field(default=(-1, -1, -1))

    name: ClassVar[str] = "masked_and_order"
    metric: ClassVar[str] = "loss"
    score_names: ClassVar[tuple[str, ...]] = ("loss", "perplexity", "accuracy", "order_accuracy")

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", tuple(self.frame))

    @property
    def _order(self) -> SentenceOrder:
        return SentenceOrder(self.against, self.frame)

    @property
    def columns(self) -> tuple[Column, ...]:
        return self._order.columns

    @property
    def added_ids(self) -> tuple[int, ...]:
        return (*self.frame, self.mask_id)

    def learn(self, rows: Rows) -> Self:
        return self

    def fitted(self, tokenizer: PreTrainedTokenizerBase) -> Self:
        """The same task for one tokenizer. Raises ModelError where it lacks a special token that is needed."""
        mask_id = MaskedLM().fitted(tokenizer).mask_id
        return replace(self, mask_id=mask_id, frame=self._order.fitted(tokenizer).frame)

    def head(self) -> Head:
        return Head("masked_lm")

    def encode(self, rows: Rows, tokenizer: PreTrainedTokenizerBase, limit: int, on_long: OnLong) -> Encoded:
        return self._order.encode(rows, tokenizer, limit, on_long)

    def collate(self, examples: Examples, rng: np.random.Generator) -> Batch:
        """Pairs put together anew, then words hidden in them."""
        made = self._order.pairs(examples, rng.random(len(examples)) < 0.5)
        whole = np.asarray(examples.ragged("kind").values)
        kinds = np.where(made.source < 0, SPECIAL, whole[np.maximum(made.source, 0)]).astype(np.uint8)
        hidden = hide(kinds, self.share, rng, whole_words=self.whole_words)
        places, starts = np.flatnonzero(hidden), np.cumsum(made.lengths) - made.lengths
        said = np.where(made.order == IN_ORDER, self.frame[2], self.mask_id)
        return {
            "flat": Flat.of(np.where(hidden, self.mask_id, made.ids), made.lengths, made.types),
            "places": torch.from_numpy(places),
            "target": torch.from_numpy(made.ids[places]),
            "order_places": torch.from_numpy(starts),
            "order": torch.from_numpy(said),
        }

    def counts(self, batch: Batch) -> dict[str, float]:
        return {"token": float(len(batch["target"])), "order": float(len(batch["order"]))}

    def loss(self, model: torch.nn.Module, batch: Batch) -> dict[str, Term]:
        asked = {"token": (batch["places"], batch["target"]), "order": (batch["order_places"], batch["order"])}
        found = terms(model, batch["flat"], asked)
        return {**found, "order": replace(found["order"], weight=self.order_weight)}

    def predict(self, predictor: Predictor, examples: Examples) -> list[Both]:
        """Each row under masks and swaps that its tokens alone decide."""
        answers = predictor.ask(examples, Ask("masked_and_order", self._fixed, _judged))
        row = examples.dense("row")
        if not answers:
            return []
        sums = np.zeros((int(row.max()) + 1, *answers[0].shape))
        np.add.at(sums, row, np.stack(answers))
        return [Both(*map(TextLoss.of, both)) for both in sums]

    def _fixed(self, examples: Examples) -> Batch:
        """A batch whose masks and swaps depend on each example alone; out of order is swapped here."""
        task = replace(self, against="order")
        parts = [
            task.collate(examples.take([place]), np.random.default_rng(np.asarray(run, dtype=np.uint32)))
            for place, run in enumerate(examples.ragged("input_ids"))
        ]
        flats = [part["flat"] for part in parts]
        lengths = np.array([flat.lengths[0] for flat in flats], dtype=np.int64)
        starts = np.cumsum(lengths) - lengths

        def moved(name: str) -> torch.Tensor:
            return torch.cat([part[name] + int(start) for part, start in zip(parts, starts, strict=True)])

        return {
            "flat": Flat.of(
                np.concatenate([flat.input_ids.numpy() for flat in flats]),
                lengths,
                np.concatenate([flat.types.numpy() for flat in flats]),
            ),
            "places": moved("places"),
            "target": torch.cat([part["target"] for part in parts]),
            "order_places": moved("order_places"),
            "order": torch.cat([part["order"] for part in parts]),
        }

    def tune(self, predictions: Sequence[Both], rows: Rows) -> Self:
        return self

    def scores(self, predictions: Sequence[Both], rows: Rows) -> dict[str, float]:
        masked, order = ([getattr(one, name) for one in predictions] for name in ("masked", "order"))
        return {**summary(masked), "order_accuracy": summary(order)["accuracy"]}

    def evaluate(self, predictions: Sequence[Both], rows: Rows, *, seed: int) -> dict[str, Any]:
        found = measured([one.masked for one in predictions], None, seed=seed)
        right, pairs = (sum(getattr(one.order, name) for one in predictions) for name in ("right", "targets"))
        found["metrics"]["order_accuracy"] = proportion("order accuracy", right, pairs).to_dict()
        return found

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    def show(self, prediction: Both) -> dict[str, Any]:
        return asdict(prediction)


def _judged(model: torch.nn.Module, batch: Batch) -> list[NDArray]:
    asked = (batch["places"], batch["target"]), (batch["order_places"], batch["order"])
    return [np.stack(both) for both in zip(*judged_at(model, batch["flat"], *asked), strict=True)]
