"""A tag for every word: targets in any scheme, windows joined, legal answers, settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny import tiny_decoder, tiny_encoder

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import DataError
from sixfold.models import load
from sixfold.score.scorer import Scorer
from sixfold.tasks.contract import Ask
from sixfold.tasks.registry import from_settings, settings_of
from sixfold.tasks.token_classification import IGNORED, TokenClassification
from sixfold.train.config import TrainConfig
from sixfold.train.loop import fit

LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
TASK = TokenClassification(labels=LABELS)
WORDS = ["i", "love", "new", "york", "old", "city", "and", "cat"]
SCHEMES = {
    # two places side by side, then a person of one word
    "BIO": ["O", "O", "B-LOC", "I-LOC", "B-LOC", "I-LOC", "O", "B-PER"],
    "IOB1": ["O", "O", "I-LOC", "I-LOC", "B-LOC", "I-LOC", "O", "I-PER"],
    "BIOES": ["O", "O", "B-LOC", "E-LOC", "B-LOC", "E-LOC", "O", "S-PER"],
    "BILOU": ["O", "O", "B-LOC", "L-LOC", "B-LOC", "L-LOC", "O", "U-PER"],
}


@dataclass
class Given:
    """A predictor that gives these answers, one table of word logits an example."""

    answers: list[NDArray]

    def ask(self, examples: Examples, ask: Ask) -> list[NDArray]:
        assert [len(answer) for answer in self.answers] == examples.ragged("word").lengths.tolist()
        return self.answers

    def generate(self, examples: Examples, limits: Any) -> list[list[int]]:
        raise AssertionError("nothing is generated")


def rows(words: list[list[str]], tags: list[list[str]]) -> Dataset:
    return Dataset.from_dict({"words": words, "tags": tags})


def table(*tags: str) -> NDArray:
    """Logits that are sure of these tags."""
    return np.array([[5.0 if label == tag else 0.0 for label in LABELS] for tag in tags])


def one_row(words: int) -> Examples:
    return Examples(
        {
            "input_ids": Ragged.of([[9] * (words + 2)]),
            "row": np.array([0]),
            "words": np.array([words]),
            "word": Ragged.of([np.arange(words)]),
            "place": Ragged.of([np.arange(words) + 1]),
        }
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_gives_the_same_targets(scheme: str, tmp_path: Path) -> None:
    data = rows([WORDS], [SCHEMES[scheme]])
    task = TokenClassification().learn(data)
    assert task.labels == LABELS
    tokenizer = load(tiny_encoder(tmp_path), task.head(), new_head=True).tokenizer
    encoded = task.encode(data, tokenizer, 64, "error")
    assert encoded.examples.ragged("tag")[0].tolist() == [0, 0, 1, 2, 1, 2, 0, 3]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_is_scored_alike(scheme: str) -> None:
    data = rows([WORDS], [SCHEMES[scheme]])
    found = TASK.predict(Given([table(*SCHEMES["BIO"])]), one_row(8))
    assert TASK.scores(found, data) == {"f1": 1.0, "precision": 1.0, "recall": 1.0, "token_accuracy": 1.0}
    result = TASK.evaluate(found, data, seed=0)
    assert result["metrics"]["f1"]["value"] == 1.0
    assert result["mistakes"] == []
    assert result["unjudged_words"] == 0


def test_rows_without_an_entity_cannot_be_learnt() -> None:
    with pytest.raises(DataError, match="no training row has an entity"):
        TokenClassification().learn(rows([["a"]], [["O"]]))


def test_tags_of_another_length_than_the_words_name_their_row(tmp_path: Path) -> None:
    tokenizer = load(tiny_encoder(tmp_path), TASK.head(), new_head=True).tokenizer
    with pytest.raises(DataError, match="row 1 has 2 words and 1 tags"):
        TASK.encode(rows([["a"], ["a", "b"]], [["O"], ["O"]]), tokenizer, 64, "error")


def test_a_type_that_training_did_not_know_is_no_target() -> None:
    (target,) = TASK._targets([["B-NEW", "I-NEW", "B-LOC"]], [3])
    assert target.tolist() == [IGNORED, IGNORED, 1]


def test_words_of_single_characters_are_told_from_words() -> None:
    tags = ["B-LOC", "I-LOC", "O"]
    assert TokenClassification().learn(rows([["北", "京", "好"]], [tags])).characters
    assert not TokenClassification().learn(rows([["new", "york", "a"]], [tags])).characters


def test_only_a_word_s_first_token_is_judged(tmp_path: Path) -> None:
    loaded = load(tiny_encoder(tmp_path), TASK.head(), new_head=True)
    data = rows([["dogs", "love", "houses"]], [["B-PER", "O", "B-LOC"]])
    encoded = TASK.encode(data, loaded.tokenizer, 64, "error")
    batch = TASK.collate(encoded.examples, np.random.default_rng(0))
    assert batch["begins"].tolist() == [1, 3, 4]
    assert encoded.examples.lengths.tolist() == [7]
    assert TASK.counts(batch) == {"tag": 3.0}
    logits = loaded.model(input_ids=batch["flat"].input_ids[None]).logits[0]
    expected = torch.nn.functional.cross_entropy(logits[[1, 3, 4]], torch.tensor([3, 0, 1]), reduction="sum")
    assert float(TASK.loss(loaded.model, batch)["tag"].sum.detach()) == pytest.approx(
        float(expected.detach()), abs=1e-5
    )


def test_an_ignored_word_counts_for_nothing(tmp_path: Path) -> None:
    loaded = load(tiny_encoder(tmp_path), TASK.head(), new_head=True)
    batch = TASK.collate(
        TASK.encode(rows([["dog", "cat"]], [["B-NEW", "B-PER"]]), loaded.tokenizer, 64, "error").examples,
        np.random.default_rng(0),
    )
    assert batch["tag"].tolist() == [IGNORED, 3]
    assert TASK.counts(batch) == {"tag": 1.0}
    assert TASK.loss(loaded.model, batch)["tag"].count == 1.0


def test_rows_whose_every_entity_was_cut_away_are_counted(tmp_path: Path) -> None:
    """Three of six words are left: one row keeps an entity, one loses its only one, one never had any."""
    tokenizer = load(tiny_encoder(tmp_path), TASK.head(), new_head=True).tokenizer
    words = ["the", "dog", "was", "in", "the", "city"]
    early, late = ["O", "B-PER", "O", "O", "O", "B-LOC"], ["O", "O", "O", "O", "O", "B-LOC"]
    data = rows([words] * 3, [early, late, ["O"] * 6])
    assert TASK.encode(data, tokenizer, 5, "truncate").cut.unlearnable == 1
    assert TASK.encode(data, tokenizer, 5, "window").cut.unlearnable == 0
    assert TASK.encode(data.remove_columns("tags"), tokenizer, 5, "truncate").cut.unlearnable == 0


def test_the_scores_it_names_are_those_it_gives(tmp_path: Path) -> None:
    data = rows([WORDS], [SCHEMES["BIO"]])
    predictions = TASK.predict(Given([table(*SCHEMES["BIO"])]), one_row(len(WORDS)))
    assert tuple(TASK.scores(predictions, data)) == TokenClassification.score_names


def test_word_shapes_go_in_as_token_types(tmp_path: Path) -> None:
    tokenizer = load(tiny_encoder(tmp_path), TASK.head(), new_head=True).tokenizer
    shaped = TokenClassification(labels=LABELS, shapes=True)
    data = Dataset.from_dict({"words": [["Dogs", "love", "NEW", "cAt", "I"]]})
    made = shaped.encode(data, tokenizer, 64, "error").examples
    assert made.ragged("type")[0].tolist() == [0, 1, 1, 0, 2, 3, 1, 0], "both pieces of Dogs; 0 for the frame"
    cut = shaped.encode(data, tokenizer, 5, "window").examples
    assert [run.tolist() for run in cut.ragged("type")] == [[0, 1, 1, 0, 0], [0, 2, 3, 1, 0]]
    assert "type" not in TASK.encode(data, tokenizer, 64, "error").examples.columns


# Predictions


def test_a_word_in_two_windows_is_judged_where_it_stands_furthest_from_an_edge() -> None:
    """Six words; windows of four: words 2 and 3 are in both, at places 3, 4 of 5 and 1, 2 of 5."""
    both = Examples(
        {
            "input_ids": Ragged.of([[9] * 6, [9] * 6]),
            "row": np.array([0, 0]),
            "words": np.array([6, 6]),
            "word": Ragged.of([[0, 1, 2, 3], [2, 3, 4, 5]]),
            "place": Ragged.of([[1, 2, 3, 4], [1, 2, 3, 4]]),
        }
    )
    first, second = table("B-LOC", "B-LOC", "B-LOC", "B-LOC"), table("B-PER", "B-PER", "B-PER", "B-PER")
    (found,) = TASK.predict(Given([first, second]), both)
    assert found.tags == ("B-LOC", "B-LOC", "B-LOC", "B-PER", "B-PER", "B-PER")
    assert found.judged.all()
    turned = both.take([1, 0])
    (other,) = TASK.predict(Given([second, first]), turned)
    assert other.tags == found.tags, "the order of the windows does not matter"


def test_a_word_that_was_cut_away_is_outside_and_told() -> None:
    cut = Examples(
        {
            "input_ids": Ragged.of([[9] * 4]),
            "row": np.array([0]),
            "words": np.array([4]),
            "word": Ragged.of([[0, 1]]),
            "place": Ragged.of([[1, 2]]),
        }
    )
    (found,) = TASK.predict(Given([table("B-LOC", "I-LOC")]), cut)
    assert found.tags == ("B-LOC", "I-LOC", "O", "O")
    assert found.judged.tolist() == [True, True, False, False]
    data = rows([WORDS[:4]], [["B-LOC", "I-LOC", "I-LOC", "O"]])
    assert TASK.evaluate([found], data, seed=0)["unjudged_words"] == 2
    assert TASK.scores([found], data)["f1"] == 0.0
    assert TASK.tune([found], data).calibrated_on <= 2


logit_tables = st.lists(
    st.lists(st.lists(st.floats(-8, 8, width=32), min_size=5, max_size=5), min_size=1, max_size=7),
    min_size=1,
    max_size=4,
)


@given(logit_tables, st.floats(0.1, 10))
def test_answers_are_always_legal_bio(tables: list[list[list[float]]], temperature: float) -> None:
    task = TokenClassification(labels=LABELS, temperature=temperature)
    for prediction in task._decoded(
        [np.array(one) for one in tables], [np.ones(len(one), dtype=bool) for one in tables]
    ):
        before = "O"
        for tag in prediction.tags:
            if tag.startswith("I-"):
                assert before[2:] == tag[2:], prediction.tags
            before = tag
        assert len(prediction.confidences) == len(prediction.entities)
        assert all(0 <= confidence <= 1 for confidence in prediction.confidences)


def test_the_best_legal_sequence_is_taken_not_the_best_tags() -> None:
    """The likeliest tags are O I-LOC; a beginning in place of the O costs less than losing the entity."""
    logits = np.array([[2.0, 1.5, 0, 0, 0], [0.0, 0, 4.0, 0, 0]])
    (found,) = TASK.predict(Given([logits]), one_row(2))
    assert found.tags == ("B-LOC", "I-LOC")
    assert found.entities == (("LOC", 0, 2),)


def test_an_entity_is_as_sure_as_its_least_sure_word() -> None:
    logits = table("B-LOC", "I-LOC")
    logits[1, 2] = 1.0
    (found,) = TASK.predict(Given([logits]), one_row(2))
    share = np.exp(1.0) / (np.exp(1.0) + 4)
    assert found.confidences == (pytest.approx(share),)
    assert TASK.show(found) == {
        "tags": ["B-LOC", "I-LOC"],
        "entities": [{"type": "LOC", "start": 0, "end": 2, "confidence": round(share, 6)}],
    }


def test_nothing_is_predicted_for_nothing() -> None:
    assert TASK.predict(Given([]), one_row(1).take([])) == []


def test_the_temperature_is_fitted_on_words() -> None:
    tags = ["B-LOC", "O", "O", "B-PER"]
    found = TASK.predict(Given([table("B-LOC", "O", "O", "O")]), one_row(4))
    tuned = TASK.tune(found, rows([WORDS[:4]], [tags]))
    # right three times of four: 0.75 = e^(5/t) / (e^(5/t) + 4)
    assert tuned.temperature == pytest.approx(5 / np.log(12), rel=1e-2)
    assert tuned.calibrated_on == 4
    again = tuned.predict(Given([table("B-LOC", "O", "O", "O")]), one_row(4))
    assert again[0].tags == found[0].tags


def test_sentences_with_the_most_wrong_entities_come_first() -> None:
    gold = rows([WORDS[:3]] * 2, [["B-LOC", "O", "B-PER"], ["O", "O", "B-PER"]])
    made = Examples(
        {
            "input_ids": Ragged.of([[9] * 5] * 2),
            "row": np.array([0, 1]),
            "words": np.array([3, 3]),
            "word": Ragged.of([[0, 1, 2]] * 2),
            "place": Ragged.of([[1, 2, 3]] * 2),
        }
    )
    found = TASK.predict(Given([table("O", "O", "B-LOC"), table("O", "O", "B-LOC")]), made)
    mistakes = TASK.evaluate(found, gold, seed=0)["mistakes"]
    assert [line["where"] for line in mistakes] == ["row 0", "row 1"]
    assert mistakes[0]["gold_tags"] == ["B-LOC", "O", "B-PER"]
    assert mistakes[0]["predicted_tags"] == ["O", "O", "B-LOC"]
    assert TASK.scores(found, gold) == {"f1": 0.0, "precision": 0.0, "recall": 0.0, "token_accuracy": 3 / 6}


@pytest.mark.parametrize(
    "task",
    [
        TokenClassification(labels=LABELS, temperature=1.3, calibrated_on=7),
        TokenClassification(("O",), characters=True),
    ],
)
def test_settings_come_back_from_json_as_they_went(task: TokenClassification) -> None:
    assert from_settings(json.loads(json.dumps(settings_of(task)))) == task


# A base of each kind, end to end


@pytest.mark.parametrize("kind", [tiny_encoder, tiny_decoder], ids=["encoder", "decoder"])
def test_a_base_learns_names_and_finds_them_in_windows(kind: Any, tmp_path: Path) -> None:
    """The word before a name tells its type, so that a decoder can know it at the name's first token."""
    words, tags = [], []
    for number in range(12):
        words.append(["we", "run", "to", "bank", "and", "he", "is", "cat", "day", "in", "red", "house"][number % 3 :])
        tags.append(["O", "O", "O", "B-LOC", "O", "O", "O", "B-PER", "O", "O", "B-LOC", "I-LOC"][number % 3 :])
    data = rows(words, tags)
    task = TokenClassification().learn(data)
    loaded = load(kind(tmp_path), task.head(), seed=1, new_head=True)
    made = task.encode(data, loaded.tokenizer, 32 if kind is tiny_decoder else 9, "window")
    assert made.cut.windows >= 12
    config = TrainConfig(epochs=30, batch=12, learning_rate=5e-3, precision="fp32")
    list(fit(loaded.model, task, made.examples, config, seed=1))
    found = task.predict(Scorer(loaded.model), made.examples)
    assert [list(answer.tags) for answer in found] == tags
    assert all(answer.judged.all() for answer in found)
    assert task.scores(found, data)["f1"] == 1.0
