"""JSON: a list of objects, ``{"data": [...]}``, ``{"name": {...}, ...}``, or one object a line.

Read piece by piece, however large the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

from sixfold.data import files
from sixfold.data.faults import Faults
from sixfold.data.files import File
from sixfold.errors import DataError

MAX_VALUE_CHARACTERS = 1 << 28
_CHUNK_CHARACTERS = 1 << 16
_SPACE = re.compile(r"[ \t\r\n]*")
_REMEDY = "write one JSON object a line, in double quotes, with no comma at its end"


def jsonl_rows(source: File, faults: Faults) -> Iterator[tuple[int, dict[str, Any]]]:
    """One object a line. A line that is not one is a fault; a key that a row lacks is None in the table."""
    with files.text(source) as stream:
        number = 0
        while line := stream.readline(MAX_VALUE_CHARACTERS):
            number += 1
            if line.isspace():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                faults.add(number, "a line is not valid JSON", _REMEDY)
                continue
            if isinstance(row, dict):
                yield number, row
            else:
                faults.add(number, "a line holds JSON, but not an object", _REMEDY)


def json_rows(source: File, faults: Faults) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a list, of the list under ``data``, or of an object of objects, whose names are in ``id`` then.

    One object a line in a .json file is read as jsonl.

    Raises:
        DataError: it is not valid JSON (with the line), or holds neither.
    """
    if _is_jsonl(source):
        yield from jsonl_rows(source, faults)
        return
    with files.text(source) as stream:
        cursor = _Cursor(stream, source)
        if cursor.peek() == "{":
            first = _enter_data(cursor)
            if first is not None:
                yield first
                yield from _named_items(cursor)
                return
        elif cursor.peek() != "[":
            raise cursor.error("the file holds neither a list nor an object")
        for line, row in _items(cursor):
            if isinstance(row, dict):
                yield line, row
            else:
                faults.add(line, "an entry of the list is not an object", 'write each row as {"text": ..., ...}')


def _is_jsonl(source: File) -> bool:
    with files.text(source) as stream:
        first = next((line for line in _lines(stream) if not line.isspace()), "")
        second = next((line for line in _lines(stream) if not line.isspace()), "")
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return False
    if not isinstance(row, dict):
        return False
    of_objects = len(row) > 1 and all(isinstance(value, dict) for value in row.values())
    return bool(second) or not ("data" in row or of_objects)


def _lines(stream: TextIO) -> Iterator[str]:
    while line := stream.readline(_CHUNK_CHARACTERS * 16):
        yield line


def _enter_data(cursor: _Cursor) -> tuple[int, dict[str, Any]] | None:
    """Go into the list under the key ``data`` of the object that starts here.

    Where its first two values are objects (or its only one), it is an object of objects: its first row is given, and
    the cursor stands behind it, at the next one's value if there is one.
    """
    seen: list[str] = []
    first: tuple[int, dict[str, Any]] | None = None
    cursor.take("{")
    while cursor.peek() != "}":
        line = cursor.line
        key = cursor.value()
        cursor.take(":")
        if key == "data" and cursor.peek() == "[":
            return None
        if first is not None and cursor.peek() == "{":
            cursor.name = str(key)
            return first
        seen.append(str(key))
        value = cursor.value()
        first = (line, {"id": str(key), **value}) if isinstance(value, dict) and len(seen) == 1 else None
        if cursor.peek() == ",":
            cursor.take(",")
    if first is not None:
        return first
    raise DataError(
        "the JSON object has no list of rows under the key 'data'",
        where=cursor.source,
        found=f"keys {', '.join(seen[:10])}" if seen else "an empty object",
        hint='write a list of objects, or {"data": [...]}; give the splits as files of their own',
    )


def _named_items(cursor: _Cursor) -> Iterator[tuple[int, dict[str, Any]]]:
    """The other objects of an object, each with its name; the cursor stands at the second one's value, if any."""
    name, line = cursor.name, cursor.line
    while cursor.peek() != "}":
        if cursor.peek() != "{":
            raise cursor.error("the file holds an object whose values are not all objects")
        row = cursor.value()
        yield line, {"id": name, **row}
        if cursor.peek() == "}":
            return
        cursor.take(",")
        line = cursor.line
        name = str(cursor.value())
        cursor.take(":")


def _items(cursor: _Cursor) -> Iterator[tuple[int, Any]]:
    cursor.take("[")
    while cursor.peek() != "]":
        yield cursor.line, cursor.value()
        if cursor.peek() != "]":
            cursor.take(",")


class _Cursor:
    """A place in JSON text that is longer than memory: values are taken off its front, lines are counted."""

    def __init__(self, stream: TextIO, source: File) -> None:
        self.stream = stream
        self.source = source
        self.text = ""
        self.place = 0
        self.line = 1
        self.ended = False
        self.name = ""
        self.decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            self._advance(_SPACE.match(self.text, self.place).end())  # type: ignore[union-attr]
            if self.place < len(self.text) or self.ended:
                return self.text[self.place : self.place + 1]
            self._more(_CHUNK_CHARACTERS)

    def take(self, mark: str) -> None:
        if self.peek() != mark:
            raise self.error(f"the JSON lacks a {mark!r}")
        self._advance(self.place + 1)

    def value(self) -> Any:
        if not self.peek():
            raise self.error("the JSON is cut short")
        wanted = _CHUNK_CHARACTERS
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.place)
            except (ValueError, RecursionError) as error:
                # A value that is cut by the buffer's end fails as a wrong one does: only more text tells.
                if self.ended or isinstance(error, RecursionError) or wanted > MAX_VALUE_CHARACTERS:
                    raise self.error("the file is not valid JSON", error) from None
            else:
                if end < len(self.text) or self.ended:  # a number may go on behind the buffer's end
                    self._advance(end)
                    return value
            self._more(wanted)
            wanted *= 2

    def _advance(self, place: int) -> None:
        self.line += self.text.count("\n", self.place, place)
        self.place = place

    def _more(self, count: int) -> None:
        read = self.stream.read(count)
        self.ended = not read
        self.text = self.text[self.place :] + read
        self.place = 0

    def error(self, what: str, error: Exception | None = None) -> DataError:
        line, found = self.line, self.text[self.place : self.place + 60] or "the end of the file"
        if isinstance(error, json.JSONDecodeError):
            line += self.text.count("\n", self.place, error.pos)
            found = f"{error.msg}: {self.text[error.pos : error.pos + 60]!r}"
        return DataError(what, where=f"{self.source}:{line}", found=found)
