"""What a plan says: sums over stages, what this machine lacks, and the table on a terminal."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from sixfold.commands.plan import Plan, Seconds, StagePlan, shown, size

FIRST = StagePlan(
    name="01-words",
    kind="pretrain",
    parameters=3_210_000,
    learning=3_210_000,
    examples=20_000,
    epoch_tokens=700_000,
    steps=400,
    tokens=1_400_000,
    may_stop=False,
    training_flops=1.2e14,
    evaluating_flops=3e12,
    memory={"preparing": 10**8, "training": 1_240_000_000, "ending": 2 * 10**8},
    gpu_memory=0,
    checkpoint=13 * 10**6,
    log=10**6,
    state=50 * 10**6,
    store=4 * 10**6,
    seconds=Seconds(preparing=5.0, training=60.0, evaluating=4.0, writing=1.0),
    while_training=3.0,
    gpus={"L4": 2.0, "H100": 1.0},
)
SECOND = replace(
    FIRST,
    name="02-labels",
    kind="finetune",
    learning=512,
    memory={"training": 2 * 10**9},
    state=10**6,
    store=0,
    seconds=Seconds(preparing=1.0, training=20.0, evaluating=2.0, writing=0.5),
    gpus={"L4": None, "H100": 0.25},
)
PLAN = Plan("a", 3.0, 0.5, (FIRST, SECOND), free_memory=8 * 10**9, free_disk=10**9, free_gpu=None)


def text(plan: Plan) -> str:
    console = Console(width=120, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(shown(plan))
    return captured.get()


def line(plan: Plan, begins: str) -> list[str]:
    """The cells of a line of the table."""
    (found,) = [one for one in text(plan).splitlines() if one.startswith(begins)]
    return found[len(begins) :].split("  ")


def cells(plan: Plan, begins: str) -> list[str]:
    return [cell.strip() for cell in line(plan, begins) if cell.strip()]


def test_sums_over_stages() -> None:
    assert PLAN.seconds == 3.5 + 70.0 + 23.5
    assert PLAN.peak == 2 * 10**9
    # while the first stage trains: two states, tokens, its checkpoint and log; after it, less
    assert PLAN.disk == 2 * 50 * 10**6 + 4 * 10**6 + 14 * 10**6
    assert replace(PLAN, stages=(SECOND, FIRST)).disk == 28 * 10**6 + 104 * 10**6


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({}, []),
        ({"free_memory": 2_100_000_000}, ["memory may not suffice: 2.00 GB needed, 2.10 GB free here"]),
        ({"free_disk": 117 * 10**6}, ["disk may not suffice: 118 MB needed, 117 MB free here"]),
        ({"free_memory": None, "free_disk": None}, []),
        (
            {"free_gpu": 10**9, "stages": (replace(FIRST, gpu_memory=2 * 10**9),)},
            ["GPU memory may not suffice: 2.00 GB needed, 1.00 GB free here"],
        ),
    ],
    ids=["enough", "memory", "disk", "unknown", "gpu"],
)
def test_what_does_not_suffice_is_said(changes: dict[str, Any], sentences: list[str]) -> None:
    plan = replace(PLAN, **changes)
    assert [told.partition(";")[0] for told in plan.lacking] == sentences
    assert all(sentence in text(plan) for sentence in sentences)


def test_the_table_has_a_column_for_each_stage_and_one_for_all() -> None:
    assert cells(PLAN, " " * 27) == ["01-words", "02-labels", "in all"]
    assert cells(PLAN, "parameters") == ["3.21M", "3.21M"]
    assert cells(PLAN, "  learning") == ["3.21M", "512"]
    assert cells(PLAN, "floating-point operations") == ["1.23×10¹⁴", "1.23×10¹⁴", "2.46×10¹⁴"]
    assert cells(PLAN, "peak memory") == ["1.24 GB", "2.00 GB", "2.00 GB"]
    assert cells(PLAN, "disk") == ["118 MB", "16.0 MB", "118 MB"]
    assert cells(PLAN, "time here") == ["1 min 10 s", "24 s", "1 min 37 s"]
    assert cells(PLAN, "  training") == ["1 min", "20 s", "1 min 20 s"]
    assert cells(PLAN, "  starting, reporting") == ["3.5 s"]


def test_estimates_are_marked_as_such() -> None:
    assert cells(PLAN, "H100") == ["~ 1.0 s", "~ 0.2 s", "~ 1.2 s"]
    assert cells(PLAN, "L4") == ["~ 2.0 s", "too small", "too small"]
    assert "estimates from data sheets" in text(PLAN)


def test_early_stopping_is_mentioned_where_it_may_happen() -> None:
    assert "stops earlier" not in text(PLAN)
    assert "stops earlier" in text(replace(PLAN, stages=(FIRST, replace(SECOND, may_stop=True))))


def test_as_plain_data_it_has_the_sums() -> None:
    plain = json.loads(json.dumps(PLAN.to_dict(), allow_nan=False))
    assert (plain["seconds"], plain["peak"], plain["disk"]) == (PLAN.seconds, PLAN.peak, PLAN.disk)
    assert plain["stages"][1]["gpus"] == {"L4": None, "H100": 0.25}
    assert plain["stages"][0]["seconds"]["training"] == 60.0


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 B"), (999, "999 B"), (1500, "1.50 kB"), (1_240_000_000, "1.24 GB"), (5e12, "5,000 GB")]
)
def test_bytes_as_a_person_reads_them(count: float, told: str) -> None:
    assert size(count) == told
