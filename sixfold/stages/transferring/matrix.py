"""What trainings say together: a matrix a strategy, what was forgotten, and how strategies compare on the same rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sixfold.metrics import compare, transfer
from sixfold.stages.transferring.strategies import ALL

Result = dict[str, Any]


def matrix(found: Sequence[Result], columns: Sequence[str], figure: str) -> Result:
    """A strategy's matrix: trained on the row, tested on the column, each cell a metric or None.

    Args:
        found: results of its parts, in order.
        columns: domains that are tested on.
    """
    return {
        "rows": [one["row"] for one in found],
        "columns": list(columns),
        "cells": [[one["cells"].get(name, {}).get(figure) for name in columns] for one in found],
    }


def own(found: Sequence[Result], learnt: Sequence[str]) -> dict[str, Result]:
    """By learnt domain, the part that answers it in the end: that of its row, that of all domains, or the last one."""
    if found[0]["strategy"] == "sequential" or found[0]["row"] == ALL:
        return dict.fromkeys(learnt, found[-1])
    return {one["row"]: one for one in found}


def summary(found: Sequence[Result], learnt: Sequence[str], zero_shot: Sequence[str], figure: str) -> Result:
    """One strategy in a line: its mean score on its own domains and on others, what was learnt, and how long.

    ``learning`` counts the numbers that were trained, over all parts that are kept.
    """
    answers = own(found, learnt)
    scores = {name: float(one["cells"][name][figure]["value"]) for name, one in answers.items()}
    others = [one["cells"][name][figure]["value"] for one in found for name in zero_shot if name in one["cells"]]
    last = found[-1:] if found[0]["strategy"] == "sequential" else found
    return {
        "strategy": found[0]["strategy"],
        "average": float(np.mean(list(scores.values()))),
        "scores": scores,
        "zero_shot": float(np.mean(others)) if others else None,
        "learning": sum(one["learning"] for one in last),
        "parameters": last[0]["parameters"],
        "seconds": sum(one["training"]["seconds"] for one in found),
    }


def moved(found: Sequence[Result], untrained: Mapping[str, float], figure: str) -> Result:
    """Backward and forward transfer and forgetting of domains that were learnt one after another."""
    names = [one["row"] for one in found]
    scores = np.array([[one["cells"][name][figure]["value"] for name in names] for one in found], dtype=np.float64)
    start = np.array([untrained[name] for name in names])
    figures = {
        "average": transfer.average(scores),
        "backward": transfer.backward(scores),
        "forward": transfer.forward(scores, start),
        "forgetting": transfer.forgetting(scores),
    }
    return {name: None if math.isnan(value) else value for name, value in figures.items()}


def against(found: Sequence[Result], first: Sequence[Result], learnt: Sequence[str]) -> Result | None:
    """How a strategy's answers compare with another's on the same rows of all its domains; None without answers."""
    sides = [own(one, learnt) for one in (first, found)]
    if not all(one.get("right") for side in sides for one in side.values()):
        return None
    right = [np.concatenate([np.array(side[name]["right"][name], dtype=bool) for name in learnt]) for side in sides]
    return compare.accuracy(*right).to_dict()
