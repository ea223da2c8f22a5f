"""Copies of a text in which some units are missing, built from its tokens: nothing is tokenised again.

A missing unit is either left out (``delete``), or a token that means nothing stands in place of each of its tokens
(``mask``). Tokens stay what they were in the whole text. For a WordPiece model that is the same as the string without
the word; where a blank belongs to the next word's token, it stays there.

Only where units share tokens (characters of a word) are the strings edited, and the pieces that an edit touches
tokenised anew (``score/edited.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import ModelError
from sixfold.explain.units import Units
from sixfold.perturb.words import Edit
from sixfold.score.edited import Tokens
from sixfold.tasks.contract import OnLong
from sixfold.tasks.encoding import Frame, pieces

Filling = Literal["delete", "mask"]
FILLINGS = get_args(Filling)
Kept = NDArray[np.bool_]
"""[copies, units] which units a copy keeps."""

STAND_INS = ("mask_token", "pad_token", "unk_token", "eos_token")


class Copies(Protocol):
    """How masked copies of one text are made."""

    def examples(self, kept: Kept) -> Examples:
        """The copies, ready to be asked about; ``row`` says which copy an example is of."""
        ...


def stand_in(tokenizer: Any) -> tuple[int, str]:
    """The id and the spelling of the token that stands where a unit is masked.

    Raises:
        ModelError: the tokenizer has none that could.
    """
    for name in STAND_INS:
        token = getattr(tokenizer, name, None)
        if token is not None:
            return int(tokenizer.convert_tokens_to_ids(token)), str(token)
    raise ModelError("the tokenizer has no token that could stand for a missing word", hint="take words out: delete")


def patient(on_long: OnLong) -> OnLong:
    """What happens to a copy that has become too long: an explanation cannot be refused half-way."""
    return "truncate" if on_long == "error" else on_long


@dataclass(frozen=True)
class TokenCopies:
    """Copies of a text that is one run of tokens.

    Attributes:
        ids: [tokens] of the whole text, without its frame.
        owners: [tokens] the unit of each, -1 for what is always kept.
        around: the special tokens around a text.
        limit: tokens an example may have; ``on_long`` is what happens to a longer one.
        fill: stands in a missing token's place; None leaves it out.
        blank: stands for a copy of which nothing is left, where no special token is around a text.
    """

    ids: NDArray[np.int32]
    owners: NDArray[np.int64]
    around: Frame
    limit: int
    on_long: OnLong
    fill: int | None = None
    blank: int = 0

    def examples(self, kept: Kept) -> Examples:
        there = _there(kept, self.owners)
        if self.fill is None:
            rows, lengths = np.broadcast_to(self.ids, there.shape)[there], there.sum(axis=1)
        else:
            rows, lengths = np.where(there, self.ids, np.int32(self.fill)).ravel(), np.full(len(there), len(self.ids))
        return self._framed(rows, lengths)

    def _framed(self, values: NDArray[np.int32], lengths: NDArray[np.int64]) -> Examples:
        """Rows, end to end, as examples within the limit."""
        before, after = len(self.around.before), len(self.around.after)
        if not len(self.around) and not lengths.all():
            values = np.insert(values, np.cumsum(lengths)[lengths == 0], np.int32(self.blank))
            lengths = np.maximum(lengths, 1)
        ends = np.cumsum(lengths)
        if lengths.max(initial=0) + len(self.around) > self.limit:
            parts, _ = pieces(lengths.tolist(), self.limit, self.around, self.on_long)
            firsts = ends - lengths
            row = np.array([part.row for part in parts], dtype=np.int64)
            starts = np.array([firsts[part.row] + part.start for part in parts], dtype=np.int64)
            sizes = np.array([part.end - part.start for part in parts], dtype=np.int64)
        else:
            row, starts, sizes = np.arange(len(lengths)), ends - lengths, lengths
        offsets = np.concatenate([[0], np.cumsum(sizes + before + after)])
        out = np.empty(int(offsets[-1]), dtype=np.int32)
        for place, token in enumerate(self.around.before):
            out[offsets[:-1] + place] = token
        for place, token in enumerate(reversed(self.around.after), 1):
            out[offsets[1:] - place] = token
        inside = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        out[inside + np.repeat(offsets[:-1] + before, sizes)] = values[inside + np.repeat(starts, sizes)]
        return Examples({"input_ids": Ragged(out, offsets), "row": row})


@dataclass(frozen=True)
class RowCopies:
    """Copies of a row of words that are tagged: every word keeps its place, so missing ones are always masked.

    Attributes:
        whole: the row as the task encodes it, in one example or in several windows.
        owners: [tokens of all windows] the unit of each, -1 for what is always kept.
        fill: stands in a missing token's place.
    """

    whole: Examples
    owners: NDArray[np.int64]
    fill: int

    def examples(self, kept: Kept) -> Examples:
        there = _there(kept, self.owners).ravel()
        windows = len(self.whole)
        found = self.whole.take(np.tile(np.arange(windows), len(kept)))
        ids = found.ragged("input_ids")
        columns = dict(found.columns)
        columns["input_ids"] = Ragged(np.where(there, ids.values, np.int32(self.fill)), ids.offsets)
        columns["row"] = np.repeat(np.arange(len(kept)), windows)
        if "type" in columns:  # the shape of a word that is not there
            types = found.ragged("type")
            columns["type"] = Ragged(np.where(there, types.values, types.values.dtype.type(0)), types.offsets)
        return Examples(columns)


@dataclass(frozen=True)
class EditCopies:
    """Copies made by editing the string, for units that share tokens.

    Attributes:
        fill: stands in a missing unit's place, or nothing.
    """

    tokens: Tokens
    units: Units
    into: TokenCopies
    fill: str = ""

    def examples(self, kept: Kept) -> Examples:
        edits = [Edit(start, end, self.fill) for start, end in self.units.spans]
        variants = [[edits[unit] for unit in np.flatnonzero(~row)] for row in kept]
        rows = self.tokens.each(variants)
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        return self.into._framed(np.concatenate([self.tokens.ids[:0], *rows]), lengths)


def _there(kept: Kept, owners: NDArray[np.int64]) -> Kept:
    """[copies, tokens] which tokens are there; the last column, which -1 finds, is what is always kept."""
    return np.concatenate([kept, np.ones((len(kept), 1), dtype=np.bool_)], axis=1)[:, owners]


def distinct(kept: Kept) -> tuple[Kept, NDArray[np.int64]]:
    """The distinct rows, in no order that means anything, and [copies] which of them each row is."""
    packed = np.packbits(kept, axis=1)
    if packed.shape[1] == 0:
        return kept[:1], np.zeros(len(kept), dtype=np.int64)
    keys = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, firsts, places = np.unique(keys, return_index=True, return_inverse=True)
    return kept[firsts], places
