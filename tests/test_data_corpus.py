"""A corpus without copies, some of it held out, and nothing of what is held out in train."""

from __future__ import annotations

import json
import tracemalloc
from itertools import product
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from sixfold.commands import check as command
from sixfold.data import documents, partition
from sixfold.data.corpus import Corpus, _spread, prepare_corpus
from sixfold.data.corpus_survey import histogram, survey
from sixfold.data.near_duplicates import shingles, similarity
from sixfold.errors import DataError, UsageError

CHINESE = "今天天气很好我们一起去公园玩大家都很高兴晚上回家吃饭看书睡觉明天还要上学"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def text(number: int, words: int = 30) -> str:
    return " ".join(f"w{number}x{place}" for place in range(words))


def lines(*texts: str, name: str = "corpus.txt") -> str:
    Path(name).write_text("".join(f"{one}\n" for one in texts), encoding="utf-8")
    return name


def told(corpus: Corpus) -> dict[str, tuple[str, int, tuple[str, ...]]]:
    return {problem.what: (problem.level, problem.count, problem.where) for problem in corpus.problems}


def all_texts(corpus: Corpus) -> set[str]:
    return {*corpus.train["text"], *corpus.held_out["text"]}


def test_some_texts_come_evenly_from_all_of_a_split() -> None:
    corpus = prepare_corpus(lines(*(f"{number:03} is the number of this line" for number in range(400))), near="off")
    every = corpus.train["text"][:]
    assert list(corpus.spread("train", 10**9)) == every
    some = list(corpus.spread("train", sum(map(len, every)) // 4))
    assert some == [text for place, text in enumerate(every) if place % 4 == 0]


def test_one_long_document_does_not_fill_a_sample_alone() -> None:
    lengths = np.array([1000, *([10] * 100), 1000], dtype=np.uint32)
    chosen = _spread(lengths, 0.5).tolist()
    assert chosen == [0, 101], "the long one is as much as half of all before the end has"
    assert _spread(lengths[1:-1], 0.5).tolist() == list(range(0, 100, 2))


def test_copies_and_near_copies_are_left_out_and_placed() -> None:
    near = text(0).replace("x29", "changed")
    source = lines(text(0), CHINESE, "  " + text(0).upper(), near, CHINESE + "。。", text(1))
    corpus = prepare_corpus(source)
    assert all_texts(corpus) == {text(0), CHINESE, text(1)}
    assert (corpus.counts.read, corpus.counts.copies, corpus.counts.near) == (6, 1, 2)
    assert told(corpus) == {
        "copies were left out": ("note", 1, ("corpus.txt:3 = corpus.txt:1",)),
        "near-copies were left out": (
            "note",
            2,
            ("corpus.txt:4 = corpus.txt:1", "corpus.txt:5 = corpus.txt:2"),
        ),
    }
    assert corpus.told[0] == "6 documents read, left out: 1 copy, 2 near-copies"


def test_near_copies_that_are_only_counted_stay_in_train() -> None:
    near = text(0).replace("x29", "changed")
    texts = [text(0), near, *(text(number) for number in range(1, 40))]
    corpus = prepare_corpus(lines(*texts), near="count", held_out=0.5)
    assert all_texts(corpus) == set(texts)
    assert {text(0), near} <= set(corpus.train["text"])
    assert len(corpus.held_out) > 5
    what = "a document is nearly the same as an earlier one"
    assert told(corpus) == {what: ("warning", 1, ("corpus.txt:2 = corpus.txt:1",))}
    assert corpus.told[-1] == "1 near-copy kept in train"


def test_near_copies_that_are_not_looked_for() -> None:
    corpus = prepare_corpus(lines(text(0), text(0) + " more", text(0)), near="off")
    assert all_texts(corpus) == {text(0), text(0) + " more"}
    assert (corpus.counts.copies, corpus.counts.near) == (1, 0)
    assert "not looked for" in corpus.told[-1]


@pytest.mark.parametrize("near", ["remove", "count"])
def test_no_held_out_document_has_a_near_copy_in_train(near) -> None:
    draw = np.random.default_rng(3)
    texts = [text(number, 40) for number in range(60)]
    for _ in range(120):
        words = str(draw.choice(texts)).split()
        words[draw.integers(len(words))] = "changed"
        texts.append(" ".join(words[: len(words) - draw.integers(3)]))
    corpus = prepare_corpus(lines(*texts), near=near, threshold=0.7, held_out=0.3)
    train, held_out = ([set(shingles(one)) for one in rows["text"]] for rows in (corpus.train, corpus.held_out))
    assert len(held_out) > 3
    assert len(train) > 30
    assert max(similarity(one, other) for one, other in product(train, held_out)) < 0.7


def test_a_document_stays_on_its_side_as_the_corpus_grows() -> None:
    texts = [text(number, 3) for number in range(900)]
    some = prepare_corpus(lines(*texts[:600]), held_out=0.1, near="off")
    more = prepare_corpus(lines(*texts[::-1]), held_out=0.1, near="off")
    assert 30 < len(some.held_out) < 100
    assert set(some.held_out["text"]) <= set(more.held_out["text"])
    assert set(some.train["text"]) <= set(more.train["text"])


@pytest.mark.parametrize(
    ("documents_", "share", "most", "wanted"),
    [(2, 0.01, 2000, 1), (100, 0.01, 2000, 5), (500, 0.001, 2000, 20), (100, 0.5, 7, 7), (100, 0, 2000, 0)],
)
def test_at_least_a_few_and_at_most_so_many_are_held_out(documents_: int, share: float, most: int, wanted: int) -> None:
    source = lines(*(text(number, 3) for number in range(documents_)))
    corpus = prepare_corpus(source, held_out=share, most_held_out=most, near="off")
    assert (len(corpus.held_out), len(corpus.train)) == (wanted, documents_ - wanted)


@pytest.mark.parametrize("near", ["remove", "count"])
def test_a_split_of_its_own_is_what_is_held_out_and_train_lacks_what_is_in_it(near) -> None:
    held = [text(0), text(1), text(1)]
    train = [text(0) + "!", text(1).replace("x29", "changed"), text(2), text(3), text(3) + " more"]
    source = {"train": lines(*train, name="a.txt"), "dev": lines(*held, name="b.txt"), "test": lines("c", name="c.txt")}
    corpus = prepare_corpus(source, near=near)
    assert corpus.held_out["text"][:] == [text(0), text(1)]
    assert corpus.train["text"][:] == (
        [text(2), text(3)] if near == "remove" else [text(2), text(3), text(3) + " more"]
    )
    assert told(corpus)["the split test is not used"][0] == "note"


def test_documents_of_every_format_and_their_counts() -> None:
    Path("a.jsonl").write_text(json.dumps({"id": 1, "content": "one\ntwo"}) + '\n{"id": 2, "content": null}\n')
    pq.write_table(pa.table({"content": ["三" * 5, " \ufeff "], "n": [1, 2]}), "b.parquet")
    corpus = prepare_corpus(["a.jsonl", "b.parquet"], held_out=0)
    assert corpus.train["text"][:] == ["one\ntwo", "三三三三三"]
    assert corpus.train.column_names == ["text", "__file__", "__line__"]
    assert told(corpus)["documents without text were left out"] == ("note", 2, ("a.jsonl:2", "b.parquet:2"))
    assert corpus.languages["train"] == {"en": pytest.approx(7 / 12), "zh": pytest.approx(5 / 12)}
    assert corpus.histogram == {"train": [(4, 7, 2)], "held_out": []}
    assert json.loads(json.dumps(corpus.described))["splits"]["train"] == {
        "rows": 2,
        "characters": 12,
        "digest": partition.digest(corpus.train, ["text"]),
    }


def test_many_copies_are_warned_of_for_lines_are_then_no_documents() -> None:
    speeches = [line for number in range(10) for line in ("First Citizen:", text(number), "")]
    Path("play.txt").write_text("\n".join(speeches))
    (problem,) = prepare_corpus("play.txt").problems[:1]
    assert (problem.level, problem.what, problem.count) == ("warning", "copies were left out", 9)
    assert "document: blank" in problem.remedy
    assert prepare_corpus("play.txt", document="blank").counts.copies == 0


def test_where_documents_end_and_which_column_holds_them() -> None:
    assert prepare_corpus(lines("a b", "c", "", "d e"), document="blank", held_out=0).counts.train == 2
    rows = [{"body": text(number), "title": "t"} for number in range(3)]
    assert prepare_corpus(rows, columns={"text": "body"}).counts.read == 3


def test_a_histogram_has_a_bar_for_every_power_of_two_between() -> None:
    assert histogram(np.array([1, 2, 3, 8, 65535], dtype=np.uint32))[:5] == [
        *((1, 1, 1), (2, 3, 2), (4, 7, 0)),
        *((8, 15, 1), (16, 31, 0)),
    ]


def test_parts_are_bounded_and_hold_every_document_once() -> None:
    texts = [text(number, 1 + number % 7) for number in range(40)]
    corpus = prepare_corpus(lines(*texts, "x" * 500), near="off")
    parts = [part["text"][:] for part in corpus.parts("train", 100)]
    assert [one for part in parts for one in part] == corpus.train["text"][:]
    assert all(sum(map(len, part)) <= 100 or len(part) == 1 for part in parts)
    assert [len(part["text"]) for part in corpus.parts("held_out")] == [len(corpus.held_out)]
    assert corpus.characters["train"].tolist() == list(map(len, corpus.train["text"]))


def test_one_endless_line_is_told_with_its_beginning_and_cut_into_documents() -> None:
    with Path("endless.txt").open("w") as file:
        file.write("a short line\n")
        for number in range(30_000):
            file.write(f"word{number} " * 5)
    size = Path("endless.txt").stat().st_size
    assert size > 1_300_000
    corpus = prepare_corpus("endless.txt")
    what = "a line of more than 1,048,576 characters has no break"
    level, count, where = told(corpus)[what]
    assert (level, count) == ("warning", 1)
    assert where == ("endless.txt:2: word0 word0 word0 word0 word0 word1 word …",)
    assert max(corpus.characters["train"]) == documents.MOST_CHARACTERS
    assert any("1 document longer than 32,768 characters cut" in problem for problem in told(corpus))
    assert sum(int(lengths.sum()) for lengths in corpus.characters.values()) == size - 1


def test_reading_a_line_holds_a_piece_of_it(tmp_path: Path) -> None:
    path = tmp_path / "endless.txt"
    path.write_text("a b" * 3_000_000)
    tracemalloc.start()
    with path.open(newline="") as stream:
        pieces = sum(1 for _ in documents._cut(stream, "line", []))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pieces == -(-9_000_000 // documents.MOST_CHARACTERS)
    assert most < 1_000_000


def test_odd_characters_are_told() -> None:
    corpus = prepare_corpus(lines(text(0), "a\x00b c", "caf\ufffd noir", text(1)))
    assert told(corpus) == {
        "control characters stand in the text": ("warning", 1, ("corpus.txt:2",)),
        "the text holds U+FFFD: it was once read in a wrong encoding": ("warning", 1, ("corpus.txt:3",)),
    }


def test_hashes_are_those_of_the_other_splits() -> None:
    rows = datasets.Dataset.from_dict({"text": ["Ａ  b", "中文"]})
    assert [int(one).to_bytes(8) for one in survey(rows).hashes] == [key[:8] for key in partition.keys(rows, ["text"])]


def test_a_corpus_in_many_files_is_the_same_as_in_one() -> None:
    texts = [text(number % 15) + "!" * (number % 3) for number in range(40)]
    whole = prepare_corpus(lines(*texts))
    for number in range(4):
        lines(*texts[number * 10 : number * 10 + 10], name=f"part-{number}.txt")
    parts = prepare_corpus("part-*.txt")
    assert parts.digests == whole.digests
    assert parts.counts == whole.counts


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        ([{"text": " "}, {"text": "\n"}], "the corpus has no text"),
        ([{"text": None}], "the corpus has no text"),
        ([{"text": "only one"}], "no document is left to hold out"),
        ([{"text": "same one"}, {"text": "Same one!"}], "no document is left to hold out"),
        ([{"text": 1}, {"text": 2}], "the column 'text' holds no text"),
        ([{"text": ["a"]}, {"text": ["b"]}], "the column 'text' holds no text"),
        ([{"body": "a"}, {"body": "b"}], "there is no column 'text'"),
    ],
)
def test_a_corpus_that_cannot_be_learnt_from(texts: list[dict], what: str) -> None:
    with pytest.raises(DataError) as caught:
        prepare_corpus(texts)
    assert what in str(caught.value)


def test_a_train_split_that_holds_nothing_of_its_own() -> None:
    with pytest.raises(DataError, match="no document is left to learn from"):
        prepare_corpus({"train": lines("a b c", name="a.txt"), "test": lines("A b c!", name="b.txt")})
    with pytest.raises(DataError, match="there is no train split"):
        prepare_corpus({"dev": "a.txt", "test": "b.txt"})


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"near": "maybe"}, "there is no value of near 'maybe'"),
        ({"threshold": 0.2}, "a threshold of near-duplicates lies between 0.5 and 1"),
        ({"held_out": 1.0}, "the share of documents held out lies between 0 and 1"),
        ({"document": "page"}, "there is no value of document 'page'"),
        ({"columns": {"label": "x"}}, "there is no column role 'label'"),
    ],
)
def test_options_out_of_bounds(options: dict, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        prepare_corpus(lines("a", "b"), **options)
    assert what in str(caught.value)


def test_check_prints_what_a_corpus_holds_and_what_was_left_out() -> None:
    console = Console(record=True, width=160)
    texts = [f"[b] {text(number)}" for number in range(30)]
    command.run_corpus(lines(*texts, texts[0], texts[1] + " more", CHINESE, "a\x00b", "  "), console=console)
    printed = [line.rstrip() for line in console.export_text().splitlines()]
    assert printed[0] == "34 documents read, left out: 1 copy, 1 near-copy"
    assert printed[1].startswith("train: 31 documents, ")
    assert printed[2].startswith("held out: 1 document, ")
    assert "  32 to 63      1         0  █ 3.1%" in printed
    assert any(line.startswith("128 to 255") and "█" * 30 in line for line in printed)
    assert "warning: control characters stand in the text (corpus.txt:34)" in printed
    assert "note: near-copies were left out (corpus.txt:32 = corpus.txt:2)" in printed
    assert printed[-1] == "no errors, 1 warning"


def test_a_tagged_corpus_is_read_as_text() -> None:
    rows = [{"words": text(number).split(), "tags": ["O"] * 30} for number in range(30)]
    Path("tagged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    corpus = prepare_corpus("tagged.jsonl", held_out=0.1)
    assert all_texts(corpus) == {text(number) for number in range(30)}
