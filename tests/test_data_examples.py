"""Ragged columns and examples behave as the lists of lists that they stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sixfold.data.examples import Examples, Ragged, ranks

RUNS = st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=6), max_size=8)


@st.composite
def runs_and_places(draw: st.DrawFn) -> tuple[list[list[int]], list[int]]:
    runs = draw(RUNS.filter(bool))
    return runs, draw(st.lists(st.integers(0, len(runs) - 1), max_size=12))


def lists(column: Ragged) -> list[list[int]]:
    return [run.tolist() for run in column]


@given(RUNS)
def test_a_ragged_column_is_its_list_of_lists(runs: list[list[int]]) -> None:
    made = Ragged.of(runs)
    assert lists(made) == runs
    assert len(made) == len(runs)
    assert made.lengths.tolist() == [len(run) for run in runs]
    assert made.offsets[-1] == len(made.values)


@given(runs_and_places())
def test_take_is_indexing_one_by_one(given_: tuple[list[list[int]], list[int]]) -> None:
    runs, places = given_
    taken = Ragged.of(runs).take(np.array(places, dtype=np.int64))
    assert lists(taken) == [runs[place] for place in places]


@given(RUNS, st.integers(-5, 5))
def test_pad_puts_the_fill_to_the_right(runs: list[list[int]], fill: int) -> None:
    longest = max(map(len, runs), default=0)
    padded = Ragged.of(runs).pad(fill)
    assert padded.shape == (len(runs), longest)
    assert padded.tolist() == [run + [fill] * (longest - len(run)) for run in runs]


def test_the_dtype_is_kept_by_take_and_pad() -> None:
    made = Ragged.of([[0.5], [1.5, 2.5]], dtype=np.float32)
    assert made.take(np.array([1])).values.dtype == np.float32
    assert made.pad(-1).dtype == np.float32
    assert Ragged.of([], dtype=np.float32).values.dtype == np.float32


def three() -> Examples:
    return Examples(
        {
            "input_ids": Ragged.of([[1, 2, 3], [4], [5, 6]]),
            "label": np.array([7, 8, 9]),
            "marks": np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=np.float32),
        }
    )


def test_take_keeps_the_columns_together() -> None:
    taken = three().take([2, 0, 2])
    assert lists(taken.ragged("input_ids")) == [[5, 6], [1, 2, 3], [5, 6]]
    assert taken.dense("label").tolist() == [9, 7, 9]
    assert taken.dense("marks").tolist() == [[1, 1], [0, 1], [1, 1]]
    assert taken.lengths.tolist() == [2, 3, 2]


def test_taking_nothing_gives_no_examples() -> None:
    taken = three().take([])
    assert (len(taken), taken.dense("marks").shape) == (0, (0, 2))


def test_joined_is_one_after_the_other() -> None:
    joined = Examples.joined([three().take([2]), three(), three().take([]), three().take([1, 0])])
    expected = three().take([2, 0, 1, 2, 1, 0])
    for name in ("label", "marks"):
        assert joined.dense(name).tolist() == expected.dense(name).tolist()
        assert joined.dense(name).dtype == expected.dense(name).dtype
    assert lists(joined.ragged("input_ids")) == lists(expected.ragged("input_ids"))
    assert joined.ragged("input_ids").offsets.dtype == np.int64
    assert lists(joined.take([1, 5]).ragged("input_ids")) == [[1, 2, 3], [1, 2, 3]]


def test_parts_without_examples_say_nothing_of_the_columns() -> None:
    empty = Examples({"input_ids": Ragged.of([]), "label": np.array([])})
    assert Examples.joined([empty, three()]).dense("label").dtype == three().dense("label").dtype
    assert len(Examples.joined([empty, empty])) == 0


def test_parts_of_unequal_columns_are_a_broken_invariant() -> None:
    one = Examples({"input_ids": Ragged.of([[1]])})
    with pytest.raises(AssertionError, match="unequal columns"):
        Examples.joined([one, one.with_column("label", np.array([1]))])
    with pytest.raises(AssertionError, match="input_ids has unequal types"):
        Examples.joined([one, Examples({"input_ids": Ragged.of([[1]], dtype=np.int64)})])


def test_with_column_leaves_the_first_as_it_was() -> None:
    before = three()
    assert before.with_column("row", np.arange(3)).dense("row").tolist() == [0, 1, 2]
    assert "row" not in before.columns


def test_columns_of_unequal_length_are_a_broken_invariant() -> None:
    with pytest.raises(AssertionError, match="unequal"):
        Examples({"input_ids": Ragged.of([[1]]), "label": np.array([1, 2])})
    with pytest.raises(AssertionError, match="input_ids"):
        Examples({"label": np.array([1])})


def test_asking_for_the_wrong_kind_of_column_is_a_broken_invariant() -> None:
    with pytest.raises(AssertionError, match="label is not ragged"):
        three().ragged("label")
    with pytest.raises(AssertionError, match="input_ids is ragged"):
        three().dense("input_ids")


def test_what_was_saved_is_loaded_memory_mapped(tmp_path: Path) -> None:
    three().save(tmp_path / "examples")
    loaded = Examples.load(tmp_path / "examples")
    assert isinstance(loaded.ragged("input_ids").values, np.memmap)
    assert isinstance(loaded.dense("marks"), np.memmap)
    assert set(loaded.columns) == {"input_ids", "label", "marks"}
    for name in ("label", "marks"):
        assert loaded.dense(name).tolist() == three().dense(name).tolist()
        assert loaded.dense(name).dtype == three().dense(name).dtype
    taken = loaded.take([1, 2])
    assert lists(taken.ragged("input_ids")) == [[4], [5, 6]]
    assert not isinstance(taken.ragged("input_ids").values, np.memmap), "a batch must not hold the file open"


def test_no_pickle_is_read(tmp_path: Path) -> None:
    three().save(tmp_path)
    np.save(tmp_path / "label.npy", np.array([{"a": 1}] * 3, dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        Examples.load(tmp_path)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2)), max_size=30))
def test_ranks_are_places_within_a_row_and_equal_values_keep_their_order(drawn: list[tuple[int, int]]) -> None:
    rows, values = (np.array([one[part] for one in drawn], dtype=np.int64) for part in (0, 1))
    expected = [
        sum(row == other and (less, at) < (value, place) for at, (other, less) in enumerate(drawn))
        for place, (row, value) in enumerate(drawn)
    ]
    assert ranks(values, rows).tolist() == expected
