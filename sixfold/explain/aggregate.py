"""What words do in a whole file: those that matter most for each answer, and suspected shortcuts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from sixfold.explain.attribution import Explanation
from sixfold.metrics.intervals import wilson
from sixfold.text import normal

LEAST_TEXTS = 3
"""Texts in which a word must stand, or whose answer it must flip, before anything is said of it."""
MOST_WORDS = 20


@dataclass(frozen=True)
class Word:
    """What a word does for one answer.

    Attributes:
        weight: its mean weight in the texts that got the answer, each divided by the heaviest of its text, so that
            short and long texts count alike; -1 to 1.
        texts: in which it stands.
        example: the number of the text in which it weighs most.
    """

    word: str
    label: str
    weight: float
    texts: int
    example: int


@dataclass(frozen=True)
class Shortcut:
    """A word whose removal flips many answers.

    Attributes:
        flips: texts whose answer is another one without it.
        texts: in which it stands.
        low, high: the 95 % interval of the share.
        usual: the share of all words' removals that flip an answer.
        labels: the answers that were flipped, the most frequent first.
        examples: numbers of some of those texts.
    """

    word: str
    flips: int
    texts: int
    low: float
    high: float
    usual: float
    labels: tuple[str, ...]
    examples: tuple[int, ...]


@dataclass(frozen=True)
class Gathered:
    """What was gathered from explanations by one explainer.

    Attributes:
        words: by answer, those with the greatest mean weight; none that speaks against it.
        shortcuts: suspected; those that flip most come first.
        flips: share of removed words that flip an answer.
    """

    method: str
    words: dict[str, tuple[Word, ...]]
    shortcuts: tuple[Shortcut, ...]
    flips: float
    texts: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)


@dataclass
class _Tally:
    """Of one word: its weight in each text, by answer; and the texts that it flips, with their answers."""

    weights: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    texts: set[int] = field(default_factory=set)
    flipped: dict[int, str] = field(default_factory=dict)


def gathered(explanations: Iterable[Explanation], method: str) -> Gathered:
    """Gather words by their normal form (case and width folded); each counts once a text, with its greatest weight."""
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    texts, removed, flips = set(), 0, 0
    for one in explanations:
        weights = np.array(one.of(method).weights)
        greatest = float(np.abs(weights).max(initial=0.0)) or 1.0
        texts.add(one.number)
        for place, ((start, end), weight) in enumerate(zip(one.spans, weights / greatest, strict=True)):
            tally = tallies[normal(one.text[start:end])]
            tally.texts.add(one.number)
            of_label = tally.weights[one.label]
            if abs(weight) >= abs(of_label.get(one.number, 0.0)):
                of_label[one.number] = float(weight)
            if one.flips:
                removed, flips = removed + 1, flips + one.flips[place]
                if one.flips[place]:
                    tally.flipped[one.number] = one.label
    usual = flips / removed if removed else 0.0
    return Gathered(method, _words(tallies), _shortcuts(tallies, usual), usual, len(texts))


def _words(tallies: dict[str, _Tally]) -> dict[str, tuple[Word, ...]]:
    found: dict[str, list[Word]] = defaultdict(list)
    for word, tally in tallies.items():
        for label, weights in tally.weights.items():
            if len(weights) >= LEAST_TEXTS:
                example = max(weights, key=lambda number: weights[number])
                found[label].append(Word(word, label, float(np.mean(list(weights.values()))), len(weights), example))
    return {
        label: tuple(
            sorted((one for one in words if one.weight > 0), key=lambda one: (-one.weight, one.word))[:MOST_WORDS]
        )
        for label, words in sorted(found.items())
    }


def _shortcuts(tallies: dict[str, _Tally], usual: float) -> tuple[Shortcut, ...]:
    """Words that flip at least ``LEAST_TEXTS`` answers, surely more often than a word usually does."""
    found = []
    for word, tally in tallies.items():
        count = len(tally.flipped)
        if count < LEAST_TEXTS:
            continue
        low, high = wilson(count, len(tally.texts))
        if low > usual:
            examples = tuple(sorted(tally.flipped)[:5])
            found.append(
                Shortcut(word, count, len(tally.texts), low, high, usual, _ordered(tally.flipped.values()), examples)
            )
    return tuple(sorted(found, key=lambda one: (-one.flips, one.word)))


def _ordered(labels: Iterable[str]) -> tuple[str, ...]:
    counts: dict[str, int] = defaultdict(int)
    for label in labels:
        counts[label] += 1
    return tuple(sorted(counts, key=lambda label: (-counts[label], label)))
