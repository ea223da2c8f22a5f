"""The tokens of a row of words, and of the row after edits that replace words one for one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Examples, Ragged
from sixfold.models.shapes import shape
from sixfold.perturb.words import Edit, Sentence, applied
from sixfold.score.edited import KEPT, Ids
from sixfold.tasks.encoding import Frame, word_ids
from sixfold.text import Span
from sixfold.text.segment import written_out

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class WordSplicer:
    """One tokenizer as a tagger uses it, and the tokens of words seen before.

    Args:
        spaced: whether words stand apart in running text.
        shapes: whether the words' capitals are told to the model too.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, spaced: bool, shapes: bool) -> None:
        self.tokenizer = tokenizer
        self.spaced = spaced
        self.shapes = shapes
        self._kept: dict[str, Ids] = {}

    def tokens(self, words: Iterable[str]) -> dict[str, Ids]:
        """The tokens of each word; never none."""
        wanted = dict.fromkeys(words)
        missing = [word for word in wanted if word not in self._kept]
        fresh: dict[str, Ids] = {}
        if missing:
            rows, _ = word_ids([[word] for word in missing], self.tokenizer, spaced=self.spaced)
            fresh = {word: np.array(row, dtype=np.int32) for word, row in zip(missing, rows, strict=True)}
        found = {word: fresh[word] if word in fresh else self._kept[word] for word in wanted}
        if len(self._kept) + len(fresh) > KEPT:
            self._kept.clear()
        self._kept.update(fresh)
        return found


@dataclass(frozen=True)
class WordTokens:
    """The tokens of a row of words.

    Attributes:
        words: the row.
        sentence: the string that they make; each word is a word of it, marks too.
        ids: the words' tokens, without the special tokens around a row.
        lengths: [words] tokens of each.
    """

    words: tuple[str, ...]
    sentence: Sentence
    ids: Ids
    lengths: NDArray[np.int64]
    splicer: WordSplicer

    @classmethod
    def of(cls, words: Sequence[str], splicer: WordSplicer) -> WordTokens:
        known = splicer.tokens(words)
        parts = [known[word] for word in words]
        ids = np.concatenate([np.empty(0, dtype=np.int32), *parts])
        lengths = np.array([len(part) for part in parts], dtype=np.int64)
        return cls(tuple(words), _sentence(words), ids, lengths, splicer)

    def changed(self, edits: Sequence[Edit]) -> dict[int, str]:
        """What the edits make of which words.

        An edit lies inside one word; the blanks beside it may belong to it.
        """
        spans = self.sentence.spans
        by_word: dict[int, list[Edit]] = {}
        for edit in edits:
            place = bisect_left(spans, edit.end, key=lambda span: span.end)
            place = min(place, len(spans) - 1)
            if place and spans[place].start >= edit.end and spans[place - 1].end > edit.start:
                place -= 1  # the edit takes the blank behind its word
            start, end = spans[place]
            assert place == 0 or spans[place - 1].end <= edit.start, "an edit of several words"
            inside = Edit(min(max(edit.start, start), end) - start, min(max(edit.end, start), end) - start, edit[2])
            by_word.setdefault(place, []).append(inside)
        return {place: applied(self.words[place], inside) for place, inside in by_word.items()}

    def edited(self, edits: Sequence[Edit]) -> list[str]:
        """The row after edits."""
        words = list(self.words)
        for place, word in self.changed(edits).items():
            words[place] = word
        return words

    def each(self, variants: Sequence[Sequence[Edit]], around: Frame, room: int) -> Examples | None:
        """The variants as the task encodes them; None if one has more than ``room`` tokens.

        Args:
            around: the special tokens around a row.
        """
        changed = [self.changed(edits) for edits in variants]
        known = self.splicer.tokens(word for words in changed for word in words.values())
        lengths = np.tile(self.lengths, (len(variants), 1))
        for row, words in enumerate(changed):
            for place, word in words.items():
                lengths[row, place] = len(known[word])
        if lengths.sum(axis=1).max(initial=0) > room:
            return None
        return self._examples(changed, known, lengths, around)

    def _examples(
        self, changed: Sequence[dict[int, str]], known: dict[str, Ids], lengths: NDArray[np.int64], around: Frame
    ) -> Examples:
        rows, words = lengths.shape
        ends = np.cumsum(self.lengths).tolist()
        before, after = (np.array(ids, dtype=np.int32) for ids in (around.before, around.after))
        runs: list[Ids] = []
        for replaced in changed:
            place = 0
            runs.append(before)
            for word in sorted(replaced):
                runs += (self.ids[place : ends[word] - self.lengths[word]], known[replaced[word]])
                place = ends[word]
            runs += (self.ids[place:], after)
        sizes = np.pad(lengths, ((0, 0), (1, 1)), constant_values=((0, 0), (len(before), len(after))))
        offsets = np.concatenate([[0], np.cumsum(sizes.sum(axis=1))])
        judged = np.arange(rows + 1) * words
        firsts = np.cumsum(sizes, axis=1)[:, :-2]
        columns: dict[str, Ragged | NDArray] = {
            "input_ids": Ragged(np.concatenate([np.empty(0, dtype=np.int32), *runs]), offsets),
            "row": np.arange(rows),
            "words": np.full(rows, words),
            "word": Ragged(np.tile(np.arange(words, dtype=np.int32), rows), judged),
            "place": Ragged(firsts.ravel().astype(np.int32), judged),
        }
        if self.splicer.shapes:
            columns["type"] = Ragged(np.repeat(self._shapes(changed).ravel(), sizes.ravel()), offsets)
        return Examples(columns)

    def _shapes(self, changed: Sequence[dict[int, str]]) -> NDArray[np.int32]:
        """[rows, words + 2] the shape of each word, 0 for the special tokens around the row."""
        shapes = np.array([0, *map(shape, self.words), 0], dtype=np.int32)
        out = np.tile(shapes, (len(changed), 1))
        for row, replaced in enumerate(changed):
            for place, word in replaced.items():
                out[row, place + 1] = shape(word)
        return out


def _sentence(words: Sequence[str]) -> Sentence:
    text = ""
    spans = []
    for word in words:
        joint = written_out([text[-1:], word])
        text += joint[1:] if text else joint
        spans.append(Span(len(text) - len(word), len(text)))
    return Sentence(text, tuple(spans))
