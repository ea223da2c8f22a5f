"""``sixfold models`` and ``sixfold models pull NAME``: the catalogue as rows, and pulling. The CLI prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sixfold.fetch import Progress
from sixfold.models import catalogue
from sixfold.models.pull import pull as pull_model

__all__ = ["Row", "pull", "table"]


@dataclass(frozen=True)
class Row:
    """One line of ``sixfold models``."""

    name: str
    what: str
    kind: str
    parameters: int
    languages: str
    licence: str
    source: str
    download_bytes: int
    folder: Path | None
    """Where it lies; None when it has not been pulled."""


def table() -> list[Row]:
    """The catalogue, with what is on this machine."""
    return [
        Row(
            name=model.name,
            what=model.what,
            kind=model.kind,
            parameters=model.parameters,
            languages=", ".join(model.languages),
            licence=model.licence,
            source=str(model.source),
            download_bytes=model.download_bytes,
            folder=model.folder if catalogue.is_local(model.name) else None,
        )
        for model in catalogue.entries()
    ]


def pull(name: str, *, progress: Progress | None = None) -> Path:
    """Bring a base model into the cache; see ``sixfold.models.pull``."""
    return pull_model(name, progress=progress)
