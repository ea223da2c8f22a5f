"""What commands print on a terminal: report blocks as text, an evaluation, the base models. Nothing is computed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text as Line

from sixfold.report import cells, show
from sixfold.report.blocks import Block, Cell, Format, Notice, Section, Table, Text, table
from sixfold.text.counting import counted

if TYPE_CHECKING:
    from sixfold.commands.adapters import Row as AdapterRow

CLASSES = 30
"""With more classes than this an evaluation does not list each."""
LEAST_WIDTH = 12
LISTING_WIDTH = 80
_COLOURS = {"error": "bold red", "warning": "yellow", "note": "dim", "good": "green"}


def metrics_table(result: Mapping[str, Any]) -> RenderableType:
    """An evaluation: each metric with its interval and count, the baseline beside it, and the classes if they are few.

    Args:
        result: what ``Model.evaluate`` or a task's ``evaluate`` gives.
    """
    blocks: list[Block] = [Text(head)] if (head := _head(result)) else []
    rows = [_metric_row(metric) for metric in result["metrics"].values()]
    if result.get("baseline"):
        label = result["baseline_label"]
        rows.append(_metric_row(result["baseline"], "" if label == "O" else f" (always answering {label!r})"))
    if result.get("abstention"):
        point = result["abstention"]
        told = f" (silent below {show.percent(point['below'], 0)} % confidence)"
        rows += [_metric_row(point["accuracy"], told), _metric_row(point["coverage"], told)]
    columns: list[tuple[str, Format]] = [("metric", "text"), ("value", "text"), ("95 % interval", "text")]
    blocks.append(table([*columns, ("n", "count"), ("interval by", "text")], rows))
    classes = result.get("per_class", [])
    noun = "entity types" if result.get("kind") == "entities" else "classes"
    if len(classes) > CLASSES:
        blocks.append(Notice("note", f"{len(classes):,} {noun}: --json lists each"))
    elif classes:
        blocks.append(_classes(classes, f"{noun}: {len(classes)}"))
    return rendered(blocks)


def models_table() -> RenderableType:
    """The base models of the catalogue, and where each is."""
    from sixfold.commands.models import table as models

    entries = []
    for row in models():
        where = "here" if row.folder is not None else f"sixfold models pull {row.name}"
        short = (row.name, row.kind, millions(row.parameters), row.languages, where)
        entries.append((short, f"{row.what}; {row.licence}"))
    return listing(("name", "kind", "parameters", "languages", "where"), entries, numbers=("parameters",))


def adapters_table(rows: Sequence[AdapterRow]) -> RenderableType:
    """The adapters beside a checkpoint, and what is wrong with those that cannot be used there."""
    if not rows:
        return Line("no adapters: sixfold adapters add CHECKPOINT FOLDER --name NAME")
    entries = []
    for row in rows:
        told = row.told
        if told is None:
            entries.append(((row.name, "unknown", "", "", "", "not known"), row.wrong))
            continue
        size = "" if told.parameters is None else millions(told.parameters)
        learnt = "" if told.rows is None else f"{told.rows:,}"
        labels = str(len(told.labels) or "")
        below = row.wrong or f"made on {told.base}; {', '.join(told.labels) or told.head.kind.replace('_', ' ')}"
        entries.append(((row.name, told.kind, size, labels, learnt, "no" if row.wrong else "yes"), below))
    heads = ("name", "kind", "parameters", "labels", "rows", "usable")
    return listing(heads, entries, numbers=("parameters", "labels", "rows"))


def listing(
    heads: Sequence[str], entries: Sequence[tuple[Sequence[str], str]], *, numbers: Sequence[str] = ()
) -> RenderableType:
    """Short cells under their heads, and below each line of them a sentence. A terminal of 80 columns has room for it.

    Args:
        heads: names of the cells.
        entries: (cells, sentence) each.
        numbers: heads whose cells stand on the right.
    """
    lines = [heads, *(short for short, _ in entries)]
    widths = [max(Line(cell).cell_len for cell in column) for column in zip(*lines, strict=True)]

    def line(short: Sequence[str], style: str = "") -> Line:
        parts = [Line(cell) for cell in short]
        for part, head, width in zip(parts, heads, widths, strict=True):
            part.align("right" if head in numbers else "left", width)
        made = Line("  ").join(parts)
        made.rstrip()
        made.stylize(style)
        return made

    told: list[RenderableType] = [line(heads, "bold")]
    for short, sentence in entries:
        below = textwrap.fill(sentence, LISTING_WIDTH, initial_indent="  ", subsequent_indent="  ")
        told += [line(short), Line(below, "dim")]
    return Group(*told)


def measured(metric: Mapping[str, Any]) -> str:
    """A ``Metric.to_dict()`` in one cell: ``93.2 % [91.0, 95.0]``."""
    value, low, high = _written(metric)
    return f"{value} [{low}, {high}]" if metric["value"] is not None else value


def millions(count: int) -> str:
    """A number of parameters: ``22.7M``."""
    return f"{count / 1e6:,.1f}M" if count >= 1e6 else f"{count:,}"


def rendered(blocks: Iterable[Block | Section]) -> Group:
    """Sections, texts, notices and tables of a report for a terminal. Nothing in them is taken for markup."""
    parts: list[RenderableType] = []
    for part in (part for block in blocks for part in _parts(block)):
        if parts and isinstance(part, Grid):
            parts.append(Line())
        parts.append(part)
    return Group(*parts)


def _parts(block: Block | Section) -> list[RenderableType]:
    if isinstance(block, Section):
        return [
            Line(block.title, style="bold underline"),
            *(part for one in block.blocks for part in _parts(one)),
            Line(),
        ]
    if isinstance(block, Text):
        return [Line(show.visible(block.text))]
    if isinstance(block, Notice):
        return [Line(show.visible(block.text), style=_COLOURS[block.level])]
    assert isinstance(block, Table), f"{block.kind} has no form on a terminal"
    return [_grid(block)] if block.rows else [Line(block.empty, style="dim")]


def _grid(block: Table) -> Grid:
    title = Line(show.visible(block.caption), style="italic") if block.caption else None
    grid = Grid(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left")
    lines = [[show.visible(f"{cell.text} {cell.range}".rstrip()) for cell in row] for row in cells.rows(block)]
    for place, head in enumerate(cells.heads(block)):
        number = head.class_ == "number"
        longest = max(Line(row[place]).cell_len for row in lines)
        # On a narrow terminal numbers stay whole, words are folded, but not to a letter a line.
        grid.add_column(
            Line(show.visible(head.name)),
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=number,
            min_width=min(longest, LEAST_WIDTH),
        )
    for row in lines:
        grid.add_row(*map(Line, row))
    return grid


def _head(result: Mapping[str, Any]) -> str:
    told = []
    if "split" in result:
        told.append(f"{result['split']}: {counted(result.get('count', 0), 'row')}")
    if result.get("long_rows"):
        told.append(f"{result['long_rows']:,} longer than the model's limit")
    if result.get("unjudged_words"):
        told.append(f"{counted(result['unjudged_words'], 'word')} cut away, counted as O")
    if "seed" in result:
        told.append(f"seed of the intervals {result['seed']}")
    if "digest" in result:
        told.append(f"digest {result['digest'][:12]}")
    return ", ".join(told)


def _metric_row(metric: Mapping[str, Any], note: str = "") -> list[Cell]:
    value, low, high = _written(metric)
    interval = f"[{low}, {high}]" if metric["low"] is not None else show.NOTHING
    return [metric["name"] + note, value, interval, metric["count"], metric["method"]]


def _written(metric: Mapping[str, Any]) -> tuple[str, str, str]:
    """Value, low and high; the value with its unit."""
    percent = metric.get("percent", True)
    value, low, high = (
        show.percent(metric[key]) if percent else show.number(metric[key]) for key in ("value", "low", "high")
    )
    return f"{value} %" if percent and metric["value"] is not None else value, low, high


def _classes(scores: list[dict[str, Any]], caption: str) -> Table:
    names = ("f1", "precision", "recall")
    columns: list[tuple[str, Format]] = [("label", "text"), ("F1", "range"), ("precision", "range")]
    columns += [("recall", "range"), ("rows", "count"), ("predicted", "count")]
    rows: list[list[Cell]] = []
    for score in scores:
        estimates = [(score[name]["value"], score[name]["low"], score[name]["high"]) for name in names]
        rows.append([score["label"], *estimates, score["support"], score["predicted"]])
    return table(columns, rows, caption)
