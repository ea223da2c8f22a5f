"""How good the model is on held-out rows, and in parts of them; how sure it may be; whether it knows foreign texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sixfold.metrics.calibration import softmax
from sixfold.metrics.intervals import proportion
from sixfold.metrics.ranking import auc
from sixfold.metrics.tagging import spans, tags_of
from sixfold.score.subject import Subject
from sixfold.stages.auditing.figures import FOREIGN, SUREST, headline
from sixfold.stages.auditing.slices import Slices, measured
from sixfold.tasks.text_classification import LabelPrediction
from sixfold.tasks.token_classification import TokenClassification

if TYPE_CHECKING:
    import datasets

Result = dict[str, Any]
CURVE = 20
"""Points of the curve of rows answered."""
SHOWN = 6
"""Foreign texts that the model is surest of, for the report."""


@dataclass(frozen=True)
class Answered:
    """The model's answers to the held-out rows.

    Attributes:
        predictions: one a row.
        right: bool [rows]; of a row of words, whether every tag is right.
        sureness: float [rows], the probability of the answer; of a row of words, the mean over its words.
    """

    predictions: list[Any]
    right: NDArray[np.bool_]
    sureness: NDArray[np.float64]


def answered(subject: Subject, rows: datasets.Dataset) -> Answered:
    """Ask the model about every row."""
    task: Any = subject.task
    role = next(column.role for column in task.columns if not column.target)
    predictions = subject.predicted(rows[role][:])
    if isinstance(task, TokenClassification):
        gold = [tags_of(spans(tags), len(tags)) for tags in rows["tags"]]
        right = [list(one.tags) == list(tags) for one, tags in zip(predictions, gold, strict=True)]
    elif task.several:
        right = [set(one.labels) == set(cell) for one, cell in zip(predictions, rows[task.target], strict=True)]
    else:
        likeliest = [task.labels[int(one.probabilities.argmax())] for one in predictions]
        right = [one == str(cell) for one, cell in zip(likeliest, rows["label"], strict=True)]
    return Answered(predictions, np.array(right, dtype=bool), _sureness(task, predictions))


def _sureness(task: Any, predictions: Sequence[Any]) -> NDArray[np.float64]:
    if isinstance(task, TokenClassification):
        return np.array([_of_words(one.logits, task.temperature) for one in predictions])
    if task.several:  # how far its labels are from undecided
        return np.array([np.abs(one.probabilities - 0.5).mean() + 0.5 for one in predictions])
    return np.array([one.probabilities.max() for one in predictions])


def _of_words(logits: NDArray, temperature: float) -> float:
    return float(softmax(logits, temperature).max(axis=-1).mean()) if len(logits) else 0.0


def quality(
    subject: Subject, rows: datasets.Dataset, found: Answered, slices: Slices, foreign: Sequence[Any], *, seed: int
) -> tuple[Result, dict[str, Result]]:
    """The evaluation, slices, what the surest answers are worth, and foreign texts; and all figures by name.

    Args:
        seed: of the bootstrap.
    """
    task: Any = subject.task
    evaluation = task.evaluate(found.predictions, rows, seed=seed)
    metrics: dict[str, Result] = dict(evaluation["metrics"])
    name = headline(task)

    def figure(places: list[int]) -> Result:
        if name == "accuracy":
            return proportion(name, int(found.right[places].sum()), len(places)).to_dict()
        part = task.evaluate([found.predictions[place] for place in places], rows.select(places), seed=seed)
        return dict(part["metrics"][name])

    table, sliced = measured(slices, name, figure)
    metrics |= sliced
    if evaluation.get("calibration"):
        metrics["ece"] = evaluation["calibration"]["after"]["ece"]
    surest, points = _surest(found)
    metrics |= surest
    told: Result = {
        "evaluation": evaluation,
        "headline": name,
        "slices": table,
        "left_out": dict(slices.left_out),
        "curve": points,
        "rows": len(rows),
    }
    if foreign:
        told["foreign"], metrics[FOREIGN] = _foreign(subject, found, foreign)
    return told, metrics


def _surest(found: Answered) -> tuple[dict[str, Result], list[tuple[float, float]]]:
    """Right answers among the surest rows: at fixed shares with intervals, and as a curve."""
    order = np.argsort(-found.sureness, kind="stable")
    right = found.right[order]
    metrics = {}
    for share in SUREST:
        count = max(1, round(len(right) * share / 100))
        metrics[f"surest_{share}"] = proportion(f"right, surest {share} %", int(right[:count].sum()), count).to_dict()
    sums = np.cumsum(right)
    counts = np.unique(np.linspace(1, len(right), CURVE).round().astype(int))
    return metrics, [(float(count / len(right)), float(sums[count - 1] / count)) for count in counts]


def _foreign(subject: Subject, found: Answered, foreign: Sequence[Any]) -> tuple[Result, Result]:
    """Whether the model is less sure of foreign texts than of its own (Hendrycks and Gimpel 2017)."""
    predictions = subject.predicted(foreign)
    sureness = _sureness(subject.task, predictions)
    metric = auc("AUROC of being unsure", -sureness, -found.sureness).to_dict()
    order = np.argsort(-sureness, kind="stable")[:SHOWN]
    surest = [
        {"text": written(foreign[place]), "answer": said(predictions[place]), "sureness": float(sureness[place])}
        for place in order
    ]
    bins = np.linspace(0, 1, 21)
    told = {
        "texts": len(foreign),
        "metric": metric,
        "surest": surest,
        "bins": bins.tolist(),
        "own": np.histogram(found.sureness, bins)[0].tolist(),
        "foreign": np.histogram(sureness, bins)[0].tolist(),
    }
    return told, metric


def written(given: Any) -> str:
    """A text, or a row of words, as a person reads it."""
    return given if isinstance(given, str) else " ".join(given)


def said(prediction: Any) -> str:
    """An answer as a person reads it: labels, or tags."""
    if isinstance(prediction, LabelPrediction):
        return ", ".join(prediction.labels) or "nothing"
    return " ".join(prediction.tags)
