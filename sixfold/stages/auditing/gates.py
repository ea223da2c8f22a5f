"""Gates: figures that a checkpoint must reach, each judged by the worse end of its 95 % interval.

A gate is written as one reads it: ``accuracy >= 0.9``, ``accuracy_under_attack.pwws >= 40 %``, ``canary_exposure < 5``.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sixfold.errors import UsageError, nearest
from sixfold.report import show
from sixfold.text.counting import counted

Result = dict[str, Any]
_WRITTEN = re.compile(
    r"\s*(?P<name>[^\s<>=]+)\s*(?P<sign>>=|<=|>|<)\s*(?P<bound>[-+]?\d+(?:\.\d+)?)\s*(?P<percent>%?)\s*"
)
_SIGNS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Gate:
    """One rule.

    Attributes:
        name: of the figure.
        sign: ``>=``, ``>``, ``<=`` or ``<``.
        bound: what it is held against.
    """

    name: str
    sign: str
    bound: float

    @classmethod
    def read(cls, written: str) -> Gate:
        """A gate from its text. Raises ValueError where it is not one."""
        found = _WRITTEN.fullmatch(written)
        if found is None:
            raise ValueError(
                f"a gate is a figure, one of >= > <= <, and a number, such as accuracy >= 0.9: {written!r}"
            )
        return cls(found["name"], found["sign"], float(found["bound"]) / (100 if found["percent"] else 1))

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.bound:g}"

    @property
    def end(self) -> str:
        """Which end of an interval is the worse one: ``low`` where more is better, else ``high``."""
        return "low" if self.sign.startswith(">") else "high"


@dataclass(frozen=True)
class Judged:
    """A gate and what came of it.

    Attributes:
        metric: the figure as ``Metric.to_dict`` gives it; None where nothing was measured.
        worst: the end of the interval that was judged.
    """

    gate: str
    name: str
    passed: bool
    metric: Result | None
    worst: float | None
    bound: float

    def to_dict(self) -> Result:
        """Plain JSON data."""
        return asdict(self)


def check(gates: Iterable[Gate], known: Collection[str]) -> None:
    """Refuse gates on figures that this audit will not measure. Raises UsageError for all of them at once."""
    strange = [gate for gate in gates if gate.name not in known]
    if not strange:
        return
    told = []
    for gate in strange:
        best = nearest(gate.name, known)
        told.append(f"  {gate}: there is no figure {gate.name!r}" + (f"; did you mean {best!r}?" if best else ""))
    listed = ", ".join(sorted(known))
    raise UsageError(
        f"{counted(len(strange), 'gate')} cannot be judged:\n" + "\n".join(told),
        where="gates",
        hint=f"this audit measures {listed}",
    )


def judge(gates: Sequence[Gate], metrics: Mapping[str, Result]) -> list[Judged]:
    """Judge each gate. A figure that could not be measured, or has no interval, does not pass."""
    return [_judged(gate, metrics.get(gate.name)) for gate in gates]


def _judged(gate: Gate, metric: Result | None) -> Judged:
    worst = None if metric is None else metric[gate.end]
    passed = worst is not None and math.isfinite(worst) and _SIGNS[gate.sign](worst, gate.bound)
    return Judged(str(gate), gate.name, passed, metric, worst, gate.bound)


def refusal(judged: Sequence[Judged]) -> Result | None:
    """What is told when a gate failed, as the parts of an error; None when none did."""
    failed = [one for one in judged if not one.passed]
    if not failed:
        return None
    return {
        "what": f"{len(failed)} of {counted(len(judged), 'gate')} failed",
        "found": "; ".join(f"{one.gate}: {told(one.metric)}" for one in failed),
        "hint": "the report shows them first; a gate is held against the worse end of the interval, so more rows help "
        "a figure that is good but unsure",
    }


def told(metric: Mapping[str, Any] | None) -> str:
    """A figure with its interval as a person reads it."""
    if metric is None or metric["value"] is None:
        return "not measured"
    bare = ", without an interval" if metric["low"] is None or metric["high"] is None else ""
    return f"{show.interval(metric)}{bare} (n={metric['count']:,})"
