"""The C library's heap: kept between the steps of a training run, given back between chunks of predictions.

Only glibc is asked; elsewhere these do nothing.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_LARGEST_IN_HEAP = 32 * 2**20
"""glibc takes no higher mmap threshold."""
_USUAL_TRIM = 2 * _LARGEST_IN_HEAP
"""Where glibc's own adjustment ends."""
_NEVER = 2**31 - 1


@contextmanager
def heap_kept() -> Iterator[None]:
    """Memory that a step frees stays with the process, for the next step.

    Otherwise glibc hands it to the system at every step's end and takes it again, page by page: 2,000 to 7,000 page
    faults a step of 640 tokens, 3 to 5 per cent of its time.
    """
    adjust = _function("mallopt")
    if adjust is None:
        yield
        return
    adjust(_MMAP_THRESHOLD, _LARGEST_IN_HEAP)
    adjust(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        adjust(_TRIM_THRESHOLD, _USUAL_TRIM)
        give_back()


def give_back() -> None:
    """Hand the memory that is free inside the heap back to the system; do so between chunks of work.

    Each batch has other sizes than the one before, so its tensors seldom fit the holes that earlier ones left: bytes
    in use stay the same and the heap grows. It takes some 20 ms.
    """
    trim = _function("malloc_trim")
    if trim is not None:
        trim(0)


def _function(name: str) -> ctypes._NamedFuncPointer | None:
    """musl has neither."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
