"""``sixfold compare A B``: two runs (or stages) side by side, with paired tests on the rows that both answered.

The tests themselves are in ``metrics/compare.py``, reading predictions in ``predictions.py``.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType

from sixfold.commands.predictions import Row, matched, path_of, read, splits_of
from sixfold.commands.runs import stages_in
from sixfold.commands.show import measured, rendered
from sixfold.errors import DataError, UsageError, nearest, unknown
from sixfold.metrics import compare as paired
from sixfold.metrics.compare import Comparison
from sixfold.report import show
from sixfold.report.blocks import Block, Cell, Column, Format, Notice, Page, Section, Table, Text
from sixfold.report.blocks import table as block_table
from sixfold.report.page import fragment
from sixfold.text.counting import counted

LEVEL = 0.05


@dataclass(frozen=True)
class Stage:
    """A finished stage: its folder, what it left in results.json, and what stage.json says went in."""

    folder: Path
    results: dict[str, Any]
    inputs: dict[str, Any]

    @property
    def name(self) -> str:
        """Without its number, which changes when a stage is put before it."""
        return re.sub(r"^\d+-", "", self.folder.name)


@dataclass(frozen=True)
class Pair:
    """One stage of each run.

    Attributes:
        rows: how many rows both answered; the tests are on these.
        only_first, only_second: rows that only one of them has.
        relabelled: rows that both have, but with another right answer; they are in no test.
        unanswered: rows on which (the first, the second) abstained; their likeliest label counts, as in the metrics.
        tests: paired tests; ``p_holm`` is corrected for all tests of all pairs.
    """

    first: Stage
    second: Stage
    rows: int
    only_first: int
    only_second: int
    relabelled: int
    unanswered: tuple[int, int]
    tests: tuple[Comparison, ...]


@dataclass(frozen=True)
class Compared:
    """Two runs side by side; shows itself in Jupyter.

    Attributes:
        names: what the two are called.
        split: whose predictions were compared.
        seed: of the bootstrap.
        unpaired: stages of (the first, the second) with predictions of the split that were not compared.
    """

    names: tuple[str, str]
    split: str
    seed: int
    pairs: tuple[Pair, ...]
    unpaired: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def _repr_html_(self) -> str:
        return fragment(page(self))


def compare(first: str | Path, second: str | Path, *, split: str = "test", seed: int = 0) -> Compared:
    """Compare two runs, or two stages, on the rows that both answered.

    Of two runs that both have several stages with predictions, those of the same name are compared; otherwise the
    last one of each. Rows are matched by their key (a hash of the inputs) and right answer, repeated ones in order.

    Args:
        first, second: a run's folder, or a stage's.
        split: whose predictions.
        seed: of the bootstrap.

    Raises:
        UsageError: no such folder, no finished stage in it, no such split, stages of different tasks, or no row that
            both have.
        DataError: a file of the run is damaged.
    """
    first, second = Path(first), Path(second)
    stages = _stages(first, split), _stages(second, split)
    several = len(stages[0]) > 1 and len(stages[1]) > 1
    chosen = (_same_named(*stages) if several else []) or [(stages[0][-1], stages[1][-1])]
    used = {stage.folder for pair in chosen for stage in pair}
    left = [tuple(stage.folder.name for stage in side if stage.folder not in used) for side in stages]
    pairs = [_pair(a, b, split, seed) for a, b in chosen]
    tests = iter(paired.corrected([test for pair in pairs for test in pair.tests]))
    pairs = [replace(pair, tests=tuple(next(tests) for _ in pair.tests)) for pair in pairs]
    return Compared(_names(first, second), split, seed, tuple(pairs), (left[0], left[1]))


def _names(first: Path, second: Path) -> tuple[str, str]:
    """The folders' names, with as many of their parents as it takes to tell them apart (a stage's run, at least)."""
    a, b = first.resolve().parts, second.resolve().parts
    least = 2 if (first / "stage.json").is_file() or (second / "stage.json").is_file() else 1
    length = next((n for n in range(least, max(len(a), len(b))) if a[-n:] != b[-n:]), least)
    return Path(*a[-length:]).as_posix(), Path(*b[-length:]).as_posix()


def _stages(folder: Path, split: str) -> list[Stage]:
    """The finished stages in a run's folder (or the one stage) that have predictions of the split."""
    if not folder.is_dir():
        near = nearest(folder.name, [path.name for path in folder.parent.glob("*/")])
        raise UsageError("there is no such run", where=folder, nearest=near and folder.parent / near)
    notes = (
        [folder / "stage.json"]
        if (folder / "stage.json").is_file()
        else [stage / "stage.json" for stage in stages_in(folder, "stage.json")]
    )
    if not notes:
        raise UsageError("this folder holds no run", where=folder, hint="give a run's folder, such as runs/NAME")
    told = {note.parent: _json(note) for note in notes}
    done = [place for place, note in told.items() if note.get("status") == "done"]
    if not done:
        raise UsageError("no stage of this run is finished", where=folder, hint="sixfold run RECIPE goes on with it")
    found = [place for place in done if split in splits_of(place)]
    if not found:
        raise unknown("split", split, {name for place in done for name in splits_of(place)}, where=folder)
    return [Stage(place, _json(place / "results.json"), told[place].get("inputs") or {}) for place in found]


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError("a file of a run cannot be read", where=path, found=error) from error
    if not isinstance(found, dict):
        raise DataError("a file of a run is not a JSON object", where=path)
    return found


def _same_named(first: Sequence[Stage], second: Sequence[Stage]) -> list[tuple[Stage, Stage]]:
    """Stages of the same name; of a name that comes several times, the first with the first and so on."""
    waiting: defaultdict[str, deque[Stage]] = defaultdict(deque)
    for stage in second:
        waiting[stage.name].append(stage)
    return [(stage, waiting[stage.name].popleft()) for stage in first if waiting[stage.name]]


def _pair(first: Stage, second: Stage, split: str, seed: int) -> Pair:
    kind, rows_a = read(path_of(first.folder, split))
    other, rows_b = read(path_of(second.folder, split))
    if kind != other:
        raise UsageError(
            "these stages answer in different ways, so they cannot be compared",
            where=f"{first.folder} and {second.folder}",
            found=f"{kind} and {other}",
            hint="name one stage of each run: sixfold compare runs/A/01-NAME runs/B/01-NAME",
        )
    both, relabelled = matched(rows_a, rows_b)
    if not both:
        raise UsageError(
            f"the two have no row of {split} in common",
            where=f"{first.folder} and {second.folder}",
            found=f"{len(rows_a):,} and {counted(len(rows_b), 'row')}; shared but for the right answer: {relabelled:,}",
            hint="sixfold evaluate both checkpoints on one file, or run both recipes on the same data",
        )
    shared = len(both) + relabelled
    return Pair(
        first,
        second,
        rows=len(both),
        only_first=len(rows_a) - shared,
        only_second=len(rows_b) - shared,
        relabelled=relabelled,
        unanswered=(sum(a.abstained for a, _ in both), sum(b.abstained for _, b in both)),
        tests=_tests(kind, both, seed),
    )


def _tests(kind: str, both: Sequence[tuple[Row, Row]], seed: int) -> tuple[Comparison, ...]:
    gold, first, second = [a.gold for a, _ in both], [a.answer for a, _ in both], [b.answer for _, b in both]
    if kind == "tags":
        return (paired.taggers(gold, first, second, seed=seed),)
    labels = sorted({label for side in (gold, first, second) for answer in side for label in answer})
    index = {label: place for place, label in enumerate(labels)}
    if kind == "label":
        known, a, b = (np.array([index[answer[0]] for answer in side]) for side in (gold, first, second))
        return paired.classifiers(known, a, b, len(labels), seed=seed)
    marks = np.zeros((3, len(both), max(1, len(labels))), dtype=bool)
    for which, side in enumerate((gold, first, second)):
        for row, answer in enumerate(side):
            marks[which, row, [index[label] for label in answer]] = True
    return paired.several_labels(*marks, seed=seed)


def table(compared: Compared) -> RenderableType:
    """The comparison for a terminal."""
    return rendered(_sections(compared))


def page(compared: Compared) -> Page:
    """The comparison as a page: ``report.page.write(page(compared), path)``."""
    first, second = compared.names
    subtitle = f"{second} against {first}, on the rows of {compared.split} that both answered"
    facts = (("Split", compared.split), ("Seed of the bootstrap", compared.seed), ("Tests", _count(compared)))
    return Page(f"{first} and {second}", _sections(compared), subtitle, facts)


def _count(compared: Compared) -> int:
    return sum(len(pair.tests) for pair in compared.pairs)


def _sections(compared: Compared) -> tuple[Section, ...]:
    sections = []
    for place, pair in enumerate(compared.pairs, 1):
        names = dict.fromkeys([pair.first.name, pair.second.name])
        blocks = [*_coverage(pair, compared), _test_table(pair, compared), _metrics(pair, compared)]
        blocks += [_effort(pair, compared.names), _differences(pair, compared.names)]
        sections.append(Section(" and ".join(names), tuple(blocks), f"stage-{place}"))
    sides = zip(compared.names, compared.unpaired, strict=True)
    left = [f"{', '.join(stages)} of {name}" for name, stages in sides if stages]
    if left:
        hint = "To compare a stage, name its folder in place of the run's."
        sections.append(Section("Not compared", (Notice("note", f"{'; '.join(left)}. {hint}"),), "not-compared"))
    return tuple(sections)


def _coverage(pair: Pair, compared: Compared) -> Iterator[Block]:
    """Which rows the tests are on, and which they are not."""
    first, second = compared.names
    yield Text(f"The tests are on the {counted(pair.rows, 'row')} of {compared.split} that both have.")
    lonely = ((pair.only_first, first), (pair.only_second, second))
    left = [f"{counted(count, 'row')} only in {name}" for count, name in lonely if count]
    if pair.relabelled:
        left.append(f"{counted(pair.relabelled, 'row')} in both with another right answer")
    if left:
        yield Notice("warning", f"Left out of the tests: {', '.join(left)}.")
    for count, name in zip(pair.unanswered, compared.names, strict=True):
        if count:
            yield Notice("note", f"{name} abstains on {counted(count, 'row')}: its likeliest label counts there.")


def _test_table(pair: Pair, compared: Compared) -> Table:
    first, second = compared.names
    columns = (
        Column("Metric"),
        Column(first, "percent"),
        Column(second, "percent"),
        Column("Difference, points"),
        Column("p"),
        Column("p (Holm)"),
        Column("Verdict"),
        Column("Test"),
    )
    rows: list[tuple[Cell, ...]] = []
    for test in pair.tests:
        gained = show.gained(test.difference, test.low, test.high)
        better = second if test.difference > 0 else first
        verdict = f"{better} is better" if test.p_holm < LEVEL else "no difference shown"
        rows.append(
            (test.metric, test.a, test.b, gained, show.p_value(test.p), show.p_value(test.p_holm), verdict, test.test)
        )
    count = _count(compared)
    holm = f"; p (Holm) allows for all {count} tests made here" if count > 1 else ""
    return Table(columns, tuple(rows), f"Paired tests on {counted(pair.rows, 'row')}, 95 % intervals{holm}")


def _metrics(pair: Pair, compared: Compared) -> Table:
    """The metrics as each run measured them, on all its rows."""
    results = [stage.results.get("evaluations", {}).get(compared.split, {}) for stage in (pair.first, pair.second)]
    sides = [{metric["name"]: metric for metric in _all_metrics(result)} for result in results]
    rows: list[list[Cell]] = []
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        rows.append([name, *(_with_count(side[name]) if name in side else show.NOTHING for side in sides)])
    columns: list[tuple[str, Format]] = [("Metric", "text"), *((name, "text") for name in compared.names)]
    return block_table(columns, rows, f"As each run measured itself, on all its rows of {compared.split}")


def _with_count(metric: Mapping[str, Any]) -> str:
    return f"{measured(metric)} (n={metric['count']:,})"


def _all_metrics(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    baseline = [result["baseline"]] if result.get("baseline") else []
    return [*result.get("metrics", {}).values(), *baseline]


def _effort(pair: Pair, names: tuple[str, str]) -> Table:
    first, second = _spent(pair.first.results), _spent(pair.second.results)
    columns: list[tuple[str, Format]] = [("What it took", "text"), *((name, "text") for name in names)]
    return block_table(columns, [[name, first[name], second[name]] for name in first])


def _spent(results: Mapping[str, Any]) -> dict[str, str]:
    training = results.get("training", {})
    seconds, tokens, steps = training.get("seconds"), training.get("tokens"), training.get("steps")
    train = results.get("data", {}).get("splits", {}).get("train", {})
    return {
        "base": str(results.get("base") or show.NOTHING),
        "parameters": show.count(results.get("parameters")),
        "training rows": show.count(train.get("rows")),
        "steps": show.count(len(steps) if steps is not None else None),
        "step kept": show.count(training.get("best_step")),
        "training time": show.duration(seconds),
        "tokens trained on": show.count(tokens),
        "tokens a second": show.count(tokens / seconds if tokens is not None and seconds else None),
    }


def _differences(pair: Pair, names: tuple[str, str]) -> Table:
    first, second = _facts(pair.first), _facts(pair.second)
    keys = [key for key in dict.fromkeys([*first, *second]) if first.get(key) != second.get(key)]
    rows = tuple((key, *(show.shortened(side.get(key, show.NOTHING), 60) for side in (first, second))) for key in keys)
    columns = (Column("What differs"), Column(names[0]), Column(names[1]))
    return Table(columns, rows, empty="Nothing differs in config, seed, data, versions and machine.")


def _facts(stage: Stage) -> dict[str, str]:
    """What decides a stage's results, as flat names and written values."""
    lineage = stage.results.get("lineage", {})
    digests = {name: str(value)[:12] for name, value in stage.inputs.get("data", {}).items()}
    parts = {"": stage.inputs.get("config", {}), "digest of ": digests}
    parts |= {"version of ": lineage.get("versions", {}), "machine: ": lineage.get("machine", {})}
    facts = {"seed": str(stage.inputs.get("seed"))}
    for before, values in parts.items():
        facts |= {f"{before}{key}": str(value) for key, value in show.flat(values)}
    return facts
