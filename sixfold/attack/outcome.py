"""What came of one attack, as a JSON line and back. What many of them say together: ``summary.py``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from sixfold.attack.trial import Edits, Kind
from sixfold.errors import DataError, UsageError
from sixfold.fetch.folders import PRIVATE, write_lines
from sixfold.perturb.words import Edit, applied

FILE = "outcomes.jsonl"
TEST_SHARE = 0.2
"""Of the adversarial examples that are kept for testing, by a hash of the row: the same rows for every attack."""

Answer = str | tuple[str, ...]
"""A label, several labels, or a tag for each word."""


@dataclass(frozen=True)
class Outcome:
    """What came of an attack on one row.

    Attributes:
        attack: its name.
        row: the row's key, as in a stage's predictions (a hash of its inputs).
        place: the row's number in its split, from 0.
        part: ``train`` or ``test`` of the adversarial set.
        where: the row's place, as file:line.
        kind: see ``trial.Kind``.
        why: of ``skipped``: ``already wrong``, ``nothing to attack`` or ``too long``.
        original: the text; of a row of words, the words joined.
        adversarial: the text after ``edits``: that of the success, or the nearest that was found.
        edits: changes of ``original``.
        gold: the right answer.
        before, after: the model's answer to ``original`` and to ``adversarial``, asked for by the whole strings.
        scores: the goal's score before and after.
        queries: how often the model was asked, the text as it is included.
        enough: queries after which the goal was reached.
        words: of the text, that an attack can see.
        similarity: cosine of both texts to a sentence encoder, where one was at hand.
        original_words, adversarial_words: of a row of words.
    """

    attack: str
    row: str
    place: int
    part: str
    where: str
    kind: Kind
    original: str
    adversarial: str
    edits: Edits
    gold: Answer
    before: Answer
    after: Answer
    scores: tuple[float, float]
    queries: int
    words: int
    why: str = ""
    enough: int | None = None
    similarity: float | None = None
    original_words: tuple[str, ...] = ()
    adversarial_words: tuple[str, ...] = ()

    @property
    def was_right(self) -> bool:
        """Whether the row was attacked, since the answer was right before."""
        return self.kind != "skipped"

    def as_row(self) -> dict[str, Any]:
        """The adversarial example as a labelled row, under the roles of its task."""
        if self.adversarial_words:
            return {"words": list(self.adversarial_words), "tags": list(self.gold)}
        if isinstance(self.gold, str):
            return {"text": self.adversarial, "label": self.gold}
        return {"text": self.adversarial, "labels": list(self.gold)}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; what does not apply is left out."""
        found: dict[str, Any] = {
            "attack": self.attack,
            "row": self.row,
            "place": self.place,
            "part": self.part,
            "where": self.where,
            "outcome": self.kind,
            "original": self.original,
            "adversarial": self.adversarial,
            "edits": [list(edit) for edit in self.edits],
            "gold": _listed(self.gold),
            "before": _listed(self.before),
            "after": _listed(self.after),
            "scores": [round(score, 6) for score in self.scores],
            "queries": self.queries,
            "words": self.words,
        }
        optional: dict[str, Any] = {
            "why": self.why,
            "enough": self.enough,
            "similarity": None if self.similarity is None else round(self.similarity, 4),
            "original_words": list(self.original_words),
            "adversarial_words": list(self.adversarial_words),
        }
        return found | {name: value for name, value in optional.items() if value or value == 0}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Outcome:
        """The inverse of ``to_dict``.

        Raises:
            ValueError, KeyError, TypeError: it is no outcome, or its edits do not make its adversarial text.
        """
        data = dict(data)
        kind, edits = data.pop("outcome"), tuple(Edit(int(a), int(b), str(new)) for a, b, new in data.pop("edits"))
        if kind not in get_args(Kind):
            raise ValueError(f"there is no outcome {kind!r}")
        before, after = map(float, data.pop("scores"))
        words: Any = {name: tuple(data.pop(name, ())) for name in ("original_words", "adversarial_words")}
        answers: Any = {name: _tupled(data.pop(name)) for name in ("gold", "before", "after")}
        made = cls(kind=kind, edits=edits, scores=(before, after), **answers, **words, **data)
        if not _makes(made.original, edits, made.adversarial):
            raise ValueError("the edits do not make the adversarial text")
        return made


def _makes(original: str, edits: Edits, adversarial: str) -> bool:
    try:
        return applied(original, edits) == adversarial
    except AssertionError:
        return False


def _listed(answer: Answer) -> str | list[str]:
    return answer if isinstance(answer, str) else list(answer)


def _tupled(answer: Any) -> Answer:
    return tuple(map(str, answer)) if isinstance(answer, list) else str(answer)


def part_of(key: bytes) -> str:
    """``test`` for a fifth of the rows, by their hash alone, so that a row is in one part whatever the attack."""
    return "test" if int.from_bytes(key[:8]) / 2**64 < TEST_SHARE else "train"


def write(path: Path, outcomes: Iterable[Outcome]) -> int:
    """Write outcomes, a JSON line each; gives their number. Only the owner may read them: they hold texts.

    Raises:
        StorageError: they could not be written.
    """
    lines = (json.dumps(one.to_dict(), ensure_ascii=False) for one in outcomes)
    return write_lines(path, lines, mode=PRIVATE, parents=True)


def outcomes(path: str | Path, *, part: str | None = None, kind: Kind | None = None) -> Iterator[Outcome]:
    """The outcomes that ``sixfold attack`` wrote, in their order.

    Args:
        path: its folder, or a file of outcomes.
        part: only those of ``train`` or ``test``.
        kind: only those of one kind, such as ``succeeded``.

    Raises:
        UsageError: there is no such file.
        DataError: a line is damaged, with its number.
    """
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise UsageError("there are no outcomes of an attack here", where=path, hint="sixfold attack writes some")
    return _read(file, part, kind)


def _read(file: Path, part: str | None, kind: Kind | None) -> Iterator[Outcome]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                one = Outcome.from_dict(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(
                    "this line is no outcome of an attack",
                    where=f"{file}:{number}",
                    found=f"{type(error).__name__}: {error}"[:160],
                    hint="run the attack again to write it anew",
                ) from error
            if part in (None, one.part) and kind in (None, one.kind):
                yield one
