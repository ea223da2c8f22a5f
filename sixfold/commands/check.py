"""``sixfold check SOURCE``: every problem at once, and what the rows, or the documents of a corpus, look like.

The checking itself is in ``data/checking.py`` and ``data/corpus.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sixfold import data
from sixfold.data.checking import Checked, Lengths, check_header
from sixfold.data.columns import Column
from sixfold.data.corpus import THRESHOLD, Corpus, Near, prepare_corpus
from sixfold.data.documents import Unit
from sixfold.errors import Problem
from sixfold.safety import find
from sixfold.text.counting import counted

BAR = 30
SHOWN_LABELS = 20
PERSONAL_ROWS = 2_000
"""Rows of a split in which personal data is counted: enough to tell, and done in a second."""
_COLOURS = {"error": "bold red", "warning": "yellow", "note": "dim"}


def run(
    source: Any,
    task_columns: Sequence[Column],
    *,
    columns: Mapping[str, str] | None = None,
    format: str | None = None,  # noqa: A002
    encoding: str | None = None,
    header: Sequence[str] | None = None,
    allow: Collection[str] = (),
    console: Console | None = None,
) -> Checked:
    """Read and check a source for a task, and print all that was found. The caller decides on the exit code.

    Args:
        source: as ``data.read``.
        task_columns: what the task declares.
        columns: role -> column of the file.
        header: names of the columns of a file without a header line.
        allow: as ``data.check``.

    Raises:
        DataError, UsageError: the source cannot be read at all; as ``data.read``.
    """
    console = console or Console()
    talk = any(column.kind == "messages" for column in task_columns)
    rows = data.read(source, format=format, encoding=encoding, columns=header, talk=talk)
    if header:
        check_header(rows, header)
    checked = data.check(rows, task_columns, columns, allow=allow)
    show(checked, console)
    texts = [column.role for column in task_columns if column.kind == "text" and column.role in checked.mapping]
    for line in personal(rows, [checked.mapping[role] for role in texts]):
        _print(console, line, "yellow")
    return checked


def personal(rows: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    """What personal data patterns find in the first texts of each split, in a line for each split that has some."""
    for split, some in rows.items():
        counts: Counter[str] = Counter()
        held = min(len(some), PERSONAL_ROWS)
        for column in columns:
            cells = some[column][:held] if column in some.column_names else []
            counts.update(one.type for cell in cells if isinstance(cell, str) for one in find(cell))
        if counts:
            listed = ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
            rows_told = counted(held, "row")
            yield f"personal data in the first {rows_told} of {split}: {listed} (`sixfold mask` takes it out)"


def run_corpus(
    source: Any,
    *,
    document: Unit = "line",
    near: Near = "remove",
    threshold: float = THRESHOLD,
    columns: Mapping[str, str] | None = None,
    format: str | None = None,  # noqa: A002
    encoding: str | None = None,
    header: Sequence[str] | None = None,
    console: Console | None = None,
) -> Corpus:
    """Read a corpus as pretraining would, and print what it holds and what was left out.

    Args:
        As ``prepare_corpus``.

    Raises:
        DataError: it holds nothing to learn from.
        UsageError: the source cannot be read at all; as ``data.read``.
    """
    console = console or Console()
    corpus = prepare_corpus(
        source,
        document=document,
        near=near,
        threshold=threshold,
        columns=columns,
        format=format,
        encoding=encoding,
        header=header,
    )
    for line in corpus.told:
        _print(console, line)
    console.print(histogram(corpus))
    _listed(corpus.problems, console)
    _print(console, f"no errors, {_warnings(corpus.problems)}", "green")
    return corpus


def histogram(corpus: Corpus) -> Table:
    """Documents by length, a bar for each power of two."""
    made = Table(
        box=None, pad_edge=False, header_style="bold", title="documents by their characters", title_justify="left"
    )
    made.add_column("characters", justify="right")
    for split in corpus.histogram:
        made.add_column(split.replace("_", " "), justify="right")
    made.add_column("share of all", no_wrap=True)
    by_split = {split: {low: count for low, _, count in some} for split, some in corpus.histogram.items()}
    ranges = sorted({(low, high) for some in corpus.histogram.values() for low, high, _ in some})
    counts = [[bars.get(low, 0) for bars in by_split.values()] for low, _ in ranges]
    total, most = sum(map(sum, counts)), max(map(sum, counts))
    for (low, high), some in zip(ranges, counts, strict=True):
        bar = "█" * max(min(sum(some), 1), round(BAR * sum(some) / most))
        made.add_row(f"{low:,} to {high:,}", *(f"{count:,}" for count in some), f"{bar} {sum(some) / total:.1%}")
    return made


def show(checked: Checked, console: Console) -> None:
    """Print what a check found."""
    counts = ", ".join(f"{split} {count:,}" for split, count in checked.rows.items())
    mapped = ", ".join(role if role == name else f"{role} = {name}" for role, name in checked.mapping.items())
    _print(console, f"rows: {counts}")
    _print(console, f"columns: {mapped or 'none found'}")
    for split, shares in checked.languages.items():
        _print(console, f"language of {split}: {', '.join(f'{name} {share:.1%}' for name, share in shares.items())}")
    if checked.scheme is not None:
        _print(console, f"tags: {checked.scheme}")
    if checked.characters:
        console.print(lengths(checked))
    if any(checked.labels.values()):
        console.print(labels(checked))
    _problems(checked, console)


def _print(console: Console, line: str, style: str = "") -> None:
    console.print(Text(line, style=style))


def lengths(checked: Checked) -> Table:
    """Quantiles of the lengths, in characters and in words (each Chinese character counts as one)."""
    made = Table(box=None, pad_edge=False, header_style="bold", title="length of the texts", title_justify="left")
    for title in ("split", "in", "least", "median", "90 %", "99 %", "most"):
        made.add_column(title, justify="left" if title in ("split", "in") else "right")
    for name, by_split in (("characters", checked.characters), ("words", checked.units)):
        for split, one in by_split.items():
            made.add_row(split, name, *(f"{number:,}" for number in _numbers(one)))
    return made


def _numbers(one: Lengths) -> tuple[int, ...]:
    return one.least, one.median, one.p90, one.p99, one.most


def labels(checked: Checked) -> Table:
    """Rows (entities) by class, with a bar each; the most frequent ones of the first split."""
    first, counts = next((split, some) for split, some in checked.labels.items() if some)
    others = [split for split in checked.labels if split != first and checked.labels[split]]
    made = Table(box=None, pad_edge=False, header_style="bold", title=f"classes: {len(counts)}", title_justify="left")
    made.add_column("class", overflow="fold")
    for split in (first, *others):
        made.add_column(split, justify="right")
    made.add_column(f"share of {first}", no_wrap=True)
    total, most = sum(counts.values()), max(counts.values())
    for label, count in list(counts.items())[:SHOWN_LABELS]:
        bar = "█" * max(1, round(BAR * count / most))
        numbers = [f"{count:,}", *(f"{checked.labels[split].get(label, 0):,}" for split in others)]
        made.add_row(Text(label), *numbers, Text(f"{bar} {count / total:.1%}"))
    if len(counts) > SHOWN_LABELS:
        rest = sum(list(counts.values())[SHOWN_LABELS:])
        made.add_row(
            Text(f"… {len(counts) - SHOWN_LABELS} more"), f"{rest:,}", *[""] * len(others), f"{rest / total:.1%}"
        )
    return made


def _listed(problems: Sequence[Problem], console: Console) -> None:
    for problem in problems:
        head, _, rest = str(problem).partition(":")
        line = Text(head, style=_COLOURS[problem.level])
        line.append(f":{rest}", style="")
        console.print(line)


def _warnings(problems: Sequence[Problem]) -> str:
    return counted(sum(problem.level == "warning" for problem in problems), "warning")


def _problems(checked: Checked, console: Console) -> None:
    _listed(checked.problems, console)
    errors, warnings = len(checked.errors), _warnings(checked.problems)
    if not errors:
        _print(console, f"no errors, {warnings}", "green")
        return
    _print(console, f"{counted(errors, 'error')}, {warnings}", "bold red")
    if checked.droppable:
        gone = {
            split: len({row for some in faults.values() for row in some}) for split, faults in checked.unusable.items()
        }
        told = ", ".join(f"{counted(count, 'row')} of {split}" for split, count in gone.items())
        _print(console, f"`on_bad: drop` would leave out {told}")
