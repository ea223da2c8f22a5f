"""From plain results to the sections of a report: how good a classifier, a tagger or an embedding is; where it errs.

What it was trained on and how: ``provenance.py`` (also reachable from here).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sixfold.metrics.calibration import Bin
from sixfold.metrics.intervals import wilson
from sixfold.report import show
from sixfold.report.blocks import (
    Block,
    Cell,
    Curves,
    Details,
    Diagram,
    Format,
    Group,
    Heatmap,
    Mistake,
    Mistakes,
    Notice,
    Reliability,
    Section,
    Series,
    Text,
    Tile,
    Tiles,
    estimate,
    table,
)
from sixfold.report.provenance import data_sections, lineage_sections, training_sections

__all__ = [
    "classification_sections",
    "data_sections",
    "embedding_sections",
    "entity_sections",
    "lineage_sections",
    "training_sections",
]

Result = dict[str, Any]
MOST_CONFUSED = 10
WORSE_CALIBRATED = (
    "On the test rows the calibration error is higher with the temperature than without it: "
    "one temperature does not mend the confidences of this model."
)


def classification_sections(
    result: Result,
    *,
    title: str = "Results on test rows",
    calibration: Result | None = None,
    mistakes: Sequence[Result] = (),
) -> tuple[Section, ...]:
    """The sections of a classifier: numbers, classes, confusion, abstention, calibration, mistakes.

    Args:
        result: ``ClassificationResult.to_dict()`` or ``MultiResult.to_dict()``.
        title: of the first section.
        calibration: what ``metrics.calibration.before_and_after`` gave, if it was measured.
        mistakes: ``text``, ``expected``, ``predicted``, ``confidence``, ``where`` of each, the worst first.
    """
    blocks: list[Block] = [_headline(result), *_verdict(result, "accuracy"), _class_table(result, "Each class")]
    if result.get("confusion"):
        blocks.append(_confusion(result, result["labels"], result["labels"]))
    if result.get("selective"):
        blocks.append(_selective(result))
    sections = [Section(title, tuple(blocks), "results")]
    if calibration is not None:
        sections.append(calibration_section(calibration))
    if mistakes:
        sections.append(_mistakes_section(mistakes, "the surest of the wrong answers first"))
    return tuple(sections)


def entity_sections(
    result: Result, *, title: str = "Results on test sentences", mistakes: Sequence[Result] = ()
) -> tuple[Section, ...]:
    """The sections of a tagger: numbers, types, confusion of entities, mistakes.

    Args:
        result: ``EntityResult.to_dict()``.
        title: of the first section.
        mistakes: ``words``, ``gold_tags``, ``predicted_tags``, ``where`` of each, the worst first.
    """
    labels = result["labels"]
    blocks: list[Block] = [
        _headline(result),
        *_verdict(result, "token_accuracy"),
        Text("An entity is right only when its type, its first and its last word are all right (as conlleval counts)."),
        _class_table(result, "Each entity type"),
    ]
    if result.get("confusion"):
        blocks.append(_confusion(result, [*labels, "spurious"], [*labels, "missed"]))
    sections = [Section(title, tuple(blocks), "results")]
    if mistakes:
        sections.append(
            _mistakes_section(
                mistakes, "outlined: an entity that the other line does not have; filled: the same in both"
            )
        )
    return tuple(sections)


def embedding_sections(result: Result, *, title: str = "Results on test rows") -> tuple[Section, ...]:
    """The sections of an embedding: numbers, and the rows that found something else first.

    Args:
        result: what ``Embedding.evaluate`` gave.
        title: of the first section.
    """
    labelled = result["by"] == "label"
    told = (
        f"Each row looks for the nearest of the {result['candidates']:,} others; one of its label is right."
        if labelled
        else f"Each text looks for its pair among the {result['candidates']:,} different pairs of the split."
    )
    if result["alone"]:
        told += f" {result['alone']:,} rows are the only ones of their label, and are not counted."
    sections = [Section(title, (_headline(result), Text(told)), "results")]
    if result["misses"]:
        columns: list[tuple[str, Format]] = [
            *(("Text", "text"), ("Label" if labelled else "Its pair", "text"), ("Nearest other", "text")),
            *(("Rank", "count"), ("Where", "text")),
        ]
        rows: list[list[Cell]] = [
            [miss[key] for key in ("text", "expected", "nearest", "rank", "where")] for miss in result["misses"]
        ]
        caption = f"{len(rows):,} shown: those that found theirs last first"
        sections.append(Section("Misses", (table(columns, rows, caption),), "misses"))
    return tuple(sections)


def _headline(result: Result) -> Tiles:
    tiles = [Tile.of(metric, note=_flawless(metric)) for metric in result["metrics"].values()]
    if result.get("baseline"):
        label = result["baseline_label"]
        tiles.append(Tile.of(result["baseline"], note="" if label == "O" else f"always answering “{label}”"))
    if result.get("abstention"):
        point = result["abstention"]
        below = show.percent(point["below"], 0)
        tiles.append(Tile.of(point["accuracy"], note=f"when it may stay silent below {below} % confidence"))
        tiles.append(Tile.of(point["coverage"], note=f"of the rows it is at least {below} % sure"))
    return Tiles(tuple(tiles))


def _flawless(metric: Result) -> str:
    """What to make of an interval without width: rows that are all right are all right however they are resampled."""
    if not metric.get("method", "").startswith("bootstrap") or (metric["value"], metric["low"]) != (1, 1):
        return ""
    low, _ = wilson(metric["count"], metric["count"])
    return (
        f"all right, so resampling finds no spread; with {metric['count']:,} of {metric['count']:,} right the share "
        f"of right answers may be as low as {show.percent(low)} % (Wilson)"
    )


def _verdict(result: Result, name: str) -> list[Block]:
    """A warning where the model is not shown to beat the answer that needs no model."""
    metric, baseline = result["metrics"].get(name), result.get("baseline")
    if not metric or not baseline or metric["low"] is None or metric["low"] > baseline["value"]:
        return []
    return [
        Notice(
            "warning",
            f"The interval of {metric['name']} reaches down to {show.percent(metric['low'])} %, not above the "
            f"{show.percent(baseline['value'])} % of always answering “{result['baseline_label']}”: "
            "on these rows the model is not shown to be better than no model.",
        )
    ]


def _class_table(result: Result, caption: str) -> Block:
    several = any("threshold" in score for score in result["per_class"])
    columns: list[tuple[str, Format]] = [
        ("Label", "text"),
        ("F1", "interval"),
        ("Precision", "range"),
        ("Recall", "range"),
        ("Rows", "count"),
        ("Predicted", "count"),
    ]
    if several:
        columns += [("Average precision", "range"), ("Threshold", "number")]
    rows: list[list[Cell]] = []
    for score in result["per_class"]:
        row: list[Cell] = [score["label"], *(estimate(score[name]) for name in ("f1", "precision", "recall"))]
        row += [score["support"], score["predicted"]]
        if several:
            row += [estimate(score["average_precision"]), score["threshold"]]
        rows.append(row)
    shown = table(columns, rows, caption)
    if len(rows) <= 30:
        return shown
    worst = sorted(rows, key=lambda row: _first(row[1]))[:10]
    return Group(
        f"{caption} ({len(rows)})",
        (table(columns, worst, "The ten with the lowest F1"), Details(f"All {len(rows)}", (shown,))),
    )


def _first(cell: Cell) -> float:
    return cell[0] if isinstance(cell, tuple) and cell[0] is not None else 2.0


def _confusion(result: Result, rows: Sequence[str], columns: Sequence[str]) -> Group:
    matrix = result["confusion"]
    total = sum(map(sum, matrix))
    heat = Heatmap(
        tuple(rows),
        tuple(columns),
        tuple(tuple(row) for row in matrix),
        row_label="expected",
        column_label="predicted",
        caption=f"{total:,} in all. A cell's colour is its share of its row.",
    )
    wrong = sorted(
        (
            (count, rows[i], columns[j], sum(matrix[i]))
            for i, row in enumerate(matrix)
            for j, count in enumerate(row)
            if count and rows[i] != columns[j]
        ),
        reverse=True,
    )
    pairs = table(
        [("Expected", "text"), ("Predicted", "text"), ("Count", "count"), ("Of the expected", "percent")],
        [(expected, predicted, count, count / of) for count, expected, predicted, of in wrong[:MOST_CONFUSED]],
        f"The commonest confusions ({min(MOST_CONFUSED, len(wrong))} of {len(wrong)} kinds)",
    )
    return Group("Confusion", (heat, pairs) if len(rows) > 6 and wrong else (heat,))


def _selective(result: Result) -> Group:
    points = result["selective"]
    accuracy = [(point["coverage"]["value"] * 100, point["accuracy"]["value"]) for point in points]
    chart = Curves(
        "Accuracy on the rows it answers",
        (Series("accuracy", tuple(accuracy)),),
        x_label="rows answered, %",
        y_label="accuracy",
        percent=True,
    )
    chosen = [points[round(place * (len(points) - 1) / 5)] for place in range(6)] if len(points) > 6 else points
    rows: list[list[Cell]] = [
        [point["below"], point["coverage"]["value"], estimate(point["accuracy"]), point["accuracy"]["count"]]
        for point in chosen
    ]
    grid = table(
        [("Silent below", "percent"), ("Answered", "percent"), ("Accuracy", "interval"), ("Rows", "count")], rows
    )
    return Group("What staying silent would buy", (chart, grid))


def calibration_section(calibration: Result, noun: str = "rows") -> Section:
    """Reliability before and after the temperature.

    Args:
        calibration: ``temperature``, ``before`` and ``after``, as ``metrics.calibration.before_and_after`` gives them.
        noun: what was judged: rows, words.
    """
    before, after, fitted = calibration["before"], calibration["after"], calibration["temperature"]
    if fitted["found"]:
        told = (
            f"Dividing the scores by one temperature, {show.number(fitted['value'])}, fitted on "
            f"{fitted['count']:,} validation {noun}, changes no answer, only how sure the model says it is."
        )
    else:
        told = (
            f"The validation {noun} tell no temperature (none, too few, or all of them right), "
            "so the confidences were left as they are."
        )
    rows: list[list[Cell]] = [
        ["as trained", *(estimate(before[name]) for name in ("ece", "nll", "brier"))],
        ["with temperature", *(estimate(after[name]) for name in ("ece", "nll", "brier"))],
    ]
    columns: list[tuple[str, Format]] = [("", "text"), ("Calibration error, %", "text"), ("NLL, nats", "text"),
                                         ("Brier score", "text")]  # fmt: skip
    written = [[row[0], *(_written(cell, percent=place == 0) for place, cell in enumerate(row[1:]))] for row in rows]
    worse = after["ece"]["value"] > before["ece"]["value"]
    return Section(
        "Calibration",
        (
            *((Notice("warning", WORSE_CALIBRATED),) if worse else ()),
            Text(f"A calibrated model is right on 80 % of the {noun} where it is 80 % sure. {told}"),
            Reliability(
                (Diagram("As trained", _bins(before)), Diagram("With temperature", _bins(after))),
                f"Of {before['ece']['count']:,} held-out {noun}. On the dashed line confidence is what it claims.",
            ),
            table(columns, written),
        ),
        "calibration",
    )


def _written(cell: Cell, *, percent: bool) -> str:
    assert isinstance(cell, tuple)
    value, low, high = (show.percent(item, 2) if percent else show.number(item) for item in cell)
    return f"{value} [{low}, {high}]"


def _bins(part: Result) -> tuple[Bin, ...]:
    return tuple(Bin(**item) for item in part["bins"])


def _mistakes_section(mistakes: Sequence[Result], order: str) -> Section:
    items = tuple(map(_mistake, mistakes))
    caption = f"{len(items):,} shown: {order}."
    return Section("Mistakes", (Text(caption[0].upper() + caption[1:]), Mistakes(items)), "mistakes")


def _mistake(item: Result) -> Mistake:
    fields: Result = {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}
    return Mistake(**fields)
