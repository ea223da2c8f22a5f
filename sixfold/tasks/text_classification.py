"""One label, or several labels, for a text: topic, intent, sentiment."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from sixfold.data.columns import Column
from sixfold.data.examples import Examples, Ragged
from sixfold.errors import DataError
from sixfold.metrics import calibration, classification, multilabel
from sixfold.metrics.scores import f1, macro
from sixfold.models.forward import Flat, row_logits
from sixfold.models.head import Head
from sixfold.tasks.contract import Ask, Batch, Encoded, OnLong, Predictor, Rows, Term
from sixfold.tasks.encoding import calibrated, frame, framed, pieces, places, row_numbers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MISTAKES = 50
"""Worst mistakes that a report keeps."""


@dataclass(frozen=True)
class LabelPrediction:
    """What the model says of one text.

    Attributes:
        labels: the predicted label; several or none where several are allowed; none when it abstains.
        confidence: the probability of the best label.
        probabilities: float [classes], after temperature.
        logits: float [classes].
        abstained: the confidence is below what the task asks for.
    """

    labels: tuple[str, ...]
    confidence: float
    probabilities: NDArray[np.float64]
    logits: NDArray[np.float64]
    abstained: bool = False


@dataclass(frozen=True)
class TextClassification:
    """Text to label.

    Attributes:
        labels: class names in the order of the head's outputs; empty before ``learn``.
        several: a text may have several labels, or none.
        class_weights: what each class's loss is multiplied with; ``balanced`` before ``learn`` asks for weights in
            inverse proportion to the class's count.
        thresholds: for several labels, the probability from which a label is given, one a class.
        temperature: divides logits; fitted on validation.
        abstain_below: with a confidence under this there is no answer.
        calibrated_on: validation rows that the temperature was fitted on; 0 where they told none.
    """

    labels: tuple[str, ...] = ()
    several: bool = False
    class_weights: tuple[float, ...] | Literal["balanced"] | None = None
    thresholds: tuple[float, ...] = ()
    temperature: float = 1.0
    abstain_below: float | None = None
    calibrated_on: int = 0

    name: ClassVar[str] = "text_classification"
    metric: ClassVar[str] = "macro_f1"

    def __post_init__(self) -> None:
        for name in ("labels", "thresholds", "class_weights"):
            if isinstance(value := getattr(self, name), list):
                object.__setattr__(self, name, tuple(value))

    @property
    def target(self) -> str:
        """The role that holds what is learnt."""
        return "labels" if self.several else "label"

    @property
    def columns(self) -> tuple[Column, ...]:
        several = ("labels", "tags", "topics") if self.several else ()
        return (
            Column("text", "text", names=("text", "sentence", "review", "content", "title"), help="what is classified"),
            Column(
                self.target,
                "labels" if self.several else "label",
                target=True,
                names=(*several, "label", "category", "intent", "class", "sentiment", "topic"),
                help="its classes" if self.several else "its class",
            ),
        )

    @property
    def score_names(self) -> tuple[str, ...]:
        return ("macro_f1", "micro_f1") if self.several else ("accuracy", "macro_f1", "loss")

    def learn(self, rows: Rows) -> Self:
        cells = [_names(cell) for cell in rows[self.target]]
        counts = Counter(label for names in cells for label in names)
        labels = self.labels or tuple(sorted(counts, key=_natural))
        if len(labels) < 2 and not self.several:
            raise DataError(
                f"all {len(cells):,} training rows have the same label, {labels[0] if labels else None!r}",
                hint="a classifier needs at least two classes",
            )
        weights = self.class_weights
        if weights == "balanced":
            total = sum(counts.values())
            weights = tuple(total / (len(labels) * max(1, counts[label])) for label in labels)
        return replace(self, labels=labels, class_weights=weights)

    def head(self) -> Head:
        return Head("text_classification", self.labels, multi_label=self.several)

    def encode(self, rows: Rows, tokenizer: PreTrainedTokenizerBase, limit: int, on_long: OnLong) -> Encoded:
        around = frame(tokenizer)
        texts = list(rows["text"])
        ids = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []
        parts, cut = pieces([len(row) for row in ids], limit, around, on_long)
        row = row_numbers(parts)
        columns: dict[str, Ragged | NDArray] = {"input_ids": framed(ids, parts, around), "row": row}
        if self.target in rows.column_names:
            columns["label"] = self._targets(rows[self.target])[row]
        return Encoded(Examples(columns), cut)

    def _targets(self, cells: Sequence[Any]) -> NDArray:
        """Class index [rows], or 0/1 [rows, classes]. A label that training did not know is -1, or left out."""
        index = {label: place for place, label in enumerate(self.labels)}
        if not self.several:
            return np.array([index.get(_one(cell), -1) for cell in cells], dtype=np.int64)
        out = np.zeros((len(cells), len(self.labels)), dtype=np.float32)
        for place, cell in enumerate(cells):
            for label in _names(cell):
                if label in index:
                    out[place, index[label]] = 1.0
        return out

    def collate(self, examples: Examples, rng: np.random.Generator) -> Batch:
        ids = examples.ragged("input_ids")
        batch: Batch = {"flat": Flat.of(ids.values, ids.lengths)}
        if "label" in examples.columns:
            batch["label"] = torch.from_numpy(examples.dense("label"))
        return batch

    def counts(self, batch: Batch) -> dict[str, float]:
        target = batch["label"]
        if self.several:
            return {"label": float(target.numel())}
        weights = self._weights(target)
        return {"label": float((target >= 0).sum()) if weights is None else float(weights[target[target >= 0]].sum())}

    def _weights(self, like: torch.Tensor) -> torch.Tensor | None:
        return torch.tensor(self.class_weights, device=like.device) if self.class_weights else None

    def loss(self, model: torch.nn.Module, batch: Batch) -> dict[str, Term]:
        return self.judged(self.logits(model, batch), batch)

    def logits(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """[rows, classes]"""
        return row_logits(model, batch["flat"]).float()

    def judged(self, logits: torch.Tensor, batch: Batch) -> dict[str, Term]:
        """The loss of logits against the batch's targets; apart from ``logits`` for mixup."""
        target, count = batch["label"], self.counts(batch)["label"]
        if self.several:
            total = binary_cross_entropy_with_logits(logits, target, pos_weight=self._weights(logits), reduction="sum")
            logits = torch.stack([torch.zeros_like(logits), logits], dim=-1)  # a sigmoid is a softmax of two
        else:
            total = cross_entropy(logits, target, self._weights(logits), ignore_index=-1, reduction="sum")
        return {"label": Term(total, count, logits=logits)}

    def question(self) -> Ask:
        """What is asked of each example: [classes] its logits."""
        return Ask("row_logits", self._inputs, _read)

    def joined(self, answers: Sequence[NDArray], examples: Examples) -> NDArray[np.float64]:
        """[rows, classes] logits: windows of one text are joined by the mean of their answers."""
        if not answers:
            return np.zeros((0, len(self.labels)))
        row = examples.dense("row")
        sums = np.zeros((int(row.max()) + 1, len(self.labels)))
        np.add.at(sums, row, np.stack(answers))
        return sums / np.bincount(row)[:, None]

    def probabilities(self, logits: NDArray) -> NDArray[np.float64]:
        """[..., classes] after temperature; each class for itself where a text may have several."""
        if self.several:
            return 1 / (1 + np.exp(-logits / self.temperature))
        return calibration.softmax(logits, self.temperature)

    def predict(self, predictor: Predictor, examples: Examples) -> list[LabelPrediction]:
        answers = predictor.ask(examples, self.question())
        return [self._prediction(line) for line in self.joined(answers, examples)]

    def _inputs(self, examples: Examples) -> Batch:
        ids = examples.ragged("input_ids")
        return {"flat": Flat.of(ids.values, ids.lengths)}

    def _prediction(self, logits: NDArray[np.float64]) -> LabelPrediction:
        probabilities = self.probabilities(logits)
        if self.several:
            cuts = np.array(self.thresholds or [0.5] * len(self.labels))
            given = tuple(label for label, yes in zip(self.labels, probabilities >= cuts, strict=True) if yes)
            return LabelPrediction(given, float(probabilities.max(initial=0.0)), probabilities, logits)
        best = int(probabilities.argmax())
        confidence = float(probabilities[best])
        abstained = self.abstain_below is not None and confidence < self.abstain_below
        return LabelPrediction(() if abstained else (self.labels[best],), confidence, probabilities, logits, abstained)

    def tune(self, predictions: Sequence[LabelPrediction], rows: Rows) -> Self:
        """Fit the temperature (one label) or the thresholds (several) on validation rows."""
        gold = self._targets(rows[self.target])
        if self.several:
            cuts = multilabel.tune_thresholds(gold > 0, np.stack([p.probabilities for p in predictions]))
            return replace(self, thresholds=tuple(float(cut) for cut in cuts))
        known = gold >= 0
        if not known.any():
            return self
        logits = np.stack([p.logits for p in predictions])[known]
        fitted = calibration.fit_temperature(logits, gold[known])
        return replace(self, temperature=fitted.value, calibrated_on=fitted.count if fitted.found else 0)

    def scores(self, predictions: Sequence[LabelPrediction], rows: Rows) -> dict[str, float]:
        probabilities = np.stack([p.probabilities for p in predictions])
        gold = self._targets(rows[self.target])
        if self.several:
            cuts = np.array(self.thresholds or [0.5] * len(self.labels))
            predicted, true = probabilities >= cuts, gold > 0
            right = (predicted & true).sum(0)
            return {
                "macro_f1": float(macro(f1(right, predicted.sum(0), true.sum(0)))),
                "micro_f1": float(f1(right.sum(), predicted.sum(), true.sum())),
            }
        best = probabilities.argmax(1)
        classes = range(len(self.labels))
        right = np.array([((best == k) & (gold == k)).sum() for k in classes])
        said = np.array([(best == k).sum() for k in classes])
        true_counts = np.array([(gold == k).sum() for k in classes])
        known = np.flatnonzero(gold >= 0)
        chosen = probabilities[known, gold[known]]
        return {
            "accuracy": float((best == gold).mean()),
            "macro_f1": float(macro(f1(right, said, true_counts))),
            "loss": float(-np.log(np.maximum(chosen, 1e-12)).mean()) if len(known) else math.nan,
        }

    def evaluate(self, predictions: Sequence[LabelPrediction], rows: Rows, *, seed: int) -> dict[str, Any]:
        probabilities = np.stack([p.probabilities for p in predictions])
        if self.several:
            gold = self._targets(rows[self.target])
            cuts = self.thresholds or (0.5,) * len(self.labels)
            result = multilabel.evaluate_multi(gold > 0, probabilities, cuts, self.labels, seed=seed).to_dict()
            return {**result, "mistakes": self._mistakes(predictions, rows)}
        names = [_one(cell) for cell in rows[self.target]]
        # A label that training never saw counts as missed: it gets a class of its own that is never predicted.
        labels = (*self.labels, *sorted(set(names) - set(self.labels)))
        index = {label: place for place, label in enumerate(labels)}
        gold = np.array([index[name] for name in names])
        wide = np.zeros((len(gold), len(labels)))
        wide[:, : len(self.labels)] = probabilities
        result = classification.evaluate(gold, wide, labels, seed=seed, abstain_below=self.abstain_below).to_dict()
        known = gold < len(self.labels)
        if known.any():
            logits = np.stack([p.logits for p in predictions])[known]
            result["calibration"] = calibrated(logits, gold[known], self.temperature, self.calibrated_on, seed)
        return {**result, "mistakes": self._mistakes(predictions, rows)}

    def _mistakes(self, predictions: Sequence[LabelPrediction], rows: Rows) -> list[dict[str, Any]]:
        """Wrong answers, the surest first."""
        gold = [set(_names(cell)) for cell in rows[self.target]]
        wrong = [place for place, p in enumerate(predictions) if not p.abstained and set(p.labels) != gold[place]]
        wrong.sort(key=lambda place: -predictions[place].confidence)
        texts, where = rows["text"], places(rows)
        return [
            {
                "text": texts[place],
                "expected": ", ".join(sorted(gold[place])),
                "predicted": ", ".join(predictions[place].labels),
                "confidence": predictions[place].confidence,
                "where": where(place),
            }
            for place in wrong[:MISTAKES]
        ]

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    def show(self, prediction: LabelPrediction) -> dict[str, Any]:
        given = list(prediction.labels)
        answer: dict[str, Any] = {"labels": given} if self.several else {"label": given[0] if given else None}
        scores = {label: round(float(p), 6) for label, p in zip(self.labels, prediction.probabilities, strict=True)}
        return {**answer, "confidence": round(prediction.confidence, 6), "probabilities": scores}


def _read(model: torch.nn.Module, batch: Batch) -> list[NDArray]:
    return list(row_logits(model, batch["flat"]).float().cpu().numpy())


def _names(cell: Any) -> list[str]:
    """The labels in a cell: one name, or a list of names."""
    if isinstance(cell, list | tuple | np.ndarray):
        return [str(item) for item in cell]
    return [] if cell is None else [str(cell)]


def _one(cell: Any) -> str:
    names = _names(cell)
    return names[0] if len(names) == 1 else ""


def _natural(label: str) -> tuple[int, float, str]:
    """Numbers in the order of their value, then names."""
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)
