"""``sixfold models`` and ``sixfold models pull NAME``: the catalogue as rows, and pulling. The CLI prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sixfold.errors import ModelError
from sixfold.fetch import Progress
from sixfold.models import catalogue
from sixfold.models.pull import pull as pull_model

__all__ = ["Row", "ensure", "pull", "table"]


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


def ensure(name: str, *, pull: bool = False, progress: Progress | None = None) -> Path:
    """The folder of a base model.

    Args:
        name: a name of the catalogue.
        pull: whether it may be downloaded when it is not in the cache.
        progress: told one sentence at each step.

    Raises:
        UsageError: there is no such name.
        ModelError: it is not on this machine and may not be fetched; the hint is the command that does.
    """
    model = catalogue.entry(name)
    if catalogue.is_local(name):
        return model.folder
    if pull:
        return pull_model(name, progress=progress)
    raise ModelError(f"the base model {name} is not on this machine yet", hint=f"sixfold models pull {name}")
