"""Comma, semicolon, tab and bar separated text: the delimiter, the header, ragged rows."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TextIO

from sixfold.data import files
from sixfold.data.faults import Faults
from sixfold.data.files import File
from sixfold.errors import DataError

DELIMITERS = ",;\t|"
MAX_FIELD_CHARACTERS = 1 << 24
_SAMPLE_CHARACTERS = 1 << 18
_SAMPLE_ROWS = 100
_LONG_NAME = 60
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?%?")
_SENTENCE = re.compile(r"[。！？]|[.!?]\s|\S+(\s+\S+){6}")
_WELL_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def csv_rows(source: File, faults: Faults) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a delimited file by its header. Every ragged row is a fault; quoted cells may hold line breaks.

    A blank first name (a spreadsheet's index) becomes ``column_1``. With ``source.columns`` there is no header line.

    Raises:
        DataError: the first row looks like data, or names a column twice.
    """
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    with files.text(source) as stream:
        head = list(itertools.islice(_bounded(stream), 1000))
        sample = "".join(head)[:_SAMPLE_CHARACTERS]
        if not sample.strip():
            return
        delimiter = "\t" if source.format == "tsv" else _delimiter(sample)
        quoting: Literal[0, 3] = csv.QUOTE_NONE if source.format == "tsv" and not _quoted(sample) else csv.QUOTE_MINIMAL
        reader = csv.reader(itertools.chain(head, _bounded(stream)), delimiter=delimiter, quoting=quoting, strict=True)
        header = list(source.columns)
        for line, cells in _records(reader, faults):
            if not header:
                header = _header(cells, line, source, _parsed(sample, delimiter, quoting))
            elif len(cells) == len(header):
                yield line, dict(zip(header, cells, strict=True))
            else:
                faults.add(
                    line,
                    f"the header has {len(header)} columns, these rows have {len(cells)}",
                    "quote cells that hold the delimiter or a line break; fill cells that are missing",
                )


def _bounded(stream: TextIO) -> Iterator[str]:
    """Lines, none longer than a cell may be: the csv module checks a cell's size only after reading its line."""
    while line := stream.readline(MAX_FIELD_CHARACTERS * 2):
        yield line


def _records(reader: Any, faults: Faults) -> Iterator[tuple[int, list[str]]]:
    """Records that are not blank, with the physical line where each starts."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            faults.add(line, _told(error), "double the quotes inside a quoted cell, and close every quote")
            continue
        if cells:
            yield line, cells


def _told(error: csv.Error) -> str:
    message = str(error)
    if "unexpected end of data" in message:
        return "a quote is opened and never closed"
    if "field larger" in message:
        return f"a cell has more than {MAX_FIELD_CHARACTERS:,} characters: perhaps a quote that is never closed"
    return f"the quotes do not match ({message})"


def _parsed(sample: str, delimiter: str, quoting: Literal[0, 3]) -> list[list[str]]:
    """The first rows of the sample; as many as it parses to."""
    rows: list[list[str]] = []
    lines = sample.splitlines(keepends=True)
    try:
        for cells in csv.reader(lines, delimiter=delimiter, quoting=quoting):
            if cells:
                rows.append(cells)
            if len(rows) > _SAMPLE_ROWS:
                break
    except csv.Error:
        pass
    # The last one may be cut by the sample's end.
    return rows[:-1] if len(rows) > 2 and len(sample) == _SAMPLE_CHARACTERS else rows


def _delimiter(sample: str) -> str:
    """The delimiter under which most rows have as many cells as the first one, more than one; a comma if none."""

    def agreement(delimiter: str) -> tuple[float, int]:
        rows = _parsed(sample, delimiter, csv.QUOTE_MINIMAL)
        width = len(rows[0]) if rows else 1
        if width < 2:
            return 0.0, 0
        return sum(len(cells) == width for cells in rows) / len(rows), width

    best = max(DELIMITERS, key=agreement)
    return best if agreement(best)[0] > 0.5 else ","


def _quoted(sample: str) -> bool:
    """Whether a tab-separated file quotes its cells. Most do not: a stray quote must not swallow lines."""
    cells = [cell for line in sample.splitlines() for cell in line.split("\t") if cell.startswith('"')]
    return bool(cells) and all(_WELL_QUOTED.fullmatch(cell) for cell in cells)


def _header(cells: list[str], line: int, source: File, sample: Sequence[Sequence[str]]) -> list[str]:
    names = [cell.strip().lstrip("\ufeff") for cell in cells]
    reason = _looks_like_data(names, sample[1:])
    if reason:
        raise DataError(
            f"the first row looks like data, not like column names: {reason}",
            where=f"{source}:{line}",
            found=", ".join(names)[:200],
            hint="put a line with the names of the columns first, such as: text,label",
        )
    return named(names, f"{source}:{line}")


def named(names: Sequence[str], where: str) -> list[str]:
    """Column names of a header, blank ones numbered (``column_1``).

    Raises:
        DataError: one stands twice.
    """
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError("a column name stands twice in the header", where=where, found=", ".join(twice))
    return [name or f"column_{place}" for place, name in enumerate(names, 1)]


def _looks_like_data(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Why the first row cannot be a header, or nothing."""
    if not any(names):
        return "all its cells are empty"
    for place, name in enumerate(names):
        if _NUMBER.fullmatch(name):
            return f"{name!r} is a number"
        if len(name) > _LONG_NAME:
            return f"a name of {len(name)} characters"
        if _SENTENCE.search(name):
            return f"{name!r} reads like a sentence"
        if name and any(place < len(cells) and cells[place].strip() == name for cells in rows):
            return f"{name!r} is also a value in its column"
    return ""
