"""Standard output whose reader may go away, such as ``| head``."""

from __future__ import annotations

import os
import sys


def let_go() -> None:
    """After a BrokenPipeError: what is left in the buffer must not raise again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
