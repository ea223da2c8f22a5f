"""The driver: merged queries are answered as separate ones, few searches are alive, and none is left open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sixfold.data.examples import Examples, Ragged
from sixfold.score.driver import Query, Search, alone, drive
from sixfold.tasks.contract import Ask


def _never(*_: Any) -> Any:
    raise AssertionError("the sums below need no model")


SUM, LENGTH = Ask("sum", _never, _never), Ask("length", _never, _never)


class Sums:
    """Answers ``sum`` and ``length`` of each example's tokens; remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[list[int]], bool]] = []

    def ask(self, examples: Examples, ask: Ask, *, fresh: bool = False) -> list[NDArray]:
        rows = [run.tolist() for run in examples.ragged("input_ids")]
        self.calls.append((ask.name, rows, fresh))
        return [np.array(sum(row) if ask.name == "sum" else len(row)) for row in rows]


def query(*rows: list[int], ask: Ask = SUM, **options: Any) -> Query:
    return Query(Examples({"input_ids": Ragged.of(rows)}), ask, **options)


def counting(target: int) -> Search[list[int]]:
    """Asks for the sums of 1..k for k = 1, 2 ... until one reaches the target."""
    found: list[int] = []
    while not found or found[-1] < target:
        (answer,) = yield query(list(range(1, len(found) + 2)))
        found.append(int(answer))
    return found


def test_queries_of_one_kind_go_out_in_one_call_and_answers_come_home() -> None:
    sums = Sums()
    results = list(drive([counting(3), counting(6), counting(1)], {"subject": sums}))
    assert results == [(2, [1]), (0, [1, 3]), (1, [1, 3, 6])], "in the order in which they end"
    assert [rows for _, rows, _ in sums.calls] == [[[1], [1], [1]], [[1, 2], [1, 2]], [[1, 2, 3]]]


def test_each_scorer_question_and_freshness_has_its_own_call() -> None:
    def search(*queries: Query) -> Search[list[list[int]]]:
        found = []
        for one in queries:
            found.append([int(answer) for answer in (yield one)])
        return found

    subject, words = Sums(), Sums()
    asked = [query([1, 2], [7]), query([3], ask=LENGTH), query([4], fresh=True), query([5], of="words"), query([6])]
    results = dict(drive([search(one) for one in asked], {"subject": subject, "words": words}))
    assert results == {0: [[3, 7]], 1: [[1]], 2: [[4]], 3: [[5]], 4: [[6]]}
    assert subject.calls == [
        ("sum", [[1, 2], [7], [6]], False),
        ("length", [[3]], False),
        ("sum", [[4]], True),
    ]
    assert words.calls == [("sum", [[5]], False)]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 5))
def test_together_and_alone_give_the_same(targets: list[int], at_once: int) -> None:
    together = dict(drive([counting(target) for target in targets], {"subject": Sums()}, at_once=at_once))
    assert together == {place: alone(counting(target), {"subject": Sums()}) for place, target in enumerate(targets)}


def test_a_query_of_no_examples_gets_no_answers() -> None:
    def search(*rows: list[int]) -> Search[int]:
        return len((yield query(*rows)))

    assert dict(drive([search(), search([1], [2])], {"subject": Sums()})) == {0: 0, 1: 2}
    assert list(drive([search()], {"subject": Sums()})) == [(0, 0)]


def test_searches_begin_as_others_end() -> None:
    alive: set[int] = set()
    most = 0

    def watched(number: int) -> Search[int]:
        nonlocal most
        alive.add(number)
        most = max(most, len(alive))
        for _ in range(number % 3):
            yield query([number])
        alive.discard(number)
        return number

    begun: list[int] = []

    def lazily() -> Iterator[Search[int]]:
        for number in range(20):
            begun.append(number)
            yield watched(number)

    results = drive(lazily(), {"subject": Sums()}, at_once=4)
    assert not begun, "nothing begins before a result is asked for"
    assert next(results) == (0, 0)
    assert len(begun) == 1, "the first ended without a question"
    assert sorted(number for number, _ in results) == list(range(1, 20))
    assert most == 4


def test_searches_that_all_end_at_once_are_all_given() -> None:
    def search(number: int) -> Search[int]:
        return number
        yield

    assert list(drive(map(search, range(5)), {}, at_once=2)) == [(number, number) for number in range(5)]
    assert list(drive([], {})) == []
    assert alone(search(3), {}) == 3


def test_memory_is_bounded_by_the_tokens_that_wait_for_an_answer() -> None:
    """Searches with large questions are stepped a few at a time; every one of them comes to its turn."""
    waiting, most = 0, 0

    def large(number: int) -> Search[int]:
        nonlocal waiting, most
        for size in (1, 100):
            waiting += size
            most = max(most, waiting)
            yield query([number] * size)
            waiting -= size
        return number

    results = dict(drive(map(large, range(50)), {"subject": Sums()}, at_once=50, tokens=250))
    assert results == {number: number for number in range(50)}
    assert 250 <= most <= 50 + 250 + 100, "fifty small questions, then a few large ones at a time"


class Closed(list[int]):
    """The numbers of the searches that were closed."""

    def search(self, number: int, steps: int) -> Search[int]:
        try:
            for step in range(steps):
                yield query([step])
            if number == 1:
                raise ValueError("the second search is broken")
            return number
        finally:
            self.append(number)


def test_when_a_search_raises_the_others_are_closed() -> None:
    closed = Closed()
    results = drive([closed.search(number, 3 - number) for number in range(3)], {"subject": Sums()})
    assert next(results) == (2, 2)
    with pytest.raises(ValueError, match="second search"):
        next(results)
    assert closed == [2, 1, 0]


def test_when_a_scorer_or_the_source_of_searches_raises_all_are_closed() -> None:
    closed = Closed()
    with pytest.raises(AssertionError, match="a search asks 'subject'; there are words"):
        next(drive([closed.search(0, 1)], {"words": Sums()}))
    assert closed == [0]

    def source() -> Iterator[Search[int]]:
        yield closed.search(5, 1)
        raise KeyError("no more")

    with pytest.raises(KeyError):
        next(drive(source(), {"subject": Sums()}))
    assert closed == [0, 5]


def test_when_the_caller_stops_all_are_closed() -> None:
    closed = Closed()
    results = drive([closed.search(0, 5), closed.search(2, 1)], {"subject": Sums()})
    assert next(results) == (1, 2)
    results.close()
    assert closed == [2, 0]


def test_one_search_alone_is_closed_when_a_scorer_raises() -> None:
    closed = Closed()
    with pytest.raises(AssertionError, match="a search asks"):
        alone(closed.search(0, 1), {})
    assert closed == [0]


def test_queries_merge_with_a_real_scorer() -> None:
    """Across searches, equal examples in flight are computed once, and every search has the model's own numbers."""
    from test_score_scorer import MODELS, Watched

    from sixfold.score.scorer import Scorer

    watched = Watched()
    draw = np.random.default_rng(3)
    texts = [draw.integers(1, 40, length).tolist() for length in (3, 8, 5)]

    def part(rows: list[list[int]]) -> Examples:
        return Examples({"input_ids": Ragged.of(rows), "number": np.arange(len(rows))})

    def search(first: int) -> Search[list[NDArray]]:
        found = yield Query(part([texts[first], texts[1]]), watched.ask)
        more = yield Query(part([texts[2]]), watched.ask)
        return [*found, *more]

    scorer = Scorer(MODELS["packed"])
    together = dict(drive([search(0), search(1), search(2)], {"subject": scorer}))
    assert scorer.ledger.queries == 9
    assert scorer.ledger.model_calls == 5, "the second row is one for all; the first, three; then one for all"
    for number in range(3):
        separate = alone(search(number), {"subject": Scorer(MODELS["packed"])})
        np.testing.assert_allclose(np.stack(together[number]), np.stack(separate), atol=1e-5)
    assert torch.isfinite(torch.from_numpy(np.stack(together[0]))).all()
