"""The sections of an explanation's page: the texts with their words marked, whom to trust, what words do in a file."""

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
    Marked,
    Notice,
    Panels,
    Section,
    Series,
    Span,
    Table,
    Text,
    estimate,
    table,
)
from sixfold.text.counting import counted

Result = Mapping[str, Any]
SHOWN = 6
"""Texts that are shown at once; more are folded away."""
FOLDED = 60
_FIGURES = (
    "Comprehensiveness: the probability that is lost without the heaviest words; more is better. Sufficiency: what is "
    "lost when they stand alone; less is better. Both are means over the heaviest 1, 5, 10, 20 and 50 % of the words "
    "(one word at least). The score is the first less the second; the gain is what it is ahead of random weights on "
    "the same texts. Log-odds: the change of the log-probability without the heaviest fifth. Agreement: Kendall's tau "
    "with the ranking by leaving out one word at a time. Stability: Kendall's tau of the weights over seeds."
)


def explanation_sections(result: Result) -> tuple[Section, ...]:
    """Texts, trust, words and shortcuts where a file was explained, and how it was done.

    Args:
        result: what ``sixfold explain --json`` prints.
    """
    trusted = [trusted_section(result)] if result["trust"]["standings"] else []
    gathered = result.get("gathered")
    if gathered is None:
        return (_texts(result), *trusted, _done(result))
    return (shortcuts_section(gathered), words_section(gathered), *trusted, _texts(result), _done(result))


def _texts(result: Result) -> Section:
    told = Text(
        "Blue speaks for the answer; orange, underlined with dots, against it. The stronger the colour, the more the "
        "part weighs among those of its text and explainer. Point at a part to read its weight."
    )
    groups = [_group(one, result) for one in result["explanations"][:FOLDED]]
    shown, more = groups[:SHOWN], groups[SHOWN:]
    folded = [Details(f"{len(more)} more", tuple(more))] if more else []
    return Section("The texts" if len(groups) > 1 else "The text", (told, *shown, *folded), "texts")


def _group(one: Result, result: Result) -> Block:
    title = f"{one['label']} ({show.percent(one['probability'])} %)"
    if one["where"] is not None:
        start, end = one["where"]
        title = f"{one['text'][start:end]}: {title}"
    cut = f"The text is longer than the model reads: it sees none of the last {one['beyond']:,} parts."
    blocks: list[Block] = [Notice("warning", cut)] if one["beyond"] else []
    blocks.append(Panels(tuple(_marked(one, attribution) for attribution in one["attributions"])))
    for other in result.get("sentences", []):
        if (other["number"], other["where"]) == (one["number"], one["where"]):
            marked = tuple(_marked(other, attribution, "by sentences") for attribution in other["attributions"])
            blocks.append(Panels(marked))
    return Group(title, tuple(blocks))


def _marked(one: Result, attribution: Result, note: str = "") -> Marked:
    spans = [
        Span(start, end, weight=weight)
        for (start, end), weight in zip(one["spans"], attribution["weights"], strict=True)
        if weight is not None
    ]
    details = attribution["details"]
    exact = []
    if "delta" in details:
        exact.append(f"convergence delta {show.number(details['delta'])} after {details['steps']:.0f} steps")
    for name, said in (("r2", "R²"), ("standard_error", "standard error"), ("undecided", "undecided")):
        if details.get(name):
            exact.append(f"{said} {show.number(details[name])}")
    return Marked(one["text"], tuple(spans), "; ".join([attribution["method"], *([note] if note else []), *exact]))


def trusted_section(result: Result) -> Section:
    trust = result["trust"]
    blocks: list[Block] = [Notice(_standing(trust), f"{trust['said']}.")]
    baselines = [method["name"] for method in result["methods"] if method["baseline"]]
    if baselines:
        blocks.append(Notice("note", f"{', '.join(baselines)}: a baseline for comparison, never chosen."))
    for filling in dict.fromkeys(one["filling"] for one in trust["standings"]):
        some = [one for one in trust["standings"] if one["filling"] == filling]
        how = "words are left out" if filling == "delete" else "words are masked"
        blocks += [_standings(some, how), Panels((_curves(some, "comprehensiveness"), _curves(some, "sufficiency")))]
    return Section("Which explainer to trust", (*blocks, Text(_FIGURES)), "trust")


def _standing(trust: Result) -> Literal["good", "note", "warning"]:
    """One text is too few to praise an explainer for."""
    if not trust["chosen"]:
        return "warning"
    return "good" if trust["texts"] > 1 else "note"


def _standings(some: Sequence[Result], how: str) -> Table:
    columns = (
        Column("Explainer"),
        Column("Comprehensiveness", "number"),
        Column("Sufficiency", "number"),
        Column("Gain over chance", "range", percent=False),
        Column("Log-odds", "number"),
        Column("Agreement", "number"),
        Column("Stability", "number"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            one["method"],
            one["comprehensiveness"]["value"],
            one["sufficiency"]["value"],
            None if one["gain"] is None else estimate(one["gain"]),
            one["log_odds"]["value"],
            one["tau"]["value"],
            one["stability"],
        )
        for one in some
    ]
    return Table(columns, tuple(rows), f"Faithfulness where {how}; {counted(some[0]['score']['count'], 'text')}")


def _curves(some: Sequence[Result], name: str) -> Curves:
    series = [
        Series(
            one["method"], tuple(zip(one["curves"]["shares"], one["curves"][name], strict=True)), one["gain"] is None
        )
        for one in some
    ]
    return Curves(name.capitalize(), tuple(series), "share of the words", "probability lost")


def shortcuts_section(gathered: Result) -> Section:
    found = gathered["shortcuts"]
    usual = f"Leaving out one word changes the answer in {show.percent(gathered['flips'])} % of all cases."
    if not found:
        return Section("Suspected shortcuts", (Notice("good", f"No word flips many answers. {usual}"),), "shortcuts")
    rows: list[list[Cell]] = [
        [
            one["word"],
            one["flips"],
            one["texts"],
            (one["flips"] / one["texts"], one["low"], one["high"]),
            ", ".join(one["labels"]),
        ]
        for one in found
    ]
    columns = [("Word", "text"), ("Answers flipped", "count"), ("Texts", "count")]
    columns += [("Share", "interval"), ("From", "text")]
    notice = Notice(
        "warning",
        f"{counted(len(found), 'word')} by itself decides more answers than a word usually does. A word that should "
        f"decide (a praise, a complaint) may stand here rightly; a name, a place or a formality should not. {usual}",
    )
    return Section("Suspected shortcuts", (notice, table(columns, rows)), "shortcuts")  # type: ignore[arg-type]


def words_section(gathered: Result) -> Section:
    blocks: list[Block] = [
        Text(
            f"By {gathered['method']}, over {counted(gathered['texts'], 'text')}. A weight is the mean over the texts "
            "with this answer, each divided by the heaviest word of its text: 1 is a word that always weighs most."
        )
    ]
    for label, words in gathered["words"].items():
        rows: list[list[Cell]] = [[one["word"], one["weight"], one["texts"]] for one in words]
        blocks.append(table([("Word", "text"), ("Weight", "number"), ("Texts", "count")], rows, label))
    return Section("Words that matter most", tuple(blocks), "words")


def _done(result: Result) -> Section:
    checkpoint = result["checkpoint"]
    data = result.get("data")
    facts: list[tuple[str, str | int | float | bool | None]] = [
        ("Checkpoint", checkpoint["name"]),
        ("Task", checkpoint["task"]),
        *([] if data is None else [("Data", f"{data['source']}, {data['split']}"), ("Rows", data["rows"])]),
        ("Explained", counted(len(result["explanations"]), "answer")),
        ("Passed over", result["passed_over"]),
        ("Units", result["by"]),
        ("Seed", result["seed"]),
        ("Copies asked about", result["ledger"]["queries"]),
        ("Computed", result["ledger"]["model_calls"]),
        ("Time", show.duration(result["seconds"])),
        ("SHA-256 of the checkpoint", checkpoint["digest"]),
    ]
    rows: list[list[Cell]] = [[one["name"], one["what"], one["paper"]] for one in result["methods"]]
    methods = table([("Explainer", "text"), ("What it does", "text"), ("Paper", "text")], rows, "Explainers")
    return Section("How it was done", (Facts(tuple(facts)), methods), "done")
