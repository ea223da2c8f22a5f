"""Attacking many rows: what is skipped, counted and confirmed, the sample, and that nothing hangs on other rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_subject import LinearSubject, Table, rows_of

from sixfold.attack import importance
from sixfold.attack.building import Attack, by_importance
from sixfold.attack.changes import Changes, every, one_of_each
from sixfold.attack.outcome import Outcome, part_of
from sixfold.attack.run import attack, sampled
from sixfold.errors import DataError, UsageError
from sixfold.perturb.characters import Delete, Insert, Substitute, Swap
from sixfold.perturb.words import Edit
from sixfold.score.driver import Search

WEIGHTS = {"great": 3.0, "good": 2.0, "film": 1.0, "fine": 1.0, "poor": -2.0, "dull": -4.0}
WORDS = {"great": ["fine", "dull"], "good": ["poor"]}


def by_table(words: dict[str, list[str]] | None = None) -> Attack:
    return by_importance("table", Changes(every(Table(WORDS if words is None else words))), importance.UNKNOWN)


def outcomes(rows: Any, how: Attack | None = None, subject: Any = None, **options: Any) -> list[Outcome]:
    found = attack(subject or LinearSubject(WEIGHTS), rows, how or by_table(), **options)
    return sorted(found, key=lambda one: one.place)


def test_every_row_has_an_outcome_of_its_kind() -> None:
    rows = rows_of(
        ("a great film", "yes"),
        ("a great film", "no"),
        ("good film film film", "yes"),
        ("film", "yes"),
        ("", "no"),
        ("dull", "maybe"),
    )
    found = outcomes(rows)
    assert [one.kind for one in found] == [
        "succeeded",
        "skipped",
        "failed",
        "no candidates",
        "no candidates",
        "skipped",
    ]
    assert [one.why for one in found if one.kind == "skipped"] == ["already wrong", "already wrong"]
    won = found[0]
    assert (won.original, won.adversarial) == ("a great film", "a dull film")
    assert won.edits == (Edit(2, 7, "dull"),)
    assert (won.gold, won.before, won.after) == ("yes", "yes", "no")
    assert won.scores == pytest.approx((1 / (1 + np.exp(4)), 1 / (1 + np.exp(-3))))
    assert (won.queries, won.enough, won.words) == (1 + 3 + 2, 1 + 3 + 2, 3)
    assert won.as_row() == {"text": "a dull film", "label": "yes"}


def test_a_failed_row_keeps_the_nearest_text_that_was_found() -> None:
    (one,) = outcomes(rows_of(("great film film film", "yes")), by_table({"great": ["fine"]}))
    assert (one.kind, one.adversarial, one.after, one.enough) == ("failed", "fine film film film", "yes", None)


def test_a_budget_of_one_is_spent_on_the_text_as_it_is() -> None:
    found = outcomes(rows_of(("a great film", "yes"), ("dull", "yes")), budget=1)
    assert [(one.kind, one.queries) for one in found] == [("budget spent", 1), ("skipped", 1)]


def test_a_budget_of_zero_is_refused_before_anything_is_asked() -> None:
    subject = LinearSubject(WEIGHTS)
    with pytest.raises(UsageError, match="at least 1 query"):
        outcomes(rows_of(("a great film", "yes")), subject=subject, budget=0)
    assert subject.scorer.calls == []


class Wavering(LinearSubject):
    """Reads whole strings otherwise than in the search."""

    def whole(self, strings: Sequence[str]) -> np.ndarray:
        return np.array([[0.0, 1.0]] * len(strings))


def test_a_success_that_does_not_hold_for_the_whole_string_is_none() -> None:
    (one,) = outcomes(rows_of(("a great film", "yes")), subject=Wavering(WEIGHTS))
    assert (one.kind, one.after, one.enough) == ("not confirmed", "yes", None)


class Refusing(LinearSubject):
    """Takes no text of more than three words, as a model whose ``on_long`` is ``error``."""

    def query(self, text: Any, variants: Sequence[Sequence[Edit]]) -> Any:
        if len(text.sentence) > 3:
            raise DataError("too long")
        return super().query(text, variants)


def test_a_rough_model_is_searched_first_and_never_decides_that_a_row_is_steady_or_wrong() -> None:
    rows = rows_of(("a great film", "yes"), ("good film", "yes"), ("fine film", "yes"), ("film poor", "no"))
    how = by_table({"great": ["dull"], "good": ["poor"], "fine": ["poor"], "poor": ["great"]})
    exact = LinearSubject(WEIGHTS)
    rough = LinearSubject({**WEIGHTS, "poor": 1.0, "fine": -9.0})  # good is steady, fine is wrong already, poor too
    found = outcomes(rows, how, exact, rough=rough)
    alone = outcomes(rows, how, LinearSubject(WEIGHTS))
    assert [(one.kind, one.adversarial) for one in found] == [(one.kind, one.adversarial) for one in alone]
    assert [one.kind for one in found] == ["succeeded"] * 4
    asked = {string for call in exact.scorer.calls for string in call}
    assert "a dull film" not in asked, "what the rough model found is confirmed, not searched again"
    assert "poor film" in asked


@pytest.mark.parametrize("budget", [None, *range(1, 9)])
def test_words_are_tried_again_in_the_rough_model_s_order_and_its_queries_count(budget: int | None) -> None:
    rows, how = rows_of(("a good film", "yes")), by_table({"good": ["fine"], "film": ["okay"]})
    exact = LinearSubject(WEIGHTS)
    (one,) = outcomes(rows, how, exact, rough=LinearSubject(WEIGHTS), budget=budget)
    (alone,) = outcomes(rows, how, LinearSubject(WEIGHTS), budget=budget)
    assert not [string for call in exact.scorer.calls for string in call if "[UNK]" in string]
    assert (one.kind, one.queries, one.edits) == (alone.kind, alone.queries, alone.edits)


def test_what_a_rough_model_had_right_alone_is_no_success() -> None:
    rough = LinearSubject({**WEIGHTS, "poor": 1.0})
    (one,) = outcomes(rows_of(("poor film", "yes")), by_table({"poor": ["dull"]}), LinearSubject(WEIGHTS), rough=rough)
    assert (one.kind, one.why) == ("skipped", "already wrong")


def test_a_text_that_the_model_refuses_is_skipped_and_told() -> None:
    found = outcomes(rows_of(("a great film film", "yes"), ("a great film", "yes")), subject=Refusing(WEIGHTS))
    assert [(one.kind, one.why, one.queries) for one in found] == [("skipped", "too long", 0), ("succeeded", "", 6)]


TEXTS = [
    f"{first} {second} film" for first in ("great", "good", "fine") for second in ("great", "good", "film", "poor")
]


def drawn() -> Attack:
    return by_importance("drawn", Changes(one_of_each((Swap(), Delete(), Insert(), Substitute()))), importance.DELETION)


def test_outcomes_hang_on_row_and_seed_alone() -> None:
    rows = rows_of(*((text, "yes") for text in TEXTS))
    together = outcomes(rows, drawn(), seed=3)
    assert together == outcomes(rows, drawn(), seed=3, at_once=1)
    alone = [outcomes(rows.select([number]), drawn(), seed=3)[0] for number in range(len(rows))]
    assert together == [replace(one, place=number, where=together[number].where) for number, one in enumerate(alone)]
    assert together != outcomes(rows, drawn(), seed=4)


def test_hundreds_of_searches_are_asked_in_one_call_a_step() -> None:
    subject = LinearSubject(WEIGHTS)
    outcomes(rows_of(*((text, "yes") for text in TEXTS)), subject=subject)
    assert len(subject.scorer.calls[0]) == len(TEXTS)
    assert len(subject.scorer.calls) <= 4


def test_a_sample_is_the_same_for_every_attack_and_other_with_another_seed() -> None:
    rows = rows_of(*((f"{text} {number}", "yes") for number, text in enumerate(TEXTS * 4)))
    task = LinearSubject(WEIGHTS).task
    first, same, other = (sampled(rows, task, 12, seed) for seed in (0, 0, 1))
    assert first == same
    assert [row.number for row in first] == sorted(row.number for row in first)
    assert {row.number for row in first} != {row.number for row in other}
    assert {row.number for row in sampled(rows, task, 5, 0)} < {row.number for row in first}
    assert len(sampled(rows, task, None, 0)) == len(sampled(rows, task, 1000, 0)) == len(rows)


def test_a_sample_does_not_favour_a_part_of_the_adversarial_set() -> None:
    rows = rows_of(*((f"text {number}", "yes") for number in range(600)))
    parts = [part_of(row.key) for row in sampled(rows, LinearSubject(WEIGHTS).task, 200, 0)]
    assert 20 < parts.count("test") < 65


def test_a_row_s_part_is_that_of_its_text() -> None:
    rows = rows_of(("a great film", "yes"), ("A  Great film", "no"), ("other", "yes"))
    found = outcomes(rows)
    assert found[0].row == found[1].row
    assert found[0].part == found[1].part


def test_rows_of_a_list_can_be_attacked_as_well() -> None:
    from sixfold.commands.predict import Texts

    (one,) = outcomes(Texts({"text": ["a great film"], "label": ["yes"]}))
    assert one.kind == "succeeded"


def test_a_search_of_no_question_is_an_outcome_too() -> None:
    def nothing(trial: Any) -> Search[Any]:
        from sixfold.attack.trial import Found

        yield from ()
        return Found("no candidates", (), trial.start)

    (one,) = outcomes(rows_of(("a great film", "yes")), Attack("nothing", nothing))
    assert (one.kind, one.queries, one.adversarial) == ("no candidates", 1, "a great film")


LETTERS = ("greatfilmd .,!'-", "好坏酒店，。", "😀👨\u200d👩\u200d👧👍🏽e\u0301", "١٢\u202eДжñ\x00\t")
WILD = st.text(st.one_of(*map(st.sampled_from, LETTERS), st.characters()), max_size=30)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(WILD, min_size=1, max_size=4), most=st.integers(1, 60))
def test_no_string_breaks_an_attack(texts: list[str], most: int) -> None:
    rows = rows_of(*((text.encode("utf-8", "ignore").decode(), "no") for text in texts))
    for one in outcomes(rows, drawn(), budget=most):
        assert 1 <= one.queries <= most
        assert Outcome.from_dict(one.to_dict()) == replace(one, scores=tuple(round(score, 6) for score in one.scores))  # type: ignore[arg-type]
