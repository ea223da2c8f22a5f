"""Several processes learn what one learns, and go on from each other's states."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from several import CASES, CLOSE, PATIENCE, RESUMED, STOPPED_AT, alike, same, scores, steps, torchrun
from tiny_runs import environment

from sixfold.errors import UsageError
from sixfold.train import state as states
from sixfold.train.config import TrainConfig
from sixfold.train.events import Event
from sixfold.train.many import evenly, refuse

pytestmark = pytest.mark.usefixtures("own_home")

HERE = Path(__file__).parent


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


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
    assert alike(found, weights(model))
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
    assert alike(weights(learner), weights(model))


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
    "synonym_encoding": True,
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


# How a step is cut


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
