"""The cache never holds more than its bound, drops what was used longest ago, and never mixes up what was asked."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sixfold.data.examples import Examples, Ragged
from sixfold.score import cache as module
from sixfold.score.cache import ENTRY_BYTES, Cache, row_keys

NAMES = [bytes([number]) for number in range(8)]


def room(*sizes: int) -> int:
    """Bytes for answers of so many numbers (float32)."""
    return sum(ENTRY_BYTES + 4 * size for size in sizes)


def answer(size: int, value: float = 0.0) -> np.ndarray:
    return np.full(size, value, dtype=np.float32)


def test_the_least_recently_used_goes_first() -> None:
    cache = Cache(room(1, 1, 1))
    cache.keep({b"a": answer(1, 1), b"b": answer(1, 2), b"c": answer(1, 3)})
    assert cache.find([b"a"])[b"a"] == 1
    cache.keep({b"d": answer(1, 4)})
    assert list(cache) == [b"c", b"a", b"d"]
    assert set(cache.find([b"a", b"b", b"c"])) == {b"a", b"c"}


def test_an_answer_larger_than_the_bound_is_not_kept_and_drops_nothing() -> None:
    cache = Cache(room(4))
    cache.keep({b"a": answer(1)})
    cache.keep({b"b": answer(5)})
    assert list(cache) == [b"a"]
    cache.keep({b"a": answer(5)})
    assert (len(cache), cache.bytes) == (0, 0), "a newer answer that cannot be kept leaves no older one behind"


@given(
    st.integers(0, room(9, 9, 9)),
    st.lists(st.tuples(st.booleans(), st.sampled_from(NAMES), st.integers(0, 12)), max_size=40),
)
def test_it_is_a_dictionary_of_bounded_memory(bound: int, steps: list[tuple[bool, bytes, int]]) -> None:
    """Against a plain list that holds the same in order of use."""
    cache, model = Cache(bound), []
    for number, (keeps, key, size) in enumerate(steps):
        if keeps:
            cache.keep({key: answer(size, number)})
            model = [entry for entry in model if entry[0] != key]
            if room(size) <= bound:
                model.append((key, size, number))
            while sum(room(size) for _, size, _ in model) > bound:
                model.pop(0)
        else:
            found = cache.find([key])
            (there,) = [entry for entry in model if entry[0] == key] or [None]
            assert (key in found) == (there is not None)
            if there is not None:
                assert found[key].tolist() == [there[2]] * there[1]
                model.remove(there)
                model.append(there)
        assert cache.bytes == sum(room(size) for _, size, _ in model) <= bound
        assert list(cache) == [key for key, _, _ in model]


def test_an_answer_is_a_copy_that_nobody_can_change() -> None:
    cache, batch = Cache(10_000), np.arange(1000, dtype=np.float32).reshape(500, 2)
    cache.keep({b"a": batch[0]})
    batch[0] = 7
    kept = cache.find([b"a"])[b"a"]
    assert kept.tolist() == [0, 1]
    assert kept.base is None, "not a view that holds the whole batch"
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 1


def test_what_python_really_takes_stays_under_the_bound() -> None:
    cache = Cache(2_000_000)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(20_000):
        cache.keep({number.to_bytes(16, "little"): answer(4)})
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(cache) == 2_000_000 // room(4)
    assert 0.5 * cache.max_bytes < taken <= cache.max_bytes


# Keys


def examples(**columns: object) -> Examples:
    return Examples(
        {
            name: Ragged.of(value) if isinstance(value, list) else value  # type: ignore[dict-item]
            for name, value in columns.items()
        }
    )


def test_equal_rows_have_equal_keys_wherever_they_came_from() -> None:
    first = examples(input_ids=[[1, 2], [3], [1, 2]], row=np.array([0, 1, 2]))
    one, other, again = row_keys(first, "scope")
    assert one == again != other
    assert row_keys(examples(input_ids=[[3]], row=np.array([9])), "scope") == [other]


@pytest.mark.parametrize(
    "other",
    [
        examples(input_ids=[[1, 2]], label=np.array([4])),
        examples(input_ids=[[1, 2, 3]], label=np.array([3])),
        examples(input_ids=[[1, 2]], label=np.array([3], dtype=np.int32)),
        examples(input_ids=[[1, 2]], tag=np.array([3])),
        examples(input_ids=[[1, 2]]),
        examples(input_ids=[[1, 2]], label=[[3]]),
    ],
    ids=["value", "token", "type", "name", "absent", "ragged"],
)
def test_a_key_tells_every_column(other: Examples) -> None:
    plain = examples(input_ids=[[1, 2]], label=np.array([3]))
    assert row_keys(plain, "a") == row_keys(plain, "a")
    assert row_keys(other, "a") != row_keys(plain, "a")
    assert row_keys(plain, "b") != row_keys(plain, "a")


def test_where_one_run_ends_and_the_next_begins_is_told() -> None:
    first = examples(input_ids=[[1, 2]], place=[[3]])
    second = examples(input_ids=[[1]], place=[[2, 3]])
    assert row_keys(first, "a") != row_keys(second, "a")
    assert row_keys(examples(input_ids=[[1]], marks=np.zeros((1, 0))), "a")


@given(st.lists(st.tuples(st.lists(st.integers(0, 3), min_size=1, max_size=3), st.integers(0, 2)), max_size=9))
def test_keys_are_equal_exactly_when_the_rows_are(rows: list[tuple[list[int], int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS", 4)
        many = examples(
            input_ids=[ids for ids, _ in rows], label=np.array([label for _, label in rows], dtype=np.int64)
        )
        keys = row_keys(many.with_column("row", np.arange(len(rows))), "a")
    assert len(keys) == len(rows)
    for first, one in zip(rows, keys, strict=True):
        for second, other in zip(rows, keys, strict=True):
            assert (first == second) == (one == other)
