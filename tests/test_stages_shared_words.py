"""Which words share an embedding: the frequent ones take those near them, each a token; and stages that learn so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from near_tables import by_table, know
from safetensors.torch import load_file
from tiny import tiny_decoder, tiny_encoder
from tiny_runs import recipe_of, reviews, write_conll, write_csv
from transformers import AutoTokenizer

from sixfold.attack import importance
from sixfold.attack.attacks import ATTACKS, WORDS, Row
from sixfold.attack.building import by_importance
from sixfold.data.examples import Examples, Ragged
from sixfold.errors import DataError, SixfoldError, UsageError
from sixfold.models import Head, load
from sixfold.recipe import Told, parse, run
from sixfold.stages.harden_config import Config, trained_on, trained_with
from sixfold.stages.shared_words import groups as groups_in
from sixfold.stages.shared_words import refuse, sharing_of
from sixfold.train.tracking import read

pytestmark = pytest.mark.usefixtures("own_home")

ENGLISH = {
    "good": ["great", "never", "poor", "shiny", "the", "new"],  # "shiny" is five pieces, "the" a word of grammar
    "great": ["good", "best"],
    "best": ["great"],
    "poor": ["good"],
    "shiny": ["good"],
    "never": ["good"],
    "new": ["old"],
    "film": ["book"],
    "book": ["film"],
    "hotel": [],
    "love": ["hate"],
    "hate": ["love"],
}
CHINESE = {"好": ["坏", "棒"], "房间": ["服务", "书"], "服务": ["房间"]}


@pytest.fixture(autouse=True)
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, en=ENGLISH, zh=CHINESE)


@pytest.fixture
def wordpiece(tmp_path: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_encoder(tmp_path / "zh", chinese=True))


def groups(tokenizer: Any, texts: list[str], **languages: float) -> dict[str, set[str]]:
    """Words that stand for others, and those others."""
    return groups_of(tokenizer, {"text": texts}, texts, **languages)


def groups_of(tokenizer: Any, rows: dict[str, list], texts: list[str], **languages: float) -> dict[str, set[str]]:
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    examples = Examples({"input_ids": Ragged.of(ids)})
    made = sharing_of(datasets.Dataset.from_dict(rows), examples, tokenizer, languages, len(tokenizer))
    assert made.counts.tolist() == np.bincount(np.concatenate(ids), minlength=len(tokenizer)).tolist()
    spelt = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    found: dict[str, set[str]] = {}
    for token, code in enumerate(made.codes.tolist()):
        if token != code:
            found.setdefault(spelt[code], set()).add(spelt[token])
    return found


def test_a_word_stands_for_those_near_it_that_are_one_token_and_may_stand_for_it(wordpiece: Any) -> None:
    assert groups(wordpiece, ["The good hotel"], en=1.0) == {"good": {"great", "poor"}}


def test_the_more_frequent_word_chooses_first_and_what_is_taken_takes_none(wordpiece: Any) -> None:
    """great is taken by good, so it does not bring best along; where great is the more frequent, it takes both."""
    assert groups(wordpiece, ["good good great best"], en=1.0) == {"good": {"great", "poor"}}
    assert groups(wordpiece, ["good great great best"], en=1.0) == {"great": {"good", "best"}}


def test_what_the_rows_do_not_say_takes_nothing(wordpiece: Any) -> None:
    assert groups(wordpiece, ["hotel book"], en=1.0) == {"book": {"film"}}


def test_words_in_entities_stay(wordpiece: Any) -> None:
    rows = {"words": [["great", "good"], ["film"]], "tags": [["B-X", "O"], ["O"]]}
    assert groups_of(wordpiece, rows, ["great good", "film"], en=1.0) == {"good": {"poor"}, "film": {"book"}}


def test_groups_are_listed_the_frequent_ones_first_each_after_the_word_that_chose(wordpiece: Any) -> None:
    texts = ["book good great great best", "great book"]
    ids = wordpiece(texts, add_special_tokens=False)["input_ids"]
    rows = datasets.Dataset.from_dict({"text": texts})
    made = sharing_of(rows, Examples({"input_ids": Ragged.of(ids)}), wordpiece, {"en": 1.0}, len(wordpiece))
    assert groups_in(made, wordpiece) == [["great", "good", "best"], ["book", "film"]]


def test_near_words_that_speak_for_other_labels_stay_apart(wordpiece: Any) -> None:
    texts = ["good"] * 20 + ["poor"] * 20 + ["great"]
    labels = np.array([0] * 20 + [1] * 20 + [1])
    ids = wordpiece(texts, add_special_tokens=False)["input_ids"]
    examples = Examples({"input_ids": Ragged.of(ids), "label": labels})
    rows = datasets.Dataset.from_dict({"text": texts})
    made = sharing_of(rows, examples, wordpiece, {"en": 1.0}, len(wordpiece))
    good, poor, great = (wordpiece.convert_tokens_to_ids(word) for word in ("good", "poor", "great"))
    assert made.codes[[good, poor, great]].tolist() == [good, poor, good]


def test_a_tokenizer_that_counts_the_blank_has_a_word_twice(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_decoder(tmp_path))
    tokenizer.add_tokens(["film", " film", "book", " book"])
    assert groups(tokenizer, ["film film"], en=1.0) == {"film": {"book"}, " film": {" book"}}


def test_chinese_words_of_one_character_stay_and_longer_ones_that_are_tokens_share(wordpiece: Any) -> None:
    with pytest.raises(DataError, match="no word of the training rows shares an embedding") as error:
        groups(wordpiece, ["好 房间"], zh=1.0)
    assert error.value.hint is not None
    assert "freelb" in error.value.hint
    wordpiece.add_tokens(["房间", "服务"])
    found = groups(wordpiece, ["好 房间"], zh=1.0)
    assert [(word.replace(" ", ""), len(others)) for word, others in found.items()] == [("房间", 1)]


def test_languages_without_words_are_refused(wordpiece: Any) -> None:
    with pytest.raises(UsageError, match="synonym_encoding knows English and Chinese words"):
        groups(wordpiece, ["film"], fr=0.95, en=0.05)


def test_a_model_that_writes_with_its_embedding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="writes with its word embedding too"):
        refuse(load(tiny_decoder(tmp_path), Head("causal_lm")).model)


def test_missing_word_lists_are_told_before_training(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path / "empty"))
    with pytest.raises(SixfoldError, match="wordnet, inflections are not on this machine"):
        tuned(tmp_path, base)


# Runs


def tuned(folder: Path, base: Path, task: str = "classify") -> Any:
    source = write_conll(folder / "a.conll") if task == "entities" else write_csv(folder / "a.csv", reviews(60))
    recipe = recipe_of(source, base, task=task, train={"epochs": 1, "synonym_encoding": True})
    return run(parse(recipe), runs=folder / "runs", told=Told())


def rows_of(checkpoint: Path, *words: str) -> list[torch.Tensor]:
    """Their rows in the word embedding of what was written."""
    weights = load_file(checkpoint / "model.safetensors")
    table = next(value for name, value in weights.items() if name.endswith("word_embeddings.weight"))
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    return [table[tokenizer.convert_tokens_to_ids(word)] for word in words]


def test_a_finetuned_checkpoint_has_equal_rows_and_is_otherwise_an_ordinary_one(base: Path, tmp_path: Path) -> None:
    done = tuned(tmp_path, base)
    assert done.checkpoint is not None
    film, book, hotel = rows_of(done.checkpoint, "film", "book", "hotel")
    assert torch.equal(film, book)
    assert not torch.equal(film, hotel)
    choices = {choice["name"]: choice for choice in read(done.stages[0].folder / "training/events.jsonl")[0]["choices"]}
    assert "share one with another word" in choices["embedding rows"]["reason"]
    listed = (done.stages[0].folder / "shared_words.txt").read_text("utf-8").splitlines()
    assert {frozenset(line.split()) for line in listed} >= {frozenset(["film", "book"])}
    assert "synonym_encoding" not in json.dumps(json.loads((done.checkpoint / "config.json").read_text("utf-8")))


def test_a_tagger_can_learn_so(base: Path, tmp_path: Path) -> None:
    assert tuned(tmp_path, base, task="entities").checkpoint is not None


def test_a_stage_hardens_by_it_beside_texts_made_anew_and_tells_so(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Row(
        lambda tools: by_importance("toy-words", by_table(ENGLISH).changes(), importance.UNKNOWN),
        "words by a table",
        WORDS,
        "none",
    )
    monkeypatch.setitem(ATTACKS, "toy-words", made)
    source = write_csv(tmp_path / "a.csv", reviews(60))
    start = run(parse(recipe_of(source, base, train={"epochs": 1})), runs=tmp_path / "runs", told=Told()).checkpoint
    keys = {
        "base": str(start),
        "data": {"source": str(source), "allow": ["overlaps", "unseen"]},
        "attacks": ["deepwordbug", "toy-words", "checklist"],
        "examples": 4,
        "budget": 30,
        "max_clean_loss": 1.0,
        "train": {"epochs": 1, "precision": "fp32", "synonym_encoding": True},
        "renew": {"attack": "deepwordbug", "examples": 6, "budget": 20},
    }
    done = run(parse({"name": "hard", "stages": [{"harden": keys}]}), runs=tmp_path / "runs", told=Told())
    found = done.stages[0].results["hardening"]
    assert "near words that share one embedding (synonym encoding)" in found["trained_with"]
    assert {one["name"]: one["trained_on"] for one in found["attacks"]} == {
        "deepwordbug": "yes",
        "toy-words": "its kind",
        "checklist": "no",
    }
    assert done.checkpoint is not None
    film, book = rows_of(done.checkpoint, "film", "book")
    assert torch.equal(film, book)


def test_alone_it_is_enough_to_harden_with() -> None:
    config = Config.model_validate({"data": {"source": "a.csv"}, "train": {"synonym_encoding": True}, "base": "x"})
    assert trained_with(config) == ["near words that share one embedding (synonym encoding)"]
    assert [trained_on(config, name) for name in ("pwws", "deepwordbug", "checklist")] == ["its kind", "no", "no"]


@pytest.mark.parametrize(
    ("stage", "keys"),
    [
        ("pretrain", {"corpus": {"source": "a.txt"}}),
        ("transfer", {"domains": {"a": {"source": "a.csv"}, "b": {"source": "b.csv"}}, "task": "classify"}),
        ("converse", {"base": "x", "data": {"source": "a.jsonl"}}),
        ("finetune", {"base": "x", "data": {"source": "a.csv"}, "task": "embed"}),
    ],
)
def test_stages_that_know_no_words_refuse_it(stage: str, keys: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"synonym_encoding.*for (classifiers|finetune and harden)"):
        parse({"name": "a", "stages": [{stage: {**keys, "train": {"synonym_encoding": True}}}]})
