"""English words for words, from small lists."""

from __future__ import annotations

import pytest
import small_lists

from sixfold.perturb import Sentence, Transformation
from sixfold.perturb.lexical import DeleteWord, Inflect, Misspell, Number, Synonyms, parts_of_speech


def found(transformation: Transformation, word: str) -> list[str]:
    return transformation.candidates(Sentence.of(word), 0)


@pytest.fixture(scope="module")
def synonyms(tmp_path_factory: pytest.TempPathFactory) -> Synonyms:
    return small_lists.synonyms(tmp_path_factory.mktemp("wordnet"))


def test_a_synonym_has_the_form_and_the_capitals_of_the_word(synonyms: Synonyms) -> None:
    assert found(synonyms, "bought") == ["purchased", "bribed"]
    assert found(synonyms, "Films") == ["Movies"]
    assert found(synonyms, "CAR") == ["AUTO", "MOTORCAR"]
    assert found(synonyms, "children") == ["kids"]


def test_the_part_of_speech_that_has_a_form_decides_its_synonyms(synonyms: Synonyms) -> None:
    assert found(synonyms, "better") == []  # "greater" is in no table
    assert found(synonyms, "quicker") == ["faster"]
    assert found(synonyms, "quickly") == ["rapidly", "chop-chop"]


@pytest.mark.parametrize(
    ("text", "position", "synonyms_of_met"),
    [
        ("he met her", 1, ["saw"]),
        ("he has met her", 2, ["seen"]),
        ("it was never met", 3, ["seen"]),
        ("They've met", 1, ["seen"]),
        ("Met", 0, ["Saw"]),
    ],
)
def test_an_auxiliary_before_it_tells_a_participle_from_a_past_form(
    synonyms: Synonyms, text: str, position: int, synonyms_of_met: list[str]
) -> None:
    assert synonyms.candidates(Sentence.of(text), position) == synonyms_of_met


def test_a_noun_whose_plural_is_the_word_is_read_as_one(synonyms: Synonyms) -> None:
    assert found(synonyms, "good") == ["goodness"]


def test_synonyms_of_several_words_are_given_if_asked_for(synonyms: Synonyms) -> None:
    phrases = Synonyms(synonyms.wordnet, synonyms.inflections, phrases=True)
    assert found(phrases, "bought") == ["purchased", "bribed", "paid off"]
    assert found(phrases, "film") == ["movie", "motion picture"]
    assert found(phrases, "films") == ["movies"]  # "pictures" is in no table


def test_a_capital_that_is_part_of_a_synonym_stays(synonyms: Synonyms) -> None:
    assert found(synonyms, "french") == []
    phrases = Synonyms(synonyms.wordnet, synonyms.inflections, phrases=True)
    assert found(phrases, "French") == ["French language"]


def test_only_the_most_usual_senses_are_taken_if_that_is_asked_for(synonyms: Synonyms) -> None:
    usual = Synonyms(synonyms.wordnet, synonyms.inflections, senses=1)
    assert found(usual, "bought") == ["purchased"]
    assert found(usual, "car") == ["auto", "motorcar"]


def test_words_of_other_languages_and_unknown_ones_have_no_synonyms(synonyms: Synonyms) -> None:
    assert found(synonyms, "电影") == found(synonyms, "xyzzy") == found(synonyms, "3.5") == []


def test_another_form_of_the_same_word() -> None:
    inflect = Inflect(small_lists.inflections())
    assert found(inflect, "bought") == ["buy", "buying", "buys"]
    assert found(inflect, "Child") == ["Children"]
    assert found(inflect, "TAKEN") == ["TAKE", "TOOK", "TAKING", "TAKES"]
    assert found(inflect, "xyzzy") == found(inflect, "电影") == []


def test_a_misspelling_has_the_capitals_of_the_word() -> None:
    misspell = Misspell({"their": "thier ther", "I'm": "Im"})
    assert found(misspell, "Their") == ["Thier", "Ther"]
    assert found(misspell, "I'm") == ["Im"]
    assert found(misspell, "there") == []


def test_a_word_is_left_out_but_never_the_only_one() -> None:
    assert DeleteWord().candidates(Sentence.of("a film"), 1) == [""]
    assert DeleteWord().candidates(Sentence.of("film!"), 0) == []


@pytest.mark.parametrize(
    ("number", "others"),
    [
        ("10", ["11", "12"]),
        ("15", ["16", "14", "17", "13", "18", "12"]),
        ("1,000", ["1,001", "1,002", "1,003", "1,004", "1,005", "1,006", "1,007", "1,008", "1,009", "1,010"]),
        ("9", ["8"]),
        ("0", ["1"]),
        ("2", []),
        ("4", []),
        ("007", []),
        ("3.5", []),
        ("12:30", []),
        ("1,00", []),
        ("１２", []),
        ("film", []),
        ("9" * 16, []),
    ],
)
def test_a_number_becomes_one_near_it_with_as_many_digits(number: str, others: list[str]) -> None:
    assert found(Number(), number) == others


def test_the_parts_of_speech_of_a_word_are_those_of_its_forms_or_else_wordnet_s(synonyms: Synonyms) -> None:
    asked = parts_of_speech(synonyms.wordnet, synonyms.inflections)
    assert asked("Good") == {"noun", "adj"}
    assert asked("bought") == {"verb"}
    assert asked("rapidly") == {"adv"}
    assert asked("xyzzy") == frozenset()
