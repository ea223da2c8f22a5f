"""Running a recipe: stages skipped, begun anew and resumed as their inputs say; a run from Python."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_encoder
from tiny_runs import recipe_of, reviews, start, write_csv, write_recipe

from sixfold import recipe as recipes
from sixfold.commands.predict import Model
from sixfold.commands.runs import run_name
from sixfold.errors import Interrupted, SixfoldError, UsageError
from sixfold.models.lineage import digest_folder
from sixfold.recipe import Run, Told, one_stage, parse, run
from sixfold.stages import finetune
from sixfold.train.events import Event, Step
from sixfold.train.tracking import read as read_events

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture(scope="module")
def base(own_home: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("bases") / "tiny", dropout=0.1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("rows") / "reviews.csv", reviews(60))


def ran(recipe: dict[str, Any], folder: Path, **options: Any) -> tuple[Run, list[str]]:
    lines: list[str] = []
    return run(parse(recipe), runs=folder, told=Told(lines.append, **options)), lines


def quick(source: Path, base: Path, **changes: Any) -> dict[str, Any]:
    return recipe_of(source, base, **{**changes, "train": {"epochs": 1, **changes.get("train", {})}})


def test_a_second_run_skips_what_stands_and_loads_no_model(
    tmp_path: Path, source: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = ran(quick(source, base), tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in first.stages[0].folder.rglob("*")}

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(finetune, "load", refuse)
    second, told = ran(quick(source, base), tmp_path)
    assert told[-1] == "  unchanged: skipped"
    assert [stage.skipped for stage in (*first.stages, *second.stages)] == [False, True]
    assert {path: path.stat().st_mtime_ns for path in first.stages[0].folder.rglob("*")} == stamps
    assert second.stages[0].results == json.loads(json.dumps(first.stages[0].results))
    assert second.checkpoint == first.checkpoint


def test_a_change_begins_anew_and_names_what_changed(tmp_path: Path, source: Path, base: Path) -> None:
    recipe = quick(source, base)
    ran(recipe, tmp_path)

    def changed(recipe: dict[str, Any]) -> str:
        made, told = ran(recipe, tmp_path)
        assert not made.stages[0].skipped
        (line,) = [line for line in told if "changed" in line]
        names = re.fullmatch(r"  changed since the last run \((.*)\): starts anew", line)
        assert names is not None
        return names[1]

    recipe["stages"][0]["finetune"]["train"]["clip"] = 2.0
    assert changed(recipe) == "config.train.clip"
    recipe["seed"] = 6
    assert changed(recipe) == "seed"
    rows = reviews(60)
    other = write_csv(tmp_path / "other.csv", rows)
    recipe["stages"][0]["finetune"]["data"]["source"] = str(other)
    assert changed(recipe) == "config.data.source", "the same rows under another name"
    rows[0]["label"] = "bad" if rows[0]["label"] == "good" else "good"
    write_csv(other, rows)
    assert re.fullmatch(r"data\.(train|validation|test)", changed(recipe))
    moved = shutil.copytree(base, tmp_path / "moved")
    recipe["stages"][0]["finetune"]["base"] = str(moved)
    assert changed(recipe) == "config.base"
    config = json.loads((moved / "config.json").read_text())
    (moved / "config.json").write_text(json.dumps({**config, "hidden_dropout_prob": 0.2}))
    assert changed(recipe) == "data.base"
    assert ran(recipe, tmp_path)[0].stages[0].skipped


def test_another_version_of_the_stage_begins_anew(
    tmp_path: Path, source: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(quick(source, base), tmp_path)
    monkeypatch.setattr(finetune, "VERSION", finetune.VERSION + 1)
    _, told = ran(quick(source, base), tmp_path)
    assert "  changed since the last run (version): starts anew" in told


def test_a_short_name_of_a_task_makes_the_same_run(tmp_path: Path, source: Path, base: Path) -> None:
    ran(quick(source, base), tmp_path)
    again, _ = ran(quick(source, base, task="text_classification"), tmp_path)
    assert again.stages[0].skipped


def test_a_run_of_before_a_key_was_there_is_still_finished(tmp_path: Path, source: Path, base: Path) -> None:
    first, _ = ran(quick(source, base), tmp_path)
    note = first.stages[0].folder / "stage.json"
    content = json.loads(note.read_text(encoding="utf-8"))
    config = content["inputs"]["config"]
    config["task"] = "classify"
    del config["word_shapes"]
    del config["train"]["clip"]
    note.write_text(json.dumps({**content, "fingerprint": "of then"}), encoding="utf-8")
    assert ran(quick(source, base), tmp_path)[0].stages[0].skipped
    _, told = ran(quick(source, base, train={"clip": 0.5}), tmp_path)
    assert "  changed since the last run (config.train.clip): starts anew" in told


@pytest.mark.parametrize("gone", ["checkpoint", "results.json", "stage.json"])
def test_a_stage_whose_outcome_was_taken_away_runs_again(tmp_path: Path, source: Path, base: Path, gone: str) -> None:
    first, _ = ran(quick(source, base), tmp_path)
    target = first.stages[0].folder / gone
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    second, _ = ran(quick(source, base), tmp_path)
    assert not second.stages[0].skipped
    assert target.exists()


class CrashError(Exception):
    """Stands for whatever ends a process."""


def crashing(at: int) -> Any:
    def watch(events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            if isinstance(event, Step) and event.step == at:
                raise CrashError
            yield event

    return watch


def losses(stage: Path) -> list[tuple[int, float]]:
    events = read_events(stage / "training" / "events.jsonl")
    return [(event["step"], event["loss"]) for event in events if event["event"] == "step"]


def test_a_broken_run_goes_on_from_its_last_state(tmp_path: Path, source: Path, base: Path) -> None:
    recipe = quick(source, base, train={"epochs": 4, "save_minutes": 0})
    whole, _ = ran(recipe, tmp_path / "whole")
    with pytest.raises(CrashError):
        ran(recipe, tmp_path / "broken", watch=crashing(6))
    stage = tmp_path / "broken" / "small" / "01-finetune"
    assert json.loads((stage / "stage.json").read_text())["status"] == "started"
    assert not (stage / "checkpoint").exists()
    seen: list[Event] = []

    def watch(events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            seen.append(event)
            yield event

    again, told = ran(recipe, tmp_path / "broken", watch=watch)
    assert next(event.step for event in seen if isinstance(event, Step)) == 6
    assert not any("anew" in line for line in told)
    assert losses(stage) == losses(whole.stages[0].folder)
    assert digest_folder(again.checkpoint) == digest_folder(whole.checkpoint)


def test_a_broken_run_with_changed_inputs_is_refused_with_the_difference(
    tmp_path: Path, source: Path, base: Path
) -> None:
    recipe = quick(source, base, train={"epochs": 2, "save_minutes": 0})
    with pytest.raises(CrashError):
        ran(recipe, tmp_path, watch=crashing(3))
    training = tmp_path / "small" / "01-finetune" / "training"
    states = [path.name for path in training.glob("state-*")]
    changed = quick(write_csv(tmp_path / "other.csv", reviews(66)), base, train={"epochs": 3, "save_minutes": 0})
    with pytest.raises(UsageError, match="inputs have changed since") as caught:
        ran({**changed, "seed": 77}, tmp_path)
    told = str(caught.value.found).split("; ")
    assert "config.train.epochs: 2.0 -> 3.0" in told
    assert "seed: 5 -> 77" in told
    assert f'config.data.source: "{source}" -> "{tmp_path / "other.csv"}"' in told
    assert [line for line in told if re.fullmatch(r"data\.train: [0-9a-f]{12} -> [0-9a-f]{12}", line)]
    assert str(training) in str(caught.value.hint)
    assert [path.name for path in training.glob("state-*")] == states, "nothing is thrown away"
    assert not any("anew" in line for line in ran(recipe, tmp_path)[1]), "what was put back goes on"


def test_a_broken_run_with_changed_inputs_begins_anew_once_its_training_is_deleted(
    tmp_path: Path, source: Path, base: Path
) -> None:
    recipe = quick(source, base, train={"epochs": 2, "save_minutes": 0})
    with pytest.raises(CrashError):
        ran(recipe, tmp_path, watch=crashing(3))
    shutil.rmtree(tmp_path / "small" / "01-finetune" / "training")
    recipe["seed"] = 77
    made, told = ran(recipe, tmp_path)
    assert any("(seed): starts anew" in line for line in told)
    assert [step for step, _ in losses(made.stages[0].folder)] == list(range(1, 7))


def test_a_training_whose_inputs_nobody_knows_any_more_is_refused(tmp_path: Path, source: Path, base: Path) -> None:
    recipe = quick(source, base, train={"epochs": 2, "save_minutes": 0})
    with pytest.raises(CrashError):
        ran(recipe, tmp_path, watch=crashing(3))
    (tmp_path / "small" / "01-finetune" / "stage.json").unlink()
    with pytest.raises(UsageError) as caught:
        ran(recipe, tmp_path)
    assert caught.value.found == "stage.json, which said what they were, is missing or damaged"


def test_the_second_stage_starts_from_the_first_and_follows_its_changes(
    tmp_path: Path, source: Path, base: Path
) -> None:
    recipe = quick(source, base)
    second = {"task": "classify", "name": "again", "data": {"source": str(source)}, "train": {"epochs": 1}}
    recipe["stages"].append({"finetune": second})
    made, told = ran(recipe, tmp_path)
    assert [stage.name for stage in made.stages] == ["01-finetune", "02-again"]
    first_digest = digest_folder(made.stages[0].folder / "checkpoint")
    assert made.stages[1].results["lineage"]["parent"] == first_digest
    assert "2/2 finetune" in "\n".join(told)
    recipe["stages"][0]["finetune"]["train"]["clip"] = 0.5
    made, told = ran(recipe, tmp_path)
    assert [line for line in told if "changed" in line] == [
        "  changed since the last run (config.train.clip): starts anew",
        "  changed since the last run (data.base): starts anew",
    ]
    second["train"]["clip"] = 0.5
    made, told = ran(recipe, tmp_path)
    assert [stage.skipped for stage in made.stages] == [True, False]
    page = made.report.read_text(encoding="utf-8")
    assert "finetune, then finetune again" in page


def test_a_stage_that_the_recipe_no_longer_has_is_left_out(tmp_path: Path, source: Path, base: Path) -> None:
    """Its folder stays, but neither the report nor ``predict`` takes it for a part of the run."""
    recipe = quick(source, base)
    other = {**recipe["stages"][0]["finetune"], "name": "zz-other"}
    recipe["stages"].append({"finetune": other})
    ran(recipe, tmp_path)
    del recipe["stages"][1]
    made, told = ran(recipe, tmp_path)
    assert (tmp_path / "small" / "02-zz-other").is_dir()
    assert "zz-other" not in made.report.read_text(encoding="utf-8")
    assert Model.load(made.folder).folder == made.checkpoint
    assert any("02-zz-other" in line for line in told), "it is told"


def test_stopping_saves_and_the_same_recipe_goes_on(tmp_path: Path, source: Path, base: Path) -> None:
    recipe = quick(source, base, train={"epochs": 4})
    whole, _ = ran(recipe, tmp_path / "whole")
    asked = iter([False] * 4 + [True])
    with pytest.raises(Interrupted, match="the state is saved") as caught:
        ran(recipe, tmp_path / "stopped", stop=lambda: next(asked))
    assert caught.value.exit_code == 130
    stage = tmp_path / "stopped" / "small" / "01-finetune"
    assert [path.name for path in (stage / "training").glob("state-*")] == ["state-00000005"]
    made, _ = ran(recipe, tmp_path / "stopped")
    assert losses(stage) == losses(whole.stages[0].folder)
    assert digest_folder(made.checkpoint) == digest_folder(whole.checkpoint)
    assert not list((stage / "training").glob("*state-*"))


def test_ctrl_c_saves_and_exits_130_and_the_same_command_goes_on(tmp_path: Path, source: Path, base: Path) -> None:
    recipe = quick(source, base, train={"epochs": 200, "patience": None})
    write_recipe(tmp_path / "a.yaml", recipe)
    log = tmp_path / "runs" / "small" / "01-finetune" / "training" / "events.jsonl"
    process = start(["run", "a.yaml"], tmp_path)
    deadline = time.monotonic() + 90
    while not (log.exists() and len(read_events(log)) > 12) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "stopping after this step" in out
    assert "stopped; the state is saved" in err
    assert "run the same command to go on" in err
    assert "Traceback" not in out + err
    done = len(losses(log.parents[1]))
    assert 0 < done < 600
    made, _ = ran(recipe, tmp_path / "runs")
    whole, _ = ran(recipe, tmp_path / "whole")
    starts = [event["first_step"] for event in read_events(log) if event["event"] == "started"]
    assert starts == [0, done]
    assert losses(log.parents[1]) == losses(whole.stages[0].folder)
    assert digest_folder(made.checkpoint) == digest_folder(whole.checkpoint)


def test_from_python_rows_make_a_run(tmp_path: Path, base: Path) -> None:
    import pandas as pd

    import sixfold

    frame = pd.DataFrame(reviews(60)).rename(columns={"text": "review"})
    given = {"base": str(base), "runs": tmp_path, "quiet": True, "train": {"epochs": 1, "precision": "fp32"}}
    made = sixfold.finetune(frame, columns={"text": "review"}, **given)
    assert made.model.predict(["the film was good"])[0].keys() >= {"text", "label", "confidence"}
    assert "accuracy" in made._repr_html_()
    with pytest.raises(SixfoldError, match="did you mean 'epochs'"):
        sixfold.finetune(frame, base=str(base), runs=tmp_path, quiet=True, train={"epoch": 1})
    assert sixfold.finetune(frame, columns={"text": "review"}, **given).stages[0].skipped
    assert recipes.Run is type(made)
    assert made.folder == tmp_path / "finetune"
    assert made.stages[0].results["lineage"]["config"]["data"]["source"] == "<DataFrame>"
    assert len(repr(made)) < 1000


def test_rows_in_memory_get_into_no_lineage(tmp_path: Path, base: Path) -> None:
    import sixfold

    rows = reviews(60)
    sources = [rows, {"train": rows[0]["text"], "test": Path("t.csv")}, [Path("a.csv")]]
    dumped = [one_stage("finetune", {"task": "ner", "data": {"source": one}}, (), name="a", seed=1) for one in sources]
    assert [one.model_dump(mode="json")["stages"][0]["finetune"]["data"]["source"] for one in dumped] == [
        "<rows>",
        {"train": rows[0]["text"], "test": "t.csv"},
        ["a.csv"],
    ]
    made = sixfold.finetune(rows, base=str(base), runs=tmp_path, quiet=True, train={"epochs": 1, "precision": "fp32"})
    assert "the film was" not in (made.checkpoint / "lineage.json").read_text(encoding="utf-8")


def test_a_run_from_python_is_named_after_its_source(tmp_path: Path, source: Path, base: Path) -> None:
    import sixfold

    given: dict[str, Any] = {"base": str(base), "runs": tmp_path, "quiet": True, "train": {"epochs": 1}}
    assert sixfold.finetune(source, **given).folder == tmp_path / "reviews"
    assert sixfold.finetune(str(source), name="mine", **given).folder == tmp_path / "mine"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("data/reviews.csv", "reviews"),
        ("reviews.v2.jsonl.gz", "reviews.v2"),
        ("评论 1.xlsx", "评论-1"),
        ("data/*.csv", "data"),
        ("conll2003_en:honest", "conll2003_en-honest"),
        ("hf:owner/name", "name"),
        ({"train": ["a.csv", "b.csv"], "test": "c.csv"}, "a"),
        ([Path("x/first.csv"), "second.csv"], "first"),
        ([{"text": "a"}], ""),
        ("..", ""),
    ],
)
def test_what_a_run_is_called_when_nobody_says(source: Any, name: str) -> None:
    assert run_name(source) == name
