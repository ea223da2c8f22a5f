"""Attack many rows at once. One row's search is a generator (``greedy.py``, ``beam.py``); the driver steps them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sixfold.attack.budget import Budget, check_budget
from sixfold.attack.building import Attack
from sixfold.attack.goals import Aim, Goal, decoded, goal_for
from sixfold.attack.outcome import Answer, Outcome, part_of
from sixfold.attack.similarity import Encoder
from sixfold.attack.trial import Found, Order, Trial
from sixfold.data.partition import keys, place
from sixfold.errors import DataError
from sixfold.metrics.tagging import spans
from sixfold.perturb.words import applied
from sixfold.score.driver import Asks, Search, drive
from sixfold.tasks.contract import Rows, Task

if TYPE_CHECKING:
    import datasets

    from sixfold.score.subject import Subject, Text

AT_ONCE = 256
"""Rows that are attacked together."""
CONFIRMED_AT_ONCE = 32
"""Finished rows whose strings are read anew together."""


@dataclass(frozen=True)
class Row:
    """A row to attack. ``key`` is the hash of its inputs, as in a stage's predictions."""

    number: int
    key: bytes
    where: str
    given: str | list[str]
    gold: Any


@dataclass(frozen=True)
class Tried:
    """What became of a row before it is confirmed.

    Attributes:
        probabilities: of the text as it is.
        order: in which the search tried the text's words.
    """

    row: Row
    text: Text | None
    aim: Aim | None
    found: Found
    why: str = ""
    start: float = 0.0
    queries: int = 0
    probabilities: NDArray | None = None
    order: Order | None = None


def attack(
    subject: Subject,
    rows: Rows,
    how: Attack,
    *,
    goal: Goal | None = None,
    examples: int | None = None,
    seed: int = 0,
    budget: int | None = None,
    entity_words: bool = False,
    encoder: Encoder | None = None,
    rough: Subject | None = None,
    at_once: int = AT_ONCE,
) -> Iterator[Outcome]:
    """Attack rows; gives an outcome a row, in the order in which the searches end.

    Args:
        rows: labelled rows, columns named by the task's roles.
        how: the attack (``attacks.named``).
        goal: what is wanted; ``goals.goal_for`` of the task unless given.
        examples: rows to attack, drawn by a hash of their content and the seed; all unless given.
        seed: of the rows drawn, and of what an attack draws.
        budget: queries that each row may cost; no bound unless given.
        entity_words: whether words of entities may be changed too. What is right may then no longer be.
        encoder: measures how like the finished texts are to the originals.
        rough: the same checkpoint at a lower precision (``score.rough``), which is attacked first. Its successes are
            confirmed by ``subject``; rows on which it has none are attacked again with ``subject``, so that no model
            seems steadier than it is. A greedy search then takes the words in the order that the first one found,
            which is a guess at what matters in any case. The queries told are those of the search whose outcome it
            is, those for the order included.
        at_once: rows that are attacked together; changes the speed and nothing else.

    Raises:
        UsageError: a budget of less than one query.
        ModelError: the model's task cannot be attacked.
    """
    check_budget(budget)
    wanted = goal or goal_for(subject.task)
    chosen = sampled(rows, subject.task, examples, seed)
    orders: dict[int, Order] = {}

    def searched(asked: Subject, some: Sequence[Row]) -> Iterator[Outcome]:
        searches = (
            _attacked(
                asked,
                row,
                how,
                wanted,
                Budget(budget),
                seed=seed,
                entity_words=entity_words,
                order=orders.pop(row.number, None),
            )
            for row in some
        )
        scorers: Mapping[str, Asks] = {"subject": asked.scorer, **how.scorers}
        tried = (result for _, result in drive(searches, scorers, at_once=at_once))
        while ended := list(islice(tried, CONFIRMED_AT_ONCE)):
            if asked is not subject:
                orders.update({one.row.number: one.order for one in ended if one.order is not None})
            yield from _measured(_confirmed(subject, how, ended, anew=asked is not subject), encoder)

    done = set()
    for one in () if rough is None else searched(rough, chosen):
        if one.kind == "succeeded":
            done.add(one.place)
            yield one
    yield from searched(subject, [row for row in chosen if row.number not in done])


def sampled(rows: Rows, task: Task, examples: int | None, seed: int) -> list[Row]:
    """The rows to attack, in their order: those with the lowest hashes of content and seed.

    The same for every attack and model, and as good as the same when the file grows.
    """
    table = _table(rows)
    inputs = next(column.role for column in task.columns if not column.target)
    target = next(column.role for column in task.columns if column.target)
    hashes = list(keys(table, [inputs]))

    def drawn(number: int) -> bytes:
        salt = seed.to_bytes(16, signed=True)
        return hashlib.blake2b(hashes[number], digest_size=16, salt=salt, person=b"attack").digest()

    order = sorted(range(len(table)), key=lambda number: (drawn(number), number))
    kept = sorted(order if examples is None else order[:examples])
    cells = table.select_columns([inputs, target])
    return [Row(number, hashes[number], place(table, number), cells[number][inputs], cells[number][target])
            for number in kept]  # fmt: skip


def _table(rows: Rows) -> datasets.Dataset:
    import datasets

    if isinstance(rows, datasets.Dataset):
        return rows
    return datasets.Dataset.from_dict({name: list(rows[name]) for name in rows.column_names})


def _attacked(
    subject: Subject,
    row: Row,
    how: Attack,
    goal: Goal,
    budget: Budget,
    *,
    seed: int,
    entity_words: bool,
    order: Order | None,
) -> Search[Tried]:
    """One row: ask about the text as it is, and search if the answer is right."""
    nothing = Found("skipped", (), 0.0)
    aim = goal.aim(row.gold)
    if aim is None:
        return Tried(row, None, None, nothing, "nothing to attack")
    try:
        text = subject.text(row.given) if isinstance(row.given, str) else subject.words(row.given)
        query = subject.query(text, [()])
    except DataError:  # longer than a model that refuses long texts takes: told as skipped, not as robust
        return Tried(row, None, aim, nothing, "too long")
    budget.take(1)
    answers = yield query
    probabilities = subject.probabilities(subject.logits(text, query, answers))
    start = float(aim.judge(probabilities).scores[0])
    tried = Tried(row, text, aim, nothing, "already wrong", start, budget.spent, probabilities)
    if not aim.right(probabilities):
        return tried
    rng = np.random.default_rng([seed % 2**64, int.from_bytes(row.key[:8])])
    frozen = frozenset() if entity_words else _entity_words(row.gold, text)
    trial = Trial(subject, text, aim, budget, rng, start, frozen, order=order)
    found = yield from how.search(trial)
    return replace(tried, found=found, why="", queries=budget.spent, order=trial.order)


def _entity_words(gold: Any, text: Text) -> frozenset[int]:
    """The words that carry entities."""
    if not text.is_words:
        return frozenset()
    return frozenset(word for _, start, end in spans(gold) for word in range(start, end))


def _confirmed(subject: Subject, how: Attack, some: Sequence[Tried], *, anew: bool) -> Iterator[Outcome]:
    """The outcomes of some rows, each changed string asked for anew as a user would give it.

    Args:
        anew: whether the texts as they are must be asked for too, since the search asked another model.
    """
    changed = [one for one in some if one.found.edits and one.text is not None]
    after = _answers(subject, changed, [one.text.edited(one.found.edits) for one in changed if one.text])
    before = _answers(subject, changed, [one.row.given for one in changed]) if anew else {}
    for one in some:
        number = one.row.number
        if number in before and one.aim is not None and not one.aim.right(before[number]):
            one = replace(one, found=replace(one.found, kind="not confirmed"))
        yield _outcome(subject.task, how.name, one, after.get(number))


def _answers(subject: Subject, rows: Sequence[Tried], given: Sequence[str | list[str]]) -> dict[int, NDArray]:
    """The probabilities [1, ...] for each row's string, by the row's number."""
    if not given:
        return {}
    logits = subject.whole(given)
    return {one.row.number: subject.probabilities(line[None]) for one, line in zip(rows, logits, strict=True)}


def _outcome(task: Task, name: str, one: Tried, after: NDArray | None) -> Outcome:
    """One row's outcome. ``after``: the probabilities of the changed string, [1, ...]; None if nothing was changed."""
    given, row, found = one.row.given, one.row, one.found
    gold: Answer = tuple(map(str, row.gold)) if isinstance(row.gold, list | tuple) else str(row.gold)
    original = given if isinstance(given, str) else (one.text.sentence.text if one.text else " ".join(given))
    before = _answer(task, one.probabilities)
    kind, score = found.kind, one.start
    if after is not None:
        assert one.aim is not None
        judged = one.aim.judge(after)
        score = float(judged.scores[0])
        kind = "not confirmed" if kind == "succeeded" and not judged.reached[0] else kind
    changed = one.text.edited(found.edits) if one.text else given
    return Outcome(
        attack=name,
        row=row.key.hex(),
        place=row.number,
        part=part_of(row.key),
        where=row.where,
        kind=kind,
        original=original,
        adversarial=applied(original, found.edits),
        edits=tuple(sorted(found.edits)),
        gold=gold,
        before=before,
        after=before if after is None else _answer(task, after),
        scores=(one.start, score),
        queries=one.queries,
        words=len(one.text.sentence) if one.text else 0,
        why=one.why,
        enough=found.enough if kind == "succeeded" else None,
        original_words=() if isinstance(given, str) else tuple(given),
        adversarial_words=() if isinstance(changed, str) else tuple(changed),
    )


def _answer(task: Any, probabilities: NDArray | None) -> Answer:
    """The model's answer from probabilities [1, classes] or [1, words, tags]; empty if it was not asked."""
    if probabilities is None:
        return ""
    if probabilities.ndim == 3:
        return tuple(decoded(probabilities, task.labels)[0])
    if task.several:
        cuts = task.thresholds or (0.5,) * len(task.labels)
        return tuple(
            label for label, p, cut in zip(task.labels, probabilities[0].tolist(), cuts, strict=True) if p >= cut
        )
    return str(task.labels[int(probabilities[0].argmax())])


def _measured(outcomes: Iterable[Outcome], encoder: Encoder | None) -> Iterator[Outcome]:
    """The outcomes, with the similarity of those that succeeded."""
    some = list(outcomes)
    if encoder is None:
        yield from some
        return
    won = [one for one in some if one.kind == "succeeded"]
    cosines = dict(zip(map(id, won), encoder.cosines((one.original, one.adversarial) for one in won), strict=True))
    yield from (replace(one, similarity=cosines.get(id(one))) for one in some)
