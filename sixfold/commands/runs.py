"""What a run is called, and which stages its folder has.

A folder that an earlier recipe of the same name left is no part of the run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LISTED = "run.json"
"""Written when a run begins: ``{"stages": [folder, ...]}``, in order."""


def stages_in(run: Path, having: str) -> list[Path]:
    """The folders of a run's stages that hold the file ``having``, in order."""
    found = sorted(path.parents[having.count("/")] for path in run.glob(f"*/{having}"))
    listed = _listed(run)
    return found if listed is None else [path for path in found if path.name in listed]


def strangers(run: Path) -> list[str]:
    """Names of the stage folders that the run's recipe no longer has."""
    listed = _listed(run)
    names = sorted(path.parent.name for path in run.glob("*/stage.json"))
    return [] if listed is None else [name for name in names if name not in listed]


def run_name(source: Any) -> str:
    """What a run is called when nobody says: the file's name without its endings, or the catalogue name.

    Empty for rows in memory. Of several files the first one's, or its folder's where it is named by a pattern.
    """
    if isinstance(source, Mapping):
        source = list(source.values())
    if isinstance(source, list | tuple):
        return run_name(source[0]) if source and isinstance(source[0], str | Path | list | tuple) else ""
    if not isinstance(source, str | Path):
        return ""
    path = Path(source)
    if path.suffix in (".gz", ".zst"):
        path = path.with_suffix("")
    named = path.parent.name if re.search(r"[*?\[]", path.name) else path.stem
    return folder_name(named)


def called(checkpoint: str | Path) -> str:
    """What a checkpoint is called: the folder that it lies in, be it a run's or a stage's."""
    return [part for part in Path(checkpoint).resolve().parts if part != "checkpoint"][-1]


def folder_name(text: str) -> str:
    """What is left of a text when a folder is named after it."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")


def _listed(run: Path) -> set[str] | None:
    try:
        return set(json.loads((run / LISTED).read_text(encoding="utf-8"))["stages"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
