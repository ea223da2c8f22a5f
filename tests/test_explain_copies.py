"""Masked copies, built from tokens, are what the tokenizer makes of the strings with those units missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tuned import classifier, tagger

from sixfold.data.examples import Ragged
from sixfold.explain.game import Game
from sixfold.explain.masking import RowCopies
from sixfold.explain.subjects import View, games
from sixfold.perturb.words import Edit
from sixfold.score.driver import alone
from sixfold.score.subject import Subject

pytestmark = pytest.mark.usefixtures("own_home")

TEXT = "the unlikely film was good, 酒店很好 and the plays bad"
LONG = "the good film was bad and the bad film was good " * 3


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        "whole": classifier(tmp_path_factory.mktemp("a")),
        "windows": classifier(tmp_path_factory.mktemp("b"), limit=12, on_long="window"),
        "cut": classifier(tmp_path_factory.mktemp("c"), limit=12, on_long="truncate"),
        "tagger": tagger(tmp_path_factory.mktemp("d"), limit=8, on_long="window", shapes=True),
    }


def game_of(subject: Subject, text: Any, **view: Any) -> Game:
    (game, *_) = alone(games(subject, text, View(**view)), {"subject": subject.scorer})
    return game


def drawn(game: Game, copies: int = 12) -> Any:
    kept = np.random.default_rng(0).random((copies, len(game))) < 0.5
    return np.concatenate([kept, np.ones((1, len(game)), np.bool_), np.zeros((1, len(game)), np.bool_)])


def rows(runs: Ragged) -> list[list[int]]:
    return [run.tolist() for run in runs]


@pytest.mark.parametrize("name", ["whole", "windows", "cut"])
@pytest.mark.parametrize("text", [TEXT, LONG])
@pytest.mark.parametrize("by", ["words", "characters"])
def test_deleted_units_leave_the_tokens_of_the_string_without_them(
    folders: dict[str, Path], name: str, text: str, by: str
) -> None:
    subject = Subject.load(folders[name])
    game = game_of(subject, text, by=by)
    kept = drawn(game)
    found = game.copies["delete"].examples(kept)
    strings = []
    for row in kept:
        letters = list(text)
        for place in np.flatnonzero(~row):
            start, end = game.units.spans[place]
            letters[start:end] = [""] * (end - start)
        strings.append("".join(letters))
    expected = subject.task.encode(
        _Texts(strings), subject.tokenizer, subject.limit, "truncate" if name == "cut" else "window"
    ).examples
    assert rows(found.ragged("input_ids")) == rows(expected.ragged("input_ids"))
    assert found.dense("row").tolist() == expected.dense("row").tolist()


class _Texts(dict):  # type: ignore[type-arg]
    """Rows with one column."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__(text=texts)
        self.column_names = ["text"]

    def __len__(self) -> int:
        return len(self["text"])


def test_masked_units_keep_every_place(folders: dict[str, Path]) -> None:
    subject = Subject.load(folders["whole"])
    game = game_of(subject, TEXT, filling="mask")
    mask, ids = subject.tokenizer.mask_token_id, subject.tokenizer(TEXT)["input_ids"]
    kept = np.array([[True] * len(game), [place != 1 for place in range(len(game))]])
    whole, without = rows(game.copies["mask"].examples(kept).ragged("input_ids"))
    assert whole == ids
    pieces = len(subject.tokenizer.tokenize("unlikely"))
    assert pieces > 1
    assert without == [*ids[:2], *[mask] * pieces, *ids[2 + pieces :]]


def test_a_masked_word_of_a_row_is_masked_in_all_its_windows(folders: dict[str, Path]) -> None:
    subject = Subject.load(folders["tagger"])
    words = ["the", "Good", "film", "was", "bad", "and", "the", "bad", "film", "was", "good"]
    game = game_of(subject, words)
    text = subject.words(words)
    assert isinstance(game.copies["mask"], RowCopies)
    kept = drawn(game, 5)
    found = game.copies["mask"].examples(kept)
    for number, row in enumerate(kept):
        edits = [Edit(*text.sentence.spans[place], "[MASK]") for place in np.flatnonzero(~row)]
        expected = subject.examples(text, [edits])  # each of these words is one token, as [MASK] is
        mine = found.take(np.flatnonzero(found.dense("row") == number))
        assert len(mine) == len(expected) > 1
        for column in ("input_ids", "word", "place"):
            assert rows(mine.ragged(column)) == rows(expected.ragged(column))
        masked = mine.ragged("input_ids").values == subject.tokenizer.mask_token_id
        assert not mine.ragged("type").values[masked].any()
        np.testing.assert_array_equal(mine.ragged("type").values[~masked], expected.ragged("type").values[~masked])


@pytest.mark.parametrize("name", ["whole", "windows"])
def test_copies_are_worth_what_the_model_says_of_the_strings(folders: dict[str, Path], name: str) -> None:
    subject = Subject.load(folders[name])
    text = "the film was good and the old book was bad and new"
    game = game_of(subject, text, label="mixed")
    kept = drawn(game, 6)
    values = alone(game.values(kept), {"subject": subject.scorer})
    words = text.split()
    strings = [" ".join(word for word, yes in zip(words, row, strict=True) if yes) for row in kept]
    logits = subject.whole(strings)
    expected = subject.probabilities(np.stack(logits))[:, subject.task.labels.index("mixed")]
    np.testing.assert_allclose(values, expected, atol=1e-6)
