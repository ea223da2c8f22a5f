"""A subject answers about variants of a text as the task answers about the edited strings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny import WORDS
from tuned import LABELS, TAGS, classifier, tagger

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import DataError, ModelError
from sixfold.models import load
from sixfold.perturb.words import Edit, applied
from sixfold.score.driver import Search, alone, drive
from sixfold.score.scorer import Scorer
from sixfold.score.subject import Subject, Text
from sixfold.score.tuned import task_of
from sixfold.tasks.texts import Texts

pytestmark = pytest.mark.usefixtures("own_home")

TEXT = "the film was good, and the [MASK] 房间 was great"
WINDOWS = 12
"""Tokens of an example, so that a text of some words needs windows."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    def at(name: str) -> Path:
        return tmp_path_factory.mktemp(name)

    return {
        "classifier": classifier(at("a")),
        "truncated": classifier(at("b"), limit=WINDOWS, on_long="truncate"),
        "windows": classifier(at("c"), limit=WINDOWS, on_long="window"),
        "refusing": classifier(at("d"), limit=WINDOWS, on_long="error"),
        "tagger": tagger(at("e")),
        "shapes": tagger(at("f"), shapes=True),
        "tagger windows": tagger(at("g"), limit=WINDOWS, on_long="window"),
    }


@pytest.fixture(scope="module")
def subjects(folders: dict[str, Path]) -> dict[str, Subject]:
    return {name: Subject.load(folder) for name, folder in folders.items()}


def asked(subject: Subject, text: Text, variants: Sequence[Sequence[Edit]]) -> NDArray[np.float64]:
    query = subject.query(text, variants)
    return subject.logits(text, query, subject.scorer.ask(query.examples, query.ask))


def same(found: Examples, wanted: Examples) -> None:
    """All columns, their numbers and types."""
    assert set(found.columns) == set(wanted.columns) - {"label", "tag"}
    for name, column in found.columns.items():
        other = wanted.columns[name]
        if isinstance(column, Ragged):
            assert isinstance(other, Ragged)
            assert [run.tolist() for run in column] == [run.tolist() for run in other], name
            assert column.values.dtype == other.values.dtype
        else:
            assert column.tolist() == other.tolist(), name  # type: ignore[union-attr]
            assert column.dtype == other.dtype


def encoded(subject: Subject, given_: list[Any]) -> Examples:
    role = "text" if isinstance(given_[0], str) else "words"
    return subject.task.encode(Texts({role: given_}), subject.tokenizer, subject.limit, subject._on_long).examples


def variants_of(text: Text) -> list[list[Edit]]:
    edit = text.sentence.edit
    return [[], [edit(1, "movie")], [edit(1, "book"), edit(2, "isn't")], [edit(0, "[MASK]")], [edit(3, "worst")]]


# Texts


@pytest.mark.parametrize("name", ["classifier", "truncated", "windows"])
def test_a_variant_is_encoded_as_its_string_would_be(subjects: dict[str, Subject], name: str) -> None:
    subject = subjects[name]
    text = subject.text(TEXT)
    strings = [text.edited(edits) for edits in variants_of(text)]
    assert strings[2] == "the book isn't good, and the [MASK] 房间 was great"
    same(subject.examples(text, variants_of(text)), encoded(subject, strings))


@pytest.mark.parametrize("name", ["classifier", "truncated", "windows"])
def test_a_variant_is_answered_as_its_string_would_be(subjects: dict[str, Subject], name: str) -> None:
    subject = subjects[name]
    text = subject.text(TEXT)
    logits = asked(subject, text, variants_of(text))
    assert logits.shape == (5, len(LABELS))
    assert logits.dtype == np.float64
    predictions = subject.task.predict(Scorer(subject.scorer.model), encoded(subject, [TEXT]))
    np.testing.assert_allclose(logits[0], predictions[0].logits, atol=1e-5)
    np.testing.assert_allclose(subject.probabilities(logits)[0], predictions[0].probabilities, atol=1e-5)
    whole = subject.whole([applied(TEXT, edits) for edits in variants_of(text)])
    np.testing.assert_allclose(logits, np.stack(whole), atol=1e-5)
    assert np.ptp(logits[1:], axis=0).max() > 0.05, "the variants differ"


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_any_edit_of_any_text_is_encoded_as_its_string(subjects: dict[str, Subject], data: st.DataObject) -> None:
    subject = subjects[data.draw(st.sampled_from(["classifier", "windows"]))]
    text = subject.text(" ".join(data.draw(st.lists(st.sampled_from([*WORDS, "房间", "."]), min_size=1, max_size=20))))
    pairs = st.tuples(st.integers(0, max(0, len(text.sentence) - 1)), st.sampled_from(["", "x", "don't", "好", "a b"]))
    picked = dict(data.draw(st.lists(pairs, max_size=3)) if len(text.sentence) else [])
    edits = [text.sentence.edit(place, word) for place, word in picked.items() if word or len(picked) == 1]
    same(subject.examples(text, [edits]), encoded(subject, [text.edited(edits)]))


def test_what_was_asked_is_not_asked_again(folders: dict[str, Path]) -> None:
    subject = Subject.load(folders["classifier"])
    text = subject.text(TEXT)
    asked(subject, text, variants_of(text))
    asked(subject, subject.text(TEXT), variants_of(text))
    ledger = subject.scorer.ledger
    assert (ledger.queries, ledger.model_calls, ledger.cached) == (10, 5, 5)


def test_whole_strings_are_confirmed_without_the_cache(folders: dict[str, Path]) -> None:
    subject = Subject.load(folders["classifier"])
    asked(subject, subject.text(TEXT), [()])
    before = replace(subject.scorer.ledger)
    (first,) = subject.whole([TEXT])
    for weight in subject.scorer.model.classifier.parameters():
        weight.data.mul_(2)
    (second,) = subject.whole([TEXT])
    np.testing.assert_allclose(second, 2 * first, rtol=1e-5)
    assert subject.scorer.ledger == before


def test_a_text_that_is_refused_is_told_and_a_variant_that_grew_is_cut(subjects: dict[str, Subject]) -> None:
    subject = subjects["refusing"]
    with pytest.raises(DataError, match="longer than the limit of 12 tokens"):
        subject.text("the film was good " * 4)
    text = subject.text("the film was good and the book was bad")
    grown = [text.sentence.edit(1, "film film film film")]
    assert asked(subject, text, [grown]).shape == (1, 3)
    assert subject.examples(text, [grown]).lengths.tolist() == [WINDOWS]
    np.testing.assert_allclose(asked(subject, text, [grown])[0], subject.whole([text.edited(grown)])[0], atol=1e-5)


# Rows of words

ROW = ["i", "love", "New", "york", "!", "filmed", "房", "间", "[MASK]"]


@pytest.mark.parametrize("name", ["tagger", "shapes", "tagger windows"])
def test_a_row_s_variant_is_encoded_as_its_words_would_be(subjects: dict[str, Subject], name: str) -> None:
    subject = subjects[name]
    text = subject.words(ROW)
    assert text.is_words
    edit = text.sentence.edit
    variants = [[], [edit(2, "OLD")], [edit(7, "x"), edit(0, "playing")], [edit(8, "[MASK]"), edit(4, "")]]
    rows = [text.edited(edits) for edits in variants]
    assert rows[2] == ["playing", *ROW[1:7], "x", "[MASK]"]
    assert rows[3] == [*ROW[:4], "", *ROW[5:]]
    same(subject.examples(text, variants), encoded(subject, rows))
    assert ("type" in subject.examples(text, variants).columns) is (name == "shapes")


@pytest.mark.parametrize("name", ["tagger", "shapes", "tagger windows"])
def test_a_row_s_variant_is_answered_as_its_words_would_be(subjects: dict[str, Subject], name: str) -> None:
    subject = subjects[name]
    text = subject.words(ROW)
    variants = [[], [text.sentence.edit(2, "dog")]]
    logits = asked(subject, text, variants)
    assert logits.shape == (2, len(ROW), len(TAGS))
    (predicted,) = subject.task.predict(Scorer(subject.scorer.model), encoded(subject, [ROW]))
    np.testing.assert_allclose(logits[0], predicted.logits, atol=1e-5)
    whole = subject.whole([text.edited(edits) for edits in variants])
    np.testing.assert_allclose(logits, np.stack(whole), atol=1e-5)
    probabilities = subject.probabilities(logits)
    np.testing.assert_allclose(probabilities.sum(-1), 1)
    odds = np.log(probabilities[..., 0] / probabilities[..., 1])
    np.testing.assert_allclose(odds, (logits[..., 0] - logits[..., 1]) / 0.5, atol=1e-6)


def test_every_word_of_a_row_is_one_of_the_sentence(subjects: dict[str, Subject]) -> None:
    text = subjects["tagger"].words(ROW)
    assert text.sentence.text == "i love New york ! filmed房间[MASK]"
    assert text.sentence.words() == ROW


@pytest.mark.parametrize(
    ("edits", "place", "word"),
    [
        ([Edit(2, 6, "hate")], 1, "hate"),
        ([Edit(1, 6, "")], 1, ""),  # with the blank before it
        ([Edit(7, 11, "")], 2, ""),  # with the blank after it
        ([Edit(3, 4, "0")], 1, "l0ve"),
        ([Edit(2, 2, "g"), Edit(6, 6, "s")], 1, "gloves"),
        ([Edit(25, 26, "京")], 7, "京"),
    ],
)
def test_an_edit_belongs_to_the_word_that_it_is_in(
    subjects: dict[str, Subject], edits: list[Edit], place: int, word: str
) -> None:
    wanted = list(ROW)
    wanted[place] = word
    assert subjects["tagger"].words(ROW).edited(edits) == wanted


def test_an_edit_of_several_words_is_a_broken_invariant(subjects: dict[str, Subject]) -> None:
    with pytest.raises(AssertionError, match="several words"):
        subjects["tagger"].words(ROW).edited([Edit(0, 6, "love")])


# With the driver, and with another model


def test_searches_over_one_subject_run_together(subjects: dict[str, Subject]) -> None:
    subject = subjects["classifier"]

    def search(string: str) -> Search[NDArray]:
        text = subject.text(string)
        query = subject.query(text, [[], [text.sentence.edit(0, "no")]])
        return subject.logits(text, query, (yield query))

    strings = ["good film", "bad film", "the hotel was old and the room was not"]
    together = dict(drive(map(search, strings), {"subject": subject.scorer}))
    for number, string in enumerate(strings):
        np.testing.assert_allclose(together[number], alone(search(string), {"subject": subject.scorer}), atol=1e-5)


def test_another_model_may_take_the_scorer_s_place(folders: dict[str, Path], tmp_path: Path) -> None:
    subject = Subject.load(folders["classifier"])
    other = load(classifier(tmp_path, seed=1), subject.task.head()).model
    changed = replace(subject, scorer=Scorer(other))
    text = changed.text(TEXT)
    np.testing.assert_allclose(asked(changed, text, [()])[0], changed.whole([TEXT])[0], atol=1e-5)
    assert np.abs(changed.whole([TEXT])[0] - subject.whole([TEXT])[0]).max() > 0.1


def test_a_model_that_is_loaded_already_is_the_same_subject(folders: dict[str, Path]) -> None:
    folder = folders["classifier"]
    loaded = load(folder, task_of(folder).head())
    subject = Subject.of(loaded, folder)
    assert subject.digest == loaded.digest
    assert (subject.limit, subject.on_long, dict(subject.columns)) == (64, "truncate", {"text": "review"})
    np.testing.assert_array_equal(subject.whole([TEXT])[0], Subject.load(folder).whole([TEXT])[0])


def test_a_base_has_no_task(base: Path) -> None:
    with pytest.raises(ModelError, match="not fine-tuned by sixfold"):
        Subject.load(base)
