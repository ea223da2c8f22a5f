"""``sixfold prune``: what of the runs and of the cache can go, said first, deleted only when asked.

Only names that Sixfold itself gives are ever listed, links are never followed, and what a run needs to go on, to be
reported or to be served stays. The names are given in ``train/state.py``, ``fetch/folders.py`` and ``data/arrow.py``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.markup import escape

from sixfold import fetch
from sixfold.errors import UsageError, nearest
from sixfold.text.counting import counted

HALF_WRITTEN_SECONDS = 3600
"""So long after its last byte no process is still writing."""
UNUSED_SECONDS = 30 * 24 * 3600
_STATE = re.compile(r"(state|renewed)-\d+")
_TEMPORARY = re.compile(r"\..+\.tmp(-\d+)?")
_OLD = re.compile(r"\.(?P<name>.+)\.old")
_ARCHIVE = re.compile(r"(?P<package>[\w.-]+?)-(?P<version>\d[^-]*)(\.tar\.gz|-.+\.whl)")


@dataclass(frozen=True)
class Item:
    """A file or folder: how many bytes it holds, and why it is named."""

    path: Path
    size: int
    why: str


@dataclass(frozen=True)
class Pruned:
    """What prune found.

    Attributes:
        runs: the folder it was given.
        items: what can go, or has gone.
        kept: what looks like it but stays, with the reason.
        failed: what could not be deleted, with the reason; not among ``items``.
    """

    runs: Path
    items: tuple[Item, ...]
    kept: tuple[Item, ...] = ()
    failed: tuple[Item, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all items."""
        return sum(item.size for item in self.items)


def prune(runs: str | Path, *, delete: bool = False) -> Pruned:
    """Find what can go in a folder of runs (or in one run) and in the cache; delete it when asked.

    In runs: training states of finished stages, and what a crash left half-written. In the cache: the same leftovers,
    rows not read for 30 days, and archives put into ``downloads`` by hand once they have been unpacked. Models stay,
    also the GGUF that a model was converted from: without it the model counts as not pulled.

    Args:
        runs: a folder of runs, or one run.
        delete: really delete; otherwise only look.

    Raises:
        UsageError: no such folder, or no run of Sixfold in it.
    """
    runs = Path(runs)
    found, kept = _Found(), _Found()
    for run in _runs(runs):
        _look_into_run(run, found, kept)
    _look_into_cache(fetch.home(), found, kept)
    if not delete:
        return Pruned(runs, found.items, kept.items)
    gone, failed = [], []
    for item in found.items:
        failure = _delete(item.path, (runs, fetch.home()))
        if failure is None:
            gone.append(item)
        else:
            failed.append(replace(item, why=failure))
    return Pruned(runs, tuple(gone), kept.items, tuple(failed))


def told(pruned: Pruned, *, deleted: bool) -> list[str]:
    """Lines for a person, ready for rich: each path with its size, the sum, and what to do next."""
    lines = [_line(item) for item in pruned.items]
    lines += [f"could not be deleted: {_line(item)}" for item in pruned.failed]
    lines += [f"kept: {_line(item)}" for item in pruned.kept]
    if not pruned.items and not pruned.failed:
        return [*lines, "there is nothing to delete"]
    count = f"{counted(len(pruned.items), 'path')}, {_bytes(pruned.size)}"
    if deleted:
        return [*lines, f"deleted {count}"]
    return [*lines, f"would delete {count}", "nothing was deleted: run again with --yes to delete"]


def _line(item: Item) -> str:
    return f"{_bytes(item.size):>9}  {escape(str(item.path))}  {escape(item.why)}"


def _bytes(count: int) -> str:
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 99.95 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} GB"


class _Found:
    """Paths in the order in which they were found, each once."""

    def __init__(self) -> None:
        self._items: dict[Path, Item] = {}

    def add(self, path: Path, why: str) -> None:
        self._items.setdefault(path, Item(path, _size(path), why))

    @property
    def items(self) -> tuple[Item, ...]:
        return tuple(self._items.values())


def _runs(folder: Path) -> list[Path]:
    """The runs in a folder, or the folder itself when it is one.

    Raises:
        UsageError: there is none.
    """
    if not folder.is_dir():
        near = nearest(folder.name, [path.name for path in folder.parent.glob("*/")])
        raise UsageError("there is no such folder", where=folder, nearest=near and folder.parent / near)
    if _stages(folder):
        return [folder]
    runs = [path for path in _folders(folder) if _stages(path)]
    if not runs:
        hint = f"give the run's folder: sixfold prune {folder.parent}" if _status(folder) else "give a folder of runs"
        raise UsageError("this folder holds no run of sixfold: nothing in it is touched", where=folder, hint=hint)
    return runs


def _stages(run: Path) -> list[Path]:
    return [path for path in _folders(run) if _status(path) is not None]


def _status(stage: Path) -> str | None:
    """What a stage's note says, None for a folder that is no stage of ours."""
    note = stage / "stage.json"
    try:
        content = None if note.is_symlink() else json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not {"fingerprint", "kind", "status"} <= content.keys():
        return None
    return str(content["status"])


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder; no links, and nothing where the folder itself is one or is absent."""
    return [path for path in _entries(folder) if path.is_dir()]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.is_symlink())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _look_into_run(run: Path, found: _Found, kept: _Found) -> None:
    _leftovers(run, found, kept)
    for stage in _stages(run):
        _leftovers(stage, found, kept)
        training = stage / "training"
        if training.is_symlink():
            continue
        _leftovers(training, found, kept)
        for state in _folders(training):
            if not _STATE.fullmatch(state.name):
                continue
            if _status(stage) == "done":
                found.add(state, "training state of a finished stage")
            else:
                kept.add(state, "training state of a stage that is not finished: the run goes on from it")


def _look_into_cache(home: Path, found: _Found, kept: _Found) -> None:
    areas = _folders(home)
    for folder in areas:
        _leftovers(folder, found, kept)
    for folder in areas:
        if folder.name == "rows":
            _unused_rows(folder, found)
        elif folder.name == "downloads":
            _archives(folder, home, found, kept)


def _leftovers(folder: Path, found: _Found, kept: _Found) -> None:
    """What a crash left: half-written files and folders, and what stood there before them."""
    for path in _entries(folder):
        if _TEMPORARY.fullmatch(path.name) and _newest(path) < time.time() - HALF_WRITTEN_SECONDS:
            found.add(path, "half-written, left by a crash")
        elif (old := _OLD.fullmatch(path.name)) and path.is_dir():
            # Without its successor it is the only good copy: the next run puts it back.
            if (folder / old["name"]).is_dir():
                found.add(path, f"what {old['name']} was before, left by a crash")
            else:
                kept.add(path, f"the only copy of {old['name']} after a crash: the next run puts it back")


def _unused_rows(folder: Path, found: _Found) -> None:
    """Arrow files that nobody read for long, each with its side file. Reading one renews its time."""
    entries = [path for path in _entries(folder) if path.is_file()]
    for path in entries:
        if path.suffix not in (".arrow", ".json") or path.name.startswith("."):
            continue
        rows = path.with_suffix(".arrow")
        if _newest(rows if rows in entries else path) < time.time() - UNUSED_SECONDS:
            found.add(path, "rows in the cache, not used for 30 days; made again when they are")


def _archives(folder: Path, home: Path, found: _Found, kept: _Found) -> None:
    """Archives that the user put there by hand: no longer needed once their files are in the cache."""
    unpacked = {_release(source) for source in _sources(home)}
    for path in _entries(folder):
        name = _ARCHIVE.fullmatch(path.name)
        if not name or not path.is_file():
            continue
        if _release(f"{name['package']}=={name['version']}") in unpacked:
            found.add(path, "archive that has been unpacked")
        else:
            kept.add(path, "archive that has not been unpacked yet")


def _sources(home: Path) -> Iterator[str]:
    """What the folders of the cache were unpacked from, as ``package==version``."""
    for folder in (inner for outer in _folders(home) for inner in _folders(outer)):
        try:
            yield str(json.loads((folder / ".complete").read_text(encoding="utf-8"))["from"])
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _release(source: str) -> str:
    """Package names are spelt in several ways."""
    package, _, version = source.partition("==")
    return f"{re.sub(r'[-_.]+', '-', package).lower()}=={version}"


def _tree(path: Path) -> Iterator[os.stat_result]:
    """The files and folders below a path and the path itself; links are seen, not followed."""
    yield path.lstat()
    for root, folders, files in os.walk(path):
        for name in (*folders, *files):
            try:
                yield os.lstat(os.path.join(root, name))
            except FileNotFoundError:  # another process has just removed it
                continue


def _newest(path: Path) -> float:
    """When anything below was last written."""
    try:
        return max(status.st_mtime for status in _tree(path))
    except FileNotFoundError:
        return time.time()


def _size(path: Path) -> int:
    """Bytes of the files below."""
    try:
        return sum(status.st_size for status in _tree(path) if not stat.S_ISDIR(status.st_mode))
    except FileNotFoundError:
        return 0


def _delete(path: Path, roots: tuple[Path, ...]) -> str | None:
    """Delete a path that lies in one of the roots; the reason when that fails."""
    inside = any(path.parent.resolve().is_relative_to(root.resolve()) for root in roots)
    assert inside, f"{path} lies outside of what prune may touch"
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror or str(error)
    return None
