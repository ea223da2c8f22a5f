"""Best-fit packing: every document whole and once, and the same blocks as the plain algorithm."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sixfold.data.packing import best_fit


def plain(lengths: list[int], capacity: int) -> list[int]:
    """Best-fit decreasing, one document at a time; the room left in each block, sorted."""
    rooms: list[int] = []
    for length in sorted(lengths, reverse=True):
        fits = [room for room in rooms if room >= length]
        if fits:
            rooms.remove(min(fits))
        rooms.append((min(fits) if fits else capacity) - length)
    return sorted(rooms)


@given(st.lists(st.integers(1, 40), max_size=200), st.integers(40, 70))
def test_it_packs_as_the_plain_algorithm_does(lengths, capacity):
    array = np.array(lengths, dtype=np.int64)
    blocks = best_fit(array, capacity)
    assert sorted(blocks.values.tolist()) == list(range(len(lengths)))
    assert sorted(capacity - int(array[block].sum()) for block in blocks) == plain(lengths, capacity)


def test_known_blocks():
    blocks = best_fit(np.array([3, 7, 5, 2, 10, 3]), 10)
    assert [block.tolist() for block in blocks] == [[4], [1, 0], [2, 5, 3]]


def test_no_documents_no_blocks():
    assert len(best_fit(np.array([], dtype=np.int64), 8)) == 0
