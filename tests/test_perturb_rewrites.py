"""Changes of a whole string: contractions, names, distractors."""

from __future__ import annotations

import pytest

from sixfold.perturb import Rewrite, Sentence, applied
from sixfold.perturb.rewrites import (
    ChineseExchange,
    Contract,
    Distract,
    Exchange,
    chinese_person_names,
    chinese_place_names,
    person_names,
    place_names,
    stress_test,
)

WOMEN, CITIES = ("Mary", "Anna", "Lisa"), ("Rome", "New York", "Oslo")
NAMES = Exchange("name", (WOMEN, CITIES))


def variants(rewrite: Rewrite, text: str) -> list[str]:
    return [applied(text, edits) for edits in rewrite.variants(Sentence.of(text))]


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("It isn't bad.", ["It is not bad."]),
        ("Don’t go", ["Do not go"]),
        ("I'm here", ["I am here"]),
        ("DO NOT GO", ["DON'T GO"]),
        ("Can't and cannot", ["Cannot and cannot", "Can't and can't"]),
        ("It is not bad", ["It's not bad", "It isn't bad"]),
        ("i am here", ["I'm here"]),
        ("We have seen it", ["We've seen it"]),
        ("is  not", []),
        ("is\nnot", []),
        ("is, not", []),
        ("let's go, he'd say", []),
        ("", []),
    ],
)
def test_a_contraction_is_spelt_out_or_made_one_place_at_a_time(text: str, changed: list[str]) -> None:
    assert variants(Contract(), text) == changed


@pytest.mark.parametrize("text", ["It's been long", "it's gone", "That’s become usual"])
def test_what_may_be_has_is_not_spelt_out_as_is(text: str) -> None:
    assert variants(Contract(), text) == []


@pytest.mark.parametrize("text", ["Yes, I am.", "Here they are", "We will, sir", "I know who it is"])
def test_a_verb_that_ends_its_clause_is_not_contracted(text: str) -> None:
    assert variants(Contract(), text) == []


def test_a_name_becomes_another_of_its_kind_wherever_it_stands() -> None:
    assert variants(NAMES, "Mary saw Mary's dog in Rome") == [
        "Anna saw Anna's dog in Rome",
        "Lisa saw Lisa's dog in Rome",
        "Mary saw Mary's dog in New York",
        "Mary saw Mary's dog in Oslo",
    ]


def test_the_longest_name_is_taken_and_capitals_are_kept() -> None:
    assert variants(NAMES, "NEW YORK!") == ["OSLO!", "ROME!"]
    assert variants(NAMES, "New York’s end") == ["Oslo’s end", "Rome’s end"]
    assert variants(NAMES, "mary, new York, Maryland") == []


def test_those_that_follow_in_the_circle_are_taken_and_at_most_so_many() -> None:
    assert variants(Exchange("name", (WOMEN,), most=1), "Lisa") == ["Mary"]
    assert variants(Exchange("name", (WOMEN,), most=1), "Mary") == ["Anna"]


def test_a_name_never_becomes_one_that_the_text_has_already() -> None:
    assert variants(NAMES, "Mary met Anna") == ["Lisa met Anna", "Mary met Lisa"]
    both = ChineseExchange("zh", kinds=(("北京", "上海", "广州"),))
    assert variants(both, "从北京到上海。") == ["从广州到上海。", "从北京到广州。"]
    people = ChineseExchange("zh", people=("王伟", "李娜", "张敏"))
    assert variants(people, "王伟和李娜走了。") == ["张敏和李娜走了。", "王伟和张敏走了。"]


def test_a_chinese_place_keeps_the_unit_behind_it() -> None:
    places = ChineseExchange("zh", kinds=(("北京", "上海"),))
    assert variants(places, "他住在北京市。") == ["他住在上海市。"]
    assert variants(places, "他住在广州。") == []


def test_a_chinese_person_becomes_one_whose_name_is_as_long() -> None:
    people = ChineseExchange("zh", people=("王伟", "李建国", "张敏"))
    assert variants(people, "记者李娜报道，李娜说。") == ["记者王伟报道，王伟说。", "记者张敏报道，张敏说。"]
    assert variants(people, "书很好。") == []


def test_words_that_say_nothing_come_behind_the_last_word_in_the_text_s_language() -> None:
    assert variants(stress_test(), "Good!")[0] == "Good and true is true!"
    assert variants(stress_test(), "很好。")[2] == "很好，而且假的不是真的。"
    assert variants(Distract("d", (" x",), ("，某",)), "") == variants(stress_test(), "?!") == []


def test_the_lists_that_come_along_change_usual_names() -> None:
    assert variants(person_names(), "John Smith")[0] == "Robert Smith"
    assert variants(place_names(), "in China")[0] == "in France"
    assert variants(chinese_place_names(), "他在美国。")[0] == "他在英国。"
    assert variants(chinese_person_names(), "张三和欧阳修走了。")
