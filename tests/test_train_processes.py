"""A run in several processes: started, killed, told to end, and started wrongly. What they learn: test_train_many."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from several import PATIENCE, alike, same, torchrun
from tiny_runs import environment, recipe_of, reviews, write_csv, write_recipe

import sixfold
from sixfold import cli
from sixfold.errors import Interrupted, UsageError
from sixfold.recipe import Told, load, run
from sixfold.train import state as states
from sixfold.train.events import Event, Step
from sixfold.train.processes import Message, Processes, joined, met
from sixfold.train.torchrun import started
from sixfold.train.tracking import read

pytestmark = pytest.mark.usefixtures("own_home")
OURS = "sixfold/cli/"
"""Stands in every traceback of ours; torchrun has one of its own."""
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")


def corpus(folder: Path) -> Path:
    texts = [row["text"] for row in reviews(160)]
    path = folder / "corpus.txt"
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def decoder_stage(folder: Path, **train: Any) -> dict[str, Any]:
    dials = {"optimiser": "adamw", "epochs": 1, "batch": 8, "learning_rate": 3e-3, "precision": "fp32", **train}
    return {
        "objective": "causal_lm",
        "corpus": {"source": str(corpus(folder)), "near": "off", "held_out": 0.1},
        "tokenizer": {"kind": "bpe", "vocabulary": 300},
        "model": {"size": "tiny", "layers": 2, "width": 32, "heads": 2},
        "context": 48,
        "train": dials,
    }


@dataclass(frozen=True)
class Both:
    """A recipe with a decoder and a classifier, run in one process and in two."""

    one: Path
    two: Path
    out: str
    err: str


STAGES = ("01-pretrain", "02-finetune")


@pytest.fixture(scope="module")
def both(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("both")
    recipe = recipe_of(write_csv(folder / "reviews.csv", reviews(80)), base)
    recipe["stages"].insert(0, {"pretrain": decoder_stage(folder)})
    path = write_recipe(folder / "recipe.yaml", recipe)
    command = torchrun(2, "-m", "sixfold", "run", path, "--runs", "two")
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    run(load(path), runs=folder / "one")
    return Both(folder / "one" / "small", folder / "two" / "small", done.stdout, done.stderr)


def logged(log: Path) -> list[tuple[int, float, float]]:
    return [(line["step"], line["loss"], line["grad_norm"]) for line in read(log) if line["event"] == "step"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_recipe_learns_the_same_in_two_processes(stage: str, both: Both) -> None:
    found, expected = (logged(run / stage / "training" / "events.jsonl") for run in (both.two, both.one))
    assert len(found) > 5
    assert same(found, expected)


@pytest.mark.parametrize("stage", STAGES)
def test_a_checkpoint_of_two_processes_is_that_of_one(stage: str, both: Both) -> None:
    found, expected = (load_file(run / stage / "checkpoint" / "model.safetensors") for run in (both.two, both.one))
    assert alike(found, expected)


def test_a_checkpoint_of_two_processes_answers_like_that_of_one(both: Both) -> None:
    texts = [row["text"] for row in reviews(20)]
    found, expected = (sixfold.Model.load(str(run)).predict(texts) for run in (both.two, both.one))
    assert [answer["label"] for answer in found] == [answer["label"] for answer in expected]
    sure = [[answer["confidence"] for answer in answers] for answers in (found, expected)]
    assert sure[0] == pytest.approx(sure[1], abs=1e-4)


def files(run: Path) -> set[str]:
    names = (str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
    return {name for name in names if "tfevents" not in name}


def test_only_the_first_process_prints_and_writes(both: Both) -> None:
    lines = Counter(both.out.splitlines())
    once = [line for line in lines if line.startswith(("1/2 ", "2/2 ", "  held out", "  test:", "checkpoint: "))]
    assert len(once) >= 5
    assert all(lines[line] == 1 for line in once)
    assert "processes: 2 (each holds a part of the weights (FSDP2)" in both.out
    assert files(both.two) == files(both.one)
    assert all(len(list((both.two / stage / "training" / "tensorboard").iterdir())) == 1 for stage in STAGES)
    assert "Traceback" not in both.err


# A process dies


@dataclass(frozen=True)
class Killed:
    """A run of two processes of which one was killed."""

    rank: int
    folder: Path
    recipe: Path
    code: int
    out: str
    err: str
    state: tuple[int, Path]


def ranks(launcher: int) -> dict[int, int]:
    """Rank to process id, of what torchrun has started."""
    found = {}
    for pid in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        names = dict(entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if entry)
        found[int(names["RANK"])] = int(pid)
    return found


@contextmanager
def started_in_two(recipe: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A run in two processes; what is left of it at the end is ended."""
    command = torchrun(2, *options, "-m", "sixfold", "run", recipe, "--runs", "runs")
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=recipe.parent, env=environment(), **pipes) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def saved(training: Path, process: subprocess.Popen[str], least: int) -> None:
    """Wait until a state of so many steps stands there."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        newest = states.newest(training)
        if newest is not None and newest[0] >= least:
            return
        time.sleep(0.02)
    process.terminate()
    raise AssertionError(f"no state was saved: {process.communicate()}")


def long_recipe(folder: Path, epochs: int = 300) -> Path:
    stage = decoder_stage(folder, epochs=epochs, save_minutes=0, evaluations=0.01, learning_rate=1e-3)
    return write_recipe(folder / "recipe.yaml", {"name": "long", "seed": 5, "stages": [{"pretrain": stage}]})


@pytest.fixture(scope="module", params=[1, 0], ids=["the second", "the first"])
def killed(request: pytest.FixtureRequest, own_home: None, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    folder = tmp_path_factory.mktemp("killed")
    recipe = long_recipe(folder)
    training = folder / "runs" / "long" / "01-pretrain" / "training"
    with started_in_two(recipe) as process:
        saved(training, process, least=3)
        pids = ranks(process.pid)
        os.kill(pids[request.param], signal.SIGKILL)
        out, err = process.communicate(timeout=PATIENCE)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    newest = states.newest(training)
    assert newest is not None
    return Killed(request.param, folder, recipe, process.returncode, out, err, newest)


@on_linux
def test_a_run_ends_when_a_process_dies_and_one_message_tells_which(killed: Killed) -> None:
    assert killed.code != 0
    step, path = killed.state
    message = (
        f"process {killed.rank} of 2 ended (they are counted from 0), and the run with it; "
        f"the last saved state is of step {step}\n"
        f"  where: {path.relative_to(killed.folder)}\n"
        "  next: start the same command again: it goes on from there\n"
    )
    assert killed.err.count(message) == 1
    assert (killed.out + killed.err).count(" ended ") == 1
    assert OURS not in killed.err


def told_until(step: int) -> Told:
    """Stops a run after a step, as Ctrl-C does."""
    seen = [0]

    def watch(events: Any) -> Iterator[Event]:
        for event in events:
            if isinstance(event, Step):
                seen.append(event.step)
            yield event

    return Told(watch=watch, stop=lambda: seen[-1] >= step)


@on_linux
def test_the_state_of_a_killed_run_is_whole_and_goes_on_in_one_process(killed: Killed) -> None:
    step, _ = killed.state
    for runs in ("runs", "alone"):
        with pytest.raises(Interrupted):
            run(load(killed.recipe), runs=killed.folder / runs, told=told_until(step + 3))
    found, expected = (
        logged(killed.folder / runs / "long" / "01-pretrain" / "training" / "events.jsonl")
        for runs in ("runs", "alone")
    )
    assert len(found) == step + 3
    assert same(found, expected)


def test_what_was_saved_is_told_where_a_training_is_under_way(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        alone = Processes(rank=0, world=2, pids=[], store=dist.HashStore())
        assert alone.lost([1]).what == (
            "process 1 of 2 ended (they are counted from 0), and the run with it; no training was under way"
        )
        alone.folder = tmp_path
        assert alone.lost([]).what == (
            "another process ended (they are counted from 0), and the run with it; no state was saved yet"
        )
        (tmp_path / "state-00001200").mkdir()
        assert alone.stopped().what == "the run was told to end (SIGTERM); the last saved state is of step 1,200"
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "says"),
    [
        (signal.SIGINT, "stopped; the state is saved\n"),
        (signal.SIGTERM, "the run was told to end (SIGTERM); the last saved state is of step "),
    ],
)
def test_a_run_that_is_told_to_end_says_so_once(number: int, says: str, tmp_path: Path) -> None:
    training = tmp_path / "runs" / "long" / "01-pretrain" / "training"
    with started_in_two(long_recipe(tmp_path)) as process:
        saved(training, process, least=3)
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert err.count(says) == 1
    assert OURS not in err
    assert states.load(training) is not None


@on_linux
@pytest.mark.slow
def test_torchrun_starts_a_killed_run_again_and_it_goes_on(tmp_path: Path) -> None:
    training = tmp_path / "runs" / "long" / "01-pretrain" / "training"
    with started_in_two(long_recipe(tmp_path, epochs=5), "--max-restarts", "1") as process:
        saved(training, process, least=3)
        os.kill(ranks(process.pid)[1], signal.SIGKILL)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert err.count("process 1 of 2 ended") == 1
    assert "resumed after step" in out
    assert (training.parent / "checkpoint").is_dir()


# Wrong set-ups


@pytest.fixture
def sixfold_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a recipe with an environment; gives the exit code and what is said."""
    recipe = write_recipe(tmp_path / "recipe.yaml", recipe_of(tmp_path / "nowhere.csv", tmp_path))

    def says(**environment: str) -> tuple[object, str]:
        for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["sixfold", "run", str(recipe), "--runs", str(tmp_path / "runs")])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert not (tmp_path / "runs").exists()
        return caught.value.code, capsys.readouterr().err

    return says


@pytest.mark.parametrize(
    ("environment", "begins", "holds"),
    [
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK must be the number of one of WORLD_SIZE", "RANK=2, WORLD_SIZE=2"),
        ({"RANK": "first", "WORLD_SIZE": "2"}, "RANK must be the number of one of WORLD_SIZE", "RANK=first"),
        ({"WORLD_SIZE": "2"}, "RANK must be the number of one of WORLD_SIZE", "RANK=, WORLD_SIZE=2"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "the processes do not find each other", "MASTER_ADDR"),
        (
            {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "99999"},
            "the processes do not find each other",
            "MASTER_PORT=99999",
        ),
    ],
)
def test_a_wrong_environment_is_told(environment: dict[str, str], begins: str, holds: str, sixfold_says: Any) -> None:
    code, said = sixfold_says(**environment)
    assert code == UsageError.exit_code
    assert said.startswith(begins)
    assert holds in said
    assert "torchrun" in said


def test_a_rank_without_a_number_of_processes_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert started() == (0, 1)


def test_a_python_program_under_torchrun_is_told_how_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    recipe = write_recipe(tmp_path / "recipe.yaml", recipe_of(tmp_path / "nowhere.csv", tmp_path))
    with pytest.raises(UsageError, match="started in 2 processes, and each would do the whole run"):
        sixfold.run(load(recipe), runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_more_processes_than_gpus_are_refused_by_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    for rank, expected in (("0", UsageError), ("1", SystemExit)):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("LOCAL_RANK", rank)
        with pytest.raises(expected) as caught, joined():
            pass
        assert expected is SystemExit or caught.value.found == "3 processes, 2 GPUs"


def test_processes_meet_only_when_all_are_there_with_numbers_that_fit() -> None:
    store, soon = dist.HashStore(), timedelta(milliseconds=50)
    with pytest.raises(UsageError, match="not all of 2 processes began") as caught:
        met(store, 0, 2, soon)
    assert caught.value.found == "RANK=1 missing"
    with pytest.raises(UsageError, match="two processes have the same number"):
        met(store, 0, 2, soon)
    with pytest.raises(UsageError, match="disagree how many they are") as caught:
        met(store, 2, 3, soon)
    assert caught.value.found == "WORLD_SIZE=3 here, 2 elsewhere"
    met(store, 1, 2, soon)


# What they tell each other


def test_a_message_arrives_as_it_was_sent() -> None:
    arrays = {"ids": np.arange(6, dtype=np.int32).reshape(2, 3), "none": np.empty(0), "kinds": np.array([1], np.uint8)}
    arrived = Message.unpacked(*Message("learn", {"rate": 0.1, "sizes": [1, 2]}, arrays).packed())
    assert (arrived.do, arrived.content) == ("learn", {"rate": 0.1, "sizes": [1, 2]})
    assert arrived.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert arrived.arrays[name].dtype == array.dtype
        assert np.array_equal(arrived.arrays[name], array)
