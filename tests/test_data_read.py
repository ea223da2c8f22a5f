"""Every format, source and encoding that ``data.read`` takes."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import datasets
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sixfold import data
from sixfold.data import arrow, encodings

ROWS = [{"text": "好 book", "label": "good"}, {"text": 'said "no",\nleft', "label": "bad"}]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def content(rows) -> list[dict]:
    return [{name: cell for name, cell in row.items() if not name.startswith("__")} for row in rows]


def lines(rows) -> list[int]:
    return list(rows["__line__"])


def as_csv(delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ["text", "label"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return out.getvalue().encode()


def as_parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out)
    return out.getvalue()


def as_xlsx() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["text", "label"])
    for row in ROWS:
        sheet.append(list(row.values()))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


FILES = {
    "csv": (as_csv(), [2, 3]),
    "json": (json.dumps(ROWS, indent=1).encode(), [2, 6]),
    "jsonl": ("\n".join(map(json.dumps, ROWS)).encode(), [1, 2]),
    "parquet": (as_parquet(), [1, 2]),
    "xlsx": (as_xlsx(), [2, 3]),
}
PACK = {"": lambda raw: raw, ".gz": gzip.compress, ".zst": zstandard.compress}


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("kind", FILES)
def test_every_format_gives_the_same_rows_plain_and_packed(kind: str, packed: str) -> None:
    raw, numbers = FILES[kind]
    Path(f"rows.{kind}{packed}").write_bytes(PACK[packed](raw))
    rows = data.read(f"rows.{kind}{packed}")
    assert list(rows) == ["train"]
    assert content(rows["train"]) == ROWS
    assert lines(rows["train"]) == numbers
    assert set(rows["train"]["__file__"]) == {f"rows.{kind}{packed}"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_of_a_csv_file_is_found(delimiter: str) -> None:
    Path("rows.csv").write_bytes(as_csv(delimiter))
    assert content(data.read("rows.csv")["train"]) == ROWS


def test_a_row_after_a_quoted_line_break_has_its_physical_line() -> None:
    Path("rows.csv").write_text('text,label\n"a\nb\nc",x\n\n"d",y\n', encoding="utf-8")
    assert lines(data.read("rows.csv")["train"]) == [2, 6]


def test_a_stray_quote_in_a_tsv_file_does_not_swallow_lines() -> None:
    Path("rows.tsv").write_text('text\tlabel\n"so it goes\tx\nfine\ty\n', encoding="utf-8")
    assert content(data.read("rows.tsv")["train"]) == [
        {"text": '"so it goes', "label": "x"},
        {"text": "fine", "label": "y"},
    ]


def test_a_tsv_file_that_quotes_its_cells_is_unquoted() -> None:
    Path("rows.tsv").write_text('text\tlabel\n"say ""no"""\tx\n', encoding="utf-8")
    assert data.read("rows.tsv")["train"]["text"][0] == 'say "no"'


def test_columns_name_a_file_without_a_header() -> None:
    Path("rows.csv").write_text("fine,1\nbad,0\n", encoding="utf-8")
    rows = data.read("rows.csv", columns=["text", "label"])["train"]
    assert content(rows) == [{"text": "fine", "label": "1"}, {"text": "bad", "label": "0"}]
    assert lines(rows) == [1, 2]


def test_a_txt_file_has_one_text_a_line_and_notes_its_blank_lines() -> None:
    Path("rows.txt").write_bytes("one\r\n\r\n  \nzwei drei\u2028vier".encode())
    rows = data.read("rows.txt")["train"]
    assert content(rows) == [{"text": "one"}, {"text": "zwei drei\u2028vier"}]
    assert lines(rows) == [1, 4]
    assert rows.info.description == "rows.txt: 2 blank lines were left out"


def test_conll_columns_keep_documents_wide_spaces_and_the_last_column_as_tag() -> None:
    Path("rows.txt").write_text(
        "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\n. . O O\n\n-DOCSTART- -X- O O\n\n\u3000 X O O\n", encoding="utf-8"
    )
    rows = data.read("rows.txt")["train"]
    assert content(rows) == [
        {"words": ["EU", "."], "tags": ["I-ORG", "O"], "document": 1},
        {"words": ["\u3000"], "tags": ["O"], "document": 2},
    ]
    assert lines(rows) == [3, 8]


def test_conll_is_known_by_its_tags_where_the_name_tells_nothing() -> None:
    Path("eng.testa").write_text("中\tB-LOC\n国\tI-LOC\n", encoding="utf-8")
    assert content(data.read("eng.testa")["train"]) == [
        {"words": ["中", "国"], "tags": ["B-LOC", "I-LOC"], "document": 0}
    ]


def test_one_conll_column_is_words_without_tags() -> None:
    Path("rows.conll").write_text("EU\nrejects\n\nno\n", encoding="utf-8")
    assert content(data.read("rows.conll")["train"]) == [
        {"words": ["EU", "rejects"], "document": 0},
        {"words": ["no"], "document": 0},
    ]


def test_rows_under_the_key_data_are_read_with_their_lines() -> None:
    Path("rows.json").write_text(
        '{"version": {"a": [1]},\n "data": [\n{"text": "x"},\n{"text": "y"}\n]}', encoding="utf-8"
    )
    rows = data.read("rows.json")["train"]
    assert content(rows) == [{"text": "x"}, {"text": "y"}]
    assert lines(rows) == [3, 4]


def test_a_json_file_with_one_object_a_line_is_read_as_jsonl() -> None:
    Path("rows.json").write_text('{"text": "x"}\n{"text": "y", "label": 1}\n', encoding="utf-8")
    assert content(data.read("rows.json")["train"]) == [{"text": "x", "label": None}, {"text": "y", "label": 1}]


def test_json_longer_than_the_buffer_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from sixfold.data import json_text

    monkeypatch.setattr(json_text, "_CHUNK_CHARACTERS", 7)
    rows = [{"text": "ä" * place, "n": place * 1000} for place in range(40)]
    Path("rows.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    assert content(data.read("rows.json")["train"]) == rows


def test_types_that_change_from_chunk_to_chunk_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "CHUNK_ROWS", 2)
    rows = [
        {"n": 1, "label": 1, "tags": []},
        {"n": None, "label": 2, "tags": []},
        {"n": 2.5, "label": "x", "tags": ["a"]},
        {"n": 3, "label": True, "tags": None, "late": {"k": 1}},
    ]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    read = data.read("rows.jsonl")["train"]
    assert content(read) == [
        {"n": 1.0, "label": "1", "tags": [], "late": None},
        {"n": None, "label": "2", "tags": [], "late": None},
        {"n": 2.5, "label": "x", "tags": ["a"], "late": None},
        {"n": 3.0, "label": "true", "tags": None, "late": {"k": 1}},
    ]
    assert read.info.description == "column 'label' holds cells of several kinds: read as strings"


def test_objects_with_data_for_keys_are_kept_as_json() -> None:
    rows = [{"label": {f"name {place}": [place]}} for place in range(arrow.MAX_KEYS + 1)]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    first = json.loads(data.read("rows.jsonl")["train"]["label"][0])
    assert first["name 0"] == [0]


def test_an_xlsx_cell_that_is_a_number_among_texts_becomes_a_text() -> None:
    book = openpyxl.Workbook()
    for row in (["text", "label"], ["good", 5], [5, 1.0], [None, None], ["bad", 2]):
        book.active.append(row)
    book.create_sheet("notes").append(["x"])
    book.save("rows.xlsx")
    rows = data.read("rows.xlsx")["train"]
    assert [(row["text"], row["label"]) for row in rows] == [("good", 5.0), ("5", 1.0), ("bad", 2.0)]
    assert lines(rows) == [2, 3, 5]
    assert "only the sheet 'Sheet' is read, not 'notes'" in rows.info.description
    assert "1 blank rows were left out" in rows.info.description


def test_a_folder_gives_the_splits_that_its_files_name() -> None:
    for name in ("train.csv", "dev.csv", "test.csv", "README.md"):
        Path("set", name).parent.mkdir(exist_ok=True)
        Path("set", name).write_text(f"text,label\n{name},x\n", encoding="utf-8")
    rows = data.read("set")
    assert {split: some["text"][0] for split, some in rows.items()} == {
        "train": "train.csv",
        "validation": "dev.csv",
        "test": "test.csv",
    }


def test_a_glob_and_a_list_never_mix_test_into_train() -> None:
    for name in ("train-1.csv", "train-2.csv", "test.csv"):
        Path(name).write_text(f"text\n{name}\n", encoding="utf-8")
    for source in ("*.csv", ["train-1.csv", "train-2.csv", "test.csv"]):
        rows = data.read(source)
        assert list(rows["train"]["text"]) == ["train-1.csv", "train-2.csv"]
        assert list(rows["test"]["text"]) == ["test.csv"]
    assert list(data.read("train-*.csv")) == ["train"]


def test_a_mapping_names_its_splits() -> None:
    Path("a.txt").write_text("a\n", encoding="utf-8")
    Path("b.txt").write_text("b\n", encoding="utf-8")
    rows = data.read({"train": ["a.txt", "b.txt"], "val": "b.txt", "hard": Path("a.txt")})
    assert {split: list(some["text"]) for split, some in rows.items()} == {
        "train": ["a", "b"],
        "validation": ["b"],
        "hard": ["a"],
    }


def test_rows_in_memory_are_numbered_from_one() -> None:
    frame = pd.DataFrame(
        {"text": ["a", None], "label": [1.0, float("nan")], "day": pd.to_datetime(["2024-01-05", None])}
    )
    for rows in (data.read(ROWS)["train"], data.read(datasets.Dataset.from_list(ROWS))["train"]):
        assert content(rows) == ROWS
        assert lines(rows) == [1, 2]
    read = data.read(frame)["train"]
    assert content(read) == [
        {"text": "a", "label": 1.0, "day": "2024-01-05T00:00:00"},
        {"text": None, "label": None, "day": None},
    ]


def test_class_numbers_of_a_dataset_become_their_names() -> None:
    features = datasets.Features(
        label=datasets.ClassLabel(names=["neg", "pos"]), tags=datasets.List(datasets.ClassLabel(names=["O", "B-X"]))
    )
    given_rows = datasets.Dataset.from_dict({"label": [1, -1], "tags": [[0, 1], []]}, features=features)
    rows = data.read(datasets.DatasetDict(dev=given_rows))
    assert content(rows["validation"]) == [{"label": "pos", "tags": ["O", "B-X"]}, {"label": None, "tags": []}]


ZH = "评论,星级\n很好的酒店，服务不错，下次再来,5\n房间太小了，隔音很差，不推荐,1\n"


@pytest.mark.parametrize(
    ("encoding", "told"),
    [("gb18030", "gb18030"), ("gbk", "gb18030"), ("utf-16", "utf-16"), ("utf-16-le", "utf-16-le"), ("big5", "big5")],
)
def test_a_chinese_file_in_another_encoding_is_refused_and_read_when_accepted(encoding: str, told: str) -> None:
    text = ZH if encoding != "big5" else "評論,星級\n這間酒店環境不錯,5\n"
    Path("rows.csv").write_bytes(text.encode(encoding))
    with pytest.raises(data.EncodingError) as caught:
        data.read("rows.csv")
    assert caught.value.detected == told
    assert f"`encoding: {told}`" in str(caught.value)
    assert text[:2] in str(caught.value.found)
    rows = data.read("rows.csv", encoding=told)["train"]
    assert [*rows[0].values()][:2] == text.split("\n")[1].split(",")


def test_western_accents_are_told_as_cp1252_with_their_line() -> None:
    Path("rows.csv").write_bytes("text,label\nfine,1\nCafé très bon,0\n".encode("cp1252"))
    with pytest.raises(data.EncodingError, match="looks like cp1252") as caught:
        data.read("rows.csv")
    assert caught.value.where == "rows.csv, line 3, byte 21"
    assert data.read("rows.csv", encoding="cp1252")["train"]["text"][1] == "Café très bon"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
def test_utf8_is_read_with_or_without_its_mark(encoding: str) -> None:
    Path("rows.csv").write_bytes(ZH.encode(encoding))
    assert data.read("rows.csv")["train"].column_names[:2] == ["评论", "星级"]


def test_a_broken_byte_in_chinese_utf8_is_not_taken_for_another_encoding() -> None:
    Path("rows.csv").write_bytes(ZH.encode() * 20 + b"\xff,1\n")
    with pytest.raises(data.EncodingError) as caught:
        data.read("rows.csv")
    assert caught.value.detected is None
    assert caught.value.where == f"rows.csv, line 61, byte {len(ZH.encode()) * 20:,}"


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_a_detected_encoding_reads_the_bytes(raw: bytes) -> None:
    found = encodings.detect(raw)
    assert found is None or raw.decode(found, "replace") is not None
    assert found is None or encodings.known(found)


def test_the_cache_is_used_rebuilt_and_never_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("rows.txt").write_text("one\n", encoding="utf-8")
    folder = tmp_path / "home" / "rows"
    data.read("rows.txt")
    (stored,) = folder.glob("*.arrow")
    written = stored.stat().st_ino
    data.read("rows.txt")
    assert stored.stat().st_ino == written

    stored.write_bytes(stored.read_bytes()[:40])
    assert list(data.read("rows.txt")["train"]["text"]) == ["one"]

    Path("rows.txt").write_text("one\ntwo\n", encoding="utf-8")
    assert list(data.read("rows.txt")["train"]["text"]) == ["one", "two"]

    Path("rows.jsonl").write_text('{"a": 1}\n' * 3 + "{\n", encoding="utf-8")
    before = set(folder.iterdir())
    with pytest.raises(data.sources.DataError):
        data.read("rows.jsonl")
    assert set(folder.iterdir()) == before


def test_a_stream_cut_between_batches_is_built_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(arrow, "CHUNK_ROWS", 1)
    Path("rows.txt").write_text("one\ntwo\n", encoding="utf-8")
    data.read("rows.txt")
    (stored,) = (tmp_path / "home" / "rows").glob("*.arrow")
    with pa.ipc.open_stream(stored.read_bytes()) as reader:
        first = reader.read_next_batch()
    with pa.OSFile(str(stored), "wb") as sink, pa.ipc.new_stream(sink, first.schema) as writer:
        writer.write_batch(first)
    assert list(data.read("rows.txt")["train"]["text"]) == ["one", "two"]


def test_the_least_recently_used_rows_leave_a_full_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        Path(name).write_text("x\n", encoding="utf-8")
    data.read("a.txt")
    monkeypatch.setattr(arrow, "CACHE_BYTES", 10)
    data.read("b.txt")
    assert {path.name[0] for path in (tmp_path / "home" / "rows").iterdir()} == {"b"}


def test_iterate_gives_chunks_and_writes_nothing(tmp_path: Path) -> None:
    Path("rows.txt").write_text("".join(f"{n}\n" for n in range(5)), encoding="utf-8")
    chunks = list(data.iterate("rows.txt", chunk=2))
    assert [[row["text"] for row in chunk] for chunk in chunks] == [["0", "1"], ["2", "3"], ["4"]]
    assert chunks[2][0]["__line__"] == 5
    assert not (tmp_path / "home").exists()


def test_iterate_hands_out_the_rows_before_a_bad_line() -> None:
    Path("rows.jsonl").write_text('{"a": 1}\n{"a": 2}\nnope\n', encoding="utf-8")
    stream = data.iterate("rows.jsonl", chunk=1)
    assert [next(stream)[0]["a"], next(stream)[0]["a"]] == [1, 2]
    with pytest.raises(data.sources.DataError, match=r"rows.jsonl:3"):
        next(stream)


@given(st.lists(st.tuples(st.text(max_size=12), st.sampled_from("ab")), min_size=2, max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_csv_module_writes_is_read_back(pairs: list[tuple[str, str]]) -> None:
    pairs = [(cell.encode("utf-8", "ignore").decode().replace("\x00", ""), label) for cell, label in pairs]
    with open("wild.csv", "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("the text", "the label"), *pairs])
    rows = [row for chunk in data.iterate("wild.csv") for row in chunk]
    assert [(row["the text"], row["the label"]) for row in rows] == pairs
