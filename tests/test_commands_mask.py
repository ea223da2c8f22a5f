"""``sixfold mask``: files of every kind, pipes, the vault, and what is refused."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_cli import Command
from test_docs import code, table
from test_readme import ROOT, blocks
from tiny_runs import environment, start, write_conll, write_csv

from sixfold.safety import TYPES
from sixfold.safety.policy import HOWS

pytestmark = pytest.mark.usefixtures("own_home")

ROWS = [{"id": "1", "text": "电话13800138000，急"}, {"id": "2", "text": 'mail bob@x.org, "now"'}]
SHOWN = [{"id": "1", "text": "电话[PHONE]，急"}, {"id": "2", "text": 'mail [EMAIL], "now"'}]


@pytest.fixture
def sixfold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, monkeypatch, capsys)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("0123456789abcdef0123456789abcdef\n", encoding="utf-8")
    return path


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_pipe_is_masked(sixfold: Command) -> None:
    done = sixfold("mask", stdin="写信 bob@x.org\r\n或打13800138000".encode())
    assert (done.code, done.out) == (0, "写信 [EMAIL]\r\n或打[PHONE]")
    assert "email 1" in done.err
    assert "phone 1" in done.err


def test_a_pipe_gives_what_is_settled_before_its_end(tmp_path: Path) -> None:
    process = start(["mask"], tmp_path, stdin=-1)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("mail bob@x.org and then a long talk follows. " + "Nothing is in it. " * 40 + "\n")
    process.stdin.flush()
    assert process.stdout.read(10) == "mail [EMAI"
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_csv_stays_csv(sixfold: Command) -> None:
    write_csv(sixfold.folder / "a.csv", ROWS)
    done = sixfold("mask", "a.csv")
    assert done.out == 'id,text\n1,电话[PHONE]，急\n2,"mail [EMAIL], ""now"""\n'
    assert "in 2 rows" in done.err


def test_a_column_s_name_is_the_word_before_its_cells(sixfold: Command) -> None:
    write_csv(sixfold.folder / "a.csv", [{"phone": "9498777106", "order": "9498777106"}])
    assert sixfold("mask", "a.csv").out == "phone,order\n[PHONE],9498777106\n"


def test_json_lines_with_numbers_lists_and_half_a_character(sixfold: Command) -> None:
    row = {"phone": 13800138000, "said": ["a@b.co", {"x": "\ud83d a@b.co"}], "n": 7, "no": None, "yes": True, "f": 1.5}
    (sixfold.folder / "a.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    made = {**row, "phone": "[PHONE]", "said": ["[EMAIL]", {"x": "\ud83d [EMAIL]"}]}
    assert lines(sixfold("mask", "a.jsonl").out) == [made]


def test_other_tables_become_json_lines(sixfold: Command) -> None:
    book = openpyxl.Workbook()
    for row in (list(ROWS[0]), *(list(one.values()) for one in ROWS)):
        book.active.append(row)
    book.save(sixfold.folder / "a.xlsx")
    pq.write_table(pa.Table.from_pylist(ROWS), sixfold.folder / "a.parquet")
    (sixfold.folder / "a.json").write_text(json.dumps(ROWS), encoding="utf-8")
    for name in ("a.xlsx", "a.parquet", "a.json"):
        assert lines(sixfold("mask", name).out) == SHOWN


def test_text_stays_text_and_keys_over_several_lines_are_found(sixfold: Command) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----"
    (sixfold.folder / "a.txt").write_text(f"a\r\n\r\n{key}\r\nb", encoding="utf-8", newline="")
    assert sixfold("mask", "a.txt").out == "a\r\n\r\n[SECRET]\r\nb"


def test_a_file_that_is_written_can_be_read_by_its_owner_only(sixfold: Command) -> None:
    write_csv(sixfold.folder / "a.csv", ROWS)
    assert sixfold("mask", "a.csv", "--out", "b.csv", "--column", "text", "--policy", "redact").code == 0
    written = sixfold.folder / "b.csv"
    assert "bob" not in written.read_text("utf-8")
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
@pytest.mark.parametrize("policy", [[], ["--policy", "pseudonym"]], ids=["hash", "pseudonym"])
def test_what_a_vault_holds_is_put_back(name: str, policy: list[str], sixfold: Command, key: Path) -> None:
    write_csv(sixfold.folder / "a.csv", ROWS)
    (sixfold.folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    (sixfold.folder / "a.txt").write_text("\n".join(row["text"] for row in ROWS) + "\n", encoding="utf-8")
    before = sixfold("mask", name, "--policy", "keep").out
    masked = "masked" + Path(name).suffix
    done = sixfold("mask", name, "--out", masked, "--vault", "v", "--key", key, *policy)
    assert done.code == 0, done.all
    assert "13800138000" not in (sixfold.folder / masked).read_text("utf-8")
    assert sixfold("mask", masked, "--restore", "--vault", "v", "--key", key).out == before
    piped = (sixfold.folder / masked).read_bytes()
    assert "13800138000" in sixfold("mask", "--restore", "--vault", "v", "--key", key, stdin=piped).out


def test_a_wrong_key_and_an_expired_vault_restore_nothing(sixfold: Command, key: Path) -> None:
    other = sixfold.folder / "other"
    other.write_text("f" * 32, encoding="utf-8")
    masked = sixfold("mask", "--vault", "v", "--key", key, "--days", "1e-9", stdin=b"13800138000").out
    for given, told in [(other, "expired"), (key, "expired")]:
        done = sixfold("mask", "--restore", "--vault", "v", "--key", given, stdin=masked.encode())
        assert (done.code, done.out) == (2, "")
        assert told in done.err
    masked = sixfold("mask", "--vault", "w", "--key", key, stdin=b"13800138000").out
    done = sixfold("mask", "--restore", "--vault", "w", "--key", other, stdin=masked.encode())
    assert (done.code, done.out) == (2, "")
    assert "does not open the vault" in done.err
    assert "13800138000" not in done.all


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-", "--policy", "labl"], "did you mean: label"),
        (["-", "--type", "fone"], "did you mean: phone"),
        (["-", "--policy", "hash"], "hash needs a key"),
        (["-", "--policy", "label", "--policy", "redact"], "one policy is for all types"),
        (["-", "--policy", "hash", "--key", "nokey"], "the key cannot be read"),
        (["-", "--policy", "hash", "--key", "short"], "at least 16 bytes"),
        (["-", "--vault", "v"], "a vault needs a key"),
        (["-", "--restore"], "--restore reads a vault"),
        (["-", "--restore", "--vault", "no", "--key", "key"], "the vault cannot be read"),
        (["-", "--restore", "--vault", "no", "--key", "key", "--policy", "hash"], "leave --policy"),
        (["-", "--days", "3"], "--days is the lifetime"),
        (["-", "--vault", "v", "--key", "key", "--days", "-1"], "more than 0 days"),
        (["-", "--vault", "v", "--key", "key", "--policy", "label"], "cannot be restored"),
        (["-", "--out", "x"], "goes to standard output"),
        (["-", "--encoding", "utf-9"], "no encoding"),
        (["nothing.csv"], "no file and no catalogue name"),
        (["a.csv", "--out", "a.csv"], "replace its own source"),
        (["a.csv", "--out", "b.jsonl"], "ends in .csv"),
        (["a.csv", "--column", "txt"], "did you mean: text"),
        (["a.conll"], "words with tags"),
        (["*.csv"], "one file is masked at a time"),
        (["-", "--names", "nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_told(arguments: list[str], told: str, sixfold: Command, key: Path) -> None:
    write_csv(sixfold.folder / "a.csv", ROWS)
    write_conll(sixfold.folder / "a.conll")
    (sixfold.folder / "short").write_text("short", encoding="utf-8")
    done = sixfold("mask", *arguments, stdin=b"text")
    assert done.code in (1, 2)
    assert told in done.err
    assert not (sixfold.folder / "v").exists()


def test_bytes_that_are_no_text_are_told_with_their_place(sixfold: Command) -> None:
    done = sixfold("mask", stdin="电话13800138000".encode("gb18030"))
    assert done.code == 1
    assert "--encoding gb18030" in done.err
    assert sixfold("mask", "--encoding", "gb18030", stdin="电话13800138000".encode("gb18030")).out == "电话[PHONE]"


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mail bob@x.org\n" * 100_000, encoding="utf-8")
    process = start(["mask", "a.txt"], tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "mail [EMAIL]\n"
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(timeout=60) == 0, errors
    assert "Traceback" not in errors


def test_what_the_page_shows_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"review": f"{row['text']} 好", "stars": "5"} for row in ROWS]
    write_csv(tmp_path / "reviews.csv", rows)
    page = blocks((ROOT / "docs/mask.md").read_text("utf-8"))
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    (tmp_path / "sixfold").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sixfold "$@"\n', encoding="utf-8")
    (tmp_path / "sixfold").chmod(0o755)
    environment_of_it = {**environment(), "PATH": path, "PYTHONPATH": str(ROOT)}
    told = ""
    for one in page:
        if one.language == "bash":
            command = ["bash", "-e", "-c", one.code]
            done = subprocess.run(command, cwd=tmp_path, env=environment_of_it, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
            told += done.stdout
    assert told == "我的电话是[PHONE], mail [EMAIL]\n"
    assert (tmp_path / "restored.csv").read_text("utf-8") == (tmp_path / "reviews.csv").read_text("utf-8").replace(
        "\r\n", "\n"
    )
    (shown,) = (one.code for one in page if one.language == "python")
    exec(compile(shown, "mask.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-2:] == ["身份证**************002X", "my mail is [EMAIL], thanks"]


def test_the_page_tells_every_type_and_policy() -> None:
    text = (ROOT / "docs/mask.md").read_text("utf-8")
    told = [code(name) for row in table(text, "## What is found") for name in row[0].split(", ")]
    assert sorted(told) == sorted(TYPES)
    assert [code(row[0]) for row in table(text, "## What takes its place")] == [
        "label",
        "redact",
        "partial",
        "hash",
        "pseudonym",
        "keep",
    ]
    assert {code(row[0]) for row in table(text, "## What takes its place")} == set(HOWS)


def test_check_counts_personal_data_in_texts(sixfold: Command) -> None:
    texts = ["mail bob@x.org", "打13800138000", "plain", "a@b.co or c@d.co"]
    write_csv(sixfold.folder / "a.csv", [{"text": text, "label": f"l{n % 2}"} for n, text in enumerate(texts)])
    told = sixfold("check", "a.csv", "--task", "classify").out
    assert "personal data in the first 4 rows of train: email 3, phone 1" in told
    assert "personal data" not in sixfold("check", "reviews.csv", "--task", "classify").out
