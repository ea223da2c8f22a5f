"""A run that was stopped, killed or ran out of disk goes on with the same losses, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from toy_tasks import MaskedAndOrder
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import ModelError, StorageError
from sixfold.tasks.text_classification import TextClassification
from sixfold.train import state as states
from sixfold.train.config import TrainConfig
from sixfold.train.events import Evaluated, Event, Saved, Started, Step, Stopped
from sixfold.train.loop import fit
from sixfold.train.tracking import read

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def classifier() -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(**SIZES, vocab_size=40, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2)
    return BertForSequenceClassification(config)


def masked() -> BertForMaskedLM:
    torch.manual_seed(0)
    return BertForMaskedLM(BertConfig(**SIZES, vocab_size=40, hidden_dropout_prob=0.2))


def labelled() -> Examples:
    draw = np.random.default_rng(0)
    runs = [[1, *draw.integers(5, 30, draw.integers(1, 9)), 2] for _ in range(30)]
    return Examples({"input_ids": Ragged.of(runs), "label": draw.integers(0, 2, 30)})


def words() -> Examples:
    rows = Dataset.from_dict({"text": ["abcde"[: 2 + n % 4] + "fgh"[: n % 3] for n in range(30)]})
    return MaskedAndOrder().encode(rows, None, 32, "error").examples


CASES = {
    "labels": (classifier, TextClassification(labels=("a", "b")), labelled),
    "masks": (masked, MaskedAndOrder(), words),  # draws masks in collate, and its embeddings are tied
}


def losses(events: list[Event]) -> list[tuple[int, float, float]]:
    return [(event.step, event.loss, event.grad_norm) for event in events if isinstance(event, Step)]


def settings(**changes: Any) -> TrainConfig:
    return TrainConfig(**{"epochs": 3, "batch": 8, "learning_rate": 5e-3, "precision": "fp32", **changes})


@pytest.mark.parametrize(("case", "optimiser"), [("labels", "adamw"), ("masks", "adamw"), ("masks", "muon")])
@pytest.mark.parametrize("stops", [(2,), (4,), (1, 5, 11)], ids=["inside", "between epochs", "thrice"])
def test_a_stopped_run_goes_on_bit_for_bit(case: str, optimiser: str, stops: tuple[int, ...], tmp_path: Path) -> None:
    made, task, rows = CASES[case]
    config = settings(optimiser=optimiser)
    whole = made()
    expected = list(fit(whole, task, rows(), config, seed=7))
    found: list[tuple[int, float, float]] = []
    for number, stop_at in enumerate((*stops, None)):
        learner = made()
        events = []
        run = fit(
            learner,
            task,
            rows(),
            config,
            seed=7,
            folder=tmp_path,
            stop=lambda: bool(events) and stop_at is not None and events[-1].step >= stop_at,  # noqa: B023
        )
        for event in run:
            events.append(event)
        assert isinstance(events[0], Started)
        assert events[0].first_step == (stops[number - 1] if number else 0)
        found += losses(events)
        if stop_at is not None:
            assert isinstance(events[-2], Saved)
            assert events[-1] == Stopped(stop_at, "interrupted", stop_at, None)
        torch.manual_seed(number)  # whatever another process draws
    assert found == losses(expected)
    for name, value in whole.state_dict().items():
        assert torch.equal(learner.state_dict()[name], value), name


def scored(model: torch.nn.Module) -> dict[str, float]:
    """A score that falls and rises, so that the best is neither the first nor the last; equal ones differ in loss."""
    distance = abs(float(model.classifier.bias.abs().sum()) - 0.012)
    return {"macro_f1": -round(distance, 3), "loss": distance}


def test_the_best_weights_and_the_patience_outlive_a_stop(tmp_path: Path) -> None:
    made, task, rows = CASES["labels"]
    config = settings(epochs=8, patience=3)
    whole = made()
    expected = list(fit(whole, task, rows(), config, seed=7, evaluate=scored))
    stopped = next(event for event in reversed(expected) if isinstance(event, Stopped))
    assert 0 < stopped.best_step < stopped.step
    at = stopped.best_step + 1
    events: list[Event] = []
    for event in fit(
        made(), task, rows(), config, seed=7, evaluate=scored, folder=tmp_path, stop=lambda: events[-1].step >= at
    ):
        events.append(event)
    learner = made()
    rest = list(fit(learner, task, rows(), config, seed=7, evaluate=scored, folder=tmp_path))
    assert rest[-1] == stopped
    evaluated = [(e.step, e.scores, e.best) for e in [*events, *rest] if isinstance(e, Evaluated)]
    assert evaluated == [(e.step, e.scores, e.best) for e in expected if isinstance(e, Evaluated)]
    for name, value in whole.state_dict().items():
        assert torch.equal(learner.state_dict()[name], value), name


def test_only_the_newest_state_is_kept_and_a_finished_one_trains_no_more(tmp_path: Path) -> None:
    made, task, rows = CASES["labels"]
    events = list(fit(made(), task, rows(), settings(save_minutes=0), seed=7, folder=tmp_path))
    assert [event.step for event in events if isinstance(event, Saved)] == list(range(1, 13))
    assert [path.name for path in tmp_path.iterdir()] == ["state-00000012"]
    learner = made()
    again = list(fit(learner, task, rows(), settings(save_minutes=0), seed=7, folder=tmp_path))
    assert [type(event) for event in again] == [Started, Stopped]
    states.clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_save_left_is_cleared_away(tmp_path: Path) -> None:
    made, task, rows = CASES["labels"]
    (tmp_path / ".state-00000003.tmp").mkdir()
    (tmp_path / ".state-00000003.tmp" / "weights.safetensors").write_bytes(b"half")
    for event in fit(made(), task, rows(), settings(save_minutes=0), seed=7, folder=tmp_path):
        if isinstance(event, Saved):
            break
    assert [path.name for path in tmp_path.iterdir()] == ["state-00000001"]
    (tmp_path / ".state-00000009.tmp").mkdir()
    states.clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["weights.safetensors", "optimiser.safetensors", "progress.json", "rng.safetensors"])
@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_damaged_state_is_told_with_what_to_do(name: str, damage: str, tmp_path: Path) -> None:
    made, task, rows = CASES["labels"]
    run = fit(made(), task, rows(), settings(save_minutes=0), seed=7, folder=tmp_path)
    saved = next(event for event in run if isinstance(event, Saved))
    run.close()
    target = saved.path / name
    if damage == "gone":
        target.unlink()
    elif damage == "cut":
        target.write_bytes(target.read_bytes()[: target.stat().st_size // 2])
    else:
        target.write_text('{"steps": 1}')
    with pytest.raises(ModelError, match="cannot be read") as caught:
        list(fit(made(), task, rows(), settings(), seed=7, folder=tmp_path))
    assert caught.value.where == saved.path
    assert caught.value.hint == f"remove {saved.path} to start this stage again"


def test_a_state_of_another_model_is_told_too(tmp_path: Path) -> None:
    made, task, rows = CASES["labels"]
    run = fit(made(), task, rows(), settings(save_minutes=0), seed=7, folder=tmp_path)
    next(event for event in run if isinstance(event, Saved))
    run.close()
    other, task, rows = CASES["masks"]
    with pytest.raises(ModelError, match="another") as caught:
        list(fit(other(), task, rows(), settings(), seed=7, folder=tmp_path))
    assert "remove" in str(caught.value.hint)


@pytest.mark.parametrize(("before", "after"), [("adamw", "muon"), ("muon", "adamw")])
def test_a_state_of_another_optimiser_is_told_too(before: str, after: str, tmp_path: Path) -> None:
    made, task, rows = CASES["masks"]
    run = fit(made(), task, rows(), settings(save_minutes=0, optimiser=before), seed=7, folder=tmp_path)
    next(event for event in run if isinstance(event, Saved))
    run.close()
    with pytest.raises(ModelError, match="another optimiser"):
        list(fit(made(), task, rows(), settings(optimiser=after), seed=7, folder=tmp_path))


FULL_DISK = """
import resource, sys
from pathlib import Path
import test_train_state as here
from sixfold.errors import StorageError
from sixfold.train import state
from sixfold.train.events import Saved
made, task, rows = here.CASES["labels"]
folder = Path(sys.argv[1])
try:
    for event in here.fit(made(), task, rows(), here.settings(save_minutes=0), seed=7, folder=folder):
        if isinstance(event, Saved) and event.step == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
except StorageError as error:
    print(error)
"""


def child(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_full_disk_is_told_and_the_state_before_it_is_whole(tmp_path: Path) -> None:
    done = child(FULL_DISK, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the training state could not be written" in done.stdout
    assert "free some space" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["state-00000003"], "nothing half-written is left"
    state = states.load(tmp_path)
    assert state is not None
    assert state.progress.step == 3
    made, task, rows = CASES["labels"]
    expected = losses(list(fit(made(), task, rows(), settings(), seed=7)))
    assert losses(list(fit(made(), task, rows(), settings(), seed=7, folder=tmp_path))) == expected[3:]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    made, task, rows = CASES["labels"]
    with pytest.raises(StorageError, match="could not be written"):
        list(fit(made(), task, rows(), settings(save_minutes=0), seed=7, folder=tmp_path / "file" / "training"))


KILLED = """
# A process that has torch loaded and forks one child after the other: each trains until it is killed.
import os, random, signal, sys, time
from pathlib import Path
import test_train_state as here
import torch.utils.tensorboard  # once, and not in every child
from sixfold.train.tracking import tracked
made, task, rows = here.CASES["masks"]
folder = Path(sys.argv[1])
draw = random.Random(int(sys.argv[2]))

def train(folder):
    learner = made()
    config = here.settings(epochs=14, save_minutes=0)
    for event in tracked(here.fit(learner, task, rows(), config, seed=7, folder=folder), folder):
        pass
    here.torch.save(learner.state_dict(), folder / "final.pt")

def born():
    child = os.fork()
    if child == 0:
        try:
            train(folder)
            os._exit(0)
        except BaseException:
            import traceback; traceback.print_exc()
            os._exit(1)
    return child

def newest():
    return max((int(path.name[6:]) for path in folder.glob("state-*")), default=0)

killed = 0
for _ in range(6):
    wanted = newest() + draw.randint(1, 4)
    child = born()
    while newest() < wanted:
        time.sleep(0.0005)
    time.sleep(draw.uniform(0, 0.02))  # a step or two
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "the run was over before it could be killed"
assert os.waitpid(born(), 0)[1] == 0
"""


def test_a_run_killed_at_any_moment_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """``kill -9`` several times while a state is saved after every step: in steps, in writing, in renaming."""
    made, task, rows = CASES["masks"]
    whole = made()
    config = settings(epochs=14, save_minutes=0)
    expected = losses(list(fit(whole, task, rows(), config, seed=7)))
    done = child(KILLED, tmp_path, 3)
    assert done.returncode == 0, done.stderr
    log = [line for line in read(tmp_path / "events.jsonl") if line["event"] == "step"]
    assert [(line["step"], line["loss"], line["grad_norm"]) for line in log] == expected
    starts = [line["first_step"] for line in read(tmp_path / "events.jsonl") if line["event"] == "started"]
    assert len(starts) == 7, "six of them were killed"
    assert starts == sorted(set(starts)), "each time further on"
    final = torch.load(tmp_path / "final.pt", weights_only=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(final[name], value), name
    assert not list(tmp_path.glob(".state-*"))
