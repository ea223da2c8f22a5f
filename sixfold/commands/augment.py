"""``sixfold augment SOURCE --out FILE``: rows with texts made of theirs, as JSON lines. The CLI prints.

What is made of a text: ``perturb/augment.py``. Here: which rows, what is written, and what is counted.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sixfold import data
from sixfold.commands.importing import uncollected
from sixfold.data import partition
from sixfold.data.checking import HIDDEN
from sixfold.data.findings import ALLOWANCES
from sixfold.data.sources import split_name
from sixfold.errors import UsageError, unknown
from sixfold.fetch.folders import PRIVATE, write_lines
from sixfold.perturb import augmenters
from sixfold.perturb.augment import Augmenter
from sixfold.perturb.masked import CONTEXTUAL, contextual
from sixfold.perturb.words import Best, Prompts
from sixfold.text import language, normal
from sixfold.text.counting import counted
from sixfold.text.lexicon import need

if TYPE_CHECKING:
    import datasets

FROM, WITH = "augmented_from", "augmented_with"
"""The new columns: the key of the row that a row was made of (a row's own for itself), and the augmenter's name."""


@dataclass(frozen=True)
class Counts:
    """What was made, and what was not.

    Attributes:
        split: whose rows.
        rows: how many it has.
        made: texts that were made of them and written.
        unchanged: rows of which nothing could be made, by language.
        repeated: texts that were left out because the same one was there already.
        elsewhere: texts that were left out because another split has them, by that split.
        written: rows in the file.
        alone: whether the source has no other split.
    """

    split: str
    rows: int
    made: int
    unchanged: Mapping[str, int]
    repeated: int
    elsewhere: Mapping[str, int]
    written: int
    alone: bool


class _Made(NamedTuple):
    """A new row: which row it was made of, the new cell, and its text for comparing."""

    row: int
    cell: Any
    text: str


def augment(
    source: Any,
    out: Path,
    *,
    using: Sequence[str] = ("eda",),
    times: int = 4,
    seed: int = 13,
    task: str | None = None,
    columns: Mapping[str, str] | None = None,
    split: str = "train",
    keep_original: bool = True,
    encoding: str | None = None,
    words: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> Counts:
    """Write a source's rows and what was made of them.

    Args:
        source: as ``data.read``.
        out: a .jsonl file; only its owner may read it.
        using: augmenters by name, each of which makes texts of every row.
        times: texts of one row by one augmenter, at most.
        task: ``classify`` (a text column) or ``entities`` (words and tags); by the columns if not given.
        columns: role to column.
        split: whose rows: no other split's are read into the file.
        keep_original: the rows themselves come first.
        words: the masked language model of augmenters that ask one: a folder, or hf:owner/name.
        tell: told one sentence at what takes long.

    Raises:
        UsageError: no such augmenter, split, column; the file would replace the source; an augmenter that changes the
            number of words for rows with tags.
        DataError: the rows have errors, all of them at once.
        SixfoldError: word lists have not been pulled, all of them at once. ModelError: a model has not.
        StorageError: the file cannot be written.
    """
    _check(out, source, using, times, words)
    rows = data.read(source, encoding=encoding)
    split = split_name(split)
    if split not in rows:
        raise unknown("split", split, rows)
    given = rows[split]
    if FROM in given.column_names:
        raise UsageError(f"these rows have been augmented: they have the column {FROM!r}", hint="take the source's own")
    roles = _columns(task, columns or {}, given.column_names)
    checked = data.check(rows, roles, columns, allow=list(ALLOWANCES))
    ready = data.apply(rows, checked).rows
    inputs = [column.role for column in roles if not column.target]
    texts = {name: _texts(part, inputs[0]) for name, part in ready.items()}
    languages = sorted({language(text) for text in texts[split]()})
    made = [_augmenter(name, languages, words, tell or (lambda sentence: None)) for name in using]
    writer = _Writer(given, checked.mapping[inputs[0]], list(partition.keys(ready[split], inputs)), texts, split)
    lines = writer.lines(made, ready[split], times, seed, keep_original)
    written = write_lines(out, lines, mode=PRIVATE, parents=True)
    return writer.counts(written, alone=len(rows) == 1)


def _check(out: Path, source: Any, using: Sequence[str], times: int, words: str | None) -> None:
    if out.suffix != ".jsonl":
        raise UsageError(
            "augmented rows are written as JSON lines", found=str(out), hint="name a file that ends in .jsonl"
        )
    if isinstance(source, str | Path) and out.exists() and Path(source).exists() and out.samefile(source):
        raise UsageError("the file would replace its own source", where=out, hint="name another file")
    if times < 1:
        raise UsageError("--times is one text or more of each row", found=times)
    for name in using:
        if name not in CONTEXTUAL:
            augmenters.row(name)
        elif words is None:
            raise UsageError(f"{name} asks a masked language model", hint="name one with --words CHECKPOINT")


def _columns(task: str | None, columns: Mapping[str, str], present: Sequence[str]) -> list[data.Column]:
    """The columns that are read: the text alone, or words and tags."""
    with uncollected():
        from sixfold.tasks.registry import full_name, task_class
    entities = list(task_class("entities")().columns)
    if task is None:
        lower = {name.lower() for name in present}
        usual = all(lower & {column.role, *column.names} for column in entities)
        task = "entities" if usual or {"words", "tags"} & set(columns) else "classify"
    if full_name(task) == "token_classification":
        return entities
    return [column for column in task_class(task)().columns if not column.target]


def _texts(rows: datasets.Dataset, role: str) -> Callable[[], Iterator[str]]:
    """A split's texts, from the first again at each call; of a row of words, what they spell."""
    return lambda: (cell if isinstance(cell, str) else "\x1f".join(cell) for cell in rows[role])


def _augmenter(name: str, languages: Sequence[str], words: str | None, tell: Callable[[str], None]) -> Augmenter:
    if name in CONTEXTUAL:
        need("stop-words")
        return _asking(name, words)
    need(*augmenters.lists_of(name, languages))
    if name == "neighbour":
        from sixfold.perturb import neighbours

        neighbours.table(neighbours.BASE_MODEL, progress=tell)
    return augmenters.augmenter(name)


def _asking(name: str, words: str | None) -> Augmenter:
    """The augmenter that asks the masked language model that the user named."""
    with uncollected():
        from sixfold.attack.masked_words import WORDS, MaskedWords
        from sixfold.score.driver import alone
    model = MaskedWords.load(words)

    def answer(prompts: Prompts, most: int) -> list[Best]:
        return alone(model.best(prompts, most), {WORDS: model.scorer})

    return augmenters.contextual(contextual(name, model.tokenizer, model.around, model.limit), answer)


class _Writer:
    """Goes once over the rows for each augmenter, and counts."""

    def __init__(
        self,
        given: datasets.Dataset,
        column: str,
        keys: Sequence[bytes],
        texts: Mapping[str, Callable[[], Iterator[str]]],
        split: str,
    ) -> None:
        self._given, self._column, self._keys, self._split = given, column, [key.hex() for key in keys], split
        self._own = texts[split]
        self._seen = {_digest(text) for text in self._own()}
        self._others = {
            name: {_digest(normal(text)) for text in some()} for name, some in texts.items() if name != split
        }
        self._changed = bytearray(len(given))
        self._made = 0
        self._repeated = 0
        self._elsewhere: Counter[str] = Counter()

    def lines(
        self, made: Sequence[Augmenter], ready: datasets.Dataset, times: int, seed: int, keep_original: bool
    ) -> Iterator[str]:
        if keep_original:
            for number, row in enumerate(self._given):
                yield self._line(row, number, None)
        for one in made:
            for row, new in self._beside(_rows(one, ready, times, seed)):
                self._changed[new.row] = 1
                if self._is_new(new.text):
                    self._made += 1
                    yield self._line({**row, self._column: new.cell}, new.row, one.name)

    def _beside(self, made: Iterable[_Made]) -> Iterator[tuple[Mapping[str, Any], _Made]]:
        """Each new row with the row that it was made of; both come in the rows' order."""
        rest = enumerate(self._given)
        number = -1
        row: Mapping[str, Any] = {}
        for new in made:
            while number < new.row:
                number, row = next(rest)
            yield row, new

    def _is_new(self, text: str) -> bool:
        """Whether the text is neither there already nor, as texts are compared between splits, in another split."""
        if (exact := _digest(text)) in self._seen:
            self._repeated += 1
            return False
        compared = _digest(normal(text))
        if (name := next((name for name, some in self._others.items() if compared in some), None)) is not None:
            self._elsewhere[name] += 1
            return False
        self._seen.add(exact)
        return True

    def _line(self, row: Mapping[str, Any], number: int, made_with: str | None) -> str:
        kept = {name: cell for name, cell in row.items() if name not in HIDDEN}
        return json.dumps({**kept, FROM: self._keys[number], WITH: made_with}, ensure_ascii=False, default=str)

    def counts(self, written: int, *, alone: bool) -> Counts:
        unchanged = Counter(
            language(text) for text, changed in zip(self._own(), self._changed, strict=True) if not changed
        )
        elsewhere = dict(self._elsewhere)
        rows = len(self._given)
        return Counts(
            self._split, rows, self._made, dict(unchanged.most_common()), self._repeated, elsewhere, written, alone
        )


def _rows(one: Augmenter, ready: datasets.Dataset, times: int, seed: int) -> Iterator[_Made]:
    if "text" in ready.column_names:
        for row, text, _ in one.rows(ready["text"], times, seed):
            yield _Made(row, text, text)
    else:
        for row, words, _ in one.tagged(zip(ready["words"], ready["tags"], strict=True), times, seed):
            yield _Made(row, words, "\x1f".join(words))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def told(counts: Counts, out: Path) -> Iterator[str]:
    """What was done, in lines for a person."""
    yield f"{counted(counts.made, 'text')} made of {counted(counts.rows, 'row')} of {counts.split}"
    if counts.unchanged:
        by_language = ", ".join(f"{name} {count:,}" for name, count in counts.unchanged.items())
        yield f"  {counted(sum(counts.unchanged.values()), 'row')} of which nothing could be made ({by_language})"
    if counts.repeated:
        yield f"  {counted(counts.repeated, 'text')} left out: the same one was there already"
    for name, count in counts.elsewhere.items():
        yield f"  {counted(count, 'text')} left out: {name} has the same one"
    yield f"{counted(counts.written, 'row')} in {out}"
    if counts.alone:
        yield (
            "The source has no other split. Where validation and test are cut off these rows, a text and what was made "
            f"of it must stay together: `group: {FROM}` in the recipe's data, or --set data.group={FROM}."
        )
