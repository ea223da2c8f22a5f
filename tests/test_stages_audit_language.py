"""The audit of language models: held-out loss, what they give away, what has no meaning for them, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_runs import recipe_of, reviews, write_csv

from sixfold.errors import GateError, UsageError
from sixfold.models.lineage import digest_folder
from sixfold.recipe import Run, Told, parse, run
from sixfold.report.show import interval

pytestmark = pytest.mark.usefixtures("own_home")

CANARIES = {"count": 2, "repeats": [1, 16]}
PARTS = ["robustness", "explanations", "leakage", "fairness", "personal_data"]


def documents(count: int) -> list[str]:
    """Distinct texts of three to five sentences; every eighth names a mailbox at its end."""
    said = [row["text"] for row in reviews(5 * count)]
    rows = [". ".join(said[5 * n : 5 * n + 3 + n % 3]) for n in range(count)]
    return [f"{text}, write to bob{n}@corp{n}.org" if n % 8 == 0 else text for n, text in enumerate(rows)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    path.write_text("\n".join(documents(240)) + "\n", encoding="utf-8")
    return path


def of_pretrain(corpus: Path, **stage: Any) -> dict[str, Any]:
    train = {"epochs": 3, "batch": 8, "learning_rate": 3e-3, "precision": "fp32"}
    mask = stage.pop("mask", False)
    text = {"source": str(corpus), "near": "off", "held_out": 0.2, "mask": mask}
    shape = {"model": {"size": "tiny", "width": 32, "heads": 2}, "tokenizer": {"kind": "bpe", "vocabulary": 400}}
    return {"pretrain": {"corpus": text, "context": 128, "train": train, "canaries": CANARIES, **shape, **stage}}


def audited(corpus: Path, folder: Path, audit: dict[str, Any], **stage: Any) -> tuple[Run, list[str]]:
    lines: list[str] = []
    recipe = {"name": "a", "seed": 5, "stages": [of_pretrain(corpus, **stage), {"audit": audit}]}
    return run(parse(recipe), runs=folder, told=Told(lines.append)), lines


@pytest.fixture(scope="module")
def decoder(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[str]]:
    gates = ["loss < 9", "membership_auc <= 1", "extracted < 1", "canary_finished < 1"]
    return audited(corpus, tmp_path_factory.mktemp("runs"), {"probed": 60, "gates": gates}, objective="causal_lm")


@pytest.fixture(scope="module")
def encoder(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[str]]:
    return audited(corpus, tmp_path_factory.mktemp("runs"), {"probed": 60}, objective="masked_lm")


def test_a_decoder_has_figures_with_count_and_interval(decoder: tuple[Run, list[str]]) -> None:
    stages = decoder[0].stages
    metrics = stages[-1].results["metrics"]
    assert metrics.keys() >= {
        *("loss", "perplexity", "accuracy", "bits_per_byte", "membership_auc", "canary_exposure"),
        *("canary_finished", "extracted", "extracted_personal_data", "personal_data"),
    }
    for name in ("loss", "perplexity", "membership_auc", "extracted", "canary_finished", "personal_data"):
        metric = metrics[name]
        assert metric["low"] <= metric["value"] <= metric["high"], name
        assert metric["count"] > 0, name
    own = stages[0].results["evaluations"]["held_out"]["metrics"]["loss"]
    assert metrics["loss"]["value"] == pytest.approx(own["value"], rel=1e-5), "as the stage itself measured it"
    assert 0.05 < metrics["personal_data"]["value"] < 0.3
    assert metrics["personal_data"]["count"] == 60


def test_parts_of_the_documents_add_up(decoder: tuple[Run, list[str]]) -> None:
    results = decoder[0].stages[-1].results
    quality = results["parts"]["quality"]
    lengths = [one for one in quality["slices"] if one["column"] == "length"]
    assert len(lengths) > 1
    assert sum(one["rows"] for one in lengths) + quality["left_out"].get("length", 0) == quality["rows"]
    assert f"loss.length.{lengths[0]['value']}" in results["metrics"]
    targets = sum(one["metric"]["count"] for one in lengths)
    if "length" not in quality["left_out"]:
        assert targets == results["metrics"]["loss"]["count"]


def test_what_has_no_meaning_is_named_with_the_reason(
    decoder: tuple[Run, list[str]], encoder: tuple[Run, list[str]]
) -> None:
    missing = decoder[0].stages[-1].results["missing"]
    assert set(missing) == {"robustness", "explanations", "fairness", "calibration", "foreign texts"}
    assert all(why.startswith("the model gives no label") for why in missing.values())
    missing = encoder[0].stages[-1].results["missing"]
    assert missing["documents written out"] == "a model that fills in hidden words writes no text"
    page = decoder[0].report.read_text("utf-8")
    assert "Not measured: calibration: the model gives no label to be sure of" in page


def test_a_model_that_fills_in_words_is_audited_too(encoder: tuple[Run, list[str]]) -> None:
    results = encoder[0].stages[-1].results
    metrics = results["metrics"]
    assert {"loss", "perplexity", "membership_auc", "canary_exposure", "personal_data"} <= set(metrics)
    assert not {"bits_per_byte", "extracted", "canary_finished"} & set(metrics)
    assert results["checkpoint"]["learnt"] is True


def test_the_report_the_card_and_the_json_tell_of_it(decoder: tuple[Run, list[str]]) -> None:
    made = decoder[0]
    page = made.report.read_text("utf-8")
    assert page.index("The audit says yes: all 4 gates passed.") < page.index('id="in-short"')
    for told in ("Canaries finished from half of their secrets", "The next 32 tokens", "Results on held-out documents"):
        assert told in page, told
    stage = made.stages[-1].folder
    text = (stage / "README.md").read_text("utf-8")
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["pipeline_tag"] == "text-generation"
    assert "that writes a text on. It reads up to 128 tokens" in body
    assert "On held-out rows" in body
    audit = json.loads((stage / "audit.json").read_text("utf-8"))
    assert [gate["passed"] for gate in audit["gates"]] == [True] * 4
    told = json.dumps(audit) + text
    assert not [word for word in ("corp8", "password", "the film was") if word in told]


def test_a_loss_is_not_told_in_per_cent(decoder: tuple[Run, list[str]]) -> None:
    made = decoder[0]
    page = made.report.read_text("utf-8")
    metrics = made.stages[-1].results["metrics"]
    overview = page[page.index('id="in-short"') :]
    assert overview.index(interval(metrics["loss"])) < overview.index("</table>")
    assert overview.index(interval(metrics["accuracy"])) < overview.index("</table>")
    assert " %" in interval(metrics["accuracy"])


def test_an_unchanged_audit_is_skipped(decoder: tuple[Run, list[str]], corpus: Path) -> None:
    config = json.loads((decoder[0].stages[-1].folder / "stage.json").read_text())["inputs"]["config"]
    recipe = {"name": "a", "seed": 5, "stages": [of_pretrain(corpus, objective="causal_lm"), {"audit": config}]}
    assert [stage.skipped for stage in run(parse(recipe), runs=decoder[0].folder.parent).stages] == [True, True]


def test_under_a_mask_no_canary_is_known_and_what_is_found_belongs_to_nobody(corpus: Path, tmp_path: Path) -> None:
    made, lines = audited(corpus, tmp_path, {"probed": 60}, objective="causal_lm", mask=True, train={"epochs": 8})
    results = made.stages[-1].results
    assert results["checkpoint"]["learnt"] is True, "the documents are masked as they were"
    assert not any("not those that" in line for line in lines)
    assert results["parts"]["personal_data"]["masked"] is True
    assert results["parts"]["leakage"]["canaries"]["masked"] is True
    often = results["parts"]["leakage"]["canaries"]["levels"][1]
    assert often["repeats"] == 16
    assert often["at_cap"] == 0
    assert results["metrics"]["canary_finished"]["value"] == 0
    page = made.report.read_text("utf-8")
    assert "pseudonyms, which belong to nobody" in page
    assert "canaries too" in page
    assert "Personal data that was masked" in page, "the report of pretraining shows it"


def alone(checkpoint: Path | None, **changes: Any) -> dict[str, Any]:
    return {"name": "alone", "seed": 5, "stages": [{"audit": {"base": str(checkpoint), "probed": 40, **changes}}]}


def test_other_documents_than_the_lineages_are_told(decoder: tuple[Run, list[str]], tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("\n".join(documents(200)[1:]) + "\n", encoding="utf-8")
    recipe = alone(decoder[0].checkpoint, data={"source": str(other)}, leave_out=PARTS)
    results = run(parse(recipe), runs=tmp_path / "runs").stages[0].results
    assert results["checkpoint"]["learnt"] is False
    assert results["missing"]["leakage"].startswith("left out")
    assert results["data"]["near"] == "off", "documents are cut and compared as the lineage says"


def test_a_reference_must_cut_text_into_the_same_tokens(
    decoder: tuple[Run, list[str]], base: Path, tmp_path: Path
) -> None:
    parts = [part for part in PARTS if part != "leakage"]
    with pytest.raises(UsageError, match="the same tokens"):
        run(parse(alone(decoder[0].checkpoint, reference=str(base), leave_out=parts)), runs=tmp_path)
    recipe = alone(decoder[0].checkpoint, reference=str(decoder[0].checkpoint), leave_out=parts)
    found = run(parse(recipe), runs=tmp_path / "same").stages[0].results
    assert found["parts"]["leakage"]["membership"]["attacks"][1]["auc"]["value"] == 0.5


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"gates": ["los < 3"]}, "did you mean 'loss'"),
        ({"gates": ["accuracy_under_attack.all > 0"]}, "there is no figure"),
        ({"foreign": "other.txt"}, "foreign would do nothing for a causal_lm"),
        ({"attacked": 5, "explained": 3}, "attacked, explained would do nothing"),
        ({"slices": ["region"]}, "region"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_measured(
    changes: dict[str, Any], told: str, decoder: tuple[Run, list[str]], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=told):
        run(parse(alone(decoder[0].checkpoint, **changes)), runs=tmp_path)
    assert not list(tmp_path.glob("*/*/results.json"))


def test_keys_of_labelled_rows_are_refused(decoder: tuple[Run, list[str]], corpus: Path, tmp_path: Path) -> None:
    data = {"source": str(corpus), "limit": 10, "group": "customer"}
    with pytest.raises(UsageError, match=r"data\.group, data\.limit would do nothing"):
        run(parse(alone(decoder[0].checkpoint, data=data)), runs=tmp_path)


def test_an_objective_that_is_not_audited_is_refused(corpus: Path, tmp_path: Path) -> None:
    stage = of_pretrain(corpus, objective="sentence_order", canaries=None)
    stage["pretrain"].pop("canaries")
    made = run(parse({"name": "o", "seed": 5, "stages": [stage]}), runs=tmp_path)
    with pytest.raises(UsageError, match="is for causal_lm and masked_lm, and this one learnt sentence_order"):
        run(parse(alone(made.checkpoint)), runs=tmp_path)


def test_documents_too_short_to_be_written_out_are_told(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("\n".join(f"the bank opened {n} times" for n in range(120)), encoding="utf-8")
    made, _ = audited(path, tmp_path / "runs", {"probed": 40}, objective="causal_lm", canaries=None)
    results = made.stages[-1].results
    assert results["missing"]["documents written out"].startswith("no training document has 48 tokens")
    assert "extracted" not in results["metrics"]
    assert "canary_exposure" not in results["metrics"]
    assert "No canaries were planted" in made.report.read_text("utf-8")


def test_the_command_line_audits_a_decoder_and_says_no(
    decoder: tuple[Run, list[str]],
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from sixfold import cli

    monkeypatch.chdir(tmp_path)
    arguments = ["audit", decoder[0].folder, "--data", corpus, "--gate", "loss < 0.01", "--set", "leave_out=[leakage]"]
    monkeypatch.setattr("sys.argv", ["sixfold", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == GateError("x").exit_code == 3
    assert "gate loss < 0.01: failed" in capsys.readouterr().out


def test_a_fine_tuned_checkpoint_behind_a_pretrained_one_is_audited_by_its_rows(corpus: Path, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", reviews(100))
    second = recipe_of(source, tmp_path, train={"epochs": 1})["stages"][0]
    second["finetune"].pop("base")
    stages = [of_pretrain(corpus, objective="masked_lm"), second, {"audit": {"leave_out": PARTS}}]
    results = run(parse({"name": "b", "seed": 5, "stages": stages}), runs=tmp_path / "runs").stages[-1].results
    assert results["task"] == "text_classification"
    assert results["checkpoint"]["digest"] == digest_folder(next((tmp_path / "runs/b").glob("02-*/checkpoint")))
