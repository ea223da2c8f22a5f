"""Outcomes as JSON lines and back, and what they say together: counts, rates, success against budget."""

from __future__ import annotations

import json
import math
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sixfold.attack.outcome import FILE, Outcome, outcomes, part_of, write
from sixfold.attack.summary import summary, worst_case
from sixfold.errors import DataError, UsageError
from sixfold.perturb.words import Edit

WON = Outcome(
    attack="deepwordbug",
    row="ab" * 16,
    place=3,
    part="train",
    where="reviews.csv:5",
    kind="succeeded",
    original="a great film",
    adversarial="a graet film",
    edits=(Edit(2, 7, "graet"),),
    gold="good",
    before="good",
    after="bad",
    scores=(0.1, 0.8),
    queries=9,
    words=3,
    enough=8,
    similarity=0.75,
)
HELD = replace(WON, kind="failed", adversarial="a great film", edits=(), after="good", enough=None, similarity=None)
SKIPPED = replace(HELD, kind="skipped", why="already wrong", before="bad", after="bad", queries=1)
UNTRIED = replace(HELD, kind="no candidates", queries=4)
TAGGED = replace(
    WON,
    original="Ann works",
    adversarial="Ann wroks",
    edits=(Edit(4, 9, "wroks"),),
    gold=("B-PER", "O"),
    before=("B-PER", "O"),
    after=("O", "O"),
    words=2,
    original_words=("Ann", "works"),
    adversarial_words=("Ann", "wroks"),
)


@pytest.mark.parametrize("one", [WON, HELD, SKIPPED, UNTRIED, TAGGED, replace(WON, gold=("a", "b"), before=("a",))])
def test_an_outcome_is_read_back_as_it_was_written(one: Outcome, tmp_path: Path) -> None:
    assert write(tmp_path / FILE, [one]) == 1
    assert list(outcomes(tmp_path)) == list(outcomes(tmp_path / FILE)) == [one]


def test_a_line_says_in_plain_words_what_happened() -> None:
    assert WON.to_dict() == {
        "attack": "deepwordbug",
        "row": "ab" * 16,
        "place": 3,
        "part": "train",
        "where": "reviews.csv:5",
        "outcome": "succeeded",
        "original": "a great film",
        "adversarial": "a graet film",
        "edits": [[2, 7, "graet"]],
        "gold": "good",
        "before": "good",
        "after": "bad",
        "scores": [0.1, 0.8],
        "queries": 9,
        "words": 3,
        "enough": 8,
        "similarity": 0.75,
    }


def test_an_outcome_is_a_labelled_row_again() -> None:
    assert WON.as_row() == {"text": "a graet film", "label": "good"}
    assert TAGGED.as_row() == {"words": ["Ann", "wroks"], "tags": ["B-PER", "O"]}
    assert replace(WON, gold=("a", "b")).as_row() == {"text": "a graet film", "labels": ["a", "b"]}


def test_a_part_and_a_kind_can_be_asked_for(tmp_path: Path) -> None:
    write(tmp_path / FILE, [WON, replace(WON, part="test"), HELD])
    assert list(outcomes(tmp_path, part="train", kind="succeeded")) == [WON]
    assert [one.kind for one in outcomes(tmp_path, part="train")] == ["succeeded", "failed"]


def test_only_the_owner_may_read_outcomes(tmp_path: Path) -> None:
    write(tmp_path / FILE, [WON])
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def damaged(**changes: Any) -> dict[str, Any]:
    line = WON.to_dict() | changes
    return {key: value for key, value in line.items() if value is not None}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (damaged(outcome="won"), "there is no outcome 'won'"),
        (damaged(adversarial="a film"), "the edits do not make the adversarial text"),
        (damaged(edits=[[5, 99, "x"]]), "the edits do not make the adversarial text"),
        (damaged(edits=[[1, 2]]), "ValueError"),
        (damaged(original=None), "TypeError"),
        (damaged(more=1), "TypeError"),
        ([], "KeyError"),
    ],
)
def test_a_damaged_line_is_told_with_its_number(line: Any, what: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps(WON.to_dict()) + "\n" + json.dumps(line) + "\n", encoding="utf-8")
    with pytest.raises(DataError) as error:
        list(outcomes(tmp_path))
    assert error.value.where == f"{tmp_path / FILE}:2"
    assert what in str(error.value.found)


def test_a_folder_without_outcomes_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no outcomes of an attack"):
        outcomes(tmp_path)


def test_a_fifth_of_the_rows_is_for_testing() -> None:
    assert part_of(bytes(16)) == "test"
    assert part_of(bytes([50]) + bytes(15)) == "test"
    assert part_of(bytes([52]) + bytes(15)) == part_of(b"\xff" * 16) == "train"


MANY = [
    WON,
    replace(WON, queries=300, enough=250, similarity=0.25),
    HELD,
    replace(HELD, kind="budget spent", queries=600),
    replace(HELD, kind="not confirmed", queries=10),
    SKIPPED,
    UNTRIED,
    replace(SKIPPED, why="too long", queries=0),
]


def test_rates_leave_out_what_could_not_be_tried() -> None:
    found = summary(MANY, budget=2000, seed=0)
    assert found["counts"] == {
        "succeeded": 2,
        "failed": 1,
        "no candidates": 1,
        "budget spent": 1,
        "not confirmed": 1,
        "skipped: already wrong": 1,
        "skipped: nothing to attack": 0,
        "skipped: too long": 1,
    }
    metrics = found["metrics"]
    assert (metrics["clean"]["value"], metrics["clean"]["count"]) == (pytest.approx(6 / 7), 7)
    assert (metrics["under_attack"]["value"], metrics["under_attack"]["count"]) == (0.5, 6)
    assert (metrics["success"]["value"], metrics["success"]["count"]) == (0.4, 5)
    assert metrics["queries"]["value"] == pytest.approx((9 + 300 + 9 + 600 + 10) / 5)
    assert found["median_queries"] == 10
    assert metrics["changed"]["value"] == pytest.approx(1 / 3)
    assert metrics["similarity"]["value"] == 0.5


def test_success_is_told_for_smaller_budgets_and_none_larger_than_the_own() -> None:
    at = {row["budget"]: row["success"]["value"] for row in summary(MANY, budget=500, seed=0)["budgets"]}
    assert at == {100: 0.2, 500: 0.4}
    assert [row["budget"] for row in summary(MANY, budget=None, seed=0)["budgets"]] == [100, 500, 2000]
    assert summary(MANY, budget=500, seed=0)["curve"] == [(0, 0.0), (8, 0.2), (250, 0.4)]


def test_classes_and_words_are_told_by_how_often_they_made_it_err() -> None:
    found = summary([*MANY, replace(HELD, gold="bad")], budget=100, seed=0)
    assert [(row["label"], row["success"]["value"]) for row in found["per_class"]] == [("good", 0.4), ("bad", 0.0)]
    assert found["most_changed"] == [{"word": "great", "count": 2, "became": ["graet"]}]


def test_where_nothing_could_be_tried_no_rate_is_told() -> None:
    for some in ([], [UNTRIED], [replace(SKIPPED, why="too long")]):
        found = summary(some, budget=100, seed=0)
        assert found["metrics"]["success"]["value"] is None
        assert found["metrics"]["under_attack"]["value"] is None
        assert found["median_queries"] is None
        json.dumps(found, allow_nan=False)


def test_entities_are_measured_before_and_under_attack() -> None:
    kept = replace(TAGGED, kind="failed", after=("O", "O"))
    found = summary([TAGGED, kept], budget=100, seed=0)["entities"]
    assert (found["before"]["f1"]["value"], found["after"]["recall"]["value"]) == (1.0, 0.5)
    assert found["after"]["f1"]["value"] == pytest.approx(2 / 3)


def test_the_worst_case_takes_whichever_attack_succeeds() -> None:
    other = replace(WON, row="cd" * 16, place=4)
    rows = {
        "first": [WON, replace(HELD, row="cd" * 16, place=4), replace(SKIPPED, row="ef" * 16, place=5)],
        "second": [HELD, other, replace(SKIPPED, row="ef" * 16, place=5)],
    }
    found = worst_case(rows)
    assert found["attacks"] == ["first", "second"]
    assert (found["success"]["value"], found["success"]["count"]) == (1.0, 2)
    assert (found["under_attack"]["value"], found["under_attack"]["count"]) == (0.0, 3)


def test_the_worst_case_leaves_out_what_no_attack_could_try() -> None:
    found = worst_case({"first": [UNTRIED], "second": [UNTRIED]})
    assert found["success"]["value"] is None
    assert math.isclose(worst_case({"first": [UNTRIED], "second": [HELD]})["under_attack"]["value"], 1.0)
