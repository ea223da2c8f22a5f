"""What made a checkpoint: ``lineage.json`` beside it, and the digest that names it. No torch."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from sixfold.errors import ModelError
from sixfold.fetch import folders

FILE = "lineage.json"
PACKAGES = ("sixfold", "torch", "transformers", "tokenizers", "safetensors", "numpy", "datasets")

WEIGHTS = ".safetensors"
DIGESTED = (
    "config.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
)


def build(
    *,
    parent: str | None,
    data: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    seed: int | None = None,
    metrics: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The content of a ``lineage.json``.

    Args:
        parent: digest of the checkpoint this one was made from; None when it was made from nothing.
        data: digest of each data set, by its name.
        config: what the recipe said for the stage, plain values only.
        seed: the seed of the run.
        metrics: what was measured, by name.
        more: further plain values, such as ``stage="finetune"``.
    """
    return {
        "format": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "parent": parent,
        "data": dict(data or {}),
        "config": dict(config or {}),
        "seed": seed,
        "metrics": dict(metrics or {}),
        "versions": versions(),
        "machine": machine(),
        **more,
    }


def versions() -> dict[str, str]:
    """Python and the packages that numbers depend on. Reads their metadata; imports none of them."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine() -> dict[str, Any]:
    """The facts that numbers depend on; no host name, user or path."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"system": platform.system(), "architecture": platform.machine(), "cores": usable}


def read(folder: Path) -> dict[str, Any]:
    """The lineage of a checkpoint; empty when it has none (a model that was not made here).

    Raises:
        ModelError: the file is there but is not what ``build`` writes.
    """
    path = Path(folder) / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise ModelError("the lineage of a checkpoint cannot be read", where=path, found=error) from error
    if not isinstance(found, dict):
        raise ModelError("the lineage of a checkpoint is not a JSON object", where=path)
    return found


def digest_folder(folder: Path) -> str:
    """SHA-256 that names a checkpoint: over its weights, configuration and tokenizer, nothing else.

    The lineage is not part of it, so that two runs that make the same model make the same digest.
    """
    rows = [
        (path.name, folders.sha256(path))
        for path in sorted(Path(folder).iterdir())
        if path.is_file() and (path.name in DIGESTED or path.suffix in (WEIGHTS, ".model"))
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
