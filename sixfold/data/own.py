"""The sets that were written for this project and come with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
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


QUESTIONS = {"bank_desk_questions_en": _ENGLISH, "bank_desk_questions_zh": _CHINESE}
"""What customers say there, and about what."""


def questions(source: str) -> Iterator[dict[str, Any]] | None:
    """Rows of ``text``, all that a customer says in a conversation, and ``label``, its topic.

    None for any other name, and where a file of the user's has the name.
    """
    if source not in QUESTIONS or Path(source).exists():
        return None
    talks = (json.loads(line) for line in QUESTIONS[source].read_text(encoding="utf-8").splitlines())
    return ({"text": "\n".join(_said(talk["messages"])), "label": talk["topic"]} for talk in talks)


def _said(messages: list[dict[str, Any]]) -> Iterator[str]:
    return (one["content"] for one in messages if one["role"] == "user")
