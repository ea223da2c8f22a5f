"""Steps: every example once an epoch, the same ones for the same seed and epoch, within the budget."""

from __future__ import annotations

from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sixfold.data.batching import Steps, cut_by_budget, padded_tokens, sorted_batches
from sixfold.data.examples import Ragged

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40)


def steps_of(lengths: list[int], rows: int = 4, budget: int = 30, seed: int = 0, packed: bool = False) -> Steps:
    return Steps(np.array(lengths), rows, budget, seed, packed)


def plain(steps: object) -> list[list[list[int]]]:
    return [[part.tolist() for part in micro] for micro in steps]  # type: ignore[attr-defined]


def cost(lengths: list[int], packed: bool) -> int:
    return sum(lengths) if packed else max(lengths) * len(lengths)


@given(LENGTHS, st.integers(1, 9), st.integers(1, 80), st.integers(0, 5), st.integers(0, 5), st.booleans())
def test_every_example_comes_exactly_once_an_epoch(
    lengths: list[int], rows: int, budget: int, seed: int, epoch: int, packed: bool
) -> None:
    made = plain(steps_of(lengths, rows, budget, seed, packed).epoch(epoch))
    assert sorted(index for micro in made for part in micro for index in part) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 9), st.integers(1, 80), st.booleans())
def test_a_step_has_its_rows_and_a_micro_batch_stays_in_the_budget(
    lengths: list[int], rows: int, budget: int, packed: bool
) -> None:
    steps = steps_of(lengths, rows, budget, packed=packed)
    made = plain(steps.epoch(0))
    sizes = [sum(map(len, micro)) for micro in made]
    assert sizes[:-1] == [rows] * (len(made) - 1)
    assert 1 <= sizes[-1] <= rows
    assert len(made) == steps.per_epoch
    for part in (part for micro in made for part in micro):
        inside = [lengths[index] for index in part]
        assert cost(inside, packed) <= budget or len(part) == 1
        assert inside == sorted(inside, reverse=True), "the longest first: memory is asked for once"


@given(LENGTHS, st.integers(1, 9), st.integers(0, 3), st.data())
def test_starting_in_the_middle_gives_the_tail(lengths: list[int], rows: int, epoch: int, data: st.DataObject) -> None:
    steps = steps_of(lengths, rows)
    start = data.draw(st.integers(0, steps.per_epoch))
    assert plain(steps.epoch(epoch, start)) == plain(steps.epoch(epoch))[start:]


def test_the_order_is_fixed_by_seed_and_epoch() -> None:
    lengths = list(range(1, 31))
    first = plain(steps_of(lengths, seed=1).epoch(0))
    assert first == plain(steps_of(lengths, seed=1).epoch(0))
    assert first != plain(steps_of(lengths, seed=1).epoch(1))
    assert first != plain(steps_of(lengths, seed=2).epoch(0))


def test_which_examples_a_step_has_does_not_depend_on_the_budget() -> None:
    """Memory may be bounded differently on another machine; what is learnt from may not change."""
    lengths = [5, 50, 7, 30, 9, 11, 2, 40]
    small, large = (plain(steps_of(lengths, rows=3, budget=budget).epoch(0)) for budget in (10, 10_000))
    assert [sorted(chain(*micro)) for micro in small] == [sorted(chain(*micro)) for micro in large]
    assert all(len(micro) == 1 for micro in large)


def test_an_example_over_the_budget_is_a_batch_of_its_own() -> None:
    assert cut_by_budget(np.array([100, 5, 5]), 10) == [slice(0, 1), slice(1, 3)]
    assert cut_by_budget(np.array([5, 100, 5]), 10, packed=True) == [slice(0, 1), slice(1, 2), slice(2, 3)]


def test_padding_counts_unless_packed() -> None:
    lengths = np.array([6, 2, 2])
    assert cut_by_budget(lengths, 10) == [slice(0, 1), slice(1, 3)]
    assert cut_by_budget(lengths, 10, packed=True) == [slice(0, 3)]
    assert padded_tokens(lengths) == 18


def test_nothing_gives_no_batch() -> None:
    assert sorted_batches(np.array([], dtype=np.int64), 10) == []
    assert padded_tokens(np.array([], dtype=np.int64)) == 0


def test_examples_of_one_length_keep_their_order() -> None:
    assert [part.tolist() for part in sorted_batches(np.array([3, 4, 3, 4]), 8)] == [[1, 3], [0, 2]]


def test_groups_go_into_one_step_and_every_example_is_seen_once_an_epoch() -> None:
    lengths = np.array([3, 5, 2, 7, 1, 4])
    groups = Ragged.of([[0, 1], [3], [2, 4, 5]], dtype=np.int64)
    steps = Steps(lengths, rows=2, budget=100, seed=3, packed=True, groups=groups)
    assert steps.per_epoch == 2
    for epoch in range(4):
        seen = [np.concatenate(micro).tolist() for micro in steps.epoch(epoch)]
        assert sorted(chain.from_iterable(seen)) == list(range(6))
        assert any({0, 1} <= set(step) for step in seen)
        assert any({2, 4, 5} <= set(step) for step in seen)
        assert [np.concatenate(m).tolist() for m in steps.epoch(epoch, 1)] == seen[1:]
