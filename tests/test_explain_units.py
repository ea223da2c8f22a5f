"""Units are spans of the user's own string, whatever the tokenizer makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import byte_tokenizer, tiny_encoder

from sixfold.errors import UsageError
from sixfold.explain.units import units_of

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
ACCENT = "cafe\u0301"


def offsets(tokenizer, text: str):  # type: ignore[no-untyped-def]
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return np.asarray(found, dtype=np.int64).reshape(-1, 2)


@pytest.fixture(scope="module")
def wordpiece(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_encoder(tmp_path_factory.mktemp("a"), chinese=True))


def cut(tokenizer, text: str, by: str) -> list[str]:  # type: ignore[no-untyped-def]
    units = units_of(text, offsets(tokenizer, text), by)
    return [text[start:end] for start, end in units.spans]


@pytest.mark.parametrize("kind", ["wordpiece", "bytes"])
@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("words", ["The", ACCENT, "was", "good", FAMILY, "酒店", "很", "好"]),
        ("sentences", [f"The {ACCENT} was good {FAMILY}!", "酒店很好。"]),
        ("characters", [*"The", *"caf", "e\u0301", *"was", *"good", FAMILY, "!", *"酒店很好。"]),
    ],
)
def test_units_are_whole_in_the_users_string(wordpiece, kind: str, by: str, expected: list[str]) -> None:  # type: ignore[no-untyped-def]
    tokenizer = wordpiece if kind == "wordpiece" else byte_tokenizer()
    assert cut(tokenizer, f"The {ACCENT} was good {FAMILY}! 酒店很好。", by) == expected


def test_tokens_that_share_a_character_are_one_subword() -> None:
    assert cut(byte_tokenizer(), f"a {FAMILY} 好e\u0301", "subwords") == ["a", FAMILY, "好", "e\u0301"]


def test_subwords_are_the_tokens(wordpiece) -> None:  # type: ignore[no-untyped-def]
    assert cut(wordpiece, "plays cafés", "subwords") == ["plays", "c", "a", "f", "é", "s"]


def test_every_token_of_a_word_is_its_own_and_marks_belong_to_none(wordpiece) -> None:  # type: ignore[no-untyped-def]
    text = "good cafe, bad."
    units = units_of(text, offsets(wordpiece, text), "words")
    assert units.owners(8).tolist() == [0, 1, 1, 1, 1, -1, 2, -1]
    assert not units.shared


def test_characters_of_one_token_share_it(wordpiece) -> None:  # type: ignore[no-untyped-def]
    assert units_of("good", offsets(wordpiece, "good"), "characters").shared
    assert not units_of("好书", offsets(wordpiece, "好书"), "characters").shared


def test_words_that_share_a_token_are_one() -> None:
    text = "北京酒店"
    units = units_of(text, np.array([[0, 1], [1, 3], [3, 4]]), "words")
    assert [text[start:end] for start, end in units.spans] == ["北京酒店"]
    assert units.ranges.tolist() == [[0, 3]]


def test_what_leaves_no_token_is_told_apart() -> None:
    units = units_of("a b", np.array([[0, 1]]), "words")
    assert (units.spans, units.unseen) == (((0, 1),), ((2, 3),))


def test_a_text_of_marks_has_its_marks(wordpiece) -> None:  # type: ignore[no-untyped-def]
    assert cut(wordpiece, "?! ...", "words") == ["?", "!", ".", ".", "."]


def test_an_unknown_kind_of_unit_is_told(wordpiece) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError) as error:
        units_of("a", offsets(wordpiece, "a"), "word")
    assert "did you mean: words" in str(error.value)
