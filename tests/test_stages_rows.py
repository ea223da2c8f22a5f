"""From a recipe's ``data:`` to rows: files without a header, and rows of one group that stay in one split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openpyxl
import pytest
from tiny_runs import reviews, write_csv

from sixfold.errors import DataError, SixfoldError, UsageError
from sixfold.stages.context import unmarked
from sixfold.stages.rows import DataConfig, Prepared, prepare_rows
from sixfold.tasks.text_classification import TextClassification

pytestmark = pytest.mark.usefixtures("own_home")


def prepared(source: Any, **keys: Any) -> Prepared:
    return prepare_rows(DataConfig(source=source, **keys), TextClassification().columns, seed=5)


# Files without a header line


def headerless(path: Path) -> Path:
    rows = [[row["text"], row["label"]] for row in reviews(40)]
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(path)
    else:
        mark = "\t" if path.suffix == ".tsv" else ","
        path.write_text("".join(mark.join(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", ["csv", "tsv", "xlsx"])
def test_the_recipe_names_the_columns_of_a_file_without_a_header(tmp_path: Path, ending: str) -> None:
    source = headerless(tmp_path / f"a.{ending}")
    rows = prepared(source, header=["review", "label"], columns={"text": "review"}, split={}).rows["train"]
    assert [rows[0]["text"], rows[0]["label"]] == [reviews(1)[0]["text"], "bad"]
    assert len(rows) == 40
    with pytest.raises(SixfoldError, match=r"3 columns, (these rows have|and the source has) 2"):
        prepared(source, header=["a", "b", "c"])


@pytest.mark.parametrize(
    ("name", "message"), [("a.csv", "has a header line already"), ("a.jsonl", "this source names its own")]
)
def test_a_header_that_is_not_wanted_is_refused(tmp_path: Path, name: str, message: str) -> None:
    write_csv(tmp_path / "a.csv", reviews(20))
    (tmp_path / "a.jsonl").write_text('{"review": "good", "label": "x"}\n' * 2, encoding="utf-8")
    with pytest.raises(UsageError, match=message) as caught:
        prepared(tmp_path / name, header=["text", "label"])
    assert "leave header out" in str(caught.value.hint)


@pytest.mark.parametrize("header", [[], ["text", "text"]])
def test_a_header_names_columns_once(header: list[str]) -> None:
    with pytest.raises(ValueError, match="header"):
        DataConfig(source="a.csv", header=header)


# Groups


def grouped(count: int, first: int = 0) -> list[dict[str, str]]:
    """Reviews of which five are of one customer each."""
    rows = reviews(first + count)[first:]
    return [{**row, "customer": f"c{number // 5}"} for number, row in enumerate(rows, first)]


def customers(found: Prepared, rows: list[dict[str, str]]) -> dict[str, set[str]]:
    known = {row["text"]: row["customer"] for row in rows}
    return {name: {known[text] for text in split["text"]} for name, split in found.rows.items()}


def test_rows_of_one_group_stay_in_one_split(tmp_path: Path) -> None:
    rows = grouped(200)
    source = write_csv(tmp_path / "a.csv", rows)
    found = prepared(source, group="customer", split={"validation": 0.2, "test": 0.2})
    by_split = customers(found, rows)
    assert set.union(*by_split.values()) == {f"c{number}" for number in range(40)}
    assert sum(map(len, by_split.values())) == 40, "no customer is in two splits"
    assert found.rows["train"].column_names == ["text", "label", "__file__", "__line__"]
    told = ", ".join(f"{len(some)} groups in {name}" for name, some in by_split.items())
    assert found.told[-1] == f"split by customer: {told}"
    alone = customers(prepared(source, split={"validation": 0.2, "test": 0.2}), rows)
    assert sum(map(len, alone.values())) > 40, "without it they are"


def test_the_group_may_be_a_column_that_plays_a_role(tmp_path: Path) -> None:
    rows = [{**row, "label": f"l{number % 20}"} for number, row in enumerate(reviews(100))]
    source = write_csv(tmp_path / "a.csv", rows)
    found = prepared(source, group="label", split={"validation": 0.3}, allow=["unseen", "one_class"])
    assert not set(found.rows["train"]["label"]) & set(found.rows["validation"]["label"])


def test_rows_of_no_group_are_refused_with_their_places(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", [*grouped(20), {"text": "a", "label": "bad", "customer": " "}])
    with pytest.raises(DataError, match="rows of train have no value in the column 'customer'") as caught:
        prepared(source, group="customer")
    assert f"{source}:22" in str(caught.value)


def test_a_misspelt_group_shows_the_nearest_column(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", grouped(20))
    with pytest.raises(UsageError, match="there is no column 'custmer'") as caught:
        prepared(source, group="custmer")
    assert caught.value.nearest == "customer"


def test_a_column_s_name_is_told_as_it_is_and_is_no_markup(tmp_path: Path) -> None:
    rows = [{"text": row["text"], "label": row["label"], "of [/b]": row["customer"]} for row in grouped(40)]
    found = prepared(write_csv(tmp_path / "a.csv", rows), group="of [/b]", split={"validation": 0.2})
    assert unmarked(found.told)[-1].startswith("split by of [/b]: ")


def test_a_group_with_the_name_of_another_column_s_role_is_refused(tmp_path: Path) -> None:
    rows = [{"review": row["text"], "label": row["label"], "text": row["customer"]} for row in grouped(40)]
    with pytest.raises(UsageError, match="'text' has the name of a role that another column plays"):
        prepared(write_csv(tmp_path / "a.csv", rows), group="text", columns={"text": "review"})


def test_a_group_that_two_splits_of_the_source_share_is_refused_removed_or_allowed(tmp_path: Path) -> None:
    train, test = grouped(60), grouped(20, first=57)  # three rows of c11 are in both files' reach
    source = {
        "train": write_csv(tmp_path / "train.csv", train[:57]),
        "test": write_csv(tmp_path / "test.csv", test),
    }
    keys: dict[str, Any] = {"group": "customer", "split": {}}
    with pytest.raises(SixfoldError, match="rows of train have the customer of a row of test") as caught:
        prepared(source, **keys)
    assert "train.csv:57 = " in str(caught.value)
    kept = prepared(source, **keys, allow=["overlaps"])
    assert len(kept.rows["train"]) == 57
    assert any("have the customer of a row of test" in line for line in kept.told)
    gone = prepared(source, **keys, overlaps="remove")
    assert len(gone.rows["train"]) == 55
    assert "2 rows taken out of train: also in another split" in gone.told


def test_a_text_of_two_groups_may_not_stand_in_two_splits(tmp_path: Path) -> None:
    rows = [*grouped(200), *({**row, "customer": f"d{number}"} for number, row in enumerate(reviews(40)))]
    source = write_csv(tmp_path / "a.csv", rows)
    with pytest.raises(DataError, match="rows of train have the text of a row of"):
        prepared(source, group="customer")
    found = prepared(source, group="customer", overlaps="remove")
    texts = [set(split["text"]) for split in found.rows.values()]
    assert not texts[0] & texts[1]
    assert not texts[0] & texts[2]
