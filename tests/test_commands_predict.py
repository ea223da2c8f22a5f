"""A checkpoint that answers: from Python, from files and lines of any length, in order, in constant memory."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_runs import environment, recipe_of, reviews, write_conll, write_csv

from sixfold.commands import predict
from sixfold.commands.predict import Model, checkpoint_of, json_lines, lineage_of, text_lines, written
from sixfold.errors import DataError, ModelError, StorageError, UsageError
from sixfold.recipe import Run, parse, run

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Run:
    folder = tmp_path_factory.mktemp("classifier")
    source = write_csv(folder / "a.csv", reviews(60))
    return run(parse(recipe_of(source, base, train={"epochs": 4}, on_long="truncate")), runs=folder)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Run:
    folder = tmp_path_factory.mktemp("tagger")
    source = write_conll(folder / "a.conll", 60)
    return run(parse(recipe_of(source, base, task="entities", train={"epochs": 8})), runs=folder)


@pytest.fixture
def model(classifier: Run) -> Model:
    return classifier.model


def texts(count: int) -> list[str]:
    return [row["text"] for row in reviews(count)]


# From Python


def test_answers_come_in_order_and_say_what_they_answer(model: Model) -> None:
    found = model.predict(texts(7))
    assert [answer["text"] for answer in found] == texts(7)
    assert set(found[0]) == {"text", "label", "confidence", "probabilities"}
    for answer in found:
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert found.cut.rows == 7


def test_one_text_is_a_list_of_one(model: Model) -> None:
    assert list(model.predict("the film was good")) == list(model.predict(["the film was good"]))


def test_nothing_is_answered_for_nothing(model: Model, tagger: Run) -> None:
    assert list(model.predict([])) == []
    assert list(tagger.model.predict([])) == []


def test_a_frame_and_rows_are_read_by_the_task_s_column(model: Model) -> None:
    import pandas as pd

    rows = [{"text": text, "number": place} for place, text in enumerate(texts(3))]
    expected = list(model.predict(texts(3)))
    assert list(model.predict(rows)) == expected
    assert list(model.predict(pd.DataFrame(rows))) == expected
    with pytest.raises(DataError, match="there is no column 'text'"):
        model.predict([{"txt": "a"}])


def test_rows_named_as_the_training_file_need_no_columns(tmp_path: Path, base: Path) -> None:
    """The checkpoint remembers which column the text stood in; other names are given."""
    rows = [{"opinion": row["text"], "verdict": row["label"]} for row in reviews(60)]
    content = recipe_of(write_csv(tmp_path / "a.csv", rows), base, train={"epochs": 1})
    content["stages"][0]["finetune"]["data"]["columns"] = {"text": "opinion", "label": "verdict"}
    done = run(parse(content), runs=tmp_path)
    answers = done.model.predict(rows[:3])
    assert [answer["text"] for answer in answers] == texts(3)
    renamed = [{"said": row["opinion"]} for row in rows[:3]]
    assert Model.load(done.folder, columns={"text": "said"}).predict(renamed) == answers


def test_a_pandas_series_is_a_list_of_texts(model: Model) -> None:
    pandas = pytest.importorskip("pandas")
    assert model.predict(pandas.Series(texts(3))) == model.predict(texts(3))


@pytest.mark.parametrize("bad", ["", None, 3, [], "half \ud83d"])
def test_what_is_no_text_is_told_with_its_place(model: Model, bad: Any) -> None:
    with pytest.raises(DataError, match="1 of 2 texts are empty or no text") as caught:
        model.predict(["good", bad])
    assert caught.value.where == "number 1"


def test_words_are_no_text_for_a_classifier(model: Model) -> None:
    with pytest.raises(DataError, match="no text"):
        model.predict([["the", "film"]])


def test_words_that_are_no_strings_are_told(tagger: Run) -> None:
    with pytest.raises(DataError, match="no text") as caught:
        tagger.model.predict([["i", "love"], ["i", 3]])
    assert caught.value.where == "number 1"


def test_long_texts_are_counted(model: Model) -> None:
    assert model.predict(["good " * 100, "bad"]).cut.long_rows == 1


def test_a_tagger_takes_text_or_words(tagger: Run) -> None:
    (first,) = tagger.model.predict("i love new york")
    (second,) = tagger.model.predict([["i", "love", "new", "york"]])
    assert first["words"] == second["words"] == ["i", "love", "new", "york"]
    assert first["tags"] == second["tags"] == ["O", "O", "B-LOC", "I-LOC"]
    assert first["text"] == "i love new york"


@pytest.mark.parametrize("text", ["!!!", "   ", "\u200b", "🙂", "a" * 200])
def test_odd_texts_are_answered(model: Model, tagger: Run, text: str) -> None:
    assert model.predict([text, "good"])[1] == model.predict(["good"])[0]
    answers = tagger.model.predict([text, "i love"])
    assert len(answers) == 2
    assert answers[1]["words"] == ["i", "love"]


def test_jupyter_shows_what_is_escaped(model: Model) -> None:
    page = model.predict(["<script>alert(1)</script>"])._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "text_classification" in model._repr_html_()


# Checkpoints


def test_a_run_a_stage_and_a_checkpoint_name_the_same_model(classifier: Run) -> None:
    stage = classifier.stages[0].folder
    assert {checkpoint_of(place) for place in (classifier.folder, stage, stage / "checkpoint")} == {
        classifier.checkpoint
    }
    assert lineage_of(classifier.folder)["stage"] == "finetune"


def test_answers_in_bf16_are_near_those_in_fp32(classifier: Run, tagger: Run) -> None:
    exact, rough = (Model.load(classifier.folder, precision=name).predict(texts(7)) for name in ("fp32", "bf16"))
    confidences = [[one["confidence"] for one in answers] for answers in (exact, rough)]
    assert np.abs(np.subtract(*confidences)).max() < 0.05
    assert confidences[0] != confidences[1]
    assert len(Model.load(tagger.folder, precision="bf16").predict(["Anna lives in Rome"])) == 1


def test_a_base_has_no_task(base: Path) -> None:
    with pytest.raises(ModelError, match="not fine-tuned by sixfold") as caught:
        Model.load(base)
    assert "sixfold finetune" in str(caught.value.hint)


def test_a_checkpoint_that_is_not_there_shows_the_nearest(classifier: Run) -> None:
    with pytest.raises(UsageError, match="there is no model"):
        Model.load(classifier.folder.parent / "smal")


def copied(classifier: Run, folder: Path) -> Path:
    return shutil.copytree(classifier.checkpoint, folder / "checkpoint")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_damaged_checkpoint_is_told(classifier: Run, tmp_path: Path, name: str, how: str) -> None:
    folder = copied(classifier, tmp_path)
    if how == "gone":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    with pytest.raises((ModelError, UsageError)):
        Model.load(folder)


@pytest.mark.parametrize(
    "settings", [{"task": "text_classification"}, {"task": "x", "max_tokens": 9, "on_long": "error"}, [1], {"odd": 1}]
)
def test_settings_that_are_not_ours_are_told(classifier: Run, tmp_path: Path, settings: Any) -> None:
    folder = copied(classifier, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    if "odd" in settings:
        settings = {**config["sixfold"], **settings}
    (folder / "config.json").write_text(json.dumps({**config, "sixfold": settings}))
    with pytest.raises((ModelError, UsageError)):
        Model.load(folder)


# Starting

STARTED = """
import gc, sys
from sixfold.commands.predict import Model
from sixfold.errors import UsageError

def heavy():
    return [name for name in ("torch", "transformers", "datasets", "pandas") if name in sys.modules]

try:
    Model.load("nonesuch")
except UsageError:
    print(heavy())
model = Model.load(sys.argv[1])
print(len(list(model.predict_lines(["good", "bad"]))), len(model.predict("good")), heavy())
print(gc.isenabled(), gc.get_freeze_count() > 100_000)
frozen = gc.get_freeze_count()
Model.load(sys.argv[1])
print(gc.get_freeze_count() == frozen)
"""


def test_a_wrong_name_is_told_before_anything_large_is_imported_and_texts_need_no_tables(classifier: Run) -> None:
    command = [sys.executable, "-c", STARTED, str(classifier.folder)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, env=environment()).stdout.splitlines()
    assert lines[:2] == ["[]", "2 1 ['torch', 'transformers']"]
    assert lines[2:] == ["True True", "True"], "what was imported is out of the collector's way; a model is not"


# Files and lines


def test_a_file_is_answered_in_order_whatever_the_chunk(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_csv(tmp_path / "a.csv", reviews(25))
    whole = list(model.predict_file(str(source)))
    monkeypatch.setattr(predict, "CHUNK", 4)
    cut = list(model.predict_file(str(source)))
    assert [answer["text"] for answer in cut] == [answer["text"] for answer in whole] == texts(25)
    assert [answer["label"] for answer in cut] == [answer["label"] for answer in whole]
    for first, second in zip(whole, cut, strict=True):
        assert first["confidence"] == pytest.approx(second["confidence"], abs=2e-6)


def test_a_packed_file_and_another_encoding_are_read(model: Model, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(json.dumps({"text": "good"}).encode() + b"\n"))
    assert [answer["text"] for answer in model.predict_file(str(tmp_path / "a.jsonl.gz"))] == ["good"]
    (tmp_path / "b.csv").write_bytes("text\n房间很好\n".encode("gb18030"))
    found = model.predict_file(str(tmp_path / "b.csv"), encoding="gb18030")
    assert [answer["text"] for answer in found] == ["房间很好"]


def test_a_bad_row_is_told_with_its_line_in_the_file(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = reviews(9)
    rows[6]["text"] = ""
    source = write_csv(tmp_path / "a.csv", rows)
    monkeypatch.setattr(predict, "CHUNK", 3)
    answers = model.predict_file(str(source))
    assert [next(answers)["text"] for _ in range(6)] == texts(6), "what came before is answered"
    with pytest.raises(DataError, match=r"a\.csv:8"):
        next(answers)


def test_lines_are_answered_as_they_come(model: Model) -> None:
    found = list(model.predict_lines(f"{text}\r\n" for text in texts(5)))
    assert [answer["text"] for answer in found] == texts(5)


def test_an_empty_line_is_refused_with_its_number(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "CHUNK", 2)
    with pytest.raises(DataError, match="a line is empty") as caught:
        list(model.predict_lines(["good\n", "bad\n", "good\n", " \n"]))
    assert caught.value.where == "line 4 of the input"


def test_lines_of_bytes_are_utf_8_unless_said_otherwise() -> None:
    assert list(text_lines(["\ufeff好\n".encode(), b"a"])) == ["好\n", "a"]
    assert list(text_lines(["好\n".encode("gb18030")], "gb18030")) == ["好\n"]
    with pytest.raises(DataError, match="not utf-8") as caught:
        list(text_lines([b"good\n", "房\n".encode("gb18030")]))
    assert caught.value.where == "line 2 of the input"
    assert "--encoding" in str(caught.value.hint)
    with pytest.raises(UsageError, match="no encoding 'utf-9'"):
        list(text_lines([b"a"], "utf-9"))


def test_a_word_file_is_tagged(tagger: Run, tmp_path: Path) -> None:
    source = write_conll(tmp_path / "new.conll", 3)
    found = list(tagger.model.predict_file(str(source)))
    assert [answer["words"][1] for answer in found] == ["love"] * 3
    (tmp_path / "b.csv").write_text("text\ni love new york\n")
    assert next(tagger.model.predict_file(str(tmp_path / "b.csv")))["tags"] == ["O", "O", "B-LOC", "I-LOC"]


def test_answers_are_one_json_object_a_line_with_chinese_as_it_is() -> None:
    assert list(json_lines([{"text": "好\n", "n": 1}])) == ['{"text": "好\\n", "n": 1}']


def test_a_file_of_answers_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    assert written(iter(["1", "2"]), target) == 2
    assert target.read_text() == "1\n2\n"

    def broken() -> Iterator[str]:
        yield "3"
        raise DataError("the second row is bad")

    with pytest.raises(DataError):
        written(broken(), target)
    assert target.read_text() == "1\n2\n"
    assert list(tmp_path.iterdir()) == [target]
    for wrong in (tmp_path / "none" / "out.jsonl", target / "out.jsonl"):
        with pytest.raises(StorageError, match="could not be written"):
            written(iter(["1"]), wrong)


def test_only_the_owner_may_read_answers(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("an older file, for all")
    target.chmod(0o644)
    written(["1"], target)
    assert target.stat().st_mode & 0o777 == 0o600


# Evaluating


def test_evaluating_gives_what_the_stage_measured(classifier: Run, tmp_path: Path) -> None:
    lines = (classifier.stages[0].folder / "predictions" / "test.jsonl").read_text().splitlines()
    golds = [json.loads(line)["gold"] for line in lines]
    measured = classifier.stages[0].results["evaluations"]["test"]
    import datasets

    from sixfold.stages.rows import DataConfig, prepare_rows

    task = classifier.model.task
    source = classifier.stages[0].results["data"]["source"]
    rows = prepare_rows(DataConfig(source=source), task.columns, seed=5).rows
    assert list(rows["test"]["label"]) == golds
    result = classifier.model.evaluate(datasets.DatasetDict({"test": rows["test"]}), seed=5)
    assert result["metrics"] == measured["metrics"]
    assert (result["split"], result["long_rows"]) == ("test", 0)


def test_evaluating_takes_columns_and_a_split(classifier: Run, tmp_path: Path) -> None:
    rows = [{"review": row["text"], "stars": row["label"]} for row in reviews(12)]
    source = write_csv(tmp_path / "a.csv", rows)
    columns = {"text": "review", "label": "stars"}
    result = classifier.model.evaluate(str(source), columns=columns)
    assert (result["split"], result["count"]) == ("train", 12)
    with pytest.raises(UsageError, match="there is no split 'tset'"):
        classifier.model.evaluate({"test": str(source)}, split="tset", columns=columns)
    with pytest.raises(DataError, match="there is no column 'reviw'"):
        classifier.model.evaluate(str(source), columns={**columns, "text": "reviw"})


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(model: Model, tmp_path: Path) -> None:
    """Eight times the rows may not take more than a few megabytes more."""
    import resource

    rows = reviews(1000)
    source = tmp_path / "a.csv"

    def peak(times: int) -> int:
        with source.open("w", encoding="utf-8") as file:
            file.write("text\n")
            for _ in range(times):
                file.writelines(row["text"] + "\n" for row in rows)
        count = written(json_lines(model.predict_file(str(source))), tmp_path / "out.jsonl")
        assert count == times * 1000
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    small, large = peak(10), peak(80)
    assert large - small < 40_000, "kilobytes"
