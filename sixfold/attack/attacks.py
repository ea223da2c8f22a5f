"""The table of named attacks: a new one is one function in ``english.py`` or ``chinese.py``, one row here, its test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sixfold.attack import chinese, english
from sixfold.attack.building import Attack, Tools
from sixfold.attack.similarity import Encoder
from sixfold.errors import unknown
from sixfold.text import lexicon

ENCODER = "minilm-l6"
"""The sentence encoder unless another is named."""


@dataclass(frozen=True)
class Row:
    """A named attack.

    Attributes:
        build: makes it; its docstring says how it differs from its paper.
        what: one line for a person.
        changes: the kind of change. A model that withstands one kind may still fall to another.
        paper: whom to cite.
        languages: of the words that it changes.
        lists: the word lists that it needs.
    """

    build: Callable[[Tools], Attack]
    what: str
    changes: str
    paper: str
    languages: tuple[str, ...] = ("en",)
    lists: tuple[str, ...] = ()


_WORDNET = ("wordnet", "inflections")
_ZH_CHARACTERS = ("pinyin", "characters", "look-alikes")
_NO_PAPER = "a counterpart of ours"
SPELLING, WORDS, BOTH, NAMES = "spelling", "words", "spelling and words", "names and numbers"
ATTACKS: dict[str, Row] = {
    "deepwordbug": Row(
        english.deepwordbug, "misspellings of the words that matter most", SPELLING, "Gao et al. 2018, arXiv:1801.04354"
    ),
    "pruthi": Row(
        english.pruthi, "the one worst misspelling of one word", SPELLING, "Pruthi et al. 2019, arXiv:1905.11268"
    ),
    "textbugger": Row(
        english.textbugger,
        "misspellings, look-alikes and near words",
        BOTH,
        "Li et al. 2019, arXiv:1812.05271",
        lists=("homoglyphs", *_WORDNET),
    ),
    "pwws": Row(english.pwws, "WordNet synonyms, by saliency", WORDS, "Ren et al. 2019, P19-1103", lists=_WORDNET),
    "textfooler-offline": Row(
        english.textfooler,
        "near words of the same part of speech, sentence kept alike",
        WORDS,
        "after Jin et al. 2020, arXiv:1907.11932",
        lists=_WORDNET,
    ),
    "a2t-offline": Row(
        english.a2t,
        "near words where the gradient is steepest: it needs the weights, and few queries",
        WORDS,
        "after Yoo and Qi 2021, arXiv:2109.00544",
        lists=_WORDNET,
    ),
    "bert-attack": Row(
        english.bert_attack,
        "words that a masked language model finds fitting, the text as it is",
        WORDS,
        "Li et al. 2020, arXiv:2004.09984",
    ),
    "bae": Row(
        english.bae,
        "words that a masked language model puts in a hidden word's place",
        WORDS,
        "Garg and Ramakrishnan 2020, arXiv:2004.01970",
        lists=_WORDNET,
    ),
    "beam-synonyms": Row(
        english.beam_of_synonyms,
        "WordNet synonyms, by beam search",
        WORDS,
        "Yoo et al. 2020, arXiv:2009.06368",
        lists=_WORDNET,
    ),
    "checklist": Row(
        english.checklist, "names, places, numbers, contractions", NAMES, "Ribeiro et al. 2020, arXiv:2005.04118"
    ),
    "zh-deepwordbug": Row(
        chinese.zh_deepwordbug,
        "characters that sound or look alike, split, or parted",
        SPELLING,
        f"{_NO_PAPER} of DeepWordBug",
        ("zh",),
        _ZH_CHARACTERS,
    ),
    "zh-textbugger": Row(
        chinese.zh_textbugger,
        "the same, and Cilin synonyms",
        BOTH,
        f"{_NO_PAPER} of TextBugger",
        ("zh",),
        (*_ZH_CHARACTERS, "cilin"),
    ),
    "zh-pwws": Row(
        chinese.zh_pwws, "Cilin synonyms, by saliency", WORDS, f"{_NO_PAPER} of PWWS", ("zh",), ("cilin", "characters")
    ),
    "zh-bert-attack": Row(
        chinese.zh_bert_attack,
        "words that a Chinese masked language model finds fitting",
        WORDS,
        f"{_NO_PAPER} of BERT-Attack",
        ("zh",),
    ),
    "zh-checklist": Row(chinese.zh_checklist, "names, places and numbers", NAMES, f"{_NO_PAPER} of CheckList", ("zh",)),
}


def named(name: str, *, words: str | Path | None = None, encoder: str | Path | Encoder = ENCODER) -> Attack:
    """The attack of that name.

    Args:
        words: a checkpoint of the pretrain stage that fills masks, for the attacks that need one.
        encoder: the sentence encoder, for those that compare sentences.

    Raises:
        UsageError: there is no such attack; the nearest name is shown.
        SixfoldError: a word list or a model that it needs is not on this machine; with the command that brings it.
    """
    if name not in ATTACKS:
        raise unknown("attack", name, ATTACKS)
    row = ATTACKS[name]
    lexicon.need(*row.lists)
    return row.build(Tools(encoder, words))
