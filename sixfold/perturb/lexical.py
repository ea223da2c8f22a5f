"""English words for words, by lists: synonyms, other forms, misspellings; leaving a word out; another number.

Candidates have the capitals of the word they stand for (``words.cased_like``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sixfold.perturb.characters import ALL
from sixfold.perturb.words import Sentence, cased_like, distinct, is_latin
from sixfold.text.lexicon.inflections import BASE, Analysis, Inflections
from sixfold.text.lexicon.wordnet import WordNet

NUMBER_SHARE = 0.2
"""A number changes by at most a fifth of itself, as CheckList's does."""
AUXILIARY_BEFORE = 2
"""Words before a participle among which its auxiliary is looked for: "was never seen"."""
_BE_HAVE_GET = "am is are was were be been being 's 're 've 'm has have had having get gets got getting"
_AUXILIARIES = frozenset(
    [
        *_BE_HAVE_GET.split(),
        *(f"{verb}n't" for verb in ("is", "are", "was", "were", "has", "have", "had")),
        *(f"{who}'s" for who in ("he", "she", "it", "that", "there", "what", "who")),
        *(f"{who}'{verb}" for who in ("i", "you", "we", "they") for verb in ("ve", "re", "m")),
    ]
)
_INTEGER = re.compile(r"[1-9]\d{0,2}(?:,\d{3}){1,4}|\d{1,15}", re.ASCII)


@dataclass(frozen=True)
class Synonyms:
    """A word of the same WordNet sense, in the same form: ``bought`` to ``purchased`` (PWWS, Ren et al. 2019).

    Nouns first, then verbs, adjectives, adverbs; within one, the most usual sense first. A synonym of several words is
    left out unless ``phrases``; so is one whose form is in no table. What can be a past form and a participle is the
    participle if a form of be, have or get stands one or two words before it.

    Attributes:
        senses: only so many senses of each part of speech, the most usual ones; 0: all.
    """

    wordnet: WordNet
    inflections: Inflections
    name: str = "synonym"
    languages: tuple[str, ...] = ("en",)
    phrases: bool = False
    senses: int = 0

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        if not is_latin(word):
            return []
        plain = word.lower()
        found = (
            form
            for lemma, tag in self._analyses(plain, sentence.words()[max(position - AUXILIARY_BEFORE, 0) : position])
            for synonym in self.wordnet.synonyms(lemma, Analysis(lemma, tag).part, self.senses)
            if self.phrases or " " not in synonym
            for form in self._forms(synonym, tag)
        )
        # A capital in one is part of the word (French): it is no other word for it if only the capital differs.
        return distinct(word, (cased_like(word, form) for form in found if form.lower() != plain))

    def _analyses(self, plain: str, before: Sequence[str]) -> list[Analysis]:
        """What the table says; and the word as a base form where WordNet has it and the table has not."""
        found = self.inflections.analyses(plain)
        known = {one.part for one in found}
        found += [Analysis(plain, tag) for part, tag in BASE.items() if part not in known]
        if any(one.tag == "VBD" for one in found) and any(one.tag == "VBN" for one in found):
            participle = not _AUXILIARIES.isdisjoint(word.lower().replace("’", "'") for word in before)
            found = [one for one in found if one.tag != ("VBD" if participle else "VBN")]
        parts = list(BASE)
        return sorted(found, key=lambda one: parts.index(one.part))

    def _forms(self, synonym: str, tag: str) -> tuple[str, ...]:
        """The synonym in that form; of a phrase its first word (verbs) or its last (nouns) is inflected."""
        first, *rest = synonym.split(" ")
        if not rest or tag in BASE.values():
            return self.inflections.inflected(synonym, tag)[:1]
        if tag.startswith("VB"):
            return tuple(" ".join((form, *rest)) for form in self.inflections.inflected(first, tag)[:1])
        if tag == "NNS":
            return tuple(" ".join((first, *rest[:-1], form)) for form in self.inflections.inflected(rest[-1], tag)[:1])
        return ()


@dataclass(frozen=True)
class Inflect:
    """Another form of the same word and part of speech, adverbs aside (Morpheus, Tan et al. 2020, arXiv:2005.04364)."""

    inflections: Inflections
    name: str = "inflection"
    languages: tuple[str, ...] = ("en",)

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        return distinct(word, (cased_like(word, form) for form in self._forms(word.lower()))) if is_latin(word) else []

    def _forms(self, plain: str) -> Iterator[str]:
        for lemma, part in dict.fromkeys((one.lemma, one.part) for one in self.inflections.analyses(plain)):
            if part != "adv":
                for form in self.inflections.forms(lemma, part):
                    if form != plain:
                        yield form


@dataclass(frozen=True)
class Misspell:
    """A way in which people misspell the word, in the list's order.

    Attributes:
        table: word to its misspellings, separated by blanks (``text.lexicon.misspellings``).
    """

    table: Mapping[str, str]
    name: str = "misspelling"
    languages: tuple[str, ...] = ("en",)

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        wrong = self.table.get(word) or self.table.get(word.lower(), "")
        return distinct(word, (cased_like(word, one) for one in wrong.split()))


@dataclass(frozen=True)
class DeleteWord:
    """The word is left out, and one blank beside it; never the only word."""

    name: str = "delete-word"
    languages: tuple[str, ...] = ALL

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        return [""] if len(sentence) > 1 else []


@dataclass(frozen=True)
class Number:
    """A whole number becomes one near it, nearest first, with as many digits (CheckList, Ribeiro et al. 2020).

    2 and 4 stay: people write them for "to" and "for". So do times, dates and fractions.
    """

    name: str = "number"
    languages: tuple[str, ...] = ALL
    most: int = 10

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        if not _INTEGER.fullmatch(word) or word in ("2", "4") or (word[0] == "0" and len(word) > 1):
            return []
        number = int(word.replace(",", ""))
        near = range(1, max(1, int(number * NUMBER_SHARE)) + 1)
        others = (other for apart in near[: self.most] for other in (number + apart, number - apart))
        written = (f"{other:,}" if "," in word else str(other) for other in others if other >= 0)
        return distinct(word, (other for other in written if len(other) == len(word)))[: self.most]


def parts_of_speech(wordnet: WordNet, inflections: Inflections) -> Callable[[str], frozenset[str]]:
    """What ``constraints.same_part_of_speech`` asks: every part of speech that a word can be, by the two lists."""

    def found(word: str) -> frozenset[str]:
        plain = word.lower()
        by_form = {one.part for one in inflections.analyses(plain)}
        return frozenset(by_form or {part for part in BASE if wordnet.knows(plain, part)})

    return found
