"""The sections of an audit: gates and an auditor's questions first, on one page; then what each answer rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sixfold.report import show
from sixfold.report.blocks import (
    Bars,
    Block,
    Cell,
    Column,
    Counts,
    Curves,
    Details,
    Group,
    Notice,
    Panels,
    Section,
    Series,
    Table,
    Text,
    estimate,
)
from sixfold.report.explanation import shortcuts_section, trusted_section, words_section
from sixfold.report.leaking import leakage_section
from sixfold.report.robustness import adversarial_text, settled
from sixfold.text.counting import counted

Result = dict[str, Any]
SHOWN = 2
"""Texts of an attack that are shown at once."""
_GATED = (
    "A gate is held against the worse end of the 95 % interval: the lower end where more is better, the upper end "
    "where less is. What was not measured does not pass."
)


def audit_sections(stage: Result) -> tuple[Section, ...]:
    """A section for each question, behind the verdict (``verdict_section``).

    Args:
        stage: the results of an audit stage.
    """
    sections = [*_sure(stage)]
    for name, make in _PARTS.items():
        if name in stage["parts"]:
            sections += make(stage["parts"][name])
    sections.append(_provenance(stage["provenance"]))
    return tuple(sections)


def failed(refused: Result) -> str:
    """What is said of an audit whose gates failed."""
    return f"The audit says no: {refused['what']}."


def verdict_section(stage: Result) -> Section:
    """Whether the gates passed, and an auditor's questions with an answer each: a page for a manager."""
    gates: Sequence[Result] = stage["gates"]
    blocks: list[Block] = []
    if stage["refused"]:
        blocks.append(Notice("error", failed(stage["refused"])))
    elif gates:
        blocks.append(Notice("good", f"The audit says yes: {_all(len(gates))} passed."))
    else:
        blocks.append(Notice("note", "No gates were set, so nothing was judged: the figures speak for themselves."))
    if gates:
        blocks += [_gates(gates), Text(_GATED)]
    blocks.append(_answers(stage))
    if stage["checkpoint"]["learnt"] is False:
        told = "The training rows are not those that the checkpoint's lineage names: figures on them tell little."
        blocks.append(Notice("warning", told))
    if stage["missing"]:
        listed = "; ".join(f"{name.replace('_', ' ')}: {why}" for name, why in stage["missing"].items())
        blocks.append(Notice("note", f"Not measured: {listed}."))
    return Section("Verdict", tuple(blocks), "verdict")


def _all(count: int) -> str:
    return "the one gate" if count == 1 else f"all {count} gates"


def _gates(gates: Sequence[Result]) -> Table:
    columns = (Column("Gate", "code"), Column("Found"), Column("Judged by"), Column("n", "count"), Column("Verdict"))
    rows: list[tuple[Cell, ...]] = []
    for one in sorted(gates, key=lambda gate: bool(gate["passed"])):
        metric = one["metric"] or {"value": None, "low": None, "high": None, "count": 0}
        verdict = "passed" if one["passed"] else "FAILED"
        worst = show.figure({**metric, "value": one["worst"]})
        rows.append((one["gate"], show.interval(metric), worst, metric["count"], verdict))
    return Table(columns, tuple(rows))


def _answers(stage: Result) -> Table:
    """One line a question: what a manager asks, and what was found."""
    columns = (Column("Question"), Column("Answer"), Column("95 % interval"), Column("Of", "count"))
    rows = [(question, *line) for question, line in _asked(stage)]
    return Table(columns, tuple(rows), "In short")


def _asked(stage: Result) -> Iterator[tuple[str, tuple[Cell, ...]]]:
    metrics, quality = stage["metrics"], stage["parts"]["quality"]
    name = quality["headline"]
    asked = [
        (f"How good is it ({name})?", name),
        ("Is it as sure as it is right (calibration error)?", "ece"),
        ("Does it know foreign texts (AUROC; chance is 50 %)?", "foreign_auroc"),
        ("How often is it right under every attack?", "accuracy_under_attack.all"),
        ("Can its answers be explained (gain over chance)?", "faithfulness"),
        ("Can one tell what it has learnt (AUC; chance is 50 %)?", "membership_auc"),
        ("How far are planted secrets exposed (bits)?", "canary_exposure"),
        ("How many planted secrets does it finish from their first half?", "canary_finished"),
        ("How many documents that it has learnt does it write out?", "extracted"),
        ("How much of the personal data in them?", "extracted_personal_data"),
        ("Does the answer hang on a pronoun?", "flips.pronouns"),
        ("Does it hang on a first name?", "flips.names"),
        ("How many training rows hold personal data?", "personal_data"),
    ]
    for question, figure in asked:
        if (metric := metrics.get(figure)) is None:
            continue
        yield question, (show.figure(metric), _ends(metric), metric["count"])
    if worst := _worst(quality):
        told = f"{worst['column']}: {worst['value']}"
        metric = worst["metric"]
        yield f"Where is it worst ({told})?", (show.figure(metric), _ends(metric), worst["rows"])


def _ends(metric: Result) -> str:
    if metric["low"] is None or metric["high"] is None:
        return ""
    return f"{show.figure(metric, 'low')} to {show.figure(metric, 'high')}"


def _worst(quality: Result) -> Result | None:
    known = [one for one in quality["slices"] if one["metric"]["value"] is not None]
    sign = -1 if quality.get("less_is_better") else 1
    return min(known, key=lambda one: sign * one["metric"]["value"], default=None)


def _sure(stage: Result) -> Iterator[Section]:
    """Parts of the rows, staying silent, foreign texts."""
    quality = stage["parts"]["quality"]
    blocks: list[Block] = []
    of_text = bool(quality.get("less_is_better"))
    name = quality["headline"]
    figure = Column(name, "range", percent=False) if of_text else Column(name, "interval")
    noun, which = ("document", "held-out") if of_text else ("row", stage["split"])
    if quality["slices"]:
        columns = (Column("By"), Column("Part"), Column(f"{noun}s".capitalize(), "count"), figure)
        rows = tuple(
            (one["column"], _part(one), one["rows"], estimate(one["metric"]))
            for one in sorted(quality["slices"], key=lambda one: _PLACES.get(one["column"], len(_PLACES)))
        )
        blocks.append(Table(columns, rows, f"Of {quality['rows']:,} {which} {noun}s"))
    for column, count in quality["left_out"].items():
        told = f"{counted(count, noun)} in parts of {column} that are too small to be told of."
        blocks.append(Notice("note", told))
    if "curve" in quality:
        blocks.append(_curve(quality))
    if blocks:
        yield Section("Where it is good and where not", tuple(blocks), "slices")
    if "foreign" in quality:
        yield _foreign(quality["foreign"])


def _curve(quality: Result) -> Panels:
    """How right it is where it is surest, and how sure it is of foreign texts."""
    curve = tuple((100 * share, value) for share, value in quality["curve"])
    chart = Curves(
        "Right answers among the rows it is surest of",
        (Series("right", curve),),
        x_label="rows answered, %",
        y_label="right",
        percent=True,
    )
    return Panels((chart, *_foreign_chart(quality)))


_PLACES = {"length": 0, "language": 1, "label": 2}


def _part(one: Result) -> str:
    return f"{one['value']} ({one['meant']})" if one["meant"] else str(one["value"])


def _foreign_chart(quality: Result) -> Iterator[Curves]:
    found = quality.get("foreign")
    if found is None:
        return
    middles = [100 * (low + high) / 2 for low, high in zip(found["bins"], found["bins"][1:], strict=False)]
    series = tuple(
        Series(name, tuple((x, count / max(1, sum(found[key]))) for x, count in zip(middles, found[key], strict=True)))
        for name, key in (("its own texts", "own"), ("foreign texts", "foreign"))
    )
    yield Curves(
        "How sure it is", series, x_label="probability of the answer, %", y_label="share of texts", percent=True
    )


def _foreign(found: Result) -> Section:
    told = (
        f"{counted(found['texts'], 'text')} that the model is not for. AUROC {show.interval(found['metric'])}: the "
        "chance that it is less sure of a foreign text than of one of its own (Hendrycks and Gimpel 2017). Near 50 % "
        "it answers foreign texts as surely as its own, and sureness cannot be used to turn them away."
    )
    columns = (Column("Text"), Column("Answered"), Column("Sure", "percent"))
    rows = tuple((show.shortened(one["text"], 90), one["answer"], one["sureness"]) for one in found["surest"])
    return Section("Foreign texts", (Text(told), Details("The surest of them", (Table(columns, rows),))), "foreign")


def _robustness(found: Result) -> list[Section]:
    blocks: list[Block] = []
    if found["reused"]:
        told = "As the harden stage that made this checkpoint measured it; that stage's report shows the texts."
        blocks.append(Notice("note", told))
    columns = (
        Column("Right answers"),
        Column("What it does"),
        Column("Share", "interval"),
        Column("n", "count"),
    )
    rows: list[tuple[Cell, ...]] = [
        (f"under {one['name']}", one["what"], estimate(one["metric"]), one["metric"]["count"])
        for one in found["attacks"]
    ]
    rows.append(("under all of them", "", estimate(found["all"]), found["all"]["count"]))
    blocks.append(Table(columns, tuple(rows), f"At most {found['budget']:,} queries a row"))
    if found.get("goal"):
        blocks.append(Text(f"The attacker sees probabilities; its goal: {found['goal']}."))
    if found.get("left_out"):
        left_out = counted(found["left_out"], "row")
        blocks.append(Notice("note", f"{left_out} left nothing to attack or were too long, and are in no figure."))
    for one in found["attacks"]:
        panels = [adversarial_text(text, settled(text)) for text in one["texts"]]
        if panels:
            more = [Details(f"{len(panels) - SHOWN} more", tuple(panels[SHOWN:]))] if panels[SHOWN:] else []
            blocks.append(Group(one["name"], (*panels[:SHOWN], *more)))
    return [Section("How it breaks under attack", tuple(blocks), "attacks")]


def _explanations(found: Result) -> list[Section]:
    passed = found["texts"] - found["explained"]
    trusted = trusted_section(found)
    if passed:
        told = f"{counted(passed, 'text')} could not be explained (nothing to explain, too short or too long)."
        trusted = Section(trusted.title, (Notice("note", told), *trusted.blocks), trusted.id)
    sections = [trusted, words_section(found["gathered"]), shortcuts_section(found["gathered"])]
    return [Section(f"Why: {one.title[:1].lower()}{one.title[1:]}", one.blocks, one.id) for one in sections]


def _leakage(found: Result) -> list[Section]:
    return [leakage_section(found)]


def _fairness(found: Result) -> list[Section]:
    columns = (Column("Exchanged"), Column("Texts that have some", "count"), Column("Answers that change", "interval"))
    rows = tuple((kind, one["texts"], estimate(one["metric"])) for kind, one in found["kinds"].items())
    told = (
        "The same text with pronouns and titles (he, she; 他, 她), or first names, exchanged for those of the other "
        "sex. A fair model answers both alike. “Her” is “him” or “his”: which one is guessed from the next word."
    )
    blocks: list[Block] = [Text(told), Table(columns, rows, f"Of {counted(found['texts'], 'text')}")]
    for kind, one in found["kinds"].items():
        if one["shown"]:
            blocks.append(Details(f"Answers that change with {kind}", (_changed(one["shown"]),)))
    return [Section("Does the answer hang on a person's sex?", tuple(blocks), "fairness")]


def _changed(pairs: Sequence[Result]) -> Table:
    columns = (Column("Text"), Column("Answer"), Column("Counterpart"), Column("Answer"))
    rows = tuple(
        (show.shortened(pair["text"], 80), pair["before"], show.shortened(pair["counterpart"], 80), pair["after"])
        for pair in pairs
    )
    return Table(columns, rows)


def _personal(found: Result) -> list[Section]:
    if found["masked"]:
        told = "The training rows were masked: what patterns find in them are pseudonyms, which belong to nobody."
        return [Section("Personal data in the training text", (Notice("good", told), *_types(found)), "personal")]
    told = (
        f"Patterns with checksums looked for personal data in {found['rows']:,} of "
        f"{counted(found['of'], 'training row')}: {show.interval(found['metric'])} of them have some. Names of people "
        "need a model and are not counted. "
        "“data: {mask: true}” trains without it."
    )
    return [Section("Personal data in the training text", (Text(told), *_types(found)), "personal")]


def _types(found: Result) -> Iterator[Block]:
    if found["types"]:
        yield Bars(tuple(found["types"]), (Counts("rows", tuple(found["types"].values())),), "Rows by type")


_PARTS: dict[str, Callable[[Result], list[Section]]] = {
    "robustness": _robustness,
    "explanations": _explanations,
    "leakage": _leakage,
    "fairness": _fairness,
    "personal_data": _personal,
}


def _provenance(found: Result) -> Section:
    columns = (*map(Column, ("Stage", "When", "From", "Data", "Seed")), Column("Parent", "code"))
    chain = tuple(
        (one["stage"], one["created"], one["base"], one["source"], _text(one["seed"]), (one["parent"] or "")[:12])
        for one in found["chain"]
    )
    blocks: list[Block] = [Table(columns, chain, "The checkpoint's own stage first", empty="it has no lineage")]
    if not found["whole"]:
        blocks.append(Notice("warning", "The chain breaks off: a checkpoint before is not in this run's folder."))
    licences = tuple((one["kind"], one["name"], one["licence"]) for one in found["licences"])
    blocks.append(
        Table(
            tuple(map(Column, ("What", "Name", "Licence"))),
            licences,
            "Licences, as far as they are known",
            empty="nothing with a name",
        )
    )
    return Section("Where it comes from", tuple(blocks), "provenance")


def _text(value: object) -> str:
    return "" if value is None else str(value)
