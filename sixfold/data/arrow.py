"""Rows to Arrow: types worked out as the rows come, a bounded cache of Arrow files on disk.

Nothing here knows files of rows: it is handed an iterator and what the cache entry depends on.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sixfold.errors import StorageError
from sixfold.fetch.folders import replacing_file, write_text

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

Row = dict[str, Any]

CHUNK_ROWS, CHUNK_CHARACTERS = 2000, 1 << 22
MAX_KEYS = 100
"""An object with more different keys than this has data for keys: as a struct, every row would hold them all."""
CACHE_BYTES = 20 << 30
VERSION = 1
"""Part of every cache key: raise it when a reader gives other rows for the same file."""
_STALE_SECONDS = 24 * 3600


def dataset(rows: Iterable[Row]) -> datasets.Dataset:
    """Rows that are in memory already, as a data set. Columns are the union of the rows' keys."""
    import datasets

    notes: list[str] = []
    tables = list(_tables(rows, notes))
    if not tables:
        return datasets.Dataset.from_dict({})
    import pyarrow as pa

    schema = tables[-1].schema
    made = datasets.Dataset(datasets.table.InMemoryTable(pa.concat_tables(_cast(one, schema) for one in tables)))
    return described(made, notes)


def cached(
    files: Sequence[Path], spec: object, rows: Callable[[list[str]], Iterable[Row]], *, name: str = "rows"
) -> datasets.Dataset:
    """The rows as a memory-mapped data set, out of the cache when it holds them.

    Args:
        files: what the rows come from. Path, size and modification time are part of the key, so that a stale entry
            is built anew.
        spec: what else the rows depend on; anything JSON can hold.
        rows: makes them; is handed a list for notes, which end up in ``info.description``.
        name: front of the file's name, for a person who looks into the cache.

    Raises:
        StorageError: the cache folder cannot be written; nothing half-written stays.
    """
    folder = _folder()
    path = folder / f"{name}-{_key(files, spec)}.arrow"
    try:
        return _load(path)
    except (OSError, ValueError):  # absent, or damaged: pyarrow's own errors are ValueErrors
        _forget(path)
    notes: list[str] = []
    try:
        with replacing_file(path) as temporary:
            count = _write(rows(notes), temporary, notes)
        write_text(path.with_suffix(".json"), json.dumps({"rows": count, "notes": notes}))
    except (StorageError, OSError) as error:  # Arrow's own have no number, and stay what they are
        raise StorageError(
            "the rows could not be written to the cache",
            where=folder,
            found=error.found if isinstance(error, StorageError) else error,
            hint="free some space, or set SIXFOLD_HOME to a folder with room",
        ) from None
    _prune(folder, keep=path)
    return _load(path)


def described(rows: datasets.Dataset, notes: Sequence[str]) -> datasets.Dataset:
    """The data set with notes added to its description: ``check`` shows them."""
    lines = [rows.info.description, *notes] if rows.info.description else list(notes)
    rows.info.description = "\n".join(lines)
    return rows


def notes(rows: datasets.Dataset) -> list[str]:
    """What was noted while the rows were read."""
    return [line for line in (rows.info.description or "").split("\n") if line]


def _folder() -> Path:
    from sixfold import fetch

    folder = fetch.home() / "rows"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(
            "the cache folder cannot be made", where=folder, found=error.strerror, hint="set SIXFOLD_HOME"
        ) from None
    return folder


def _key(files: Sequence[Path], spec: object) -> str:
    stats = [(str(path), str(path.resolve()), path.stat()) for path in files]
    told = [[spelt, real, stat.st_size, stat.st_mtime_ns] for spelt, real, stat in stats]
    return hashlib.blake2b(json.dumps([VERSION, told, spec]).encode(), digest_size=12).hexdigest()


def _load(path: Path) -> datasets.Dataset:
    import datasets

    side = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    rows = datasets.Dataset.from_file(str(path))
    # An Arrow stream that is cut between two batches reads as a shorter one.
    if len(rows) != side["rows"]:
        raise ValueError("the cached rows are cut short")
    with contextlib.suppress(OSError):
        os.utime(path)  # the least recently used goes first
    return described(rows, side["notes"])


def _forget(path: Path) -> None:
    for one in (path, path.with_suffix(".json")):
        with contextlib.suppress(OSError):
            one.unlink()


def _prune(folder: Path, keep: Path) -> None:
    """Delete the least recently used entries above ``CACHE_BYTES``, and what killed processes left."""
    entries = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            stat = path.stat()
            if path.suffix == ".tmp" and time.time() - stat.st_mtime > _STALE_SECONDS:
                path.unlink()
            elif path.suffix == ".arrow" and path != keep:
                entries.append((stat.st_mtime, stat.st_size, path))
    total = keep.stat().st_size
    for _, size, path in sorted(entries, reverse=True):
        total += size
        if total > CACHE_BYTES:
            _forget(path)


def _write(rows: Iterable[Row], path: Path, notes: list[str]) -> int:
    """Write an Arrow stream. Most files keep the schema of their first chunk; others are written again at the end."""
    parts = [path]
    schemas: list[pa.Schema] = []
    try:
        count = _write_parts(_tables(rows, notes), parts, schemas)
        if len(parts) > 1:
            parts.append(path.with_name(path.name + ".last.tmp"))
            _join(parts[:-1], parts[-1], schemas[-1])
            os.replace(parts[-1], path)
    finally:
        for part in parts[1:]:
            part.unlink(missing_ok=True)
    return count


def _write_parts(tables: Iterator[pa.Table], parts: list[Path], schemas: list[pa.Schema]) -> int:
    import pyarrow as pa

    count = 0
    for schema, group in itertools.groupby(tables, lambda table: table.schema):
        if schemas:
            parts.append(parts[0].with_name(f"{parts[0].name}.{len(parts)}.tmp"))
        schemas.append(schema)
        with pa.OSFile(str(parts[-1]), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for table in group:
                writer.write_table(table)
                count += len(table)
    if not schemas:
        raise ValueError("there are no rows to write")
    return count


def _join(parts: Sequence[Path], path: Path, schema: pa.Schema) -> None:
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for part in parts:
            with pa.memory_map(str(part)) as source, pa.ipc.open_stream(source) as reader:
                for batch in reader:
                    writer.write_table(_cast(pa.Table.from_batches([batch]), schema))


def _tables(rows: Iterable[Row], notes: list[str]) -> Iterator[pa.Table]:
    """Tables of the chunks; the schema of a later one holds everything that was seen before it."""
    import pyarrow as pa

    types: dict[str, pa.DataType] = {}
    mixed: set[str] = set()
    for chunk in _chunks(rows):
        types |= {name: pa.null() for row in chunk for name in row if name not in types}
        arrays = []
        for name in types:
            values = [row.get(name) for row in chunk]
            array = None if name in mixed else _array(values)
            merged = None if array is None else _merged(types[name], array.type)
            if merged is None or _fields(merged) > MAX_KEYS:
                mixed.add(name)
                array, merged = values, pa.string()
            types[name] = merged
            arrays.append(_as(array, merged))
        yield pa.table(dict(zip(types, arrays, strict=True)))
    notes.extend(f"column {name!r} holds cells of several kinds: read as strings" for name in sorted(mixed))


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """``CHUNK_ROWS`` rows at a time, or fewer with ``CHUNK_CHARACTERS`` of text."""
    chunk: list[Row] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += sum(len(cell) for cell in row.values() if isinstance(cell, str))
        if len(chunk) == CHUNK_ROWS or size >= CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _fields(kind: pa.DataType) -> int:
    """How many keys the objects in a column have, in all depths."""
    inner = [kind.field(place) for place in range(kind.num_fields)]
    return sum(1 + _fields(field.type) for field in inner)


def _array(values: list[Any]) -> pa.Array | None:
    """The values with the type that Arrow finds for them; None when they have several."""
    import pyarrow as pa

    try:
        array = pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError):
        return None
    if pa.types.is_dictionary(array.type) or pa.types.is_large_string(array.type):
        return array.cast(pa.string())
    if pa.types.is_floating(array.type) and not _all_floats(values):
        return None if any(isinstance(value, bool) for value in values) else array
    return array


def _all_floats(values: list[Any]) -> bool:
    return all(value is None or isinstance(value, float) for value in values)


def _merged(old: pa.DataType, new: pa.DataType) -> pa.DataType | None:
    """One type for both; None when only strings could hold both."""
    import pyarrow as pa

    if old == new:
        return old
    try:
        schema = pa.unify_schemas(
            [pa.schema([("cell", old)]), pa.schema([("cell", new)])], promote_options="permissive"
        )
    except pa.ArrowException:
        return None
    kinds = {pa.types.is_boolean(kind) for kind in (old, new) if not pa.types.is_null(kind)}
    return None if len(kinds) > 1 else schema.field("cell").type


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    arrays = []
    for field in schema:
        if field.name in table.column_names:
            arrays.append(_as(table[field.name].combine_chunks(), field.type))
        else:
            arrays.append(pa.nulls(len(table), field.type))
    return pa.table(arrays, schema=schema)


def _as(values: Any, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if isinstance(values, pa.Array | pa.ChunkedArray):
        if values.type == kind:
            return values
        values = values.to_pylist()
    if pa.types.is_string(kind):
        values = [as_text(value) for value in values]
    return pa.array(values, kind)


def as_text(value: Any) -> str | None:
    """A cell as a string: 5.0 as ``5``, lists and objects as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
