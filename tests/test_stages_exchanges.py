"""Which words hotflip exchanges: by language, as many tokens for as many; and runs that learn from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from near_tables import by_table, know
from tiny import tiny_decoder, tiny_encoder
from tiny_runs import recipe_of, reviews, write_conll, write_csv
from transformers import AutoTokenizer

from sixfold.attack import importance
from sixfold.attack.attacks import ATTACKS, WORDS, Row
from sixfold.attack.building import by_importance
from sixfold.errors import DataError, SixfoldError, UsageError
from sixfold.recipe import Told, chosen, parse, run
from sixfold.stages import finetune
from sixfold.stages.context import Context
from sixfold.stages.exchanges import swaps_of
from sixfold.stages.harden_config import Config, trained_on, trained_with
from sixfold.stages.rehearsal import Memory, rehearse
from sixfold.train.tracking import read

pytestmark = pytest.mark.usefixtures("own_home")

ENGLISH = {
    "good": ["great", "never", "poor", "shiny"],  # "never" turns a text round, "shiny" is five pieces
    "the": ["a"],
    "plays": ["runs"],
    "film": ["movie"],
    "hotel": [],
    "bad": ["old"],
    "love": ["hate"],
}
CHINESE = {"好": ["坏", "棒"], "房间": ["服务", "书"], "酒店": ["饭馆"]}


@pytest.fixture(autouse=True)
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, en=ENGLISH, zh=CHINESE)


@pytest.fixture(scope="module")
def wordpiece(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return AutoTokenizer.from_pretrained(tiny_encoder(tmp_path_factory.mktemp("zh"), chinese=True))


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return AutoTokenizer.from_pretrained(tiny_decoder(tmp_path_factory.mktemp("bytes")))


def table(tokenizer: Any, texts: list[str], **languages: float) -> dict[str, list[str]]:
    """The table, read: words are spelt as their tokens are."""
    made = swaps_of(datasets.Dataset.from_dict({"text": texts}), tokenizer, languages)
    spelt = tokenizer.convert_ids_to_tokens
    return {" ".join(spelt(word)): [" ".join(spelt(one)) for one in found] for word, found in made.others.items()}


def test_words_of_the_rows_stand_in_it_with_others_of_as_many_tokens(wordpiece: Any) -> None:
    assert table(wordpiece, ["The good, plays the film.", "GOOD hotel"], en=1.0) == {
        "good": ["great", "poor"],
        "plays": ["runs"],
        "film": ["movie"],
    }


def test_what_the_rows_do_not_say_is_left_out(wordpiece: Any) -> None:
    assert table(wordpiece, ["a film"], en=1.0) == {"film": ["movie"]}


def test_words_of_several_tokens_are_exchanged_whole(wordpiece: Any) -> None:
    assert table(wordpiece, ["the 房间 好"], zh=0.9, en=0.05) == {"好": ["坏", "棒"], "房 间": ["服 务"]}
    made = swaps_of(datasets.Dataset.from_dict({"text": ["房间好"]}), wordpiece, {"zh": 1.0})
    ids = wordpiece("房间好", add_special_tokens=False)["input_ids"]
    places = made.found(np.array(ids), [len(ids)])
    assert sorted((part.others.shape[2], part.starts.tolist()) for part in places) == [(1, [2]), (2, [0])]


def test_a_part_of_a_word_does_not_end_one(wordpiece: Any) -> None:
    made = swaps_of(datasets.Dataset.from_dict({"text": ["a film"]}), wordpiece, {"en": 1.0})

    def found(text: str) -> int:
        ids = wordpiece(text, add_special_tokens=False)["input_ids"]
        return sum(len(part.starts) for part in made.found(np.array(ids), [len(ids)]))

    assert [found(text) for text in ("film", "film!", "a film.", "films", "filmed", "film-s")] == [1, 1, 1, 0, 0, 1]


def test_a_tokenizer_that_counts_the_blank_has_a_word_twice(byte_level: Any) -> None:
    made = swaps_of(datasets.Dataset.from_dict({"text": ["bad"]}), byte_level, {"en": 1.0})
    ids = byte_level("bad is bad, bads bad", add_special_tokens=False)["input_ids"]
    places = made.found(np.array(ids), [len(ids)])
    found = [
        byte_level.decode(ids[start : start + part.others.shape[2]])
        for part in places
        for start in part.starts.tolist()
    ]
    assert found == ["bad", " bad", " bad"]  # not "bad," and not "bads"
    others = {byte_level.decode(other) for part in places for word in part.others.tolist() for other in word}
    assert others == {"old", " old"}


def test_of_rows_of_words_those_stay_that_stand_in_an_entity(wordpiece: Any) -> None:
    rows = {"words": [["a", "Film", "good"], ["film", "plays"]], "tags": [["O", "B-X", "O"], ["O", "O"]]}
    made = swaps_of(datasets.Dataset.from_dict(rows), wordpiece, {"en": 1.0})
    assert {wordpiece.decode(word) for word in made.others} == {"good", "plays"}


def test_languages_without_words_are_refused(wordpiece: Any) -> None:
    with pytest.raises(UsageError, match="English and Chinese words") as error:
        table(wordpiece, ["film"], fr=0.95, en=0.05)
    assert error.value.hint is not None
    assert "freelb" in error.value.hint


def test_rows_without_such_words_are_refused(wordpiece: Any) -> None:
    with pytest.raises(DataError, match="no word of the training rows has another"):
        table(wordpiece, ["hotel", "the", "", "🙂 42"], en=1.0)


def test_what_is_missing_is_told_before_training(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path / "empty"))
    with pytest.raises(SixfoldError, match="wordnet, inflections are not on this machine") as error:
        ran(tmp_path, base)
    assert error.value.hint == "sixfold words pull wordnet inflections"


# Runs


def ran(folder: Path, base: Path, task: str = "classify", **adversarial: Any) -> list[dict]:
    """The training's log."""
    source = write_conll(folder / "a.conll") if task == "entities" else write_csv(folder / "a.csv", reviews(60))
    train = {"epochs": 1, "adversarial": {"method": "hotflip", **adversarial}}
    made = run(parse(recipe_of(source, base, task=task, train=train)), runs=folder / "runs", told=Told())
    return read(made.stages[0].folder / "training/events.jsonl")


def test_a_tagger_can_learn_from_exchanged_words(base: Path, tmp_path: Path) -> None:
    log = ran(tmp_path, base, task="entities")
    assert log[-1]["event"] == "stopped"
    assert all(line["terms"].keys() == {"tag", "adversarial"} for line in log if line["event"] == "step")


def test_a_recipe_can_exchange_words(base: Path, tmp_path: Path) -> None:
    log = ran(tmp_path, base, share=0.5, steps=2)
    choices = {choice["name"]: choice for choice in log[0]["choices"]}
    assert choices["adversarial training"]["value"] == "hotflip"
    assert "50% of the words" in choices["adversarial training"]["reason"]
    assert choices["words that others may stand for"]["value"] >= 2
    steps = [line for line in log if line["event"] == "step"]
    assert all(step["terms"].keys() == {"label", "adversarial"} for step in steps)


def hardening(source: Path, base: Path, **changes: Any) -> dict[str, Any]:
    train = {"epochs": 1, "precision": "fp32", "adversarial": {"method": "hotflip"}}
    keys = {
        "base": str(base),
        "data": {"source": str(source), "allow": ["overlaps", "unseen"]},
        "attacks": ["deepwordbug", "toy-words", "checklist"],
        "examples": 4,
        "budget": 30,
        "max_clean_loss": 1.0,
        "train": train,
        **changes,
    }
    return {"name": "hard", "stages": [{"harden": keys}]}


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
    tuned = run(parse(recipe_of(source, base, train={"epochs": 1})), runs=tmp_path / "runs", told=Told()).checkpoint
    assert tuned is not None
    recipe = parse(hardening(source, tuned, renew={"attack": "deepwordbug", "examples": 6, "budget": 20}))
    done = run(recipe, runs=tmp_path / "runs", told=Told())
    hardening_results = done.stages[0].results["hardening"]
    assert "words exchanged for those that raise the loss most (hotflip)" in hardening_results["trained_with"]
    assert {one["name"]: one["trained_on"] for one in hardening_results["attacks"]} == {
        "deepwordbug": "yes",
        "toy-words": "its kind",
        "checklist": "no",
    }


def test_a_plan_counts_its_passes(base: Path, tmp_path: Path) -> None:
    source, work = write_csv(tmp_path / "a.csv", reviews(60)), []
    for train in ({}, {"adversarial": {"method": "hotflip"}}):
        (stage,) = chosen(parse(recipe_of(source, base, train={"epochs": 1, **train})))
        context = Context(tmp_path / f"run-{len(work)}", seed=1)
        prepared = finetune.prepare(stage.config, context)
        work.append(rehearse(finetune, stage.config, context, prepared, Memory(), seconds=0.1).training_flops)
    assert work[1] == pytest.approx(2 * work[0])


def test_attacks_of_its_kind_are_told_as_such() -> None:
    config = Config.model_validate(
        {"data": {"source": "a.csv"}, "train": {"adversarial": {"method": "hotflip"}}, "base": "x"}
    )
    assert [trained_on(config, name) for name in ("pwws", "deepwordbug", "checklist")] == ["its kind", "no", "no"]
    assert trained_with(config) == ["words exchanged for those that raise the loss most (hotflip)"]


@pytest.mark.parametrize(
    ("stage", "keys"),
    [
        ("pretrain", {"corpus": {"source": "a.txt"}}),
        ("transfer", {"domains": {"a": {"source": "a.csv"}, "b": {"source": "b.csv"}}, "task": "classify"}),
        ("converse", {"base": "x", "data": {"source": "a.jsonl"}}),
    ],
)
def test_stages_that_know_no_words_refuse_it(stage: str, keys: dict[str, Any]) -> None:
    train = {"train": {"adversarial": {"method": "hotflip"}}}
    with pytest.raises(UsageError, match=r"for classifiers|for finetune and harden"):
        parse({"name": "a", "stages": [{stage: {**keys, **train}}]})
