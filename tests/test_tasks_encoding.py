"""Long texts: refused, cut or split into windows, with every lost token counted; and where words begin."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from tiny import byte_tokenizer, tiny_encoder, wordpiece_vocabulary
from transformers import BertTokenizer

from sixfold.errors import DataError, UsageError
from sixfold.models.scratch import character_tokenizer
from sixfold.tasks.contract import Cut, OnLong
from sixfold.tasks.encoding import Frame, frame, places, windows, word_ids
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.token_classification import TokenClassification


def wordpiece() -> BertTokenizer:
    return BertTokenizer(vocab={piece: index for index, piece in enumerate(wordpiece_vocabulary(chinese=True))})


WORDPIECE = wordpiece()
BYTES = byte_tokenizer()
CLS, SEP, UNK = WORDPIECE.cls_token_id, WORDPIECE.sep_token_id, WORDPIECE.unk_token_id


def ids(*pieces: str) -> list[int]:
    return [int(WORDPIECE.convert_tokens_to_ids(piece)) for piece in pieces]


def bytes_of(text: str) -> list[int]:
    return list(BYTES(text, add_special_tokens=False)["input_ids"])


def runs(encoded: Any, name: str = "input_ids") -> list[list[int]]:
    return [run.tolist() for run in encoded.examples.ragged(name)]


def test_the_frame_is_what_the_tokenizer_puts_around() -> None:
    assert frame(WORDPIECE) == Frame((CLS,), (SEP,))
    assert frame(BYTES) == Frame((), ())
    assert frame(character_tokenizer(["aa bb"])) == Frame((2,), (3,))
    assert Frame((2,), (3, 4)).around([9]) == [2, 9, 3, 4]


@given(st.integers(0, 300), st.integers(1, 40))
def test_windows_cover_every_token_and_never_exceed_the_room(length: int, room: int) -> None:
    made = windows(length, room)
    assert [token for token in range(length) if not any(start <= token < end for start, end in made)] == []
    assert all(0 <= start <= end <= length and end - start <= room for start, end in made)
    if length > room:
        assert all(end - start == room for start, end in made), "no stub"
        assert made[0][0] == 0
        assert made[-1][1] == length
        assert len(set(made)) == len(made)
    for (_, end), (start, _) in pairwise(made):
        assert start <= end
        if room >= 4:
            assert end - start >= room // 4, "neighbours overlap"


TEXT = "the dog and the cat love a new red house"  # ten tokens
LONG = Dataset.from_dict({"text": ["a dog", TEXT, "good"], "label": ["x", "y", "x"]})


def encode(on_long: OnLong, limit: int = 8) -> Any:
    return TextClassification(labels=("x", "y")).encode(LONG, WORDPIECE, limit, on_long)


def test_a_text_over_the_limit_is_an_error_unless_the_recipe_says_what_to_do() -> None:
    with pytest.raises(DataError, match=r"1 of 3 texts \(33.3%\) are longer than the limit of 8 tokens") as caught:
        encode("error")
    assert "the longest has 12" in caught.value.what, "special tokens count on both sides"
    assert caught.value.where == "rows 1"
    assert "on_long: truncate" in str(caught.value.hint)


def test_a_text_of_just_the_limit_is_not_long() -> None:
    made = encode("error", limit=12)
    assert made.cut == Cut(rows=3, limit=12, longest=12)
    assert runs(made)[1] == [CLS, *ids(*TEXT.split()), SEP]


def test_truncate_keeps_the_start_and_counts_what_is_lost() -> None:
    made = encode("truncate")
    assert runs(made) == [
        [CLS, *ids("a", "dog"), SEP],
        [CLS, *ids(*TEXT.split()[:6]), SEP],
        [CLS, *ids("good"), SEP],
    ]
    assert made.cut == Cut(rows=3, long_rows=1, lost_tokens=4, longest=12, limit=8, where=(1,))
    assert made.examples.dense("row").tolist() == [0, 1, 2]
    assert made.examples.dense("label").tolist() == [0, 1, 0]


def test_window_splits_with_an_overlap_and_loses_nothing() -> None:
    made = encode("window")
    words = TEXT.split()
    assert runs(made)[1:3] == [[CLS, *ids(*words[:6]), SEP], [CLS, *ids(*words[4:]), SEP]]
    assert made.cut == Cut(rows=3, long_rows=1, windows=1, longest=12, limit=8, where=(1,))
    assert made.examples.dense("row").tolist() == [0, 1, 1, 2]
    assert made.examples.dense("label").tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("limit", [0, 1, 2])
@pytest.mark.parametrize("on_long", ["error", "truncate", "window"])
def test_a_limit_that_leaves_no_room_for_text_is_refused(limit: int, on_long: OnLong) -> None:
    with pytest.raises(UsageError, match="max_tokens"):
        encode(on_long, limit=limit)


def test_the_smallest_limit_that_works() -> None:
    assert runs(encode("truncate", limit=3)) == [
        [CLS, *ids("a"), SEP],
        [CLS, *ids("the"), SEP],
        [CLS, *ids("good"), SEP],
    ]
    assert len(encode("window", limit=3).examples) == 2 + 10 + 1


def test_words_begin_where_their_first_token_is() -> None:
    rows, firsts = word_ids([["The", "dogs", "run"], ["run"]], WORDPIECE, spaced=True)
    assert rows == [ids("the", "dog", "##s", "run"), ids("run")]
    assert [first.tolist() for first in firsts] == [[0, 1, 3], [0]]


@pytest.mark.parametrize("nothing", ["\u200b\u0000", "\u0007", " "])
def test_a_word_that_yields_no_token_gets_the_unknown_one(nothing: str) -> None:
    rows, firsts = word_ids([["dog", nothing, "cat"]], WORDPIECE, spaced=True)
    assert rows == [[*ids("dog"), UNK, *ids("cat")]]
    assert firsts[0].tolist() == [0, 1, 2]


def test_byte_level_words_stand_apart_by_leading_spaces() -> None:
    rows, firsts = word_ids([["ab", "c"]], BYTES, spaced=True)
    assert rows == [bytes_of(" ab c")]
    assert len(rows[0]) == 5
    assert firsts[0].tolist() == [0, 3]


def test_chinese_characters_stand_together_in_a_byte_level_tokenizer() -> None:
    rows, firsts = word_ids([["北", "京", "a"]], BYTES, spaced=False)
    assert rows == [bytes_of("北京a")]
    assert firsts[0].tolist() == [0, 3, 6], "three bytes a character"


def test_chinese_characters_are_one_token_each_in_wordpiece() -> None:
    rows, firsts = word_ids([["北", "京", "好"]], WORDPIECE, spaced=False)
    assert rows == [ids("北", "京", "好")]
    assert firsts[0].tolist() == [0, 1, 2]
    assert UNK not in rows[0]


def test_no_sentence_gives_no_row() -> None:
    assert word_ids([], WORDPIECE, spaced=True) == ([], [])


TAGGED = Dataset.from_dict(
    {
        "words": [["the", "dogs", "love", "new", "houses", "and", "old", "cats"]],
        "tags": [["O", "B-X", "O", "B-X", "I-X", "O", "B-X", "I-X"]],
    }
)  # eleven tokens: dog ##s, house ##s, cat ##s are two each
TAGGER = TokenClassification(labels=("O", "B-X", "I-X"))


def test_windows_of_words_know_which_words_they_hold() -> None:
    made = TAGGER.encode(TAGGED, WORDPIECE, 8, "window")
    assert runs(made) == [
        [CLS, *ids("the", "dog", "##s", "love", "new", "house"), SEP],
        [CLS, *ids("house", "##s", "and", "old", "cat", "##s"), SEP],
    ]
    assert runs(made, "word") == [[0, 1, 2, 3, 4], [4, 5, 6, 7]]
    assert runs(made, "place") == [[1, 2, 4, 5, 6], [1, 3, 4, 5]]
    assert runs(made, "tag") == [[0, 1, 0, 1, 2], [2, 0, 1, 2]]
    assert made.cut == Cut(rows=1, long_rows=1, windows=1, longest=13, limit=8, where=(0,))


def test_truncated_words_have_no_target() -> None:
    made = TAGGER.encode(TAGGED, WORDPIECE, 8, "truncate")
    assert runs(made, "word") == [[0, 1, 2, 3, 4]]
    assert runs(made, "tag") == [[0, 1, 0, 1, 2]]
    assert made.cut.lost_tokens == 5


def test_a_row_is_told_by_file_and_line_where_they_are_known() -> None:
    plain = Dataset.from_dict({"text": ["a", "b"]})
    assert places(plain)(1) == "row 1"
    lined = Dataset.from_dict({"text": ["a", "b"], "__line__": [4, 7], "__file__": ["x.csv", "y.csv"]})
    assert places(lined)(1) == "y.csv:7"
    assert places(lined.remove_columns("__file__"))(0) == "line:4"


def test_a_saved_tokenizer_encodes_as_the_one_in_memory(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    again = AutoTokenizer.from_pretrained(tiny_encoder(tmp_path, vocab=wordpiece_vocabulary(chinese=True)))
    words = [["The", "dogs", "北", "\u0007"]]
    for first, second in zip(word_ids(words, again, spaced=True), word_ids(words, WORDPIECE, spaced=True), strict=True):
        assert np.array_equal(first[0], second[0])
