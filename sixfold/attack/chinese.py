"""Attacks on Chinese texts: counterparts of the English ones, since no paper's recipe is in common use.

Words are as rjieba segments them; a sentence encoder that reads Chinese does not come along, so none of these is bound
by likeness.
"""

from __future__ import annotations

from sixfold.attack import importance
from sixfold.attack.beam import both, of_rewrites, of_words
from sixfold.attack.building import GRAMMAR, MEANING, Attack, Tools, by_beam, by_importance, by_saliency
from sixfold.attack.changes import Changes, Offer, every, one_of_each, several
from sixfold.attack.masked_words import MaskedWords, fitting
from sixfold.perturb import registry
from sixfold.perturb.masked import contextual

MISSPELT = ("zh-homophone", "zh-glyph", "zh-split", "zh-insert")
MOST_SHARE = 0.4
"""Of the words: more misspellings than that, and a reader no longer follows."""


def zh_deepwordbug(tools: Tools) -> Attack:
    """As DeepWordBug: for each word one character is drawn that sounds alike, one that looks alike, one written as its
    parts, and a mark or a blank between two."""
    changes = Changes(_misspelt(), (GRAMMAR,), most_share=MOST_SHARE)
    return by_importance("zh-deepwordbug", changes, importance.UNKNOWN)


def zh_textbugger(tools: Tools) -> Attack:
    """As TextBugger: the misspellings of ``zh-deepwordbug`` and five synonyms of Cilin."""
    synonyms = every(registry.transformation("zh-synonym"), 5)
    changes = Changes(several(_misspelt(), synonyms), (GRAMMAR,), (MEANING,), most_share=MOST_SHARE)
    return by_importance("zh-textbugger", changes, importance.DELETION)


def zh_pwws(tools: Tools) -> Attack:
    """As PWWS, with the synonyms of Cilin."""
    changes = Changes(every(registry.transformation("zh-synonym")), (GRAMMAR,), (MEANING,))
    return by_saliency("zh-pwws", changes)


def zh_bert_attack(tools: Tools) -> Attack:
    """As BERT-Attack, with a masked language model that reads Chinese; a word of several characters stays as long."""
    model = MaskedWords.load(tools.words)
    words = contextual("bert-attack", model.tokenizer, model.around, model.limit)
    changes = Changes(fitting(model, words), (GRAMMAR,), (MEANING,), most_share=MOST_SHARE)
    return by_importance("zh-bert-attack", changes, importance.MASK)


def zh_checklist(tools: Tools) -> Attack:
    """As CheckList: people, cities, provinces, countries and numbers become others."""
    rewrites = [registry.rewrite(name) for name in ("zh-person-name", "zh-place-name")]
    numbers = Changes(every(registry.transformation("number")))
    moves = both(of_rewrites(rewrites), of_words(numbers))
    return by_beam("zh-checklist", moves, width=1)


def _misspelt() -> Offer:
    return one_of_each([registry.transformation(name) for name in MISSPELT])
