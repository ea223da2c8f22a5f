"""Plain text as documents: a line each, lines up to a blank one, or whole files. Other sources are left to ``read``.

A document's length is bounded, so that a file of one endless line needs no more memory than any other.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, TextIO

from sixfold.data import arrow, encodings, files, sources
from sixfold.data.arrow import Row
from sixfold.data.files import File
from sixfold.data.sources import FILE, LINE
from sixfold.errors import DataError, UsageError, unknown
from sixfold.text.counting import counted

if TYPE_CHECKING:
    import datasets

Unit = Literal["line", "blank", "file"]
UNITS = ("line", "blank", "file")
MOST_CHARACTERS = 1 << 15
"""Of one document: as much as a context of 8,000 tokens holds. A longer one is cut, at a line's end where it has one.

A larger number costs memory: rows are written to Arrow two thousand at a time."""
VERSION = 1
"""Part of the cache key: raise it when a file gives other documents."""
SHOWN = 5
_SAMPLE_BYTES = 1 << 16
_ODD_SHARE = 0.005
_SPACES = "\t\n\r\f\v\x1b\x85"  # with the escape of ISO-2022-JP
_CONTROL_BYTES = bytes(byte for byte in (*range(32), 127) if chr(byte) not in _SPACES)
_KINDS = {
    b"%PDF": "a PDF file",
    b"PK\x03\x04": "a zip archive, as docx, xlsx and epub files are",
    b"\x1f\x8b": "packed by gzip, and its name does not end in .gz",
    b"\x28\xb5\x2f\xfd": "packed by zstd, and its name does not end in .zst",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ": "packed by xz",
    b"PAR1": "a parquet file, and its name does not end in .parquet",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x7fELF": "a program",
    b"SQLite format 3": "a SQLite database",
}


def read(
    source: Any,
    *,
    document: Unit = "line",
    format: str | None = None,  # noqa: A002
    encoding: str | None = None,
    columns: Sequence[str] | None = None,
) -> datasets.DatasetDict:
    r"""Rows of any source, by split, memory-mapped; those of txt files are documents, in the column ``text``.

    In a document, line ends are ``\n``, and there are none at its ends. What was cut or left out is noted.

    Args:
        source: as ``data.read``.
        document: where the documents of txt files end: with each ``line``, at ``blank`` lines, or with the ``file``.
        format, encoding, columns: as ``data.read``.

    Raises:
        As ``data.read``. DataError also for a binary file.
        UsageError: there is no such unit, or it is given for a source without txt files.
    """
    import datasets

    if document not in UNITS:
        raise unknown("value of document", document, UNITS)
    try:
        splits = sources.files_of(source, format, encoding, tuple(columns or ()))
    except UsageError:  # a name, or rows; what is neither is told below
        splits = {}
    if not any(_is_text(part) for parts in splits.values() for part in parts):
        rows = sources.read(source, format=format, encoding=encoding, columns=columns)
        if document != "line":
            raise UsageError(
                "document: says where the documents of txt files end, and this source has none",
                found=f"document: {document}",
                hint="leave it out: each row is a document",
            )
        return rows
    datasets.disable_progress_bars()
    return datasets.DatasetDict({split: _split(parts, document) for split, parts in splits.items()})


def _is_text(part: File) -> bool:
    return part.format in ("", "txt")


def _split(parts: Sequence[File], document: Unit) -> datasets.Dataset:
    spec = [VERSION, document, MOST_CHARACTERS, [{**asdict(part), "path": str(part.path)} for part in parts]]

    def rows(notes: list[str]) -> Iterator[Row]:
        cut: list[str] = []
        for part in parts:
            yield from _documents(part, document, cut) if _is_text(part) else sources.rows_of(part, notes)
        if cut:
            places = f"{', '.join(cut[:SHOWN])}{', …' if len(cut) > SHOWN else ''}"
            what = counted(len(cut), "document")
            notes.append(f"{what} longer than {MOST_CHARACTERS:,} characters cut into several ({places})")

    name = parts[0].path.name.partition(".")[0][:40]
    return arrow.cached([part.path for part in parts], spec, rows, name=f"{name}-documents")


def _documents(part: File, document: Unit, cut: list[str]) -> Iterator[Row]:
    _refuse_binary(part)
    if not part.format:
        raise UsageError(
            "the file's name does not tell its format",
            where=part,
            hint=f"say `format:`, txt for plain text, or another of {', '.join(files.FORMATS)}",
        )
    lines: list[int] = []
    count = 0
    with files.text(part) as stream:
        for line, text in _cut(stream, document, lines):
            if text := text.replace("\r\n", "\n").strip("\r\n"):
                count += 1
                yield {"text": text, FILE: str(part), LINE: line}
    if not count:
        raise DataError("the file has no text", where=part)
    cut += [f"{part}:{line}" for line in lines]


def _cut(stream: TextIO, document: Unit, cut: list[int]) -> Iterator[tuple[int, str]]:
    """Documents with the line (1-based) where each begins; ``cut`` gets the lines where one begins that is too long."""
    held: list[str] = []
    size = start = 0
    begin = 0  # of the document that what is held belongs to
    for line, piece, goes_on in _pieces(stream):
        if goes_on and not piece.strip("\r\n"):  # the end of a line that is just as long as a piece
            continue
        blank = not goes_on and piece.isspace()
        ends = not goes_on and (document == "line" or (document == "blank" and blank))
        if held and (ends or size + len(piece) > MOST_CHARACTERS):
            yield start, "".join(held)
            held, size = [], 0
            if not ends and cut[-1:] != [begin]:
                cut.append(begin)
        if ends:
            begin = 0
        if blank and not held:
            continue
        start = start if held else line
        begin = begin or start
        held.append(piece)
        size += len(piece)
    if held:
        yield start, "".join(held)


def _pieces(stream: TextIO) -> Iterator[tuple[int, str, bool]]:
    """Lines with their numbers; one that is too long in several pieces, of which all but the first go on."""
    line, ended = 0, True
    while piece := stream.readline(MOST_CHARACTERS):
        goes_on = not ended
        line += ended
        # a piece of full length that ends with \r may have its \n in the next
        ended = piece[-1] == "\n" or (piece[-1] == "\r" and len(piece) < MOST_CHARACTERS)
        yield line, piece, goes_on


def _refuse_binary(part: File) -> None:
    with files.opened(part) as raw:
        head = raw.read(_SAMPLE_BYTES)
    if not _is_binary(head, part.encoding):
        return
    named = next((kind for mark, kind in _KINDS.items() if head.startswith(mark)), None)
    raise DataError(
        "this is a binary file, not text",
        where=part,
        found=named or f"it begins with the bytes {head[:8].hex(' ')}",
        hint="take it out, or export its text; packed text is read where the name ends in .gz or .zst",
    )


def _is_binary(head: bytes, encoding: str) -> bool:
    """Whether there are more control characters than in a text, in the encoding given or the one it seems to be."""
    if not encoding.startswith("utf-8"):
        return _is_odd(head, encoding)
    if len(head) - len(head.translate(None, _CONTROL_BYTES)) <= _ODD_SHARE * len(head):
        return False
    # UTF-16 has control bytes and no control characters; the reader tells which encoding it may be.
    detected = encodings.detect(head)
    return all(_is_odd(head, one) for one in ([detected] if detected else ["utf-16-le", "utf-16-be"]))


def _is_odd(head: bytes, encoding: str) -> bool:
    text = head.decode(encoding, "ignore")
    odd = sum(unicodedata.category(one) in ("Cc", "Cn", "Co") and one not in _SPACES for one in text)
    return odd > _ODD_SHARE * len(text)
