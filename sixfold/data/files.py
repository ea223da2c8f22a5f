"""Opening one file of rows: its format by name, gz and zst unpacked within bounds, bytes decoded strictly.

What the text means is in ``formats.py``; which encoding it may be in, in ``encodings.py``.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from sixfold.data import encodings
from sixfold.errors import DataError, UsageError, unknown

EXTENSIONS = {
    extension: kind
    for kind, extensions in {
        "csv": ("csv",),
        "tsv": ("tsv", "tab"),
        "json": ("json",),
        "jsonl": ("jsonl", "ndjson"),
        "parquet": ("parquet", "pq"),
        "txt": ("txt", "text"),
        "conll": ("conll", "bio", "iob", "iob2", "bioes"),
        "xlsx": ("xlsx", "xlsm"),
        "yaml": ("yaml", "yml"),
    }.items()
    for extension in extensions
}
FORMATS = ("csv", "tsv", "json", "jsonl", "parquet", "txt", "conll", "xlsx", "yaml")
PACKED = ("gz", "zst")
UNPACK_LIMIT = "SIXFOLD_UNPACK_LIMIT"
DEFAULT_UNPACK_LIMIT = 8 << 30
# zstd makes at most 128 KiB of four bytes, so that one step gives at most 64 MiB.
_ZST_STEP_BYTES = 2048


@dataclass(frozen=True)
class File:
    """One file to read.

    Attributes:
        path: as the user wrote it; it is what problems are told with.
        format: one of ``FORMATS``; empty when the name does not tell it.
        packed: ``gz``, ``zst`` or empty.
        encoding: a codec's name. UTF-8 (with or without a byte order mark) unless the user said otherwise.
        columns: names of the columns, for a file without a header line.
    """

    path: Path
    format: str
    packed: str = ""
    encoding: str = "utf-8-sig"
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        return str(self.path)


def file(
    path: Path,
    *,
    format: str | None = None,  # noqa: A002
    encoding: str | None = None,
    columns: tuple[str, ...] = (),
) -> File:
    """What is known of a file by its name and by what the user said.

    Raises:
        UsageError: there is no such format or encoding, or no such file.
    """
    if not path.is_file():
        raise UsageError("there is no such file", where=path)
    if format is not None and format not in FORMATS:
        raise unknown("format", format, FORMATS)
    name = path.name.lower()
    packed = next((ending for ending in PACKED if name.endswith("." + ending)), "")
    extension = name.removesuffix("." + packed).rpartition(".")[2] if packed else name.rpartition(".")[2]
    if extension == "xls" and format is None:
        raise UsageError("the old xls format is not read", where=path, hint="save it as xlsx or as UTF-8 csv")
    kind = format or EXTENSIONS.get(extension, "")
    return File(path, kind, packed, encodings.known(encoding or "utf-8"), columns)


def limit() -> int:
    """How many bytes a packed file may unpack to: SIXFOLD_UNPACK_LIMIT, or 8 GiB."""
    given = os.environ.get(UNPACK_LIMIT)
    if given is None:
        return DEFAULT_UNPACK_LIMIT
    if not given.isdigit():
        raise UsageError(f"{UNPACK_LIMIT} must be a number of bytes", found=given)
    return int(given)


@contextmanager
def opened(source: File) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked.

    Raises:
        DataError: it is empty, damaged, cut short, or unpacks to more than the limit.
    """
    try:
        raw = open(source.path, "rb")  # noqa: SIM115
    except OSError as error:
        raise UsageError("the file cannot be opened", where=source, found=error.strerror) from None
    with raw:
        if not os.fstat(raw.fileno()).st_size:
            raise DataError("the file is empty", where=source)
        if source.packed:
            yield cast(BinaryIO, io.BufferedReader(_Unpacked(raw, source), 1 << 20))
        else:
            yield cast(BinaryIO, raw)


class _Unpacked(io.RawIOBase):
    """A packed file's content: bounded, and an error where it is damaged or cut short."""

    def __init__(self, raw: BinaryIO, source: File) -> None:
        self.source = source
        self.limit = limit()
        self.total = 0
        self.pieces = _gz_pieces(raw) if source.packed == "gz" else _zst_pieces(raw)
        self.rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        while not self.rest:
            piece = self._next()
            if piece is None:
                return 0
            self.rest = memoryview(piece)
        count = min(len(buffer), len(self.rest))
        buffer[:count] = self.rest[:count]
        self.rest = self.rest[count:]
        return count

    def _next(self) -> bytes | None:
        import zstandard

        try:
            piece = next(self.pieces, None)
        except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
            raise DataError("the packed file is damaged or cut short", where=self.source, found=error) from None
        self.total += len(piece or b"")
        if self.total > self.limit:
            raise DataError(
                f"the packed file holds more than {self.limit:,} bytes",
                where=self.source,
                hint=f"if that is right, set {UNPACK_LIMIT} to a larger number of bytes",
            )
        return piece


def _gz_pieces(raw: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=raw) as content:
        while piece := content.read(1 << 20):
            yield piece


def _zst_pieces(raw: BinaryIO) -> Iterator[bytes]:
    # Not stream_reader: it takes a frame that is cut short for the end of the file.
    import zstandard

    frame = None
    while chunk := raw.read(_ZST_STEP_BYTES):
        while chunk:
            frame = frame or zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
            yield frame.decompress(chunk)
            chunk = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
    if frame is not None:
        raise EOFError("the last frame does not end")


@contextmanager
def text(source: File) -> Iterator[TextIO]:
    """The file's text, decoded strictly, line ends as they are.

    Raises:
        EncodingError: a byte does not fit; with line, byte offset, and the encoding that the file seems to be in.
        DataError: as ``opened``.
    """
    try:
        with opened(source) as raw:
            if source.encoding == "utf-8-sig":
                head = raw.peek(4096)[:4096] if isinstance(raw, io.BufferedReader) else b""
                if encodings.by_mark(head) not in (None, "utf-8-sig"):
                    raise UnicodeError("UTF-16")
            yield io.TextIOWrapper(raw, encoding=source.encoding, errors="strict", newline="")
    except UnicodeError:
        with opened(source) as raw:
            raise encodings.diagnose(raw, source.encoding, str(source)) from None
