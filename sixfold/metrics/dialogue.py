"""What answers are like, apart from whether they are right: how varied, how repetitive, how long.

A word is what ``text.segment.words`` finds: Chinese is cut into words by rjieba, not into characters. Marks are words
too, and case is folded; only ``length`` leaves marks out.

Distinct-n and self-BLEU compare answers with each other, and an answer that a resample holds twice would repeat itself:
a bootstrap is wrong for them. Their intervals are by the jackknife, which leaves one answer out at a time and is never
too narrow on average (Efron and Stein 1981).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sixfold.metrics.intervals import Z95, bootstrap, patterns
from sixfold.metrics.value import Metric
from sixfold.text.segment import words as split_words

Words = Sequence[str]
Floats = NDArray[np.float64]

ORDERS = 4
"""Of BLEU; and the words in a row that count as repeated."""
NO_MATCH = 0.1
"""In place of 0 n-grams in common: the first smoothing of Chen and Cherry 2014, as Zhu et al. use it."""
_SHARED = -1


def answer_words(text: str) -> list[str]:
    """The words of an answer as they are compared."""
    return [text[start:end].casefold() for start, end in split_words(text)]


def of_answers(texts: Sequence[str], *, seed: int) -> dict[str, Metric]:
    """All figures of this module.

    Args:
        texts: an answer each.
        seed: of the bootstrap.
    """
    answers = [answer_words(text) for text in texts]
    return {
        "length": length("length in words", answers, seed=seed),
        "distinct_1": distinct("distinct-1", answers, 1),
        "distinct_2": distinct("distinct-2", answers, 2),
        "self_bleu": self_bleu("self-BLEU", answers),
        "repetition": repetition("repetition", answers, seed=seed),
    }


def length(name: str, answers: Sequence[Words], *, seed: int) -> Metric:
    """Words of an answer, marks not counted; its mean."""
    counts = [sum(any(map(str.isalnum, word)) for word in answer) for answer in answers]
    return averaged(name, np.array(counts, dtype=np.float64), seed=seed, percent=False)


def repetition(name: str, answers: Sequence[Words], *, seed: int) -> Metric:
    """The share of an answer's four words in a row that stand earlier in it; the mean of answers that have so many."""
    shares = []
    for answer in answers:
        grams = list(_grams(answer, ORDERS))
        if grams:
            shares.append(1 - len(set(grams)) / len(grams))
    return averaged(name, np.array(shares, dtype=np.float64), seed=seed)


def distinct(name: str, answers: Sequence[Words], n: int) -> Metric:
    """Different runs of n words in all answers, for each word of them (distinct-n, Li et al. 2016, arXiv:1510.03055).

    It falls as answers get more or longer: compare only as many answers as well.
    """
    owner: dict[tuple[str, ...], int] = {}
    for place, answer in enumerate(answers):
        for gram in set(_grams(answer, n)):
            owner[gram] = _SHARED if gram in owner else place
    alone = Counter(owner.values())  # by answer, the runs that only it has
    sizes = [len(answer) for answer in answers]
    total = sum(sizes)
    left_out = [_share(len(owner) - alone[place], total - size) for place, size in enumerate(sizes)]
    return _jackknifed(name, _share(len(owner), total), np.array(left_out, dtype=np.float64))


def self_bleu(name: str, answers: Sequence[Words]) -> Metric:
    """The mean BLEU-4 of each answer against all others (Zhu et al. 2018, arXiv:1802.01886); high: all say the same.

    Answers without a word are left out, and one of fewer than four words is judged by the runs that it has. It rises
    with the number of answers: compare only as many.
    """
    said = [answer for answer in answers if answer]
    count = len(said)
    if count < 2:
        return Metric(name, math.nan, math.nan, math.nan, count, "jackknife", percent=False)
    found = [_grams_by_answer(said, n) for n in range(1, ORDERS + 1)]
    lengths = np.array([len(answer) for answer in said])
    own, others = np.zeros(count), np.zeros(count)
    for place in range(count):
        scores = _bleu(place, lengths, found)
        own[place] = scores[place]
        scores[place] = 0.0
        others += scores
    return _jackknifed(name, float(own.mean()), others / (count - 1), percent=False)


def averaged(name: str, values: Floats, *, seed: int, percent: bool = True) -> Metric:
    """The mean of values [rows] with its bootstrap interval; without one where there are fewer than two."""
    count = len(values)
    if count < 2:
        value = float(values[0]) if count else math.nan
        return Metric(name, value, math.nan, math.nan, count, "bootstrap", percent)
    distinct_values, counts = patterns(np.stack([values, np.ones(count)], axis=1))
    found = bootstrap(distinct_values, counts, lambda sums: sums[:, :1] / sums[:, 1:], seed=seed)
    return found.metric(0, name, count, percent=percent)


def _grams(answer: Words, n: int) -> Iterator[tuple[str, ...]]:
    return zip(*(answer[start:] for start in range(n)), strict=False)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _jackknifed(name: str, value: float, left_out: Floats, *, percent: bool = False) -> Metric:
    """A number between 0 and 1 with its interval from what it is without each answer [answers]."""
    count = len(left_out)
    low = high = math.nan
    if count > 1 and np.isfinite(left_out).all() and math.isfinite(value):
        half = Z95 * math.sqrt((count - 1) / count * float(((left_out - left_out.mean()) ** 2).sum()))
        low, high = max(0.0, value - half), min(1.0, value + half)
    return Metric(name, value, low, high, count, "jackknife", percent)


Grams = tuple[list[Counter[tuple[str, ...]]], dict[tuple[str, ...], list[tuple[int, int]]]]
"""Of one n: each answer's n-grams, and for each n-gram the three answers that have it most, as (count, answer)."""


def _grams_by_answer(answers: Sequence[Words], n: int) -> Grams:
    counted = [Counter(_grams(answer, n)) for answer in answers]
    most: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for place, grams in enumerate(counted):
        for gram, count in grams.items():
            most[gram] = sorted([*most.get(gram, []), (count, place)], reverse=True)[:3]
    return counted, most


def _bleu(place: int, lengths: NDArray[np.int64], found: Sequence[Grams]) -> Floats:
    """[answers] BLEU of one answer against all others but each; at its own place, against all others.

    NaN where nothing is left to be held against.
    """
    size = int(lengths[place])
    logs = np.zeros(len(lengths))
    orders = min(ORDERS, size)
    for n, (counted, most) in enumerate(found[:orders], start=1):
        matches = np.zeros(len(lengths))
        for gram, count in counted[place].items():
            best, second = [*(one for one in most[gram] if one[1] != place), (0, place), (0, place)][:2]
            matches += min(count, best[0])
            if best[1] != place:  # without the answer that has it most, the next one counts
                matches[best[1]] -= min(count, best[0]) - min(count, second[0])
        logs += np.log(np.where(matches > 0, matches, NO_MATCH) / (size - n + 1))
    near = sorted((abs(int(other) - size), int(other), at) for at, other in enumerate(lengths) if at != place)
    closest = np.full(len(lengths), float(near[0][1]))
    closest[near[0][2]] = near[1][1] if len(near) > 1 else math.nan
    return np.exp(logs / orders + np.minimum(0.0, 1 - closest / size))
