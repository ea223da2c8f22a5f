"""Changes of a whole string: what is more than one word, or must change in several places at once.

They keep what the text says, so that a model's answer should stay (CheckList's invariance tests, Ribeiro et al. 2020,
arXiv:2005.04118).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sixfold.perturb.characters import ALL
from sixfold.perturb.words import Edit, Sentence, cased_like, chinese_tags
from sixfold.text import Span, language
from sixfold.text.lexicon import names
from sixfold.text.lexicon.contractions import CONTRACTED, EXPANDED, HAS_FOLLOWS

MOST_WORDS = 3
"""Of a place's name."""
_POSSESSIVE = re.compile(r"['’][sS]?\Z")
_UNITS = ("", "市", "省")
"""What may stand behind a Chinese place, and stays."""


@dataclass(frozen=True)
class Contract:
    """``is not`` to ``isn't`` and back, one place at a time.

    An ``it's`` that is "it has" stays, and so does a verb that ends its clause: nobody says "yes, I'm".
    """

    name: str = "contraction"
    languages: tuple[str, ...] = ("en",)

    def variants(self, sentence: Sentence) -> list[tuple[Edit, ...]]:
        return [(edit,) for edit in self._edits(sentence)]

    def _edits(self, sentence: Sentence) -> Iterator[Edit]:
        found = [word.lower().replace("’", "'") for word in sentence.words()]
        for position, span in enumerate(sentence.spans):
            after = found[position + 1] if position + 1 < len(found) else ""
            full = EXPANDED.get(found[position])
            if full and not (full.endswith(" is") and after in HAS_FOLLOWS):
                yield _edit(sentence, span, "I" + full[1:] if full.startswith("i ") else full)
            for end in range(position + 1, min(position + 2, len(found)) + 1):
                short = CONTRACTED.get(" ".join(found[position:end]))
                phrase = _is_phrase(sentence, position, end)
                if short and phrase and (short.endswith("n't") or _is_phrase(sentence, end - 1, end + 1)):
                    whole = Span(span.start, sentence.spans[end - 1].end)
                    yield _edit(sentence, whole, "I" + short[1:] if short.startswith("i'") else short)


@dataclass(frozen=True)
class Exchange:
    """A name becomes another of the same kind, wherever it stands in the text; the ``'s`` behind it stays.

    It never becomes one that the text has already: who did what would be lost.

    Attributes:
        kinds: names that can stand for each other.
        most: other names for one name, those that follow it in its kind.
    """

    name: str
    kinds: tuple[tuple[str, ...], ...]
    languages: tuple[str, ...] = ("en",)
    most: int = 10

    def variants(self, sentence: Sentence) -> list[tuple[Edit, ...]]:
        kind_of = {one.casefold(): (kind, place) for kind in self.kinds for place, one in enumerate(kind)}
        found: dict[str, list[Span]] = {}
        last = 0
        for position in range(len(sentence)):
            for end in range(min(position + MOST_WORDS, len(sentence)), position, -1):
                span = _stem(sentence, Span(sentence.spans[position].start, sentence.spans[end - 1].end))
                one = sentence.text[span.start : span.end]
                known = kind_of.get(one.casefold())
                if known and span.start >= last and one in (known[0][known[1]], known[0][known[1]].upper()):
                    found.setdefault(one.casefold(), []).append(span)
                    last = span.end
                    break
        return [
            tuple(_edit(sentence, span, other) for span in spans)
            for one, spans in found.items()
            for other in self._others(*kind_of[one], found)
        ]

    def _others(self, kind: Sequence[str], place: int, there: Collection[str]) -> Sequence[str]:
        others = [other for other in _following(kind, place) if other.casefold() not in there]
        return others[: self.most]


@dataclass(frozen=True)
class ChineseExchange:
    """The Chinese counterpart of ``Exchange``: places by their names, people by rjieba's tags and a usual surname.

    Attributes:
        kinds: places that can stand for each other; ``市`` and ``省`` behind one stay.
        people: names for people, of whom only those as long as the name are taken; if empty, people stay.
    """

    name: str
    kinds: tuple[tuple[str, ...], ...] = ()
    people: tuple[str, ...] = ()
    languages: tuple[str, ...] = ("zh",)
    most: int = 10

    def variants(self, sentence: Sentence) -> list[tuple[Edit, ...]]:
        found: dict[str, list[Span]] = {}
        for span in _chinese_people(sentence.text) if self.people else self._places(sentence):
            found.setdefault(sentence.text[span.start : span.end], []).append(span)
        return [
            tuple(Edit(*span, other) for span in spans)
            for one, spans in found.items()
            for other in [other for other in self._others(one) if other not in found][: self.most]
        ]

    def _places(self, sentence: Sentence) -> Iterator[Span]:
        places = {one for kind in self.kinds for one in kind}
        for position, span in enumerate(sentence.spans):
            word = sentence.word(position)
            for unit in _UNITS:
                if word.endswith(unit) and (stem := word.removesuffix(unit)) in places:
                    yield Span(span.start, span.start + len(stem))
                    break

    def _others(self, one: str) -> Sequence[str]:
        if self.people:
            return [other for other in self.people if len(other) == len(one)]
        return next(_following(kind, kind.index(one)) for kind in self.kinds if one in kind)


@dataclass(frozen=True)
class Distract:
    """Words that say nothing come behind the last word, before the marks that end the text.

    Attributes:
        english: suffixes for texts in Latin letters.
        chinese: suffixes for Chinese texts.
    """

    name: str
    english: tuple[str, ...]
    chinese: tuple[str, ...]
    languages: tuple[str, ...] = ALL

    def variants(self, sentence: Sentence) -> list[tuple[Edit, ...]]:
        if not sentence.spans:
            return []
        end = sentence.spans[-1].end
        suffixes = self.chinese if language(sentence.text) == "zh" else self.english
        return [(Edit(end, end, suffix),) for suffix in suffixes]


def stress_test() -> Distract:
    """The distractors of Naik et al. 2018 (arXiv:1806.00692): a tautology, once and five times, and a negation."""
    return Distract(
        "distractor",
        (" and true is true", " and true is true" * 5, " and false is not true"),
        ("，而且真的就是真的", "，而且真的就是真的" * 5, "，而且假的不是真的"),
    )


def person_names() -> Exchange:
    """First names of women, of men, and surnames."""
    return Exchange("person-name", (names.FEMALE, names.MALE, names.SURNAMES))


def place_names() -> Exchange:
    """Cities and countries."""
    return Exchange("place-name", (names.CITIES, names.COUNTRIES))


def chinese_person_names() -> ChineseExchange:
    """Whole names of people."""
    return ChineseExchange("zh-person-name", people=names.CHINESE_PEOPLE)


def chinese_place_names() -> ChineseExchange:
    """Cities, provinces and countries."""
    kinds = (names.CHINESE_CITIES, names.CHINESE_PROVINCES, names.CHINESE_COUNTRIES)
    return ChineseExchange("zh-place-name", kinds)


def _edit(sentence: Sentence, span: Span, replacement: str) -> Edit:
    return Edit(*span, cased_like(sentence.text[span.start : span.end], replacement))


def _is_phrase(sentence: Sentence, start: int, end: int) -> bool:
    """Whether all the words are there and apart by one blank each."""
    spans = sentence.spans[start:end]
    return len(spans) == end - start and all(
        sentence.text[first.end : second.start] == " " for first, second in pairwise(spans)
    )


def _stem(sentence: Sentence, span: Span) -> Span:
    """Without the ``'s`` at its end."""
    ending = _POSSESSIVE.search(sentence.text[span.start : span.end])
    return Span(span.start, span.start + ending.start()) if ending else span


def _following(kind: Sequence[str], place: int) -> Sequence[str]:
    """Those that follow in the circle: so not every name becomes the first of the list."""
    return (*kind[place + 1 :], *kind[:place])


def _chinese_people(text: str) -> Iterator[Span]:
    for span, kind in chinese_tags(text):
        word = text[span.start : span.end]
        named = kind == "nr" and len(word) > 1 and word.startswith(names.CHINESE_SURNAMES)
        if named and len(word) - (2 if word[:2] in names.CHINESE_SURNAMES else 1) in (1, 2):
            yield span
