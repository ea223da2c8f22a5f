"""``sixfold tokenizer train``: files in, a folder that loads, measures on texts that were not trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer
from typer.testing import CliRunner

from sixfold.cli import app
from sixfold.commands.tokenizer import train
from sixfold.errors import DataError, UsageError

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    lines = [f"The bank opened {number} branches." for number in range(300)]
    lines += [f"银行在北京开了{number}家分行。" for number in range(300)]
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines), encoding="utf-8")
    return path


def test_it_is_saved_and_measured_by_language_on_unseen_texts(texts: Path, tmp_path: Path, base: Path) -> None:
    trained = train(str(texts), tmp_path / "out", vocabulary=320, use="decoder", compare=str(base))
    again = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert again.eos_token == "<|endoftext|>"
    new = trained.measures["new"]
    assert set(new) == {"en", "zh", "all"}
    assert 2 < new["all"].texts < 40
    assert new["all"].unknown == 0
    assert new["en"].tokens_a_character < 0.5
    other = trained.measures[str(base)]
    assert other["all"].texts == new["all"].texts
    assert other["all"].vocabulary != new["all"].vocabulary
    written = json.loads((tmp_path / "out" / "measures.json").read_text("utf-8"))
    assert written["new"]["zh"]["tokens"] == new["zh"].tokens


def test_a_second_training_takes_the_place_of_the_first_and_of_nothing_else(texts: Path, tmp_path: Path) -> None:
    for vocabulary in (300, 310):
        train(str(texts), tmp_path / "out", vocabulary=vocabulary)
    assert len(AutoTokenizer.from_pretrained(tmp_path / "out")) == 310
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="holds something"):
        train(str(texts), tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_one_text_is_enough_and_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text("The bank opened.\n")
    assert train(str(path), tmp_path / "out", vocabulary=300).measures["new"]["en"].texts == 1
    path.write_text("\n\n")
    with pytest.raises(DataError):
        train(str(path), tmp_path / "out2", vocabulary=300)
    assert not (tmp_path / "out2").exists()


def test_the_command_prints_the_measures_and_tells_mistakes(texts: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(app, ["tokenizer", "train", str(texts), "--out", str(tmp_path / "t"), "--vocabulary", "300"])
    assert done.exit_code == 0, done.output
    assert "per word" in done.output
    for flags, said in (
        (["--kind", "bpee"], "bpe"),
        (["--use", "decodr"], "decoder"),
        (["--column", "txt"], "text"),
        (["--vocabulary", "100"], "too small"),
    ):
        failed = runner.invoke(app, ["tokenizer", "train", str(texts), "--out", str(tmp_path / "u"), *flags])
        assert isinstance(failed.exception, UsageError), failed.output
        assert said in str(failed.exception)
