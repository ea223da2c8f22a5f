"""Whether the labels beside two words differ more than chance would have it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from sixfold.data.examples import Examples, Ragged
from sixfold.stages.word_labels import CHANCE, WordLabels

SIZE = 6


def labelled(rows: list[tuple[list[int], int]]) -> WordLabels:
    examples = Examples(
        {"input_ids": Ragged.of([ids for ids, _ in rows]), "label": np.array([label for _, label in rows])}
    )
    found = WordLabels.of(examples, SIZE)
    assert found is not None
    return found


def differ(found: WordLabels, word: int, other: int) -> bool:
    return bool(found.differ(np.array([word]), np.array([other]))[0])


def test_a_row_counts_once_for_each_of_its_words() -> None:
    found = labelled([([1, 2, 1], 0), ([2], 1), ([3], 1)])
    assert found.rows.tolist() == [0, 1, 2, 1, 0, 0]
    assert found.labels.tolist() == [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0], [0, 0]]


def test_words_of_unlike_labels_differ_and_rare_ones_do_not() -> None:
    rows = [([1], 0)] * 20 + [([2], 1)] * 20 + [([3], 1)] * 2 + [([4], index % 2) for index in range(20)]
    found = labelled(rows)
    assert differ(found, 1, 2)
    assert differ(found, 2, 1)
    assert differ(found, 1, 4)
    assert not differ(found, 4, 3), "two rows tell little"
    assert not differ(found, 1, 5), "no row tells nothing"
    assert not differ(found, 4, 4)


def test_pairs_are_judged_by_themselves() -> None:
    found = labelled([([1], 0)] * 20 + [([2], 1)] * 20)
    assert found.differ(np.array([1, 1, 2]), np.array([2, 3, 1])).tolist() == [True, False, True]


def test_of_several_labels_any_may_differ() -> None:
    given_labels = np.array([[1, 0, 1]] * 20 + [[1, 1, 0]] * 20, dtype=np.float32)
    examples = Examples({"input_ids": Ragged.of([[1]] * 20 + [[2]] * 20), "label": given_labels})
    found = WordLabels.of(examples, SIZE)
    assert found is not None
    assert found.labels[[1, 2]].tolist() == [[20, 0, 20], [20, 20, 0]]
    assert differ(found, 1, 2)


def test_rows_without_labels_tell_nothing() -> None:
    assert WordLabels.of(Examples({"input_ids": Ragged.of([[1]])}), SIZE) is None


@given(*[st.integers(0, 30)] * 4)
def test_it_is_fisher_s_test_with_twice_the_smaller_side(a: int, b: int, c: int, d: int) -> None:
    rows = [([1], 0)] * a + [([1], 1)] * b + [([2], 0)] * c + [([2], 1)] * d + [([3], 0), ([3], 1)]
    sides = [fisher_exact([[a, b], [c, d]], alternative=side).pvalue for side in ("less", "greater")]
    if abs(2 * min(sides) - CHANCE / 2) > 1e-9:
        assert differ(labelled(rows), 1, 2) == (2 * min(sides) < CHANCE / 2)
