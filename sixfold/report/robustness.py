"""The sections of an attack's report: how often a model errs under attack, at what cost, and by which texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sixfold.report import show
from sixfold.report.blocks import (
    Block,
    Cell,
    Column,
    Curves,
    Details,
    Facts,
    Group,
    Mark,
    Marked,
    Notice,
    Section,
    Series,
    Span,
    Table,
    Text,
    Tile,
    Tiles,
    estimate,
    table,
)
from sixfold.text.counting import counted

Result = dict[str, Any]
SHOWN = 12
"""Texts of an attack that are shown at once; more are folded away."""
FOLDED = 60
CHANGED = ("changed",)
_WITHSTOOD = {
    "failed": "withstood",
    "budget spent": "withstood till the queries were spent",
    "not confirmed": "withstood when read anew",
}
_LEFT_OUT = (
    (
        "no candidates",
        "had no word that the attack may change. It was not tried and is in no rate.",
        "had no word that the attack may change. They were not tried and are in no rate.",
    ),
    (
        "budget spent",
        "was given up when its queries were spent. It counts as withstood.",
        "were given up when their queries were spent. They count as withstood.",
    ),
    (
        "not confirmed",
        "reached the goal in the search, but not when read anew. It counts as withstood.",
        "reached the goal in the search, but not when read anew. They count as withstood.",
    ),
    (
        "skipped: too long",
        "is longer than the model takes. It was not tried and is in no rate.",
        "are longer than the model takes. They were not tried and are in no rate.",
    ),
    (
        "skipped: nothing to attack",
        "leaves nothing to attack: no entity, or the right label is the target.",
        "leave nothing to attack: no entity, or the right label is the target.",
    ),
)
"""Rows that need a word: the kind, and what is said of one and of many."""


def robustness_sections(header: Result, outcomes: Sequence[Result]) -> tuple[Section, ...]:
    """Results, success against budget, each attack, the texts, and how it was done.

    Args:
        header: the content of ``attack.json``: ``attacks`` with their ``summary``, ``worst_case``, ``goal`` and so on.
        outcomes: the outcomes' ``to_dict``, of all attacks.
    """
    attacks: list[Result] = header["attacks"]
    sections = [Section("Results", tuple(_results(header)), "results"), _budget(header)]
    for one in attacks:
        of_attack = [outcome for outcome in outcomes if outcome["attack"] == one["name"]]
        sections.append(Section(one["name"], tuple(_attack(one, of_attack)), one["name"]))
    sections.append(_done(header))
    return tuple(sections)


def _results(header: Result) -> list[Block]:
    attacks: list[Result] = header["attacks"]
    blocks: list[Block] = [_tiles(attacks[0])] if len(attacks) == 1 else [_worst(header), _comparison(attacks)]
    blocks.append(Text(_explained(header)))
    for one in attacks:
        blocks += _notices(one, several=len(attacks) > 1)
    if attacks[0]["summary"].get("entities"):
        blocks.append(_entities(attacks))
    return blocks


def _tiles(attack: Result) -> Tiles:
    metrics = attack["summary"]["metrics"]
    median = attack["summary"]["median_queries"]
    notes = {
        "success": "of the rows that were right before and could be changed",
        "queries": "" if median is None else f"median {show.number(median)}",
        "similarity": attack.get("encoder", ""),
    }
    names = [name for name in metrics if metrics[name]["value"] is not None]
    return Tiles(tuple(Tile.of(metrics[name], note=notes.get(name, "")) for name in names))


def _worst(header: Result) -> Tiles:
    worst = header["worst_case"]
    clean = header["attacks"][0]["summary"]["metrics"]["clean"]
    note = "a row counts as lost if any of the attacks succeeds"
    return Tiles((Tile.of(clean), Tile.of(worst["under_attack"], note=note), Tile.of(worst["success"])))


def _comparison(attacks: Sequence[Result]) -> Table:
    columns = (
        Column("Attack"),
        Column("Accuracy under attack", "interval"),
        Column("Success", "range"),
        Column("Queries", "number"),
        Column("Words changed", "percent"),
        Column("Similarity", "number"),
    )
    rows: list[tuple[Cell, ...]] = []
    for one in attacks:
        metrics = one["summary"]["metrics"]
        rows.append(
            (
                one["name"],
                estimate(metrics["under_attack"]),
                estimate(metrics["success"]),
                metrics["queries"]["value"],
                metrics["changed"]["value"],
                metrics["similarity"]["value"],
            )
        )
    return Table(columns, tuple(rows), "The attacks side by side; queries, words changed and similarity are means")


def _explained(header: Result) -> str:
    budget = header["budget"]
    queries = "as many queries as it wants" if budget is None else f"at most {budget:,} queries an example"
    return (
        f"The attacker's goal: {header['goal']['what']}. It sees the model's probabilities, has {queries}, and every "
        "success was confirmed by reading the changed text anew. Words and characters are changed so that a person "
        "should still read the same; whether one does, only a person can tell: look at the texts below."
    )


def _notices(attack: Result, *, several: bool) -> list[Block]:
    counts = attack["summary"]["counts"]
    name = f"{attack['name']}: " if several else ""
    tried = attack["summary"]["metrics"]["success"]["count"]
    found: list[Block] = []
    if tried == 0:
        found.append(Notice("warning", f"{name}No row could be attacked, so nothing is said about robustness."))
    for kind, one, many in _LEFT_OUT:
        count = counts.get(kind, 0)
        if count:
            level: Literal["note", "warning"] = "warning" if kind == "no candidates" and count > tried else "note"
            found.append(Notice(level, f"{name}{counted(count, 'row')} {one if count == 1 else many}"))
    return found


def _entities(attacks: Sequence[Result]) -> Table:
    columns = (Column("Attack"), *(Column(f"Entity {name}", "range") for name in ("F1", "recall", "precision")))
    before = attacks[0]["summary"]["entities"]["before"]
    rows: list[tuple[Cell, ...]] = [("none", *(estimate(before[key]) for key in ("f1", "recall", "precision")))]
    for one in attacks:
        after = one["summary"]["entities"]["after"]
        rows.append((one["name"], *(estimate(after[key]) for key in ("f1", "recall", "precision"))))
    return Table(columns, tuple(rows), "Entities of the attacked sentences; those that withstood keep their answer")


def _budget(header: Result) -> Section:
    attacks: list[Result] = header["attacks"]
    chart = success(
        "Success by queries an example", {one["name"]: one["summary"]["curve"] for one in attacks}, header["budget"]
    )
    columns = [Column("Attack"), Column("Queries", "count"), Column("Success", "interval"), Column("Accuracy", "range")]
    rows: list[tuple[Cell, ...]] = [
        (one["name"], at["budget"], estimate(at["success"]), estimate(at["under_attack"]))
        for one in attacks
        for at in one["summary"]["budgets"]
    ]
    caption = "What an attacker with fewer queries would have reached"
    return Section("Success against budget", (chart, Table(tuple(columns), tuple(rows), caption)), "budget")


def success(title: str, curves: Mapping[str, Sequence[Sequence[float]]], budget: int | None) -> Curves:
    """Success against queries by name, no further than a tenth beyond the last find."""
    # A chart to the end of a budget that no search needs shows nothing.
    last = round(1.1 * max([10, *(queries for curve in curves.values() for queries, _ in curve)]))
    end = last if budget is None else min(budget, last)
    series = tuple(Series(name, tuple(_stairs(curve, end))) for name, curve in curves.items())
    marks = tuple(Mark(most, f"{most:,}") for most in (100, 500) if most < end)
    return Curves(title, series, "queries a row", "success", marks, percent=True)


def _stairs(curve: Sequence[Sequence[float]], end: float) -> list[tuple[float, float]]:
    """A summary's ``curve`` as points to draw: nothing is gained between two numbers of queries."""
    found: list[tuple[float, float]] = []
    for queries, share in curve:
        if found:
            found.append((queries, found[-1][1]))
        found.append((queries, share))
    return [*found, (end, found[-1][1])] if found[-1][0] < end else found


def _attack(attack: Result, outcomes: Sequence[Result]) -> list[Block]:
    won = sorted(
        (one for one in outcomes if one["outcome"] == "succeeded"),
        key=lambda one: (len(one["edits"]), one["words"], one["row"]),
    )
    blocks: list[Block] = [
        Facts((("Paper", attack["paper"]), *((name, value) for name, value in attack["settings"]), _median(attack))),
        _kinds(attack["summary"]),
    ]
    if won:
        told = "Marked: what was changed; small beside it: what stood there. Texts with the fewest changes come first."
        texts = [adversarial_text(one, f"{settled(one)}; {one['where']}") for one in won[:FOLDED]]
        shown, more = texts[:SHOWN], texts[SHOWN:]
        folded = [Details(f"{len(more)} more", tuple(more))] if more else []
        blocks.append(Group("Texts on which the model errs", (Text(told), *shown, *folded)))
        blocks.append(Group("What it hangs on", tuple(_hangs_on(attack["summary"]))))
    return blocks


def _median(attack: Result) -> tuple[str, float | None]:
    return "Queries, median", attack["summary"]["median_queries"]


def _kinds(result: Result) -> Table:
    rows: list[list[Cell]] = [
        [kind, count, count / result["count"] if result["count"] else None]
        for kind, count in result["counts"].items()
        if count
    ]
    return table([("Outcome", "text"), ("Rows", "count"), ("Share", "percent")], rows, "What came of each row")


def adversarial_text(one: Result, caption: str) -> Marked:
    """The changed text of an outcome, each change marked, with what stood there beside it."""
    spans, shift = [], 0
    for start, end, replacement in one["edits"]:
        at = start + shift
        before = one["original"][start:end].strip()
        spans.append(Span(at, at + len(replacement), before or "added"))
        shift += len(replacement) - (end - start)
    return Marked(one["adversarial"], tuple(spans), caption, CHANGED)


def settled(one: Result) -> str:
    """What came of a row, and at what cost: ``good became bad; 1 of 3 words; 9 queries``."""
    if one["outcome"] == "skipped":
        return f"{one['why']}: not attacked"
    if one["outcome"] == "no candidates":
        return "nothing in it may be changed"
    end = _answers(one) if one["outcome"] == "succeeded" else _WITHSTOOD[one["outcome"]]
    words = f"{len(one['edits'])} of {counted(one['words'], 'word')}"
    parts = [end, words, counted(one["queries"], "query", "queries")]
    if one.get("similarity") is not None:
        parts.append(f"similarity {show.number(one['similarity'])}")
    return "; ".join(parts)


def _answers(one: Result) -> str:
    before, after = one["before"], one["after"]
    if one.get("original_words"):
        wrong = sum(gold != tag for gold, tag in zip(one["gold"], after, strict=True))
        return f"{counted(wrong, 'word')} tagged wrong"
    sides = [answer if isinstance(answer, str) else ", ".join(answer) or "no label" for answer in (before, after)]
    return f"{sides[0]} became {sides[1]}"


def _hangs_on(result: Result) -> list[Block]:
    found: list[Block] = []
    if len(result["per_class"]) > 1:
        rows: list[list[Cell]] = [
            [row["label"], estimate(row["success"]), row["success"]["count"]] for row in result["per_class"]
        ]
        found.append(
            table([("Right answer", "text"), ("Success", "interval"), ("Rows", "count")], rows, "By the right answer")
        )
    words: list[list[Cell]] = [[row["word"], row["count"], ", ".join(row["became"])] for row in result["most_changed"]]
    found.append(
        table([("Word", "text"), ("Times", "count"), ("Became", "text")], words, "Words whose change made it err")
    )
    return found


def _done(header: Result) -> Section:
    checkpoint, data = header["checkpoint"], header["data"]
    facts = Facts(
        (
            ("Checkpoint", checkpoint["name"]),
            ("Task", checkpoint["task"]),
            ("Data", f"{data['source']}, {data['split']}"),
            ("Rows attacked", f"{header['examples']:,} of {data['rows']:,}"),
            ("Goal", header["goal"]["what"]),
            ("Budget", "none" if header["budget"] is None else header["budget"]),
            ("Seed", header["seed"]),
            ("SHA-256 of the checkpoint", checkpoint["digest"]),
            ("SHA-256 of the rows", data["digest"]),
        )
    )
    columns = [
        *(Column(name) for name in ("Attack",)),
        *(Column(name, "count") for name in ("Queries", "Known already", "Duplicates", "Computed", "Tokens")),
        Column("Time"),
        Column("Queries a second", "number"),
    ]
    rows: list[tuple[Cell, ...]] = [(one["name"], *_cost(one["ledger"], one["seconds"])) for one in header["attacks"]]
    caption = "What was asked of the model under attack, and what it had to compute"
    return Section("How it was done", (facts, Table(tuple(columns), tuple(rows), caption)), "done")


def _cost(ledger: Mapping[str, float], seconds: float) -> tuple[Cell, ...]:
    counts = [ledger[name] for name in ("queries", "cached", "duplicates", "model_calls", "tokens")]
    return (*counts, show.duration(seconds), ledger["queries"] / seconds if seconds else None)
