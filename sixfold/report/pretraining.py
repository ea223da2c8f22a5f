"""The sections of a pretraining stage: what it learnt, from what text, and what it says now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sixfold.report import show
from sixfold.report.blocks import (
    Bars,
    Block,
    Cell,
    Column,
    Counts,
    Curves,
    Facts,
    Format,
    Group,
    Mark,
    Notice,
    Section,
    Series,
    Table,
    Tile,
    Tiles,
    estimate,
    table,
)
from sixfold.report.provenance import masked_group

Result = dict[str, Any]


def pretraining_sections(stage: Result) -> tuple[Section, ...]:
    """Results on held-out text, before beside after, samples, and the corpus.

    Args:
        stage: the stage's plain results: ``evaluations``, ``before``, ``samples``, ``corpus``, ``tokens``, ``cut``,
            ``parameters``, ``vocabulary``, ``context``, ``extended``.
    """
    sections = [_results(stage)]
    found = stage["evaluations"].get("held_out", {}).get("positions", [])
    if len(found) > 1 or stage.get("extended"):
        sections.append(_positions(found, (stage.get("before") or {}).get("positions", []), stage.get("extended")))
    if stage.get("samples"):
        sections.append(Section("What it says", (_samples(stage["samples"]),), "samples"))
    sections.append(_corpus(stage))
    return tuple(sections)


def _results(stage: Result) -> Section:
    found = stage["evaluations"].get("held_out")
    blocks: list[Block] = [
        Facts(
            (
                ("Base", str(stage["base"])),
                ("Parameters", stage["parameters"]),
                ("Tokens known", stage["vocabulary"]),
                ("Context", stage["context"]),
            )
        )
    ]
    if found is None:
        blocks.append(Notice("warning", "No document was held out, so nothing says how well it learnt."))
        return Section("Results on held-out text", tuple(blocks), "results")
    before = stage.get("before")
    tiles = tuple(
        Tile.of(metric, note=_was(before["metrics"].get(name)) if before else "")
        for name, metric in found["metrics"].items()
    )
    blocks.insert(0, Tiles(tiles))
    if before:
        blocks.insert(1, _verdict(before["metrics"]["loss"], found["metrics"]["loss"]))
    return Section("Results on held-out text", tuple(blocks), "results")


def _was(metric: Result | None) -> str:
    if metric is None or metric["value"] is None:
        return ""
    value = f"{show.percent(metric['value'])} %" if metric["percent"] else show.number(metric["value"])
    return f"{value} before"


def _verdict(before: Result, after: Result) -> Notice:
    """Whether the training paid, by the intervals."""
    if after["high"] < before["low"]:
        return Notice("good", "The loss on text that it has not seen is lower than before, by more than chance.")
    if after["low"] > before["high"]:
        return Notice("error", "The loss on text that it has not seen is higher than before: this training did harm.")
    return Notice("warning", "The intervals of the loss before and after overlap: it is not shown that training paid.")


def _positions(found: list[Result], before: list[Result], extended: Result | None) -> Section:
    """The loss far from the beginnings of texts, where a context that was extended has to show that it works."""
    blocks: list[Block] = [] if extended is None else [_reached(found, extended)]
    if len(found) > 1:
        sides = [("before", before), ("after", found)] if before else [("loss", found)]
        series = tuple(
            Series(name, tuple((_middle(one), one["loss"]["value"]) for one in stretches)) for name, stretches in sides
        )
        marks = () if extended is None else (Mark(extended["from"], "context of the base"),)
        blocks.append(Curves("Loss by position", series, "position", "loss", marks))
    columns = [Column("Positions"), Column("Targets", "count")]
    columns += [Column("Loss before", "range", percent=False)] if before else []
    columns += [Column("Loss", "range", percent=False)]
    was = {one["first"]: estimate(one["loss"]) for one in before}
    rows = [
        (
            f"{one['first']:,} to {one['last']:,}",
            one["loss"]["count"],
            *((was.get(one["first"]),) if before else ()),
            estimate(one["loss"]),
        )
        for one in found
    ]
    blocks.append(Table(tuple(columns), tuple(rows), "95 % intervals over documents"))
    return Section("Loss by position in the text", tuple(blocks), "positions")


def _middle(stretch: Result) -> float:
    return (stretch["first"] + stretch["last"]) / 2


def _reached(found: list[Result], extended: Result) -> Notice:
    """Whether the model says what stands beyond the base's context as well as what stands within it."""
    old = extended["from"]
    within = [one["loss"] for one in found if one["last"] <= old]
    beyond = [one["loss"] for one in found if one["first"] > old]
    if not (within and beyond):
        return Notice("warning", f"No held-out text shows whether the model reads beyond the base's {old:,} tokens.")
    if all(one["value"] <= within[-1]["high"] for one in beyond):
        return Notice("good", f"Beyond the base's {old:,} tokens the loss is no higher than within them.")
    return Notice(
        "warning",
        f"Beyond the base's {old:,} tokens the loss is higher than within them: more long texts or passes may help.",
    )


def _samples(samples: list[Result]) -> Block:
    if "prompt" in samples[0]:
        return table(
            [("Beginning", "text"), ("Written by the model", "text")],
            [[one["prompt"], one["text"]] for one in samples],
            "Sampled at temperature 0.8, top-p 0.95, seeded",
        )
    rows: list[list[Cell]] = [
        [one["text"], ", ".join(_pair(pair) for pair in one["hidden"])] for one in samples if one["hidden"]
    ]
    return table([("Held-out text", "text"), ("Filled in", "text")], rows, "What it says (and what stood there)")


def _pair(pair: Mapping[str, str]) -> str:
    return pair["said"] if pair["said"] == pair["truth"] else f"{pair['said']} ({pair['truth']})"


def language_sections(found: Result) -> tuple[Section, ...]:
    """A language model on held-out documents: its figures, and the loss by position."""
    tiles = Tiles(tuple(Tile.of(metric) for metric in found["metrics"].values()))
    sections = [Section("Results on held-out documents", (tiles,), "results")]
    if len(found["positions"]) > 1:
        sections.append(_positions(found["positions"], [], None))
    return tuple(sections)


def _corpus(stage: Result) -> Section:
    cut = stage["cut"]
    learnt = (
        ("Tokens to learn from", stage["tokens"]["train"]),
        (f"Documents longer than {cut['limit']:,} tokens", cut["long_rows"]),
        ("Parts made of them, beyond one each", cut["windows"]),
        ("Tokens cut away", cut["lost_tokens"]),
        ("Documents with nothing to learn", cut["unlearnable"]),
    )
    section = text_section(stage["corpus"], learnt)
    if not stage["corpus"].get("masked"):
        return section
    masked = masked_group({**stage["corpus"]["masked"], "scores": _masked_scores(stage)}, "training document")
    return Section(section.title, (*section.blocks, masked), section.id)


def text_section(corpus: Result, learnt: tuple[tuple[str, int], ...] = ()) -> Section:
    """What a corpus is: splits, what was left out, languages, lengths.

    Args:
        corpus: what ``Corpus.described`` holds.
        learnt: facts on its tokens.
    """
    counts = corpus["counts"]
    columns: list[tuple[str, Format]] = [
        *(("Split", "text"), ("Documents", "count"), ("Characters", "count"), ("SHA-256 of the text", "code")),
    ]
    rows: list[list[Cell]] = [
        [name.replace("_", " "), split["rows"], split["characters"], split["digest"]]
        for name, split in corpus["splits"].items()
    ]
    left_out = Facts(
        (
            ("Documents read", counts["read"]),
            ("Copies left out", counts["copies"]),
            ("Near-copies found", counts["near"]),
            ("Near-copies left out", counts["near_left_out"]),
            ("Empty ones left out", counts["empty"]),
            *learnt,
        )
    )
    blocks: list[Block] = [table(columns, rows, "Splits"), left_out, _languages(corpus["languages"])]
    blocks += [_histogram(corpus["histogram"])]
    if corpus["problems"]:
        listed: list[list[Cell]] = [
            [one["level"], one["what"], one["count"], ", ".join(one["where"])] for one in corpus["problems"]
        ]
        grid = table([("Level", "text"), ("What", "text"), ("Count", "count"), ("Where", "code")], listed)
        blocks.append(Group("What was odd", (grid,)))
    return Section("Text", tuple(blocks), "text")


def _masked_scores(stage: Result) -> list[Result]:
    """Each metric on held-out text as it is and masked."""
    return [
        {
            "split": split.replace("_", " "),
            "as_they_are": stage["evaluations"][split]["metrics"][name],
            "masked": metric,
        }
        for split, found in stage.get("masked_evaluations", {}).items()
        for name, metric in found["metrics"].items()
    ]


def _languages(languages: Mapping[str, Mapping[str, float]]) -> Block:
    rows: list[list[Cell]] = [
        [split.replace("_", " "), ", ".join(f"{name} {show.percent(share)} %" for name, share in shares.items())]
        for split, shares in languages.items()
    ]
    return table([("Split", "text"), ("Languages, by characters", "text")], rows)


def _histogram(histogram: Mapping[str, list[list[int]]]) -> Block:
    """Documents by length; the splits' bars are of the same lengths where both have some."""
    edges = sorted({(low, high) for bars in histogram.values() for low, high, _ in bars})
    labels = tuple(f"{low:,}–{high:,}" if low != high else f"{low:,}" for low, high in edges)
    series = []
    for split, bars in histogram.items():
        counts = {(low, high): count for low, high, count in bars}
        series.append(Counts(split.replace("_", " "), tuple(counts.get(edge, 0) for edge in edges)))
    return Bars(labels, tuple(series), "Documents by length in characters")
