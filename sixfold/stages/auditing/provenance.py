"""Where the checkpoint comes from: the stages before it, the base, the data, and their licences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sixfold.data import catalogue as data_sets
from sixfold.models import catalogue as base_models
from sixfold.models import lineage

Result = dict[str, Any]
UNKNOWN = "not known here: ask whoever gave it"


def provenance(folder: Path, history: Mapping[str, Any]) -> Result:
    """The chain of stages, the checkpoint's own first, and the licences of what went into them."""
    chain = list(_chain(folder, history))
    licences = {}
    for one in chain:
        for kind, name, licence in _licences(one):
            licences[kind, name] = licence
    return {
        "chain": [_told(one) for one in chain],
        "licences": [{"kind": kind, "name": name, "licence": licence} for (kind, name), licence in licences.items()],
        "whole": not chain or _is_base(chain[-1]),
    }


def _chain(folder: Path, history: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The lineages that lead here, as far as their checkpoints lie in the same run."""
    others = {}
    for path in sorted(folder.resolve().parent.parent.glob(f"*/checkpoint/{lineage.FILE}")):
        others[lineage.digest_folder(path.parent)] = lineage.read(path.parent)
    seen = set()
    here: Mapping[str, Any] = history
    while here:
        yield here
        parent = here.get("parent")
        if parent is None or parent in seen:
            return
        seen.add(parent)
        here = others.get(parent, {})


def _is_base(one: Mapping[str, Any]) -> bool:
    """Whether nothing of ours stands before: it was made from a base that has a name, or from nothing."""
    return one.get("base") not in (None, "the stage before")


def _told(one: Mapping[str, Any]) -> Result:
    return {
        "stage": one.get("stage", ""),
        "created": one.get("created", ""),
        "base": one.get("base", ""),
        "parent": one.get("parent"),
        "data": dict(one.get("data") or {}),
        "source": _source(one),
        "seed": one.get("seed"),
        "versions": dict(one.get("versions") or {}),
    }


def _source(one: Mapping[str, Any]) -> str:
    config = one.get("config") or {}
    found = (config.get("data") or config.get("corpus") or {}).get("source")
    return "" if found is None else str(found)


def _licences(one: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    base = one.get("base")
    if _is_base(one) and base != "scratch" and not str(base).startswith("a new "):
        known = {model.name: model.licence for model in base_models.entries()}
        yield "base", str(base), known.get(str(base), UNKNOWN)
    if source := _source(one):
        known = {entry.name: entry.licence for entry in data_sets.entries()}
        yield "data", source, known.get(source, UNKNOWN)
