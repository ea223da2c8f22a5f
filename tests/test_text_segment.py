"""Words, sentences and languages of strings."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sixfold import text
from sixfold.text import segment

MIXED = st.text(
    alphabet=st.one_of(st.sampled_from(" \n.。！?；\"”’-'3Aé我爱北京,\u0301\u200d\u093f한か"), st.characters())
)


def parts(string: str, spans: list[text.Span]) -> list[str]:
    return [string[start:end] for start, end in spans]


@given(MIXED)
@example("e\u0301te\u0301")
@example("👩\u200d👩\u200d👧")
@settings(max_examples=300, deadline=None)
@pytest.mark.parametrize("cut", [text.words, text.sentences])
def test_spans_are_in_order_inside_the_string_and_cover_every_visible_character(cut, string: str) -> None:
    spans = cut(string)
    assert all(0 <= span.start < span.end <= len(string) for span in spans)
    assert all(before.end <= after.start for before, after in itertools.pairwise(spans))
    covered = {place for span in spans for place in range(*span)}
    assert {place for place, one in enumerate(string) if not one.isspace()} <= covered


def test_chinese_words_are_segmented_and_latin_ones_kept_whole() -> None:
    string = "我爱北京天安门，用iPhone15打字。"
    assert parts(string, text.words(string)) == ["我", "爱", "北京", "天安门", "，", "用", "iPhone15", "打字", "。"]


def test_contractions_hyphens_and_numbers_are_one_word() -> None:
    string = "Don't buy T-shirts for $3,500.20!"
    assert parts(string, text.words(string)) == ["Don't", "buy", "T-shirts", "for", "$", "3,500.20", "!"]


def test_a_vowel_sign_belongs_to_its_word() -> None:
    assert parts("हिन्दी में", text.words("हिन्दी में")) == ["हिन्दी", "में"]
    assert parts("e\u0301te\u0301 ok", text.words("e\u0301te\u0301 ok")) == ["e\u0301te\u0301", "ok"]


def test_no_word_holds_white_space() -> None:
    string = "a\u3000b\u00a0c\td\n我 们"
    assert parts(string, text.words(string)) == ["a", "b", "c", "d", "我", "们"]


def test_a_full_stop_ends_a_sentence_but_not_an_abbreviation_or_a_number() -> None:
    string = 'Dr. Smith paid 3.5 pounds. "Really?" he asked.\nJ. K. Rowling left!'
    assert parts(string, text.sentences(string)) == [
        "Dr. Smith paid 3.5 pounds.",
        '"Really?"',
        "he asked.",
        "J. K. Rowling left!",
    ]


def test_chinese_sentences_end_without_a_blank_and_keep_their_closing_quotes() -> None:
    string = "“好！”他说；走了。真的？"
    assert parts(string, text.sentences(string)) == ["“好！”", "他说；走了。", "真的？"]


@pytest.mark.parametrize(
    ("string", "language"),
    [
        ("Hello world", "en"),
        ("用iPhone打字很快", "zh"),
        ("这是中文", "zh"),
        ("これは日本語です", "ja"),
        ("한국어 문장", "ko"),
        ("Русский текст", "ru"),
        ("I love 北京 and its many old streets", "en"),
        ("123 !?", "und"),
        ("", "und"),
    ],
)
def test_the_scripts_tell_the_language(string: str, language: str) -> None:
    assert text.language(string) == language


def test_units_count_words_and_single_chinese_characters() -> None:
    assert text.units("don't stop 我爱北京 iPhone15") == 7
    assert text.units("") == 0


def test_texts_are_compared_without_case_width_and_extra_blanks() -> None:
    assert text.normal("  Ｈello\u3000\n WORLD ") == text.normal("hello world") == "hello world"


@pytest.mark.parametrize(
    ("pieces", "written"),
    [
        (["Peter", "lives", "in", "Rome", "."], "Peter lives in Rome ."),
        (["１", "２", "月", "，", "中", "共"], "１２月，中共"),
        (["用", "Python", "写", "code", "review", "。"], "用Python写code review。"),
        (["서울", "에서"], "서울 에서"),
        (["", "a", "", "b"], "a b"),
        ([], ""),
    ],
)
def test_words_are_written_out_with_spaces_where_the_script_has_them(pieces: list[str], written: str) -> None:
    assert segment.written_out(pieces) == written
