"""Planning a recipe: rehearsed in another process, in which each stage has what the one before it left.

Each plan starts a process that imports torch, so that there are few here.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_stages_pretrain import NEW, texts
from tiny_runs import recipe_of, reviews, start, write_csv, write_recipe

from sixfold import cli
from sixfold.commands.plan import Plan
from sixfold.errors import SixfoldError, UsageError
from sixfold.planning import plan
from sixfold.recipe import parse, run

pytestmark = pytest.mark.usefixtures("own_home")

ROOT = Path(__file__).resolve().parents[1]
QUICK = 0.2


def two_stages(folder: Path, **train: Any) -> dict[str, Any]:
    """A tiny encoder from nothing, and then a classifier that starts from it."""
    (folder / "corpus.txt").write_text("\n".join(texts(300)) + "\n", encoding="utf-8")
    rows = write_csv(folder / "reviews.csv", reviews(80))
    text = {"source": str(folder / "corpus.txt"), "near": "off", "held_out": 0.1}
    settings = {"epochs": 2, "batch": 8, "precision": "fp32", **train}
    first = {"name": "words", "corpus": text, "context": 48, "train": settings, **NEW}
    second = {"task": "classify", "data": {"source": str(rows)}, "train": {**settings, "patience": None}}
    return {"name": "both", "seed": 5, "stages": [{"pretrain": first}, {"finetune": second}]}


@pytest.fixture(scope="module")
def made(own_home: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path, list[str]]:
    folder = tmp_path_factory.mktemp("planned")
    told: list[str] = []
    found = plan(parse(two_stages(folder)), runs=folder / "runs", seconds=QUICK, tell=told.append)
    return found, folder, told


def test_each_stage_is_planned_with_what_the_one_before_it_left(made: tuple[Plan, Path, list[str]]) -> None:
    found, folder, told = made
    first, second = found.stages
    assert (first.name, second.name) == ("01-words", "02-finetune")
    assert told[0] == "[bold]1/2 pretrain[/] words"
    assert "[bold]2/2 finetune[/] finetune" in told
    real = run(parse(two_stages(folder)), runs=folder / "real").stages
    for stage, done in zip(found.stages, real, strict=True):
        training = done.results["training"]
        assert stage.parameters == done.results["parameters"]
        assert stage.steps == len(training["steps"])
        assert stage.tokens == training["tokens"]
        assert stage.checkpoint == pytest.approx(
            sum(path.stat().st_size for path in (done.folder / "checkpoint").rglob("*")), rel=0.05
        )
    assert first.epoch_tokens == real[0].results["tokens"]["train"]
    assert (first.may_stop, second.may_stop) == (True, False)
    assert first.store > 0
    assert second.store == 0


def test_a_plan_has_time_memory_and_operations(made: tuple[Plan, Path, list[str]]) -> None:
    found, _, _ = made
    for stage in found.stages:
        assert min(stage.seconds.preparing, stage.seconds.training, stage.seconds.evaluating) > 0
        assert stage.seconds.evaluating > stage.while_training > 0
        assert set(stage.memory) == {"preparing", "start", "training", "ending"}
        assert min(stage.memory.values()) > 50 * 10**6
        # two operations a weight and token, and twice that backwards, but no table is multiplied
        assert 0 < stage.training_flops < 6 * stage.parameters * stage.tokens
        assert 0 < stage.evaluating_flops < stage.training_flops
        assert all(seconds is not None and seconds > 0 for seconds in stage.gpus.values())
        assert stage.state == 16 * stage.learning, "no state is written in so short a run"
    assert found.starting > 0
    assert found.free_memory is not None
    assert found.free_memory > found.peak
    assert found.lacking == []


def test_nothing_of_a_plan_stays(made: tuple[Plan, Path, list[str]]) -> None:
    _, folder, _ = made
    assert sorted(path.name for path in folder.iterdir() if path.name != "real") == ["corpus.txt", "reviews.csv"]


@pytest.mark.parametrize(
    "wrong",
    [{"data": {"source": "none.csv"}}, {"max_tokens": 4000}, {"train": {"metric": "f2"}}],
    ids=["no rows", "told late", "told at once"],
)
def test_what_a_run_refuses_a_plan_refuses_in_the_same_words(
    wrong: dict[str, Any], base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "reviews.csv", reviews(40))
    recipe = recipe_of(Path("reviews.csv"), base, **wrong)
    refused = []
    for act in (run, plan):
        with pytest.raises(SixfoldError) as caught:
            act(parse(recipe), runs=tmp_path / "runs" / act.__name__)
        refused.append((type(caught.value), str(caught.value)))
    assert refused[0] == refused[1]
    assert not list(tmp_path.rglob(".plan*"))


@pytest.mark.parametrize("split", [False, True])
def test_rows_in_memory_are_refused(split: bool, base: Path, tmp_path: Path) -> None:
    content = recipe_of(tmp_path, base)
    rows = reviews(40)
    content["stages"][0]["finetune"]["data"]["source"] = {"train": rows} if split else rows
    with pytest.raises(UsageError, match="rows in memory"):
        plan(parse(content), runs=tmp_path)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_calibration_of_no_time_is_refused(seconds: float, base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="some seconds"):
        plan(parse(recipe_of(tmp_path, base)), runs=tmp_path, seconds=seconds)


def test_a_damaged_rehearsal_is_no_silent_success(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends without a word: here, because its interpreter is none."""
    write_csv(tmp_path / "reviews.csv", reviews(40))
    recipe = parse(recipe_of(tmp_path / "reviews.csv", base))
    for code, error, said in ((9, RuntimeError, "exit code 9"), (-9, SixfoldError, "too little memory")):
        script = tmp_path / f"python{code}"
        script.write_text(f"#!/bin/sh\n{'kill -9 $$' if code < 0 else f'exit {code}'}\n", encoding="ascii")
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))
        with pytest.raises(error, match=said):
            plan(recipe, runs=tmp_path / "runs")
        assert not list(tmp_path.glob(".plan*"))


def test_the_command_prints_json(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "reviews.csv", reviews(40))
    write_recipe(tmp_path / "a.yaml", recipe_of(Path("reviews.csv"), base))
    monkeypatch.setattr(sys, "argv", ["sixfold", "plan", "a.yaml", "--seconds", "0.1", "--json"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert found["recipe"] == "small"
    assert found["stages"][0]["steps"] == 6, "32 rows in steps of 16, and 8 held out"
    assert "1/1 finetune" in told.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yaml", "reviews.csv"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_plan_that_is_stopped_leaves_nothing(number: signal.Signals, base: Path, tmp_path: Path) -> None:
    write_csv(tmp_path / "reviews.csv", reviews(80))
    train = {"epochs": 1000, "patience": None}
    write_recipe(tmp_path / "a.yaml", recipe_of(Path("reviews.csv"), base, train=train))
    process = start(["plan", "a.yaml", "--seconds", "600"], tmp_path)
    deadline = time.monotonic() + 60
    log = "*/01-finetune/training/events.jsonl"
    while not list(tmp_path.glob(f".plan{log}")):
        assert time.monotonic() < deadline, "training did not begin"
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate(timeout=120)
    assert process.returncode in (130, 128 + signal.SIGTERM)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yaml", "reviews.csv"]
    assert not _working_in(tmp_path)


def _working_in(folder: Path) -> list[str]:
    """Processes whose command line names the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in line:
            found.append(line.decode("utf-8", "replace"))
    return found


@pytest.mark.slow
def test_a_plan_comes_true(tmp_path: Path) -> None:
    """Memory within 20 per cent and time within 30, of a run of half a minute."""
    spec = importlib.util.spec_from_file_location("plan_accuracy", ROOT / "bench/plan_accuracy.py")
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = bench  # its dataclasses look their module up
    spec.loader.exec_module(bench)
    recipe = two_stages(tmp_path, patience=None)
    (tmp_path / "corpus.txt").write_text("\n".join(texts(6000)) + "\n", encoding="utf-8")
    write_csv(tmp_path / "reviews.csv", reviews(3000))
    recipe["stages"][0]["pretrain"]["model"] = {"size": "tiny"}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    found = bench.compare(path, tmp_path, seconds=5.0)
    assert found.early == (1.0, 1.0)
    assert 1 - bench.MEMORY <= found.memory <= 1 + bench.MEMORY, found
    assert 1 - bench.TIME <= found.time <= 1 + bench.TIME, found


def test_an_audit_is_passed_over_and_alone_there_is_nothing_to_plan(base: Path, tmp_path: Path) -> None:
    content = recipe_of(write_csv(tmp_path / "reviews.csv", reviews(40)), base, train={"epochs": 1})
    content["stages"].append({"audit": {"gates": ["accuracy > 0.5"]}})
    lines: list[str] = []
    found = plan(parse(content), runs=tmp_path, seconds=0.2, tell=lines.append)
    assert [stage.kind for stage in found.stages] == ["finetune"]
    assert any("not planned" in line for line in lines)
    with pytest.raises(UsageError, match="nothing to plan"):
        plan(parse({**content, "stages": content["stages"][1:]}), runs=tmp_path)
