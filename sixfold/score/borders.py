"""Where a text can be cut so that the tokens of its parts, end to end, are the tokens of the whole.

That holds at borders which a tokenizer's normaliser and pre-tokenizer decide by the characters beside them alone: words
between blanks, marks, Chinese characters. Only tokenizers that were looked at have a rule here; each is held against
the tokenizer itself by ``tests/test_score_edited.py``.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sixfold.models.tokenizer_training import QWEN2

_MARKS = re.escape(string.punctuation)
_WIDE_MARKS = "，。！？；：、（）《》“”‘’"
_HAN = "\u3400-\u4dbf\u4e00-\u9fff"

SPLITS = {QWEN2, QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|")}
"""Splitting patterns of byte-level tokenizers (Qwen2's and Llama 3's) that end every match before a lone blank."""


@dataclass(frozen=True)
class Rule:
    """Where borders are.

    Attributes:
        border: matches the empty string at every border inside a string.
        before, after: how many characters on each side decide whether a place is a border.
    """

    border: re.Pattern[str]
    before: int
    after: int

    def places(self, text: str) -> Iterator[int]:
        return (found.start() for found in self.border.finditer(text) if 0 < found.start() < len(text))


def _around(letters: str) -> Rule:
    """Borders on both sides of each of these characters."""
    return Rule(re.compile(rf"(?<=[{letters}])|(?=[{letters}])"), 1, 1)


WORDS = _around(rf" \t\n\r{_MARKS}{_WIDE_MARKS}{_HAN}")
SPACED_WORDS = _around(rf" \t\n\r{_MARKS}{_WIDE_MARKS}")
BLANKS = Rule(re.compile(rf"(?<=[\w{_MARKS}])(?= [\w{_MARKS}])"), 1, 2)
CHARACTERS = Rule(re.compile(rf"(?=[ -~{_WIDE_MARKS}{_HAN}])"), 0, 1)


def rule_of(backend: Mapping[str, Any]) -> Rule | None:
    """The rule of a tokenizer, from the content of its ``tokenizer.json``; None if it has none that is known."""
    model, normalizer = backend["model"], _steps(backend["normalizer"], "normalizers")
    steps = _steps(backend["pre_tokenizer"], "pretokenizers")
    folds = all(step["type"] in ("NFC", "NFKC", "Lowercase") for step in normalizer)
    kinds = [step["type"] for step in steps]
    if model["type"] == "WordPiece" and kinds == ["BertPreTokenizer"] and _types(normalizer) == ["BertNormalizer"]:
        return WORDS if normalizer[0]["handle_chinese_chars"] else SPACED_WORDS
    if model["type"] == "BPE" and not model.get("dropout") and _types(normalizer) in ([], ["NFC"]) and _bytes(steps):
        return BLANKS
    if model["type"] == "Unigram" and kinds == ["Metaspace"] and steps[0]["split"] and folds:
        return BLANKS if steps[0]["prepend_scheme"] == "always" else None
    if model["type"] == "WordLevel" and kinds == ["WhitespaceSplit", "Split"] and folds:
        return CHARACTERS if (steps[1]["pattern"], steps[1]["behavior"]) == ({"Regex": "."}, "Isolated") else None
    return None


def _types(steps: list[Mapping[str, Any]]) -> list[str]:
    return [step["type"] for step in steps]


def _steps(found: Mapping[str, Any] | None, name: str) -> list[Mapping[str, Any]]:
    """The steps of a sequence; of anything else, itself."""
    if found is None:
        return []
    return list(found[name]) if found["type"] == "Sequence" else [found]


def _bytes(steps: list[Mapping[str, Any]]) -> bool:
    """Whether words are cut as in GPT-2 or a known pattern, perhaps digits apart, and written as bytes."""
    *first, last = steps or [{"type": ""}]
    known = all(
        step["type"] == "Digits" or (step["type"] == "Split" and step["pattern"].get("Regex") in SPLITS)
        for step in first
    )
    splits = any(step["type"] == "Split" for step in first)
    return known and last["type"] == "ByteLevel" and (last["use_regex"] or splits)


@dataclass(frozen=True)
class Specials:
    """A tokenizer's special tokens, where a text spells them.

    Attributes:
        spelling: matches each, and keeps it when it splits; None if there are none.
        longest: characters of the longest.
        plain: each is found wherever it is spelt, whatever stands beside it, and takes nothing else.
    """

    spelling: re.Pattern[str] | None = None
    longest: int = 0
    plain: bool = True

    @classmethod
    def of(cls, tokenizer: Any, backend: Mapping[str, Any]) -> Specials:
        added = backend["added_tokens"]
        names = sorted((token["content"] for token in added), key=len, reverse=True)
        if not names or tokenizer.split_special_tokens:
            return cls()
        flags = ("single_word", "lstrip", "rstrip", "normalized")
        plain = not any(token[flag] for token in added for flag in flags) and not _overlap(names)
        return cls(re.compile("(" + "|".join(map(re.escape, names)) + ")"), len(names[0]), plain)


def _overlap(names: list[str]) -> bool:
    """Whether one can begin inside another."""
    return any(
        one[place:].startswith(other) or other.startswith(one[place:])
        for one in names
        for other in names
        for place in range(1, len(one))
    )


def described(tokenizer: Any) -> dict[str, Any]:
    """The content of a fast tokenizer's ``tokenizer.json``."""
    found: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return found
