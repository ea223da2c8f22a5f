"""The sections of a converse stage: what the model answers now, and how it did before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sixfold.report import show
from sixfold.report.blocks import (
    Block,
    Cell,
    Column,
    Facts,
    Format,
    Notice,
    Section,
    Table,
    Tile,
    Tiles,
    estimate,
    table,
)
from sixfold.text.counting import counted

Result = dict[str, Any]

SHOWN = 3
"""Turns of a conversation that are shown before an answer."""
_BETTER_LOW = ("loss", "perplexity", "harmful", "over_refusal", "repetition", "self_bleu")
"""Figures of which less is better, by how their names begin."""


def conversing_sections(stage: Result) -> tuple[Section, ...]:
    """Results on held-out conversations, dialogue figures before and after, samples side by side, the masks' proof."""
    sections = [_results(stage)]
    if stage["dialogue"]:
        sections.append(_dialogue(stage["before"]["dialogue"]["metrics"], stage["dialogue"]["metrics"]))
    sections += [_samples(stage["samples"]), _learnt(stage)]
    return tuple(sections)


def _results(stage: Result) -> Section:
    split = stage["split"]
    found, before = stage["evaluations"][split]["metrics"], stage["before"]["evaluations"][split]["metrics"]
    tiles = Tiles(tuple(Tile.of(metric, note=_was(before.get(name))) for name, metric in found.items()))
    name = "accuracy" if stage["task"] == "preference" else "loss"
    blocks: list[Block] = [tiles, _verdict(before[name], found[name], higher=name == "accuracy")]
    return Section(f"Results on {split} conversations", tuple(blocks), "results")


def _was(metric: Result | None) -> str:
    if metric is None or metric["value"] is None:
        return ""
    value = f"{show.percent(metric['value'])} %" if metric["percent"] else show.number(metric["value"])
    return f"{value} before"


def _verdict(before: Result, after: Result, *, higher: bool) -> Notice:
    """Whether the training paid, by the intervals."""
    low, high = (after, before) if higher else (before, after)
    what = "reward accuracy" if higher else "loss of answers that it has not seen"
    if low["low"] > high["high"]:
        return Notice("good", f"The {what} is better than before, by more than chance.")
    if low["high"] < high["low"]:
        return Notice("error", f"The {what} is worse than before: this training did harm.")
    return Notice("warning", f"The intervals of the {what} before and after overlap: it is not shown that it paid.")


def dialogue_section(metrics: Mapping[str, Result]) -> Section:
    """What a model does in conversations, as it is."""
    columns = (Column("Figure"), Column("Value", "text"), Column("n", "count"), Column("Better is"))
    rows = tuple((one["name"], show.interval(one), one["count"], _direction(name)) for name, one in metrics.items())
    return Section("Coherence, creativity, safety", (Table(columns, rows, "95 % intervals"),), "dialogue")


def _dialogue(before: Mapping[str, Result], after: Mapping[str, Result]) -> Section:
    """Shares in one table, other numbers in another: they have no scale in common."""
    blocks = [
        _figures(before, {name: one for name, one in after.items() if one["percent"] is share}, share)
        for share in (True, False)
        if any(one["percent"] is share for one in after.values())
    ]
    return Section("Coherence, creativity, safety", tuple(blocks), "dialogue")


def _figures(before: Mapping[str, Result], after: Mapping[str, Result], share: bool) -> Block:
    columns = (
        Column("Figure"),
        Column("Before", "range", percent=share),
        Column("After", "range", percent=share),
        Column("n", "count"),
        Column("Better is"),
    )
    rows = tuple(
        (
            metric["name"],
            estimate(before[name]) if name in before else None,
            estimate(metric),
            metric["count"],
            _direction(name),
        )
        for name, metric in after.items()
    )
    return Table(columns, rows, "95 % intervals")


def _direction(name: str) -> str:
    if name.startswith("length"):
        return ""
    return "lower" if name.startswith(_BETTER_LOW) else "higher"


def _samples(samples: list[Result]) -> Section:
    rows: list[list[Cell]] = [
        [_talk(one["messages"]), one["truth"] or "", one["before"], one["after"]] for one in samples
    ]
    columns: list[tuple[str, Format]] = [
        *(("Conversation", "text"), ("What stood there", "text"), ("Before", "text"), ("After", "text"))
    ]
    grid = table(columns, rows, "Held-out conversations; answers are the likeliest, token by token")
    return Section("What it answers", (grid,), "samples")


def _talk(messages: list[Mapping[str, Any]]) -> str:
    """The end of a conversation: a whole one would fill a page."""
    last = messages[-SHOWN:]
    lines = [f"{one['role']}: {one['content'] or '(calls a tool)'}" for one in last]
    earlier = len(messages) - len(last)
    return "\n".join([f"… {counted(earlier, 'earlier turn')}", *lines] if earlier else lines)


def _learnt(stage: Result) -> Section:
    proof = stage["proof"]
    total = proof["learnt"] + proof["given"]
    lora = stage["lora"]
    facts = Facts(
        (
            ("Base", str(stage["base"])),
            ("Parameters", stage["parameters"]),
            ("Parameters that learnt", stage["learning"]),
            ("Adapter", f"LoRA of rank {lora['rank']}, merged; alone in adapter/" if lora else "none"),
            ("Conversations whose masks were proved", proof["conversations"]),
            ("Answers in them, learnt whole", proof["turns"]),
            ("Their tokens that are learnt", f"{proof['learnt']:,} of {counted(total, 'token')}"),
            ("Tokens that end an answer", ", ".join(proof["stops"])),
        )
    )
    return Section("What was learnt", (facts,), "learnt")
