"""Write a checkpoint so that a crash or a full disk leaves the old one or the new one, never half of one."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sixfold.errors import StorageError
from sixfold.fetch import folders
from sixfold.fetch.folders import recover
from sixfold.models import lineage as lineages
from sixfold.models.quiet import quiet

__all__ = ["recover", "save"]

KEY = "sixfold"
"""The key of ``config.json`` for what belongs to the model and is ours (thresholds, temperature ...)."""


def save(
    model: Any,
    tokenizer: Any,
    folder: Path,
    lineage: Mapping[str, Any],
    extra_config: Mapping[str, Any] | None = None,
    *,
    also: Callable[[Path], None] | None = None,
) -> None:
    """Write model, tokenizer and lineage as a checkpoint, in place of what ``folder`` held.

    Args:
        model: a transformers model.
        tokenizer: its tokenizer.
        folder: the checkpoint; replaced in one rename if it is one of ours.
        lineage: the content of ``lineage.json`` (``lineage.build``).
        extra_config: plain values kept in ``config.json`` under "sixfold". Given or not, what the parent kept
            there is not inherited: a threshold of the old model is wrong for the new one.
        also: writes further files (an optimiser's state) into the folder before it is put in place.

    Raises:
        StorageError: no room or no permission (the previous checkpoint is untouched), or ``folder`` holds
            something that is not a checkpoint of ours.
    """
    folder = Path(folder)
    recover(folder)
    refuse_foreign(folder)
    with folders.replacing(folder) as temporary, full_disk(folder), quiet():
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        write_extra(temporary / "config.json", extra_config)
        if also is not None:
            also(temporary)
        text = json.dumps(dict(lineage), indent=2, ensure_ascii=False, allow_nan=True)
        (temporary / lineages.FILE).write_text(text + "\n", encoding="utf-8")


def refuse_foreign(folder: Path) -> None:
    """A checkpoint may replace a checkpoint (or nothing), never a folder of something else."""
    if folder.is_dir() and (not any(folder.iterdir()) or (folder / lineages.FILE).is_file()):
        return
    if folder.exists():
        raise StorageError(
            "a checkpoint would replace something that is not a checkpoint of sixfold",
            where=folder,
            hint="choose another folder, or move this one away",
        )


def write_extra(path: Path, extra: Mapping[str, Any] | None) -> None:
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop(KEY, None)
    if extra is not None:
        config[KEY] = dict(extra)
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """safetensors tells of a full disk in an exception of its own; the error number is in its text."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise folders.storage_error(OSError(code, str(error)), folder) from error
