"""The tokens of a text after edits, without tokenising the whole text again for each of hundreds of variants.

Where the tokenizer is known to work piece by piece (``borders.py``), only the pieces that an edit touches are
tokenised, each distinct piece once; their tokens take the place of the old ones. Any other tokenizer reads each whole
string. Either way the tokens are those of the string after the edits.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sixfold.perturb.words import Edit, applied
from sixfold.score.borders import Rule, Specials, described, rule_of
from sixfold.text import Span

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ids = NDArray[np.int32]

KEPT = 2**16
"""Pieces whose tokens are kept."""
LONGEST = 64
"""Characters of a piece that is kept."""
EDITS = 512
"""Edits of one text that are kept."""

_PLACE, _ALONE = itemgetter(0, 1), attrgetter("alone")


class Splicer:
    """One tokenizer, where it can be asked piece by piece, and the tokens of pieces seen before.

    Args:
        tokenizer: asked without the special tokens around a text; those that a text spells are read as special.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        backend = described(tokenizer)
        self.tokenizer = tokenizer
        self.rule: Rule | None = rule_of(backend)
        self.specials = Specials.of(tokenizer, backend)
        self._kept: dict[str, Ids] = {}

    def whole(self, strings: Sequence[str]) -> list[Ids]:
        """The tokens of each string."""
        if not strings:
            return []
        found = self.tokenizer(
            list(strings),
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        return [np.array(ids, dtype=np.int32) for ids in found["input_ids"]]

    def pieces(self, string: str) -> tuple[list[str], list[int]]:
        """The string in pieces, and which of them begin at a border (a special token's edges are none by themselves).

        Only where there is a rule.
        """
        assert self.rule is not None
        pieces: list[str] = []
        borders: list[int] = []
        parts = [string] if self.specials.spelling is None else self.specials.spelling.split(string)
        for special, part in zip(itertools.cycle((False, True)), parts, strict=False):
            if special:
                pieces.append(part)
            elif part:
                ends = [*self.rule.places(part), len(part)]
                borders += range(len(pieces) + 1, len(pieces) + len(ends))
                pieces += [part[start:end] for start, end in itertools.pairwise([0, *ends])]
        return pieces, borders

    def piecewise(self, strings: Iterable[str]) -> dict[str, Ids]:
        """The tokens of each string, each piece tokenised once."""
        wanted = dict.fromkeys(strings)
        cut = {string: self.pieces(string)[0] for string in wanted if string not in self._kept}
        missing = [piece for piece in dict.fromkeys(itertools.chain(*cut.values())) if piece not in self._kept]
        fresh = dict(zip(missing, self.whole(missing), strict=True))
        for string, pieces in cut.items():
            parts = [fresh[piece] if piece in fresh else self._kept[piece] for piece in pieces]
            fresh[string] = np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)
        found = {string: fresh[string] if string in fresh else self._kept[string] for string in wanted}
        self._keep(fresh)
        return found

    def _keep(self, found: dict[str, Ids]) -> None:
        if len(self._kept) + len(found) > KEPT:
            self._kept.clear()
        self._kept.update((piece, ids) for piece, ids in found.items() if len(piece) <= LONGEST)


class Part(NamedTuple):
    """What is tokenised again for an edit: from one border to another, both untouched by it.

    Attributes:
        left, right: the borders, as places in the lists of ``Tokens``.
        string: what stands between them after the edit.
        alone: whether its tokens are the same in the text. Not where a special token is spelt across a border.
    """

    left: int
    right: int
    string: str
    alone: bool


@dataclass(frozen=True)
class Tokens:
    """The tokens of one text, and of the text after edits.

    Attributes:
        text: the string.
        ids: its tokens, without the special tokens around a text.
        borders: characters before each border; the first is 0, the last the text's length.
        at: tokens before each border.
    """

    text: str
    ids: Ids
    splicer: Splicer
    borders: list[int] = field(default_factory=list, repr=False)
    at: list[int] = field(default_factory=list, repr=False)
    _parts: dict[Edit, Part] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, text: str, splicer: Splicer) -> Tokens:
        (ids,) = splicer.whole([text])
        special = splicer.specials.spelling is not None and splicer.specials.spelling.search(text)
        if splicer.rule is None or (special and not splicer.specials.plain):
            return cls(text, ids, splicer)
        pieces, borders = splicer.pieces(text)
        known = splicer.piecewise(pieces)
        parts = [known[piece] for piece in pieces]
        if not np.array_equal(ids, np.concatenate([ids[:0], *parts])):
            return cls(text, ids, splicer)  # a tokenizer that is not what its description says
        characters, tokens = ([0, *itertools.accumulate(map(len, each))] for each in (pieces, parts))
        where = [0, *borders, len(pieces)]
        return cls(text, ids, splicer, [characters[place] for place in where], [tokens[place] for place in where])

    @property
    def local(self) -> bool:
        """Whether edits are spliced in, rather than the whole string read again."""
        return bool(self.borders)

    def spliced(self, edits: Sequence[Edit]) -> Ids:
        """The tokens of the text after edits, which speak of the text as it is and do not overlap."""
        return self.each([edits])[0]

    def each(self, variants: Sequence[Sequence[Edit]]) -> list[Ids]:
        """The tokens of the text after each variant's edits."""
        plans = [self._plan(edits) for edits in variants]
        known = self.splicer.piecewise(part.string for plan in plans if plan for part in plan)
        whole = [place for place, plan in enumerate(plans) if plan is None]
        strings = [applied(self.text, variants[place]) for place in whole]
        found = dict(zip(whole, self.splicer.whole(strings), strict=True))
        return [found[place] if plan is None else self._joined(plan, known) for place, plan in enumerate(plans)]

    def _joined(self, plan: Sequence[Part], known: Mapping[str, Ids]) -> Ids:
        parts: list[Ids] = []
        place = 0
        for left, right, string, _ in plan:
            parts += (self.ids[place : self.at[left]], known[string])
            place = self.at[right]
        parts.append(self.ids[place:])
        return np.concatenate(parts)

    def _plan(self, edits: Sequence[Edit]) -> list[Part] | None:
        """What is tokenised again; None if the whole string must be."""
        if not self.borders:
            return None
        plan: list[Part] = []
        end = 0
        for edit in sorted(edits, key=_PLACE):
            assert end <= edit.start, "edits overlap"
            part = self._part(edit)
            if plan and part.left < plan[-1].right:  # two edits between the same borders
                before = plan.pop()
                kept = before.string[: len(before.string) - (self.borders[before.right] - end)]
                after = part.string[edit.start - self.borders[part.left] :]
                string = kept + self.text[end : edit.start] + after
                part = Part(before.left, part.right, string, self._alone(before.left, part.right, string))
            plan.append(part)
            end = edit.end
        return plan if all(map(_ALONE, plan)) else None

    def _part(self, edit: Edit) -> Part:
        """An edit by itself. Searches add to what they have: most edits of a variant were seen before."""
        found = self._parts.get(edit)
        if found is None:
            rule = self.splicer.rule
            assert rule is not None
            start, end, replacement = edit
            assert 0 <= start <= end <= len(self.text), "an edit lies outside of the string"
            left = max(0, bisect_right(self.borders, start - rule.after) - 1)
            right = min(len(self.borders) - 1, max(1, bisect_left(self.borders, end + rule.before)))
            string = self.text[self.borders[left] : start] + replacement + self.text[end : self.borders[right]]
            if len(self._parts) >= EDITS:
                self._parts.clear()
            found = self._parts[edit] = Part(left, right, string, self._alone(left, right, string))
        return found

    def _alone(self, left: int, right: int, string: str) -> bool:
        specials = self.splicer.specials
        if specials.spelling is None:
            return True
        first, last, room = self.borders[left], self.borders[right], specials.longest - 1
        before = self.text[max(0, first - room) : first]
        around = before + string + self.text[last : last + room]
        if specials.spelling.search(around) is None:
            return True
        ends = len(before), len(before) + len(string)
        return specials.plain and not any(
            found.start() < border < found.end() for found in specials.spelling.finditer(around) for border in ends
        )

    def ranges(self, spans: Sequence[Span]) -> NDArray[np.int64]:
        """[spans, 2] the first token of each span of characters, and the token after its last."""
        found = self.splicer.tokenizer(self.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        offsets = np.asarray(found["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        firsts, lasts = np.array(spans, dtype=np.int64).reshape(-1, 2).T
        starts = np.searchsorted(offsets[:, 1], firsts, side="right")
        ends = np.searchsorted(offsets[:, 0], lasts, side="left")
        return np.stack([starts, np.where(firsts < lasts, np.maximum(starts, ends), starts)], axis=1)
