"""``sixfold augment``: which rows are written, what is counted, and what is refused."""

from __future__ import annotations

import json
import shlex
import stat
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from test_docs import code, table
from test_readme import ROOT, blocks
from tiny import wordpiece_vocabulary
from tiny_runs import reviews, write_conll, write_csv

from sixfold import cli, data
from sixfold.commands.augment import augment, told
from sixfold.data import partition
from sixfold.errors import DataError, ModelError, SixfoldError, UsageError
from sixfold.perturb import Sentence, augmenters
from sixfold.perturb.augment import Augmenter
from sixfold.perturb.augmenters import Row
from sixfold.perturb.operations import Replace
from sixfold.perturb.words import Transformation
from sixfold.text.lexicon import stop_words

pytestmark = pytest.mark.usefixtures("own_home")


NEAR = {"film": ["movie"], "movie": ["film"], "dog": ["dogs"], "书": ["本"], "york": ["jersey"]}


class Near:
    """ "film" and "movie" are the same; "dog" becomes "dogs"; "书" becomes "本"."""

    name, languages = "near", ("en", "zh")

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        return NEAR.get(sentence.word(position), [])


@pytest.fixture(autouse=True)
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Transformation = Near()
    row = Row("near words", {"en": (), "zh": ()}, lambda names: (Replace(made),), exchanges=False)
    monkeypatch.setitem(augmenters.PAPERS, "near", row)


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def listed(path: Path, *texts: str) -> Path:
    """A csv of texts."""
    rows = [{"id": f"{path.stem}{at}", "text": text, "label": "x"} for at, text in enumerate(texts)]
    return write_csv(path, rows)


def splits(folder: Path, **texts: Sequence[str]) -> Path:
    """A folder with a csv for each split."""
    for name, some in texts.items():
        listed(folder / f"{name}.csv", *some)
    return folder


def test_the_rows_come_first_then_what_was_made_of_them_with_their_other_columns(tmp_path: Path) -> None:
    source = splits(tmp_path, train=["a film", "a city", "my dog"], test=["x"])
    counts = augment(source, tmp_path / "out.jsonl", using=["near"])
    keys = [key.hex() for key in partition.keys(data.read(source)["train"], ["text"])]
    plain = {"label": "x", "augmented_with": None}
    made = {"label": "x", "augmented_with": "near"}
    assert written(tmp_path / "out.jsonl") == [
        {"id": "train0", "text": "a film", "augmented_from": keys[0], **plain},
        {"id": "train1", "text": "a city", "augmented_from": keys[1], **plain},
        {"id": "train2", "text": "my dog", "augmented_from": keys[2], **plain},
        {"id": "train0", "text": "a movie", "augmented_from": keys[0], **made},
        {"id": "train2", "text": "my dogs", "augmented_from": keys[2], **made},
    ]
    assert (counts.split, counts.rows, counts.made, counts.written, counts.alone) == ("train", 3, 2, 5, False)
    assert counts.unchanged == {"en": 1}


def test_only_what_was_made_is_written_if_that_is_asked_for(tmp_path: Path) -> None:
    source = splits(tmp_path, train=["a film"], test=["x"])
    counts = augment(source, tmp_path / "o.jsonl", using=["near"], keep_original=False)
    assert [row["text"] for row in written(tmp_path / "o.jsonl")] == ["a movie"]
    assert counts.written == 1


def test_a_text_that_is_there_already_or_in_another_split_is_left_out(tmp_path: Path) -> None:
    train = ["a film", "a movie", "one film", "one film", "the film"]
    source = splits(tmp_path, train=train, test=["The  MOVIE"])
    counts = augment(source, tmp_path / "out.jsonl", using=["near"])
    assert [row["text"] for row in written(tmp_path / "out.jsonl")][5:] == ["one movie"]
    assert (counts.made, counts.repeated, counts.elsewhere) == (1, 3, {"test": 1})
    assert counts.unchanged == {}


def test_only_train_is_written_unless_another_split_is_named(tmp_path: Path) -> None:
    given = splits(tmp_path, train=["a film"], test=["my dog"])
    source = {name: given / f"{name}.csv" for name in ("train", "test")}
    augment(source, tmp_path / "out.jsonl", using=["near"])
    assert {row["id"] for row in written(tmp_path / "out.jsonl")} == {"train0"}
    augment(source, tmp_path / "test.jsonl", using=["near"], split="test")
    assert [row["text"] for row in written(tmp_path / "test.jsonl")] == ["my dog", "my dogs"]


def test_a_source_without_train_needs_its_split_named(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [{"text": "a film"}])
    with pytest.raises(UsageError, match="no split 'train'"):
        augment({"test": tmp_path / "a.csv"}, tmp_path / "out.jsonl", using=["near"])


def test_columns_are_named_by_role_and_keep_their_names(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", [{"note": "a dog", "said": "a film"}])
    augment(source, tmp_path / "out.jsonl", using=["near"], columns={"text": "said"})
    rows = written(tmp_path / "out.jsonl")
    assert [(row["note"], row["said"]) for row in rows] == [("a dog", "a film"), ("a dog", "a movie")]


def test_several_augmenters_each_make_texts_of_every_row(tmp_path: Path) -> None:
    source = splits(tmp_path, train=["a film"], test=["x"])
    augment(source, tmp_path / "out.jsonl", using=["near", "aeda"], times=2)
    assert [row["augmented_with"] for row in written(tmp_path / "out.jsonl")] == [None, "near", "aeda", "aeda"]


def test_the_same_seed_gives_the_same_file_and_rows_do_not_depend_on_each_other(tmp_path: Path) -> None:
    rows = reviews(40)
    few, many = write_csv(tmp_path / "few.csv", rows[5:6]), write_csv(tmp_path / "many.csv", rows)
    for name, source, seed in (("few", few, 1), ("many", many, 1), ("again", many, 1), ("other", many, 2)):
        augment(source, tmp_path / f"{name}.jsonl", using=["aeda"], seed=seed)
    assert (tmp_path / "many.jsonl").read_bytes() == (tmp_path / "again.jsonl").read_bytes()
    assert (tmp_path / "many.jsonl").read_bytes() != (tmp_path / "other.jsonl").read_bytes()
    one, all_of_them = ({str(row) for row in written(tmp_path / f"{name}.jsonl")} for name in ("few", "many"))
    assert one < all_of_them


def test_words_with_tags_are_exchanged_and_their_tags_stay(tmp_path: Path) -> None:
    source = write_conll(tmp_path / "a.conll", 4)
    counts = augment(source, tmp_path / "out.jsonl", using=["near"])
    rows = written(tmp_path / "out.jsonl")
    assert all(len(row["words"]) == len(row["tags"]) for row in rows)
    # in this file a dog is a person and New York a place: nothing else can be exchanged
    assert (counts.rows, counts.made, len(rows)) == (4, 0, 4)
    lines = "the O\nfilm O\nof O\nyork B-LOC\n\n"
    (tmp_path / "b.conll").write_text(lines, encoding="utf-8")
    augment(tmp_path / "b.conll", tmp_path / "b.jsonl", using=["near"])
    assert [row["words"] for row in written(tmp_path / "b.jsonl")][1:] == [["the", "movie", "of", "york"]]
    assert written(tmp_path / "b.jsonl")[1]["tags"] == ["O", "O", "O", "B-LOC"]


def test_what_changes_the_number_of_words_is_refused_for_tags_and_nothing_is_written(tmp_path: Path) -> None:
    source = write_conll(tmp_path / "a.conll", 4)
    with pytest.raises(UsageError, match="one tag a word"):
        augment(source, tmp_path / "out.jsonl", using=["aeda"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.conll"]


def test_what_is_written_can_be_read_checked_and_kept_together_by_its_origin(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", reviews(60))
    counts = augment(source, tmp_path / "out.jsonl", using=["aeda"])
    assert counts.alone
    rows = data.read(tmp_path / "out.jsonl")
    made = partition.split(rows, {"test": 0.3}, on=["text"], group="augmented_from")
    assert not set(made["train"]["augmented_from"]) & set(made["test"]["augmented_from"])
    assert len(made["train"]) + len(made["test"]) == counts.written


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    augment(splits(tmp_path, train=["a film"], test=["x"]), tmp_path / "new" / "out.jsonl", using=["near"])
    assert stat.S_IMODE((tmp_path / "new" / "out.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"out": "out.csv"}, "JSON lines"),
        ({"out": "a.jsonl"}, "replace its own source"),
        ({"using": ["nearr"]}, "no augmenter"),
        ({"using": ["bert-attack"]}, "--words"),
        ({"times": 0}, "one text or more"),
        ({"columns": {"txt": "text"}}, "no column role"),
        ({"task": "clasify"}, "no task"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(tmp_path: Path, changes: dict[str, Any], what: str) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "a film"}\n', encoding="utf-8")
    given = {"using": ["near"], "out": "out.jsonl", **changes}
    with pytest.raises(UsageError, match=what):
        augment(source, tmp_path / given.pop("out"), **given)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_rows_with_errors_are_told_all_at_once(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", [{"text": "a film"}, {"text": ""}, {"text": " "}])
    with pytest.raises(DataError, match="2×"):
        augment(source, tmp_path / "out.jsonl", using=["near"])


def test_rows_that_were_augmented_are_not_augmented_again(tmp_path: Path) -> None:
    augment(splits(tmp_path, train=["a film"], test=["x"]), tmp_path / "out.jsonl", using=["near"])
    with pytest.raises(UsageError, match="augmented"):
        augment(tmp_path / "out.jsonl", tmp_path / "again.jsonl", using=["near"])


def test_missing_word_lists_are_told_all_at_once_for_the_languages_of_the_rows(tmp_path: Path) -> None:
    stop_words.load.cache_clear()
    english = write_csv(tmp_path / "a.csv", [{"text": "a film"}])
    with pytest.raises(SixfoldError, match="sixfold words pull wordnet inflections stop-words"):
        augment(english, tmp_path / "out.jsonl")
    both = write_csv(tmp_path / "b.csv", [{"text": "a film"}, {"text": "好书"}])
    with pytest.raises(SixfoldError, match="sixfold words pull wordnet inflections cilin stop-words"):
        augment(both, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """A masked language model of random weights."""
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer

    pieces = wordpiece_vocabulary()
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertForMaskedLM(config).save_pretrained(tmp_path / "masked")
    BertTokenizer(vocab={piece: at for at, piece in enumerate(pieces)}, model_max_length=64).save_pretrained(
        tmp_path / "masked"
    )
    return tmp_path / "masked"


@pytest.mark.parametrize("name", ["bert-attack", "bae-replace", "bae-insert"])
def test_a_masked_language_model_says_what_fits(
    tmp_path: Path, masked: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("sixfold.commands.augment.need", lambda *lists: None)
    monkeypatch.setattr(augmenters, "Augmenter", partial(Augmenter, grammar=frozenset))
    source = splits(tmp_path, train=["the cat plays", "a red card"], test=["x"])
    counts = augment(source, tmp_path / "out.jsonl", using=[name], words=str(masked), times=3)
    assert counts.made == 6
    made = [row["text"] for row in written(tmp_path / "out.jsonl") if row["augmented_with"]]
    assert {len(text.split()) for text in made} == ({4} if name == "bae-insert" else {3})


def test_a_model_that_fills_no_masks_is_refused(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sixfold.commands.augment.need", lambda *lists: None)
    source = splits(tmp_path, train=["the cat plays"], test=["x"])
    with pytest.raises(ModelError, match="masks"):
        augment(source, tmp_path / "out.jsonl", using=["bert-attack"], words=str(base))


def test_what_was_done_is_told_in_lines(tmp_path: Path) -> None:
    source = listed(tmp_path / "a.csv", "a film", "a movie", "one film", "a city", "1")
    out = tmp_path / "out.jsonl"
    assert list(told(augment(source, out, using=["near"]), out)) == [
        "1 text made of 5 rows of train",
        "  2 rows of which nothing could be made (en 1, und 1)",
        "  2 texts left out: the same one was there already",
        f"6 rows in {out}",
        "The source has no other split. Where validation and test are cut off these rows, a text and what was made of "
        "it must stay together: `group: augmented_from` in the recipe's data, or --set data.group=augmented_from.",
    ]


def test_the_command_line_writes_the_file_and_tells_the_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "a.csv", [{"said": "a film"}])
    monkeypatch.chdir(tmp_path)
    arguments = "augment a.csv --out b.jsonl --with near --times 2 --column text=said --no-keep-original --split train"
    monkeypatch.setattr(sys, "argv", ["sixfold", *arguments.split()])
    with pytest.raises(SystemExit) as done:
        cli.main()
    assert done.value.code == 0
    assert "1 text made of 1 row of train" in capsys.readouterr().out
    assert [row["said"] for row in written(tmp_path / "b.jsonl")] == ["a movie"]


def test_the_page_has_every_augmenter_and_no_other() -> None:
    text = (ROOT / "docs/augment.md").read_text("utf-8")
    heads = ["## Augmenters", "### Changes of one word", "### Changes of a whole text", "### With a masked language"]
    listed = [code(row[0]) for head in heads for row in table(text, head)]
    assert listed == [name for name in augmenters.names() if name != "near"]


def test_the_page_s_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "reviews.csv", [{"review": row["text"], "stars": row["label"]} for row in reviews(60)])
    monkeypatch.chdir(tmp_path)
    run = [block for block in blocks((ROOT / "docs/augment.md").read_text("utf-8")) if not block.not_run]
    assert [block.language for block in run] == ["bash", "python"]
    for line in run[0].code.splitlines():
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as done:
            cli.main()
        assert done.value.code == 0, line
    exec(compile(run[1].code, "augment.md", "exec"), {})
    assert [line[0] for line in capsys.readouterr().out.splitlines()[-4:]] == ["0", "0", "1", "1"]
