"""A run's folder belongs to one process at a time; its results are written whole."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sixfold.errors import StorageError, UsageError
from sixfold.stages.context import owned, unmarked, write_json

HOLD = """
import sys, time
from pathlib import Path
from sixfold.stages.context import owned
with owned(Path(sys.argv[1])):
    print("owned", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "reviews"


@pytest.fixture
def other(run: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns the run's folder until its input ends."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(run)], text=True, **pipes)  # type: ignore[call-overload]
    assert process.stdout.readline() == "owned\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_told_which_folder_and_which_process(run: Path, other: subprocess.Popen[str]) -> None:
    with pytest.raises(UsageError, match="another process is working") as caught, owned(run):
        raise AssertionError("both own it")
    assert caught.value.where == run
    assert caught.value.found.startswith(f"process {other.pid} on ")
    assert "another name" in str(caught.value.hint)
    with owned(run.with_name("other")):
        pass


@pytest.mark.parametrize("how", ["ended", "killed"])
def test_the_lock_of_a_process_that_is_gone_is_no_obstacle(run: Path, other: subprocess.Popen[str], how: str) -> None:
    if how == "killed":
        other.kill()
    else:
        other.stdin.close()
    other.wait()
    assert (run / ".lock").exists()
    with owned(run):
        assert f"process {os.getpid()} " in (run / ".lock").read_text()


def test_one_process_does_not_own_a_folder_twice(run: Path) -> None:
    with owned(run):
        with pytest.raises(UsageError) as caught, owned(run):
            raise AssertionError("owned twice")
        assert f"process {os.getpid()} " in caught.value.found
    with owned(run):
        pass


def test_an_error_inside_frees_the_folder_and_stays_what_it_is(run: Path) -> None:
    with pytest.raises(FileNotFoundError), owned(run):
        (run / "none").read_text()
    with owned(run):
        pass


def test_where_the_file_system_has_no_locks_work_goes_on(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*args: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with owned(run):
        assert run.is_dir()


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(StorageError), owned(tmp_path / "runs" / "reviews"):
        raise AssertionError("owned")


def test_results_are_written_with_numpy_numbers_and_paths(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    write_json(path, {"f1": np.float64(0.5), "folder": Path("a") / "b", "text": "好"})
    assert json.loads(path.read_text("utf-8")) == {"f1": 0.5, "folder": "a/b", "text": "好"}
    with pytest.raises(TypeError, match="does not go into"):
        write_json(path, {"f1": object()})
    assert json.loads(path.read_text("utf-8"))["f1"] == 0.5
    assert os.listdir(path.parent) == ["results.json"]
    assert path.stat().st_mode & 0o777 == 0o600, "mistakes are shown with their texts"


def test_a_file_keeps_what_was_told_without_the_console_s_markup() -> None:
    told = ["[dim]note: 3 rows left out[/]", r"[yellow]the column \[b] is empty[/]", "2 rows of train dropped"]
    assert unmarked(told) == ["note: 3 rows left out", "the column [b] is empty", "2 rows of train dropped"]
