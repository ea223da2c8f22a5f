"""``sixfold words`` and ``sixfold words pull NAME``: the word lists as a table, and pulling. The CLI prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import RenderableType

from sixfold.commands.show import listing
from sixfold.fetch import Progress
from sixfold.text import lexicon

ALL = "all"


def table() -> RenderableType:
    """The catalogue, and where each list is."""
    entries = []
    for words in lexicon.entries():
        where = "here" if lexicon.is_local(words.name) else f"sixfold words pull {words.name}"
        short = (words.name, ", ".join(words.languages), f"{words.size / 1e6:.1f} MB", where)
        entries.append((short, f"{words.what}; {words.source.licence}; {words.source}"))
    return listing(("name", "languages", "size", "where"), entries, numbers=("size",))


def pull(names: Sequence[str], *, progress: Progress | None = None) -> Iterator[tuple[str, Path]]:
    """Bring lists into the cache one by one; ``all`` is every list. Gives each name with its folder.

    Raises:
        UsageError: there is no such list, told before anything is fetched. Others as for ``lexicon.pull``.
    """
    every = [words.name for words in lexicon.entries()]
    chosen = every if ALL in names else [lexicon.entry(name).name for name in names]
    for name in dict.fromkeys(chosen):
        yield name, lexicon.pull(name, progress=progress)
