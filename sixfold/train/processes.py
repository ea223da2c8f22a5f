"""The processes of one run, as torchrun starts them: how they find each other, talk, and notice that one has ended.

The first (rank 0) runs the recipe; the others wait for what it tells them. A message is JSON and arrays of numbers,
never a pickle. What is done together is in ``many.py``.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from sixfold.errors import SixfoldError, UsageError
from sixfold.train import state as states
from sixfold.train.torchrun import attempt, local, on_one_machine, started

MEETING = timedelta(minutes=10)
"""Until all processes have begun, at the most."""

PATIENCE = timedelta(days=7)
"""The others wait while the first reads a corpus or evaluates. A process that ends is noticed at once all the same."""

SEEN_WITHIN = 3.0
"""Seconds until torchrun has taken note of a process that ended, at the most; until then its number is in use."""

_current: Processes | None = None


@dataclass(frozen=True)
class Message:
    """What the first process tells the others.

    Attributes:
        do: what is to be done.
        content: plain data for it.
        arrays: numbers for it.
    """

    do: str
    content: Mapping[str, Any]
    arrays: Mapping[str, NDArray]

    def packed(self) -> tuple[bytes, bytes]:
        """The message's JSON, and its numbers end to end."""
        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays.items()}
        about = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
        head = {"do": self.do, "content": self.content, "arrays": about}
        return json.dumps(head).encode(), b"".join(array.tobytes() for array in arrays.values())

    @classmethod
    def unpacked(cls, head: bytes, body: bytes) -> Message:
        told = json.loads(head)
        arrays, start = {}, 0
        for name, (kind, shape) in told["arrays"].items():
            dtype = np.dtype(kind)
            count = int(np.prod(shape, dtype=np.int64))
            arrays[name] = np.frombuffer(body, dtype, count, start).reshape(shape)
            start += count * dtype.itemsize
        return cls(told["do"], told["content"], arrays)


@dataclass
class Processes:
    """All processes of the run, seen from one of them.

    Attributes:
        rank: this process's number; 0 is the first.
        world: how many there are.
        pids: one a process; empty where some run on another machine.
        store: what torchrun keeps for all of them.
        folder: where the states of the training under way are kept.
        broken: one of them ended, or stopped in the middle of something: no message would arrive any more.
    """

    rank: int
    world: int
    pids: list[int]
    store: dist.Store
    folder: Path | None = None
    broken: bool = field(default=False)

    def tell(
        self, do: str, content: Mapping[str, Any] | None = None, arrays: Mapping[str, NDArray] | None = None
    ) -> None:
        """Send a message to all others. They are waiting for one."""
        head, body = Message(do, content or {}, arrays or {}).packed()
        dist.broadcast(torch.tensor([len(head), len(body)]), 0)
        dist.broadcast(torch.frombuffer(bytearray(head + body), dtype=torch.uint8), 0)

    def heard(self) -> Message:
        """Wait for a message of the first process."""
        sizes = torch.zeros(2, dtype=torch.int64)
        dist.broadcast(sizes, 0)
        head, body = sizes.tolist()
        buffer = torch.empty(head + body, dtype=torch.uint8)
        dist.broadcast(buffer, 0)
        told = buffer.numpy().tobytes()
        return Message.unpacked(told[:head], told[head:])

    @contextmanager
    def together(self) -> Iterator[None]:
        """A stretch that all take part in. What breaks it off here leaves the others waiting.

        Raises:
            SixfoldError: another process ended.
        """
        try:
            yield
        except BaseException as error:
            self.broken = True
            if isinstance(error, RuntimeError):
                ended = self.ended(SEEN_WITHIN)
                if ended or _is_connection(error):
                    raise self.lost(ended) from error
            raise

    def ended(self, seconds: float = 0.0) -> list[int]:
        """Ranks of the processes of this machine that are no more; waits so long for one."""
        until = time.monotonic() + seconds
        while True:
            found = [rank for rank, pid in enumerate(self.pids) if rank != self.rank and not _lives(pid)]
            if found or time.monotonic() >= until or not self.pids:
                return found
            time.sleep(0.05)

    def first_to_tell(self) -> bool:
        """Whether no process has told yet why the run ends. From now on, one has."""
        try:
            return self.store.add("told", 1) == 1
        except RuntimeError:  # the store went with the process that kept it
            return True

    def lost(self, ended: list[int]) -> SixfoldError:
        """The error that tells who ended, and from where the run will go on."""
        who = " and ".join(f"process {rank}" for rank in ended) + f" of {self.world}" if ended else "another process"
        return self._over(f"{who} ended (they are counted from 0), and the run with it")

    def stopped(self) -> SixfoldError:
        """The error for SIGTERM: torchrun sends it when one process ended, and a person to stop the run."""
        ended = self.ended()
        return self.lost(ended) if ended else self._over("the run was told to end (SIGTERM)")

    def _over(self, what: str) -> SixfoldError:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it would cut off the message
        if self.folder is None:
            hint = "start the same command again: it goes on from what was saved"
            return SixfoldError(f"{what}; no training was under way", hint=hint)
        saved = states.newest(self.folder)
        if saved is None:
            return SixfoldError(
                f"{what}; no state was saved yet", where=self.folder, hint="start the same command again"
            )
        step, path = saved
        return SixfoldError(
            f"{what}; the last saved state is of step {step:,}",
            where=path,
            hint="start the same command again: it goes on from there",
        )


def _is_connection(error: RuntimeError) -> bool:
    """Whether gloo or NCCL says that the other side is gone."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def current() -> Processes | None:
    """The processes that this one has joined; None when it is alone."""
    return _current


@contextmanager
def joined() -> Iterator[Processes | None]:
    """Find the other processes, and part from them at the end. None when there are no others.

    Raises:
        UsageError: there are fewer GPUs than processes, or the processes do not find each other.
    """
    global _current
    rank, world = started()
    if world == 1:
        yield None
        return
    if on_one_machine() and sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nothing on the network, where others may listen
    backend = "cpu:gloo,cuda:nccl" if _takes_gpu() else "gloo"
    store = _store(rank, world)
    met(store, rank, world, MEETING)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=PATIENCE)
    pids = torch.zeros(world, dtype=torch.int64)
    pids[rank] = os.getpid()
    dist.all_reduce(pids)
    processes = Processes(rank, world, pids.tolist() if on_one_machine() else [], store)
    before = _settled(processes)
    _current = processes
    try:
        yield processes
        if rank == 0:
            with processes.together():
                processes.tell("end")
    except BaseException:
        if rank == 0:
            processes.first_to_tell()
            if not processes.broken:
                processes.tell("end")
        raise
    finally:
        _current = None
        _part(processes)
        for which, handler in before.items():
            signal.signal(which, handler)


def _part(processes: Processes) -> None:
    """End the group, and its threads with it: one that lets go of a tensor while Python ends would abort the process.

    What still holds the group keeps the threads, so what is left of models goes first.
    """
    if not processes.broken:
        dist.barrier()
        gc.collect()
        dist.destroy_process_group()


def _store(rank: int, world: int) -> dist.Store:
    """Where all processes can leave a note for each other; torchrun keeps it, or else the first process."""
    try:
        store, *_ = next(dist.rendezvous("env://", rank, world, timeout=MEETING))
    except (dist.DistError, ValueError) as error:
        place = [f"{name}={os.environ[name]}" for name in ("MASTER_ADDR", "MASTER_PORT") if name in os.environ]
        raise UsageError(
            "the processes do not find each other",
            where=", ".join(place) or "environment",
            found=str(error).splitlines()[0],
            hint="start the run with torchrun, which sets MASTER_ADDR and MASTER_PORT",
        ) from error
    return dist.PrefixStore(f"sixfold {attempt()}", store)


def met(store: dist.Store, rank: int, world: int, patience: timedelta) -> None:
    """Wait until all processes have begun.

    Raises:
        UsageError: two have the same number, they were told different numbers of processes, or not all came in time.
    """
    hint = "start the run with torchrun, which numbers the processes"
    if store.add(f"process {rank}", 1) > 1:
        raise UsageError("two processes have the same number", where="environment", found=f"RANK={rank}", hint=hint)
    told = store.compare_set("world", "", str(world)).decode()
    if told != str(world):
        found = f"WORLD_SIZE={world} here, {told} elsewhere"
        raise UsageError("the processes disagree how many they are", where="environment", found=found, hint=hint)
    try:
        store.wait([f"process {number}" for number in range(world)], patience)
    except dist.DistStoreError as error:
        missing = [str(number) for number in range(world) if not store.check([f"process {number}"])]
        raise UsageError(
            f"not all of {world} processes began within {patience.total_seconds():g} seconds",
            found=f"RANK={', '.join(missing)} missing",
            hint="look at what they say, or start fewer",
        ) from error


def _takes_gpu() -> bool:
    """Give each process of this machine a GPU of its own."""
    if not torch.cuda.is_available():
        return False
    (here, processes), gpus = local(), torch.cuda.device_count()
    if processes > gpus:
        if here:
            raise SystemExit(UsageError.exit_code)  # the first of this machine says why
        raise UsageError(
            "there are more processes than GPUs",
            where="--nproc-per-node",
            found=f"{processes} processes, {gpus} GPUs",
            hint=f"start {gpus} with --nproc-per-node {gpus}",
        )
    torch.cuda.set_device(here)
    return True


def _settled(processes: Processes) -> dict[int, Any]:
    """Signals while the processes work together; gives what was done with them before.

    Ctrl-C reaches all of them, and the first decides. torchrun sends SIGTERM when one has ended: the first tells so at
    once; another learns it from the connection, and must live long enough to tell when it is the first that ended.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}

    def told(which: int, frame: Any) -> None:
        if processes.rank == 0:
            processes.broken = True
            raise processes.stopped()

    before: dict[int, Any] = {signal.SIGTERM: signal.signal(signal.SIGTERM, told)}
    if processes.rank > 0:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    return before
