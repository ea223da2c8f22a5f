"""What tasks share: many texts through a tokenizer with cuts counted, and where a row stands in its file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Ragged
from sixfold.errors import DataError, UsageError
from sixfold.metrics import calibration
from sixfold.tasks.contract import Cut, OnLong, Rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WINDOW_OVERLAP = 0.25
"""Share of a window that the next one repeats, so that no word is judged only at an edge."""


@dataclass(frozen=True)
class Frame:
    """The special tokens that a tokenizer puts around one text."""

    before: tuple[int, ...]
    after: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.before) + len(self.after)

    def around(self, ids: Sequence[int]) -> list[int]:
        return [*self.before, *ids, *self.after]


def frame(tokenizer: PreTrainedTokenizerBase) -> Frame:
    """Find the tokenizer's frame by encoding a text with and without special tokens."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a")["input_ids"]
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return Frame(tuple(full[:start]), tuple(full[start + len(bare) :]))
    raise AssertionError("the tokenizer changes a text when it adds special tokens")


def windows(length: int, room: int) -> list[tuple[int, int]]:
    """Cover ``length`` tokens by windows of at most ``room``, each repeating the end of the one before.

    The last window ends with the text, so that it is never a stub.
    """
    if length <= room:
        return [(0, length)]
    stride = max(1, room - int(room * WINDOW_OVERLAP))
    starts = list(range(0, length - room, stride))
    return [(start, start + room) for start in starts] + [(length - room, length)]


def parts_of(length: int, room: int) -> list[tuple[int, int]]:
    """Cut ``length`` tokens into parts of at most ``room``, as even as can be, so that none is a stub."""
    count = -(-length // room)
    ends = [length * number // count for number in range(count + 1)]
    return list(itertools.pairwise(ends))


@dataclass(frozen=True)
class Piece:
    """One example's share of a row: tokens [start, end) of the row without its frame."""

    row: int
    start: int
    end: int


def pieces(
    lengths: Sequence[int], limit: int, around: Frame, on_long: OnLong, *, overlap: bool = True
) -> tuple[list[Piece], Cut]:
    """Decide which tokens of each row become which example.

    Args:
        lengths: tokens of each row, without the frame.
        limit: tokens of an example, the frame's included; so are ``limit`` and ``longest`` of the cut.
        overlap: whether windows overlap; where each token is to be learnt once, they do not.

    Raises:
        UsageError: the limit leaves no room for a token beside the frame.
        DataError: a row is too long and ``on_long`` is ``error``; tells how many and how long.
    """
    room = limit - len(around)
    if room < 1:
        raise UsageError(
            f"max_tokens leaves no room for text: the special tokens alone are {len(around)}",
            found=limit,
            hint=f"set max_tokens to {len(around) + 1} or more",
        )
    out: list[Piece] = []
    long_rows = [row for row, length in enumerate(lengths) if length > room]
    longest = max(lengths, default=0) + len(around)
    if long_rows and on_long == "error":
        share = len(long_rows) / len(lengths)
        raise DataError(
            f"{len(long_rows):,} of {len(lengths):,} texts ({share:.1%}) are longer than the limit of {limit} tokens; "
            f"the longest has {longest:,}",
            where="rows " + ", ".join(str(row) for row in long_rows[:5]),
            hint="set on_long: truncate (keep the start) or on_long: window (split into overlapping windows)",
        )
    lost = added = 0
    for row, length in enumerate(lengths):
        if length <= room:
            out.append(Piece(row, 0, length))
        elif on_long == "truncate":
            out.append(Piece(row, 0, room))
            lost += length - room
        else:
            spans = windows(length, room) if overlap else parts_of(length, room)
            out += [Piece(row, start, end) for start, end in spans]
            added += len(spans) - 1
    cut = Cut(len(lengths), len(long_rows), lost, added, 0, longest, limit, tuple(long_rows[:5]))
    return out, cut


def framed(rows: Sequence[Sequence[int]], parts: Sequence[Piece], around: Frame) -> Ragged:
    """The pieces' token ids with the frame's special tokens."""
    return Ragged.of([around.around(rows[part.row][part.start : part.end]) for part in parts])


def word_ids(
    sentences: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase, *, spaced: bool
) -> tuple[list[list[int]], list[NDArray[np.int64]]]:
    """Token ids of sentences given as words, and each word's first token.

    Each distinct word is tokenised once. A word that leaves no token (a lone control character) gets the unknown
    token, so that every word can be judged.

    Args:
        spaced: whether words stand apart in running text (not so for Chinese characters).
    """
    words = sorted({word for sentence in sentences for word in sentence})
    lead = " " if spaced and _keeps_spaces(tokenizer) else ""
    spelt = [lead + word for word in words]
    ids = tokenizer(spelt, add_special_tokens=False, verbose=False)["input_ids"] if words else []
    unknown_id = tokenizer.unk_token_id if tokenizer.unk_token_id is not None else tokenizer.eos_token_id
    table = {word: found or [unknown_id] for word, found in zip(words, ids, strict=True)}
    rows, firsts = [], []
    for sentence in sentences:
        parts = [table[word] for word in sentence]
        lengths = np.array([len(part) for part in parts], dtype=np.int64)
        rows.append([token for part in parts for token in part])
        firsts.append(np.cumsum(lengths) - lengths)
    return rows, firsts


def _keeps_spaces(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a space before a word is part of its token, as in byte-level BPE."""
    ids = tokenizer(["a", "b", " b", "a b"], add_special_tokens=False)["input_ids"]
    return ids[3] == ids[0] + ids[2] != ids[0] + ids[1]


def row_numbers(parts: Sequence[Piece]) -> np.ndarray:
    return np.array([part.row for part in parts], dtype=np.int64)


def calibrated(logits: NDArray, gold: NDArray, temperature: float, fitted_on: int, seed: int) -> dict[str, Any]:
    """Calibration without and with a task's temperature, as the report takes it."""
    before, after = (
        calibration.evaluate(calibration.softmax(logits, t), gold, seed=seed).to_dict() for t in (1.0, temperature)
    )
    fitted = {"value": temperature, "count": fitted_on, "found": fitted_on > 0}
    return {"temperature": fitted, "before": before, "after": after}


def places(rows: Rows) -> Callable[[int], str]:
    """A function from a row's index to where it stands in its file, as far as the rows say."""
    names = rows.column_names
    if "__line__" not in names:
        return lambda place: f"row {place}"
    lines, files = rows["__line__"], rows["__file__"] if "__file__" in names else None
    return lambda place: f"{files[place] if files is not None else 'line'}:{lines[place]}"
