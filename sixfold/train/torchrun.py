"""What torchrun tells a process about itself. Nothing here needs torch, so that any command may ask."""

from __future__ import annotations

import os

from sixfold.errors import UsageError


def started() -> tuple[int, int]:
    """This process's rank (0 is the first) and how many were started; (0, 1) without torchrun.

    Raises:
        UsageError: the environment says something else than torchrun would.
    """
    if "WORLD_SIZE" not in os.environ:
        return 0, 1
    rank, world = os.environ.get("RANK", ""), os.environ["WORLD_SIZE"]
    if not (rank.isdecimal() and world.isdecimal() and int(rank) < int(world)):
        raise UsageError(
            "RANK must be the number of one of WORLD_SIZE processes, counted from 0",
            where="environment",
            found=f"RANK={rank}, WORLD_SIZE={world}",
            hint="start the run with torchrun, which sets both; or unset both for one process",
        )
    return int(rank), int(world)


def on_one_machine() -> bool:
    """Whether all processes run on this machine."""
    return os.environ.get("LOCAL_WORLD_SIZE") == os.environ.get("WORLD_SIZE")


def local() -> tuple[int, int]:
    """This process's number among those of its machine, and how many these are."""
    return int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def attempt() -> str:
    """How often torchrun has started the processes again (``--max-restarts``)."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
