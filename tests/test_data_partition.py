"""Splits by content, digests, and rows that stand in two splits."""

from __future__ import annotations

import hashlib
from pathlib import Path

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sixfold import data
from sixfold.data import partition
from sixfold.errors import DataError, UsageError

TENTHS = {"validation": 0.1, "test": 0.1}


def texts(count: int) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": [f"text {place}" for place in range(count)]})


def places(splits: datasets.DatasetDict) -> dict[str, str]:
    return {text: name for name, rows in splits.items() for text in rows["text"]}


def test_a_row_stays_in_its_split_as_the_file_grows() -> None:
    small, large = (
        places(data.split(texts(300), TENTHS, on=["text"])),
        places(data.split(texts(900), TENTHS, on=["text"])),
    )
    assert {text: large[text] for text in small} == small


def test_the_splits_of_a_thousand_rows_are_these() -> None:
    made = data.split(texts(1000), TENTHS, on=["text"])
    assert list(made) == ["train", "validation", "test"]
    assert {name: len(rows) for name, rows in made.items()} == {"train": 784, "validation": 114, "test": 102}


def test_every_row_is_in_one_split_in_its_old_order() -> None:
    made = data.split(texts(500), TENTHS, on=["text"])
    assert sorted(text for rows in made.values() for text in rows["text"]) == sorted(texts(500)["text"])
    numbers = [int(text.split()[1]) for text in made["train"]["text"]]
    assert numbers == sorted(numbers)


def test_copies_of_a_text_land_together_whatever_their_case_and_blanks() -> None:
    rows = datasets.Dataset.from_dict({"text": [f"{form}" for n in range(99) for form in (f"a  {n} B", f"Ａ {n} b ")]})
    made = data.split(rows, {"test": 0.5}, on=["text"])
    assert data.overlaps(made, ["text"]) == []


def test_a_group_stays_together_and_another_seed_cuts_otherwise() -> None:
    rows = datasets.Dataset.from_dict({"text": [str(n) for n in range(400)], "who": [n % 40 for n in range(400)]})
    made = data.split(rows, {"test": 0.3}, on=["text"], group="who")
    assert not set(made["train"]["who"]) & set(made["test"]["who"])
    other = data.split(rows, {"test": 0.3}, on=["text"], group="who", seed=1)
    assert set(other["test"]["who"]) != set(made["test"]["who"])


def test_a_larger_validation_split_moves_no_row_of_test() -> None:
    small = data.split(texts(500), TENTHS, on=["text"])
    large = data.split(texts(500), {"validation": 0.3, "test": 0.1}, on=["text"])
    assert list(small["test"]["text"]) == list(large["test"]["text"])
    assert set(small["validation"]["text"]) < set(large["validation"]["text"])


def test_a_split_that_is_there_is_kept() -> None:
    given_splits = datasets.DatasetDict(train=texts(200), test=texts(3))
    made = data.split(given_splits, TENTHS, on=["text"])
    assert len(made["test"]) == 3
    assert len(made["train"]) + len(made["validation"]) == 200


def test_impossible_splits_are_refused() -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        data.split(texts(10), {"validation": 0.5, "test": 0.5}, on=["text"])
    with pytest.raises(UsageError, match="between 0 and 1"):
        data.split(texts(10), {"test": -0.1}, on=["text"])
    with pytest.raises(DataError, match="'test' would be empty"):
        data.split(texts(2), {"test": 0.001}, on=["text"])
    with pytest.raises(UsageError) as caught:
        data.split(texts(10), {"test": 0.1}, on=["txet"])
    assert caught.value.nearest == "text"


CELLS = st.one_of(st.none(), st.integers(-9, 9), st.booleans())
ROWS = st.lists(
    st.fixed_dictionaries({"a": CELLS, "b": st.lists(st.text(max_size=3), max_size=3)}), min_size=1, max_size=9
)


@given(ROWS, st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_a_digest_does_not_depend_on_chunks_or_a_selection(rows: list[dict], cut: int) -> None:
    rows = [{"a": str(row["a"]), "b": row["b"]} for row in rows]
    features = datasets.Features(a=datasets.Value("string"), b=datasets.List(datasets.Value("string")))
    whole = datasets.Dataset.from_list(rows, features=features)
    parts = [datasets.Dataset.from_list(some, features=features) for some in (rows[:cut], rows[cut:]) if some]
    chunked = datasets.concatenate_datasets(parts)
    selected = datasets.Dataset.from_list(rows[::-1], features=features).select(range(len(rows) - 1, -1, -1))
    assert data.digest(whole, ["a", "b"]) == data.digest(chunked, ["a", "b"]) == data.digest(selected, ["a", "b"])


def test_a_digest_is_of_content_order_and_column_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path))
    (tmp_path / "rows.jsonl").write_text('{"a": "x"}\n{"a": "y"}\n', encoding="utf-8")
    first = data.digest(data.read(tmp_path / "rows.jsonl")["train"], ["a"])
    assert first == data.digest(data.read(tmp_path / "rows.jsonl")["train"], ["a"])
    assert first == data.digest(data.read([{"a": "x"}, {"a": "y"}])["train"], ["a"])
    assert first == hashlib.sha256(b'["a"]["x", "y"]').hexdigest()
    others = ([{"a": "y"}, {"a": "x"}], [{"a": "xy"}], [{"a": "x"}, {"a": "y"}, {"a": "y"}])
    assert first not in {data.digest(data.read(rows)["train"], ["a"]) for rows in others}
    assert data.digest(data.read([{"a": 1}])["train"], ["a"]) != data.digest(data.read([{"a": "1"}])["train"], ["a"])


def test_rows_in_two_splits_are_placed_and_taken_out_of_the_earlier_one() -> None:
    splits = datasets.DatasetDict(
        train=data.read([{"text": "a"}, {"text": "B "}, {"text": "b"}, {"text": "d"}])["train"],
        validation=data.read([{"text": "b"}, {"text": "c"}, {"text": "v"}])["train"],
        test=data.read([{"text": "c"}, {"text": "D"}])["train"],
    )
    found = {(one.first, one.second): one for one in data.overlaps(splits, ["text"])}
    assert {pair: (one.rows, one.texts) for pair, one in found.items()} == {
        ("validation", "test"): ((1,), 1),
        ("train", "validation"): ((1, 2), 1),
        ("train", "test"): ((3,), 1),
    }
    assert found["train", "validation"].places == ("rows:2 = rows:1", "rows:3 = rows:1")
    honest = partition.without_overlaps(splits, ["text"])
    assert {name: list(rows["text"]) for name, rows in honest.items()} == {
        "train": ["a"],
        "validation": ["b", "v"],
        "test": ["c", "D"],
    }
    assert "2 rows of train are also in validation: taken out" in honest["train"].info.description
