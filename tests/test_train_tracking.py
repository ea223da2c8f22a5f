"""The event log and TensorBoard scalars: whole after a crash, and agreeing with what the loop told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sixfold.train.events import Choice, Evaluated, Event, Saved, Started, Step, Stopped
from sixfold.train.tracking import read, tracked


def step(number: int, **changes: Any) -> Step:
    values = {"epoch": number / 4, "loss": 1 / number, "terms": {"a": 1.0}, "learning_rate": 1e-3}
    rest = {"grad_norm": 0.5, "tokens": 30, "padded_tokens": 40, "seconds": 0.5}
    return Step(**{"step": number, **values, **rest, **changes})


def run(first: int, last: int) -> list[Event]:
    return [
        Started(9, first - 1, (Choice("device", "cpu", "1 threads"),)),
        *(step(number) for number in range(first, last + 1)),
        Evaluated(last, last / 4, {"f1": 0.5, "loss": 0.25}, "f1", True, 0.1),
        Saved(last, Path("deep/inside/state-1")),
    ]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: [(point.step, point.value) for point in board.Scalars(tag)] for tag in board.Tags()["scalars"]}


def test_the_same_events_come_out_and_stand_in_the_log(tmp_path: Path) -> None:
    events = [*run(1, 3), Stopped(3, "done", 3, 0.5)]
    assert list(tracked(events, tmp_path)) == events
    log = read(tmp_path / "events.jsonl")
    assert [line["event"] for line in log] == ["started", "step", "step", "step", "evaluated", "saved", "stopped"]
    assert log[0]["choices"] == [{"name": "device", "value": "cpu", "reason": "1 threads"}]
    assert log[2]["loss"] == 0.5
    assert log[5]["path"] == "state-1", "no path of this machine"


def test_tensorboard_has_the_same_numbers(tmp_path: Path) -> None:
    list(tracked([*run(1, 3), step(4, terms={"masked": 0.5, "order": 0.25})], tmp_path))
    found = scalars(tmp_path)
    assert found["train/loss"] == [(n, pytest.approx(1 / n)) for n in (1, 2, 3, 4)]
    assert found["speed/tokens_per_second"] == [(n, 60.0) for n in (1, 2, 3, 4)]
    assert found["validation/f1"] == [(3, 0.5)]
    assert found["train/order"] == [(4, 0.25)], "a term of its own is shown where there are several"
    assert "train/a" not in found


def test_a_resumed_run_drops_the_steps_that_are_done_again(tmp_path: Path) -> None:
    list(tracked(run(1, 5), tmp_path))
    list(tracked(run(4, 6), tmp_path))
    log = read(tmp_path / "events.jsonl")
    assert [line["step"] for line in log if line["event"] == "step"] == [1, 2, 3, 4, 5, 6]
    assert [line["first_step"] for line in log if line["event"] == "started"] == [0, 3]
    assert [line["step"] for line in log if line["event"] == "evaluated"] == [6]
    assert [number for number, _ in scalars(tmp_path)["train/loss"]] == [1, 2, 3, 4, 5, 6]


def test_a_step_stands_in_the_log_before_its_state_can_be_saved(tmp_path: Path) -> None:
    """A process killed just after it has saved a state must not leave a log that lacks the state's last step."""

    def source() -> Iterator[Event]:
        yield run(1, 1)[0]
        yield step(1)
        assert [line.get("step") for line in read(tmp_path / "events.jsonl")] == [None, 1]

    list(tracked(source(), tmp_path))


def test_a_line_that_a_crash_cut_short_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_text(json.dumps({"step": 1}) + "\n" + '{"step": 2, "lo')
    assert read(log) == [{"step": 1}]
    assert read(tmp_path / "none.jsonl") == []
    list(tracked(run(2, 2), tmp_path))
    assert [line.get("step") for line in read(log)] == [1, None, 2, 2, 2]


def test_a_damaged_line_in_the_middle_is_no_crash_s_work(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"step": 1\n{"step": 2}\n')
    with pytest.raises(ValueError, match="delimiter"):
        read(tmp_path / "events.jsonl")
