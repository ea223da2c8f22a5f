"""Near words by an encoder's embeddings: the table, its file, and which of the neighbours fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small_lists
import torch
from tiny import WORDS

from sixfold.errors import ModelError
from sixfold.models import Head, is_local, load
from sixfold.perturb import Sentence, neighbours, registry
from sixfold.perturb.neighbours import Neighbours, Table, embeddings, nearest, vocabulary
from sixfold.text import lexicon

pytestmark = pytest.mark.usefixtures("own_home")

CAR = Table(
    ("car", "good", "bad", "great", "awful", "film", "films", "auto", "xyzzy"),
    np.array([[7, 6, 5, 8]] + [[2, 3, 4, 0]] + [[0, 1, 2, 3]] * 7, dtype=np.int32),
    np.array([[0.9, 0.8, 0.7, 0.61]] * 9, dtype=np.float16),
)


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    return small_lists.wordnet(tmp_path_factory.mktemp("wordnet")), small_lists.inflections()


def found(made: Neighbours, word: str) -> list[str]:
    return made.candidates(Sentence.of(word), 0)


def test_neighbours_have_the_form_and_the_capitals_of_the_word(lists: tuple) -> None:
    assert found(Neighbours(CAR, *lists), "Car") == ["Auto", "Film", "Xyzzy"]
    assert found(Neighbours(CAR, *lists, same_form=False), "CAR") == ["AUTO", "FILMS", "FILM", "XYZZY"]


def test_opposites_are_no_neighbours_however_near(lists: tuple) -> None:
    assert found(Neighbours(CAR, *lists, same_form=False), "good") == ["great", "car"]
    assert found(Neighbours(CAR, *lists), "good") == ["great", "car"]  # "good" can be a noun
    praise = Table(("boring", "lovely", "dull"), np.array([[1, 2], [0, 2], [1, 0]]), np.full((3, 2), 0.9))
    assert found(Neighbours(praise, *lists), "boring") == ["dull"]
    assert found(Neighbours(praise, *lists), "lovely") == []


def test_neighbours_are_near_enough_and_at_most_so_many(lists: tuple) -> None:
    assert found(Neighbours(CAR, *lists, least=0.65), "car") == ["auto", "film"]
    assert found(Neighbours(CAR, *lists, most=1), "car") == ["auto"]


def test_what_is_not_in_the_table_has_no_neighbours(lists: tuple) -> None:
    made = Neighbours(CAR, *lists)
    assert [found(made, word) for word in ("plane", "电影", "3")] == [[], [], []]


def test_the_nearest_are_found_whatever_the_number_of_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(50, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    order = np.argsort(-cosines, axis=1)[:, :5]
    for rows in (7, 680):
        monkeypatch.setattr(neighbours, "ROWS", rows)
        near, found = nearest(vectors, 5)
        assert near.tolist() == order.tolist()
        assert np.allclose(found, np.take_along_axis(cosines, order, 1), atol=2e-3)


def test_of_few_words_all_others_are_neighbours() -> None:
    near, _ = nearest(np.eye(3, dtype=np.float32), 64)
    assert [sorted(row) for row in near.tolist()] == [[1, 2], [0, 2], [0, 1]]
    assert nearest(np.eye(1, dtype=np.float32), 64)[0].shape == (1, 0)


def test_the_vocabulary_is_whole_words_of_three_small_letters(base: Path) -> None:
    tokenizer = load(base, Head("embedding")).tokenizer
    assert vocabulary(tokenizer) == tuple(word for word in dict.fromkeys(WORDS) if len(word) >= 3)


def test_a_text_s_embedding_is_the_mean_of_all_its_tokens_hidden_states(base: Path) -> None:
    loaded = load(base, Head("embedding"))
    texts = ["good", "the worst film", "a"]
    for text, made in zip(texts, embeddings(loaded.model, loaded.tokenizer, texts), strict=True):
        with torch.no_grad():
            hidden = loaded.model(**loaded.tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        mean = hidden.mean(0).numpy()
        assert np.allclose(made, mean / np.linalg.norm(mean), atol=1e-5)
    assert embeddings(loaded.model, loaded.tokenizer, []).shape == (0, loaded.model.config.hidden_size)


def test_a_table_is_built_once_and_read_from_then_on(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    made = neighbours.table(str(base), progress=told.append)
    assert len(told) == 1
    assert made.near.dtype == np.int32
    assert made.cosines.dtype == np.float16
    monkeypatch.setattr(neighbours, "build", None)
    again = neighbours.table(str(base), progress=told.append)
    assert len(told) == 1
    assert again.words == made.words
    assert np.array_equal(again.near, made.near)
    assert np.array_equal(again.cosines, made.cosines)


def test_a_damaged_table_or_another_version_s_is_built_anew(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, path = neighbours.table(str(base)), neighbours.path_of(str(base))
    path.write_bytes(path.read_bytes()[:100])
    assert np.array_equal(neighbours.table(str(base)).near, made.near)
    monkeypatch.setattr(neighbours, "VERSION", 99)
    told: list[str] = []
    neighbours.table(str(base), progress=told.append)
    assert len(told) == 1


def test_a_base_model_that_is_not_here_is_told_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "need", lambda *names: None)
    neighbours.load_neighbours.cache_clear()
    with pytest.raises(ModelError, match="sixfold models pull minilm-l6"):
        registry.transformation("neighbour")


@pytest.mark.slow
def test_near_words_of_the_real_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIXFOLD_HOME")
    if not is_local("minilm-l6") or not lexicon.is_local("wordnet") or not lexicon.is_local("inflections"):
        pytest.skip("sixfold models pull minilm-l6; sixfold words pull wordnet inflections")
    neighbours.load_neighbours.cache_clear()
    made = neighbours.load_neighbours()
    assert len(made.table.words) == 21_358
    assert found(made, "bought")[0] == "purchased"
    assert found(made, "Films")[0] == "Movies"
    assert {"good", "nice"}.isdisjoint(found(made, "bad"))
    assert {"exciting", "enjoyable"}.isdisjoint(found(made, "boring"))
