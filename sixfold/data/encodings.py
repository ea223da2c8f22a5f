"""Which encoding bytes are in, and where they break it. Opening files is in ``files.py``."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import BinaryIO

from sixfold.errors import DataError, unknown

KNOWN = (
    *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030", "gbk", "gb2312", "big5", "big5hkscs"),
    *("cp932", "shift_jis", "euc-jp", "iso2022_jp", "cp949", "euc-kr", "latin-1", "ascii", "koi8-r", "mac-roman"),
    *(f"cp{page}" for page in (*range(1250, 1259), 437, 850, 866, 874)),
    *(f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))),
)
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CANDIDATES = ["gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1251", "cp1252", "utf_16_le", "utf_16_be"]
_SAMPLE_BYTES = 1 << 18
_CHUNK_BYTES = 1 << 20


class EncodingError(DataError):
    """Bytes that are not in the encoding that was asked for.

    Attributes:
        detected: the encoding that the file seems to be in, or None when it fits none.
    """

    def __init__(self, what: str, *, where: str, found: str, hint: str, detected: str | None) -> None:
        super().__init__(what, where=where, found=found, hint=hint)
        self.detected = detected


def known(name: str) -> str:
    """The codec's name for an encoding that a user wrote (``GBK``, ``UTF-8``).

    Raises:
        UsageError: there is no such text encoding; the nearest one is shown.
    """
    by_codec = {codecs.lookup(spelling).name: spelling for spelling in KNOWN}
    try:
        codec = codecs.lookup(name).name
    except (LookupError, ValueError):
        codec = ""
    if codec in ("utf-8", "utf-8-sig"):
        return "utf-8-sig"  # reads a byte order mark away, and does no harm without one
    if codec not in by_codec:
        raise unknown("encoding", name, KNOWN)
    return codec


def by_mark(head: bytes) -> str | None:
    """The encoding that a byte order mark (or the zero bytes of unmarked UTF-16) tells, if any."""
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    zeros = head.count(0)
    if len(head) >= 4 and zeros * 5 >= len(head):
        return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    return None


def detect(sample: bytes) -> str | None:
    """The encoding of bytes that are not UTF-8, or None when they fit none well.

    Bytes that are UTF-8 but for a few broken ones get None: another encoding would turn the rest to garbage.
    """
    marked = by_mark(sample[:4096])
    if marked is not None:
        return marked
    read = sample.decode("utf-8", "replace")
    broken = read.count("\ufffd")
    if broken * 10 <= sum(not character.isascii() for character in read) - broken:
        return None
    if not _high_pairs(sample):
        return "cp1252" if _is_western(sample) else None
    if _is_simplified_chinese(sample):
        return "gb18030"
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=_CANDIDATES).best()
    return codecs.lookup(best.encoding).name if best is not None and _fits(sample, best.encoding) else None


def _high_pairs(sample: bytes) -> bool:
    """Whether two bytes above 127 ever stand side by side: never so in a Western text with a few accents."""
    high = bytes(byte > 127 for byte in sample)
    return b"\x01\x01" in high


def _is_western(sample: bytes) -> bool:
    # ÿ and þ (bytes 255 and 254) are filler and damage far more often than letters.
    return _fits(sample, "cp1252") and not any(byte in sample for byte in (b"\xff", b"\xfe"))


def _fits(sample: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)("strict").decode(sample)
    except UnicodeError:
        return False
    return True


def _is_simplified_chinese(sample: bytes) -> bool:
    """Strict GB18030 in which nine of ten characters are of the 3,755 common ones, or punctuation."""
    try:
        text = codecs.getincrementaldecoder("gb18030")("strict").decode(sample)
    except UnicodeError:
        return False
    high = [character.encode("gb18030") for character in text if not character.isascii()]
    common = sum(len(code) == 2 and 0xA1 <= code[0] <= 0xD7 and code[1] >= 0xA1 for code in high)
    han = sum(len(code) == 2 and code[0] >= 0xB0 for code in high)
    kana = sum(len(code) == 2 and code[0] in (0xA4, 0xA5) for code in high)
    # Korean in EUC-KR also lies in this range, but only below 0xC9, where Chinese has half of its common characters.
    beyond = sum(len(code) == 2 and 0xC9 <= code[0] <= 0xD7 for code in high)
    return bool(high) and common >= 0.9 * len(high) and kana <= 0.1 * len(high) and beyond >= 0.2 * han > 0


@dataclass(frozen=True)
class _Break:
    """Where the encoding breaks: line (1-based), byte offset, the four bytes there, that line, and bytes around it."""

    line: int
    offset: int
    bad: bytes
    text: bytes
    around: bytes


def diagnose(stream: BinaryIO, encoding: str, where: str) -> EncodingError:
    """The error for a stream (from its first byte) that is not in ``encoding``: line, byte offset, what it may be."""
    asked = encoding.removesuffix("-sig")
    broken = _locate(stream, encoding)
    place = f"{where}, line {broken.line:,}, byte {broken.offset:,}"
    detected = detect(broken.around) if asked == "utf-8" else None
    if detected is None:
        return EncodingError(
            f"a byte does not fit the encoding {asked}",
            where=place,
            found=f"bytes {broken.bad.hex(' ')}" if broken.bad else "the end of the file inside a character",
            hint="mend that line, or say with `encoding:` which encoding the file is in",
            detected=None,
        )
    spelt = detected.removesuffix("-sig")
    return EncodingError(
        f"the file is not in {asked}; it looks like {spelt}",
        where=place,
        found=f"read as {spelt}: {_shown(broken.text, detected)}",
        hint=f"if that reads well, accept it with `encoding: {spelt}`, or save the file as UTF-8",
        detected=spelt,
    )


def _locate(stream: BinaryIO, encoding: str) -> _Break:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    lines, start, before = 0, 0, b""  # start: offset of the first byte of `before + chunk`
    head = b""
    while True:
        chunk = stream.read(_CHUNK_BYTES)
        head = head or chunk[:_SAMPLE_BYTES]
        held = len(decoder.getstate()[0])
        seen = before + chunk
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            lines += _newlines(error.object[: error.start].decode(encoding, "ignore"))
            at = len(before) - held + error.start
            return _cut(seen + stream.read(_SAMPLE_BYTES), at, lines + 1, start + at)
        except UnicodeError:  # UTF-16 without the mark that it should begin with
            return _Break(1, 0, head[:4], head[:400], head)
        lines += _newlines(text)
        if not chunk:  # every byte fits, as those of UTF-16 without a mark fit UTF-8
            return _Break(1, 0, head[:4], head[:400], head)
        before = seen[-_SAMPLE_BYTES:]
        start += len(seen) - len(before)


def _cut(seen: bytes, at: int, line: int, offset: int) -> _Break:
    first = 0 if offset == at else seen.find(b"\n") + 1  # a whole line: no half character at the front
    text = seen[seen.rfind(b"\n", 0, at) + 1 :][:4096]
    return _Break(line, offset, seen[at : at + 4], text, seen[min(first, at) : at + _SAMPLE_BYTES])


def _newlines(text: str) -> int:
    return text.count("\n") or text.count("\r")


def _shown(line: bytes, encoding: str) -> str:
    text = codecs.getincrementaldecoder(encoding)("replace").decode(line)
    visible = "".join(one if one.isprintable() else " " for one in text.lstrip("\ufeff"))
    first = next((place for place, character in enumerate(visible) if not character.isascii()), 0)
    return visible[max(0, first - 15) : first + 25]
