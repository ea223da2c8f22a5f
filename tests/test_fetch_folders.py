"""A folder appears whole or not at all, whatever happens in between."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from sixfold.commands import prune
from sixfold.errors import StorageError
from sixfold.fetch import folders


def write(folder: Path, text: str) -> None:
    with folders.replacing(folder) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "file").write_text(text)


def state(folder: Path) -> tuple[str, list[str]]:
    """What the folder says, and the names in its parent."""
    return (folder / "sub" / "file").read_text(), sorted(path.name for path in folder.parent.iterdir())


def test_a_folder_is_written_and_replaced(tmp_path):
    folder = tmp_path / "deep" / "f"
    write(folder, "old")
    write(folder, "new")
    assert state(folder) == ("new", ["f"])


def test_an_exception_while_writing_leaves_the_old_folder(tmp_path):
    folder = tmp_path / "f"
    write(folder, "old")

    def stopped(folder: Path) -> None:
        with folders.replacing(folder) as temporary:
            (temporary / "half").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped(folder)
    assert state(folder) == ("old", ["f"])


@pytest.mark.parametrize(
    ("call", "nth"),
    [("mkdir", 2), ("mkdir", 3), ("fsync", 1), ("fsync", 2), ("fsync", 3), ("rename", 1), ("rename", 2)],
)
def test_a_disk_that_is_full_at_any_call_leaves_the_old_folder(tmp_path, monkeypatch, call, nth):
    folder = tmp_path / "f"
    write(folder, "old")
    real, calls = getattr(os, call), 0

    def full(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(StorageError) as caught:
            write(folder, "new")
    assert calls >= nth
    assert "no room" in caught.value.what
    assert state(folder) == ("old", ["f"])


def crash(folder: Path, at: str) -> None:
    """Replace the folder in a process of its own that kills itself just before (or after) a rename."""
    code = f"""
        import os, signal, sys
        from pathlib import Path
        from sixfold.fetch import folders
        real, calls = os.rename, 0
        def rename(a, b):
            global calls
            calls += 1
            if {at!r} == f"before {{calls}}":
                os.kill(os.getpid(), signal.SIGKILL)
            real(a, b)
            if {at!r} == f"after {{calls}}":
                os.kill(os.getpid(), signal.SIGKILL)
        os.rename = rename
        with folders.replacing(Path({str(folder)!r})) as temporary:
            (temporary / "sub").mkdir()
            (temporary / "sub" / "file").write_text("new")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=60)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("at", "there", "after"),
    [("before 1", True, "old"), ("before 2", False, "old"), ("after 2", True, "new")],
)
def test_kill_9_around_the_renames_is_mended(tmp_path, at, there, after):
    folder = tmp_path / "f"
    write(folder, "old")
    crash(folder, at)
    assert folder.exists() == there
    assert folders.recover(folder) == (not there)
    assert state(folder) == (after, ["f"])


def test_writing_again_after_a_crash_mends_first(tmp_path):
    folder = tmp_path / "f"
    write(folder, "old")
    crash(folder, "before 2")
    with pytest.raises(RuntimeError), folders.replacing(folder):
        raise RuntimeError
    assert state(folder) == ("old", ["f"])


def test_recover_leaves_alone_what_a_living_process_is_writing(tmp_path):
    folder = tmp_path / "f"
    living = tmp_path / f".f.tmp-{os.getppid()}"
    living.mkdir()
    (tmp_path / ".f.old").mkdir()
    assert not folders.recover(folder)
    assert living.exists()
    assert (tmp_path / ".f.old").exists()


def test_recover_touches_no_other_folder(tmp_path):
    for name in (".g.tmp-1", ".g.old", "g", ".f.other"):
        (tmp_path / name).mkdir()
    assert not folders.recover(tmp_path / "f")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".f.other", ".g.old", ".g.tmp-1", "g"]


def test_recover_where_there_is_nothing_does_nothing(tmp_path):
    assert not folders.recover(tmp_path / "nowhere" / "f")


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught:
        write(tmp_path / "file" / "f", "new")
    assert caught.value.found == os.strerror(errno.EEXIST)
    assert caught.value.where == str(tmp_path / "file")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_disk_that_is_full_at_any_call_leaves_the_old_file(tmp_path, monkeypatch, call):
    path = tmp_path / "f.json"
    folders.write_text(path, "old")

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(StorageError, match="no room"):
            folders.write_text(path, "new")
    assert path.read_text() == "old"
    folders.write_text(path, "新\n")
    assert path.read_bytes() == "新\n".encode()
    assert names(tmp_path) == ["f.json"]


def test_lines_are_written_as_they_come_and_counted(tmp_path):
    path = tmp_path / "deep" / "f.jsonl"
    assert folders.write_lines(path, (str(n) for n in range(3)), parents=True) == 3

    def broken():
        yield "half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folders.write_lines(path, broken())
    assert path.read_bytes() == b"0\n1\n2\n"
    assert names(path.parent) == ["f.jsonl"]


@pytest.mark.parametrize(
    ("umask", "shared", "private"), [(0o022, 0o644, 0o600), (0o077, 0o600, 0o600), (0, 0o666, 0o600)]
)
def test_who_may_read_is_known_from_the_first_byte(tmp_path, umask, shared, private):
    before = os.umask(umask)
    try:
        for mode, expected in ((folders.SHARED, shared), (folders.PRIVATE, private)):
            with folders.replacing_file(tmp_path / "f", mode=mode) as temporary:
                assert temporary.stat().st_mode & 0o777 == expected
            assert (tmp_path / "f").stat().st_mode & 0o777 == expected
    finally:
        os.umask(before)


def test_two_writers_of_one_file_leave_what_one_of_them_wrote(tmp_path):
    path = tmp_path / "f"
    with folders.replacing_file(path) as first, folders.replacing_file(path) as second:
        first.write_text("first")
        second.write_text("second")
        assert first != second
    assert path.read_text() == "first", "who ends last wins"
    assert names(tmp_path) == ["f"]


def test_kill_9_while_a_file_is_written_leaves_the_old_one_and_what_prune_knows(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")
    code = f"""
        import os, signal
        from pathlib import Path
        from sixfold.fetch import folders
        with folders.replacing_file(Path({str(path)!r})) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=60).returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    (leftover,) = set(names(tmp_path)) - {"f"}
    assert prune._TEMPORARY.fullmatch(leftover)


def test_a_device_or_a_folder_is_never_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(StorageError, match="could not be written"):
            folders.write_text(tmp_path / name, "text")
    assert names(tmp_path) == ["folder", "pipe"]
    assert not (tmp_path / "pipe").is_file()


def test_a_file_in_a_folder_that_is_not_there_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "none" / "f", tmp_path / "file" / "f"):
        with pytest.raises(StorageError, match="could not be written") as caught:
            folders.write_text(path, "text")
        assert "folder exists" in caught.value.hint


def test_a_lock_is_waited_for_and_freed_by_a_crash(tmp_path):
    path = tmp_path / "locks" / "a.lock"
    code = f"""
        import sys, time
        from pathlib import Path
        from sixfold.fetch import folders
        with folders.locked(Path({str(path)!r})):
            print("held", flush=True)
            time.sleep(60)
    """
    holder = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    told: list[str] = []

    def tell(sentence: str) -> None:
        told.append(sentence)
        holder.kill()

    with folders.locked(path, waiting="waiting for another", tell=tell):
        assert told == ["waiting for another"]
    holder.wait()
