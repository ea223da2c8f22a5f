"""Several processes learn what one learns, go on from each other's states, and end well when one of them dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from several import CASES, RESUMED, STOPPED_AT, scores, steps
from tiny_runs import environment, recipe_of, reviews, write_csv, write_recipe

import sixfold
from sixfold import cli
from sixfold.errors import Interrupted, UsageError
from sixfold.recipe import Told, load, run
from sixfold.train import state as states
from sixfold.train.config import TrainConfig
from sixfold.train.events import Event, Step
from sixfold.train.many import evenly, refuse
from sixfold.train.processes import Message, joined, met
from sixfold.train.torchrun import started
from sixfold.train.tracking import read

pytestmark = pytest.mark.usefixtures("own_home")

CLOSE = 1e-5
PATIENCE = 600
"""Seconds; a busy machine needs minutes for what takes it twelve seconds alone."""
HERE = Path(__file__).parent


def torchrun(count: int, *command: object) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    return [*launcher, *map(str, command)]


def same(found: list[Any], expected: list[Any]) -> bool:
    """Whether steps have the same numbers, and losses and norms that differ by rounding only."""
    assert [step[0] for step in found] == [step[0] for step in expected]
    return np.allclose([step[1:] for step in found], [step[1:] for step in expected], rtol=0, atol=CLOSE)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def assert_same_weights(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    """A key's bias changes no attention: its gradient is rounding alone, which AdamW makes as large as any other."""
    assert found.keys() == expected.keys()
    for key, weight in expected.items():
        if not key.endswith("key.bias"):
            torch.testing.assert_close(found[key], weight, rtol=0, atol=CLOSE)


# Three processes do what one does, with what is not divisible by three


@dataclass(frozen=True)
class Several:
    """What three processes found (``several.py``)."""

    folder: Path
    steps: dict[str, list[Any]]
    scores: dict[str, list[Any]]
    refused: dict[str, str]


@pytest.fixture(scope="module")
def three(own_home: None, tmp_path_factory: pytest.TempPathFactory) -> Several:
    folder = tmp_path_factory.mktemp("three")
    for name in RESUMED:
        list(CASES[name].events(CASES[name].model(), folder / "by-one" / name, STOPPED_AT))
    command = torchrun(3, HERE / "several.py", folder)
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return Several(folder, **json.loads((folder / "found.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def one() -> dict[str, tuple[list[Event], Any]]:
    """Each case's events and its model, trained in this process."""
    found = {}
    for name, case in CASES.items():
        model = case.model()
        found[name] = (list(case.events(model)), model)
    return found


@pytest.mark.parametrize("name", CASES)
def test_losses_and_gradients_are_those_of_one_process(name: str, three: Several, one: Any) -> None:
    events, _ = one[name]
    assert same(three.steps[name], steps(events))


@pytest.mark.parametrize("name", CASES)
def test_the_weights_that_are_learnt_are_those_of_one_process(name: str, three: Several, one: Any) -> None:
    _, model = one[name]
    found = load_file(three.folder / f"{name}.safetensors")
    assert_same_weights(found, weights(model))
    fresh = weights(CASES[name].model())
    assert any((found[key] - fresh[key]).abs().max() > 100 * CLOSE for key in found)


def test_the_best_weights_of_several_evaluations_are_kept(three: Several, one: Any) -> None:
    events, _ = one["labels"]
    expected, found = scores(events), three.scores["labels"]
    best = [number for number, (_, _, is_best) in enumerate(expected) if is_best]
    assert 0 < best[-1] < len(expected) - 1
    assert [(step, is_best) for step, _, is_best in found] == [(step, is_best) for step, _, is_best in expected]
    for (_, some, _), (_, others, _) in zip(found, expected, strict=True):
        assert some == pytest.approx(others, abs=CLOSE)


@pytest.mark.parametrize("name", RESUMED)
def test_a_state_saved_by_several_goes_on_in_one(name: str, three: Several, one: Any) -> None:
    case, (events, model) = CASES[name], one[name]
    learner = case.model()
    rest = list(case.events(learner, three.folder / "by-several" / name))
    assert steps(rest)[0][0] == STOPPED_AT + 1
    assert same(steps(rest), steps(events)[STOPPED_AT:])
    assert_same_weights(weights(learner), weights(model))


@pytest.mark.parametrize("name", RESUMED)
def test_a_state_saved_by_one_goes_on_in_several(name: str, three: Several, one: Any) -> None:
    events, _ = one[name]
    assert same(three.steps[f"{name}, by one before"], steps(events)[STOPPED_AT:])


@pytest.mark.parametrize("name", RESUMED)
def test_states_of_one_and_of_several_have_the_same_tensors(name: str, three: Several, tmp_path: Path) -> None:
    by_several = states.load(three.folder / "by-several" / name)
    list(CASES[name].events(CASES[name].model(), tmp_path, STOPPED_AT))
    by_one = states.load(tmp_path)
    assert by_several is not None
    assert by_one is not None
    for part in ("weights", "best", "optimiser"):
        found, expected = getattr(by_several, part), getattr(by_one, part)
        assert {key: value.shape for key, value in found.items()} == {k: v.shape for k, v in expected.items()}
        for key, value in expected.items():
            torch.testing.assert_close(found[key], value, rtol=0, atol=CLOSE)


def test_with_dropout_a_stopped_training_of_several_goes_on_bit_for_bit(three: Several) -> None:
    assert three.steps["dropout, stopped"] == three.steps["dropout"]
    assert not same(three.steps["dropout"], three.steps["labels"])


REFUSED = {
    "muon": ("UsageError: Muon learns in one process only", "train.optimiser"),
    "a small step": ("UsageError: a step learns from fewer texts or blocks than there are processes", "2 for 3"),
    "a small step, derived": ("UsageError: a step learns from fewer texts or blocks", "2 for 3"),
    "a whole batch": ("UsageError: toy_contrastive compares all rows of a step", "without torchrun"),
    "a task from elsewhere": ("UsageError: MaskedAndOrder is no task of sixfold", "one process only"),
    "no number": ("DataError: the loss is nan at step", "training rows"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_several_processes_cannot_do_is_told(what: str, three: Several) -> None:
    begins, holds = REFUSED[what]
    assert three.refused[what].startswith(begins)
    assert holds in three.refused[what]


def test_a_recipe_is_refused_before_anything_is_read_or_written(three: Several) -> None:
    assert "nowhere.txt" not in three.refused["muon"] + three.refused["a small step"]
    assert not (three.folder / "runs").exists()


ALIKE = {
    *("epochs", "batch", "learning_rate", "schedule", "warmup", "weight_decay", "clip", "layer_decay", "dropout"),
    *("r_drop", "train_base", "evaluations", "metric", "patience", "save_minutes", "precision", "micro_tokens"),
}
ALONE = {
    "optimiser": "muon",
    "muon_rate": 0.01,
    "adversarial": {"method": "fgm"},
    "noise": 5.0,
    "mixup": 0.2,
    "mask_share": 0.3,
}


def test_every_dial_of_training_works_in_several_processes_or_is_refused() -> None:
    """A new dial belongs into one of the two: ``Sharded.learn`` must not leave it out in silence."""
    assert TrainConfig.model_fields.keys() == ALIKE | ALONE.keys()


@pytest.mark.parametrize("dial", ALONE)
def test_a_dial_for_one_process_is_refused(dial: str) -> None:
    refuse(TrainConfig())
    with pytest.raises(UsageError, match="in one process only") as caught:
        refuse(TrainConfig(**{dial: ALONE[dial]}))
    assert caught.value.where == f"train.{dial}"


# The command line in two processes


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
    assert_same_weights(*(load_file(run / stage / "checkpoint" / "model.safetensors") for run in (both.two, both.one)))


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
def started_in_two(recipe: Path) -> Iterator[subprocess.Popen[str]]:
    """A run in two processes; what is left of it at the end is ended."""
    command = torchrun(2, "-m", "sixfold", "run", recipe, "--runs", "runs")
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


def long_recipe(folder: Path) -> Path:
    stage = decoder_stage(folder, epochs=300, save_minutes=0, evaluations=0.01)
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
    assert not [line for line in killed.err.splitlines() if "/sixfold/" in line], "a traceback of ours"


def told_until(step: int) -> Told:
    """Stops a run after a step, as Ctrl-C does."""
    seen = [0]

    def watch(events: Any) -> Iterator[Event]:
        for event in events:
            if isinstance(event, Step):
                seen.append(event.step)
            yield event

    return Told(watch=watch, stop=lambda: seen[-1] >= step)


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


# Parts


def test_a_message_arrives_as_it_was_sent() -> None:
    arrays = {"ids": np.arange(6, dtype=np.int32).reshape(2, 3), "none": np.empty(0), "kinds": np.array([1], np.uint8)}
    arrived = Message.unpacked(*Message("learn", {"rate": 0.1, "sizes": [1, 2]}, arrays).packed())
    assert (arrived.do, arrived.content) == ("learn", {"rate": 0.1, "sizes": [1, 2]})
    assert arrived.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert arrived.arrays[name].dtype == array.dtype
        assert np.array_equal(arrived.arrays[name], array)


def test_a_step_is_cut_into_parts_of_about_as_many_tokens() -> None:
    rows = np.array([7, 3, 9, 1, 4])
    parts = evenly(rows, np.array([10, 5, 5, 4, 6]), 3)
    assert [part.tolist() for part in parts] == [[7], [3, 9], [1, 4]]
    parts = evenly(rows, np.array([100, 1, 1, 1, 1]), 3)
    assert [part.tolist() for part in parts] == [[7], [3], [9, 1, 4]]


@given(st.lists(st.integers(1, 500), min_size=1, max_size=30), st.data())
def test_a_cut_keeps_every_row_in_order_and_leaves_no_part_empty(lengths: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(lengths)))
    parts = evenly(np.arange(len(lengths)), np.array(lengths), count)
    assert len(parts) == count
    assert all(len(part) for part in parts)
    assert np.concatenate(parts).tolist() == list(range(len(lengths)))
