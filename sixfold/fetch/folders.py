"""A folder or a file appears whole or not at all: write beside it, sync, rename; mend what a crash left behind.

Nothing here knows what is in them. Leftovers of folders: ``.NAME.tmp-PID`` (being written) and ``.NAME.old`` (what
stood there before, for the moment between two renames); of files: ``.NAME.PID.RANDOM.tmp``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from sixfold.errors import StorageError

NO_ROOM = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
SHARED = 0o666
"""For all whom the umask lets: what holds none of the user's texts."""
PRIVATE = 0o600
"""For the owner alone, whatever the umask: what holds the user's texts. (Windows goes by the folder's own rules.)"""
SWAP_SECONDS = 10
"""How long another process can be between its two renames, at the very most."""
_LOCKED_BYTE = 1 << 30
"""Windows locks bytes, and nobody else can read those: this one lies behind what the file says."""


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into; on leaving it takes the place of ``folder`` in one rename.

    Whatever happens in between (an exception, a full disk, a kill), ``folder`` is what it was or what was
    written. One writer a folder at a time: the caller holds a lock where there can be several.

    Raises:
        StorageError: the files could not be written. What stood there before is untouched.
    """
    folder = Path(os.path.abspath(folder))
    temporary = folder.with_name(f".{folder.name}.tmp-{os.getpid()}")
    try:
        with storage_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            recover(folder)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            yield temporary
            sync(temporary)
            _swap(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(temporary: Path, folder: Path) -> None:
    """Put ``temporary`` where ``folder`` is. A crash between the two renames is mended by ``recover``."""
    old = _old(folder)
    if folder.exists():
        os.rename(folder, old)
    try:
        os.rename(temporary, folder)
    except OSError:
        if old.exists():
            os.rename(old, folder)
        raise
    sync_directory(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover(folder: Path) -> bool:
    """Mend what a crash left beside ``folder``; True when the folder itself had to be put back.

    What another process is still writing is left alone.

    Raises:
        StorageError: the leftovers could not be moved.
    """
    folder = Path(os.path.abspath(folder))
    if not folder.parent.is_dir():
        return False
    old, restored = _old(folder), False
    with storage_errors(folder):
        prefix = f".{folder.name}.tmp-"
        leftovers = [path for path in folder.parent.iterdir() if path.name.startswith(prefix)]
        stale = [path for path in leftovers if not _writer_lives(path.name.removeprefix(prefix))]
        if os.path.isdir(old) and not os.path.lexists(folder):
            if len(stale) < len(leftovers) and time.time() - old.stat().st_ctime < SWAP_SECONDS:
                return False
            os.rename(old, folder)
            sync_directory(folder.parent)
            restored = True
        elif os.path.isdir(old):
            shutil.rmtree(old, ignore_errors=True)
        for leftover in stale:
            shutil.rmtree(leftover, ignore_errors=True)
    return restored


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _writer_lives(pid: str) -> bool:
    """Whether another process with this number runs (our own number: left by an earlier process)."""
    if not pid.isdigit() or int(pid) == os.getpid():
        return False
    if os.name == "nt":
        return True  # os.kill(pid, 0) would end the process there; a leftover stays until it is overwritten
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def sync(folder: Path) -> None:
    """Flush every file and directory below ``folder`` to the disk, deepest first."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            with open(os.path.join(root, name), "rb+") as file:
                os.fsync(file.fileno())
        sync_directory(Path(root))


def sync_directory(folder: Path) -> None:
    """Flush the names in a directory. (Windows has no such thing: its renames are journalled.)"""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing_file(path: Path, *, mode: int = SHARED, parents: bool = False) -> Iterator[Path]:
    """Give the path of an empty file to write into; on leaving it takes the place of ``path`` in one rename.

    Args:
        mode: who may read and write it, less what the process's umask takes away.
        parents: make the folders above it where they are missing.

    Raises:
        StorageError: it could not be written. What stood there before is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with storage_errors(path):
            if path.exists() and not path.is_file():
                raise _no_file(path)
            if parents:
                path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
            yield temporary
            with open(temporary, "rb+") as written:
                os.fsync(written.fileno())
            os.replace(temporary, path)
    finally:
        with suppress(OSError):  # gone already, or its folder never was
            temporary.unlink()


def _no_file(path: Path) -> StorageError:
    """A rename would put a file in the place of a device, such as /dev/null, for everybody."""
    what = "a folder" if path.is_dir() else "a device or a pipe"
    return StorageError(f"a file could not be written: {what} has its name", where=path, hint="name another file")


def write_text(path: Path, text: str, *, mode: int = SHARED, parents: bool = False) -> None:
    """Write a small file, whole or not at all. Arguments and errors as for ``replacing_file``."""
    with replacing_file(path, mode=mode, parents=parents) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_lines(path: Path, lines: Iterable[str], *, mode: int = SHARED, parents: bool = False) -> int:
    """Write lines as they come to a file that appears whole or not at all; gives their number.

    Arguments and errors as for ``replacing_file``.
    """
    count = 0
    with (
        replacing_file(path, mode=mode, parents=parents) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        for line in lines:
            file.write(line + "\n")
            count += 1
    return count


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the system says about a disk (full, quota, read-only, no permission) into a StorageError."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path) -> StorageError:
    """The sentence for an OSError at ``path``."""
    if error.errno in NO_ROOM:
        return StorageError(
            "there is no room to write a file; what was there before is unchanged",
            where=path,
            found=error.strerror,
            hint="free some space (`sixfold prune` shows what runs take up), then run the same command again",
        )
    return StorageError(
        "a file could not be written or read",
        where=error.filename or path,
        found=error.strerror,
        hint="check that the folder exists and that you may write to it",
    )


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(path: Path, *, waiting: str = "", tell: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock file ``path``, waiting for another process that has it. A crash frees it."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b") as file:
            if not _try_lock(file):
                if tell:
                    tell(waiting)
                while not _try_lock(file):
                    time.sleep(0.1)
            yield


@contextmanager
def held(path: Path) -> Iterator[str | None]:
    """Hold the lock file ``path`` unless another holds it. A crash frees it; the file itself stays.

    Gives None while it is held, or else who holds it, such as ``process 123 on its-machine``.

    Raises:
        StorageError: the lock file cannot be made.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+b")  # noqa: SIM115 (an error of the caller's block is none of this file)
    with file:
        if not _try_lock(file):
            file.seek(0)
            yield file.read(200).decode("utf-8", "replace") or "a process that has just begun"
            return
        with storage_errors(path):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}".encode())
            file.flush()
        yield None


def _try_lock(file: IO[bytes]) -> bool:
    """Whether the file is locked now. Where the file system knows no locks, there is nobody to wait for."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True
