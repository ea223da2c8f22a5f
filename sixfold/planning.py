"""A plan of a recipe: every stage rehearsed in a process of its own, and what that tells of the whole.

A process that has done something else before would hold that, too, and its peak memory would be another. Run as a
module, this file is that process. What is measured stands in ``stages/rehearsal.py``; a plan, in ``commands/plan.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sixfold import errors
from sixfold.commands.importing import uncollected
from sixfold.commands.plan import Plan, Seconds, StagePlan
from sixfold.errors import SixfoldError, UsageError
from sixfold.fetch.folders import storage_error

if TYPE_CHECKING:
    from sixfold.recipe import Recipe

SECONDS = 10.0
"""Of training that are measured in each stage."""
REPORTING = 0.5
"""More seconds of a run: its report, and the program's end."""
ORDER, FOUND, REFUSED = "order.json", "found.json", "refused.json"
STATE_BYTES = 16
"""Of a saved state, for a parameter that learns: itself, its best value, and AdamW's two moments, in fp32."""
KILLED = -9
"""Exit code of a process that the system ended for want of memory."""
NO_MEMORY = "can't allocate memory"
"""What torch says when it gets no memory on the CPU (``c10/core/impl/alloc_cpu.cpp``)."""


def plan(
    recipe: Recipe,
    *,
    runs: Path = Path("runs"),
    seconds: float = SECONDS,
    tell: Callable[[str], None] = lambda line: None,
) -> Plan:
    """What a recipe will take on this machine, and about what on some GPUs.

    Every stage is prepared as it would be, trains for some seconds, and answers a part of what it is measured on.
    Nothing of a run is read or written; the folder beside the runs that this works in is removed in any case.

    Args:
        recipe: its rows must be in files or of the catalogue, not in memory.
        runs: where the run would be; tells which disk is meant.
        seconds: of training that are measured in each stage.
        tell: takes lines for a person while it goes on.

    Raises:
        UsageError: rows in memory, or no time to measure.
        SixfoldError: whatever a stage refuses; memory or disk do not suffice for the rehearsal itself.
    """
    if not seconds > 0:
        raise UsageError("a calibration takes some seconds", found=seconds, hint=f"such as {SECONDS:g}")
    content = _content(recipe)
    place = _existing(runs)
    with _removed(place) as folder:
        order = {"recipe": content, "seconds": seconds}
        found = _rehearsed(folder, order, tell)
    return Plan(
        recipe=recipe.name,
        starting=found["starting"],
        reporting=REPORTING,
        stages=tuple(_stage(one) for one in found["stages"]),
        free_memory=_free_memory(),
        free_disk=shutil.disk_usage(place).free,
        free_gpu=found["free_gpu"],
    )


def _content(recipe: Recipe) -> dict[str, Any]:
    """The recipe as another process can read it. Raises UsageError where it holds rows."""
    from sixfold.recipe import STAGES, chosen

    if not any(hasattr(STAGES[stage.kind], "job") for stage in chosen(recipe)):
        why = [getattr(STAGES[stage.kind], "UNPLANNED", "") for stage in chosen(recipe)]
        told = next((one for one in why if one), "nothing in this recipe is trained, so there is nothing to plan")
        raise UsageError(told, where=recipe.name)
    texts = (getattr(stage.config, "data", None) or getattr(stage.config, "corpus", None) for stage in chosen(recipe))
    if not all(text is None or _in_files(text.source) for text in texts):
        raise UsageError(
            "a plan is made in a process of its own, which cannot be handed rows in memory",
            where=recipe.name,
            hint="write them to a file, such as jsonl, and name it as the source",
        )
    return recipe.model_dump(mode="json", exclude_unset=True)


def _in_files(source: Any) -> bool:
    """Whether a source is named: a path, several, or one or several a split."""
    parts = source.values() if isinstance(source, Mapping) else [source]
    runs = (part if isinstance(part, list | tuple) else [part] for part in parts)
    return all(isinstance(one, str | Path) for run in runs for one in run)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    folder = folder.absolute()
    return next(one for one in (folder, *folder.parents) if one.is_dir())


@contextmanager
def _removed(place: Path) -> Iterator[Path]:
    """A folder that goes in any case, also when the process is told to end. Its name is one that ``prune`` knows."""

    def end(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    try:
        made = tempfile.mkdtemp(prefix=".plan-", suffix=f".tmp-{os.getpid()}", dir=place)
    except OSError as error:
        raise storage_error(error, place) from error
    changed = []
    try:
        if threading.current_thread() is threading.main_thread():
            named = (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP"))
            changed = [one for one in named if one is not None and signal.getsignal(one) is signal.SIG_DFL]
        for one in changed:
            signal.signal(one, end)
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        for one in changed:
            signal.signal(one, signal.SIG_DFL)


def _rehearsed(folder: Path, order: Mapping[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    """What the other process found. Raises what it refused."""
    (folder / ORDER).write_text(json.dumps({**order, "begun": time.time()}), encoding="utf-8")
    command = [sys.executable, "-m", "sixfold.planning", str(folder)]
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "encoding": "utf-8"}
    last = ""
    # a session of its own: Ctrl-C ends this process, and this one the other
    with subprocess.Popen(command, start_new_session=True, **options) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                last = line.rstrip("\n")
                tell(last)
        except BaseException:
            process.kill()
            raise
    with suppress(FileNotFoundError):
        _raise(json.loads((folder / REFUSED).read_text(encoding="utf-8")))
    if process.returncode == KILLED:
        raise _too_little(f"the system ended the rehearsal after: {last.strip()}")
    if process.returncode:
        raise RuntimeError(f"the rehearsal ended with exit code {process.returncode}; its message stands above")
    found: dict[str, Any] = json.loads((folder / FOUND).read_text(encoding="utf-8"))
    return found


def _too_little(found: str) -> SixfoldError:
    return SixfoldError(
        "this machine has too little memory for the recipe",
        found=found,
        hint="a smaller train.micro_tokens takes less and changes no result; else a smaller model or context",
    )


def _raise(told: dict[str, Any]) -> None:
    raise getattr(errors, told.pop("kind"))(told.pop("what"), **told)


def _stage(found: Mapping[str, Any]) -> StagePlan:
    """The plan of a stage from what its rehearsal found."""
    calibrated = found["calibrated"]
    whole = calibrated["whole"]
    looks = whole["evaluations"] * found["evaluation_seconds"]
    peaks = found["peaks"]
    flops = (found["training_flops"], found["scoring_flops"])
    return StagePlan(
        name=found["name"],
        kind=found["kind"],
        parameters=found["parameters"],
        learning=found["learning"],
        examples=found["examples"],
        epoch_tokens=found["epoch_tokens"],
        steps=whole["steps"],
        tokens=whole["tokens"],
        may_stop=found["may_stop"],
        training_flops=flops[0],
        evaluating_flops=flops[1],
        memory=peaks,
        gpu_memory=found["device_peak"],
        checkpoint=found["checkpoint_bytes"],
        log=found["log_bytes"],
        state=found["state_bytes"] or STATE_BYTES * found["learning"],
        store=found["tokens_bytes"],
        seconds=Seconds(
            preparing=found["prepare_seconds"] + found["start_seconds"] + calibrated["begin_seconds"],
            training=found["training_seconds"],
            evaluating=looks + found["scoring_seconds"],
            writing=calibrated["saves"] * calibrated["save_seconds"] + found["ending_seconds"],
            attacking=found["besides_seconds"],
        ),
        while_training=looks,
        gpus=_on_gpus(found, max(peaks.values())),
    )


def _on_gpus(found: Mapping[str, Any], peak: int) -> dict[str, float | None]:
    """What this process holds here, weights, optimiser and activations, a GPU has to hold, too."""
    from sixfold.train import flops

    whole = found["calibrated"]["whole"]
    return {
        gpu.name: None
        if peak > gpu.memory
        else flops.seconds_on(
            gpu,
            flops=found["training_flops"],
            learning=found["learning"],
            steps=whole["steps"],
            layers=found["layers"],
            micro_batches=whole["micro_batches"],
        )
        + found["scoring_flops"] / (flops.SHARE * gpu.peak)
        for gpu in flops.GPUS
    }


def _free_memory() -> int | None:
    """Bytes that a new process may take: what the system has left, and at most what it grants this group."""
    known = []
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable"):
                known.append(int(line.split()[1]) * 1024)
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # "max" where there is none
            known.append(int(Path(limit).read_text(encoding="ascii")))
    if not known:
        with suppress(AttributeError, OSError, ValueError):
            known.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(known, default=None)


def _rehearse(folder: Path) -> None:
    """The other process: rehearse all stages, in the order and with the leftovers of a real run."""
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    order = json.loads((folder / ORDER).read_text(encoding="utf-8"))
    with suppress(OSError):  # should memory run out, this process is the one to go
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    with uncollected():
        from sixfold import recipe as recipes
    import torch

    starting = time.time() - order["begun"]
    try:
        stages = list(_each(recipes, recipes.parse(order["recipe"]), folder, order["seconds"]))
    except SixfoldError as error:
        _refuse(folder, error)
    except OSError as error:
        _refuse(folder, storage_error(error, folder))
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and NO_MEMORY not in str(error):
            raise
        _refuse(folder, _too_little(str(error).splitlines()[0][:200]))
    free = torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else None
    found = {"starting": starting, "stages": stages, "free_gpu": free}
    (folder / FOUND).write_text(json.dumps(found), encoding="utf-8")


def _each(recipes: Any, recipe: Recipe, folder: Path, seconds: float) -> Iterator[dict[str, Any]]:
    from sixfold.stages.context import Context
    from sixfold.stages.rehearsal import Memory, rehearse

    parent: Path | None = None

    def tell(line: str) -> None:
        print(line, flush=True)

    for stage in recipes.chosen(recipe):
        tell(stage.headline)
        module = recipes.STAGES[stage.kind]
        if not hasattr(module, "job"):
            tell(f"  {getattr(module, 'UNPLANNED', 'it trains nothing, and what it asks of the model is not planned')}")
            continue
        context = Context(folder / stage.folder, recipe.seed, parent, tell)
        memory = Memory()
        begun = time.perf_counter()
        prepared = module.prepare(stage.config, context)
        took = time.perf_counter() - begun
        memory.mark("preparing")
        found = rehearse(module, stage.config, context, prepared, memory, seconds=seconds)
        parent = context.checkpoint
        yield {
            **asdict(found),
            "name": stage.folder,
            "kind": stage.kind,
            "prepare_seconds": took,
            "training_seconds": found.calibrated.training_seconds,
            "may_stop": found.watched and stage.config.train.patience is not None,
        }


def _refuse(folder: Path, error: SixfoldError) -> None:
    """Leave the error for the process that asked."""
    kind = next(one.__name__ for one in type(error).__mro__ if one.__module__ == errors.__name__)
    parts = {name: None if (value := getattr(error, name)) is None else str(value) for name in _PARTS}
    (folder / REFUSED).write_text(json.dumps({"kind": kind, **parts}), encoding="utf-8")
    raise SystemExit(error.exit_code)


_PARTS = ("what", "where", "found", "nearest", "hint")


if __name__ == "__main__":
    _rehearse(Path(sys.argv[1]))
