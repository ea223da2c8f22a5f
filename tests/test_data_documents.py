"""Plain text files become documents of bounded length; what is no text is told with its place."""

from __future__ import annotations

import gzip
from pathlib import Path

import datasets
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sixfold.data import arrow, documents
from sixfold.errors import DataError, UsageError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def texts(rows: datasets.DatasetDict) -> list[tuple[int, str]]:
    return list(zip(rows["train"]["__line__"], rows["train"]["text"], strict=True))


POEM = "\nOne line,\r\nanother.\n\n \nThe second\n"


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ("line", [(2, "One line,"), (3, "another."), (6, "The second")]),
        ("blank", [(2, "One line,\nanother."), (6, "The second")]),
        ("file", [(2, "One line,\nanother.\n\n \nThe second")]),
    ],
)
def test_where_a_document_ends(document: documents.Unit, wanted: list[tuple[int, str]]) -> None:
    Path("poem.txt").write_bytes(POEM.encode())
    assert texts(documents.read("poem.txt", document=document)) == wanted


def test_packed_files_and_globs_are_read_in_order() -> None:
    Path("a.txt.gz").write_bytes(gzip.compress("一\n".encode()))
    Path("b.txt.zst").write_bytes(zstandard.compress(b"two\n"))
    Path("c.txt").write_bytes("三\n".encode("gb18030"))
    Path("d.jsonl").write_text('{"text": "four"}\n')
    assert [text for _, text in texts(documents.read(["a.txt.gz", "b.txt.zst", "d.jsonl"]))] == ["一", "two", "four"]
    assert texts(documents.read("c.*", encoding="gbk")) == [(1, "三")]
    assert set(documents.read({"train": "a.txt.gz", "dev": "b.txt.zst"})) == {"train", "validation"}


def test_a_text_file_that_looks_like_tagged_words_is_text_here() -> None:
    Path("short.txt").write_text("He O\nis O\n")
    assert [text for _, text in texts(documents.read("short.txt"))] == ["He O", "is O"]


def test_other_sources_are_those_of_read() -> None:
    assert documents.read([{"text": "a"}, {"text": "b"}])["train"]["text"][:] == ["a", "b"]
    with pytest.raises(UsageError, match="there is no file and no catalogue name"):
        documents.read("absent.txt")
    with pytest.raises(UsageError, match="this source has none"):
        documents.read([{"text": "a"}], document="blank")
    with pytest.raises(UsageError, match="did you mean: line"):
        documents.read([{"text": "a"}], document="lines")  # type: ignore[arg-type]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_CHARACTERS", 8)


@pytest.mark.usefixtures("short")
def test_a_document_that_is_too_long_is_cut_at_a_lines_end_and_told() -> None:
    Path("long.txt").write_text("aaa\nbbb\nccc\n\nd\n\n" + "e" * 20 + "\n\nf\n")
    rows = documents.read("long.txt", document="blank")
    assert texts(rows) == [
        *((1, "aaa\nbbb"), (3, "ccc"), (5, "d")),
        *((7, "eeeeeeee"), (7, "eeeeeeee"), (7, "eeee"), (9, "f")),
    ]
    (note,) = arrow.notes(rows["train"])
    assert note == "2 documents longer than 8 characters cut into several (long.txt:1, long.txt:7)"


@pytest.mark.usefixtures("short")
def test_a_line_of_just_the_length_is_not_cut() -> None:
    Path("just.txt").write_bytes(b"a" * 8 + b"\r\n" + b"b" * 8)
    rows = documents.read("just.txt")
    assert texts(rows) == [(1, "a" * 8), (2, "b" * 8)]
    assert not arrow.notes(rows["train"])


@given(st.lists(st.text("ab \n\r", max_size=12), max_size=12))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.usefixtures("short")
def test_nothing_but_white_space_is_lost_and_nothing_is_too_long(parts: list[str]) -> None:
    whole = "".join(parts)
    Path("any.txt").write_text(whole + "c", newline="")
    for unit in documents.UNITS:
        found = [text for _, text in texts(documents.read("any.txt", document=unit))]
        assert "".join("".join(found).split()) == "".join(whole.split()) + "c"
        assert max(map(len, found)) <= 8


def refused(name: str, content: bytes, **options: str) -> str:
    Path(name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        documents.read(name, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.txt", b"\x7fELF\x02\x01\x01" + bytes(4000), "a program"),
        ("b.txt", bytes(range(256)) * 20, "it begins with the bytes 00 01 02"),
        ("c.txt", gzip.compress(bytes(range(256))), "packed by gzip, and its name does not end in .gz"),
        ("d.txt.gz", gzip.compress(bytes(range(256))), "it begins with the bytes 00 01 02"),
        ("model.bin", bytes(range(256)), "it begins with the bytes 00 01 02"),
    ],
)
def test_a_binary_file(name: str, content: bytes, found: str) -> None:
    told = refused(name, content)
    assert told.startswith("this is a binary file, not text")
    assert f"where: {name}" in told
    assert f"found: {found}" in told


def test_a_binary_file_stays_one_whatever_encoding_is_given() -> None:
    assert refused("b.txt", bytes(range(256)) * 20, encoding="latin-1").startswith("this is a binary file")


def test_text_with_a_few_control_characters_is_text() -> None:
    Path("a.txt").write_text("page one\fpage two\x00\n" + "more\n" * 200)
    assert len(documents.read("a.txt")["train"]) == 201


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_no_binary_file_but_an_encoding_to_name(encoding: str) -> None:
    told = refused("a.txt", ("plain words\n" * 20).encode(encoding))
    assert "encoding: utf-16" in told
    assert len(documents.read("a.txt", encoding=encoding)["train"]) == 20


def test_chinese_in_utf16_without_a_mark_is_no_binary_file() -> None:
    content = "今天天气很好，我们去公园玩。\n".encode("utf-16-le") * 20
    assert refused("a.txt", content).startswith("a byte does not fit the encoding utf-8")
    assert len(documents.read("a.txt", encoding="utf-16-le")["train"]) == 20


def test_a_file_in_no_encoding_is_told_with_its_line_and_byte() -> None:
    told = refused("a.txt", "好\n".encode() * 50 + b"a\xff\xfe\n" + "好\n".encode() * 50)
    assert told.startswith("a byte does not fit the encoding utf-8")
    assert "a.txt, line 51, byte 201" in told


def test_a_file_without_text_or_format() -> None:
    assert refused("a.txt", b"").startswith("the file is empty")
    assert refused("a.txt", b"\n \n").startswith("the file has no text")
    Path("corpus").write_text("one\n")
    with pytest.raises(UsageError, match="does not tell its format"):
        documents.read("corpus")
    assert texts(documents.read("corpus", format="txt")) == [(1, "one")]
