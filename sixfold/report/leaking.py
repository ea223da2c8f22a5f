"""The section on leakage: what can be told of a checkpoint's training text by asking it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sixfold.report import show
from sixfold.report.blocks import Block, Cell, Column, Details, Notice, Section, Table, Text, estimate
from sixfold.text.counting import counted

Result = dict[str, Any]
_MEMBERSHIP = (
    "A row that was learnt is easier for the model than one that was not (Yeom et al. 2018). The AUC is the chance "
    "that a training row looks more like one than a held-out row does: 50 % is chance, 100 % gives every row away. "
    "Beside it, how many training rows are found when 1 %, or 0.1 %, of the others are taken for some."
)
_CANARIES = (
    "Sentences with random secrets were planted in the training text. A canary's exposure (Carlini et al. 2019) is "
    "the number of bits that one who guesses by the model is ahead of one who guesses blindly. Controls were never "
    "planted: their exposure is what chance gives."
)


_FINISHED = (
    "The decoder was given each canary up to the middle of its secret and wrote on, always the likeliest token. "
    "Controls tell what can be guessed."
)
_EXTRACTION = (
    "The decoder was given the first tokens of documents and wrote on, always the likeliest token (Carlini et al. "
    "2023). How many documents it learnt from it writes out as they stand there, and how much of the personal data in "
    "them; documents that it never saw tell what can be guessed."
)


def leakage_section(found: Result) -> Section:
    """Membership, canaries, then what a decoder writes out, as far as each was measured."""
    blocks: list[Block] = []
    if "membership" in found:
        blocks += [Text(_MEMBERSHIP), _membership(found["membership"]["attacks"])]
    else:
        blocks.append(Notice("note", "There are too few rows to tell membership by."))
    if "canaries" in found:
        blocks += _canaries(found["canaries"])
    else:
        blocks.append(
            Notice("note", "No canaries were planted in the training text (canaries: {count: 8} where it was trained).")
        )
    if "finished" in found:
        blocks += [Text(_FINISHED), _finished(found["finished"])]
    if "extraction" in found:
        blocks += _extraction(found["extraction"])
    return Section("What it gives away", tuple(blocks), "leakage")


def _finished(levels: list[Result]) -> Table:
    columns = (Column("Planted"), Column("Canaries", "count"), Column("Finished", "range"))
    rows = tuple((_planted(one["repeats"]), one["metric"]["count"], estimate(one["metric"])) for one in levels)
    return Table(columns, rows, "Canaries finished from half of their secrets")


def _planted(repeats: int) -> str:
    return counted(repeats, "time") if repeats else "never (controls)"


def _extraction(found: Result) -> Iterator[Block]:
    yield Text(_EXTRACTION)
    columns = (
        Column("Tokens given", "count"),
        Column("Documents"),
        Column("Asked", "count"),
        Column("Written out", "range"),
        Column("Personal data", "count"),
        Column("Written", "range"),
    )
    rows: list[tuple[Cell, ...]] = []
    for probe in found["probes"]:
        for name, side in (("learnt", probe["train"]), ("never seen", probe["held_out"])):
            verbatim, entities = side["verbatim"], side["entities"]
            some = estimate(entities) if entities["count"] else None
            rows.append((probe["prompt_tokens"], name, verbatim["count"], estimate(verbatim), entities["count"], some))
    yield Table(columns, tuple(rows), f"The next {found['new_tokens']} tokens")
    if found["left_out"]:
        listed = ", ".join(map(str, found["left_out"]))
        yield Notice("note", f"Beginnings of {listed} tokens were not tried: no document is long enough.")


def _membership(attacks: list[Result]) -> Table:
    rates = list(attacks[0]["found"])
    columns = (
        Column("Told by"),
        Column("AUC", "range"),
        *(Column(f"Found at {100 * float(rate):g} %", "range") for rate in rates),
        Column("Learnt", "count"),
        Column("Held out", "count"),
    )
    rows: list[tuple[Cell, ...]] = []
    for one in attacks:
        hits = (None if one["found"][rate] is None else estimate(one["found"][rate]) for rate in rates)
        rows.append((one["attack"], estimate(one["auc"]), *hits, one["members"], one["others"]))
    return Table(columns, tuple(rows), "Membership")


def _canaries(found: Result) -> Iterator[Block]:
    yield Text(_CANARIES)
    if found.get("masked"):
        told = "The training text was masked, canaries too: an exposure above that of controls is a leak of the mask."
        yield Notice("note", told)
    columns = (
        Column("Planted"),
        Column("Canaries", "count"),
        Column("Exposure, bits", "range", percent=False),
        Column("Greatest", "number"),
        Column("Above controls", "range", percent=False),
        Column("Better known than all others", "count"),
    )
    rows: list[tuple[Cell, ...]] = []
    for level in found["levels"]:
        planted = _planted(level["repeats"])
        above = None if level["above_controls"] is None else estimate(level["above_controls"])
        mean = estimate(level["mean"])
        rows.append((planted, level["mean"]["count"], mean, level["greatest"], above, level["at_cap"]))
    yield Table(columns, tuple(rows), "Exposure of canaries")
    spaces = (
        f"{one['format']}: ranked among {one['candidates']:,} other secrets"
        f"{' (all there are)' if one['exact'] else ' (a sample)'}, so that at most {show.number(one['cap'])} bits can "
        f"be told; chance gives {show.number(one['chance'])}"
        for one in found["spaces"]
    )
    yield Details("How they were ranked", (Text("\n\n".join(spaces)),))
