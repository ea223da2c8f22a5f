"""The sets that were written for this project and come with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

_DESK = Path(__file__).parent / "bank_desk"
_ENGLISH, _CHINESE = _DESK / "conversations.en.jsonl", _DESK / "conversations.zh.jsonl"
SETS: dict[str, tuple[Path, ...]] = {
    "bank_desk": (_ENGLISH, _CHINESE),
    "bank_desk_en": (_ENGLISH,),
    "bank_desk_zh": (_CHINESE,),
}
"""Conversations of the support desk of an invented bank (``bank_desk/README.md``)."""


def paths(source: str) -> list[Path] | None:
    """The files of a set of ours; None for any other name, and where a file of the user's has the name."""
    return list(SETS[source]) if source in SETS and not Path(source).exists() else None


QUESTIONS: dict[str, tuple[Path, int, Callable[[str], Sequence[str]]]] = {
    "bank_desk_questions_en": (_ENGLISH, 4, str.split),
    "bank_desk_questions_zh": (_CHINESE, 8, list),
}
"""What customers say there, and about what: of each set the file, the fewest words of a turn, what its words are."""


def questions(source: str) -> Iterator[dict[str, Any]] | None:
    """Rows of ``text``, ``label`` (the topic) and ``conversation``: each turn of a customer that is more than a nod.

    None for any other name, and where a file of the user's has the name.
    """
    if source not in QUESTIONS or Path(source).exists():
        return None
    path, least, words = QUESTIONS[source]
    talks = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return (
        {"text": turn["content"], "label": talk["topic"], "conversation": talk["id"]}
        for talk in talks
        for turn in talk["messages"]
        if turn["role"] == "user" and len(words(turn["content"])) >= least
    )
