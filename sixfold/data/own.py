"""The sets that were written for this project and come with it."""

from __future__ import annotations

from pathlib import Path

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
