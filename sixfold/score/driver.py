"""The driver: many searches at once, their questions merged into full batches.

A search (an attack on one text, an explanation of one) is a generator: it yields queries, is sent one answer an
example, and returns its result. It knows nothing of batches, so the same lines run one text in a debugger
(``alone``) and hundreds at full speed (``drive``).
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from numpy.typing import NDArray

from sixfold.data.examples import Examples
from sixfold.tasks.contract import Ask


@dataclass(frozen=True)
class Query:
    """What a search wants to know.

    Attributes:
        examples: complete rows of token ids, and what else the question's ``collate`` reads.
        ask: the question; two of one name are the same.
        of: which scorer is asked.
        fresh: neither known answers nor equal examples are used: each example is drawn anew.
    """

    examples: Examples
    ask: Ask
    of: str = "subject"
    fresh: bool = False

    @property
    def kind(self) -> tuple[str, str, bool]:
        """Queries of one kind can be answered in one call."""
        return self.of, self.ask.name, self.fresh


class Asks(Protocol):
    """What answers; a ``Scorer`` is one."""

    def ask(self, examples: Examples, ask: Ask, *, fresh: bool = False) -> list[NDArray]: ...


TOKENS = 2**21
"""Enough to fill hundreds of batches; with the copies that are made of them, some 30 MB."""

T = TypeVar("T")
Search = Generator[Query, list[NDArray], T]
"""Yields a query, is sent one answer an example, returns its result."""


def drive(
    searches: Iterable[Search[T]], scorers: Mapping[str, Asks], *, at_once: int = 256, tokens: int = TOKENS
) -> Iterator[tuple[int, T]]:
    """Step many searches together; gives (number of the search, its result) in the order in which they end.

    What all of them want to know next goes to each scorer in one call a question. A search begins when another has
    ended. When one raises, the others are closed, and so they are when the caller stops asking for results.

    Args:
        searches: begun in their order, as late as can be.
        scorers: by the names that queries have for them.
        at_once: searches that are alive together.
        tokens: when those that wait for answers have asked about so many, they are answered before others are stepped,
            so that memory does not grow with the number of searches.
    """
    assert at_once > 0
    coming = enumerate(searches)
    alive: dict[int, Search[T]] = {}
    answered: deque[tuple[int, list[NDArray]]] = deque()
    try:
        while True:
            pending: dict[int, Query] = {}
            asked = 0
            while asked < tokens:
                number, answer = answered.popleft() if answered else (_begun(coming, alive, at_once), None)
                if number is None:
                    break
                try:
                    query = next(alive[number]) if answer is None else alive[number].send(answer)
                except StopIteration as end:
                    del alive[number]
                    yield number, end.value
                else:
                    pending[number] = query
                    asked += int(query.examples.lengths.sum())
            if not pending:
                return
            # To the front: a search holds its query until it is stepped.
            answered.extendleft(reversed(_answered(pending, scorers).items()))
    finally:
        for search in alive.values():
            search.close()


def _begun(coming: Iterator[tuple[int, Search[T]]], alive: dict[int, Search[T]], at_once: int) -> int | None:
    """The number of the next search, alive from now on; None if there is none or enough are alive."""
    if len(alive) >= at_once:
        return None
    for number, search in coming:
        alive[number] = search
        return number
    return None


def _answered(pending: Mapping[int, Query], scorers: Mapping[str, Asks]) -> dict[int, list[NDArray]]:
    """The answers to all queries, those of one kind in one call."""
    kinds: dict[tuple[str, str, bool], list[int]] = {}
    for number, query in pending.items():
        kinds.setdefault(query.kind, []).append(number)
    found: dict[int, list[NDArray]] = {}
    for numbers in kinds.values():
        queries = [pending[number] for number in numbers]
        examples = Examples.joined([query.examples for query in queries])
        answers = _asked(examples, queries[0], scorers)
        ends = [0, *itertools.accumulate(len(query.examples) for query in queries)]
        for number, (start, end) in zip(numbers, itertools.pairwise(ends), strict=True):
            found[number] = answers[start:end]
    return {number: found[number] for number in pending}


def _asked(examples: Examples, query: Query, scorers: Mapping[str, Asks]) -> list[NDArray]:
    assert query.of in scorers, f"a search asks {query.of!r}; there are {', '.join(scorers)}"
    return scorers[query.of].ask(examples, query.ask, fresh=query.fresh)


def alone(search: Search[T], scorers: Mapping[str, Asks]) -> T:
    """The result of one search, each of its queries asked by itself."""
    try:
        query = next(search)
        while True:
            query = search.send(_asked(query.examples, query, scorers))
    except StopIteration as end:
        return end.value
    finally:
        search.close()
