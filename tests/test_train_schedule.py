"""Learning-rate schedules at chosen steps."""

from __future__ import annotations

import math

import pytest

from sixfold.train.schedule import Schedule, factor


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant", "wsd"])
def test_the_rise_is_linear_and_never_starts_at_nothing(schedule: Schedule) -> None:
    assert [factor(schedule, step, 100, 4) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_linear_falls_to_nothing_at_the_end() -> None:
    assert [factor("linear", step, 12, 2) for step in (2, 7, 11, 12)] == [1.0, 0.5, 0.1, 0.0]


def test_cosine_is_half_way_in_the_middle() -> None:
    assert factor("cosine", 2, 12, 2) == 1.0
    assert factor("cosine", 7, 12, 2) == pytest.approx(0.5)
    assert factor("cosine", 9, 12, 2) == pytest.approx(0.5 * (1 + math.cos(0.7 * math.pi)))
    assert factor("cosine", 12, 12, 2) == pytest.approx(0.0)


def test_constant_stays() -> None:
    assert [factor("constant", step, 12, 2) for step in (2, 7, 11)] == [1.0, 1.0, 1.0]


def test_wsd_comes_down_over_the_last_fifth() -> None:
    assert [factor("wsd", step, 100, 10) for step in (10, 50, 80, 85, 90, 99, 100)] == pytest.approx(
        [1.0, 1.0, 1.0, 0.75, 0.5, 0.05, 0.0]
    )


def test_a_run_of_one_step_has_a_rate() -> None:
    assert all(factor(schedule, 0, 1, 0) == 1.0 for schedule in ("linear", "cosine", "constant", "wsd"))
