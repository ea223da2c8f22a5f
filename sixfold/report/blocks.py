"""What a report is made of: plain data, written to JSON and read back. How it looks: ``page.py``."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, TypeAdapter, ValidationError

from sixfold.errors import DataError
from sixfold.metrics.calibration import Bin

Estimate = tuple[float | None, float | None, float | None]
"""A value with the ends of its 95 % interval."""
Cell = str | bool | int | float | Estimate | None
Format = Literal["text", "code", "count", "number", "percent", "interval", "range"]


class Shown:
    """Anything that shows itself in a notebook."""

    # A misspelt key in a stored report is an error, not a silent loss.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def _repr_html_(self) -> str:
        from sixfold.report.page import fragment

        return fragment(self)


@dataclass(frozen=True)
class Text(Shown):
    """Plain paragraphs, parted by empty lines. Nothing in them is markup."""

    text: str
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class Notice(Shown):
    """One thing that must not be overlooked."""

    level: Literal["error", "warning", "note", "good"]
    text: str
    kind: Literal["notice"] = "notice"


@dataclass(frozen=True)
class Facts(Shown):
    """Names and values, such as digests and versions."""

    items: tuple[tuple[str, str | int | float | bool | None], ...]
    caption: str = ""
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True)
class Tile(Shown):
    """A headline number: a proportion where ``percent``; ``count`` is how many it was measured on."""

    label: str
    value: float | str | None
    low: float | None = None
    high: float | None = None
    count: int | None = None
    method: str = ""
    percent: bool = True
    note: str = ""

    @classmethod
    def of(cls, metric: dict[str, Any], note: str = "") -> Tile:
        """The tile of a ``Metric.to_dict()``."""
        data = {key: metric.get(key) for key in ("value", "low", "high", "count")}
        return cls(
            metric["name"],
            **data,
            method=metric.get("method", ""),
            percent=metric.get("percent", True),
            note=note,
        )


@dataclass(frozen=True)
class Tiles(Shown):
    """Headline numbers side by side."""

    tiles: tuple[Tile, ...]
    kind: Literal["tiles"] = "tiles"


@dataclass(frozen=True)
class Column(Shown):
    """A table's column. ``interval`` cells are (value, low, high), drawn and written; ``range``: written only.

    Both are proportions where ``percent``.
    """

    name: str
    format: Format = "text"
    percent: bool = True


@dataclass(frozen=True)
class Table(Shown):
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    empty: str = "nothing to show"
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class Series(Shown):
    """One line of a chart. A point that is not finite is not drawn, and the figure says how many are not.

    ``faint``: in the background, such as single steps behind their running mean.
    """

    name: str
    points: tuple[tuple[float, float | None], ...]
    faint: bool = False


@dataclass(frozen=True)
class Mark(Shown):
    """A vertical line in a chart, such as the best step."""

    x: float
    label: str


@dataclass(frozen=True)
class Curves(Shown):
    title: str
    series: tuple[Series, ...]
    x_label: str = ""
    y_label: str = ""
    marks: tuple[Mark, ...] = ()
    log: bool = False
    percent: bool = False
    caption: str = ""
    kind: Literal["curves"] = "curves"


@dataclass(frozen=True)
class Heatmap(Shown):
    """A matrix of confusion, transfer and the like. ``shade`` row: the colour is the share of the row."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    title: str = ""
    row_label: str = ""
    column_label: str = ""
    caption: str = ""
    format: Literal["count", "number", "percent"] = "count"
    shade: Literal["row", "all"] = "row"
    kind: Literal["heatmap"] = "heatmap"


@dataclass(frozen=True)
class Diagram(Shown):
    """One reliability diagram."""

    title: str
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Reliability(Shown):
    """Reliability diagrams side by side, such as before and after temperature scaling."""

    diagrams: tuple[Diagram, ...]
    caption: str = ""
    kind: Literal["reliability"] = "reliability"


@dataclass(frozen=True)
class Counts(Shown):
    """One count a label."""

    name: str
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Bars(Shown):
    """Counts by label, a column of bars for each of ``series`` (splits, say)."""

    labels: tuple[str, ...]
    series: tuple[Counts, ...]
    title: str = ""
    caption: str = ""
    kind: Literal["bars"] = "bars"


@dataclass(frozen=True)
class Span(Shown):
    """Characters ``start`` to ``end`` (excluded) of a text, coloured by class or by signed weight."""

    start: int
    end: int
    label: str | None = None
    weight: float | None = None
    wrong: bool = False


@dataclass(frozen=True)
class Marked(Shown):
    """A text with marked spans; where they overlap the shortest one is seen.

    ``classes``: all labels there are, so that each has the same colour in every text.
    """

    text: str
    spans: tuple[Span, ...]
    caption: str = ""
    classes: tuple[str, ...] = ()
    kind: Literal["marked"] = "marked"


@dataclass(frozen=True)
class Mistake(Shown):
    """A row the model got wrong: a text with two labels, or words with gold and predicted tags."""

    text: str = ""
    words: tuple[str, ...] = ()
    gold_tags: tuple[str, ...] = ()
    predicted_tags: tuple[str, ...] = ()
    expected: str = ""
    predicted: str = ""
    confidence: float | None = None
    where: str = ""


@dataclass(frozen=True)
class Mistakes(Shown):
    items: tuple[Mistake, ...]
    caption: str = ""
    kind: Literal["mistakes"] = "mistakes"


@dataclass(frozen=True)
class Panels(Shown):
    """Small figures side by side, as many in a row as fit."""

    blocks: tuple[Block, ...]
    caption: str = ""
    kind: Literal["panels"] = "panels"


@dataclass(frozen=True)
class Details(Shown):
    """What is folded away until it is asked for (and printed in full)."""

    summary: str
    blocks: tuple[Block, ...]
    kind: Literal["details"] = "details"


@dataclass(frozen=True)
class Group(Shown):
    """Blocks under a heading of their own, inside a section."""

    title: str
    blocks: tuple[Block, ...]
    kind: Literal["group"] = "group"


Block = Annotated[
    Text
    | Notice
    | Facts
    | Tiles
    | Table
    | Curves
    | Heatmap
    | Reliability
    | Bars
    | Marked
    | Mistakes
    | Panels
    | Details
    | Group,
    Discriminator("kind"),
]


@dataclass(frozen=True)
class Section(Shown):
    """A numbered part of the page; ``id`` is its anchor (letters, digits, dashes)."""

    title: str
    blocks: tuple[Block, ...]
    id: str = ""
    kind: Literal["section"] = "section"


@dataclass(frozen=True)
class Page(Shown):
    """A whole report."""

    title: str
    sections: tuple[Section, ...]
    subtitle: str = ""
    facts: tuple[tuple[str, str | int | float | bool | None], ...] = ()
    kind: Literal["page"] = "page"


@functools.cache
def _adapter() -> TypeAdapter[Page]:
    return TypeAdapter(Page)


def to_json(page: Page) -> str:
    """The page as JSON. A number that is not finite becomes null, because JSON has no NaN."""
    return _adapter().dump_json(page, indent=1).decode("utf-8")


def from_json(text: str | bytes) -> Page:
    """The page that ``to_json`` wrote.

    Raises:
        DataError: when it is not one, with each place that is wrong.
    """
    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        places = [".".join(map(str, item["loc"])) + ": " + item["msg"] for item in error.errors()[:5]]
        raise DataError(
            "this is not a stored report",
            found="; ".join(places),
            hint="build the report again with `sixfold report RUN`",
        ) from error


def estimate(metric: Mapping[str, Any]) -> Estimate:
    """A ``Metric.to_dict()`` as a cell of a table."""
    return metric["value"], metric["low"], metric["high"]


def table(columns: Sequence[tuple[str, Format]], rows: Sequence[Sequence[Cell]], caption: str = "") -> Table:
    """A table from (name, format) pairs and rows."""
    return Table(tuple(Column(*column) for column in columns), tuple(tuple(row) for row in rows), caption)
