"""What a named attack is made of, and how its parts are put together. The attacks: ``english.py``, ``chinese.py``.

What holds for all of them:

- words of grammar stay (``function_words``; for English TextAttack's list), and no word is changed twice. "n't" where
  it stands alone is none of them, as in TextAttack: kept too, DeepWordBug wins 86 instead of 92 % (51 texts of mr);
- a candidate that reaches the goal ends the search, whether or not it has the best score. TextAttack looks at the best
  score alone, which with more than two classes misses some successes;
- of words that matter equally the first in the text is tried first, and of equal candidates the first is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sixfold.attack.beam import Moves, beam
from sixfold.attack.changes import CandidateRule, Changes, WordRule
from sixfold.attack.function_words import WORDS
from sixfold.attack.greedy import greedy, saliency
from sixfold.attack.importance import Rank
from sixfold.attack.similarity import Encoder
from sixfold.attack.trial import Found, Trial
from sixfold.perturb.constraints import keeps_label, least_length, no_stop_words
from sixfold.score.driver import Asks, Search

GRAMMAR = WordRule("words of grammar stay", partial(no_stop_words, stop_words=WORDS))
MEANING = CandidateRule("no negation and no number comes in", keeps_label)


@dataclass(frozen=True)
class Attack:
    """An attack that can be run.

    Attributes:
        search: one text's search.
        scorers: models that it asks beside the one under attack.
        settings: what a report says of it: names and values, in order.
        one_for_one: whether each change leaves one word one word, as a row of tagged words needs.
    """

    name: str
    search: Callable[[Trial], Search[Found]]
    scorers: Mapping[str, Asks] = field(default_factory=dict)
    settings: tuple[tuple[str, str], ...] = ()
    one_for_one: bool = True


@dataclass(frozen=True)
class Tools:
    """Models that an attack may be built with; each is loaded where it is used.

    Attributes:
        encoder: the sentence encoder: a name, a folder, or one that is loaded.
        words: the masked language model; None if the user named none.
    """

    encoder: str | Path | Encoder
    words: str | Path | None = None

    def similarity(self) -> Encoder:
        """The sentence encoder. Errors as for ``models.load``."""
        return self.encoder if isinstance(self.encoder, Encoder) else Encoder.load(self.encoder)


def at_least(count: int) -> WordRule:
    """Words of so many characters."""
    return WordRule(f"words of {count} characters or more", partial(least_length, least=count))


def by_importance(name: str, changes: Changes, rank: Rank) -> Attack:
    """Greedy search in the order of importance."""
    told = _settings(f"greedy, {rank.what}", changes.offer.what, changes.told())
    return Attack(name, lambda trial: greedy(trial, changes, rank), changes.scorers, told)


def by_saliency(name: str, changes: Changes) -> Attack:
    """PWWS's search."""
    told = _settings("greedy, words by saliency and gain", changes.offer.what, changes.told())
    return Attack(name, lambda trial: saliency(trial, changes), changes.scorers, told)


def by_beam(name: str, moves: Moves, *, width: int, most: int | None = None) -> Attack:
    """Beam search."""
    steps = "" if most is None else f", at most {most} changed"
    told = _settings(f"beam of {width} over all words{steps}", moves.what, moves.rules)
    return Attack(
        name, lambda trial: beam(trial, moves, width=width, most=most), moves.scorers, told, moves.one_for_one
    )


def _settings(search: str, changes: str, rules: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return (("Search", search), ("Changes", changes), ("Constraints", "; ".join(["no word twice", *rules])))
