"""Reading a recipe: every mistake told at once with the nearest name; the schema. Running: ``test_recipe_run.py``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tiny_runs import reviews, write_csv, write_recipe

from sixfold.errors import SixfoldError, UsageError
from sixfold.models.scratch import SIZES
from sixfold.recipe import load, one_stage, parse, run, schema
from sixfold.tasks.token_classification import TokenClassification

pytestmark = pytest.mark.usefixtures("own_home")

ROOT = Path(__file__).parents[1]


def mistakes(recipe: Any) -> list[str]:
    with pytest.raises(UsageError) as caught:
        parse(recipe)
    head, *lines = caught.value.what.splitlines()
    assert head == f"{len(lines)} mistake{'s' * (len(lines) > 1)} in the recipe:"
    assert caught.value.exit_code == 2
    return [line.strip() for line in lines]


# Reading a recipe


STAGE = {"task": "classify", "base": "b", "data": {"source": "a.csv"}}


def test_every_mistake_is_told_at_once_with_the_nearest_key() -> None:
    wrong = {
        "name": "two words",
        "sed": 3,
        "stages": [
            {
                "finetune": {
                    "task": "classify",
                    "bse": "minilm-l6",
                    "data": {"source": "a.csv", "limt": 3, "overlaps": "keep"},
                    "train": {"epoch": 3, "batch": "many", "schedule": "linaer", "warmup": 1.5},
                }
            },
            {"fintune": STAGE},
            {"finetune": {"data": {}}},
        ],
    }
    found = mistakes(wrong)
    told = {line.partition(":")[0]: line for line in found}
    assert len(told) == len(found)
    assert told["sed"] == "sed: there is no such key; did you mean 'seed'?"
    assert told["stages.0.finetune.bse"].endswith("did you mean 'base'?")
    assert told["stages.0.finetune.data.limt"].endswith("did you mean 'limit'?")
    assert told["stages.0.finetune.train.epoch"].endswith("did you mean 'epochs'?")
    assert told["stages.1.fintune"].endswith("did you mean 'finetune'?")
    assert "(found: 'many')" in told["stages.0.finetune.train.batch"]
    assert "'linear', 'cosine', 'constant' or 'wsd'" in told["stages.0.finetune.train.schedule"]
    assert "less than 1 (found: 1.5)" in told["stages.0.finetune.train.warmup"]
    assert "'error' or 'remove'" in told["stages.0.finetune.data.overlaps"]
    assert told["stages.2.finetune.task"] == "stages.2.finetune.task: field required"
    assert told["stages.2.finetune.data.source"] == "stages.2.finetune.data.source: field required"
    assert "name" in told


def test_a_misspelt_task_is_told_with_the_other_mistakes_before_any_stage_runs() -> None:
    found = mistakes({"name": "a", "stages": [{"finetune": STAGE}, {"finetune": {**STAGE, "task": "clasify", "x": 1}}]})
    assert len(found) == 2
    assert "stages.1.finetune.task: there is no task 'clasify'; did you mean 'classify'? (found: 'clasify')" in found


def test_keys_that_do_not_fit_the_task_are_told_before_any_stage_runs() -> None:
    (told,) = mistakes({"name": "a", "stages": [{"finetune": {**STAGE, "task": "entities", "several": True}}]})
    assert "several only fits text_classification" in told


@pytest.mark.parametrize(
    ("change", "near"),
    [
        ({"train": {"metric": "macrof1"}}, "did you mean 'macro_f1'?"),
        ({"train": {"metric": "micro_f"}, "several": True}, "did you mean 'micro_f1'?"),
        ({"train": {"metric": "tokenaccuracy"}, "task": "entities"}, "did you mean 'token_accuracy'?"),
        ({"train": {"metric": "bleu"}}, "known here: accuracy, macro_f1, loss"),
    ],
)
def test_a_misspelt_metric_is_told_before_any_stage_runs(change: dict[str, Any], near: str) -> None:
    (told,) = mistakes({"name": "a", "stages": [{"finetune": {**STAGE, **change}}]})
    assert told.startswith(f"stages.0.finetune: there is no metric '{change['train']['metric']}' (train.metric) for ")
    assert told.endswith(near)


def test_every_score_of_a_task_can_be_the_metric() -> None:
    for task, names in {
        "classify": ("accuracy", "macro_f1", "loss"),
        "entities": TokenClassification.score_names,
    }.items():
        for name in names:
            stage = {**STAGE, "task": task, "train": {"metric": name}}
            assert parse({"name": "a", "stages": [{"finetune": stage}]}).stages[0].finetune.train.metric == name  # type: ignore[attr-defined]


def test_a_misspelt_size_is_told_with_the_nearest_one() -> None:
    stage = {"task": "classify", "data": {"source": "a.csv"}, "scratch": {"size": "tinny"}}
    (told,) = mistakes({"name": "a", "stages": [{"finetune": stage}]})
    assert "input should be 'tiny', 'mini' or 'small' (found: 'tinny'); did you mean 'tiny'?" in told
    assert schema()["$defs"]["ScratchConfig"]["properties"]["size"]["enum"] == list(SIZES)


def test_base_and_scratch_exclude_each_other() -> None:
    (told,) = mistakes({"name": "a", "stages": [{"finetune": {**STAGE, "scratch": {"size": "tiny"}}}]})
    assert "base and scratch exclude each other" in told


@pytest.mark.parametrize("entry", [{}, None, "finetune", {"finetune": None}, {"finetune": STAGE, "harden": {}}])
def test_an_entry_under_stages_is_one_stage_with_its_keys(entry: Any) -> None:
    (told,) = mistakes({"name": "a", "stages": [entry]})
    assert told.startswith("stages.0")


@pytest.mark.parametrize("content", [None, [], "text", 3, {"name": "a"}, {"name": "a", "stages": []}])
def test_what_is_no_recipe_is_told(content: Any) -> None:
    for line in mistakes(content):
        assert re.match(r"[\w.]+: \w", line), line


@pytest.mark.parametrize("name", ["../up", "a/b", "", "a b", ".", ".."])
def test_a_name_that_would_leave_the_runs_folder_is_refused(name: str) -> None:
    (told,) = mistakes({"name": name, "stages": [{"finetune": STAGE}]})
    assert told.startswith("name: ")
    (told,) = mistakes({"name": "a", "stages": [{"finetune": {**STAGE, "name": "../../up"}}]})
    assert told.startswith("stages.0.finetune.name: ")


def test_a_file_that_is_no_yaml_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: [a\nstages: }")
    (tmp_path / "b.yaml").write_bytes(b"name: \xff\xfe")
    for name in ("a.yaml", "b.yaml"):
        with pytest.raises(UsageError, match="cannot be read as YAML") as caught:
            load(tmp_path / name)
        assert caught.value.where == tmp_path / name
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path)


def test_a_missing_recipe_shows_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text("name: a")
    with pytest.raises(UsageError, match="there is no recipe") as caught:
        load(tmp_path / "dmeo.yaml")
    assert caught.value.nearest == "demo.yaml"
    with pytest.raises(UsageError, match="there is no recipe"):
        load(tmp_path / "none" / "dmeo.yaml")


def test_yaml_can_build_no_python_object(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: !!python/object/apply:os.system ['exit 1']")
    with pytest.raises(UsageError, match="cannot be read as YAML"):
        load(tmp_path / "a.yaml")


def test_a_path_beside_the_recipe_is_taken_from_there(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", reviews(4))
    (tmp_path / "bases").mkdir()
    stage = {
        "task": "classify",
        "base": "bases",
        "data": {"source": {"train": "train.csv", "test": ["t*.csv", "no.csv"]}},
    }
    made: Any = load(write_recipe(tmp_path / "a.yaml", {"name": "a", "stages": [{"finetune": stage}]}))
    config = made.stages[0].finetune
    assert config.base == str(tmp_path / "bases")
    assert config.data.source == {"train": str(tmp_path / "train.csv"), "test": [str(tmp_path / "t*.csv"), "no.csv"]}


def test_an_empty_source_is_told_and_not_traced(tmp_path: Path) -> None:
    made = load(
        write_recipe(tmp_path / "a.yaml", {"name": "a", "stages": [{"finetune": {**STAGE, "data": {"source": ""}}}]})
    )
    with pytest.raises(SixfoldError):
        run(made, runs=tmp_path)


def test_a_number_with_an_exponent_is_a_number(tmp_path: Path) -> None:
    """YAML 1.1 reads 1e-3 as text."""
    made: Any = one_stage("finetune", STAGE, ["train.learning_rate=1e-3"], name="a", seed=1)
    assert made.stages[0].finetune.train.learning_rate == 1e-3


def test_flags_change_nested_keys() -> None:
    changes = ["train.epochs=0.5", "train.patience=null", "data.columns.text=review", "data.split={}"]
    made: Any = one_stage("finetune", STAGE, changes, name="My reviews!", seed=9)
    stage = made.stages[0].finetune
    assert (made.name, made.seed) == ("My-reviews", 9)
    assert (stage.train.epochs, stage.train.patience) == (0.5, None)
    assert (stage.data.columns, stage.data.split) == ({"text": "review"}, {})
    assert "train" not in STAGE, "what was given is not changed"


@pytest.mark.parametrize(
    "change",
    ["train.epochs", "train.epochs=[1", "task.epochs=3", "data.source.train=x", "train.epoch=3", "=3", "a..b=3"],
)
def test_a_flag_that_fits_nothing_is_told(change: str) -> None:
    with pytest.raises(UsageError):
        one_stage("finetune", STAGE, [change], name="a", seed=1)


@pytest.mark.parametrize("value", ["{text:review}", "{text:review, label: stars}", "{text: review", "{text: a: b}"])
def test_a_mapping_that_yaml_reads_otherwise_shows_one_that_works(value: str) -> None:
    with pytest.raises(UsageError, match="--set") as caught:
        one_stage("finetune", STAGE, [f"data.columns={value}"], name="a", seed=1)
    for change in ("data.columns={text: review}", "data.columns.text=review"):
        assert change in str(caught.value.hint)
        made: Any = one_stage("finetune", STAGE, [change], name="a", seed=1)
        assert made.stages[0].finetune.data.columns == {"text": "review"}


# The schema


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.name)
def test_the_schema_accepts_the_recipes_that_come_along(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(content, schema())
    assert load(path).name == content["name"]


@pytest.mark.parametrize(
    "change", [{"sed": 1}, {"name": "a b"}, {"stages": []}, {"stages": [{"finetune": {**STAGE, "epochs": 3}}]}]
)
def test_the_schema_refuses_what_the_recipe_refuses(change: dict[str, Any]) -> None:
    wrong = {"name": "a", "stages": [{"finetune": STAGE}], **change}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema())
    mistakes(wrong)


def test_every_key_of_the_schema_that_needs_one_has_a_description() -> None:
    for name in ("TrainConfig", "DataConfig"):
        for key, entry in schema()["$defs"][name]["properties"].items():
            assert entry.get("description"), f"{name}.{key}"
