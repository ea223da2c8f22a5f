"""A model attacked on fixed rows by several attacks. What came of each attack is kept, and not done again.

The attacks themselves are in ``sixfold/attack``; what before and after say together, in ``harden_results.py``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sixfold.attack.attacks import ATTACKS, ENCODER, named
from sixfold.attack.building import Attack
from sixfold.attack.outcome import Outcome, outcomes, write
from sixfold.attack.run import attack
from sixfold.attack.similarity import Encoder
from sixfold.errors import Interrupted, UsageError
from sixfold.models import is_local
from sixfold.score.cache import Cache
from sixfold.score.subject import CACHE_BYTES, Subject, answering
from sixfold.stages.context import write_json
from sixfold.stages.labelled import Judged
from sixfold.tasks.contract import Task
from sixfold.tasks.masking import Voting
from sixfold.tasks.registry import settings_of
from sixfold.text.counting import counted

if TYPE_CHECKING:
    import datasets

KEY = "key.json"
FIRST_ROWS = 4
"""Rows of which an attack's time is told first; then more, until it took long enough."""
_UNUSABLE = ("nothing to attack", "too long")
TOLD_SECONDS = 20.0
"""A long attack tells so often how far it is."""


@dataclass(frozen=True)
class Attacked:
    """What came of one attack.

    Attributes:
        settings: what a report says of it.
        outcomes: in the order of the rows.
        cost: ``seconds``, and the scorer's ledger.
    """

    name: str
    settings: list[list[str]]
    outcomes: list[Outcome]
    cost: dict[str, float]


@dataclass(frozen=True)
class Measured:
    """A model on held-out rows, as they are and under attack."""

    subject: Subject
    clean: Judged
    attacked: list[Attacked]


@dataclass(frozen=True)
class Bench:
    """What models are attacked on, and by what.

    Attributes:
        rows: the rows, all of which are attacked.
        digest: of the rows.
        encoder: measures how like the texts that succeeded are to the originals; None where none reads them.
        stop: whether the user has asked to stop.
    """

    rows: datasets.Dataset
    digest: str
    attacks: tuple[Attack, ...]
    budget: int
    seed: int
    encoder: Encoder | None = None
    tell: Callable[[str], None] = field(default=lambda line: None)
    stop: Callable[[], bool] = field(default=lambda: False)

    def attacked(self, subject: Subject, folder: Path) -> list[Attacked]:
        """Run every attack that is not done yet.

        Args:
            folder: keeps the outcomes, a file an attack. Those of another model, task or rows are thrown away.

        Raises:
            Interrupted: the user asked to stop. The attacks that are done are kept.
            StorageError: the outcomes could not be written.
        """
        key = {
            "model": subject.digest,
            "task": settings_of(subject.task),
            "rows": self.digest,
            "budget": self.budget,
            "seed": self.seed,
            "encoder": None if self.encoder is None else self.encoder.digest,
        }
        written = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()
        if _kept(folder / KEY) != {"key": written}:
            shutil.rmtree(folder, ignore_errors=True)
            write_json(folder / KEY, {"key": written})
        return [self._attacked(subject, how, folder) for how in self.attacks]

    def _attacked(self, subject: Subject, how: Attack, folder: Path) -> Attacked:
        lines, cost = folder / f"{how.name}.jsonl", folder / f"{how.name}.json"
        settings = [list(pair) for pair in how.settings]
        told = _kept(cost)
        if told.get("settings") == settings and lines.is_file():
            return Attacked(how.name, settings, list(outcomes(lines)), told["cost"])
        ledger, begun = asdict(subject.scorer.ledger), time.perf_counter()
        found = sorted(self._found(subject, how), key=lambda one: one.place)
        spent = {name: value - ledger[name] for name, value in asdict(subject.scorer.ledger).items()}
        done = Attacked(how.name, settings, found, {**spent, "seconds": time.perf_counter() - begun})
        write(lines, found)
        write_json(cost, {"settings": settings, "cost": done.cost})
        self.tell(f"  {_line(done)}")
        return done

    def _found(self, subject: Subject, how: Attack) -> Iterator[Outcome]:
        """The outcomes in the order in which the searches end."""
        last = time.perf_counter()
        found = attack(subject, self.rows, how, seed=self.seed, budget=self.budget, encoder=self.encoder)
        for number, one in enumerate(found, 1):
            yield one
            if self.stop():
                raise Interrupted("stopped; the attacks that are done are kept", hint="run the same command to go on")
            if time.perf_counter() - last > TOLD_SECONDS:
                last = time.perf_counter()
                self.tell(f"  {how.name}: {number:,} of {counted(len(self.rows), 'row')}")


def attacks_by_name(
    names: Iterable[str], task: Task, words: str | None = None
) -> tuple[dict[str, Attack], Encoder | None]:
    """The attacks, ready, and what measures how like the texts are that they find.

    Args:
        words: of attacks that ask a masked language model: one.

    Raises:
        UsageError: an attack does not fit the task.
    """
    some = list(names)
    english = any("en" in ATTACKS[name].languages for name in some)
    # Without it the attacks that need it tell so themselves.
    encoder = Encoder.load(ENCODER) if english and is_local(ENCODER) else None
    built = {name: named(name, words=words, encoder=encoder or ENCODER) for name in some}
    several = [name for name, how in built.items() if not how.one_for_one]
    if several and task.name == "token_classification":
        raise UsageError(
            f"{', '.join(several)} makes one word of several: the right tags would be lost",
            where="attacks",
            hint="name attacks that change word by word, such as deepwordbug",
        )
    return built, encoder


def withstood(one: Outcome) -> bool:
    """Whether the answer was right before the attack, and no success was confirmed.

    What an attack could not change counts as withstood.
    """
    return one.was_right and one.kind != "succeeded"


def usable(*sides: Sequence[Sequence[Outcome]]) -> list[list[list[Outcome]]]:
    """The outcomes of each side, attack by attack, of the rows that every attack could begin with."""
    lists = [found for side in sides for found in side]
    assert len({tuple(one.row for one in found) for found in lists}) == 1, "not the same rows"
    kept = [place for place in range(len(lists[0])) if not any(found[place].why in _UNUSABLE for found in lists)]
    return [[[found[place] for place in kept] for found in side] for side in sides]


def with_weights(
    subject: Subject, model: Any, digest: str, cache_bytes: int = CACHE_BYTES, *, voting: Voting | None = None
) -> Subject:
    """The subject with other weights, asked anew about everything.

    Args:
        model: of the same kind; it is put into evaluation mode.
        digest: names the weights.
        voting: how copies of a text vote; None where the model is asked once.
    """
    scorer = answering(model, subject.tokenizer, digest, voting, cache=Cache(cache_bytes))
    return replace(subject, scorer=scorer, digest=digest)


def seconds_of(subject: Subject, rows: datasets.Dataset, how: Attack, budget: int, enough: float) -> float:
    """How long attacking all rows takes, told from so many of the first ones that they take ``enough`` seconds."""
    count = FIRST_ROWS
    while True:
        some = rows.select(range(min(count, len(rows))))
        begun = time.perf_counter()
        for _ in attack(subject, some, how, budget=budget):
            pass
        took = time.perf_counter() - begun
        if count >= len(rows) or took >= enough:
            return took * len(rows) / len(some)
        count *= 4


def _kept(path: Path) -> dict[str, Any]:
    """What stands in a file; nothing where it is not there or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _line(done: Attacked) -> str:
    tried = [one for one in done.outcomes if one.kind not in ("skipped", "no candidates")]
    won = sum(one.kind == "succeeded" for one in tried)
    seconds = done.cost["seconds"]
    return f"{done.name}: {won:,} of {counted(len(tried), 'attack')} succeeded in {seconds:,.0f} s"
