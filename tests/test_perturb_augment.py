"""Augmentation: what each operation draws, what it leaves alone, seeds, and rows of words with tags."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import small_lists
from hypothesis import given, settings
from hypothesis import strategies as st

from sixfold.errors import SixfoldError, UsageError
from sixfold.perturb import Best, Prompts, Sentence, applied, augmenters, registry
from sixfold.perturb.augment import Augmenter
from sixfold.perturb.augmenters import augmenter, lists_of
from sixfold.perturb.operations import (
    DeleteWords,
    Ground,
    InsertMarks,
    InsertSynonym,
    Operation,
    Replace,
    Rewritten,
    SwapWords,
)
from sixfold.perturb.rewrites import Contract
from sixfold.text.lexicon import stop_words

EN = "The child did not love the 3 films of Mary and the car was quickly bought"
ZH = "他在北京买书，天气好，3点，我喜欢。"


class Table:
    """Candidates out of a dictionary."""

    name, languages = "table", ("en", "zh")

    def __init__(self, table: dict[str, str]) -> None:
        self.table = table

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        return self.table.get(sentence.word(position), "").split()


NEAR = Table({"car": "auto motorcar", "films": "movies", "bought": "purchased", "child": "kid", "of": "from"})


def ground(text: str, *stay: str) -> Ground:
    """Words that are listed stay; all others may change."""
    sentence = Sentence.of(text)
    free = np.array([word not in stay for word in sentence.words()], dtype=np.bool_)
    return Ground(sentence, free, free)


def drawn(operation: Operation, some: Ground, count: int = 40) -> set[str]:
    made = [operation.draw(some, np.random.default_rng(seed)) for seed in range(count)]
    return {applied(some.sentence.text, edits) for edits in made if edits}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Small lists in the place of the real ones."""
    folder = tmp_path_factory.mktemp("wordnet")
    rows = {
        "synonym": lambda: small_lists.synonyms(folder),
        "zh-synonym": lambda: Table({"书": "书本 书籍", "天气": "气候"}),
        "zh-homophone": lambda: Table({"书": "叔"}),
        "zh-glyph": lambda: Table({"书": "韦"}),
    }
    for name, build in rows.items():
        row = registry.WORD[name]
        monkeypatch.setitem(registry.WORD, name, registry.Row(build, row.what, row.languages))
    made = partial(Augmenter, grammar=grammar)
    monkeypatch.setattr(augmenters, "Augmenter", made)


def grammar() -> frozenset[str]:
    return frozenset(["the", "of", "and", "was", "did", "他", "在", "了"])


def test_words_are_replaced_by_candidates_of_theirs() -> None:
    assert drawn(Replace(NEAR), ground("a car")) == {"a auto", "a motorcar"}
    assert drawn(Replace(NEAR, usual=1), ground("a car")) == {"a auto"}
    assert drawn(Replace(NEAR), ground("a car", "car")) == set()
    assert drawn(Replace(NEAR, share=1.0), ground("a child bought films")) == {"a kid purchased movies"}


def test_one_word_in_ten_is_replaced_but_at_least_one() -> None:
    (edits,) = {len(Replace(NEAR).draw(ground("car " * 39), np.random.default_rng(0)))}
    assert edits == 3
    assert len(Replace(NEAR).draw(ground("car " * 5), np.random.default_rng(0))) == 1


def test_no_negation_number_or_listed_word_comes_in() -> None:
    table = Table({"now": "not know 7 bad"})
    some = Ground(Sentence.of("now"), np.array([True]), np.array([True]), keep={"bad"})
    assert drawn(Replace(table), some) == {"know"}


def test_of_several_transformations_in_one_all_are_drawn() -> None:
    pruthi = registry.transformation("pruthi")
    lengths = {len(text) for text in drawn(Replace(pruthi), ground("wonderful"), 80)}
    assert lengths == {8, 9, 10}


def test_numbers_are_exchanged_only_where_that_is_asked_for() -> None:
    numbers = registry.transformation("number")
    assert drawn(Replace(numbers, numbers=True), ground("car 15", "15")) == {
        f"car {number}" for number in (12, 13, 14, 16, 17, 18)
    }


def test_a_synonym_of_one_word_comes_in_before_another() -> None:
    assert drawn(InsertSynonym(Replace(NEAR)), ground("old films, yes")) == {
        "movies old films, yes",
        "old movies films, yes",
        "old films, movies yes",
    }
    assert drawn(InsertSynonym(Replace(Table({"书": "书本"}))), ground("买书")) == {"书本买书", "买书本书"}
    assert drawn(InsertSynonym(Replace(NEAR)), ground("nothing known")) == set()


def test_nothing_comes_in_within_what_is_written_in_one_piece() -> None:
    assert drawn(InsertMarks(), ground("a 1.8-inch,it b"), 60) >= {f"a 1.8-inch,it {mark} b" for mark in ".;?:!,"}
    assert not any("-." in text or "- " in text for text in drawn(InsertMarks(), ground("a 1.8-inch b"), 60))
    assert drawn(InsertMarks(), ground("#39;s")) == set()


def test_pairs_of_words_change_places_and_marks_stay() -> None:
    assert drawn(SwapWords(), ground("one, two three!", "three")) == {"two, one three!"}
    assert drawn(SwapWords(), ground("one one")) == set()
    assert drawn(SwapWords(), ground("one")) == set()
    text = " ".join(f"w{number}" for number in range(30))
    (swapped,) = drawn(SwapWords(), ground(text), 1)
    assert sorted(swapped.split()) == sorted(text.split())
    assert sum(one != other for one, other in zip(swapped.split(), text.split(), strict=True)) == 6


def test_words_are_left_out_but_never_all() -> None:
    assert drawn(DeleteWords(), ground("one two", "two")) == {"two"}
    assert drawn(DeleteWords(share=1.0), ground("one two")) == {"one", "two"}
    assert drawn(DeleteWords(share=1.0), ground("one two three, four", "four")) == {", four"}
    assert drawn(DeleteWords(), ground("one")) == drawn(DeleteWords(), ground("a b", "a", "b")) == set()
    assert drawn(DeleteWords(share=1.0), ground("买书", "书")) == {"书"}


def test_marks_come_in_before_words_from_one_to_a_third_of_them() -> None:
    made = [InsertMarks().draw(ground("a b c d e f g h i"), np.random.default_rng(seed)) for seed in range(60)]
    assert {len(edits) for edits in made} == {1, 2, 3}
    assert all(start == end and new[0] in ".;?:!," and new[1:] == " " for edits in made for start, end, new in edits)
    assert {text.replace("书", "") for text in drawn(InsertMarks(), ground("书"))} == set("。；？：！，")
    assert drawn(InsertMarks(), ground("?!")) == set()


def test_one_of_a_rewrite_s_variants_is_drawn() -> None:
    assert drawn(Rewritten(Contract()), ground("it is not bad")) == {"it's not bad", "it isn't bad"}
    assert drawn(Rewritten(Contract()), ground("a film")) == set()


def test_every_row_has_as_many_distinct_texts_as_are_wanted_or_can_be_made() -> None:
    made = list(augmenter("eda").rows([EN, "?!", "", "car"], 4, seed=1))
    assert [row for row, _, _ in made].count(0) == 4
    assert len({text for _, text, _ in made}) == len(made)
    assert {text for row, text, _ in made if row == 3} <= {"auto", "motorcar", "auto car", "motorcar car"}
    assert {row for row, _, _ in made} == {0, 3}
    for row, text, edits in made:
        assert applied([EN, "?!", "", "car"][row], edits) == text


def test_negations_numbers_names_and_words_of_praise_stay_where_they_are_said() -> None:
    for _, text, _ in augmenter("eda").rows([EN], 200, seed=3):
        words = Sentence.of(text).words()
        assert [word for word in words if word in ("not", "love", "3", "Mary")] == ["not", "love", "3", "Mary"]
    for _, text, _ in augmenter("eda").rows([ZH], 100, seed=3):
        assert all(word in text for word in ("北京", "3", "好", "喜欢"))


def test_other_words_stay_if_they_are_named() -> None:
    made = [text for _, text, _ in augmenter("eda", keep={"car", "kid"}).rows(["a car and a child"], 60, seed=3)]
    assert made
    assert all(text.count("car") == 1 and "kid" not in text for text in made)


def test_chinese_rows_get_chinese_words_and_english_rows_english_ones() -> None:
    made = list(augmenter("eda").rows([EN, ZH], 30, seed=5))
    assert any("书籍" in text or "书本" in text for row, text, _ in made if row == 1)
    assert any("kid" in text or "movies" in text for row, text, _ in made if row == 0)
    assert not any(" " in text for row, text, _ in made if row == 1)
    typed = list(augmenter("typos").rows(["买书"], 5, seed=5))
    assert {text for _, text, _ in typed} == {"买叔", "买韦"}


def test_other_languages_have_no_operations_but_marks() -> None:
    assert list(augmenter("eda").rows(["Привет большой мир"], 2, seed=1)) == []
    assert len(list(augmenter("aeda").rows(["Привет большой мир"], 2, seed=1))) == 2


def test_a_row_s_texts_follow_from_its_content_the_seed_and_the_name_alone() -> None:
    eda = augmenter("eda")
    alone = [(text, edits) for _, text, edits in eda.rows([EN], 3, seed=7)]
    among = [(text, edits) for row, text, edits in eda.rows(["a car", ZH] * 40 + [EN], 3, seed=7) if row == 80]
    assert alone == among
    assert alone != [(text, edits) for _, text, edits in eda.rows([EN], 3, seed=8)]
    assert [text for text, _ in alone] != [text for _, text, _ in augmenter("aeda").rows([EN], 3, seed=7)]
    assert list(eda.rows([EN], 3, seed=-1))


def test_fewer_texts_are_the_first_of_more() -> None:
    eda = augmenter("eda")
    assert list(eda.rows([EN], 2, seed=7)) == list(eda.rows([EN], 5, seed=7))[:2]


@given(
    st.text(st.one_of(st.sampled_from("car films Mary not 3,我在北京买书'é👍🏽\u0301"), st.characters()), max_size=30)
)
@settings(max_examples=60, deadline=None)
def test_any_text_can_be_augmented_and_the_edits_make_the_text(text: str) -> None:
    safe = Augmenter("x", lambda grounds: [OPERATIONS] * len(grounds), grammar=grammar)
    for row, new, edits in safe.rows([text], 6, seed=2):
        assert row == 0
        assert new != text
        assert applied(text, edits) == new


OPERATIONS = (Replace(NEAR), InsertSynonym(Replace(NEAR)), SwapWords(), DeleteWords(), InsertMarks())

WORDS = ["The", "films", "of", "New", "York", "bought", ",", "not", "car"]
TAGS = ["O", "O", "O", "B-LOC", "I-LOC", "O", "O", "O", "B-MISC"]


def test_words_with_tags_are_exchanged_one_for_one_outside_of_entities() -> None:
    made = list(augmenter("eda").tagged([(WORDS, TAGS)], 20, seed=1))
    assert {tuple(words) for _, words, _ in made} == {
        ("The", "movies", *WORDS[2:]),
        (*WORDS[:5], "purchased", *WORDS[6:]),  # to bribe is a rarer sense
    }
    assert all([place for place, word in enumerate(words) if word != WORDS[place]] == new for _, words, new in made)


def test_words_of_entities_change_if_that_is_asked_for() -> None:
    made = list(augmenter("eda").tagged([(WORDS, TAGS)], 40, seed=1, entities=True))
    assert {words[8] for _, words, _ in made} == {"car", "auto", "motorcar"}


def test_rows_of_characters_keep_their_characters_in_number() -> None:
    row = list("他在北京买书，天气好")
    tags = ["O", "O", "B-LOC", "I-LOC", *["O"] * 6]
    made = list(augmenter("eda").tagged([(row, tags)], 20, seed=1))
    assert {"".join(words) for _, words, _ in made} == {"他在北京买书，气候好"}  # 书本 would be one character more
    assert [places for _, _, places in made] == [[7, 8]]


def test_a_chinese_word_with_one_tagged_character_stays() -> None:
    row = list("买书，天气好")
    assert list(augmenter("eda").tagged([(row, ["O"] * 3 + ["B-X", "O", "O"])], 20, seed=1)) == []


def test_rows_of_chinese_words_may_change_their_words_lengths() -> None:
    made = list(augmenter("eda").tagged([(["我们", "买", "书", "。"], ["O"] * 4)], 20, seed=1))
    assert {tuple(words) for _, words, _ in made} == {("我们", "买", "书本", "。"), ("我们", "买", "书籍", "。")}


def test_what_changes_the_number_of_words_is_refused_for_words_with_tags() -> None:
    with pytest.raises(UsageError, match="one tag a word"):
        list(augmenter("aeda").tagged([(WORDS, TAGS)], 1, seed=1))


def test_odd_words_of_a_row_stay_as_they_are() -> None:
    words = ["", " ", "car", "films films", "👍🏽", "e\u0301"]
    for _, new, places in augmenter("eda").tagged([(words, ["O"] * 6)], 20, seed=1):
        assert [word for place, word in enumerate(new) if place not in places] == [
            word for place, word in enumerate(words) if place not in places
        ]
    assert list(augmenter("eda").tagged([([], [])], 2, seed=1)) == []


class Model:
    """Answers with the same tokens everywhere, and counts how often it is asked."""

    name, languages, most = "told", ("en",), 3

    def __init__(self) -> None:
        self.asked: list[int] = []

    def prompts(self, sentence: Sentence, positions: list[int]) -> Prompts:
        return Prompts([np.array(positions, dtype=np.int32)], [np.array(positions)]) if positions else Prompts([], [])

    def candidates(self, sentence: Sentence, positions: list[int], best: list[Best]) -> list[list[str]]:
        assert [one.ids.ravel().tolist() for one in best] == ([list(positions)] if positions else [])
        return [[f"{sentence.word(position)}x", "never"] for position in positions]

    def answer(self, prompts: Prompts, most: int) -> list[Best]:
        self.asked.append(len(prompts))
        assert most == 3
        return [Best(places[:, None], np.zeros((len(places), 1))) for places in prompts.places]


def test_a_model_is_asked_once_for_many_texts_and_only_about_what_may_change() -> None:
    model = Model()
    made = list(augmenters.contextual(model, model.answer).rows(["the car", "not 3", "Mary bought films"], 9, seed=1))
    assert model.asked == [2]
    assert {(row, text) for row, text, _ in made} == {
        (0, "the carx"),
        (2, "Maryx bought films"),  # a capital at a sentence's beginning tells no name
        (2, "Mary boughtx films"),
        (2, "Mary bought filmsx"),
    }


def test_names_are_those_of_papers_and_of_the_registry() -> None:
    assert {"eda", "aeda", "typos", "synonym", "person-name", "bert-attack"} <= set(augmenters.names())
    assert len(set(augmenters.names())) == len(augmenters.names())
    with pytest.raises(UsageError) as told:
        augmenter("edaa")
    assert told.value.nearest in ("eda", "aeda")
    with pytest.raises(UsageError, match="--words"):
        augmenter("bert-attack")


def test_the_lists_that_are_needed_are_known_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert lists_of("eda", ["en"]) == ("wordnet", "inflections", "stop-words")
    assert lists_of("eda", ["zh", "en", "ru"]) == ("cilin", "wordnet", "inflections", "stop-words")
    assert lists_of("aeda", ["en", "zh"]) == lists_of("person-name", ["en"]) == ()
    assert lists_of("typos", ["zh"]) == ("pinyin", "characters", "look-alikes", "stop-words")


def test_a_missing_list_is_told_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path))
    stop_words.load.cache_clear()
    with pytest.raises(SixfoldError, match="sixfold words pull stop-words"):
        list(augmenter("eda").rows(["a car"], 1, seed=1))
    assert list(augmenter("aeda").rows(["a car"], 1, seed=1))
