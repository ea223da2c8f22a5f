"""The fine-tuning stage: what it leaves agrees with itself, and its checkpoint is an ordinary one."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_decoder
from tiny_runs import recipe_of, reviews, write_conll, write_csv

from sixfold.commands.predict import Model
from sixfold.errors import DataError, SixfoldError, UsageError
from sixfold.models.lineage import digest_folder
from sixfold.recipe import Run, Told, parse, run
from sixfold.train.tracking import read as read_events

pytestmark = pytest.mark.usefixtures("own_home")

SCRIPT = "<script>alert('x')</script>"


@dataclass(frozen=True)
class Finished:
    """A run that is over, and what it was made from."""

    run: Run
    base: Path
    csv: Path
    told: list[str]

    @property
    def stage(self) -> Path:
        return self.run.stages[0].folder

    @property
    def results(self) -> dict[str, Any]:
        return json.loads((self.stage / "results.json").read_text(encoding="utf-8"))


def finished(folder: Path, source: Path, base: Path, **changes: Any) -> Finished:
    told: list[str] = []
    made = run(parse(recipe_of(source, base, **changes)), runs=folder / "runs", told=Told(told.append))
    return Finished(made, base, source, told)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Finished:
    folder = tmp_path_factory.mktemp("finetune")
    rows = reviews(96)
    rows[3]["text"] += f" {SCRIPT}"
    rows += [{"text": f"{SCRIPT} new {n}", "label": f"{SCRIPT} &"} for n in range(24)]
    return finished(folder, write_csv(folder / "reviews.csv", rows), base, train={"epochs": 6})


def test_the_run_has_every_file(done: Finished) -> None:
    found = {str(path.relative_to(done.run.folder)) for path in done.run.folder.rglob("*") if path.is_file()}
    board = {name for name in found if "/tensorboard/events.out.tfevents." in name}
    stage = "01-finetune"
    checkpoint = {f"{stage}/checkpoint/{name}" for name in ("config.json", "model.safetensors", "lineage.json")}
    checkpoint |= {f"{stage}/checkpoint/{name}" for name in ("tokenizer.json", "tokenizer_config.json")}
    rest = {f"{stage}/{name}" for name in ("stage.json", "results.json", "training/events.jsonl")}
    rest |= {f"{stage}/predictions/{split}.jsonl" for split in ("validation", "test")}
    assert len(board) == 1
    assert found == {"report.html", "run.json", ".lock"} | board | checkpoint | rest, (
        "no saved state, nothing temporary"
    )


def test_the_results_agree_with_the_events(done: Finished) -> None:
    events = read_events(done.stage / "training" / "events.jsonl")
    training = done.results["training"]
    steps = [event for event in events if event["event"] == "step"]
    assert [step["loss"] for step in training["steps"]] == [step["loss"] for step in steps]
    assert training["tokens"] == sum(step["tokens"] for step in steps)
    evaluated = [event for event in events if event["event"] == "evaluated"]
    assert [line["metrics"] for line in training["evaluations"]] == [event["scores"] for event in evaluated]
    best = max(evaluated, key=lambda event: (event["scores"]["macro_f1"], -event["scores"]["loss"]))
    assert training["best_step"] == best["step"]
    assert events[-1]["event"] == "stopped"


def test_tensorboard_agrees_with_the_events(done: Finished) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(done.stage / "training" / "tensorboard")).Reload()
    steps = done.results["training"]["steps"]
    assert [point.value for point in board.Scalars("train/loss")] == pytest.approx([step["loss"] for step in steps])
    found = [point.value for point in board.Scalars("validation/macro_f1")]
    assert found == pytest.approx([line["metrics"]["macro_f1"] for line in done.results["training"]["evaluations"]])


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_predictions_give_the_metrics(done: Finished, split: str) -> None:
    text = (done.stage / "predictions" / f"{split}.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    result = done.results["evaluations"][split]
    assert len(lines) == result["count"] == done.results["data"]["splits"][split]["rows"]
    right = np.mean([line["gold"] == line["label"] for line in lines])
    assert result["metrics"]["accuracy"]["value"] == pytest.approx(right)
    for line in lines:
        assert max(line["probabilities"], key=line["probabilities"].get) == line["label"]
        assert line["confidence"] == pytest.approx(max(line["probabilities"].values()), abs=1e-6)
    assert len({line["row"] for line in lines}) == len(lines)


def test_the_best_step_s_score_is_the_validation_score(done: Finished) -> None:
    """The weights that are kept are those of the best evaluation."""
    training = done.results["training"]
    best = next(line for line in training["evaluations"] if line["step"] == training["best_step"])
    for name in ("accuracy", "macro_f1"):
        value = done.results["evaluations"]["validation"]["metrics"][name]["value"]
        assert value == pytest.approx(best["metrics"][name], abs=1e-9)


def test_the_lineage_names_base_data_config_seed_and_metrics(done: Finished) -> None:
    lineage = json.loads((done.stage / "checkpoint" / "lineage.json").read_text(encoding="utf-8"))
    assert lineage["parent"] == digest_folder(done.base)
    assert lineage["seed"] == 5
    assert lineage["stage"] == "finetune"
    assert lineage["config"]["train"]["epochs"] == 6
    assert set(lineage["data"]) == {"train", "validation", "test", "base"}
    for split in ("train", "validation", "test"):
        assert lineage["data"][split] == done.results["data"]["splits"][split]["digest"]
    for split in ("validation", "test"):
        assert lineage["metrics"][split] == done.results["evaluations"][split]["metrics"]
    assert lineage == done.results["lineage"]


def test_the_checkpoint_gives_the_same_logits_in_plain_transformers(done: Finished) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = done.run.checkpoint
    theirs = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ours = Model.load(folder)
    texts = ["the film was good", "a bad, bad book", "new"]
    with torch.inference_mode():
        logits = theirs(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    rows = ours._rows(texts)
    found = ours.task.predict(ours.scorer, ours.task.encode(rows, ours.tokenizer, 64, "error").examples)
    np.testing.assert_allclose(np.stack([each.logits for each in found]), logits.numpy(), atol=1e-5)
    assert theirs.config.id2label == dict(enumerate(ours.task.head().labels))
    assert theirs.config.id2label[int(logits[0].argmax())] == "good"


def test_what_was_tuned_is_in_the_checkpoint(done: Finished) -> None:
    task: Any = Model.load(done.run.checkpoint).task
    calibration = done.results["evaluations"]["test"]["calibration"]
    assert task.temperature == calibration["temperature"]["value"]
    assert task.labels == (SCRIPT + " &", "bad", "good")


@pytest.mark.parametrize("length", [62, 64])
def test_a_text_of_just_the_limit_is_answered(done: Finished, length: int) -> None:
    """The checkpoint keeps the limit itself, not what is left of it beside the special tokens."""
    model = Model.load(done.run.checkpoint)
    assert model.limit == 64
    assert len(model.predict(" ".join(["good"] * (length - 2)))) == 1
    with pytest.raises(DataError, match="longer than the limit of 64 tokens"):
        model.predict(" ".join(["good"] * 63))


def test_the_report_is_one_file_that_asks_nothing_of_the_network(done: Finished) -> None:
    page = (done.run.folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://", page)
    assert not re.search(r"<(link|script|img|iframe)[^>]*\b(src|href)=", page)


def test_the_report_escapes_texts_and_labels(done: Finished) -> None:
    page = (done.run.folder / "report.html").read_text(encoding="utf-8")
    assert SCRIPT not in page
    assert "&lt;script&gt;alert" in page
    assert "alert('x')" not in page.replace("&lt;script&gt;alert('x')", "")
    html = done.run._repr_html_()
    assert SCRIPT not in html


def test_it_tells_what_it_does(done: Finished) -> None:
    text = "\n".join(done.told)
    assert "1/1 finetune" in text
    assert re.search(r"train: 9\d rows, the longest \d+ tokens, nothing cut", text), text
    assert "new weights: classifier.bias, classifier.weight" in text


def test_the_same_seed_makes_the_same_model_and_another_another(tmp_path: Path, done: Finished) -> None:
    again = finished(tmp_path / "again", done.csv, done.base, train={"epochs": 6})
    assert digest_folder(again.run.checkpoint) == digest_folder(done.run.checkpoint)
    recipe = {**recipe_of(done.csv, done.base, train={"epochs": 1}), "seed": 6}
    other = run(parse(recipe), runs=tmp_path / "other")
    one = run(parse({**recipe, "seed": 5}), runs=tmp_path / "one")
    assert digest_folder(other.checkpoint) != digest_folder(one.checkpoint)


@pytest.mark.parametrize("task", ["classify", "entities"])
def test_a_frozen_base_is_in_the_checkpoint_bit_for_bit(task: str, tmp_path: Path, base: Path) -> None:
    source = write_csv(tmp_path / "a.csv", reviews(60))
    if task == "entities":
        source = write_conll(tmp_path / "a.conll", 60)
    made = finished(tmp_path, source, base, task=task, train={"epochs": 1, "train_base": False})
    before, after = load_file(base / "model.safetensors"), load_file(made.run.checkpoint / "model.safetensors")
    same = {name.removeprefix("bert."): value for name, value in after.items() if name.startswith("bert.")}
    assert same
    for name, value in same.items():
        if name == "embeddings.token_type_embeddings.weight":
            value = value[:2] if task == "classify" else value[:1]
            assert (after["bert." + name] == after["bert." + name][:1]).all() or task == "classify"
        assert torch.equal(value, before[name][: len(value)]), name


def test_entities_end_to_end(tmp_path: Path, base: Path) -> None:
    made = finished(tmp_path, write_conll(tmp_path / "a.conll", 90), base, task="entities", train={"epochs": 12})
    result = made.results["evaluations"]["test"]
    assert result["kind"] == "entities"
    assert result["metrics"]["f1"]["value"] > 0.9
    line = json.loads((made.stage / "predictions" / "test.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert {"row", "gold", "tags", "entities"} == line.keys()
    answers = made.run.model.predict(["i love new york"])
    assert answers[0]["entities"][0]["type"] == "LOC"
    assert (answers[0]["entities"][0]["start"], answers[0]["entities"][0]["end"]) == (2, 4)
    assert "report.html" in str(made.run.report)


def test_a_model_that_finds_no_entity_at_all_is_told_and_reported(tmp_path: Path, base: Path) -> None:
    """Its precision has no value: nothing was found that could be right."""
    lines = [line for n in range(60) for line in (*(f"word{n}{m} O" for m in range(5)), "")]
    lines += [line for n in range(12) for line in ("Ada B-PER", *(f"spoke{n}{m} O" for m in range(5)), "")]
    rare = tmp_path / "rare.conll"
    rare.write_text("\n".join(lines) + "\n", encoding="utf-8")
    made = finished(tmp_path, rare, base, task="entities", train={"epochs": 2})
    assert made.results["evaluations"]["validation"]["metrics"]["precision"]["value"] is None
    assert any("validation:" in line and "precision undefined" in line for line in made.told)
    assert "<table" in (made.run.folder / "report.html").read_text(encoding="utf-8")


def test_several_labels_end_to_end(tmp_path: Path, base: Path) -> None:
    rows = [
        {"text": row["text"], "labels": ";".join([row["label"], *(["film"] if "film" in row["text"] else [])])}
        for row in reviews(90)
    ]
    source = write_csv(tmp_path / "a.csv", rows)
    made = finished(tmp_path, source, base, several=True, train={"epochs": 4})
    result = made.results["evaluations"]["test"]
    assert result["kind"] == "multilabel"
    assert set(result["labels"]) == {"bad", "film", "good"}
    task: Any = made.run.model.task
    assert len(task.thresholds) == 3
    answer = made.run.model.predict("the film was good")[0]
    assert set(answer) == {"text", "labels", "confidence", "probabilities"}
    assert isinstance(answer["labels"], list)


def test_a_new_encoder_needs_no_base(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", reviews(60))
    recipe = recipe_of(source, Path("none"), scratch={"size": "tiny"}, train={"epochs": 1})
    recipe["stages"][0]["finetune"].pop("base")
    made = run(parse(recipe), runs=tmp_path / "runs")
    lineage = made.stages[0].results["lineage"]
    assert (lineage["parent"], lineage["base"]) == (None, "scratch")
    assert len(made.model.predict(["the film was good"])) == 1


def test_chinese_names_by_characters_from_nothing(tmp_path: Path) -> None:
    lines = []
    for number in range(80):
        place, verb = ("北京", "上海")[number % 2], "去在到爱"[number % 4]
        lines += [f"{verb} O", f"{place[0]} B-LOC", f"{place[1]} I-LOC", "很 O", f"{'好大美'[number % 3]} O", ""]
    (tmp_path / "a.conll").write_text("\n".join(lines) + "\n", encoding="utf-8")
    recipe = recipe_of(tmp_path / "a.conll", Path("none"), task="entities", scratch={"size": "tiny"})
    stage = recipe["stages"][0]["finetune"]
    stage.pop("base")
    stage["data"].update({"allow": ["overlaps"], "split": {"validation": 0.2, "test": 0.2}})
    stage["train"].update({"epochs": 6})
    made = run(parse(recipe), runs=tmp_path / "runs")
    (answer,) = made.model.predict("我爱北京")
    assert answer["words"] == ["我", "爱", "北", "京"]
    assert [(one["type"], one["start"], one["end"]) for one in answer["entities"]] == [("LOC", 2, 4)]


def test_a_decoder_classifies_too(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", reviews(60))
    made = finished(tmp_path, source, tiny_decoder(tmp_path / "decoder"), train={"epochs": 1})
    assert made.results["evaluations"]["test"]["count"] > 0
    assert len(made.run.model.predict(["the film was good"])) == 1


LONG = [*reviews(60), {"text": "good " * 40 + "and it is in the city", "label": "good"}]


def test_long_texts_of_all_splits_are_refused_before_training_with_their_places(tmp_path: Path, base: Path) -> None:
    source = write_csv(tmp_path / "a.csv", LONG)
    test = write_csv(tmp_path / "t.csv", [{**row, "text": f"{row['text']} again"} for row in LONG])
    data = {"source": {"train": str(source), "test": str(test)}}
    told = r"2 of 122 texts \(1.6%\) are longer than the limit of 32 tokens; the longest has 53"
    with pytest.raises(DataError, match=told) as caught:
        finished(tmp_path, source, base, max_tokens=32, data=data)
    assert caught.value.where == f"{source}:62, {test}:62"
    assert not (tmp_path / "runs" / "small" / "01-finetune" / "training").exists()


def test_more_tokens_than_the_base_reads_are_refused_with_both_numbers(tmp_path: Path, base: Path) -> None:
    source = write_csv(tmp_path / "a.csv", reviews(60))
    with pytest.raises(UsageError, match="max_tokens is 65, and the base reads 64 tokens at most"):
        finished(tmp_path, source, base, max_tokens=65)
    assert finished(tmp_path, source, base, max_tokens=64, train={"epochs": 1}).run.model.limit == 64


def test_rows_that_lost_every_entity_are_told_and_reported(tmp_path: Path, base: Path) -> None:
    sentences = "".join("the O\n" * 20 + f"n{number} B-LOC\n\n" for number in range(30))
    (tmp_path / "a.conll").write_text(sentences + "a O\nnew B-LOC\n\n" * 30, encoding="utf-8")
    made = finished(
        tmp_path,
        tmp_path / "a.conll",
        base,
        task="entities",
        max_tokens=16,
        on_long="truncate",
        data={"split": {}},
        train={"epochs": 1},
    )
    (line,) = (line for line in made.told if line.strip().startswith("train: 60 rows"))
    assert "30 longer than 16 tokens: 260 tokens cut away, and all there is to learn in 30 rows" in line
    assert made.results["data"]["cut"]["by_split"]["train"]["unlearnable"] == 30
    assert "all there is to learn in 30 rows" in made.run.report.read_text(encoding="utf-8")


@pytest.mark.parametrize(("on_long", "lost", "windows"), [("truncate", 16, 0), ("window", 0, 1)])
def test_long_texts_are_counted_and_told(tmp_path: Path, base: Path, on_long: str, lost: int, windows: int) -> None:
    source = write_csv(tmp_path / "a.csv", LONG)
    made = finished(tmp_path, source, base, max_tokens=32, on_long=on_long, train={"epochs": 1})
    cut = made.results["data"]["cut"]
    assert (cut["rows"], cut["tokens"], cut["on_long"]) == (1, lost, on_long)
    assert sum(part["windows"] for part in cut["by_split"].values()) == windows
    assert any("1 longer than 32 tokens" in line for line in made.told)
    answers = made.run.model.predict([LONG[-1]["text"]])
    assert answers.cut.long_rows == 1


def test_dropped_rows_are_counted_in_results_and_told(tmp_path: Path, base: Path) -> None:
    rows = [*reviews(60), {"text": "", "label": "good"}, {"text": "x", "label": ""}]
    source = write_csv(tmp_path / "a.csv", rows)
    with pytest.raises(DataError, match="2 problems"):
        finished(tmp_path, source, base)
    made = finished(tmp_path, source, base, data={"on_bad": "drop"}, train={"epochs": 1})
    assert sum(line["rows"] for line in made.results["data"]["dropped"]) == 2
    assert [line for line in made.told if " of train dropped: " in line] == [
        "  1 row of train dropped: text is empty",
        "  1 row of train dropped: label is empty",
    ]
    lineage = json.loads((made.stage / "checkpoint" / "lineage.json").read_text(encoding="utf-8"))
    assert lineage["data_notes"] == [
        f"error: text is empty ({source}:62)",
        f"error: label is empty ({source}:63)",
        "1 row of train dropped: text is empty",
        "1 row of train dropped: label is empty",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "task"), [("trec", "classify"), ("cluener", "entities")])
def test_real_rows_run_end_to_end(tmp_path: Path, name: str, task: str) -> None:
    if "SIXFOLD_DATA" not in os.environ:
        pytest.skip("SIXFOLD_DATA does not name the folder of public data sets")
    recipe = recipe_of(Path(name), Path("none"), task=task, scratch={"size": "tiny"}, on_long="window")
    stage = recipe["stages"][0]["finetune"]
    stage.pop("base")
    stage["data"].update({"limit": 400, "overlaps": "remove"})
    made = run(parse(recipe), runs=tmp_path)
    assert made.report.is_file()
    for result in made.stages[0].results["evaluations"].values():
        assert result["count"] > 100
        assert all(
            0 <= metric["low"] <= metric["value"] <= metric["high"] <= 1 for metric in result["metrics"].values()
        )


# What a user may get wrong


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": "no/such/base"}, "there is no model 'no/such/base'"),
        ({"task": "clasify"}, "clasify"),
        ({"data": {"columns": {"text": "txt"}}}, "there is no column 'txt'"),
        ({"data": {"columns": {"txt": "text"}}}, "there is no column role 'txt'"),
        ({"data": {"split": {"validation": 2.0}}}, "between 0 and 1"),
        ({"data": {"format": "cvs"}}, "there is no format 'cvs'"),
        ({"train": {"metric": "macrof1"}}, "there is no metric 'macrof1'"),
        ({"max_tokens": 2}, "leaves no room"),
        ({"task": "entities", "class_weights": "balanced"}, "text_classification"),
    ],
)
def test_a_mistake_is_told_and_not_traced(tmp_path: Path, base: Path, changes: dict[str, Any], message: str) -> None:
    source = write_csv(tmp_path / "a.csv", reviews(60))
    with pytest.raises(SixfoldError, match=re.escape(message)):
        finished(tmp_path, source, changes.pop("base", base), **changes)


def test_rows_without_a_train_split_are_told(tmp_path: Path, base: Path) -> None:
    source = write_csv(tmp_path / "a.csv", reviews(60))
    for split in ({}, {"validation": 0.1}):
        recipe = recipe_of(source, base, data={"source": {"test": str(source)}, "split": split, "limit": 10})
        with pytest.raises(SixfoldError, match="no train split"):
            run(parse(recipe), runs=tmp_path / "runs")


def test_a_file_too_small_to_split_is_told(tmp_path: Path, base: Path) -> None:
    source = write_csv(tmp_path / "a.csv", reviews(4))
    with pytest.raises(DataError, match="would be empty"):
        finished(tmp_path, source, base)


def test_training_without_validation_and_test_works(tmp_path: Path, base: Path) -> None:
    source = write_csv(tmp_path / "a.csv", reviews(20))
    made = finished(tmp_path, source, base, data={"split": {}}, train={"epochs": 1})
    assert made.results["evaluations"] == {}
    assert made.run.report.is_file()
    assert len(made.run.model.predict(["good"])) == 1


def test_nothing_to_fine_tune_is_told(tmp_path: Path) -> None:
    recipe = recipe_of(write_csv(tmp_path / "a.csv", reviews(60)), Path("x"))
    recipe["stages"][0]["finetune"].pop("base")
    with pytest.raises(UsageError, match="nothing to fine-tune") as caught:
        run(parse(recipe), runs=tmp_path / "runs")
    assert "base: minilm-l6" in str(caught.value.hint)
