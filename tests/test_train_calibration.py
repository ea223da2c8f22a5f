"""A training run cut short: what it says of the whole run is what the whole run then does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_train_loop import TASK, examples, model, settings, weights
from torch import nn

from sixfold.data.batching import Steps
from sixfold.data.examples import Examples, Ragged
from sixfold.train import calibration
from sixfold.train.calibration import Calibrated, Whole, calibrate
from sixfold.train.config import TrainConfig
from sixfold.train.events import Evaluated, Saved, Started, Step
from sixfold.train.loop import fit
from sixfold.train.state import newest
from sixfold.train.tracking import read

SEED = 3
ROWS = examples(37)
LONG = 10_000.0


def score(of: nn.Module) -> dict[str, float]:
    return {"macro_f1": 0.5}


def calibrated(
    folder: Path, config: TrainConfig, rows: Examples = ROWS, seconds: float = LONG, **options: Any
) -> Calibrated:
    given: dict[str, Any] = {"groups": None, "evaluate": score, **options}
    return calibrate(model(), TASK, rows, config, seed=SEED, folder=folder, seconds=seconds, **given)


def real(config: TrainConfig, rows: Examples = ROWS, **options: Any) -> list[Any]:
    given: dict[str, Any] = {"evaluate": score, **options}
    return list(fit(model(), TASK, rows, config.model_copy(update={"patience": None}), seed=SEED, **given))


def tokens(events: list[Any]) -> list[int]:
    return [event.tokens for event in events if isinstance(event, Step)]


CONFIGS = {
    "usual": settings(),
    "a fraction of an epoch": settings(epochs=0.5),
    "some epochs and a half": settings(epochs=2.5, evaluations=2),
    "epochs left out": settings(epochs=None, batch=16),
    "small micro-batches": settings(micro_tokens=30),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_whole_run_is_what_the_loop_then_does(name: str, tmp_path: Path) -> None:
    config = CONFIGS[name]
    whole = calibrated(tmp_path, config).whole
    events = real(config)
    (started,) = [event for event in events if isinstance(event, Started)]
    assert whole.steps == started.steps
    assert whole.choices == started.choices
    assert whole.tokens == sum(tokens(events))
    assert whole.evaluations == sum(isinstance(event, Evaluated) for event in events)


def test_groups_are_steps_of_the_whole_run_too(tmp_path: Path) -> None:
    groups = Ragged.of([np.array(part) for part in np.array_split(np.arange(len(ROWS)), 12)], dtype=np.int64)
    config = settings(batch=5)
    whole = calibrated(tmp_path, config, groups=groups).whole
    assert whole.steps == 6
    assert whole.tokens == sum(tokens(real(config, groups=groups)))


def test_the_step_with_the_largest_micro_batch_comes_first_and_then_those_of_the_run(tmp_path: Path) -> None:
    config = settings(micro_tokens=30)
    found = calibrated(tmp_path, config)
    taken = [event["tokens"] for event in read(tmp_path / "events.jsonl") if event["event"] == "step"]
    steps = [micro for epoch in (0, 1) for micro in Steps(ROWS.lengths, 8, 30, SEED, packed=True).epoch(epoch)]
    sizes = [[int(ROWS.lengths[part].sum()) for part in micro] for micro in steps]
    assert found.whole.largest == max(map(max, sizes))
    assert found.whole.micro_batches == sum(map(len, sizes))
    largest = max(range(len(sizes)), key=lambda step: max(sizes[step]))
    assert taken == [sum(sizes[largest]), *tokens(real(config))]
    assert (found.steps, found.tokens) == (len(taken) - 1, sum(taken[1:]))


def test_the_whole_time_is_that_of_as_many_tokens() -> None:
    whole = Whole(steps=100, per_epoch=50, evaluations=2, choices=(), tokens=9000, micro_batches=100, largest=90)
    made = Calibrated(whole, begin_seconds=1.0, steps=10, tokens=900, seconds=3.0, saves=0, save_seconds=0.0)
    assert made.training_seconds == pytest.approx(30.0)


@pytest.mark.parametrize("groups", [1, 2, 9])
def test_steps_are_taken_in_the_order_given(groups: int) -> None:
    wanted = [np.arange(3 * one, 3 * one + 1 + one % 3) for one in range(groups)]
    placed = calibration._taken_in_order(wanted, SEED)
    lengths = np.ones(3 * groups, dtype=np.int64)
    found = [np.concatenate(micro) for micro in Steps(lengths, 1, 100, SEED, groups=placed).epoch(0)]
    assert [one.tolist() for one in found] == [one.tolist() for one in wanted]


def test_a_long_run_is_told_from_its_first_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = settings(epochs=4)
    exact = calibrated(tmp_path / "exact", config).whole
    monkeypatch.setattr(calibration, "LOOKED", 5)
    told = calibrated(tmp_path / "told", config).whole
    assert (told.steps, told.evaluations, told.tokens) == (exact.steps, exact.evaluations, exact.tokens)
    assert told.micro_batches == exact.micro_batches


def test_it_ends_when_enough_was_measured_and_one_step_at_least(tmp_path: Path) -> None:
    found = calibrated(tmp_path, settings(epochs=50), seconds=1e-9)
    assert found.steps == 1
    assert found.tokens > 0
    assert found.seconds > 0


def test_the_split_is_looked_at_and_the_best_weights_are_held(tmp_path: Path) -> None:
    looks: list[bool] = []

    def look(of: nn.Module) -> dict[str, float]:
        looks.append(of.training)
        return {"macro_f1": 0.5}

    calibrated(tmp_path, settings(), evaluate=look)
    assert looks
    assert not any(looks)


def test_a_state_is_written_where_the_run_would_write_one(tmp_path: Path) -> None:
    marks: list[str] = []
    often = calibrated(tmp_path / "often", settings(save_minutes=0.0), mark=marks.append)
    assert marks == ["training", "saving"]
    written = [
        event for event in real(settings(save_minutes=0.0), folder=tmp_path / "real") if isinstance(event, Saved)
    ]
    assert often.saves == len(written) == often.whole.steps
    assert often.save_seconds > 0
    assert newest(tmp_path / "often") is not None
    marks.clear()
    never = calibrated(tmp_path / "never", settings(), mark=marks.append)
    assert marks == ["training"]
    assert (never.saves, never.save_seconds) == (0, 0.0)
    assert newest(tmp_path / "never") is None


def test_the_model_learns_and_is_an_ordinary_one_afterwards(tmp_path: Path) -> None:
    of: Any = model()
    before = weights(of)
    options: dict[str, Any] = {"groups": None, "evaluate": None, "folder": tmp_path, "seconds": LONG}
    calibrate(of, TASK, ROWS, settings(), seed=SEED, **options)
    assert weights(of).keys() == before.keys()
    assert any((weights(of)[name] != before[name]).any() for name in before)
    assert "forward" not in vars(of.get_input_embeddings()), "the table looks rows up itself again"
