"""``data.check`` finds every problem at once; ``data.apply`` gives rows that a task can use."""

from __future__ import annotations

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from sixfold import data
from sixfold.commands import check as command
from sixfold.data import Column
from sixfold.data.tags import Tagging
from sixfold.errors import DataError, UsageError

CLASSIFY = (
    Column("text", "text", names=("sentence", "review")),
    Column("label", "label", target=True, names=("category",)),
)
TAG = (Column("words", "words", names=("tokens",)), Column("tags", "tags", target=True, names=("ner_tags",)))


def splits(**rows: list[dict]) -> datasets.DatasetDict:
    return datasets.DatasetDict({name: data.read(some)["train"] for name, some in rows.items()})


def pairs(*rows: tuple) -> list[dict]:
    return [{"text": text, "label": label} for text, label in rows]


def told(checked: data.Checked, level: str = "error") -> list[tuple[str, int, tuple[str, ...]]]:
    return [(one.what, one.count, one.where) for one in checked.problems if one.level == level]


CLEAN = pairs(*((f"text {place}", "ab"[place % 2]) for place in range(20)))


def test_clean_rows_have_no_problem_and_are_only_renamed() -> None:
    rows = splits(train=[{"Review": row["text"], "category": row["label"], "id": 1} for row in CLEAN])
    checked = data.check(rows, CLASSIFY)
    assert checked.problems == ()
    assert checked.mapping == {"text": "Review", "label": "category"}
    assert checked.rows == {"train": 20}
    assert checked.labels == {"train": {"a": 10, "b": 10}}
    assert checked.languages == {"train": {"en": 1.0}}
    assert (checked.characters["train"].least, checked.characters["train"].most) == (6, 7)
    assert (checked.units["train"].least, checked.units["train"].most) == (2, 2)
    applied = data.apply(rows, checked, keep=["id"])
    assert applied.dropped == {}
    assert applied.rows["train"].column_names == ["text", "label", "id", "__file__", "__line__"]
    assert applied.rows["train"]["text"][:] == rows["train"]["Review"][:]


def test_all_problems_of_rows_are_told_at_once_with_their_lines() -> None:
    rows = splits(
        train=[
            *CLEAN,
            *pairs(("", "a"), (None, "a"), ("x", None), ("\u200b \ufeff", "b"), ("text 0", "a"), ("TEXT  1", "a")),
            *pairs(("bad\x00char", "a"), ("lost \ufffd", "b"), ("rare", "c")),
        ]
    )
    checked = data.check(rows, CLASSIFY)
    assert told(checked) == [
        ("text is empty", 2, ("rows:21", "rows:24")),
        ("text has no value", 1, ("rows:22",)),
        ("label has no value", 1, ("rows:23",)),
    ]
    assert told(checked, "warning") == [
        ("control characters stand in the text", 1, ("rows:27",)),
        ("the text holds U+FFFD: it was once read in a wrong encoding", 1, ("rows:28",)),
        ("a text stands there again", 1, ("rows:25",)),
        ("a text stands there again with another label", 1, ("rows:26",)),
        ("classes with fewer than 5 in train: c (1)", 1, ()),
    ]
    with pytest.raises(DataError, match="3 problems in the data"):
        data.apply(rows, checked)
    applied = data.apply(rows, checked, on_bad="drop")
    assert len(applied.rows["train"]) == 25
    assert applied.dropped == {"train": {"text is empty": 2, "text has no value": 1, "label has no value": 1}}


def test_a_missing_column_shows_the_nearest_and_the_usual_names() -> None:
    checked = data.check(splits(train=[{"revew": "x", "stars": 1}]), CLASSIFY)
    (text, _, _), (label, _, _) = told(checked)
    assert text == "there is no column 'text' (the text); usual names are sentence, review; the file has revew, stars"
    assert label.startswith("there is no column 'label' (the label)")
    with pytest.raises(DataError):
        data.apply(splits(train=[{"revew": "x"}]), checked, on_bad="drop")


def test_a_misspelt_column_of_the_mapping_shows_the_nearest() -> None:
    checked = data.check(splits(train=[{"text": "x", "stars": 1}]), CLASSIFY, {"label": "star"})
    assert checked.errors[0].what == "there is no column 'star' (the label); the file has text, stars"
    assert checked.errors[0].remedy == "did you mean 'stars'? Say so with `columns: {label: stars}`"


def test_a_misspelt_role_or_allowance_is_a_usage_error() -> None:
    rows = splits(train=CLEAN)
    with pytest.raises(UsageError) as caught:
        data.check(rows, CLASSIFY, {"lable": "label"})
    assert caught.value.nearest == "label"
    with pytest.raises(UsageError) as caught:
        data.check(rows, CLASSIFY, allow=["overlap"])
    assert caught.value.nearest == "overlaps"
    with pytest.raises(UsageError) as caught:
        data.apply(rows, data.check(rows, CLASSIFY), on_bad="dorp")
    assert caught.value.nearest == "drop"


def test_a_column_that_one_split_lacks() -> None:
    checked = data.check(splits(train=CLEAN, test=[{"text": "new"}]), CLASSIFY)
    assert told(checked) == [("the split test has no column 'label', which train has", 1, ())]


def test_one_class_only() -> None:
    rows = splits(train=pairs(("x", "a"), ("y", "a")))
    assert told(data.check(rows, CLASSIFY)) == [("train has only the class 'a': there is nothing to tell apart", 1, ())]
    assert told(data.check(rows, CLASSIFY, allow=["one_class"])) == []


def test_a_row_in_both_train_and_test_goes_out_of_train_when_dropping_is_allowed() -> None:
    rows = splits(train=CLEAN, test=pairs((" Text 3", "b"), ("new", "a")))
    checked = data.check(rows, CLASSIFY)
    assert told(checked) == [("rows of train are also in test", 1, ("rows:4",))]
    applied = data.apply(rows, checked, on_bad="drop")
    assert {name: len(some) for name, some in applied.rows.items()} == {"train": 19, "test": 2}
    kept = data.check(rows, CLASSIFY, allow=["overlaps"])
    assert kept.errors == []
    assert len(data.apply(rows, kept).rows["train"]) == 20


def test_a_label_that_train_lacks() -> None:
    rows = splits(train=CLEAN, validation=pairs(("new", "c"), ("newer", "a")))
    checked = data.check(rows, CLASSIFY)
    assert told(checked) == [("rows of validation have a label that train lacks: 'c'", 1, ("rows:1",))]
    assert len(data.apply(rows, checked, on_bad="drop").rows["validation"]) == 1
    assert data.check(rows, CLASSIFY, allow=["unseen"]).errors == []


def test_numbers_as_labels_and_texts_are_read_as_strings() -> None:
    rows = splits(train=[{"text": place, "label": float(place % 2)} for place in range(12)])
    checked = data.check(rows, CLASSIFY)
    assert told(checked, "warning") == [("text holds numbers: they are read as strings", 12, ())]
    made = data.apply(rows, checked).rows["train"]
    assert made[3] == {"text": "3", "label": "1", "__file__": "rows", "__line__": 4}


def test_several_labels_come_as_lists_or_in_one_cell() -> None:
    columns = (CLASSIFY[0], Column("labels", "labels", target=True))
    cells = ["a; b", "b", "", "c;a"] * 5
    rows = splits(train=[{"text": f"t{place}", "labels": cell} for place, cell in enumerate(cells)])
    checked = data.check(rows, columns)
    assert checked.errors == []
    assert checked.labels["train"] == {"a": 10, "b": 10, "c": 5}
    assert data.apply(rows, checked).rows["train"]["labels"][:4] == [["a", "b"], ["b"], [], ["c", "a"]]
    listed = splits(train=[{"text": f"t{n}", "labels": [["a"], []][n % 2]} for n in range(4)])
    assert data.check(listed, columns).labels["train"] == {"a": 2}


def test_tags_that_do_not_fit_their_words_and_unknown_tags() -> None:
    good = {"words": ["EU", "x"], "tags": ["B-ORG", "O"]}
    rows = splits(
        train=[
            *[{**good, "words": ["EU", f"x{n}"]} for n in range(6)],
            {"words": ["a", "b"], "tags": ["O"]},
            {"words": ["a", "b"], "tags": ["o", "B_X"]},
            {"words": [], "tags": []},
            {"words": ["a", ""], "tags": ["O", "O"]},
        ]
    )
    checked = data.check(rows, TAG)
    assert told(checked) == [
        ("there are not as many tags as words", 1, ("rows:7",)),
        ("a tag is neither O nor B-, I-, E- or S- with a type", 1, ("rows:8",)),
        ("words is empty", 1, ("rows:9",)),
        ("tags is empty", 1, ("rows:9",)),
        ("words holds a word that is empty or no string", 1, ("rows:10",)),
    ]
    assert told(checked, "note") == [("unknown tags: 'o', 'B_X'", 2, ())]
    assert len(data.apply(rows, checked, on_bad="drop").rows["train"]) == 6


def test_words_and_tags_may_stand_in_cells_with_blanks_between() -> None:
    rows = splits(train=[{"tokens": f"EU  rejects {n}", "ner_tags": "B-ORG O O"} for n in range(5)])
    checked = data.check(rows, TAG)
    assert checked.errors == []
    assert checked.scheme == "BIO"
    made = data.apply(rows, checked).rows["train"][4]
    assert (made["words"], made["tags"]) == (["EU", "rejects", "4"], ["B-ORG", "O", "O"])


def test_no_entity_at_all() -> None:
    checked = data.check(splits(train=[{"words": ["a"], "tags": ["O"]}]), TAG)
    assert told(checked) == [("no entity is tagged in train: every tag is O", 1, ())]


def test_iob1_is_told_and_counted() -> None:
    rows = [{"words": ["a", "b", f"{n}"], "tags": ["I-LOC", "B-LOC", "O"]} for n in range(5)]
    checked = data.check(splits(train=rows), TAG)
    assert checked.scheme == "IOB1"
    assert checked.labels["train"] == {"LOC": 10}
    assert told(checked, "note") == [("entities of train begin with I-: read as IOB1, as conlleval does", 5, ())]


def test_spans_and_messages() -> None:
    columns = (CLASSIFY[0], Column("spans", "spans", target=True))
    span = {"start": 0, "end": 3, "label": "X"}
    rows = splits(train=[{"text": "abcd", "spans": [span]}, {"text": "ab", "spans": [span]}])
    assert told(data.check(rows, columns)) == [("a span ends behind its text", 1, ("rows:2",))]
    talk = splits(
        train=[
            {"messages": [{"role": "user", "content": "hi"}]},
            {"messages": [{"role": "bot", "content": "hi"}]},
            {"messages": []},
        ]
    )
    assert [what for what, _, _ in told(data.check(talk, [Column("messages", "messages")]))] == [
        "messages holds a message whose role is not one of system, user, assistant, tool",
        "messages is not a list of messages",
    ]


def test_a_column_that_is_not_required_may_be_absent_or_empty() -> None:
    columns = (*CLASSIFY, Column("weight", "number", required=False))
    assert data.check(splits(train=CLEAN), columns).errors == []
    rows = splits(train=[{**row, "weight": None if row["label"] == "a" else 1.5} for row in CLEAN])
    assert data.check(rows, columns).errors == []


def test_no_usable_row_is_an_error_even_when_dropping() -> None:
    rows = splits(train=CLEAN, test=pairs(("", "a")))
    with pytest.raises(DataError, match="no row of test can be used"):
        data.apply(rows, data.check(rows, CLASSIFY), on_bad="drop")


TAGS = st.lists(st.sampled_from(["O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y"]), max_size=8)


@given(st.lists(TAGS, max_size=4))
@settings(max_examples=200, deadline=None)
def test_entities_are_counted_as_seqeval_counts_them(sequences: list[list[str]]) -> None:
    from seqeval.metrics.sequence_labeling import get_entities

    tagging = Tagging()
    for tags in sequences:
        tagging.add(tags)
    assert tagging.entities.total() == sum(len(get_entities(tags)) for tags in sequences)


def tagging_of(tags: str) -> Tagging:
    tagging = Tagging()
    tagging.add(tags.split())
    return tagging


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("O O", "none"),
        ("B-X I-X O B-X B-X", "BIO"),
        ("I-X I-X O I-X B-X", "IOB1"),
        ("I-X O B-Y", "mixed"),
        ("B-X I-X E-X O S-X", "BIOES"),
    ],
)
def test_the_scheme_of_tags(tags: str, scheme: str) -> None:
    assert tagging_of(tags).scheme == scheme


@pytest.mark.parametrize(
    ("tags", "broken"), [("B-X I-X E-X O S-X", 0), ("B-X O", 1), ("O E-X", 1), ("S-X I-X O", 2), ("B-X E-Y", 2)]
)
def test_places_that_break_bioes_are_counted(tags: str, broken: int) -> None:
    assert tagging_of(tags).broken == broken


def test_the_command_prints_problems_distribution_and_what_dropping_would_do(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path / "home"))
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\n" + "".join(f"好书 {n},[b]{n % 2}\n" for n in range(20)) + ",x\n", encoding="utf-8")
    console = Console(record=True, width=200)
    checked = command.run(path, CLASSIFY, console=console)
    printed = console.export_text()
    assert len(checked.errors) == 1
    assert f"error: text is empty ({path}:22)" in printed
    assert "[b]0" in printed
    assert "██████████████████████████████ 50.0%" in printed
    assert "zh 100.0%" in printed
    assert "1 error, 0 warnings" in printed
    assert "`on_bad: drop` would leave out 1 row of train" in printed
