"""``sixfold mask``: personal data out of files and pipes, and back in from a vault.

Plain text is masked as a stream, tables cell by cell, where a cell's column is the word before it.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from sixfold.commands.pipe import let_go
from sixfold.errors import DataError, UsageError, unknown
from sixfold.fetch.folders import PRIVATE, held, replacing_file
from sixfold.safety import Policy, StreamMasker, Vault, mask
from sixfold.safety.keys import read_key
from sixfold.safety.names import NameFinder
from sixfold.text.counting import counted

if TYPE_CHECKING:
    from sixfold.data.files import File

DAYS = 30.0
"""A new vault's lifetime."""
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Attributes:
        policy: words as ``Policy.parsed`` takes them; label unless given, or hash where there is a vault.
        key, vault: files.
        days: a new vault's lifetime.
        names: checkpoints that find names.
        types: look for these alone.
        columns: of a table, mask these alone.
        encoding: of text that is not UTF-8.
        restore: put back what the vault holds instead.
    """

    policy: tuple[str, ...] = ()
    key: Path | None = None
    vault: Path | None = None
    days: float | None = None
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    encoding: str | None = None
    restore: bool = False


@dataclass
class Work:
    """What is done to texts, and what was counted.

    Attributes:
        cell: (column, text) to what stands in its place.
        chunks: a text that comes in chunks, likewise.
        counts: entities by type; ``restored`` where they are put back.
    """

    cell: Callable[[str, str], str]
    chunks: Callable[[Iterable[str]], Iterator[str]]
    vault: Vault | None
    counts: Counter[str] = field(default_factory=Counter)
    rows: int = 0


def to_stream(plan: Plan, source: BinaryIO, out: TextIO) -> Work:
    """Mask or restore text that comes through a pipe; what is settled goes out at once.

    Raises:
        UsageError: flags that do not go together, an unknown name, a wrong key, an expired vault.
        DataError: bytes that are not in the encoding.
    """
    with _working(plan) as work:
        try:
            for piece in work.chunks(_decoded(source, plan.encoding or "utf-8")):
                out.write(piece)
                out.flush()
        finally:
            _save(plan, work)
    return work


def file(plan: Plan, source: str, out: TextIO | Path) -> Work:
    """Mask or restore a file: text stays text, csv and tsv stay so, every other table becomes JSON lines.

    A file that is written appears whole or not at all, after the vault was saved; only its owner may read it.

    Raises:
        UsageError: as ``to_stream``; there is no such file, or ``out`` is it, or has the ending of another format.
        DataError: the file cannot be read.
    """
    from sixfold.data.sources import files_of

    parts = [part for some in files_of(source, None, plan.encoding, ()).values() for part in some]
    if len(parts) != 1:
        raise UsageError("one file is masked at a time", found=counted(len(parts), "file"))
    (part,) = parts
    kind = _written_as(part)
    if isinstance(out, Path):
        _check_out(out, part, kind)
    with _working(plan) as work, replacing_file(out, mode=PRIVATE) if isinstance(out, Path) else nullcontext() as path:
        opened: Any = nullcontext(out) if path is None else open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115
        with opened as stream:
            try:
                for piece in _pieces(plan, part, kind, work):
                    stream.write(piece)
            finally:
                if path is None:
                    _save(plan, work)
        if path is not None:
            _save(plan, work)
    return work


@contextmanager
def _working(plan: Plan) -> Iterator[Work]:
    """What the plan does to texts, with the vault held for the length of it."""
    _check(plan)
    key = None if plan.key is None else read_key(plan.key)
    if plan.vault is None:
        yield _masking(plan, key, None)
        return
    assert key is not None
    with held(plan.vault.with_name(f".{plan.vault.name}.lock")) as by:
        if by is not None:
            raise UsageError("another command works with the vault", where=plan.vault, found=by)
        if plan.restore or plan.vault.exists():
            vault = Vault.open(plan.vault, key)
        else:
            vault = Vault.create(plan.vault, key, days=DAYS if plan.days is None else plan.days)
        yield _restoring(vault) if plan.restore else _masking(plan, key, vault)


def _check(plan: Plan) -> None:
    if plan.vault is not None and plan.key is None:
        raise UsageError("a vault needs a key", hint="make one: openssl rand -hex 32 > key, then --key key")
    if plan.restore and plan.vault is None:
        raise UsageError("--restore reads a vault", hint="name it: --vault FILE --key FILE")
    if plan.restore and (plan.policy or plan.names or plan.types):
        raise UsageError("--restore puts back what the vault holds", hint="leave --policy, --names and --type out")
    if plan.days is not None and (plan.vault is None or plan.vault.exists()):
        raise UsageError("--days is the lifetime of a vault that is made", found=plan.days, hint="name a new --vault")


def _masking(plan: Plan, key: bytes | None, vault: Vault | None) -> Work:
    policy = Policy.parsed(plan.policy or (["hash"] if vault is not None else []))
    options: dict[str, Any] = {
        "policy": policy,
        "key": key,
        "vault": vault,
        "types": plan.types or None,
        "names": NameFinder.load(*plan.names) if plan.names else None,
    }
    StreamMasker(**options)  # wrong options are told before anything is read
    counts: Counter[str] = Counter()

    def cell(column: str, text: str) -> str:
        before = f"{column}: "
        masked = mask(before + text, **options)
        if any(one.start < len(before) for one in masked.entities):
            before, masked = "", mask(text, **options)
        counts.update(one.type for one in masked.entities)
        return masked.text[len(before) :]

    def chunks(given: Iterable[str]) -> Iterator[str]:
        masker = StreamMasker(**options)
        for chunk in given:
            yield masker.feed(chunk)
        yield masker.close()
        counts.update(masker.counts)

    return Work(cell, chunks, vault, counts)


def _restoring(vault: Vault) -> Work:
    counts: Counter[str] = Counter()

    def cell(column: str, text: str) -> str:
        text, count = vault.restored(text)
        counts["restored"] += count
        return text

    def chunks(given: Iterable[str]) -> Iterator[str]:
        for line in _lines(given):
            yield cell("", line)

    return Work(cell, chunks, None, counts)


def _save(plan: Plan, work: Work) -> None:
    if work.vault is not None:
        work.vault.save()


def _decoded(source: BinaryIO, encoding: str) -> Iterator[str]:
    """Text as it comes; a character that is cut between two reads waits for its rest."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)("strict")
    except LookupError:
        raise UsageError(f"there is no encoding {encoding!r}", hint="such as utf-8, gb18030, utf-16") from None
    read: Callable[[int], bytes] = getattr(source, "read1", source.read)
    done = 0
    while True:
        chunk = read(_CHUNK)
        try:
            yield decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            raise DataError(
                f"the input is not {encoding}",
                where=f"about byte {done + error.start:,} of the input",
                found=f"byte {error.object[error.start]:#04x}",
                hint="name its encoding: --encoding gb18030",
            ) from None
        done += len(chunk)
        if not chunk:
            return


def _lines(chunks: Iterable[str]) -> Iterator[str]:
    """Whole lines, with their ends."""
    rest = ""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split("\n")
        for line in lines:
            yield line + "\n"
    if rest:
        yield rest


def _written_as(part: File) -> str:
    if part.format == "conll":
        raise UsageError(
            "words with tags are not masked: the tags would no longer fit", where=part, hint="mask the text itself"
        )
    return part.format if part.format in ("txt", "csv", "tsv") else "jsonl" if part.format else "txt"


def _check_out(out: Path, part: File, kind: str) -> None:
    from sixfold.data.files import EXTENSIONS, PACKED

    if out.exists() and out.samefile(part.path):
        raise UsageError("the file would replace its own source", where=out, hint="name another file")
    ending = out.suffix.lower().lstrip(".")
    if ending in PACKED or EXTENSIONS.get(ending, kind) != kind:
        raise UsageError(
            f"what comes out of {part.path.name} is {kind}", found=str(out), hint=f"name a file that ends in .{kind}"
        )


def _pieces(plan: Plan, part: File, kind: str, work: Work) -> Iterator[str]:
    if kind == "txt":
        from sixfold.data import files

        with files.text(part) as stream:
            yield from work.chunks(iter(lambda: stream.read(_CHUNK), ""))
        return
    from sixfold.data.sources import FILE, LINE, rows_of

    header: list[str] | None = None
    for row in rows_of(part, [], patient=False):
        del row[FILE], row[LINE]
        _check_columns(plan.columns, row)
        work.rows += 1
        made = {name: _done(work, name, cell, plan.columns) for name, cell in row.items()}
        if kind == "jsonl":
            yield _json(made) + "\n"
            continue
        if header is None:
            header = list(row)
            yield _delimited(header, kind)
        yield _delimited([made[name] for name in header], kind)


def _check_columns(columns: Sequence[str], row: dict[str, Any]) -> None:
    for name in columns:
        if name not in row:
            raise unknown("column", name, row)


def _done(work: Work, name: str, cell: Any, columns: Sequence[str]) -> Any:
    return _deep(work, name, cell) if not columns or name in columns else cell


def _deep(work: Work, name: str, cell: Any) -> Any:
    """A cell with every text in it done. A number that is personal data becomes a text."""
    if isinstance(cell, str):
        return work.cell(name, cell)
    if isinstance(cell, dict):
        return {key: _deep(work, str(key), value) for key, value in cell.items()}
    if isinstance(cell, list):
        return [_deep(work, name, value) for value in cell]
    if isinstance(cell, int) and not isinstance(cell, bool):
        made = work.cell(name, str(cell))
        return cell if made == str(cell) else made
    return cell


def _json(row: dict[str, Any]) -> str:
    made = json.dumps(row, ensure_ascii=False, default=str)
    try:
        made.encode()
    except UnicodeEncodeError:  # half a character
        return json.dumps(row, default=str)
    return made


def _delimited(cells: Iterable[Any], kind: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n").writerow(cells)
    return out.getvalue()


def told(work: Work, out: Path | None = None) -> str:
    """What was done, in a line for a person."""
    listed = ", ".join(f"{name} {count:,}" for name, count in work.counts.most_common()) or "nothing found"
    rows = f" in {counted(work.rows, 'row')}" if work.rows else ""
    return f"{listed}{rows}{f': {out}' if out else ''}"


@contextmanager
def output() -> Iterator[TextIO]:
    """Standard output as UTF-8, line ends as they are. A reader that goes away (such as ``| head``) is no error."""
    stream = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="", write_through=True)
    try:
        yield stream
    except BrokenPipeError:
        let_go()
    finally:
        stream.detach()
