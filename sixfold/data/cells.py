"""What a cell of each kind may hold, and how usual spellings of it are read. One cell at a time; no data sets here."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

from sixfold.data.arrow import as_text
from sixfold.data.columns import Kind

SEPARATORS = (";", "|", ",")
"""Between the class names in one cell of a csv file, the first one that any cell holds."""
ROLES = ("system", "user", "assistant", "tool")
_BLANKS = re.compile(r"[ \t\r\n]+")


class BadCellError(ValueError):
    """A cell that a row cannot be used with. Rows whose faults have the same message are told together."""


def read(kind: Kind, cell: Any, separator: str = ";") -> Any:
    """The cell in the form that its kind has, whatever usual form it is written in.

    Raises:
        BadCellError: it holds nothing, or something else.
    """
    if cell is None:
        raise BadCellError("has no value")
    return _READ[kind](cell, separator)


def _text(cell: Any, separator: str) -> str:
    if isinstance(cell, list | dict):
        raise BadCellError("holds a list or an object, not a text")
    string = as_text(cell) or ""
    if not string.strip() or not string.strip("\ufeff\u200b\u00a0 \t\r\n"):
        raise BadCellError("is empty")
    return string


def _label(cell: Any, separator: str) -> str:
    return _text(cell, separator).strip()


def _labels(cell: Any, separator: str) -> list[str]:
    """Several class names; none is a valid answer."""
    if isinstance(cell, list):
        return [_label(one, separator) for one in cell if one is not None]
    if isinstance(cell, dict):
        raise BadCellError("holds an object, not class names")
    return [name.strip() for name in (as_text(cell) or "").split(separator) if name.strip()]


def _words(cell: Any, separator: str) -> list[str]:
    words = cell if isinstance(cell, list) else _BLANKS.split(_text(cell, separator).strip())
    if not words:
        raise BadCellError("is empty")
    if any(not isinstance(word, str) or not word for word in words):
        raise BadCellError("holds a word that is empty or no string")
    return words


def _number(cell: Any, separator: str) -> float:
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        raise BadCellError("is not a number")
    try:
        number = float(cell)
    except ValueError:
        raise BadCellError("is not a number") from None
    if number != number:
        raise BadCellError("has no value")
    return number


def _messages(cell: Any, separator: str) -> list[dict[str, Any]]:
    """A conversation in order. It may end with the user: then there is a question, and nothing to learn from it."""
    if not isinstance(cell, list) or not cell:
        raise BadCellError("is not a list of messages")
    for message in cell:
        if not isinstance(message, dict) or "role" not in message or "content" not in message:
            raise BadCellError("holds a message without role and content")
        if message["role"] not in ROLES:
            raise BadCellError(f"holds a message whose role is not one of {', '.join(ROLES)}")
        if message["content"] is None and not message.get("tool_calls"):
            raise BadCellError("holds a message without content")
        if not isinstance(message["content"], str | None):
            raise BadCellError("holds a message whose content is not a text")
        if not (message["content"] or "").strip() and not message.get("tool_calls"):
            raise BadCellError(f"holds an empty {message['role']} message")
    _in_order([message["role"] for message in cell])
    return cell


def _in_order(roles: list[str]) -> None:
    """A system prompt first, if any; then the user and the assistant in turn, tools after the assistant."""
    if "system" in roles[1:]:
        raise BadCellError("holds a system message that is not the first")
    turns = roles[1:] if roles[0] == "system" else roles
    if not turns:
        raise BadCellError("holds nothing but a system message")
    if turns[0] != "user":
        raise BadCellError(f"begins with the {turns[0]}, not with the user")
    for before, after in itertools.pairwise(turns):
        if before == after and before != "tool":
            raise BadCellError(f"holds two {before} turns in a row")
        if after == "tool" and before == "user":
            raise BadCellError("holds a tool message that no assistant asked for")
        if before == "tool" and after == "user":
            raise BadCellError("holds a tool message that no assistant answers")


def _spans(cell: Any, separator: str) -> list[dict[str, Any]]:
    if not isinstance(cell, list):
        raise BadCellError("is not a list of spans")
    for span in cell:
        whole = isinstance(span, dict) and {"start", "end", "label"} <= span.keys()
        if not whole or not isinstance(span["start"], int) or not isinstance(span["end"], int):
            raise BadCellError("holds a span without start, end and label")
        if not 0 <= span["start"] < span["end"]:
            raise BadCellError("holds a span that is empty or begins before the text")
    return cell


_READ: dict[Kind, Callable[[Any, str], Any]] = {
    "text": _text,
    "label": _label,
    "labels": _labels,
    "words": _words,
    "tags": _words,
    "number": _number,
    "messages": _messages,
    "spans": _spans,
}


def separator(cells: list[Any]) -> str:
    """What stands between the class names in the cells of one column."""
    strings = [cell for cell in cells if isinstance(cell, str)]
    return next((mark for mark in SEPARATORS if any(mark in cell for cell in strings)), SEPARATORS[0])


def as_string(kind: Kind, value: Any) -> str:
    """A cell that was read, as the text a person would see."""
    if kind == "words":
        return " ".join(value)
    if kind == "messages":
        return "\n".join(message["content"] or "" for message in value)
    return value if isinstance(value, str) else ""
