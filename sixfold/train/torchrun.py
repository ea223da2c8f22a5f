"""What torchrun tells a process about itself. Nothing here needs torch, so that any command may ask."""

from __future__ import annotations

import os


def started() -> tuple[int, int]:
    """This process's rank (0 is the first) and how many were started; (0, 1) without torchrun."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def on_one_machine() -> bool:
    """Whether all processes run on this machine."""
    return os.environ.get("LOCAL_WORLD_SIZE") == os.environ.get("WORLD_SIZE")


def local_rank() -> int:
    """This process's number among those of its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))
