"""``mask: true``: personal data in the training text is replaced before anything is learnt from it.

What patterns find is replaced by pseudonyms: another value of the same type and language, the same for the same value,
so that the text keeps its shape. Names are not looked for: that takes a model. Held-out rows are masked alike only to
measure on them, beside the rows as they are.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from sixfold.data.columns import Column
from sixfold.data.corpus import Corpus
from sixfold.data.walking import tables, with_column
from sixfold.safety.entity import Entity
from sixfold.safety.find import find
from sixfold.safety.keys import derived
from sixfold.safety.policy import Policy
from sixfold.safety.pseudonyms import Draw
from sixfold.safety.replacing import Replacer
from sixfold.text.counting import counted
from sixfold.text.language import has_han
from sixfold.text.segment import written_out

_MASKED = ("text", "words", "messages")
"""Kinds of cells that are masked."""
_LEFT = ("label", "labels", "tags", "number")
"""Kinds of cells that are what the task learns to say, not text."""
_HAN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英华玉兰建文志海晓春梅秋云飞宇晨欣怡佳嘉涵浩然雨泽"
_KEPT = frozenset("省市区县镇乡村路街道巷弄号楼院栋幢座室层户单元年月日")
"""Chinese characters that say what an address or a date is made of, not which."""
SAMPLE = 1000
"""Rows that tell whether words are characters."""
_DRAWS = 200
"""Characters of a word that are drawn at a time."""


@dataclass(frozen=True)
class Mask:
    """Replaces personal data under one key."""

    key: bytes = field(repr=False)

    @cached_property
    def _replacer(self) -> Replacer:
        return Replacer(Policy("pseudonym"), self.key)

    def text(self, text: str) -> tuple[str, list[str]]:
        """A text masked, and the types of what was found in it."""
        found = find(text)
        if not found:
            return text, []
        out: list[str] = []
        done = 0
        for one in found:
            out += (text[done : one.start], self._replacer.replaced(one, text[one.start : one.end]))
            done = one.end
        return "".join([*out, text[done:]]), [one.type for one in found]

    def words(self, words: Sequence[str], *, characters: bool = False) -> tuple[list[str], list[str]]:
        """As many words, masked, and the types of what was found in the text that they make.

        Args:
            characters: the words are the characters of a text, as usual for Chinese: its digits stand together.
        """
        text, starts = _placed(words, characters)
        found = find(text)
        made = list(words)
        for one in reversed(found):  # what stands later in a word first, so that places in it hold
            parts = _parts(words, starts, one)
            for part, piece in zip(parts, self._pieces(one, text[one.start : one.end], parts), strict=True):
                word = made[part.word]
                made[part.word] = word[: part.start] + piece + word[part.start + len(part.text) :]
        return made, [one.type for one in found]

    def cell(self, kind: str, cell: Any) -> tuple[Any, list[str]]:
        """A cell masked, and the types of what was found in it.

        Args:
            kind: what it holds: ``text``, ``words``, ``characters`` or ``messages``.
        """
        if cell is None:
            return None, []
        if kind == "messages":
            return self.messages(cell)
        return self.text(cell) if kind == "text" else self.words(cell, characters=kind == "characters")

    def messages(self, messages: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
        """A conversation masked turn by turn, what tools were called with too, and the types of what was found."""
        types: list[str] = []

        def told(text: str) -> str:
            made, found = self.text(text)
            types.extend(found)
            return made

        made = []
        for one in messages:
            content, calls = one.get("content"), one.get("tool_calls")
            one = {**one, "content": None if content is None else told(content)}
            made.append(one if calls is None else {**one, "tool_calls": _in_strings(calls, told)})
        return made, types

    def _pieces(self, entity: Entity, value: str, parts: Sequence[_Part]) -> list[str]:
        """What takes the place of each part: a share of a pseudonym, or, where it has other words, one of its own."""
        made = self._replacer.replaced(entity, value)
        if len(made) == len(value) and _blanks(made) == _blanks(value):
            return [made[part.place : part.place + len(part.text)] for part in parts]
        if len(made.split()) == len(parts) and value.split() == [part.text for part in parts]:
            return made.split()
        return [self._alike(entity.type, part.text) for part in parts]

    def _alike(self, kind: str, part: str) -> str:
        """Other digits, letters and Chinese characters in the place of a part's; marks stay."""
        secret, out = derived(self.key, "mask words"), []
        for first in range(0, len(part), _DRAWS):
            draw = Draw(secret, f"{kind}\0{first}\0{part}")
            out += [_other(one, draw) for one in part[first : first + _DRAWS]]
        return "".join(out)


def _in_strings(written: str, change: Callable[[str], str]) -> str:
    """JSON with the strings in it changed: a pseudonym must not end one."""

    def inside(value: Any) -> Any:
        if isinstance(value, str):
            return change(value)
        if isinstance(value, list):
            return [inside(one) for one in value]
        if isinstance(value, dict):
            return {name: inside(one) for name, one in value.items()}
        return value

    return json.dumps(inside(json.loads(written)), ensure_ascii=False)


def _other(one: str, draw: Draw) -> str:
    if one.isdigit():
        return draw.digits(1)
    if has_han(one):
        return one if one in _KEPT else draw.of(_HAN)
    if not one.isalpha():
        return one
    letter = draw.of("abcdefghijklmnopqrstuvwxyz")
    return letter.upper() if one.isupper() else letter


def _blanks(text: str) -> list[int]:
    return [place for place, one in enumerate(text) if one.isspace()]


def _placed(words: Sequence[str], characters: bool) -> tuple[str, list[int]]:
    """The text that words make, as ``written_out`` writes it unless they are characters, and where each begins."""
    pieces: list[str] = []
    starts: list[int] = []
    place, last = 0, ""
    for word in words:
        if word and last and not characters and len(written_out((last, word[0]))) > 2:
            pieces.append(" ")
            place += 1
        starts.append(place)
        pieces.append(word)
        place += len(word)
        last = word[-1:] or last
    return "".join(pieces), starts


@dataclass(frozen=True)
class _Part:
    """What an entity has of a word.

    Attributes:
        word: the word's number.
        start: where in the word it begins.
        place: where in the entity it begins.
    """

    word: int
    start: int
    place: int
    text: str


def _parts(words: Sequence[str], starts: Sequence[int], entity: Entity) -> list[_Part]:
    found = []
    for number, (word, start) in enumerate(zip(words, starts, strict=True)):
        first, end = max(entity.start, start), min(entity.end, start + len(word))
        if first < end:
            found.append(_Part(number, first - start, first - entity.start, word[first - start : end - start]))
    return found


def mask_of(rows: datasets.Dataset, columns: Sequence[str], seed: int) -> Mask:
    """The mask of a stage, from its training rows before they are masked and the recipe's seed.

    The key must be the same in every run, or the same recipe would make another model. The seed alone would not do:
    seeds are small and stand in the lineage, and whoever has the key tries every phone number to see which becomes
    the pseudonym that a model says. A random key kept in the run would be one more secret to guard. So the key is
    drawn from the text itself, which whoever has only the checkpoint does not have. It is not the digest that
    lineages hold (that is of other bytes, and of the masked rows), nor can it be computed from it. With all of the
    text but one value in hand a key can still be guessed; scrypt (Percival 2009) makes each guess slow.
    Nothing is kept that restores a value.

    Args:
        columns: those that are masked.
    """
    content = hmac.new(b"sixfold training mask", digestmod=hashlib.sha256)
    for table in tables(rows, columns):
        for name in columns:
            content.update(json.dumps(table[name].to_pylist(), ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return Mask(hashlib.scrypt(content.digest(), salt=f"sixfold seed {seed}".encode(), n=2**14, r=8, p=1, dklen=32))


@dataclass
class Tally:
    """What was masked: entities by type, and the rows that have any, of how many."""

    types: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    of: int = 0

    def add(self, types: Collection[str]) -> None:
        """One more row, and what was found in it."""
        self.types.update(types)
        self.rows += bool(types)
        self.of += 1

    @property
    def described(self) -> dict[str, Any]:
        """For a report, ready for JSON."""
        return {"types": dict(self.types.most_common()), "rows": self.rows, "of": self.of}

    def told(self, noun: str) -> str:
        """A line for a person."""
        if not self.rows:
            return f"masked: no personal data found in {counted(self.of, noun)} of train"
        listed = ", ".join(f"{count:,} {name}" for name, count in self.types.most_common())
        return f"masked in {self.rows:,} of {counted(self.of, noun)} of train: {listed}"


def masked(rows: datasets.Dataset, kinds: Mapping[str, str], mask: Mask) -> tuple[datasets.Dataset, Tally]:
    """Rows with their text masked.

    Args:
        kinds: columns to mask, each with what its cells hold: ``text``, ``words``, ``characters``, ``messages``.
    """
    order = rows.column_names
    found: list[list[str]] = [[] for _ in range(len(rows))]
    for name, kind in kinds.items():
        cells = []
        for row, cell in enumerate(rows[name]):
            made, types = mask.cell(kind, cell)
            cells.append(made)
            found[row] += types
        rows = with_column(rows, name, _next_of(cells), rows.features.arrow_schema.field(name).type)
    tally = Tally()
    for types in found:
        tally.add(types)
    return rows.select_columns(order), tally


def _next_of(cells: Iterable[Any]) -> Callable[[Any], Any]:
    """What takes each cell's place, in order."""
    ready = iter(cells)
    return lambda _: next(ready)


@dataclass(frozen=True)
class RowMask:
    """The mask of a table of rows.

    Attributes:
        kinds: columns that it goes over, each with what its cells hold.
    """

    mask: Mask
    kinds: Mapping[str, str]

    def row(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        """One more row, masked as those of the table."""
        return {
            name: self.mask.cell(self.kinds[name], cell)[0] if name in self.kinds else cell
            for name, cell in cells.items()
        }


@dataclass(frozen=True)
class MaskedRows:
    """Rows by split of which train is masked.

    Attributes:
        held_out: the other splits, masked alike.
        tally: of train.
        how: what train went through.
    """

    rows: datasets.DatasetDict
    held_out: datasets.DatasetDict
    tally: Tally
    how: RowMask


def masked_rows(rows: datasets.DatasetDict, columns: Sequence[Column], seed: int) -> MaskedRows:
    """Mask the training rows, after they were split: places by content hash stay what they are without a mask."""
    present = [column for column in columns if column.role in rows["train"].column_names]
    assert all(column.kind in (*_MASKED, *_LEFT) for column in present), "a kind of cell that is not masked yet"
    kinds = {column.role: _kind(rows["train"], column) for column in present if column.kind in _MASKED}
    mask = mask_of(rows["train"], list(kinds), seed)
    train, tally = masked(rows["train"], kinds, mask)
    held_out = {name: masked(split, kinds, mask)[0] for name, split in rows.items() if name != "train"}
    every = datasets.DatasetDict({**rows, "train": train})
    return MaskedRows(every, datasets.DatasetDict(held_out), tally, RowMask(mask, kinds))


def _kind(rows: datasets.Dataset, column: Column) -> str:
    """What the cells of a column hold; words that are nearly all single characters are a text's characters."""
    if column.kind != "words":
        return column.kind
    words = [word for row in rows[:SAMPLE][column.role] for word in row]
    return "characters" if sum(len(word) == 1 for word in words) > 0.9 * len(words) else "words"


def masked_corpus(corpus: Corpus, mask: Mask, folder: Path) -> Corpus:
    """A corpus of which train is masked, document by document, in a file of the folder: it may not fit in memory."""
    tally, lengths = Tally(), []

    def change(texts: list[str]) -> dict[str, list[str]]:
        made = []
        for text in texts:
            changed, types = mask.text(text)
            tally.add(types)
            lengths.append(len(changed))
            made.append(changed)
        return {"text": made}

    folder.mkdir(parents=True, exist_ok=True)
    train = corpus.train.map(
        change,
        batched=True,
        input_columns="text",
        cache_file_name=str(folder / "train.arrow"),
        load_from_cache_file=False,
        features=corpus.train.features,
        new_fingerprint=corpus.digests["train"][:16],  # or the function would be hashed, with all that it counts
    )
    return replace(
        corpus,
        train=train,
        characters={**corpus.characters, "train": np.array(lengths, dtype=np.uint32)},
        described={**corpus.described, "masked": tally.described},
        told=(*corpus.told, tally.told("document")),
    )


def sealed(corpus: Corpus, mask: Mask) -> Corpus:
    """The corpus with another digest of train: one that says nothing to whoever guesses what was masked in it.

    Known before the text is masked, which takes long, and another one for other text.
    """
    plain = corpus.digests["train"]
    digest = hmac.new(derived(mask.key, "digest"), plain.encode(), hashlib.sha256).hexdigest()
    splits = corpus.described["splits"]
    return replace(
        corpus,
        digests={**corpus.digests, "train": digest},
        described={**corpus.described, "splits": {**splits, "train": {**splits["train"], "digest": digest}}},
    )
