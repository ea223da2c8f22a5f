"""The language of a string by the scripts in it, and the form under which two strings are the same text."""

from __future__ import annotations

import re
import unicodedata

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff々〇"
"""Chinese characters, as the inside of a regular expression's brackets."""

_SCRIPTS = {
    "zh": HAN,
    "ja": "\u3041-\u3096\u30a1-\u30fa\uff66-\uff9d",
    "ko": "\uac00-\ud7a3\u1100-\u11ff\u3131-\u318e",
    "ru": "\u0400-\u052f",
    "el": "\u0370-\u03ff\u1f00-\u1fff",
    "he": "\u05d0-\u05ea",
    "ar": "\u0620-\u064a\u066e-\u06d3",
    "hi": "\u0904-\u0939\u0958-\u0961",
    "th": "\u0e01-\u0e30",
    "en": "A-Za-z\u00aa-\u02af\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a",
}
_LETTERS = {name: re.compile(f"[{inside}]") for name, inside in _SCRIPTS.items()}
# A Chinese or Japanese character carries about as much as three letters: "用iPhone打字" is Chinese.
_WEIGHT = {"zh": 3, "ja": 3, "ko": 2}
_KANA_SHARE = 0.1
_SPACE = re.compile(r"\s+")
_HAN = re.compile(f"[{HAN}]")


def has_han(string: str) -> bool:
    """Whether a Chinese character is in it."""
    return not string.isascii() and _HAN.search(string) is not None


def language(string: str) -> str:
    """The language that the string's letters speak for, by script alone.

    Returns:
        ``zh``, ``ja``, ``ko``, ``ru``, ``el``, ``he``, ``ar``, ``hi``, ``th``; ``en`` for Latin letters of any
        language; ``und`` where there are no letters.
    """
    if string.isascii():
        return "en" if _LETTERS["en"].search(string) else "und"
    weights = {name: len(letters.findall(string)) * _WEIGHT.get(name, 1) for name, letters in _LETTERS.items()}
    if weights["ja"] >= _KANA_SHARE * (weights["zh"] + weights["ja"]) > 0:  # Japanese writes Han and kana together
        weights["ja"] += weights.pop("zh")
    best = max(weights, key=lambda name: weights[name])
    return best if weights[best] else "und"


def normal(string: str) -> str:
    """The string as one compares texts: NFKC, letters folded, runs of white space made one blank, ends stripped."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", string).casefold()).strip()
