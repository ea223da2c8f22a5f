"""Every mistake in a source is one message: what, where, what was found, what next."""

from __future__ import annotations

import gzip
from pathlib import Path

import openpyxl
import pytest
import zstandard

from sixfold import data
from sixfold.errors import DataError, UsageError


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SIXFOLD_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def refused(name: str, content: str | bytes, kind: type = DataError, **options) -> str:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(kind) as caught:
        data.read(name, **options)
    return str(caught.value)


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.json", "rows.txt", "rows.conll", "rows.parquet"])
def test_an_empty_file(name: str) -> None:
    assert refused(name, "").startswith("the file is empty")


def test_files_without_rows() -> None:
    assert refused("rows.csv", "text,label\n").startswith("the file has no rows")
    assert refused("rows.txt", "\n \n").startswith("the file has no rows")
    assert refused("rows.json", "[]").startswith("the file has no rows")
    assert refused("rows.csv.gz", gzip.compress(b"")).startswith("the file has no rows")


def test_ragged_csv_rows_are_all_told_with_their_lines() -> None:
    told = refused("rows.csv", 'text,label\n"a\nb",x\none\ntwo,y,z\nthree\n')
    assert "the header has 2 columns, these rows have 1 [2×] (rows.csv:4, rows.csv:6)" in told
    assert "the header has 2 columns, these rows have 3 (rows.csv:5)" in told


def test_a_quote_that_is_never_closed_is_told_with_the_line_where_it_opens() -> None:
    assert "a quote is opened and never closed (rows.csv:3)" in refused("rows.csv", 'text,label\na,x\n"b,y\nc,z\n')


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ("3,World news", "'3' is a number"),
        ("I liked this film. A lot.,pos", "reads like a sentence"),
        ("很好。,pos", "reads like a sentence"),
        ("fine,pos", "'pos' is also a value in its column"),
    ],
)
def test_a_csv_file_whose_first_row_is_data(first: str, reason: str) -> None:
    told = refused("rows.csv", f"{first}\nbad,neg\ngreat,pos\n")
    assert "the first row looks like data" in told
    assert reason in told


def test_a_column_that_is_named_twice() -> None:
    assert "found: text" in refused("rows.csv", "text,text\na,b\n")


def test_bad_json_lines_are_told_with_their_numbers() -> None:
    told = refused("rows.jsonl", '{"a": 1}\n{"a": \n\n[1]\n{"a": 2},\n')
    assert "a line is not valid JSON [2×] (rows.jsonl:2, rows.jsonl:5)" in told
    assert "a line holds JSON, but not an object (rows.jsonl:4)" in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('[{"a": 1},\n {"a" 2}]', "rows.json:2"),
        ('[{"a": 1},\n', "the JSON is cut short"),
        ('{"rows": [],\n "n": 1}', "found: keys rows, n"),
        ("3", "neither a list nor an object"),
        ('[1, {"a": 1}]', "an entry of the list is not an object (rows.json:1)"),
    ],
)
def test_bad_json_files(content: str, told: str) -> None:
    assert told in refused("rows.json", content)


def test_ragged_conll_lines() -> None:
    told = refused("rows.conll", "EU B-ORG\nrejects\nGerman B-MISC\n\ncall O O\n")
    assert "the first token line has 2 columns, these have 1 (rows.conll:2)" in told
    assert "the first token line has 2 columns, these have 3 (rows.conll:5)" in told


def test_a_byte_that_fits_no_encoding_is_told_with_line_and_offset() -> None:
    told = refused("rows.csv", b"text,label\nfine,a\nb\x81d,b\n", data.EncodingError)
    assert "where: rows.csv, line 3, byte 19" in told
    assert "found: bytes 81 64 2c 62" in told


def test_a_byte_that_does_not_fit_the_encoding_asked_for() -> None:
    told = refused("rows.csv", "text,label\n好,a\n".encode("gb18030") + b"\xff\n", data.EncodingError, encoding="gbk")
    assert "a byte does not fit the encoding gbk" in told
    assert "where: rows.csv, line 3, byte 16" in told


def test_a_misspelt_encoding_and_format() -> None:
    assert "did you mean: gb18030" in refused("rows.csv", "text\na\n", UsageError, encoding="gb10830")
    assert "did you mean: jsonl" in refused("rows.csv", "text\na\n", UsageError, format="jsonll")


def test_a_file_whose_name_tells_no_format() -> None:
    assert "say `format:`" in refused("rows.dat", "hello world\n", UsageError)
    assert "save it as xlsx" in refused("rows.xls", b"\xd0\xcf\x11\xe0", UsageError)


def test_damaged_files(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zstandard.compress(b"text,label\n" + b"a,b\n" * 1000)
    for raw in (packed[:-3], packed[: len(packed) // 2], b"junk"):
        assert "damaged or cut short" in refused("rows.csv.zst", raw)
    assert "damaged or cut short" in refused("rows.csv.gz", gzip.compress(b"text,label\na,b\n" * 99)[:-9])
    assert "not a whole parquet file" in refused("rows.parquet", b"PAR1junk")
    assert "not a whole xlsx file" in refused("rows.xlsx", b"PKjunk")


@pytest.mark.parametrize(("name", "pack"), [("rows.txt.gz", gzip.compress), ("rows.txt.zst", zstandard.compress)])
def test_a_packed_file_may_not_unpack_to_more_than_the_limit(name: str, pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIXFOLD_UNPACK_LIMIT", "100000")
    told = refused(name, pack(b"a bomb\n" * 100_000))
    assert "holds more than 100,000 bytes" in told
    assert "SIXFOLD_UNPACK_LIMIT" in told
    monkeypatch.setenv("SIXFOLD_UNPACK_LIMIT", "1000000")
    assert len(data.read(name)["train"]) == 100_000


def test_a_workbook_may_not_unpack_to_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIXFOLD_UNPACK_LIMIT", "1000")
    book = openpyxl.Workbook()
    book.active.append(["text"])
    book.active.append(["a" * 5000])
    book.save("rows.xlsx")
    with pytest.raises(DataError, match="more than the 1,000 allowed"):
        data.read("rows.xlsx")


def test_a_workbook_whose_first_row_is_data() -> None:
    book = openpyxl.Workbook()
    book.active.append([3, "good"])
    book.active.append([4, "bad"])
    book.save("rows.xlsx")
    with pytest.raises(DataError, match="looks like data"):
        data.read("rows.xlsx")


def test_a_misspelt_path_shows_the_nearest_file_and_never_asks_the_network() -> None:
    Path("reviews.csv").write_text("text\na\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        data.read("reveiws.csv")
    assert caught.value.nearest == "reviews.csv"


def test_a_misspelt_catalogue_name_shows_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        data.read("conll2003")
    assert caught.value.nearest == "conll2003_en"


def test_a_catalogue_set_without_its_folder_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="SIXFOLD_DATA is not set"):
        data.read("banking77")
    monkeypatch.setenv("SIXFOLD_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        data.read("banking77")
    assert caught.value.found == "missing: test.csv, train.csv"


def test_sources_that_are_nothing() -> None:
    Path("empty").mkdir()
    for source, told in [
        ("*.nothing", "no file matches"),
        ("empty", "the folder has no train, validation or test file"),
        ([], "no source was given"),
        ("hf:nobody", "spelt hf:owner/name"),
        (3, "a source is a path"),
    ]:
        with pytest.raises(UsageError, match=told):
            data.read(source)


def test_splits_that_cannot_be_told_apart() -> None:
    for name in ("train.csv", "test.csv", "more.csv"):
        Path(name).write_text("text\na\n", encoding="utf-8")
    Path("train.txt").write_text("a\n", encoding="utf-8")
    with pytest.raises(UsageError, match="some of the files name a split"):
        data.read("*.csv")
    with pytest.raises(UsageError, match="several formats"):
        data.read(["train.csv", "train.txt", "test.csv"])
    with pytest.raises(UsageError, match="letters, digits"):
        data.read({"a b": "train.csv"})


def test_a_hub_set_without_a_network_says_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="the hub data set nobody/nothing could not be loaded"):
        data.read("hf:nobody/nothing")
