"""The models that attacks ask beside the one under attack: a sentence encoder, a masked language model; tiny ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from linear_subject import LinearSubject, rows_of
from tiny import tiny_encoder

from sixfold.attack.attacks import named
from sixfold.attack.masked_words import MaskedWords
from sixfold.attack.run import attack
from sixfold.attack.similarity import Encoder, Likeness, angular
from sixfold.errors import ModelError, UsageError
from sixfold.perturb.words import Edit, Prompts, Sentence
from sixfold.score.driver import alone


@pytest.fixture(scope="module")
def encoder(base: Path) -> Encoder:
    return Encoder.load(base)


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny masked language model with random weights, whole: its head is saved with it."""
    from transformers import AutoModelForMaskedLM

    folder = tiny_encoder(tmp_path_factory.mktemp("bases") / "masked")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = AutoModelForMaskedLM.from_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def mean_of_hidden_states(encoder: Encoder, text: str) -> np.ndarray:
    """What sentence-transformers would give: the mean over all tokens, the special ones included, of length 1."""
    batch = encoder.tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        hidden = encoder.scorer.model(**batch).last_hidden_state[0].mean(dim=0).numpy()
    return hidden / np.linalg.norm(hidden)


def test_a_vector_is_the_mean_of_the_hidden_states(encoder: Encoder) -> None:
    texts = ["a good film", "the bank of the city was poor"]
    query = encoder.query(texts)
    assert query.of == "similarity"
    vectors = encoder.scorer.ask(query.examples, query.ask)
    for text, vector in zip(texts, vectors, strict=True):
        assert vector == pytest.approx(mean_of_hidden_states(encoder, text), abs=1e-5)


def test_equal_texts_have_a_cosine_of_one_and_others_less(encoder: Encoder) -> None:
    same, other = encoder.cosines([("a good film", "a good film"), ("a good film", "poor city")])
    assert same == pytest.approx(1, abs=1e-5)
    assert other < 0.999
    assert encoder.cosines([]) == []


def test_a_long_text_is_cut(encoder: Encoder) -> None:
    assert encoder.query(["good " * 500]).examples.lengths.tolist() == [64]


def likenesses(encoder: Encoder, like: Likeness, text: str, edits: list[Edit], candidates: list[Edit]) -> list[float]:
    return alone(like.of(Sentence.of(text), edits, candidates), {"similarity": encoder.scorer})


def test_likeness_is_that_of_the_whole_changed_text_to_the_original(encoder: Encoder) -> None:
    text, before, after = "a good film", [Edit(0, 1, "the")], [Edit(2, 6, "bad"), Edit(2, 6, "good")]
    found = likenesses(encoder, Likeness(encoder, 0.5), text, before, after)
    wanted = encoder.cosines([(text, "the bad film"), (text, "the good film")])
    assert found == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    ("position", "part", "changed"),
    [(0, "one two three", "X two three"), (3, "three four five", "three X five"), (6, "five six seven", "five six X")],
)
def test_within_a_window_only_its_words_are_compared(encoder: Encoder, position: int, part: str, changed: str) -> None:
    text = "one two three four five six seven."
    sentence = Sentence.of(text)
    like = Likeness(encoder, 0.5, window=3)
    edit = sentence.edit(position, "X")
    (found,) = likenesses(encoder, like, text, [], [edit])
    assert found == pytest.approx(encoder.cosines([(part, changed)])[0], abs=1e-5)


def test_a_window_has_the_earlier_changes_within_it(encoder: Encoder) -> None:
    text = "one two three four five"
    sentence = Sentence.of(text)
    like = Likeness(encoder, 0.5, window=3)
    (found,) = likenesses(encoder, like, text, [sentence.edit(0, "A"), sentence.edit(3, "B")], [sentence.edit(2, "C")])
    assert found == pytest.approx(encoder.cosines([("two three four", "two C B")])[0], abs=1e-5)


def test_an_angle_is_told_as_a_share_of_a_half_turn() -> None:
    assert angular(np.array([1.0, 0.0, -1.0, np.cos(0.159 * np.pi)])) == pytest.approx([1, 0.5, 0, 0.841])


def test_the_likeliest_tokens_of_each_place_are_told_in_order(masked: Path) -> None:
    words = MaskedWords.load(masked)
    ids = [2, 30, 31, 32, 3]
    prompts = Prompts([np.array(ids, dtype=np.int32)] * 2, [np.array([1, 3]), np.array([2])])
    best = alone(words.best(prompts, 4), {"words": words.scorer})
    with torch.inference_mode():
        logits = words.scorer.model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
    for one, places in zip(best, ([1, 3], [2]), strict=True):
        top = logits[places].topk(4)
        assert one.ids.tolist() == top.indices.tolist()
        assert one.log_probabilities == pytest.approx(top.values.numpy(), abs=1e-4)


def test_bert_attack_takes_words_that_the_named_model_finds_fitting(masked: Path, base: Path) -> None:
    how = named("bert-attack", words=masked, encoder=base)
    assert set(how.scorers) == {"words", "similarity"}
    subject: Any = LinearSubject({"good": 2.0, "film": 1.0})
    (one,) = attack(subject, rows_of(("the good film", "yes")), how)
    assert one.kind in ("succeeded", "failed")
    assert one.edits
    assert all(edit.replacement.isalpha() for edit in one.edits)


def test_an_attack_that_needs_a_masked_model_says_which(base: Path) -> None:
    with pytest.raises(UsageError, match="masked language model, and none was named") as error:
        named("bert-attack", encoder=base)
    assert "--words" in str(error.value.hint)


def test_a_model_that_has_not_learnt_to_fill_masks_is_refused(base: Path) -> None:
    with pytest.raises(ModelError, match="has not learnt to fill masks"):
        named("bert-attack", words=base, encoder=base)
