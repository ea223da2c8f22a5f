"""From plain results to the sections of a report: what a model was trained on, how it went, where it comes from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sixfold.report import show
from sixfold.report.blocks import (
    Bars,
    Block,
    Cell,
    Counts,
    Curves,
    Details,
    Facts,
    Format,
    Group,
    Mark,
    Notice,
    Panels,
    Section,
    Series,
    Text,
    table,
)
from sixfold.text.counting import counted

Result = dict[str, Any]
NAMES = {
    "loss": "Training loss",
    "learning_rate": "Learning rate",
    "tokens_per_second": "Speed",
    "grad_norm": "Gradient norm",
}
UNITS = {"loss": "loss", "tokens_per_second": "tokens a second", "learning_rate": "rate", "grad_norm": "norm"}
# A loss of so many steps is read better by its running mean.
SMOOTHED_FROM = 60
PLACES = {"step", "epoch", "seconds"}
# Metrics that are proportions; a loss is not.
NOT_PERCENT = {"loss", "nll", "perplexity", "brier"}


def training_sections(training: Result) -> tuple[Section, ...]:
    """The section on training: what it took, its curves, and what the machine chose and why.

    Args:
        training: ``steps`` [{step, loss, learning_rate, tokens_per_second, grad_norm …}], ``evaluations``
            [{step, epoch, metrics}], ``best_step``, ``seconds``, ``tokens``, ``padded_tokens``, ``choices``
            [{name, value, reason}]. What is missing is not shown.
    """
    steps, evaluations = training.get("steps", []), training.get("evaluations", [])
    best = training.get("best_step")
    marks = (Mark(float(best), f"best: {best:,}"),) if best is not None else ()
    charts = [*_evaluation_charts(evaluations, marks), *_step_charts(steps, marks)]
    blocks: list[Block] = [_effort(training)]
    broken = sum(1 for step in steps if not _is_number(step.get("loss", 0.0)))
    if broken:
        blocks.append(Notice("error", f"The loss was not a number at {broken:,} of {counted(len(steps), 'step')}."))
    if charts:
        blocks.append(Panels(tuple(charts)))
    if evaluations:
        blocks.append(_evaluation_table(evaluations, best))
    if training.get("choices"):
        rows = [[item["name"], _cell(item["value"]), item.get("reason", "")] for item in training["choices"]]
        blocks.append(table([("Chosen by the machine", "text"), ("Value", "text"), ("Why", "text")], rows))
    return (Section("Training", tuple(blocks), "training"),)


def data_sections(data: Result) -> tuple[Section, ...]:
    """The section on data: splits, labels, lengths, and everything dropped, cut or wrong.

    Args:
        data: ``splits`` {name: {rows, digest, labels, lengths}}, ``problems`` [{level, what, count, where, remedy}],
            ``cut`` {rows, tokens, unlearnable, on_long}, ``dropped`` [{…}] or a list of sentences, ``masked``
            {types, rows, of, scores}.
    """
    splits: Mapping[str, Result] = data.get("splits", {})
    columns: list[tuple[str, Format]] = [("Split", "text"), ("Rows", "count"), ("SHA-256 of the rows", "code")]
    rows = [[name, split.get("rows"), split.get("digest", "")] for name, split in splits.items()]
    blocks: list[Block] = [table(columns, rows, "Splits")]
    if any(split.get("labels") for split in splits.values()):
        blocks.append(_labels(splits))
    if any(split.get("lengths") for split in splits.values()):
        blocks.append(_lengths(splits))
    blocks.append(Group("What was cut, dropped or wrong", _losses(data)))
    if data.get("masked"):
        blocks.append(masked_group(data["masked"], "training row"))
    return (Section("Data", tuple(blocks), "data"),)


def lineage_sections(lineage: Result) -> tuple[Section, ...]:
    """The section on where a checkpoint comes from: parent, digests, seed, versions, machine, command.

    Args:
        lineage: any nested plain data; each inner dict becomes a group of facts.
    """
    flat = {name: value for name, value in lineage.items() if not isinstance(value, Mapping | list | tuple)}
    blocks: list[Block] = []
    if flat:
        blocks.append(Facts(tuple((_named(name), _cell(value)) for name, value in flat.items())))
    for name, value in lineage.items():
        if isinstance(value, Mapping):
            rows = [[key, _cell(item)] for key, item in show.flat(value)]
            grid = table([("Name", "text"), ("Value", "code")], rows)
            blocks.append(Group(_named(name), (grid if len(rows) <= 20 else Details(f"{len(rows)} values", (grid,)),)))
        elif isinstance(value, list | tuple):
            blocks.append(Group(_named(name), (_listed(value),)))
    return (Section("Lineage", tuple(blocks), "lineage"),)


def _effort(training: Result) -> Facts:
    tokens, padded, seconds = (training.get(name) for name in ("tokens", "padded_tokens", "seconds"))
    facts: list[tuple[str, str | int | float | None]] = []
    if training.get("steps"):
        facts.append(("Steps", training["steps"][-1]["step"]))
    if training.get("best_step") is not None:
        facts.append(("Best step, kept", training["best_step"]))
    if seconds is not None:
        facts.append(("Time", show.duration(seconds)))
    if tokens is not None:
        facts.append(("Tokens trained on", tokens))
    if tokens and seconds:
        facts.append(("Tokens a second", round(tokens / seconds)))
    if tokens is not None and padded is not None and tokens + padded:
        facts.append(
            ("Padding", f"{padded:,} tokens, {show.percent(padded / (tokens + padded))} % of what was computed")
        )
    return Facts(tuple(facts))


def _step_charts(steps: Sequence[Result], marks: tuple[Mark, ...]) -> list[Block]:
    keys = [key for key in _keys(steps) if key not in PLACES and any(_is_number(step.get(key)) for step in steps)]
    ordered = [key for key in NAMES if key in keys] + [key for key in keys if key not in NAMES]
    charts: list[Block] = []
    for key in ordered:
        points = [(float(step["step"]), step[key]) for step in steps if key in step]
        window = max(5, len(points) // 40)
        smooth = key != "learning_rate" and len(points) >= SMOOTHED_FROM
        series = (
            (Series("each step", tuple(points), faint=True), _running_mean(points, window))
            if smooth
            else (Series(_named(key), tuple(points)),)
        )
        title = NAMES.get(key, _named(key))
        charts.append(Curves(title, series, x_label="step", y_label=UNITS.get(key, ""), marks=marks))
    return charts


def _running_mean(points: Sequence[tuple[float, float | None]], window: int) -> Series:
    known = [(x, y) for x, y in points if y is not None and math.isfinite(y)]
    means = []
    for place, (x, _) in enumerate(known):
        part = [y for _, y in known[max(0, place - window + 1) : place + 1]]
        means.append((x, math.fsum(part) / len(part)))
    return Series(f"mean of {window} steps", tuple(means))


def _evaluation_charts(evaluations: Sequence[Result], marks: tuple[Mark, ...]) -> list[Block]:
    if len(evaluations) < 2:
        return []
    charts: list[Block] = []
    for name in _keys([evaluation["metrics"] for evaluation in evaluations]):
        points = tuple(
            (float(evaluation["step"]), _value(evaluation["metrics"].get(name))) for evaluation in evaluations
        )
        percent = _is_percent(name, [y for _, y in points])
        title = f"{_named(name)}, validation"
        series = (Series(_named(name), points),)
        charts.append(Curves(title, series, x_label="step", y_label=_named(name), marks=marks, percent=percent))
    return charts


def _evaluation_table(evaluations: Sequence[Result], best: int | None) -> Block:
    names = _keys([evaluation["metrics"] for evaluation in evaluations])
    values = {name: [_value(evaluation["metrics"].get(name)) for evaluation in evaluations] for name in names}
    columns: list[tuple[str, Format]] = [("Step", "count"), ("Epoch", "number")]
    columns += [(_named(name), "percent" if _is_percent(name, values[name]) else "number") for name in names]
    columns.append(("", "text"))
    rows: list[list[Cell]] = [
        [
            evaluation["step"],
            evaluation.get("epoch"),
            *(values[name][place] for name in names),
            "kept" if evaluation["step"] == best else "",
        ]
        for place, evaluation in enumerate(evaluations)
    ]
    grid = table(columns, rows, "On validation rows")
    return grid if len(rows) <= 12 else Details(f"All {len(rows)} evaluations", (grid,))


def _labels(splits: Mapping[str, Result]) -> Block:
    total: dict[str, int] = {}
    for split in splits.values():
        for label, count in split.get("labels", {}).items():
            total[str(label)] = total.get(str(label), 0) + count
    labels = sorted(total, key=lambda label: -total[label])
    series = tuple(
        Counts(
            name, tuple({str(key): count for key, count in split["labels"].items()}.get(label, 0) for label in labels)
        )
        for name, split in splits.items()
        if split.get("labels")
    )
    return Bars(tuple(labels), series, title="Labels", caption="Rows a label, and its share of the split.")


def _lengths(splits: Mapping[str, Result]) -> Block:
    names = _keys([split.get("lengths", {}) for split in splits.values()])
    rows: list[list[Cell]] = [
        [name, *(split.get("lengths", {}).get(key) for key in names)] for name, split in splits.items()
    ]
    return table([("Split", "text"), *((_named(key), "number") for key in names)], rows, "Lengths in tokens")


def _losses(data: Result) -> tuple[Block, ...]:
    blocks: list[Block] = []
    cut, dropped, problems = data.get("cut"), data.get("dropped") or [], data.get("problems") or []
    if cut and cut.get("rows"):
        lost = f", {counted(cut['tokens'], 'token')} cut away" if cut.get("tokens") else ""
        bare = f", and all there is to learn in {counted(cut['unlearnable'], 'row')}" if cut.get("unlearnable") else ""
        told = f"{counted(cut['rows'], 'row')}{lost}{bare} (on_long: {cut.get('on_long', 'unknown')})"
        blocks.append(Notice("warning", f"Longer than the model's limit: {told}."))
    elif cut is not None:
        blocks.append(Text("No row was longer than the model's limit: nothing was cut."))
    if dropped:
        blocks.append(Group("Dropped", (_listed(dropped),)))
    elif "dropped" in data:
        blocks.append(Text("No row was dropped."))
    if problems:
        rows = [
            [
                item["level"],
                item["what"],
                item.get("count", 1),
                ", ".join(item.get("where", ())),
                item.get("remedy", ""),
            ]
            for item in problems
        ]
        columns: list[tuple[str, Format]] = [
            ("Level", "text"), ("What", "text"), ("Places", "count"), ("Where", "text"), ("How to mend it", "text"),
        ]  # fmt: skip
        blocks.append(table(columns, rows, "Problems found"))
    elif "problems" in data:
        blocks.append(Text("No problem was found in the data."))
    return tuple(blocks) or (Text("Nothing was recorded."),)


def masked_group(masked: Result, noun: str) -> Group:
    """What was replaced in what was learnt from, and the model on what is held out, as it is and masked alike.

    Args:
        masked: ``types`` {name: count}, ``rows``, ``of``, and ``scores`` [{split, as_they_are, masked}] if any.
        noun: what was masked, such as ``training row``.
    """
    told = f"In {masked['rows']:,} of {counted(masked['of'], noun)}; what is held out stays as it is."
    blocks: list[Block] = [Text(told)]
    if masked["types"]:
        types: list[list[Cell]] = [[name.replace("_", " "), count] for name, count in masked["types"].items()]
        blocks.append(table([("Type", "text"), ("Replaced", "count")], types))
    if masked.get("scores"):
        rows: list[list[Cell]] = [
            [row["split"], row["masked"]["name"], *(show.interval(row[way]) for way in ("as_they_are", "masked"))]
            for row in masked["scores"]
        ]
        columns: list[tuple[str, Format]] = [
            ("Split", "text"), ("Metric", "text"),
            ("Held-out rows as they are", "text"), ("Held-out rows masked", "text"),
        ]  # fmt: skip
        blocks.append(table(columns, rows))
    return Group("Personal data that was masked", tuple(blocks))


def _listed(items: Sequence[Any]) -> Block:
    """A table of dicts (a column a key), or of plain values."""
    if items and all(isinstance(item, Mapping) for item in items):
        names = _keys(items)
        columns: list[tuple[str, Format]] = [
            (_named(name), "count" if all(isinstance(item.get(name), int) for item in items) else "text")
            for name in names
        ]
        return table(columns, [[_cell(item.get(name)) for name in names] for item in items])
    return table([("Value", "text")], [[_cell(item)] for item in items])


def _keys(items: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for item in items for key in item))


def _cell(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _named(key: str) -> str:
    words = key.replace("_", " ").replace(" f1", " F1").strip()
    words = {"f1": "F1", "nll": "NLL", "ece": "ECE", "sha256": "SHA-256"}.get(words, words)
    return words[:1].upper() + words[1:]


def _value(metric: Any) -> float | None:
    value: Any = metric.get("value") if isinstance(metric, Mapping) else metric
    return float(value) if _is_number(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_percent(name: str, values: Sequence[float | None]) -> bool:
    known = [value for value in values if value is not None]
    return not any(word in name.lower() for word in NOT_PERCENT) and all(0 <= value <= 1 for value in known)
