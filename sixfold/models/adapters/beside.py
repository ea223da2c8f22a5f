"""Adapters beside the checkpoint that is their base: ``adapters/<name>/`` in its folder."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from sixfold.errors import ModelError, UsageError, unknown
from sixfold.fetch.folders import recover
from sixfold.models.adapters import files
from sixfold.models.load import Loaded
from sixfold.models.load import load as load_base

FOLDER = "adapters"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


def names(checkpoint: Path) -> list[str]:
    """The adapters that a checkpoint has, sorted."""
    folder = Path(checkpoint) / FOLDER
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if NAME.fullmatch(path.name) and path.is_dir())


def new_folder(checkpoint: Path, name: str) -> Path:
    """Where an adapter of this name goes.

    Raises:
        UsageError: it is no name, or taken already.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            "an adapter's name is made of letters, digits, - and _, at most 64, the first no mark",
            found=repr(name),
            hint="such as refunds-2",
        )
    folder = Path(checkpoint) / FOLDER / name
    recover(folder)
    taken = [one for one in names(checkpoint) if one.lower() == name.lower()]  # one folder on some file systems
    if taken or folder.exists():
        raise UsageError(
            f"there is an adapter {(taken or [name])[0]!r} already",
            where=folder.parent,
            hint="choose another name, or remove that one first",
        )
    return folder


def folder_of(checkpoint: Path, name: str) -> Path:
    """Where an adapter of a checkpoint is.

    Raises:
        UsageError: there is none of that name.
        ModelError: it is a link to somewhere else.
    """
    folder = Path(checkpoint) / FOLDER / name
    if NAME.fullmatch(name):
        recover(folder)
    known = names(checkpoint)
    if name not in known:
        raise unknown("adapter", name, known, where=Path(checkpoint) / FOLDER)
    if folder.is_symlink():
        raise ModelError("this adapter is a link to another folder", where=folder, hint="copy the folder here")
    return folder


def load_adapted(checkpoint: str | Path, name: str, *, seed: int = 0, dtype: str | None = None) -> Loaded:
    """A checkpoint with one of its adapters and that one's head and labels, ready for prediction.

    Args:
        checkpoint: the base, as ``models.load`` takes it.
        name: of an adapter in its folder.
        seed, dtype: as for ``models.load``.

    Returns:
        The model. Its digest names the base and the adapter together.

    Raises:
        UsageError: no such model or adapter.
        ModelError: one of them cannot be used, or they do not belong together.
    """
    from sixfold.models.resolve import resolve

    base = resolve(checkpoint)
    folder = folder_of(base.folder, name)
    told = files.read(folder)
    loaded = load_base(checkpoint, told.head, seed=seed, dtype=dtype, new_head=True)
    found: Any = loaded.model
    files.load(found, folder, base_digest=loaded.digest)
    random = sorted(set(loaded.new_weights) - set(files.head(folder)))
    if random:
        raise ModelError("weights are in neither the base nor the adapter", where=folder, found=", ".join(random))
    found.eval().requires_grad_(False)
    if told.problem_type is not None:
        found.config.problem_type = told.problem_type
    both = hashlib.sha256(f"{loaded.digest} {files.digest(folder)}".encode()).hexdigest()
    return replace(loaded, digest=both, new_weights=())
