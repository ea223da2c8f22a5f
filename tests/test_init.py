"""``sixfold init``: what a user's file is taken for, why, and the recipe that comes out."""

from __future__ import annotations

import csv
from pathlib import Path

import openpyxl
import pytest
import yaml
from rich.console import Console

from sixfold.commands import init
from sixfold.errors import DataError, UsageError

ZH = [("这家酒店的房间很干净，服务员也很热情", "5"), ("早餐太差了，而且隔音不好，不会再来", "1")]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def table(name: str, header: list[str], rows: list[list], encoding: str = "utf-8") -> str:
    with open(name, "w", encoding=encoding, newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return name


def reviews(count: int = 40) -> list[list]:
    return [[n, f"{ZH[n % 2][0]}{n}", ZH[n % 2][1], f"2024-01-{n % 28 + 1:02}"] for n in range(count)]


HEADER = ["编号", "评论", "星级", "日期"]


def finetune(text: str) -> dict:
    return yaml.safe_load(text)["stages"][0]["finetune"]


@pytest.mark.parametrize(("encoding", "named"), [("utf-8", None), ("gb18030", "gb18030"), ("utf-16", "utf-16")])
def test_a_chinese_spreadsheet_in_any_encoding(encoding: str, named: str | None) -> None:
    guess = init.guess(table("评论.csv", HEADER, reviews(), encoding))
    assert (guess.task, guess.columns, guess.encoding) == (
        "text_classification",
        {"text": "评论", "label": "星级"},
        named,
    )
    assert (guess.base, guess.language) == (None, "zh")
    assert guess.split == {"validation": 0.1, "test": 0.1}
    assert "The column '编号' is a number or code of the row: it is not used." in guess.why
    assert "The column '日期' holds dates: it is not used." in guess.why
    assert any("not UTF-8" in sentence and "编号" in sentence for sentence in guess.why) == (named is not None)


def test_an_xlsx_file_and_its_recipe() -> None:
    book = openpyxl.Workbook()
    book.active.append(HEADER)
    for number, text, stars, day in reviews():
        book.active.append([number, text, int(stars), day])
    book.save("评论 1.xlsx")
    console = Console(record=True, width=200)
    path = init.run("评论 1.xlsx", console=console)
    assert path == Path("评论-1.yaml")
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == {
        "name": "评论-1",
        "seed": 13,
        "stages": [
            {
                "finetune": {
                    "task": "text_classification",
                    "scratch": {"size": "tiny"},
                    "data": {
                        "source": "评论 1.xlsx",
                        "columns": {"text": "评论", "label": "星级"},
                        "split": {"validation": 0.1, "test": 0.1},
                    },
                }
            }
        ],
    }
    assert "sixfold run 评论-1.yaml" in console.export_text()
    assert "#   The column '星级' has 2 different short values in 40 rows: this is the label." in path.read_text(
        "utf-8"
    )


def test_an_english_file_starts_from_the_english_base_and_keeps_odd_column_names() -> None:
    rows = [[f"The room number {n} was very clean", ["good", "bad"][n % 2]] for n in range(30)]
    table("in.csv", ["what: they say", "yes"], rows)
    recipe = init.recipe_text(init.guess("in.csv"), Path())
    assert finetune(recipe)["base"] == "minilm-l6"
    assert finetune(recipe)["data"]["columns"] == {"text": "what: they say", "label": "yes"}


def test_several_labels_in_one_cell() -> None:
    rows = [[f"How do I open the door {n} times", ["a;b", "b", "c;a"][n % 3]] for n in range(30)]
    assert init.guess(table("in.csv", ["question", "topics"], rows)).columns == {"text": "question", "labels": "topics"}


def test_conll_columns_are_words_to_tag() -> None:
    Path("news.conll").write_text("EU B-ORG\nrejects O\n\n" * 5, encoding="utf-8")
    guess = init.guess("news.conll")
    assert (guess.task, guess.columns) == ("token_classification", {"words": "words", "tags": "tags"})


def test_lists_of_words_and_tags_in_jsonl() -> None:
    Path("news.jsonl").write_text('{"tokens": ["EU", "says"], "ner": ["B-ORG", "O"]}\n' * 5, encoding="utf-8")
    assert init.guess("news.jsonl").columns == {"words": "tokens", "tags": "ner"}


def test_only_missing_splits_are_cut() -> None:
    rows = [[f"some words and number {n}", "ab"[n % 2]] for n in range(20)]
    Path("set").mkdir()
    table("set/train.csv", ["text", "label"], rows)
    table("set/test.csv", ["text", "label"], rows)
    guess = init.guess("set")
    assert guess.split == {"validation": 0.1}
    assert guess.rows == {"train": 20, "test": 20}


def test_the_longest_text_and_the_usual_label_win() -> None:
    rows = [[f"title {n}", f"a much longer text about thing {n}", "xyz"[n % 3], "ab"[n % 2]] for n in range(40)]
    guess = init.guess(table("in.csv", ["title", "body", "region", "category"], rows))
    assert guess.columns == {"text": "body", "label": "category"}
    assert "The column 'region' has 3 different short values in 40 rows: it is not used." in guess.why


def test_nothing_to_learn_says_what_was_looked_at() -> None:
    rows = [[n, f"some longer text about thing {n}"] for n in range(20)]
    with pytest.raises(DataError, match="no column looks like a label") as caught:
        init.guess(table("in.csv", ["id", "text"], rows))
    assert "'id' is a number or code of the row" in str(caught.value.found)
    assert "'text' holds strings of 6 words" in str(caught.value.found)


def test_a_recipe_is_not_written_over() -> None:
    guess = init.guess(table("in.csv", HEADER, reviews()))
    path = init.write_recipe(guess, Path("new/in.yaml"))
    with pytest.raises(UsageError, match="this recipe is there already"):
        init.write_recipe(guess, path)
    init.write_recipe(guess, path, force=True)
    assert [one.name for one in path.parent.iterdir()] == ["in.yaml"]
    assert finetune(path.read_text(encoding="utf-8"))["data"]["source"] == str(Path("in.csv").absolute())
