"""The sections of a harden stage: what training changed, on the same rows under the same attacks, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sixfold.report import show
from sixfold.report.blocks import (
    Block,
    Cell,
    Column,
    Details,
    Facts,
    Group,
    Notice,
    Panels,
    Section,
    Table,
    Text,
    estimate,
)
from sixfold.report.robustness import adversarial_text, settled, success
from sixfold.text.counting import counted

Result = dict[str, Any]
LEVEL = 0.05
SIDES = ("before", "after")
SHOWN = 4
"""Rows of an attack whose texts are shown at once; more are folded away."""


def hardening_sections(stage: Result) -> tuple[Section, ...]:
    """Before and after in one table, success against budget, what attacks took, texts side by side, how it was done.

    Args:
        stage: the results of a harden stage, with ``hardening`` and ``refused``.
    """
    found: Result = stage["hardening"]
    votes = [_votes(found["votes"])] if found.get("votes") else []
    sections = [
        Section("Before and after", tuple(_results(stage, found)), "hardening"),
        Section("Success against budget", tuple(_budgets(found)), "budget"),
        Section("What the attacks took", (_took(found), Text(_TOOK), *votes), "cost"),
    ]
    texts = [Group(one["name"], tuple(_texts(one))) for one in found["attacks"] if one["pairs"]]
    if texts:
        sections.append(Section("Texts side by side", (Text(_SIDE_BY_SIDE), *texts), "texts"))
    sections.append(Section("How it was hardened", tuple(_done(found)), "hardened"))
    return tuple(sections)


def refusal(refused: Result) -> str:
    """What is said of a result that the stage refused."""
    return f"Refused: {refused['what']}. No checkpoint was written."


def _results(stage: Result, found: Result) -> Iterator[Block]:
    yield _verdict(stage, found)
    yield _table(found)
    yield Text(_explained(found))
    if found["left_out"]:
        yield Notice(
            "note",
            f"{counted(found['left_out'], 'row')} left nothing to attack or were too long, and are in no figure of "
            "attacks.",
        )
    for one in found["attacks"]:
        counts = [one["summaries"][side]["counts"] for side in SIDES]
        untouched = counts[0]["no candidates"]
        if untouched > found["rows"] / 2:
            yield Notice(
                "warning",
                f"{one['name']} could change nothing in {untouched:,} of {counted(found['rows'], 'row')}, so it tells "
                "little here.",
            )
        spent = max(count["budget spent"] for count in counts)
        if spent:
            yield Notice(
                "note",
                f"{one['name']}: up to {counted(spent, 'search', 'searches')} ended with the budget of "
                f"{found['budget']:,} queries; they count as withstood.",
            )


def _verdict(stage: Result, found: Result) -> Notice:
    """What came of it, in one sentence."""
    clean, worst = found["metric"], found["all"]
    moved = f"{clean['name']} on rows as they are {_moved(clean['before']['value'], clean['after']['value'])}"
    if stage["refused"]:
        return Notice("error", refusal(stage["refused"]))
    test = worst["test"]
    told = f"Right under every attack: {_change(worst)}; {moved}."
    if test["difference"] > 0 and test["p_holm"] < LEVEL:
        return Notice("good", f"Harder to fool. {told}")
    if test["difference"] < 0 and test["p_holm"] < LEVEL:
        return Notice("error", f"Easier to fool than before. {told}")
    return Notice("warning", f"No gain is shown under all attacks together. {told}")


def _change(both: Result) -> str:
    before, after = (show.percent(both[side]["value"]) for side in SIDES)
    return f"{before} % of the rows before, {after} % now"


def _moved(before: float, after: float) -> str:
    if before == after:
        return f"stayed at {show.percent(after)} %"
    verb = "rose" if after > before else "fell"
    return f"{verb} from {show.percent(before)} to {show.percent(after)} %"


def _table(found: Result) -> Table:
    """The first thing to look at: each line is one paired test."""
    columns = (
        Column("Right answers"),
        Column("Rows", "count"),
        Column("Before", "range"),
        Column("After", "range"),
        Column("Difference, points"),
        Column("p (Holm)"),
        Column("Trained on"),
    )
    whole = found["metric"]
    rows: list[tuple[Cell, ...]] = [
        _line(f"rows as they are, {whole['name']}", whole, whole["before"]["count"]),
        _line("the attacked rows, before any attack", found["clean"], found["rows"]),
    ]
    rows += [_line(f"under {one['name']}", one, found["rows"], one["trained_on"]) for one in found["attacks"]]
    rows.append(_line("under all of them together", found["all"], found["rows"]))
    return Table(columns, tuple(rows), f"On {found['split']} rows, 95 % intervals")


def _line(name: str, sides: Mapping[str, Any], count: int, trained: str = "") -> tuple[Cell, ...]:
    test = sides["test"]
    gained = show.gained(test["difference"], test["low"], test["high"])
    return (name, count, *(estimate(sides[side]) for side in SIDES), gained, show.p_value(test["p_holm"]), trained)


def _explained(found: Result) -> str:
    return (
        f"{counted(found['rows'], 'row')} drawn from {found['of']:,}, the same before and after. The attacker sees the "
        f"model's probabilities and has at most {found['budget']:,} queries a row; its goal: {found['goal']}. A row is "
        "right under an attack if it was answered rightly before it and no change was found that makes the model err, "
        "each success confirmed by reading the whole changed text anew; what an attack could not change counts as "
        "right too. Differences are tested row by row (McNemar's exact test; paired bootstrap for F1), corrected for "
        "the tests made here (Holm). “Trained on” says whether texts of that attack, or of another that changes the "
        "same, were learnt from: what is gained there tells less than what is gained elsewhere."
    )


_TOOK = (
    "Success is of the rows that were right before and could be changed. Queries count every variant that was scored, "
    "the text as it is included; the median is given. “Words”: how many of a text's words were changed. “Old texts "
    "right”: of the changed texts that fooled the model before, how many the hardened model answers rightly as they "
    "stand."
)
_SIDE_BY_SIDE = (
    "On the left the change that made the model err before training; on the right what the same attack reached "
    "afterwards on the same row: a new change that makes it err, or the nearest that it found. Marked: what was "
    "changed; small beside it: what stood there. Whether a person still reads the same, only a person can tell."
)


def _budgets(found: Result) -> Iterator[Block]:
    charts = [
        success(one["name"], {side: one["summaries"][side]["curve"] for side in SIDES}, found["budget"])
        for one in found["attacks"]
    ]
    yield Panels(tuple(charts))
    columns = (
        Column("Attack"),
        Column("Queries a row", "count"),
        Column("Success before", "interval"),
        Column("Success after", "interval"),
    )
    rows: list[tuple[Cell, ...]] = [
        (one["name"], first["budget"], estimate(first["success"]), estimate(second["success"]))
        for one in found["attacks"]
        for first, second in zip(*(one["summaries"][side]["budgets"] for side in SIDES), strict=True)
    ]
    yield Table(columns, tuple(rows), "What an attacker with fewer queries would have reached")


def _took(found: Result) -> Table:
    """A line for each side, since a table of as many columns as figures has no room on a page."""
    columns = (
        Column("Attack"),
        Column("Changes"),
        Column("Model"),
        Column("Success", "range"),
        Column("Queries", "number"),
        Column("Words", "percent"),
        Column("Similarity", "number"),
        Column("Old texts right", "range"),
    )
    rows: list[tuple[Cell, ...]] = []
    for one in found["attacks"]:
        for side in SIDES:
            summary = one["summaries"][side]
            metrics = summary["metrics"]
            rows.append(
                (
                    one["name"],
                    one["changes"],
                    side,
                    estimate(metrics["success"]),
                    summary["median_queries"],
                    metrics["changed"]["value"],
                    metrics["similarity"]["value"],
                    estimate(one["old_texts"]) if side == "after" else "",
                )
            )
    return Table(columns, tuple(rows), "Each attack, before and after")


def _votes(votes: Result) -> Group:
    """What the vote of masked copies would say."""
    rows: list[tuple[Cell, ...]] = [
        ("the attacked rows as they are", estimate(votes["clean"]), votes["clean"]["count"])
    ]
    rows += [
        (f"texts of {name} on which the single answer errs", estimate(metric), metric["count"])
        for name, metric in votes["attacks"].items()
    ]
    columns = (Column("Asked about"), Column("Right by vote", "interval"), Column("Texts", "count"))
    told = (
        "The model has learnt from texts with hidden tokens, so many copies of a text can vote: "
        f"{votes['copies']:,} here, each with {show.percent(votes['share'])} % of its tokens hidden. The figures above "
        "are of single answers, and no attack was made on the vote itself."
    )
    return Group("Asked for a vote", (Text(told), Table(columns, tuple(rows))))


def _texts(one: Result) -> Iterator[Block]:
    panels = [_pair(pair) for pair in one["pairs"]]
    yield from panels[:SHOWN]
    if panels[SHOWN:]:
        yield Details(f"{len(panels) - SHOWN} more", tuple(panels[SHOWN:]))


def _pair(pair: Result) -> Panels:
    old, new = pair["before"], pair["after"]
    reads = "the hardened model reads this text rightly" if pair["reads_old"] else "it still errs on this very text"
    return Panels((adversarial_text(old, f"Before: {settled(old)}"), adversarial_text(new, f"After: {settled(new)}")),
                  f"{old['where']}; right: {_gold(old)}; {reads}")  # fmt: skip


def _gold(one: Result) -> str:
    gold = one["gold"]
    return gold if isinstance(gold, str) else ", ".join(sorted({tag for tag in gold if tag != "O"})) or "no entity"


def _done(found: Result) -> Iterator[Block]:
    yield Facts(
        (
            *(("Trained with", told) for told in found["trained_with"]),
            ("Rows attacked", f"{found['rows'] + found['left_out']:,} of {found['of']:,}, {found['split']}"),
            ("Budget", found["budget"]),
            ("Seed", found["seed"]),
            ("Clean score may fall by", f"{show.percent(found['max_clean_loss'])} points"),
        )
    )
    columns = (
        *(Column(name) for name in ("Attack", "What it does", "Paper", "Search", "Changes", "Constraints")),
        *(Column(f"Time, {side}") for side in SIDES),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            one["name"],
            one["what"],
            one["paper"],
            *(dict(one["settings"]).get(name, "") for name in ("Search", "Changes", "Constraints")),
            *(show.duration(one["costs"][side]["seconds"]) for side in SIDES),
        )
        for one in found["attacks"]
    ]
    yield Table(columns, tuple(rows), "The attacks")
