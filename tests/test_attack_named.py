"""The named attacks: each can be built, changes what it says, and tells what it lacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from linear_subject import LinearSubject, rows_of

from sixfold.attack.attacks import ATTACKS, named
from sixfold.attack.changes import distance
from sixfold.attack.function_words import CHINESE, ENGLISH
from sixfold.attack.outcome import Outcome
from sixfold.attack.run import attack
from sixfold.errors import SixfoldError, UsageError

ASKS_A_MODEL = ("bert-attack", "bae", "zh-bert-attack")
WITHOUT_LISTS = [name for name, row in ATTACKS.items() if not row.lists and name not in ASKS_A_MODEL]


def won(name: str, text: str, weights: dict[str, float], seed: int = 0) -> Outcome:
    (one,) = attack(LinearSubject(weights), rows_of((text, "yes")), named(name), seed=seed)  # type: ignore[arg-type]
    return one


def test_deepwordbug_changes_one_letter_of_each_word_until_the_label_is_wrong() -> None:
    one = won("deepwordbug", "The hotel was great and cheap", {"great": 2.0, "cheap": 1.0, "hotel": 0.5, "was": 9.0})
    assert one.kind == "failed", "was is a word of grammar and stays"
    assert [one.original[edit.start : edit.end] for edit in one.edits] == ["hotel", "great", "cheap"]
    for edit in one.edits:
        word = one.original[edit.start : edit.end]
        assert abs(len(word) - len(edit.replacement)) <= 1
        assert distance(one.original, (edit,)) <= 2, "a swap is two substitutions, as Levenshtein counts"


def test_deepwordbug_costs_what_its_paper_counts() -> None:
    one = won("deepwordbug", "great hotel", {"great": 2.0, "hotel": 1.0})
    assert 1 + 2 + 3 + 3 <= one.queries <= 1 + 2 + 4 + 4


def test_deepwordbug_changes_no_more_than_thirty_characters() -> None:
    text = " ".join(f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    one = won("deepwordbug", text, {word.lower(): 1.0 for word in text.split()})
    assert one.kind == "failed"
    assert 25 <= distance(one.original, one.edits) <= 30


def test_deepwordbug_draws_by_the_seed() -> None:
    weights = {"wonderful": 5.0}
    found = {won("deepwordbug", "wonderful hotel", weights, seed).adversarial for seed in range(6)}
    assert len(found) > 1
    assert won("deepwordbug", "wonderful hotel", weights, 1) == won("deepwordbug", "wonderful hotel", weights, 1)


def test_pruthi_changes_one_word_within() -> None:
    one = won("pruthi", "a great hotel", {"great": 2.0, "hotel": 1.0})
    assert (one.kind, len(one.edits)) == ("failed", 1)
    (edit,) = one.edits
    assert (edit.replacement[0], edit.replacement[-1]) == ("g", "t")


def test_checklist_changes_names_and_contractions_but_no_other_word() -> None:
    one = won("checklist", "Mary is not in London", {"mary": 1.0, "london": 1.0, "not": 1.0, "in": 0.5})
    assert one.kind == "failed"
    assert "Mary" not in one.adversarial
    assert "London" not in one.adversarial
    assert "isn't in" in one.adversarial


def test_words_of_grammar_are_those_that_textattack_leaves_too() -> None:
    assert len(ENGLISH) == 179
    assert {"not", "don't", "the", "very", "should've"} <= ENGLISH
    assert not {"good", "great", "new", "like", "never"} & ENGLISH
    assert "好" not in CHINESE
    assert {"的", "不", "我们"} <= CHINESE


@pytest.mark.parametrize("name", WITHOUT_LISTS)
def test_an_attack_tells_what_it_does(name: str) -> None:
    made = named(name)
    assert made.name == name
    assert [key for key, _ in made.settings] == ["Search", "Changes", "Constraints"]
    assert "no word twice" in dict(made.settings)["Constraints"]


def test_an_unknown_attack_is_told_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="there is no attack 'deepwordbugs'") as error:
        named("deepwordbugs")
    assert error.value.nearest == "deepwordbug"


def test_missing_word_lists_are_told_with_the_command_that_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path))
    with pytest.raises(SixfoldError, match="wordnet, inflections are not on this machine") as error:
        named("pwws")
    assert error.value.hint == "sixfold words pull wordnet inflections"


def test_every_attack_has_a_paper_and_a_line() -> None:
    for row in ATTACKS.values():
        assert row.what
        assert row.paper
        assert row.changes
        assert set(row.languages) <= {"en", "zh"}
    assert np.unique([row.what for row in ATTACKS.values()]).size == len(ATTACKS)


def test_the_page_has_every_attack_with_its_language_kind_and_needs() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs/attack.md").read_text("utf-8")
    lines = page.partition("## The attacks")[2].partition("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    told = {row[0].strip("`"): (row[1], row[2], row[3].replace("`", "")) for row in cells}
    known = {}
    for name, row in ATTACKS.items():
        needs = [*(["--words"] if name in ASKS_A_MODEL else []), *row.lists]
        known[name] = (", ".join(row.languages), row.changes, ", ".join(needs))
    assert told == known


def test_a_chinese_synonym_is_of_the_same_kind_and_length_in_common_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    from sixfold.attack import chinese

    monkeypatch.setattr(chinese, "_common", lambda: frozenset("干净清洁洗脏内楚杂乱"))
    rule = chinese._alike()
    assert rule.lets("干净", ["清洁", "清楚", "净", "洁净的", "窳劣"]).tolist() == [True, True, False, False, False]
    assert rule.lets("脏", ["内脏", "脏乱", "净"]).tolist() == [False, False, True]


def test_kinds_of_chinese_words_that_can_stand_for_each_other() -> None:
    from sixfold.attack.chinese import _kinds

    assert _kinds("满意") == _kinds("清洁") == ("predicate",)
    assert _kinds("内脏") == ("noun",)
    assert set(_kinds("教练")) == {"noun", "predicate"}
    assert _kinds("窳劣") == ()
