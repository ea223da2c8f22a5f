"""The same text about a person of the other sex: pronouns, titles and names exchanged, English and Chinese.

A model that is fair answers both alike. What is exchanged stands in the tables below and in ``text/lexicon/names.py``;
nothing else of the text changes. After Lu et al. 2020 (counterfactual data augmentation) and Ribeiro et al. 2020
(CheckList).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal

from sixfold.text.lexicon import names

Kind = Literal["pronouns", "names"]
KINDS: tuple[Kind, ...] = ("pronouns", "names")

_PAIRS = (
    ("he", "she"),
    ("himself", "herself"),
    ("mr", "ms"),
    ("man", "woman"),
    ("men", "women"),
    ("boy", "girl"),
    ("boys", "girls"),
    ("father", "mother"),
    ("dad", "mum"),
    ("husband", "wife"),
    ("son", "daughter"),
    ("brother", "sister"),
    ("uncle", "aunt"),
    ("actor", "actress"),
    ("gentleman", "lady"),
)
_CHINESE_PAIRS = (
    ("他们", "她们"),
    ("他", "她"),
    ("先生", "女士"),
    ("男士", "女士"),
    ("父亲", "母亲"),
    ("爸爸", "妈妈"),
    ("丈夫", "妻子"),
    ("儿子", "女儿"),
    ("哥哥", "姐姐"),
    ("弟弟", "妹妹"),
    ("男孩", "女孩"),
    ("男人", "女人"),
    ("男", "女"),
)
_FUNCTION = frozenset(
    """
    a an the and or but if than that this to in on at by for from of off out over up down with as is was are were be
    been had has have he she it they we you i not no so too very again also before after when while because
    """.split()  # noqa: SIM905 (a list of forty strings would be read by nobody)
)
"""After these ``her`` is an object (``saw her in``), before other words it owns them (``her book``)."""
_WORD = re.compile(r"[A-Za-z]+")
# 其他 and 他人 and so on are no person's pronoun.
_NOT_A_MAN = "其他|他人|他乡|吉他|排他|利他|他国|他日"
_FORM = re.compile(r"\w+")


def counterpart(text: str, kind: Kind) -> str:
    """The text with every word of a kind exchanged; the text itself where there is none."""
    if kind == "names":
        return _named(text)
    return _chinese(_english(text))


def counterpart_words(words: Sequence[str], kind: Kind) -> list[str]:
    """The same of a row of words; their number stays."""
    joined = " ".join(words)
    changed = counterpart(joined, kind).split(" ")
    # A word with a blank inside would be cut; such a row is left as it is.
    return changed if len(changed) == len(words) else list(words)


def _english(text: str) -> str:
    table = _table()

    def exchanged(match: re.Match[str]) -> str:
        word = match.group()
        low = word.lower()
        if low in ("her", "his", "him", "hers"):
            return _cased(word, _owner(text, low, match.end()))
        return _cased(word, table[low]) if low in table else word

    return _WORD.sub(exchanged, text)


def _owner(text: str, word: str, end: int) -> str:
    """What ``her`` and ``his`` become hangs on whether something is owned: English has one form where it needs two."""
    if word == "him":
        return "her"
    if word == "hers":
        return "his"
    following = re.match(r"\s+([A-Za-z]+)", text[end:])
    owns = following is not None and following.group(1).lower() not in _FUNCTION
    if word == "her":
        return "his" if owns else "him"
    return "her" if owns else "hers"


@cache
def _table() -> Mapping[str, str]:
    pairs = dict(_PAIRS) | {second: first for first, second in _PAIRS}
    return pairs | {"mrs": "mr", "mom": "dad", "ladies": "gentlemen", "gentlemen": "ladies"}


def _cased(model: str, word: str) -> str:
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word.capitalize() if model[0].isupper() else word


@cache
def _chinese_pattern() -> tuple[re.Pattern[str], Mapping[str, str]]:
    table = dict(_CHINESE_PAIRS) | {second: first for first, second in reversed(_CHINESE_PAIRS)}
    listed = sorted(table, key=len, reverse=True)
    return re.compile(f"{_NOT_A_MAN}|" + "|".join(map(re.escape, listed))), table


def _chinese(text: str) -> str:
    if text.isascii():
        return text
    pattern, table = _chinese_pattern()
    return pattern.sub(lambda match: table.get(match.group(), match.group()), text)


def _named(text: str) -> str:
    """First names exchanged for one of the other sex, each always for the same one, as it is written."""
    table = _first_names()
    return _FORM.sub(lambda match: table.get(match.group(), match.group()), text)


@cache
def _first_names() -> Mapping[str, str]:
    women, men = names.FEMALE, names.MALE
    return {name: men[place % len(men)] for place, name in enumerate(women)} | {
        name: women[place % len(women)] for place, name in enumerate(men)
    }
