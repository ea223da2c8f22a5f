"""What the surveys of the splits amount to: problems of rows, of labels, and between splits, with how to mend them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from sixfold.data.columns import Column
from sixfold.data.survey import Survey
from sixfold.errors import Level, Problems

ALLOWANCES = ("overlaps", "unseen", "one_class")
RARE = 5
SHOWN = 5

Place = Callable[[str, int], str]
Faults = dict[str, dict[str, list[int]]]
"""Split -> words of the problem -> rows that cannot be used because of it."""

_DROP = "correct the rows, or leave them out with `on_bad: drop`"


def find(
    surveys: Mapping[str, Survey],
    columns: Sequence[Column],
    place: Place,
    problems: Problems,
    faults: Faults,
    allow: Collection[str],
) -> None:
    """Add every problem to ``problems``, and to ``faults`` the rows that must go for it.

    Args:
        surveys: by split, in the order train, validation, test.
        columns: those that were found.
        place: split and index to ``file:line``.
    """
    _rows(surveys, place, problems)
    _characters(surveys, place, problems)
    _copies(surveys, place, problems)
    _overlaps(surveys, place, problems, faults, "overlaps" in allow)
    kinds = {column.kind for column in columns if column.target}
    if "tags" in kinds:
        _tags(surveys, problems)
    if kinds & {"label", "labels", "tags"}:
        _labels(surveys, "tags" in kinds, problems, "one_class" in allow)
    if kinds & {"label", "labels"}:
        _unseen(surveys, place, problems, faults, "unseen" in allow)


def _add(
    problems: Problems,
    level: Level,
    what: str,
    rows: Sequence[tuple[str, int]],
    place: Place,
    remedy: str = "",
) -> None:
    places = [place(split, index) for split, index in rows[:SHOWN]]
    problems.add(level, what, count=len(rows), where=places, remedy=remedy)


def _rows(surveys: Mapping[str, Survey], place: Place, problems: Problems) -> None:
    for what in dict.fromkeys(what for one in surveys.values() for what in one.faults):
        rows = [(split, index) for split, one in surveys.items() for index in one.faults.get(what, ())]
        _add(problems, "error", what, rows, place, _DROP)
    numbers: Counter[str] = sum((one.numbers for one in surveys.values()), Counter())
    for role, count in numbers.items():
        problems.add("warning", f"{role} holds numbers: they are read as strings", count=count)


def _characters(surveys: Mapping[str, Survey], place: Place, problems: Problems) -> None:
    controls = [(split, index) for split, one in surveys.items() for index in one.controls]
    if controls:
        _add(problems, "warning", "control characters stand in the text", controls, place, "remove them at the source")
    replaced = [(split, index) for split, one in surveys.items() for index in one.replaced]
    if replaced:
        what = "the text holds U+FFFD: it was once read in a wrong encoding"
        _add(problems, "warning", what, replaced, place, "export it again from its source")


def _copies(surveys: Mapping[str, Survey], place: Place, problems: Problems) -> None:
    """The same inputs twice in one split, with the same or with other classes."""
    copies: list[tuple[str, int]] = []
    contrary: list[tuple[str, int]] = []
    for split, one in surveys.items():
        for before, index in _repeated(one):
            same = one.classes[before] == one.classes[index]
            (copies if same else contrary).append((split, index))
    if copies:
        _add(problems, "warning", "a text stands there again", copies, place, "leave the copies out: they count twice")
    if contrary:
        what = "a text stands there again with another label"
        _add(problems, "warning", what, contrary, place, "decide for one label: no model can learn both")


def _repeated(one: Survey) -> Iterator[tuple[int, int]]:
    """Every row whose inputs stand further up in its split too, as (first row with them, this row)."""
    import numpy as np

    keys = np.frombuffer(one.keys, np.uint64)
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    opens = np.r_[True, ranked[1:] != ranked[:-1]][: len(ranked)]  # the first of each run of equal keys
    first = order[np.maximum.accumulate(np.where(opens, np.arange(len(ranked)), 0))]
    again = np.flatnonzero(~opens & (ranked != 0))
    yield from sorted(zip(first[again].tolist(), order[again].tolist(), strict=True), key=lambda pair: pair[1])


def _overlaps(surveys: Mapping[str, Survey], place: Place, problems: Problems, faults: Faults, allowed: bool) -> None:
    """Rows to take out of train because validation or test has them, and out of validation because test has them."""
    import numpy as np

    later: list[tuple[str, np.ndarray]] = []
    for split, one in reversed(list(surveys.items())):
        keys = np.frombuffer(one.keys, np.uint64)
        free = keys != 0
        for other, others in later:
            shared = free & np.isin(keys, others)
            free &= ~shared
            rows = np.flatnonzero(shared).tolist()
            if not rows:
                continue
            what = f"rows of {split} are also in {other}"
            places = [(split, index) for index in rows]
            _add(problems, "warning" if allowed else "error", what, places, place, f"{_DROP}: they go out of {split}")
            if not allowed:
                faults[split].setdefault(what, []).extend(rows)
        later.append((split, keys))


def _tags(surveys: Mapping[str, Survey], problems: Problems) -> None:
    unknown: Counter[str] = sum((one.tagging.unknown for one in surveys.values()), Counter())
    if unknown:
        listed = ", ".join(repr(tag) for tag, _ in unknown.most_common(8))
        problems.add(
            "note",
            f"unknown tags: {listed}",
            count=unknown.total(),
            remedy="write O, or B-, I-, E-, S- with a type; L- is E- and U- is S- here, M- is I-",
        )
    for split, one in surveys.items():
        scheme = one.tagging.scheme
        if scheme in ("IOB1", "mixed"):
            what = f"entities of {split} begin with I-: read as IOB1, as conlleval does"
            problems.add("note" if scheme == "IOB1" else "warning", what, count=one.tagging.opened_by_i)
        elif scheme == "BIOES" and one.tagging.broken:
            what = f"tag sequences of {split} break BIOES: an entity is cut short, or begins in its middle"
            problems.add("warning", what, count=one.tagging.broken, remedy="each entity is S, or B, some I, E")


def _labels(surveys: Mapping[str, Survey], tagged: bool, problems: Problems, one_class: bool) -> None:
    """Too few classes to learn from, and classes with too few rows. Looks at train, or at the first split."""
    name, one = next(iter(surveys.items()))
    counts = one.tagging.entities if tagged else one.labels
    if tagged and not counts:
        problems.add("warning" if one_class else "error", f"no entity is tagged in {name}: every tag is O")
    elif not tagged and len(counts) < 2 and one.rows:
        seen = f"only the class {next(iter(counts))!r}" if counts else "no class"
        problems.add(
            "warning" if one_class else "error",
            f"{name} has {seen}: there is nothing to tell apart",
            remedy="give rows of at least two classes",
        )
    rare = {label: count for label, count in counts.items() if count < RARE}
    if rare and name == "train":
        listed = ", ".join(f"{label} ({count})" for label, count in list(rare.items())[:8])
        noun = "types of entity" if tagged else "classes"
        problems.add("warning", f"{noun} with fewer than {RARE} in train: {listed}", count=len(rare), remedy="add rows")


def _unseen(surveys: Mapping[str, Survey], place: Place, problems: Problems, faults: Faults, allowed: bool) -> None:
    """Rows of validation and test with a class that train lacks."""
    train = surveys.get("train")
    if train is None or not train.labels:
        return
    for split, one in surveys.items():
        lacking = [label for label in one.labels if label not in train.labels]
        if split == "train" or not lacking:
            continue
        rows = [
            (split, index) for index, names in enumerate(one.classes) if not train.labels.keys() >= set(names or ())
        ]
        listed = ", ".join(map(repr, lacking[:5]))
        what = f"rows of {split} have a label that train lacks: {listed}"
        _add(problems, "warning" if allowed else "error", what, rows, place, _DROP)
        if not allowed:
            faults[split].setdefault(what, []).extend(index for _, index in rows)
