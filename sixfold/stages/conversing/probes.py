"""Contradiction probes: a user states a fact, talks of something else, and asks about it.

Of three answers one fits, and two say something else in the same words. A model that follows the conversation finds
the fitting one likeliest; one that does not is right a third of the time. People and places are invented.

Most probes ask for a word that stands in the conversation once, and a model that finds it again is right. Those about a
``correction`` and a ``yes or no`` need more: words of their wrong answers stand there too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Probe:
    """A short conversation and three answers to its last turn.

    Attributes:
        language: ``en`` or ``zh``.
        about: what kind of fact it is.
        turns: user and assistant in turn; the user's first and last.
        fits: the answer that agrees with what was said.
        contradicts: two that do not.
    """

    language: str
    about: str
    turns: tuple[str, ...]
    fits: str
    contradicts: tuple[str, str]


def _read() -> tuple[Probe, ...]:
    lines = (Path(__file__).parent / "probes.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(
        Probe(one["language"], one["about"], tuple(one["turns"]), one["fits"], tuple(one["contradicts"]))
        for one in map(json.loads, lines)
    )


PROBES = _read()
