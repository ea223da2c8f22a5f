"""Attacks on Chinese texts: counterparts of the English ones, since no paper's recipe is in common use.

Words are as rjieba segments them. A sentence encoder that reads Chinese does not come along, so none of these is bound
by likeness; rules on words take its place: a synonym is of the same kind and length, in characters that people know.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from rjieba import tag

from sixfold.attack import importance
from sixfold.attack.beam import both, of_rewrites, of_words
from sixfold.attack.building import GRAMMAR, MEANING, Attack, Tools, by_beam, by_importance, by_saliency
from sixfold.attack.changes import CandidateRule, Changes, Exchange, Offer, WordRule, every, one_of_each, several
from sixfold.attack.masked_words import MaskedWords, fitting
from sixfold.perturb import registry
from sixfold.perturb.constraints import label_keeping, same_part_of_speech
from sixfold.perturb.masked import contextual
from sixfold.text.lexicon import glyphs

MISSPELT = ("zh-homophone", "zh-glyph", "zh-split", "zh-insert")
MOST_SHARE = 0.4
"""Of the words: more misspellings than that, and a reader no longer follows."""
COMMON = 5_000
"""Characters that people know, the most frequent ones."""
_KINDS = {"vn": ("noun", "predicate"), "an": ("noun", "predicate"), "n": ("noun",)} | dict.fromkeys(
    "avilzb", ("predicate",)
)
"""rjieba's tags, or their first letters, as kinds of words that can stand for each other."""
KEPT = WordRule("negations and numbers stay", label_keeping)
"""不错 that becomes 坏错 is read as its opposite."""


def zh_deepwordbug(tools: Tools) -> Attack:
    """As DeepWordBug: for each word one character is drawn that sounds alike, one that looks alike, one written as its
    parts, and a mark or a blank between two."""
    changes = Changes(_misspelt(), (GRAMMAR, KEPT), most_share=MOST_SHARE)
    return by_importance("zh-deepwordbug", changes, importance.UNKNOWN)


def zh_textbugger(tools: Tools) -> Attack:
    """As TextBugger: the misspellings of ``zh-deepwordbug`` and five synonyms of Cilin."""
    synonyms = every(registry.transformation("zh-synonym"), where=_alike(), most=5)
    changes = Changes(several(_misspelt(), synonyms), (GRAMMAR, KEPT), (MEANING,), most_share=MOST_SHARE)
    return by_importance("zh-textbugger", changes, importance.DELETION)


def zh_pwws(tools: Tools) -> Attack:
    """As PWWS, with those synonyms of Cilin that ``_alike`` lets through."""
    return by_saliency("zh-pwws", synonyms().changes())


def synonyms() -> Exchange:
    """Synonyms of Cilin of the same kind and length, in common characters."""
    return Exchange(registry.transformation("zh-synonym"), None, (GRAMMAR, KEPT), (_alike(), MEANING))


def zh_bert_attack(tools: Tools) -> Attack:
    """As BERT-Attack, with a masked language model that reads Chinese; a word of several characters stays as long."""
    model = MaskedWords.load(tools.words)
    words = contextual("bert-attack", model.tokenizer, model.around, model.limit)
    changes = Changes(fitting(model, words), (GRAMMAR, KEPT), (MEANING,), most_share=MOST_SHARE)
    return by_importance("zh-bert-attack", changes, importance.MASK)


def zh_checklist(tools: Tools) -> Attack:
    """As CheckList: people, cities, provinces, countries and numbers become others."""
    rewrites = [registry.rewrite(name) for name in ("zh-person-name", "zh-place-name")]
    numbers = Changes(every(registry.transformation("number")))
    moves = both(of_rewrites(rewrites), of_words(numbers))
    return by_beam("zh-checklist", moves, width=1)


def _misspelt() -> Offer:
    return one_of_each([registry.transformation(name) for name in MISSPELT])


def _alike() -> CandidateRule:
    """A synonym of the same kind and length whose characters are common ones."""
    known = _common()

    def lets(word: str, found: Sequence[str]) -> NDArray[np.bool_]:
        fitting = np.array([len(one) == len(word) and known.issuperset(one) for one in found], dtype=np.bool_)
        return fitting & same_part_of_speech(word, found, _kinds)

    return CandidateRule("of the same kind and length, in common characters", lets)


@cache
def _common() -> frozenset[str]:
    frequent = glyphs.frequencies()
    return frozenset(sorted(frequent, key=lambda character: -frequent[character])[:COMMON])


def _kinds(word: str) -> tuple[str, ...]:
    """The kinds of words that a word can be; none if rjieba takes it for several words."""
    found = tag(word)
    if len(found) != 1:
        return ()
    kind = found[0][1]
    return _KINDS.get(kind) or _KINDS.get(kind[:1]) or (kind[:1],)
