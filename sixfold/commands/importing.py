"""Importing torch and transformers without losing time to the garbage collector."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """For the first import of torch: no garbage collection inside, and none later of what was made inside.

    The two libraries make some 400,000 objects that stay until the process ends. Going over them again and again took
    a third of the time that a short command takes. Once torch is there, nothing is changed: a frozen object that is
    part of a cycle is never freed, and models are such objects.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
