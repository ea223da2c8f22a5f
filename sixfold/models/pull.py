"""Bring a base model of the catalogue into the cache, converted where it has to be."""

from __future__ import annotations

from pathlib import Path

from sixfold import fetch
from sixfold.fetch import Progress, folders
from sixfold.models import catalogue


def pull(name: str, *, progress: Progress | None = None) -> Path:
    """The folder of a base model in the cache; fetched, checked and converted if it is not there yet.

    Args:
        name: a name of the catalogue.
        progress: told one sentence at each step.

    Raises:
        UsageError: there is no such name.
        IntegrityError: the bytes are not the pinned ones; nothing is left behind.
        StorageError: the disk is full; nothing is left behind.
        SixfoldError: no network, no such release.
    """
    model = catalogue.entry(name)
    fetched = fetch.get(model.source, model.fetched, progress=progress)
    if not model.gguf or catalogue.is_local(name):
        return model.folder
    with folders.locked(fetch.home() / ".locks" / f"convert-{name}.lock"):
        if not catalogue.is_local(name):
            from sixfold.models import gguf

            if progress:
                progress(f"converting {model.gguf} to safetensors (once)")
            gguf.convert(fetched / model.gguf, model.folder, digest=catalogue.gguf_sha256(model))
    return model.folder
