"""What a plan says, and how a terminal shows it. How it is found out: ``sixfold/planning.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import RenderableType

from sixfold.commands.show import rendered
from sixfold.report import show
from sixfold.report.blocks import Block, Cell, Format, Notice, table

ROOMY = 0.9
"""Of the memory that is free: what a plan may take without a warning, since it is right to a fifth."""


@dataclass(frozen=True)
class Seconds:
    """Wall time of a stage on this machine.

    Attributes:
        preparing: from reading rows to the first step.
        training: all steps.
        evaluating: all answers, while training and after it, and judging them.
        writing: saved states, the checkpoint, and texts that a decoder writes.
        attacking: of a harden stage, before, after and in between.
    """

    preparing: float
    training: float
    evaluating: float
    writing: float
    attacking: float = 0.0

    @property
    def whole(self) -> float:
        return self.preparing + self.training + self.evaluating + self.writing + self.attacking


@dataclass(frozen=True)
class StagePlan:
    """What one stage will take.

    Attributes:
        name: the stage's folder.
        parameters, learning: of the model, and those that training changes.
        examples, epoch_tokens: to learn from in one epoch.
        steps, tokens: of the whole training.
        may_stop: whether training may end before that, when the score gets no better.
        training_flops, evaluating_flops: floating-point operations.
        memory: bytes of the process at most, by phase.
        gpu_memory: bytes of this machine's GPU at most; 0 without one.
        checkpoint, log: bytes that stay on disk.
        state: bytes of a saved state. While one is written, the one before it stands.
        store: bytes of tokens on disk while training.
        seconds: on this machine.
        while_training: seconds of those for evaluating that fall between steps.
        gpus: estimated seconds of training and evaluating, by the GPU's name; None where its memory does not suffice.
    """

    name: str
    kind: str
    parameters: int
    learning: int
    examples: int
    epoch_tokens: int
    steps: int
    tokens: int
    may_stop: bool
    training_flops: float
    evaluating_flops: float
    memory: Mapping[str, int]
    gpu_memory: int
    checkpoint: int
    log: int
    state: int
    store: int
    seconds: Seconds
    while_training: float
    gpus: Mapping[str, float | None]

    @property
    def peak(self) -> int:
        """Bytes of memory at most."""
        return max(self.memory.values())

    @property
    def passing(self) -> int:
        """Bytes on disk while it trains, that go when it is done."""
        return 2 * self.state + self.store


@dataclass(frozen=True)
class Plan:
    """What a recipe will take, as if nothing of it were done yet.

    Attributes:
        recipe: its name.
        starting: seconds until the program can begin.
        reporting: seconds of the report at the end.
        stages: in order.
        free_memory, free_disk, free_gpu: bytes here, now; None where the system does not tell.
    """

    recipe: str
    starting: float
    reporting: float
    stages: tuple[StagePlan, ...]
    free_memory: int | None
    free_disk: int | None
    free_gpu: int | None

    @property
    def seconds(self) -> float:
        """From the command to its end, unless training stops early."""
        return self.starting + self.reporting + sum(stage.seconds.whole for stage in self.stages)

    @property
    def peak(self) -> int:
        """Bytes of memory at most."""
        return max(stage.peak for stage in self.stages)

    @property
    def disk(self) -> int:
        """Bytes on disk at most."""
        kept = most = 0
        for stage in self.stages:
            kept += stage.checkpoint + stage.log
            most = max(most, kept + stage.passing)
        return most

    @property
    def lacking(self) -> list[str]:
        """A sentence for each thing that this machine has too little of."""
        gpu = max(stage.gpu_memory for stage in self.stages)
        wanted = (
            ("memory", self.peak, self.free_memory, "a smaller train.micro_tokens takes less, and changes no result"),
            ("GPU memory", gpu, self.free_gpu, "a smaller train.micro_tokens takes less, and changes no result"),
            ("disk", self.disk, self.free_disk, "`sixfold prune` shows what runs take up"),
        )
        return [
            f"{what} may not suffice: {size(need)} needed, {size(free)} free here; {advice}"
            for what, need, free, advice in wanted
            if free is not None and need > (ROOMY * free if what != "disk" else free)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, with the sums that the table shows."""
        sums = {"seconds": self.seconds, "peak": self.peak, "disk": self.disk, "lacking": self.lacking}
        return {**asdict(self), **sums}


def size(count: float) -> str:
    """Bytes as a person reads them: ``1.24 GB``."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if (value := count / factor) >= 1:
            return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    return f"{count:,.0f} B"


def shown(plan: Plan) -> RenderableType:
    """Tables for a terminal: what it takes here, and what other machines might take."""
    blocks: list[Block] = [_here(plan), _elsewhere(plan)]
    blocks.append(
        Notice("note", "Times on GPUs are estimates from data sheets (~), of computing alone. None is measured.")
    )
    if any(stage.seconds.attacking for stage in plan.stages):
        blocks.append(Notice("note", "Attacks are timed on a few rows each, and left out of the times on GPUs."))
    if any(stage.may_stop for stage in plan.stages):
        blocks.append(Notice("note", "Times are of all steps; training stops earlier when the score gets no better."))
    blocks += [Notice("warning", sentence) for sentence in plan.lacking]
    return rendered(blocks)


Row = tuple[str, Callable[[StagePlan], str], str]
"""A line of the table: what it is, the cell of a stage, and the cell of the whole recipe."""


def _here(plan: Plan) -> Block:
    stages = plan.stages

    def most(value: Callable[[StagePlan], float], written: Callable[[float], str]) -> str:
        return written(max(map(value, stages)))

    def time(name: str) -> Row:
        return (
            f"  {name}",
            lambda stage: show.duration(getattr(stage.seconds, name)),
            show.duration(sum(getattr(stage.seconds, name) for stage in stages)),
        )

    operations = sum(stage.training_flops + stage.evaluating_flops for stage in stages)
    gpu: list[Row] = [("peak GPU memory", lambda stage: size(stage.gpu_memory), most(lambda s: s.gpu_memory, size))]
    rows: list[Row] = [
        ("parameters", lambda stage: _millions(stage.parameters), ""),
        ("  learning", lambda stage: _millions(stage.learning), ""),
        ("examples", lambda stage: show.count(stage.examples), ""),
        ("  tokens in them", lambda stage: show.count(stage.epoch_tokens), ""),
        ("steps", lambda stage: show.count(stage.steps), show.count(sum(stage.steps for stage in stages))),
        ("  tokens in them", lambda stage: show.count(stage.tokens), show.count(sum(stage.tokens for stage in stages))),
        (
            "floating-point operations",
            lambda stage: _power(stage.training_flops + stage.evaluating_flops),
            _power(operations),
        ),
        ("peak memory", lambda stage: size(stage.peak), size(plan.peak)),
        *(gpu if any(stage.gpu_memory for stage in stages) else []),
        ("disk", lambda stage: size(stage.checkpoint + stage.log + stage.passing), size(plan.disk)),
        ("  checkpoint", lambda stage: size(stage.checkpoint), size(sum(stage.checkpoint for stage in stages))),
        ("  a saved state", lambda stage: size(stage.state), most(lambda s: s.state, size)),
        ("  tokens", lambda stage: size(stage.store), most(lambda s: s.store, size)),
        ("time here", lambda stage: show.duration(stage.seconds.whole), show.duration(plan.seconds)),
        *(time(name) for name in ("preparing", "training", "evaluating", "writing")),
        *([time("attacking")] if any(stage.seconds.attacking for stage in stages) else []),
        ("  starting, reporting", lambda stage: "", show.duration(plan.starting + plan.reporting)),
    ]
    columns = [*(stage.name for stage in stages), "in all"]
    cells: list[list[Cell]] = [[name, *(cell(stage) for stage in stages), whole] for name, cell, whole in rows]
    return _table("", columns, cells)


def _elsewhere(plan: Plan) -> Block:
    names = list(plan.stages[0].gpus)
    rows: list[list[Cell]] = [
        [name, *(_estimate(stage.gpus[name]) for stage in plan.stages), _estimate(_whole(plan, name))] for name in names
    ]
    return _table("training, evaluating on", [*(stage.name for stage in plan.stages), "in all"], rows)


def _whole(plan: Plan, gpu: str) -> float | None:
    found = [seconds for stage in plan.stages if (seconds := stage.gpus[gpu]) is not None]
    return sum(found) if len(found) == len(plan.stages) else None


def _estimate(seconds: float | None) -> str:
    return "too small" if seconds is None else f"~ {show.duration(seconds)}"


def _table(first: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Block:
    heads: list[tuple[str, Format]] = [(first, "text"), *((name, "text") for name in columns)]
    return table(heads, [list(row) for row in rows])


def _power(value: float) -> str:
    """``1.23×10¹⁴``."""
    mantissa, power = f"{value:.2e}".split("e")
    return f"{mantissa}×10{str(int(power)).translate(show.SUPERSCRIPTS)}"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.2f}M" if count >= 1e6 else f"{count:,}"
