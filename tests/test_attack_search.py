"""Searches against a model that is plain to see through: which variants are asked about, in what order and number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from linear_subject import DrawnScorer, LinearSubject, Table

from sixfold.attack import importance
from sixfold.attack.beam import beam, of_rewrites, of_words
from sixfold.attack.budget import Budget
from sixfold.attack.changes import Changes, WordRule, every, levenshtein, one_of_each, several
from sixfold.attack.goals import Untargeted
from sixfold.attack.greedy import greedy, saliency
from sixfold.attack.importance import in_order
from sixfold.attack.trial import Found, Trial
from sixfold.perturb.characters import Delete, Swap
from sixfold.perturb.rewrites import Contract
from sixfold.perturb.words import Edit, applied
from sixfold.score.driver import alone

WEIGHTS = {"great": 3.0, "good": 2.0, "film": 1.0, "fine": 1.0, "okay": 0.5, "poor": -2.0, "dull": -4.0}


def searched(text: str, search, *, weights: Mapping[str, float] = WEIGHTS, most: int | None = None, seed: int = 0):  # type: ignore[no-untyped-def]
    """What a search finds in a text whose right label is yes; and the model, which knows what it was asked."""
    subject = LinearSubject(weights)
    aim = Untargeted(gold=1)
    start = float(aim.judge(subject.probabilities(subject.whole([text]))).scores[0])
    trial = Trial(subject, subject.text(text), aim, Budget(most, spent=1), np.random.default_rng(seed), start)  # type: ignore[arg-type]
    found = alone(search(trial), {"subject": subject.scorer})
    return found, subject.scorer.calls, trial


def table(found: Mapping[str, Sequence[str]], **constraints: object) -> Changes:
    return Changes(every(Table(found)), **constraints)  # type: ignore[arg-type]


def by_unknown(changes: Changes):  # type: ignore[no-untyped-def]
    return lambda trial: greedy(trial, changes, importance.UNKNOWN)


def test_words_are_ranked_in_one_question_and_each_word_s_candidates_in_one_more() -> None:
    found, calls, trial = searched(
        "a great film", by_unknown(table({"great": ["fine", "okay"], "film": ["dull", "poor"]}))
    )
    assert calls == [
        ["[UNK] great film", "a [UNK] film", "a great [UNK]"],
        ["a fine film", "a okay film"],
        ["a okay dull", "a okay poor"],
    ]
    assert found.kind == "succeeded"
    assert found.edits == (Edit(2, 7, "okay"), Edit(8, 12, "dull"))
    assert trial.budget.spent == 1 + 3 + 2 + 2
    assert found.enough == 1 + 3 + 2 + 1


def test_a_change_that_does_not_bring_the_goal_nearer_is_not_kept() -> None:
    found, calls, _ = searched("great film", by_unknown(table({"great": ["great"], "film": ["fine", "okay"]})))
    assert calls[1:] == [["great film"], ["great fine", "great okay"]]
    assert found == Found("failed", (Edit(6, 10, "okay"),), pytest.approx(1 - 1 / (1 + np.exp(-3.5))))


def test_of_equal_candidates_and_equal_words_the_first_is_taken() -> None:
    found, calls, _ = searched("good good", by_unknown(table({"good": ["xx", "yy"]})))
    assert calls[1:] == [["xx good", "yy good"], ["xx xx", "xx yy"]]
    assert found.edits == (Edit(0, 4, "xx"), Edit(5, 9, "xx"))


def test_a_candidate_that_reaches_the_goal_is_taken_before_a_better_score() -> None:
    """With three labels the lowest probability of the right one is not always a success."""
    from sixfold.attack.goals import Judged
    from sixfold.attack.trial import nearest

    judged = Judged(np.array([0.9, 0.6, 0.7]), np.array([False, True, True]))
    assert nearest(judged, [None, None, None]) == 2
    assert nearest(judged, [0.1, 0.9, 0.8]) == 1


@pytest.mark.parametrize("most", range(1, 12))
def test_the_budget_is_exact_and_success_depends_on_it_as_told(most: int) -> None:
    changes = table({"great": ["fine", "okay"], "film": ["poor", "dull"]})
    free, _, _ = searched("a great film", by_unknown(changes))
    found, calls, trial = searched("a great film", by_unknown(changes), most=most)
    assert 1 + sum(map(len, calls)) == trial.budget.spent <= most
    assert free.enough is not None
    assert (found.kind == "succeeded") == (most >= free.enough)
    if found.kind != "succeeded":
        assert found.kind == "budget spent"
        assert trial.budget.spent == most


def drawn(text: str, lucky: Mapping[str, int], most: int | None = None):  # type: ignore[no-untyped-def]
    """What a search finds in a model whose first answers about some strings are luck."""
    subject = LinearSubject(WEIGHTS)
    subject.scorer = DrawnScorer(WEIGHTS, lucky=lucky)
    aim = Untargeted(gold=1)
    trial = Trial(subject, subject.text(text), aim, Budget(most, spent=1), np.random.default_rng(0), 0.01)  # type: ignore[arg-type]
    changes = table({"great": ["fine", "okay"], "film": ["good", "dull"]})
    found = alone(greedy(trial, changes, importance.UNKNOWN), {"subject": subject.scorer})
    return found, subject.scorer.calls, trial


@pytest.mark.parametrize(("lucky", "end"), [(1, "a okay dull"), (2, "a fine dull")])
def test_where_answers_are_drawn_a_search_goes_on_from_what_luck_found(lucky: int, end: str) -> None:
    """And with the candidate whose draws were the nearest on average."""
    found, calls, trial = drawn("a great film", {"a fine film": lucky, "a okay film": 1})
    assert calls[1:3] == [["a fine film", "a okay film"], ["a fine film", "a fine film", "a okay film", "a okay film"]]
    assert found.kind == "succeeded"
    assert found.edits[-1] == Edit(8, 12, "dull")
    assert calls[-1] == [end] * 2
    assert trial.budget.spent == 1 + sum(map(len, calls)) == found.enough


def test_an_order_of_words_is_not_asked_for_again() -> None:
    _, calls, _ = drawn("a great film", {"a [UNK] film": 1})
    assert calls[1][0] == "a fine film"


@pytest.mark.parametrize("most", range(4, 12))
def test_where_answers_are_drawn_the_budget_is_exact_too(most: int) -> None:
    lucky = {"a fine film": 1, "a okay film": 1}
    free, _, _ = drawn("a great film", lucky)
    found, calls, trial = drawn("a great film", lucky, most)
    assert 1 + sum(map(len, calls)) == trial.budget.spent <= most
    assert free.enough is not None
    assert found.kind == ("succeeded" if most >= free.enough else "budget spent")


WORDS = st.lists(st.sampled_from([*WEIGHTS, "the", "plot"]), min_size=1, max_size=6)
CANDIDATES = st.dictionaries(
    st.sampled_from(sorted(WEIGHTS)), st.lists(st.sampled_from(sorted(WEIGHTS)), max_size=3, unique=True)
)


@given(words=WORDS, candidates=CANDIDATES, most=st.integers(1, 40), kind=st.sampled_from(["greedy", "pwws", "beam"]))
def test_whatever_the_text_a_budget_is_kept_and_only_success_by_it_is_found(
    words: list[str], candidates: dict[str, list[str]], most: int, kind: str
) -> None:
    changes = table(candidates)
    search = {
        "greedy": by_unknown(changes),
        "pwws": lambda trial: saliency(trial, changes),
        "beam": lambda trial: beam(trial, of_words(changes), width=2),
    }[kind]
    text = " ".join(words)
    free, _, _ = searched(text, search)
    found, calls, trial = searched(text, search, most=most)
    assert 1 + sum(map(len, calls)) == trial.budget.spent <= most
    assert (found.kind == "succeeded") == (free.kind == "succeeded" and free.enough is not None and free.enough <= most)
    applied(text, found.edits)  # its edits never overlap


def test_where_no_candidate_is_left_that_is_told() -> None:
    nothing = WordRule("nothing may change", lambda sentence: np.zeros(len(sentence), dtype=np.bool_))
    for changes in (table({}), table({"great": ["fine"]}, words=(nothing,))):
        found, _, _ = searched("a great film", by_unknown(changes))
        assert found.kind == "no candidates"
        assert searched("a great film", lambda trial, c=changes: saliency(trial, c))[0].kind == "no candidates"
        assert (
            searched("a great film", lambda trial, c=changes: beam(trial, of_words(c), width=1))[0].kind
            == "no candidates"
        )


@pytest.mark.parametrize("text", ["", "!!! ...", "😀👍🏽", " \n\t"])
def test_a_text_without_words_has_no_candidates(text: str) -> None:
    for search in (by_unknown(table({"a": ["b"]})), lambda trial: saliency(trial, table({"a": ["b"]}))):
        assert searched(text, search)[0].kind == "no candidates"


def test_a_text_of_one_word_can_be_attacked() -> None:
    found, calls, _ = searched("great", by_unknown(table({"great": ["dull"]})))
    assert (found.kind, calls) == ("succeeded", [["[UNK]"], ["dull"]])


def test_deletion_takes_a_blank_along_and_mask_stands_for_the_word() -> None:
    changes = table({})
    _, calls, _ = searched("great film", lambda trial: greedy(trial, changes, importance.DELETION))
    assert calls == [["film", "great"]]
    _, calls, _ = searched("great film", lambda trial: greedy(trial, changes, importance.MASK))
    assert calls == [["[MASK] film", "great [MASK]"]]


def test_frozen_words_stay() -> None:
    subject = LinearSubject(WEIGHTS)
    trial = Trial(
        subject,  # type: ignore[arg-type]
        subject.text("great film"),  # type: ignore[arg-type]
        Untargeted(1),
        Budget(),
        np.random.default_rng(0),
        frozen=frozenset({0}),
    )
    assert table({}).positions(trial) == [1]


def test_at_most_a_share_of_the_words_is_changed() -> None:
    all_dull = {word: ["okay"] for word in ("great", "good", "film", "fine")}
    found, calls, _ = searched("great good film fine", by_unknown(table(all_dull, most_share=0.5)))
    assert (found.kind, len(found.edits), len(calls)) == ("failed", 2, 3)


def test_at_most_so_many_characters_are_changed() -> None:
    changes = table({"great": ["treat", "beaten"], "good": ["hood", "food", "mad"]}, most_distance=2)
    found, calls, _ = searched("great good", by_unknown(changes))
    assert calls[1:] == [["treat good"], ["treat hood", "treat food"]]
    assert found.kind == "succeeded"


@pytest.mark.parametrize(
    ("first", "second", "steps"),
    [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2), ("好", "坏", 1)],
)
def test_levenshtein(first: str, second: str, steps: int) -> None:
    assert levenshtein(first, second) == levenshtein(second, first) == steps


def test_pwws_changes_words_by_saliency_and_gain_with_the_candidate_that_is_best_on_the_original() -> None:
    weights = {"great": 3.0, "good": 2.0, "fine": 2.5, "okay": -0.5, "film": 1.0, "play": 0.0}
    changes = table({"great": ["fine"], "good": ["okay", "fine"], "film": ["play"]})
    found, calls, trial = searched("great good film", lambda trial: saliency(trial, changes), weights=weights)
    assert calls == [
        ["[UNK] good film", "great [UNK] film", "great good [UNK]"],
        ["fine good film", "great okay film", "great fine film", "great good play"],
        ["great okay film"],
        ["great okay play"],
        ["fine okay play"],
    ]
    assert found.kind == "failed"
    assert trial.budget.spent == 1 + 3 + 4 + 3


def test_pwws_stops_at_a_single_change_that_is_enough() -> None:
    found, calls, _ = searched("great", lambda trial: saliency(trial, table({"great": ["okay", "dull", "poor"]})))
    assert found == Found("succeeded", (Edit(0, 5, "dull"),), pytest.approx(1 - 1 / (1 + np.exp(4))), 4)
    assert len(calls) == 2


def test_a_beam_keeps_the_best_variants_and_asks_about_each_set_of_changes_once() -> None:
    changes = table({"great": ["good", "fine"], "film": ["okay"]})
    found, calls, _ = searched("great film", lambda trial: beam(trial, of_words(changes), width=2))
    assert calls == [["good film", "fine film", "great okay"], ["fine okay", "good okay"]]
    assert found.kind == "failed"
    assert found.edits == (Edit(0, 5, "fine"), Edit(6, 10, "okay"))


def test_a_beam_changes_no_more_places_than_asked() -> None:
    changes = table({"great": ["good", "fine"], "film": ["okay"]})
    _, calls, _ = searched("great film", lambda trial: beam(trial, of_words(changes), width=2, most=1))
    assert calls == [["good film", "fine film", "great okay"]]


def test_rewrites_are_moves_and_no_place_is_changed_twice() -> None:
    weights = {"great": 1.0, "isn't": -0.2, "don't": -0.2}
    text = "it is not great, do not go"
    found, _, _ = searched(text, lambda trial: beam(trial, of_rewrites([Contract()]), width=1), weights=weights)
    assert applied(text, found.edits) == "it isn't great, don't go"


def test_what_is_drawn_hangs_on_the_example_s_generator_alone() -> None:
    changes = Changes(one_of_each((Swap(), Delete())))
    calls = [searched("great film", by_unknown(changes), seed=seed)[1] for seed in (1, 1, 2, 3, 4)]
    assert calls[0] == calls[1]
    assert any(calls[0] != other for other in calls[2:])
    assert all(len(call) <= 2 for call in calls[0][1:])


def test_several_offers_come_in_turn_and_each_candidate_once() -> None:
    offer = several(every(Table({"great": ["a", "b"]})), every(Table({"great": ["b", "c", "d"]}), 2))
    _, calls, _ = searched("great", by_unknown(Changes(offer)))
    assert calls[1] == ["a", "b", "c"]


def test_words_without_a_score_come_last_in_the_order_of_the_text() -> None:
    assert in_order([4, 5, 6, 7], np.array([0.1, 0.3])) == [5, 4, 6, 7]
    assert in_order([4, 5, 6], np.array([0.2, 0.3, 0.3])) == [5, 6, 4]
