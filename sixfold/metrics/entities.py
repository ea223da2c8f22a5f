"""How well entities are found: precision, recall and F1 of whole entities, as conlleval counts them.

Reading and writing tags: ``tagging.py``. Legal decoding: ``decoding.py``. (Both reachable from here.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sixfold.errors import DataError
from sixfold.metrics.decoding import decode_constrained, viterbi, viterbi_batch
from sixfold.metrics.intervals import Floats, bootstrap, patterns, proportion
from sixfold.metrics.scores import ClassScore, class_scores, f1
from sixfold.metrics.tagging import Scheme, Span, scheme, spans, tags_of, transitions
from sixfold.metrics.value import Metric

__all__ = [
    "EntityResult",
    "Scheme",
    "Span",
    "decode_constrained",
    "evaluate",
    "scheme",
    "sentence_counts",
    "spans",
    "tags_of",
    "transitions",
    "viterbi",
    "viterbi_batch",
]


@dataclass(frozen=True)
class EntityResult:
    """The measured quality of a tagger.

    ``token_accuracy`` stands beside ``outside_baseline``, the accuracy of tagging every word ``O``: without
    it the number says nothing. ``sentences`` holds (right, predicted, gold) entities of each sentence, for
    paired tests. ``confusion`` counts gold entities by the type predicted on exactly the same words
    (``missed`` where none is), and predicted entities on words that are no gold entity (``spurious``).
    """

    labels: tuple[str, ...]
    count: int
    words: int
    seed: int
    f1: Metric
    precision: Metric
    recall: Metric
    token_accuracy: Metric
    outside_baseline: Metric
    per_type: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    sentences: tuple[tuple[int, int, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, without the per-sentence counts."""
        return {
            "kind": "entities",
            "labels": list(self.labels),
            "count": self.count,
            "words": self.words,
            "seed": self.seed,
            "metrics": {
                "f1": self.f1.to_dict(),
                "precision": self.precision.to_dict(),
                "recall": self.recall.to_dict(),
                "token_accuracy": self.token_accuracy.to_dict(),
            },
            "baseline": self.outside_baseline.to_dict(),
            "baseline_label": "O",
            "per_class": [score.to_dict() for score in self.per_type],
            "confusion": [list(row) for row in self.confusion],
        }


def evaluate(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], *, seed: int) -> EntityResult:
    """Measure a tagger. An entity is right when its type, first and last word are; the schemes may differ.

    Micro F1 is 0 when there is nothing to find and nothing was found, as in seqeval. Token accuracy
    compares the tags as they are written. The intervals resample whole sentences.

    Args:
        gold: the right tags of each sentence.
        predicted: the predicted tags of each sentence, as many.
        seed: of the bootstrap.

    Raises:
        DataError: no words, sentences or tags that do not pair up, or a string that is no tag.
    """
    _check_aligned(gold, predicted)
    true = [spans(tags) for tags in gold]
    guess = [spans(tags) for tags in predicted]
    labels = sorted({kind for entities in (*true, *guess) for kind, _, _ in entities})
    rows = sentence_counts(gold, predicted, true, guess, labels)
    distinct, counts = patterns(rows)
    classes = len(labels)
    found = bootstrap(distinct, counts, lambda sums: _statistics(sums, classes), seed=seed)
    totals = rows.sum(axis=0)
    right, guessed, known = totals[4:].reshape(3, classes)
    return EntityResult(
        labels=tuple(labels),
        count=len(gold),
        words=int(totals[3]),
        seed=seed,
        f1=found.metric(0, "entity F1", len(gold)),
        precision=proportion("entity precision", int(right.sum()), int(guessed.sum())),
        recall=proportion("entity recall", int(right.sum()), int(known.sum())),
        token_accuracy=found.metric(1, "token accuracy", int(totals[3])),
        outside_baseline=found.metric(2, "accuracy of always O", int(totals[3])),
        per_type=class_scores(labels, right, guessed, known, found, first=3),
        confusion=_confusion(true, guess, labels),
        sentences=tuple(zip(*_by_sentence(rows, classes), strict=True)),
    )


def sentence_counts(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    true: Sequence[Sequence[Span]],
    guess: Sequence[Sequence[Span]],
    labels: Sequence[str],
) -> Floats:
    """What each sentence adds up: float [sentences, 4 + 3·types].

    The columns: one (the sentence), words tagged right, words whose gold tag is O, words; then right
    entities of each type, predicted ones, gold ones.
    """
    index = {label: place for place, label in enumerate(labels)}
    rows = np.zeros((len(gold), 4 + 3 * len(labels)))
    for row, tags, marks, known, found in zip(rows, gold, predicted, true, guess, strict=True):
        same = sum(tag == mark for tag, mark in zip(tags, marks, strict=True))
        row[:4] = 1, same, sum(tag == "O" for tag in tags), len(tags)
        types = row[4:].reshape(3, -1)
        for place, entities in enumerate((set(known) & set(found), found, known)):
            for kind, _, _ in entities:
                types[place, index[kind]] += 1
    return rows


def _statistics(sums: Floats, classes: int) -> Floats:
    """(micro F1, token accuracy, accuracy of always O, F1 of each type) of sums [n, 4 + 3·types]."""
    right, guessed, known = np.moveaxis(sums[:, 4:].reshape(len(sums), 3, classes), 1, 0)
    micro = np.nan_to_num(f1(right.sum(axis=1), guessed.sum(axis=1), known.sum(axis=1)))
    words = np.maximum(1.0, sums[:, 3])
    return np.column_stack([micro, sums[:, 1] / words, sums[:, 2] / words, f1(right, guessed, known)])


def _by_sentence(rows: Floats, classes: int) -> list[list[int]]:
    return (
        [part.sum(axis=1).astype(int).tolist() for part in np.split(rows[:, 4:], 3, axis=1)]
        if classes
        else [[0] * len(rows)] * 3
    )


def _confusion(
    true: Sequence[Sequence[Span]], guess: Sequence[Sequence[Span]], labels: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    """Counts [types + 1, types + 1]: gold type (last: spurious) by predicted type (last: missed)."""
    none = len(labels)
    index = {label: place for place, label in enumerate(labels)}
    cells: Counter[tuple[int, int]] = Counter()
    for known, found in zip(true, guess, strict=True):
        gold_at = {(start, end): index[kind] for kind, start, end in known}
        guess_at = {(start, end): index[kind] for kind, start, end in found}
        for place in gold_at.keys() | guess_at.keys():
            cells[gold_at.get(place, none), guess_at.get(place, none)] += 1
    return tuple(tuple(cells[i, j] for j in range(none + 1)) for i in range(none + 1))


def _check_aligned(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> None:
    if len(gold) != len(predicted):
        raise DataError("gold and predicted sentences do not pair up", found=f"{len(gold):,} and {len(predicted):,}")
    if not any(len(tags) for tags in gold):
        raise DataError("there are no words to evaluate on", hint="give a split that has rows with tags")
    for place, (tags, marks) in enumerate(zip(gold, predicted, strict=True)):
        if len(tags) != len(marks):
            raise DataError(
                "a sentence has another number of predicted than of gold tags",
                where=f"sentence {place + 1:,}",
                found=f"{len(tags):,} gold, {len(marks):,} predicted",
            )
