"""What a word of a text under attack may become: what is offered, and the constraints that candidates must keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sixfold.attack.similarity import SIMILARITY, Likeness
from sixfold.attack.trial import Edits, Trial
from sixfold.perturb.constraints import share_changed
from sixfold.perturb.words import Edit, Sentence, Transformation
from sixfold.score.driver import Asks, Search
from sixfold.text import Span

Allowed = NDArray[np.bool_]


@dataclass(frozen=True)
class Offer:
    """What a word could become.

    Attributes:
        what: for a report.
        of: a trial, what was changed before and a word's position to the word's candidates, in a fixed order.
        scorers: models that are asked on the way.
    """

    what: str
    of: Callable[[Trial, Edits, int], Search[list[str]]]
    scorers: Mapping[str, Asks] = field(default_factory=dict)


@dataclass(frozen=True)
class WordRule:
    """Which words may be changed: [words]."""

    what: str
    allows: Callable[[Sentence], Allowed]


@dataclass(frozen=True)
class CandidateRule:
    """Which candidates of a word are let through: [candidates]."""

    what: str
    lets: Callable[[str, Sequence[str]], Allowed]


@dataclass(frozen=True)
class Candidate:
    """A change that may be tried; ``like`` is how like the changed text is to the original, where that is measured."""

    edit: Edit
    like: float | None = None


@dataclass(frozen=True)
class Changes:
    """What may be changed, and to what.

    Attributes:
        offer: what a word could become.
        words: which words may be changed at all.
        kept: which candidates of a word are let through.
        most_share: of the words that may be changed.
        most_distance: characters that may be changed in all (Levenshtein).
        likeness: how like the whole must stay; asked last, since it runs a model.
    """

    offer: Offer
    words: tuple[WordRule, ...] = ()
    kept: tuple[CandidateRule, ...] = ()
    most_share: float | None = None
    most_distance: int | None = None
    likeness: Likeness | None = None

    @property
    def scorers(self) -> dict[str, Asks]:
        """Models that are asked for candidates."""
        alike = {} if self.likeness is None else {SIMILARITY: self.likeness.encoder.scorer}
        return {**self.offer.scorers, **alike}

    def told(self) -> list[str]:
        """The constraints, for a report."""
        found = [*(rule.what for rule in self.words), *(rule.what for rule in self.kept)]
        if self.most_share is not None:
            found.append(f"at most {self.most_share:.0%} of the words changed")
        if self.most_distance is not None:
            found.append(f"at most {self.most_distance} characters changed")
        return found + ([self.likeness.what] if self.likeness is not None else [])

    def positions(self, trial: Trial) -> list[int]:
        """Words that may be changed, in the order of the text. Marks, which a row of words has too, stay."""
        allowed = np.array([any(map(str.isalnum, word)) for word in trial.sentence.words()], dtype=np.bool_)
        for rule in self.words:
            allowed &= rule.allows(trial.sentence)
        return [place for place in np.flatnonzero(allowed).tolist() if place not in trial.frozen]

    def full(self, trial: Trial, edits: Edits) -> bool:
        """Whether no further word may be changed."""
        if self.most_share is None:
            return False
        edited = range(len(edits))  # each edit is another word; which ones does not matter for the count
        return not share_changed(trial.sentence, edited, self.most_share)[len(edits) :].any()

    def at(self, trial: Trial, edits: Edits, position: int) -> Search[list[Candidate]]:
        """The candidates for one word, when ``edits`` have been made before."""
        word = trial.sentence.word(position)
        found = yield from self.offer.of(trial, edits, position)
        if trial.text.is_words:  # a row's words stay as many as they are
            found = [candidate for candidate in found if candidate and not any(map(str.isspace, candidate))]
        for rule in self.kept:
            found = [candidate for candidate, yes in zip(found, rule.lets(word, found), strict=True) if yes]
        made = [trial.sentence.edit(position, candidate) for candidate in found]
        if self.most_distance is not None:
            room = self.most_distance - distance(trial.sentence.text, edits)
            made = [edit for edit in made if distance(trial.sentence.text, (edit,)) <= room]
        if self.likeness is None or not made:
            return [Candidate(edit) for edit in made]
        alike = yield from self.likeness.of(trial.sentence, edits, made)
        least = self.likeness.least
        return [Candidate(edit, like) for edit, like in zip(made, alike, strict=True) if like >= least]


@dataclass(frozen=True)
class Exchange:
    """Words for words, whatever stands around them.

    Attributes:
        most: candidates of a word; None for all.
        words: which words may be exchanged at all.
        kept: which candidates of a word are let through.
    """

    transformation: Transformation
    most: int | None
    words: tuple[WordRule, ...]
    kept: tuple[CandidateRule, ...]

    def changes(self, *, most_share: float | None = None, likeness: Likeness | None = None) -> Changes:
        """As an attack makes them, within bounds on the whole text."""
        offer = every(self.transformation, self.most)
        return Changes(offer, self.words, self.kept, most_share=most_share, likeness=likeness)

    def of(self, word: str) -> list[str]:
        """What may stand for a word that stands alone."""
        alone = Sentence(word, (Span(0, len(word)),))
        if not all(rule.allows(alone).all() for rule in self.words):
            return []
        found = self.transformation.candidates(alone, 0)[: self.most]
        for rule in self.kept:
            found = [one for one, yes in zip(found, rule.lets(word, found), strict=True) if yes] if found else found
        return found


def every(transformation: Transformation, most: int | None = None, *, where: CandidateRule | None = None) -> Offer:
    """Every candidate of a transformation that ``where`` lets through, or the first so many of them."""

    def of(trial: Trial, edits: Edits, position: int) -> Search[list[str]]:
        yield from ()
        found = transformation.candidates(trial.sentence, position)
        if where is not None and found:
            allowed = where.lets(trial.sentence.word(position), found)
            found = [one for one, yes in zip(found, allowed, strict=True) if yes]
        return found[:most]

    told = [transformation.name, *([where.what] if where else []), *([f"the first {most}"] if most else [])]
    return Offer(", ".join(told), of)


def one_of_each(parts: Sequence[Transformation]) -> Offer:
    """One candidate of each transformation, drawn by the example's own generator."""

    def of(trial: Trial, edits: Edits, position: int) -> Search[list[str]]:
        yield from ()
        found: dict[str, None] = {}
        for part in parts:
            candidates = part.candidates(trial.sentence, position)
            if candidates:
                found[candidates[int(trial.rng.integers(len(candidates)))]] = None
        return list(found)

    return Offer(f"one drawn of each: {', '.join(part.name for part in parts)}", of)


def several(*offers: Offer) -> Offer:
    """The candidates of several offers, in turn."""

    def of(trial: Trial, edits: Edits, position: int) -> Search[list[str]]:
        found: dict[str, None] = {}
        for offer in offers:
            found.update(dict.fromkeys((yield from offer.of(trial, edits, position))))
        return list(found)

    scorers = {name: scorer for offer in offers for name, scorer in offer.scorers.items()}
    return Offer("; ".join(offer.what for offer in offers), of, scorers)


def distance(text: str, edits: Edits) -> int:
    """Characters that edits change: the sum of their Levenshtein distances, which is never less than the whole's."""
    return sum(levenshtein(text[start:end], replacement) for start, end, replacement in edits)


def levenshtein(first: str, second: str) -> int:
    """Insertions, deletions and substitutions that lead from one string to another (Levenshtein 1966)."""
    before = list(range(len(second) + 1))
    for row, letter in enumerate(first, 1):
        line = [row]
        for column, other in enumerate(second, 1):
            line.append(min(before[column] + 1, line[-1] + 1, before[column - 1] + (letter != other)))
        before = line
    return before[-1]
