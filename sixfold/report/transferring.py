"""The sections of a transfer stage: which way of learning several domains is best, and what moved between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sixfold.report import show
from sixfold.report.blocks import (
    Block,
    Cell,
    Format,
    Group,
    Heatmap,
    Notice,
    Section,
    Text,
    Tile,
    Tiles,
    estimate,
    table,
)
from sixfold.report.provenance import masked_group

Result = dict[str, Any]
_NAMES = {
    "separate": "separate models",
    "mixture": "one model, all domains",
    "adapters": "an adapter each",
    "shared_adapters": "one model, an adapter each",
    "sequential": "one after another",
}
_CLOSE = 0.005
"""How far an average may lie under that of separate models and still count as level."""


def transfer_sections(stage: Result) -> tuple[Section, ...]:
    """Results by domain, strategies side by side, their matrices, few rows, shared words."""
    sections = [_results(stage), _strategies(stage), _matrices(stage)]
    if stage.get("few_shot"):
        sections.append(_few(stage["few_shot"]))
    if stage.get("routing"):
        sections.append(_routing(stage["routing"]))
    sections.append(_words(stage["shared_words"]))
    masked = {name: one["masked"] for name, one in stage["domains"].items() if one.get("masked", {}).get("scores")}
    if masked:
        groups = [masked_group(one, f"training row of {name}") for name, one in masked.items()]
        sections.append(Section("Personal data", tuple(groups), "masked"))
    ranks = _ranks(stage)
    if ranks is not None:
        sections.append(ranks)
    return tuple(sections)


def of_all_domains(domains: Mapping[str, Result]) -> Result:
    """What the report shows of rows, with each split named after its domain."""
    return {
        "splits": {
            f"{name}, {split}": facts for name, one in domains.items() for split, facts in one["splits"].items()
        },
        "problems": [problem for one in domains.values() for problem in one["problems"]],
        "dropped": [
            {**drop, "split": f"{name}, {drop['split']}"} for name, one in domains.items() for drop in one["dropped"]
        ],
    }


def _results(stage: Result) -> Section:
    figure = stage["figure"]
    tiles = tuple(
        Tile.of(found["metrics"][figure], note=f"{name}, {stage['domains'][name]['split']} rows")
        for name, found in stage["evaluations"].items()
    )
    return Section(f"Results: {_NAMES[stage['kept']]}", (Tiles(tiles), _verdict(stage)), "results")


def _verdict(stage: Result) -> Notice:
    """What is kept against separate models, where both were run."""
    kept = stage["strategies"][stage["kept"]]
    test = kept.get("against_separate")
    share = kept["learning"] / kept["parameters"]
    if test is None:
        return Notice("note", f"It learnt {kept['learning']:,} numbers, {share:.2%} of the model.")
    gain, told = test["difference"], f"[{100 * test['low']:+.1f}, {100 * test['high']:+.1f}]"
    what = f"{100 * gain:+.1f} points {told} against a model for each domain, with {share:.2%} of one model learnt"
    if test["high"] < -_CLOSE:
        return Notice("error", f"Worse: {what}.")
    if test["low"] > 0:
        return Notice("good", f"Better: {what}.")
    if test["low"] > -_CLOSE:
        return Notice("good", f"As good or better: {what}.")
    return Notice("warning", f"Not decided by these rows: {what}.")


def _strategies(stage: Result) -> Section:
    figure, names = stage["figure"], stage["learnt"]
    foreign = bool(stage["zero_shot"])
    rows: list[list[Cell]] = []
    for name, one in stage["strategies"].items():
        test = one.get("against_separate")
        rows.append(
            [
                _NAMES[name],
                *(show.percent(one["scores"][domain]) for domain in names),
                show.percent(one["average"]),
                *(["" if one["zero_shot"] is None else show.percent(one["zero_shot"])] if foreign else []),
                "" if test is None else _gain(test),
                f"{one['learning'] / one['parameters']:.2%}",
                f"{one['seconds'] / 60:.1f}",
            ]
        )
    heads = ["Way", *names, "Average", *(["Never learnt"] if foreign else [])]
    heads += ["Against separate, paired", "Learnt", "Minutes"]
    columns: list[tuple[str, Format]] = [(head, "text") for head in heads]
    caption = f"{figure} in per cent, on rows that were not learnt; learnt: numbers that were, as a share of one model"
    blocks: list[Block] = [table(columns, rows, caption)]
    moved = stage["strategies"].get("sequential", {}).get("moved")
    if moved:
        blocks.append(_moved(moved))
    return Section("Ways of learning several domains", tuple(blocks), "strategies")


def _gain(test: Mapping[str, Any]) -> str:
    return f"{100 * test['difference']:+.1f} [{100 * test['low']:+.1f}, {100 * test['high']:+.1f}], p {test['p']:.3g}"


def _moved(moved: Mapping[str, float | None]) -> Block:
    told = {
        "average": "average in the end",
        "backward": "backward transfer: what later domains gave earlier ones (negative: forgotten)",
        "forward": "forward transfer: what earlier domains gave later ones before those were learnt",
        "forgetting": "forgetting: from the best score on the way to the last one",
    }
    rows: list[list[Cell]] = [
        [what, "" if moved[name] is None else f"{100 * float(moved[name] or 0):+.1f}"] for name, what in told.items()
    ]
    return table([("Learnt one after another", "text"), ("Points", "text")], rows)


def _matrices(stage: Result) -> Section:
    blocks: list[Block] = [
        Text("Trained on the row, tested on the column. A column that is no row was never learnt: zero-shot.")
    ]
    for name, one in stage["strategies"].items():
        found = one["matrix"]
        values = tuple(tuple(None if cell is None else cell["value"] for cell in row) for row in found["cells"])
        heat = Heatmap(
            rows=tuple(found["rows"]),
            columns=tuple(found["columns"]),
            values=values,
            title=f"{_NAMES[name]}: {stage['figure']}",
            row_label="trained on",
            column_label="tested on",
            format="percent",
            shade="all",
        )
        cells: list[list[Cell]] = [
            [row, *("" if cell is None else show.interval(cell) for cell in line)]
            for row, line in zip(found["rows"], found["cells"], strict=True)
        ]
        intervals = table([("Trained on", "text"), *((column, "text") for column in found["columns"])], cells)
        blocks.append(Group(_NAMES[name], (heat, intervals)))
    return Section("Transfer between domains", tuple(blocks), "matrix")


def _few(found: Result) -> Section:
    blocks: list[Block] = []
    for domain in dict.fromkeys(one["domain"] for one in found["scores"]):
        some = [one for one in found["scores"] if one["domain"] == domain]
        ways = list(dict.fromkeys(one["way"] for one in some))
        counts = list(dict.fromkeys(one["per_class"] for one in some))
        by_key = {(one["per_class"], one["way"]): one["metric"] for one in some}
        rows: list[list[Cell]] = [[count, *(estimate(by_key[count, way]) for way in ways)] for count in counts]
        columns: list[tuple[str, Format]] = [("Rows a class", "count"), *((way, "range") for way in ways)]
        blocks.append(table(columns, rows, domain))
    if found["missing"]:
        left: list[list[Cell]] = [[one["domain"], one["per_class"], one["why"]] for one in found["missing"]]
        blocks.append(table([("Domain", "text"), ("Rows a class", "count"), ("Why not", "text")], left, "Left out"))
    return Section("A few rows a class", tuple(blocks), "few")


def _routing(found: Result) -> Section:
    title = "Which adapter a text goes to"
    if "missing" in found:
        return Section(title, (Notice("note", f"Not learnt: {found['missing']}."),), "routing")
    tiles = [Tile.of(found[name], note="test rows") for name in ("right", "sure", "sure_right") if name in found]
    told = f"Under a confidence of {found['threshold']:.2f} a text goes to {found['fallback'] or 'the shared model'}."
    return Section(title, (Tiles(tuple(tiles)), Text(told)), "routing")


def _words(shared: Mapping[str, Mapping[str, float]]) -> Section:
    heat = Heatmap(
        rows=tuple(shared),
        columns=tuple(shared),
        values=tuple(tuple(shared[row][column] for column in shared) for row in shared),
        title="Share of the row's 10,000 most frequent words that the column has too",
        row_label="words of",
        column_label="also in",
        format="percent",
        shade="all",
    )
    return Section("Words that domains share", (heat,), "words")


def _ranks(stage: Result) -> Section | None:
    """Where AdaLoRA left its ranks: a heat map of matrices by layer for each adapter."""
    blocks: list[Block] = []
    for name, strategy in stage["strategies"].items():
        for part in strategy["parts"]:
            if "ranks" in part:
                blocks.append(_ranked(f"{_NAMES[name]}, {part['row']}", part["ranks"]))
    return Section("Ranks by layer", tuple(blocks), "ranks") if blocks else None


def _ranked(title: str, ranks: Mapping[str, int]) -> Heatmap:
    """Rows are layers, columns the matrices in them."""
    placed: dict[tuple[str, str], int] = {}
    for path, rank in ranks.items():
        parts = path.split(".")
        at = next(place for place, part in enumerate(parts) if part.isdigit())
        placed[parts[at], ".".join(parts[at + 1 :])] = rank
    layers = sorted({layer for layer, _ in placed}, key=int)
    matrices = list(dict.fromkeys(matrix for _, matrix in placed))
    values = tuple(tuple(placed.get((layer, matrix)) for matrix in matrices) for layer in layers)
    return Heatmap(
        rows=tuple(f"layer {layer}" for layer in layers),
        columns=tuple(matrices),
        values=values,
        title=title,
        row_label="layer",
        column_label="matrix",
        format="count",
        shade="all",
    )
