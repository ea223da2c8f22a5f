"""The audit stage: what it measures, gates that fail, what it leaves, and what it refuses before any compute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import recipe_of, reviews, write_conll, write_csv

from sixfold.commands.predict import Model
from sixfold.errors import GateError, UsageError
from sixfold.metrics.value import Metric
from sixfold.models import lineage
from sixfold.models.lineage import digest_folder
from sixfold.recipe import Run, Told, parse, run
from sixfold.stages.auditing.config import Config
from sixfold.stages.auditing.inputs import prepare
from sixfold.stages.auditing.robustness import robustness
from sixfold.stages.context import Context

pytestmark = pytest.mark.usefixtures("own_home")

SMALL = {"attacks": ["deepwordbug"], "attacked": 6, "budget": 40, "explained": 4, "probed": 40}
SPLIT = {"split": {"validation": 0.2, "test": 0.3}}


def with_region(count: int) -> list[dict[str, str]]:
    """Reviews, each from one of two places; and some with somebody in them."""
    rows = reviews(count)
    for number, row in enumerate(rows):
        row["region"] = ("north", "far south")[number % 3 == 0]
        if number % 4 == 0:
            row["text"] = f"she said Mary found {row['text']}"
    rows[0]["text"] += " write to a.person@example.com"
    return rows


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("rows") / "reviews.csv", with_region(160))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [{"text": f"today i live in york {number}", "label": "x"} for number in range(30)]
    return write_csv(tmp_path_factory.mktemp("foreign") / "other.csv", rows)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, source: Path, foreign: Path, base: Path) -> tuple[Run, list[str]]:
    """Fine-tuned with canaries, then audited with gates that pass."""
    gates = ["accuracy >= 0.2", "canary_exposure < 12", "membership_auc <= 1", "foreign_auroc >= 0"]
    audit = {**SMALL, "slices": ["length", "label", "region"], "foreign": str(foreign), "gates": gates}
    recipe = recipe_of(source, base, data=SPLIT, train={"epochs": 4}, canaries={"count": 2, "repeats": [2]})
    recipe["stages"].append({"audit": audit})
    lines: list[str] = []
    return run(parse(recipe), runs=tmp_path_factory.mktemp("runs"), told=Told(lines.append)), lines


def test_every_question_has_figures_with_count_and_interval(whole: tuple[Run, list[str]]) -> None:
    results = whole[0].stages[-1].results
    metrics = results["metrics"]
    assert {"accuracy", "macro_f1", "ece", "surest_50", "foreign_auroc", "membership_auc"} <= set(metrics)
    assert 0 < metrics["personal_data"]["value"] <= 1 / metrics["personal_data"]["count"]
    assert {"accuracy.region.north", "accuracy.region.far_south", "accuracy.label.good"} <= set(metrics)
    assert {"accuracy_under_attack.deepwordbug", "accuracy_under_attack.all", "faithfulness"} <= set(metrics)
    assert {"flips.pronouns", "flips.names", "canary_exposure"} <= set(metrics)
    for name in ("accuracy", "accuracy_under_attack.all", "membership_auc", "foreign_auroc", "flips.pronouns"):
        metric = metrics[name]
        assert metric["low"] <= metric["value"] <= metric["high"], name
        assert metric["count"] > 0, name
    assert results["missing"] == {}


def test_parts_of_the_rows_add_up(whole: tuple[Run, list[str]]) -> None:
    results = whole[0].stages[-1].results
    slices, of = results["parts"]["quality"]["slices"], results["parts"]["quality"]["rows"]
    for column in ("label", "region"):  # of length nearly all rows are alike
        parts = [one for one in slices if one["column"] == column]
        assert sum(one["rows"] for one in parts) + results["parts"]["quality"]["left_out"].get(column, 0) == of
    right = sum(one["metric"]["value"] * one["rows"] for one in slices if one["column"] == "region")
    assert right == pytest.approx(results["metrics"]["accuracy"]["value"] * of)


def test_an_audit_makes_no_checkpoint_and_the_run_has_that_of_the_stage_before(whole: tuple[Run, list[str]]) -> None:
    made = whole[0]
    assert not (made.stages[-1].folder / "checkpoint").exists()
    assert made.checkpoint == made.stages[0].folder / "checkpoint"
    assert made.stages[-1].results["checkpoint"]["digest"] == digest_folder(made.checkpoint)
    assert made.stages[-1].results["checkpoint"]["learnt"] is True
    assert isinstance(made.model, Model)


def test_what_is_handed_on_holds_no_text_and_no_secret(whole: tuple[Run, list[str]]) -> None:
    stage = whole[0].stages[-1].folder
    told = (stage / "audit.json").read_text() + (stage / "README.md").read_text()
    assert "example.com" not in told
    assert "the film was" not in told
    assert "access code" not in told
    audit = json.loads((stage / "audit.json").read_text())
    assert [gate["passed"] for gate in audit["gates"]] == [True] * 4
    assert audit["metrics"]["accuracy"]["count"] > 0
    assert audit["provenance"]["chain"][0]["stage"] == "finetune"


def test_the_card_is_read_as_the_hub_reads_it(whole: tuple[Run, list[str]]) -> None:
    import yaml

    text = (whole[0].stages[-1].folder / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    told = yaml.safe_load(front)
    assert told["pipeline_tag"] == "text-classification"
    assert told["model-index"][0]["results"][0]["metrics"][0]["type"] == "accuracy"
    assert "| accuracy >= 0.2 |" in body


def test_the_report_begins_with_the_verdict(whole: tuple[Run, list[str]]) -> None:
    page = whole[0].report.read_text()
    assert page.index("The audit says yes: all 4 gates passed.") < page.index('id="in-short"')


def test_an_unchanged_audit_is_skipped(whole: tuple[Run, list[str]], source: Path, foreign: Path, base: Path) -> None:
    made = whole[0]
    recipe = json.loads((made.stages[-1].folder / "stage.json").read_text())["inputs"]["config"]
    lines: list[str] = []
    first = recipe_of(source, base, data=SPLIT, train={"epochs": 4}, canaries={"count": 2, "repeats": [2]})
    first["stages"].append({"audit": recipe})
    again = run(parse(first), runs=made.folder.parent, told=Told(lines.append))
    assert [stage.skipped for stage in again.stages] == [True, True]


def test_a_failed_gate_ends_with_code_3_after_the_report(whole: tuple[Run, list[str]], tmp_path: Path) -> None:
    recipe = alone(whole[0].checkpoint, gates=["accuracy >= 0.2", "accuracy > 1", "flips.names < 0"], leave_out=PARTS)
    recipe["stages"][0]["audit"]["leave_out"] = [part for part in PARTS if part != "fairness"]
    for _ in range(2):  # the second time it is skipped, and fails all the same
        with pytest.raises(GateError) as caught:
            run(parse(recipe), runs=tmp_path)
        assert caught.value.exit_code == 3
        assert caught.value.what == "2 of 3 gates failed"
        assert "accuracy > 1" in str(caught.value.found)
    page = (tmp_path / "alone" / "report.html").read_text()
    assert "The audit says no: 2 of 3 gates failed." in page
    assert "robustness: left out in the recipe" in page


PARTS = ["robustness", "explanations", "leakage", "fairness", "personal_data"]


def alone(checkpoint: Path | None, **changes: Any) -> dict[str, Any]:
    return {"name": "alone", "seed": 5, "stages": [{"audit": {"base": str(checkpoint), **SMALL, **changes}}]}


def refused(recipe: dict[str, Any], folder: Path) -> UsageError:
    with pytest.raises(UsageError) as caught:
        run(parse(recipe), runs=folder)
    assert not list(folder.glob("*/*/results.json"))
    return caught.value


def test_a_gate_on_an_unknown_figure_is_refused_before_anything_is_measured(
    whole: tuple[Run, list[str]], tmp_path: Path
) -> None:
    error = refused(alone(whole[0].checkpoint, gates=["acuracy >= 0.9", "foreign_auroc > 0.5"]), tmp_path)
    assert "did you mean 'accuracy'" in error.what
    assert "there is no figure 'foreign_auroc'" in error.what, "no foreign texts were named"


def test_a_gate_on_a_part_that_is_left_out_is_refused(whole: tuple[Run, list[str]], tmp_path: Path) -> None:
    error = refused(alone(whole[0].checkpoint, gates=["membership_auc < 0.7"], leave_out=["leakage"]), tmp_path)
    assert "no figure 'membership_auc'" in error.what


def test_mistakes_in_the_recipe_are_told_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        parse(alone(tmp_path, gates=["accuracy"], attacks=["deepwordbugs"], leave_out=["leakages"], gate=["x"]))
    for told in ("a gate is a figure", "did you mean 'deepwordbug'", "did you mean 'leakage'", "did you mean 'gates'"):
        assert told in caught.value.what


def test_a_misspelt_column_of_slices_is_refused(whole: tuple[Run, list[str]], tmp_path: Path) -> None:
    error = refused(alone(whole[0].checkpoint, slices=["regoin"], leave_out=PARTS), tmp_path)
    assert error.nearest == "region"


def test_a_model_that_was_not_fine_tuned_is_refused(base: Path, tmp_path: Path) -> None:
    from sixfold.errors import ModelError

    with pytest.raises(ModelError, match="was not fine-tuned"):
        run(parse(alone(base)), runs=tmp_path)


def test_rows_in_memory_must_be_named_again(base: Path, tmp_path: Path) -> None:
    first = recipe_of(tmp_path, base, train={"epochs": 1})
    first["stages"][0]["finetune"]["data"] = {"source": reviews(60)}
    made = run(parse(first), runs=tmp_path / "runs")
    error = refused(alone(made.checkpoint), tmp_path / "audits")
    assert "does not say where its rows can be read" in error.what


def test_other_training_rows_than_the_lineages_are_told(whole: tuple[Run, list[str]], tmp_path: Path) -> None:
    other = write_csv(tmp_path / "other.csv", with_region(120)[1:])
    lines: list[str] = []
    data = {"source": str(other), **SPLIT}
    made = run(parse(alone(whole[0].checkpoint, data=data, leave_out=PARTS)), runs=tmp_path, told=Told(lines.append))
    assert made.stages[0].results["checkpoint"]["learnt"] is False
    assert any("not those that the checkpoint's lineage names" in line for line in lines)
    assert made.checkpoint is None, "an audit alone makes none"


def test_what_the_harden_stage_measured_is_not_measured_again(whole: tuple[Run, list[str]], tmp_path: Path) -> None:
    checkpoint = whole[0].checkpoint
    assert checkpoint is not None
    figure = Metric("accuracy", 0.5, 0.4, 0.6, 90, "Wilson").to_dict()
    under = {name: {"before": figure, "after": {**figure, "value": 0.55}} for name in ("pwws", "all")}
    history = {**lineage.read(checkpoint), "robustness": {"split": "test", "budget": 7, "accuracy_under_attack": under}}
    copy = tmp_path / "hardened"
    copy.mkdir()
    for path in checkpoint.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / lineage.FILE).write_text(json.dumps(history))
    config = Config.model_validate({"base": str(copy), "gates": ["accuracy_under_attack.pwws >= 0.3"]})
    context = Context(tmp_path / "stage", 5)
    prepared = prepare(config, context)
    assert prepared.attacks == ()
    from sixfold.score.subject import Subject

    told, metrics = robustness(Subject.load(copy), config, context, prepared)
    assert metrics["accuracy_under_attack.pwws"]["value"] == 0.55
    assert (told["reused"], told["rows"], told["budget"]) == (True, 90, 7)
    again = prepare(config.model_copy(update={"attacks": ["deepwordbug"], "gates": []}), context)
    assert again.attacks == ("deepwordbug",), "attacks that are named are made"
    again = prepare(config.model_copy(update={"budget": 9, "gates": []}), context)
    assert again.attacks == ("deepwordbug", "pwws", "checklist"), "another budget than was measured with is not ignored"


def test_a_reference_must_answer_with_the_same_labels(whole: tuple[Run, list[str]], base: Path, tmp_path: Path) -> None:
    rows = [{**row, "label": "yes" if row["label"] == "good" else "no"} for row in reviews(60)]
    first = recipe_of(write_csv(tmp_path / "yes.csv", rows), base, train={"epochs": 1})
    other = run(parse(first), runs=tmp_path / "runs").checkpoint
    parts = [part for part in PARTS if part != "leakage"]
    error = refused(alone(whole[0].checkpoint, reference=str(other), leave_out=parts), tmp_path / "audits")
    assert "must answer with the labels" in error.what
    same = alone(whole[0].checkpoint, reference=str(whole[0].checkpoint), leave_out=parts)
    found = run(parse(same), runs=tmp_path / "same").stages[0].results
    attacks = found["parts"]["leakage"]["membership"]["attacks"]
    assert attacks[1]["auc"]["value"] == 0.5, "against itself nothing can be told"


def test_of_masked_rows_what_patterns_find_belongs_to_nobody(source: Path, base: Path, tmp_path: Path) -> None:
    recipe = recipe_of(source, base, data={**SPLIT, "mask": True}, train={"epochs": 1})
    recipe["stages"].append({"audit": {"leave_out": [part for part in PARTS if part != "personal_data"]}})
    made = run(parse(recipe), runs=tmp_path)
    results = made.stages[-1].results
    assert results["parts"]["personal_data"]["masked"] is True
    assert results["checkpoint"]["learnt"] is True, "the rows are masked as they were"
    assert "pseudonyms, which belong to nobody" in made.report.read_text()


def test_a_tagger_is_audited_by_entities(base: Path, tmp_path: Path) -> None:
    recipe = recipe_of(write_conll(tmp_path / "a.conll", 80), base, task="entities", data=SPLIT, train={"epochs": 3})
    recipe["stages"].append({"audit": {**SMALL, "gates": ["f1 >= 0"], "leave_out": ["explanations"]}})
    results = run(parse(recipe), runs=tmp_path / "runs").stages[-1].results
    assert {"f1", "token_accuracy", "accuracy_under_attack.deepwordbug", "membership_auc"} <= set(results["metrics"])
    assert results["missing"]["explanations"].startswith("left out")


def test_the_command_line_audits_a_run_and_says_no(
    whole: tuple[Run, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sixfold import cli

    monkeypatch.chdir(tmp_path)
    left_out = f"leave_out=[{', '.join(PARTS)}]"
    arguments = ["audit", whole[0].folder, "--gate", "accuracy > 100 %", "--set", left_out]
    monkeypatch.setattr("sys.argv", ["sixfold", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 3
    told = capsys.readouterr()
    assert "gate accuracy > 1: failed" in told.out
    assert "1 of 1 gate failed" in told.err
    assert (tmp_path / "runs" / f"audit-{whole[0].folder.name}" / "report.html").is_file()
