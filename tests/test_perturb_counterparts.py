"""The same text about a person of the other sex."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sixfold.perturb.counterparts import KINDS, counterpart, counterpart_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("She said her book is hers.", "He said his book is his."),
        ("I saw her in town; HE left.", "I saw him in town; SHE left."),
        ("His wife told him.", "Her husband told her."),
        ("this film is his", "this film is hers"),
        ("The chairman shelved it.", "The chairman shelved it."),
        ("他是一位先生，其他人不是。", "她是一位女士，其他人不是。"),
        ("她们的女儿弹吉他", "他们的儿子弹吉他"),
        ("nobody here", "nobody here"),
    ],
)
def test_pronouns_and_titles_change_and_nothing_else_does(text: str, expected: str) -> None:
    assert counterpart(text, "pronouns") == expected


def test_a_first_name_becomes_one_of_the_other_sex_always_the_same() -> None:
    assert counterpart("Mary Smith met James; Mary left. mary", "names") == "James Smith met Mary; James left. mary"
    assert counterpart("张伟买了一本书", "names") == "张伟买了一本书"


def test_a_row_of_words_keeps_its_number_of_words() -> None:
    assert counterpart_words(["Her", "wife", "!"], "pronouns") == ["His", "husband", "!"]
    assert counterpart_words(["a b", "she"], "pronouns") == ["a b", "she"], "a word with a blank cannot be told apart"


@given(st.text(), st.sampled_from(KINDS))
def test_any_text_has_a_counterpart_of_as_many_lines(text: str, kind: str) -> None:
    assert counterpart(text, kind).count("\n") == text.count("\n")  # type: ignore[arg-type]
