"""What a user calls a source (a path, a glob, a catalogue name, a frame ...), made into splits of rows.

One file's format is read in ``formats.py``; the catalogue's sets are in ``catalogue.py``.
"""

from __future__ import annotations

import glob
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sixfold.data import arrow, files, formats, own, walking
from sixfold.data.arrow import Row
from sixfold.data.conversations import VERSION, unified
from sixfold.data.faults import Faults
from sixfold.data.files import File
from sixfold.errors import DataError, UsageError, nearest

if TYPE_CHECKING:
    import datasets

FILE = "__file__"
LINE = "__line__"
SPLITS = {
    "train": "train",
    "training": "train",
    "dev": "validation",
    "eval": "validation",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
CHUNK_ROWS = 1000
_HUB = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?::(?P<config>[\w.-]+))?")
_SPLIT_WORD = re.compile(rf"(?:^|[._-])({'|'.join(sorted(SPLITS, key=len, reverse=True))})(?=[._-]|\d|$)")
_SPLIT_NAME = re.compile(r"\w+")


def read(
    source: Any,
    *,
    format: str | None = None,  # noqa: A002
    encoding: str | None = None,
    columns: Sequence[str] | None = None,
    talk: bool = False,
) -> datasets.DatasetDict:
    """Rows of any source, by split, memory-mapped. Every row carries ``__file__`` and ``__line__`` (1-based).

    Args:
        source: a path; a folder with train/dev/test files; a glob; a list of paths; a mapping from split to path(s);
            a catalogue name (``name:honest`` removes what is in test from the rest); ``hf:owner/name`` or
            ``hf:owner/name:config``, the only spelling that may use the network; a pandas DataFrame; a list of dicts;
            a ``datasets.Dataset`` or ``DatasetDict``.
        format: one of ``files.FORMATS``, when a name does not tell it.
        encoding: of text files, when it is not UTF-8.
        columns: names of the columns of a csv, tsv or xlsx file without a header line.
        talk: rows are conversations, in whatever shape: all get one (``conversations.py``).

    Returns:
        Splits named ``train``, ``validation``, ``test`` where they are; one file alone is ``train``.

    Raises:
        UsageError: there is no such path, name, format or encoding.
        DataError: files that are empty, damaged, ragged or not in the encoding; all of a file's faults at once.
    """
    import datasets

    datasets.disable_progress_bars()
    if isinstance(source, str):
        source = own.paths(source) or source
    given = _in_memory(source)
    if given is None and isinstance(source, str):
        asked = own.questions(source)
        given = _named(source) if asked is None else _of_rows(asked, source)
    if given is not None:
        return _talking(given) if talk else given
    splits = files_of(source, format, encoding, tuple(columns or ()))
    return datasets.DatasetDict({split: _split(parts, talk) for split, parts in splits.items()})


def _talking(given: datasets.DatasetDict) -> datasets.DatasetDict:
    """Conversations that are in memory already, in one shape."""
    import datasets

    return datasets.DatasetDict({name: arrow.dataset(map(unified, rows)) for name, rows in given.items()})


def iterate(
    source: Any,
    *,
    format: str | None = None,  # noqa: A002
    encoding: str | None = None,
    columns: Sequence[str] | None = None,
    chunk: int = CHUNK_ROWS,
) -> Iterator[list[Row]]:
    """The rows of a file, a glob or a list of files, ``chunk`` at a time, in constant memory and without the cache.

    The first faulty line raises, after the rows before it have gone out. Other sources are read as by ``read``.

    Raises:
        As ``read``; UsageError also when the source has several splits.
    """
    given = _in_memory(source)
    if given is None and isinstance(source, str):
        given = _named(source)
    splits: Mapping[str, Any] = given or files_of(source, format, encoding, tuple(columns or ()))
    if len(splits) != 1:
        raise UsageError("one split is needed here, and the source has several", found=", ".join(splits))
    (only,) = splits.values()
    (only,) = splits.values()
    rows = only if given else (row for part in only for row in rows_of(part, [], patient=False))
    yield from _chunks(iter(rows), chunk)


def _chunks(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while batch := list(itertools.islice(rows, size)):
        yield batch


def split_name(name: str) -> str:
    """The usual name of a split: ``dev``, ``val`` and ``valid`` are ``validation``; others stand as they are.

    Raises:
        UsageError: it is not letters, digits and underscores.
    """
    if not _SPLIT_NAME.fullmatch(name):
        raise UsageError("a split's name is letters, digits and underscores", found=repr(name))
    return SPLITS.get(name.lower(), name)


def _split(parts: Sequence[File], talk: bool) -> datasets.Dataset:
    spec = [{**asdict(part), "path": str(part.path), **({"talk": VERSION} if talk else {})} for part in parts]

    def rows(notes: list[str]) -> Iterator[Row]:
        for part in parts:
            found = rows_of(part, notes)
            yield from map(unified, found) if talk else found

    return arrow.cached([part.path for part in parts], spec, rows, name=parts[0].path.name.partition(".")[0][:40])


def rows_of(part: File, notes: list[str], *, patient: bool = True) -> Iterator[Row]:
    faults = Faults(part, patient=patient)
    for line, row in formats.rows(part, faults):
        yield {**row, FILE: str(part), LINE: line}
    notes.extend(faults.notes)


def _in_memory(source: Any) -> datasets.DatasetDict | None:
    """A source that holds its rows already."""
    import datasets

    if isinstance(source, datasets.DatasetDict):
        splits = [split_name(str(name)) for name in source]
        if len(set(splits)) != len(splits):
            raise UsageError("two splits have the same usual name", found=", ".join(map(str, source)))
        return datasets.DatasetDict(
            {name: _numbered(rows, name) for name, rows in zip(splits, source.values(), strict=True)}
        )
    if isinstance(source, datasets.Dataset):
        return datasets.DatasetDict({"train": _numbered(source, "rows")})
    if type(source).__module__.partition(".")[0] == "pandas":
        return _of_rows(_records(source), "frame")
    if isinstance(source, list | tuple) and source and all(isinstance(row, Mapping) for row in source):
        return _of_rows(source, "rows")
    return None


def _of_rows(rows: Iterable[Mapping[str, Any]], name: str) -> datasets.DatasetDict:
    import datasets

    # rows that came out of a file keep the place they had in it
    numbered = [{FILE: name, LINE: place, **row} for place, row in enumerate(rows, 1)]
    if not numbered:
        raise DataError("there are no rows", where=name)
    return datasets.DatasetDict({"train": arrow.dataset(numbered)})


def _records(frame: Any) -> Iterator[Row]:
    """A frame's rows as plain Python values, missing ones as None."""
    for record in frame.to_dict("records"):
        yield {str(name): _plain(value) for name, value in record.items()}


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        value = value.tolist()
    if isinstance(value, float) and value != value:
        return None
    return None if type(value).__name__ == "NAType" else value


def _numbered(rows: datasets.Dataset, name: str) -> datasets.Dataset:
    """A data set with class numbers as their names, and with a place for every row."""
    import datasets
    import pyarrow as pa

    for column, feature in rows.features.items():
        many = isinstance(feature, datasets.List)
        kind = feature.feature if many else feature
        if isinstance(kind, datasets.ClassLabel):
            string = pa.list_(pa.string()) if many else pa.string()
            rows = walking.with_column(rows, column, partial(_class_names, kind), string)
    if LINE not in rows.column_names:
        rows = rows.add_column(LINE, list(range(1, len(rows) + 1)))
    if FILE not in rows.column_names:
        rows = rows.add_column(FILE, [name] * len(rows))
    return rows


def _class_names(kind: datasets.ClassLabel, cell: Any) -> Any:
    if isinstance(cell, list):
        return [_class_names(kind, one) for one in cell]
    return None if cell is None or cell < 0 else kind.int2str(cell)


def _named(source: str) -> datasets.DatasetDict | None:
    """A source that is a name: of a hub data set, or of the catalogue. Paths win over the catalogue."""
    hub = _HUB.fullmatch(source)
    if hub:
        return _from_hub(hub["repo"], hub["config"])
    if source.startswith("hf:"):
        raise UsageError("a hub data set is spelt hf:owner/name", found=source)
    if Path(source).exists():
        return None
    from sixfold.data import catalogue

    name, _, how = source.partition(":")
    if name in catalogue.names() and how in ("", "honest"):
        return catalogue.load(name, honest=how == "honest")
    return None


def _from_hub(repo: str, config: str | None) -> datasets.DatasetDict:
    import datasets

    try:
        loaded = datasets.load_dataset(repo, config)
    except Exception as error:  # the hub's client raises whatever its transport does
        raise UsageError(
            f"the hub data set {repo} could not be loaded",
            found=str(error).split("\n")[0][:300] or type(error).__name__,
            hint="check the name, the network, and HF_HUB_OFFLINE; a data set with several configurations needs "
            "hf:owner/name:config",
        ) from error
    made = _in_memory(loaded)
    assert made is not None
    return made


def files_of(source: Any, kind: str | None, encoding: str | None, columns: tuple[str, ...]) -> dict[str, list[File]]:
    def opened(path: Path) -> File:
        return files.file(path, format=kind, encoding=encoding, columns=columns)

    if isinstance(source, Mapping):
        splits: dict[str, list[Path]] = {}
        for name, paths in source.items():
            one = paths if isinstance(paths, list | tuple) else [paths]
            splits.setdefault(split_name(str(name)), []).extend(path for some in one for path in _paths(some))
    elif isinstance(source, list | tuple):
        splits = _by_split([path for one in source for path in _paths(one)])
    else:
        splits = _by_split(_paths(source))
    if not splits:
        raise UsageError("no source was given", found=repr(source))
    return {name: [opened(path) for path in paths] for name, paths in splits.items()}


def _paths(source: Any) -> list[Path]:
    """The files that one path, folder or glob stands for.

    Raises:
        UsageError: none; the nearest name beside it or in the catalogue is shown.
    """
    if not isinstance(source, str | Path):
        raise UsageError("a source is a path, a name, or rows", found=type(source).__name__)
    path = Path(source).expanduser()
    if path.is_dir():
        return _in_folder(path)
    if path.exists():
        return [path]
    if glob.has_magic(str(path)):
        matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
        found = [match for match in matches if match.is_file()]
        if found:
            return found
        raise UsageError("no file matches", where=str(path))
    from sixfold.data import catalogue

    beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
    best = nearest(path.name, [*beside, *catalogue.names()])
    raise UsageError(
        f"there is no file and no catalogue name {str(source)!r}",
        nearest=str(path.parent / best) if best in beside and path.parent != Path(".") else best,
        hint="`sixfold data` lists the catalogue; a hub data set is spelt hf:owner/name",
    )


def _in_folder(folder: Path) -> list[Path]:
    """The files of a folder that belong to a split by their names."""
    inside = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    found = [path for path in inside if _split_of(path)]
    if not found:
        raise UsageError(
            "the folder has no train, validation or test file",
            where=folder,
            found=", ".join(path.name for path in inside[:10]) or "an empty folder",
            hint=f"name the files, or read several with a glob such as '{folder}/*.csv'",
        )
    return found


def _split_of(path: Path) -> str | None:
    word = _SPLIT_WORD.search(path.name.lower())
    return SPLITS[word[1]] if word else None


def _by_split(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Files by the split in their names, when these name more than one; otherwise all are ``train``.

    Raises:
        UsageError: some files name a split and others do not, or one split comes in two formats.
    """
    named = {path: _split_of(path) for path in paths}
    splits = sorted({name for name in named.values() if name}, key=["train", "validation", "test"].index)
    if len(splits) < 2:
        return {"train": list(paths)} if paths else {}
    unnamed = [str(path) for path, name in named.items() if not name]
    if unnamed:
        raise UsageError(
            "some of the files name a split, others do not",
            found=", ".join(unnamed[:5]),
            hint="give a mapping: {train: [...], test: [...]}",
        )
    made = {split: [path for path in paths if named[path] == split] for split in splits}
    for split, some in made.items():
        kinds = {files.file(path).format for path in some}
        if len(kinds) > 1:
            raise UsageError(
                f"the split {split!r} comes in several formats",
                found=", ".join(str(path) for path in some[:5]),
                hint="give a mapping with the files to use: {train: train.csv, test: test.csv}",
            )
    return made
