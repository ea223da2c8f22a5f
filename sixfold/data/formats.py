"""One function a format: a file in, its rows out, each with the line (1-based) where it starts.

Delimited text has its own file (``delimited.py``), so has JSON (``json_text.py``). Opening and decoding: ``files.py``.
"""

from __future__ import annotations

import datetime
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

from sixfold.data import files
from sixfold.data.delimited import csv_rows, named
from sixfold.data.faults import Faults
from sixfold.data.files import File
from sixfold.data.json_text import json_rows, jsonl_rows
from sixfold.data.yaml_text import yaml_rows
from sixfold.errors import DataError, UsageError

Row = dict[str, Any]
Numbered = Iterator[tuple[int, Row]]

TAG = re.compile(r"O|[BIESLMU][-_]\S+")
DOCUMENT_MARK = "-DOCSTART-"
_BLANKS = " \t\r\n"  # not str.split(): U+3000 and U+00A0 are words of Chinese and Western corpora
_COLUMN_BREAK = re.compile(r"[ \t]+")
_SNIFFED_LINES = 200


def rows(source: File, faults: Faults) -> Numbered:
    """The rows of a file of any format. Faults are added as they are met; the caller tells them.

    Raises:
        DataError: the file is empty, damaged, or holds no row.
        EncodingError: see ``files.text``.
        UsageError: nothing tells the format.
    """
    if not source.format or source.format == "txt":
        source = replace(source, format=_sniffed(source))
    count = 0
    for numbered in _READERS[source.format](source, faults):
        count += 1
        yield numbered
    faults.tell()
    if not count:
        raise DataError("the file has no rows", where=source)


def _sniffed(source: File) -> str:
    """``conll`` or ``txt``, by the first lines: both come in files named .txt, and CoNLL's own have no usual ending."""
    lines: list[list[str]] = []
    with files.text(source) as stream:
        for line in stream:
            if (kept := line.strip(_BLANKS)) and not kept.startswith(DOCUMENT_MARK):
                lines.append(_COLUMN_BREAK.split(kept))
            if len(lines) == _SNIFFED_LINES:
                break
    if lines and all(len(parts) >= 2 and TAG.fullmatch(parts[-1]) for parts in lines):
        return "conll"
    if not source.format:
        raise UsageError(
            "the file's name does not tell its format",
            where=source,
            hint=f"say `format:`, one of {', '.join(files.FORMATS)}",
        )
    return "txt"


def txt_rows(source: File, faults: Faults) -> Numbered:
    """One text a line, in the column ``text``. Blank lines are left out and noted."""
    blank = 0
    with files.text(source) as stream:
        for number, line in enumerate(stream, 1):
            if line.isspace():
                blank += 1
            else:
                yield number, {"text": line.rstrip("\r\n")}
    if blank:
        faults.note(f"{blank:,} blank lines were left out")


def conll_rows(source: File, faults: Faults) -> Numbered:
    """Sentences of one token a line: the first column is the word, the last the tag; a blank line ends a sentence.

    Columns: ``words``, ``tags`` (absent when there is one column only), ``document`` (counted by the ``-DOCSTART-``
    lines, 0 where there is none). Tags stand as they are: IOB1, BIO and BIOES are told apart by ``check``.
    """
    width = document = 0
    start, sentence = 1, list[list[str]]()
    with files.text(source) as stream:
        for number, line in enumerate(stream, 1):
            parts = _columns(line)
            if not parts or parts[0] == DOCUMENT_MARK:
                if sentence:
                    yield start, _sentence(sentence, document)
                    sentence = []
                document += bool(parts)
                continue
            width = width or len(parts)
            if len(parts) != width:
                faults.add(
                    number,
                    f"the first token line has {width} columns, these have {len(parts)}",
                    "give every line a word and a tag, separated by one tab or blank; a blank line ends a sentence",
                )
                continue
            start = start if sentence else number
            sentence.append(parts)
        if sentence:
            yield start, _sentence(sentence, document)


def _columns(line: str) -> list[str]:
    if "\t" in line:
        kept = line.rstrip("\r\n")
        return kept.split("\t") if kept.strip(_BLANKS) else []
    kept = line.strip(_BLANKS)
    return _COLUMN_BREAK.split(kept) if kept else []


def _sentence(lines: list[list[str]], document: int) -> Row:
    row: Row = {"words": [parts[0] for parts in lines]}
    if len(lines[0]) > 1:
        row["tags"] = [parts[-1] for parts in lines]
    return row | {"document": document}


@contextmanager
def _seekable(source: File) -> Iterator[BinaryIO]:
    """The file's bytes where a reader wants to jump about: a packed one is unpacked to a temporary file first."""
    with files.opened(source) as raw:
        if not source.packed:
            yield raw
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(raw, copy, 1 << 20)
            copy.seek(0)
            yield copy


def parquet_rows(source: File, faults: Faults) -> Numbered:
    """Rows of a parquet file, a batch at a time. The line is the row's number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _seekable(source) as raw:
        try:
            table = pq.ParquetFile(raw)
            meta = table.metadata
            size = sum(meta.row_group(group).total_byte_size for group in range(meta.num_row_groups))
            _bound(source, size)
            number = 0
            for batch in table.iter_batches(batch_size=1000):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
        except pa.ArrowException as error:
            raise DataError("this is not a whole parquet file", where=source, found=error) from None


def _bound(source: File, size: int) -> None:
    if size > files.limit():
        raise DataError(
            f"the file unpacks to {size:,} bytes, more than the {files.limit():,} allowed",
            where=source,
            hint=f"if that is right, set {files.UNPACK_LIMIT} to a larger number of bytes",
        )


def xlsx_rows(source: File, faults: Faults) -> Numbered:
    """Rows of the first sheet with anything in it, below its header row. The line is the sheet's row number."""
    import openpyxl

    with _seekable(source) as raw:
        try:
            with zipfile.ZipFile(raw) as parts:
                _bound(source, sum(part.file_size for part in parts.infolist()))
            raw.seek(0)
            book = openpyxl.load_workbook(raw, read_only=True, data_only=True)
        except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
            raise DataError("this is not a whole xlsx file", where=source, found=error) from None
        sheets = list(book.worksheets)
        for sheet in sheets:
            sheet.reset_dimensions()  # some programs write a wrong size
        first = next((sheet for sheet in sheets if next(sheet.iter_rows(values_only=True), None)), None)
        if first is None:
            raise DataError("the workbook is empty", where=source)
        if len(sheets) > 1:
            others = ", ".join(repr(sheet.title) for sheet in sheets if sheet is not first)
            faults.note(f"only the sheet {first.title!r} is read, not {others}")
        yield from _sheet(first.iter_rows(values_only=True), source, faults)


def _sheet(lines: Iterator[tuple[Any, ...]], source: File, faults: Faults) -> Numbered:
    header: list[str] | None = list(source.columns) or None
    blank = 0
    for number, cells in enumerate(lines, 1):
        if all(cell is None for cell in cells):
            blank += 1
        elif header is None:
            header = _header(cells, source)
        elif any(cell is not None for cell in cells[len(header) :]):
            faults.add(number, "cells stand to the right of the last named column", "name the column, or empty them")
        else:
            yield number, dict(zip(header, map(_plain, cells), strict=False))
    if blank:
        faults.note(f"{blank:,} blank rows were left out")


def _header(cells: tuple[Any, ...], source: File) -> list[str]:
    names = ["" if cell is None else str(cell).strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    if any(not isinstance(cell, str) for cell in cells[: len(names)] if cell is not None):
        raise DataError(
            "the sheet's first row looks like data, not like column names",
            where=f"{source}:1",
            found=", ".join(names)[:200],
            hint="put the names of the columns into the first row",
        )
    return named(names, f"{source}:1")


def _plain(cell: Any) -> Any:
    if isinstance(cell, datetime.datetime | datetime.date | datetime.time):
        return cell.isoformat()
    if isinstance(cell, datetime.timedelta):
        return str(cell)
    return cell


_READERS: Mapping[str, Callable[[File, Faults], Numbered]] = {
    "csv": csv_rows,
    "tsv": csv_rows,
    "json": json_rows,
    "jsonl": jsonl_rows,
    "parquet": parquet_rows,
    "txt": txt_rows,
    "conll": conll_rows,
    "xlsx": xlsx_rows,
    "yaml": yaml_rows,
}
