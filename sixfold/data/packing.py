"""Documents into blocks of a fixed number of tokens, each kept whole, by best fit.

A block is one example of a pretraining run, so that every optimiser step sees about the same number of tokens. Where a
document ends is kept: the model is run so that none sees another (``models.forward``).
"""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Ragged


def best_fit(lengths: NDArray[np.int64], capacity: int) -> Ragged:
    """Best-fit decreasing: each document goes, the longest first, where it leaves the least room.

    As Ding et al. 2024 (arXiv:2404.10830) pack whole documents. Documents of one length and blocks with the same room
    are handled together, which gives the same packing in time that grows with the number of distinct lengths.

    Args:
        lengths: [documents] tokens in each, at least 1 and at most ``capacity``.
        capacity: tokens of a block.

    Returns:
        One run of document indices a block, longest document first; ties in the documents' order.
    """
    assert len(lengths) == 0 or (lengths.min() >= 1 and lengths.max() <= capacity)
    order = np.argsort(-lengths, kind="stable")
    block_of = np.empty(len(lengths), dtype=np.int64)
    room: dict[int, array[int]] = {}  # blocks by the room in them; a list of as many takes five times the memory
    open_rooms = 0  # bit r is set where a block has room for r tokens
    blocks = done = 0
    distinct, counts = np.unique(lengths, return_counts=True)
    for length, count in zip(distinct[::-1].tolist(), counts[::-1].tolist(), strict=True):
        left = count
        while left:
            above = open_rooms >> length
            if above:
                space = length + ((above & -above).bit_length() - 1)
                free = room[space]
            else:  # nothing fits: as many new blocks as it takes
                space, need = capacity, -(-left // (capacity // length))
                free = array("q", range(blocks, blocks + need))
                blocks += need
            # The block that was the best fit stays the best fit until it has no more room for this length.
            each = min(space // length, left)
            full = min(len(free), left // each)
            taken = free[len(free) - full :]
            del free[len(free) - full :]
            block_of[order[done : done + each * full]] = np.repeat(taken, each)
            done, left = done + each * full, left - each * full
            room.setdefault(space - each * length, array("q")).extend(taken)
            if free and above == 0:
                room.setdefault(space, array("q")).extend(free)
            open_rooms = _flagged(open_rooms, room, space, space - each * length)
    return _grouped(block_of, order, blocks)


def _flagged(flags: int, room: dict[int, array[int]], *spaces: int) -> int:
    for space in spaces:
        flags = flags | (1 << space) if room.get(space) else flags & ~(1 << space)
    return flags & ~1  # a full block takes nothing


def _grouped(block_of: NDArray[np.int64], order: NDArray[np.int64], blocks: int) -> Ragged:
    by_block = order[np.argsort(block_of[order], kind="stable")]
    offsets = np.zeros(blocks + 1, dtype=np.int64)
    np.cumsum(np.bincount(block_of, minlength=blocks), out=offsets[1:])
    return Ragged(by_block, offsets)
