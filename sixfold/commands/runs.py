"""Which stages a run's folder has. A folder that an earlier recipe of the same name left is no part of the run."""

from __future__ import annotations

import json
from pathlib import Path

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


def _listed(run: Path) -> set[str] | None:
    try:
        return set(json.loads((run / LISTED).read_text(encoding="utf-8"))["stages"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
