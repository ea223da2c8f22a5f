"""Tag sequences: which scheme they are in, and where they break it. Turning tags into targets is a task's business."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

TAG = re.compile(r"O|[BIES]-\S.*")


@dataclass
class Tagging:
    """Counts over the tag sequences seen so far.

    Attributes:
        entities: by type, as conlleval counts them.
        unknown: tags that are neither O nor B-, I-, E-, S- with a type.
        prefixes: letters seen.
        opened_by_i: entities that begin with I-: all are so in IOB1, none in BIO.
        opened_by_b: entities that begin with B- where IOB1 would not need it.
        broken: places where a BIOES sequence is cut short or begins in the middle.
    """

    entities: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    prefixes: Counter[str] = field(default_factory=Counter)
    opened_by_i: int = 0
    opened_by_b: int = 0
    broken: int = 0

    def add(self, tags: Sequence[str]) -> None:
        """Count one sequence; unknown tags count as O."""
        before, before_type = "O", ""
        for tag in [*tags, "O"]:
            if not TAG.fullmatch(tag):
                self.unknown[tag] += 1
                tag = "O"
            prefix, _, kind = tag.partition("-")
            goes_on = before in "BI" and before_type == kind and prefix in "IE"
            self.prefixes[prefix] += 1
            # Closed by E or S, or never open: nothing may go on. Left open by B or I: E must come some time.
            self.broken += (before in "BI" and not goes_on) + (prefix in "IE" and not goes_on)
            if prefix != "O" and not goes_on:
                self.entities[kind] += 1
                self.opened_by_i += prefix == "I"
                self.opened_by_b += prefix == "B" and not (before in "BI" and before_type == kind)
            before, before_type = prefix, kind

    @property
    def scheme(self) -> str:
        """``BIOES``, ``BIO``, ``IOB1``, ``mixed`` (I- and B- both begin entities), or ``none`` without entities."""
        if self.prefixes["E"] or self.prefixes["S"]:
            return "BIOES"
        if not self.opened_by_i:
            return "BIO" if self.prefixes["B"] else "none"
        return "mixed" if self.opened_by_b else "IOB1"
