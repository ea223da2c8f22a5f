"""The driver: many searches at once, their questions merged into full batches.

A search (an attack on one text, an explanation of one) is a generator: it yields queries, is sent one answer an
example, and returns its result. It knows nothing of batches, so the same lines run one text in a debugger
(``alone``) and hundreds at full speed (``drive``).
"""

from __future__ import annotations

import itertools
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


T = TypeVar("T")
Search = Generator[Query, list[NDArray], T]
"""Yields a query, is sent one answer an example, returns its result."""


def drive(searches: Iterable[Search[T]], scorers: Mapping[str, Asks], *, at_once: int = 256) -> Iterator[tuple[int, T]]:
    """Step many searches together; gives (number of the search, its result) in the order in which they end.

    A search begins when another has ended, so that at most ``at_once`` are alive. What all of them want to know next
    goes to each scorer in one call a question. When one raises, the others are closed, and so they are when the
    caller stops asking for results.
    """
    assert at_once > 0
    coming = enumerate(searches)
    alive: dict[int, Search[T]] = {}
    pending: dict[int, Query] = {}
    try:
        while True:
            begun = 0
            for number, search in itertools.islice(coming, at_once - len(alive)):
                begun, alive[number] = begun + 1, search
                yield from _stepped(number, None, alive, pending)
            if not begun and not alive:
                return
            answers = _answered(pending, scorers)
            pending = {}
            for number, answer in answers.items():
                yield from _stepped(number, answer, alive, pending)
    finally:
        for search in alive.values():
            search.close()


def _stepped(
    number: int, answer: list[NDArray] | None, alive: dict[int, Search[T]], pending: dict[int, Query]
) -> Iterator[tuple[int, T]]:
    """Run a search to its next query, which goes to ``pending``, or to its end, which is given."""
    try:
        pending[number] = next(alive[number]) if answer is None else alive[number].send(answer)
    except StopIteration as end:
        del alive[number]
        yield number, end.value


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
