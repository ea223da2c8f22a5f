"""What the speed comparisons share: processes that take turns, a virtual environment for a peer, the machine's peak."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
VENVS = ROOT / ".bench"


def peer_python(name: str, packages: Sequence[str]) -> Path:
    """The interpreter of a peer's own virtual environment, made on first use."""
    folder = VENVS / name
    python = folder / "bin" / "python"
    stamp = folder / ".packages"
    wanted = "\n".join(packages)
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return python


@dataclass
class Peer:
    """A process that works when it is told to over standard input, and answers in lines of JSON."""

    name: str
    command: list[str]

    def start(self) -> int:
        """Start it; gives how much it is ready to do."""
        environment = {
            **os.environ,
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
            "PYTHONWARNINGS": "ignore",
        }
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        return int(self.answer("ready")["ready"])

    def answer(self, key: str) -> dict[str, Any]:
        """The next line of JSON with ``key``; whatever else a peer prints is passed over."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{") and key in (found := _json(line)):
                return found
        raise SystemExit(f"{self.name} ended early (exit code {self.process.wait()})")

    def ask(self, line: str, key: str) -> dict[str, Any]:
        """Tell it a line, and wait for its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer(key)

    def end(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@dataclass
class Side(Peer):
    """Takes steps."""

    steps: int = 0
    done: int = 0
    seconds: float = 0.0

    def go(self, steps: int) -> None:
        told = self.ask(f"go {steps}", "step")
        self.seconds += told["seconds"]
        self.done = told["step"]


@dataclass
class Slicer(Peer):
    """Works on slices of some examples. ``told``: its answer to each slice."""

    seconds: float = 0.0
    told: list[dict[str, Any]] = field(default_factory=list)

    def go(self, start: int, end: int) -> None:
        self.told.append(self.ask(f"go {start} {end}", "slice"))
        self.seconds += self.told[-1]["seconds"]

    def all(self, key: str) -> list[Any]:
        """What it told of every example, in their order."""
        return [one for told in self.told for one in told[key]]


def take_slices(sides: Sequence[Slicer], examples: int, slices: int) -> None:
    """Let all sides work on every slice, in turns."""
    for side in sides:
        side.start()
    step = -(-examples // slices)
    for start in range(0, examples, step):
        for side in sides:
            side.go(start, min(examples, start + step))
    for side in sides:
        side.end()


def _json(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def take_turns(sides: Sequence[Side], share: float = 0.05) -> list[float]:
    """Run all sides to their end, a share of their steps at a time, in turns; gives the peak measured between turns."""
    peaks = []
    for side in sides:
        side.steps = side.start()
    while any(side.done < side.steps for side in sides):
        peaks.append(matrix_peak())
        for side in sides:
            if side.done < side.steps:
                side.go(max(1, round(side.steps * share)))
    for side in sides:
        side.answer("done")
        side.process.wait()
    return peaks


def matrix_peak(size: int = 1536, seconds: float = 0.4) -> float:
    """Multiplications and additions a second of an fp32 matrix product, by the faster of MKL and oneDNN.

    In a process that then lets go of the cores.
    """
    code = (
        "import time,torch\n"
        f"a=torch.randn({size},{size});b=torch.randn({size},{size})\n"
        "ways=[lambda: a@b]\n"
        "if torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn,'_linear_pointwise'):\n"
        " ways.append(lambda: torch.ops.mkldnn._linear_pointwise(a,b,None,'none',[],''))\n"
        "found=[]\n"
        "for way in ways:\n"
        " for _ in range(3): way()\n"
        " s=time.perf_counter();n=0\n"
        f" while time.perf_counter()-s<{seconds / 2}: way();n+=1\n"
        f" found.append(2*{size}**3*n/(time.perf_counter()-s))\n"
        "print(max(found))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(found.stdout)


def machine() -> str:
    """The processor and what runs on it, without the machine's name."""
    import torch

    model = (
        next(
            (
                line.split(":", 1)[1].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if "model name" in line
            ),
            platform.processor(),
        )
        if Path("/proc/cpuinfo").exists()
        else platform.processor()
    )
    features = torch.backends.cpu.get_cpu_capability()
    return f"{model}, {os.cpu_count()} cores, {features}, torch {torch.__version__}, {date.today()}"
