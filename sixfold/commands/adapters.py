"""``sixfold adapters``: what is beside a checkpoint, and one more, one fewer, or one merged into a new checkpoint."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sixfold import fetch
from sixfold.commands.predict import checkpoint_of
from sixfold.errors import ModelError, SixfoldError, UsageError
from sixfold.fetch.folders import replacing, storage_errors
from sixfold.models import adapters, checks, lineage, save
from sixfold.models.adapters.beside import new_folder
from sixfold.models.adapters.files import CONFIG, WEIGHTS, check_base


@dataclass(frozen=True)
class Row:
    """One line of ``sixfold adapters list``.

    Attributes:
        name: its folder's.
        told: what it says of itself; None where it cannot be read.
        wrong: why it cannot be used here; empty where it can.
    """

    name: str
    told: adapters.Told | None
    wrong: str = ""


def table(checkpoint: str | Path) -> list[Row]:
    """The adapters beside a checkpoint. No weights are read but the base's, for its digest."""
    folder = checkpoint_of(Path(checkpoint))
    digest = lineage.digest_folder(folder)
    return [_row(folder, name, digest) for name in adapters.names(folder)]


def _row(folder: Path, name: str, digest: str) -> Row:
    told = None
    try:
        one = adapters.folder_of(folder, name)
        told = adapters.read(one)
        check_base(told, digest, one)
        _check_weights(one)
    except SixfoldError as error:
        return Row(name, told, error.what)
    return Row(name, told)


def add(checkpoint: str | Path, source: str | Path, name: str) -> Path:
    """Copy an adapter to its base, under a name; gives where it is now.

    Raises:
        UsageError: no name, or one that is taken; or the checkpoint is a base model of the cache.
        ModelError: it is no adapter, is damaged, or belongs to another base.
        StorageError: it could not be written.
    """
    folder, source = checkpoint_of(Path(checkpoint)), Path(source)
    if folder.resolve().is_relative_to(fetch.home().resolve()):
        raise UsageError(
            "adapters do not go into the cache of base models",
            where=folder,
            hint="copy the base model's folder to a place of yours, and add them there",
        )
    target = new_folder(folder, name)
    check_base(adapters.read(source), lineage.digest_folder(folder), source)
    _check_weights(source)
    with replacing(target) as temporary:
        for file in (CONFIG, WEIGHTS):
            shutil.copyfile(source / file, temporary / file)
    return target


def _check_weights(folder: Path) -> None:
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"the adapter has no weights ({WEIGHTS})", where=folder)
    checks.check_safetensors(folder / WEIGHTS)


def remove(checkpoint: str | Path, name: str) -> Path:
    """Delete an adapter of a checkpoint; gives where it was.

    Raises:
        UsageError: there is none of that name.
        StorageError: it could not be deleted.
    """
    folder = adapters.folder_of(checkpoint_of(Path(checkpoint)), name)
    gone = folder.with_name(f".{name}.tmp-{os.getpid()}")  # half a folder is never seen under its name
    with storage_errors(folder):
        os.rename(folder, gone)
        shutil.rmtree(gone)
    return folder


def merge(checkpoint: str | Path, name: str, to: Path) -> Path:
    """Write a checkpoint that needs no adapter: the base with the updates in its matrices, and the adapter's head.

    Raises:
        UsageError: there is none of that name; or it would be written over its own base.
        ModelError: it cannot be merged, or does not belong to the checkpoint.
        StorageError: it could not be written.
    """
    base, to = checkpoint_of(Path(checkpoint)), Path(to)
    if base.resolve().is_relative_to(to.resolve()):
        raise UsageError("the merged checkpoint would replace its own base", where=to, hint="name another folder")
    folder = adapters.folder_of(base, name)
    told = adapters.read(folder)
    if isinstance(told.adapter, adapters.Bottleneck):
        raise ModelError(
            "a bottleneck adapter cannot be merged: there is a bend in it, which no matrix has",
            where=folder,
            hint="use it beside its base",
        )
    loaded = adapters.load_adapted(base, name)
    adapters.merge(loaded.model)
    made_of: dict[str, Any] = {"name": name, "kind": told.kind, "digest": adapters.digest(folder), "rows": told.rows}
    history = lineage.build(
        parent=told.base_digest,
        config={"adapter": asdict(told.adapter)},
        stage="merge",
        base=told.base,
        adapter=made_of,
    )
    save(loaded.model, loaded.tokenizer, to, history, extra_config=dict(told.kept) or None)
    return to
