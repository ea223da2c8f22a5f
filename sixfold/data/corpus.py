"""A corpus to pretrain on: documents read, copies and near-copies left out, some held out, everything counted.

Rows stay in Arrow, memory-mapped; of a document only a few numbers are kept, in arrays. How text becomes documents is
in ``documents.py``, what is counted of each in ``corpus_survey.py``, how near-copies are found in
``near_duplicates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sixfold.data import arrow, checking, documents, partition
from sixfold.data.columns import Column
from sixfold.data.corpus_survey import ENDLESS, Survey, histogram, survey
from sixfold.data.near_duplicates import banding, originals
from sixfold.data.sources import FILE, LINE
from sixfold.errors import DataError, Level, Problem, Problems, UsageError, unknown
from sixfold.text.counting import counted
from sixfold.text.segment import written_out

if TYPE_CHECKING:
    import datasets

WORDS = "words"
TEXT = Column("text", "text", names=("text", "content", "document", "sentence"), help="what is learnt from")
NEAR = ("remove", "count", "off")
THRESHOLD = 0.8
HELD_OUT, LEAST_HELD_OUT, MOST_HELD_OUT = 0.01, 20, 2000
PART_CHARACTERS = 1 << 20
MANY_COPIES = 0.2
"""Share of copies that is warned of: lines of verse or code repeat each other so, documents seldom."""
SHOWN = 5

Indices = NDArray[np.int64]
Near = Literal["remove", "count", "off"]


@dataclass(frozen=True)
class Counts:
    """What became of the documents that were read.

    Attributes:
        read: all of them.
        empty: without text; left out.
        copies: the same as an earlier one but for case, white space and forms of characters; left out.
        near: nearly the same as an earlier one.
        near_left_out: how many of these were left out.
        train, held_out: what there is to learn from and to measure on.
    """

    read: int
    empty: int
    copies: int
    near: int
    near_left_out: int
    train: int
    held_out: int


@dataclass(frozen=True)
class Corpus:
    """Documents to learn from and documents to measure on.

    Attributes:
        train, held_out: rows with ``text``, ``__file__`` and ``__line__``, in the order of the source, memory-mapped.
        characters: [documents] the length of each, by split (``train``, ``held_out``).
        counts: what became of the documents that were read.
        languages: share of the characters by language, by split.
        histogram: of the lengths, by split: (least characters, most characters, documents).
        digests: SHA-256 of each split's text.
        problems: what is odd, warnings first.
        described: all of it for a report, ready for JSON.
        told: lines for a person.
    """

    train: datasets.Dataset
    held_out: datasets.Dataset
    characters: Mapping[str, NDArray[np.uint32]]
    counts: Counts
    languages: Mapping[str, Mapping[str, float]]
    histogram: Mapping[str, Sequence[tuple[int, int, int]]]
    digests: Mapping[str, str]
    problems: tuple[Problem, ...]
    described: Mapping[str, Any]
    told: tuple[str, ...]

    def parts(self, split: str, characters: int = PART_CHARACTERS) -> Iterator[datasets.Dataset]:
        """A split in parts of at most that many characters (or of one longer document), each to encode in memory."""
        rows = self._rows(split)
        return (rows.select(range(part.start, part.stop)) for part in _parts(self.characters[split], characters))

    def spread(self, split: str, most: int) -> Iterator[str]:
        """Texts of a split that have about ``most`` characters together, evenly from all of it; or every text."""
        lengths = self.characters[split]
        chosen = _spread(lengths, min(1.0, most / max(1, int(lengths.sum(dtype=np.int64)))))
        rows = self._rows(split)
        for part in _parts(lengths[chosen], PART_CHARACTERS):
            yield from rows.select(chosen[part])["text"]

    def _rows(self, split: str) -> datasets.Dataset:
        return {"train": self.train, "held_out": self.held_out}[split]


def prepare_corpus(
    source: Any,
    *,
    document: documents.Unit = "line",
    near: Near = "remove",
    threshold: float = THRESHOLD,
    held_out: float = HELD_OUT,
    most_held_out: int = MOST_HELD_OUT,
    columns: Mapping[str, str] | None = None,
    format: str | None = None,  # noqa: A002
    encoding: str | None = None,
    header: Sequence[str] | None = None,
) -> Corpus:
    """Read a corpus and make it fit to learn from.

    Which documents are held out is decided by a hash of each alone. None of them has a copy in train, nor a near-copy
    unless ``near`` is ``off``. A source with a validation (or else a test) split of its own is measured on that; what
    train shares with it is left out of train.

    Args:
        source: as ``data.read``.
        document: where the documents of txt files end: ``line``, ``blank`` (line) or ``file``.
        near: whether near-copies are left out, only counted, or not looked for.
        threshold: the least similarity of near-copies, see ``near_duplicates.similarity``.
        held_out: share of the documents that are held out, at least a few; 0 for none.
        most_held_out: at most so many of them.
        columns: ``{"text": NAME}``, when the column has no usual name.
        format, encoding: as ``data.read``.
        header: names of the columns of a file without a header line.

    Raises:
        DataError: there is no text, it is not text, or there is too little to hold some out.
        UsageError: an option out of bounds, or as ``data.read``.
    """
    if near not in NEAR:
        raise unknown("value of near", near, NEAR)
    if not 0 <= held_out < 1 or most_held_out < 1:
        raise UsageError(
            "the share of documents held out lies between 0 and 1, and at least one of them is held out at most",
            found=f"{held_out}, at most {most_held_out}",
        )
    banding(threshold)  # refused now, not after an hour of reading
    splits = documents.read(source, document=document, format=format, encoding=encoding, columns=header)
    if header:
        checking.check_header(splits, header)
    pool, own, unused = _pool(splits, columns)
    found = survey(pool)
    different = _different(pool, found, own, near, threshold)
    if own:
        chosen = different.documents[different.kept & (different.documents < own)]
    else:
        chosen = _lowest(different.documents[different.alone], found, held_out, most_held_out)
    split = {"train": np.setdiff1d(different.documents[different.kept], chosen, assume_unique=True), "held_out": chosen}
    for name, rows in split.items():
        if not len(rows) and (name == "train" or own or held_out):
            raise DataError(
                f"no document is left to {'learn from' if name == 'train' else 'hold out'}",
                found=f"{counted(len(different.documents), 'different document')} of {len(pool):,}",
                hint="give more text, or cut it into more documents: `document: line` or `document: blank`",
            )
    problems = _problems(pool, found, different)
    notes = dict.fromkeys(note for rows in splits.values() for note in arrow.notes(rows))
    problems += [Problem("note", note) for note in (*unused, *notes)]
    return _corpus(pool, split, found, different, problems, {"near": near, "threshold": threshold})


def _pool(
    splits: datasets.DatasetDict, columns: Mapping[str, str] | None
) -> tuple[datasets.Dataset, int, tuple[str, ...]]:
    """All documents, those of a held-out split first, so that it keeps what it shares with train.

    Returns:
        The documents, how many of them come from a held-out split, and what to say of splits that are not used.

    Raises:
        DataError: there is no train split, or no column of text.
    """
    import datasets

    if "train" not in splits:
        raise DataError(
            "there is no train split to learn from",
            found=", ".join(splits),
            hint="give one: source: {train: FILE, validation: FILE}",
        )
    held = [name for name in ("validation", "test") if name in splits][:1]
    used = {name: _written_out(splits[name], columns) for name in (*held, "train")}
    heads = datasets.DatasetDict({name: rows.select(range(min(1, len(rows)))) for name, rows in used.items()})
    checked = checking.check(heads, [TEXT], columns)
    Problems([problem for problem in checked.errors if problem not in checked.droppable]).raise_errors()
    made = [_texts(rows, checked.mapping["text"]) for rows in used.values()]
    unused = tuple(f"the split {name} is not used" for name in splits if name not in used)
    return datasets.concatenate_datasets(made), len(made[0]) if held else 0, unused


def _written_out(rows: datasets.Dataset, columns: Mapping[str, str] | None) -> datasets.Dataset:
    """Rows of words, as a tagged corpus has them, get a column of text; others stay as they are.

    In memory: tagging is work by hand, so that such corpora are small.
    """
    if columns or WORDS not in rows.column_names or set(TEXT.names) & set(rows.column_names):
        return rows
    if getattr(rows.features[WORDS], "feature", None) is None:
        return rows
    return rows.map(
        lambda batch: {"text": [written_out(words) for words in batch[WORDS]]},
        batched=True,
        keep_in_memory=True,
        remove_columns=[name for name in rows.column_names if name not in (FILE, LINE)],
    )


def _texts(rows: datasets.Dataset, name: str) -> datasets.Dataset:
    """The column with the text, and where each document stands.

    Raises:
        DataError: the column holds something else.
    """
    import datasets

    kind = getattr(rows.features[name], "dtype", "lists")
    if kind not in ("string", "large_string", "null"):
        raise DataError(
            f"the column {name!r} holds no text",
            where=partition.place(rows, 0),
            found=f"cells of the type {kind}",
            hint="name the column with the text: `columns: {text: ...}`",
        )
    rows = rows.select_columns([name, FILE, LINE])
    rows = rows if name == "text" else rows.rename_column(name, "text")
    strings = datasets.Value("string")
    wanted = datasets.Features({"text": strings, FILE: strings, LINE: datasets.Value("int64")})
    return rows if rows.features == wanted else rows.cast(wanted)


@dataclass(frozen=True)
class _Different:
    """The documents with text that are copies of none before them.

    Attributes:
        documents: [different] their numbers.
        group: [different] the first document that each is nearly the same as, or itself.
        kept: [different] which stay in the corpus.
        alone: [different] which of these have no near-copy that stays, too: it could be learnt from.
    """

    documents: Indices
    group: Indices
    kept: NDArray[np.bool_]
    alone: NDArray[np.bool_]


def _different(pool: datasets.Dataset, found: Survey, own: int, near: Near, threshold: float) -> _Different:
    is_different = found.characters > 0
    is_different[found.copies] = False
    numbers = np.flatnonzero(is_different)
    if not len(numbers):
        raise DataError("the corpus has no text", found=f"{counted(len(pool), 'document')}, all empty")
    if near == "off":
        everything = np.ones(len(numbers), dtype=bool)
        return _Different(numbers, numbers, everything, everything)
    texts = pool.select_columns(["text"]).select(numbers)
    batches = (texts[part]["text"] for part in _parts(found.characters[numbers], PART_CHARACTERS))
    group = numbers[originals(batches, lambda some: texts[some]["text"], len(numbers), threshold)]
    if near == "remove":
        return _Different(numbers, group, group == numbers, group == numbers)
    kept = (numbers < own) | (group >= own)  # a held-out split's documents come first, so they head their groups
    return _Different(numbers, group, kept, kept & (np.bincount(group)[group] == 1))


def _lowest(free: Indices, found: Survey, share: float, most: int) -> Indices:
    """The documents whose hashes lie below a share of all hashes; a few of the lowest where these are too few."""
    if not share:
        return free[:0]
    hashes = found.hashes[free]
    least = min(LEAST_HELD_OUT, max(1, len(free) // LEAST_HELD_OUT), len(free) - 1)
    count = min(most, max(least, int(np.count_nonzero(hashes < np.uint64(share * 2**64)))))
    return np.sort(free[np.argsort(hashes, kind="stable")[: max(0, count)]])


def _parts(lengths: NDArray[np.uint32], most: int) -> Iterator[slice]:
    """Neighbouring documents of at most ``most`` characters together, or one longer one."""
    ends = np.cumsum(lengths, dtype=np.int64)
    start = 0
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield slice(start, stop)
        start = stop


def _spread(lengths: NDArray[np.uint32], share: float) -> NDArray[np.int64]:
    """Documents in order: each that begins before ``share`` of the characters up to it have been taken."""
    chosen, taken, before = [], 0, 0
    for document, length in enumerate(lengths.tolist()):
        if taken <= before * share:
            chosen.append(document)
            taken += length
        before += length
    return np.array(chosen, dtype=np.int64)


def _problems(pool: datasets.Dataset, found: Survey, different: _Different) -> list[Problem]:
    """What is odd about the documents, and what was left out; warnings first."""
    gone, stays = ~different.kept, different.kept & (different.group != different.documents)
    many = len(found.copies) > MANY_COPIES * len(pool)
    cut = "if a document has several lines, say `document: blank` or `document: file`"
    drop = "leave them out with `near: remove`: they count twice"
    control, replaced = np.flatnonzero(found.control), np.flatnonzero(found.replaced)
    wrong = "the text holds U+FFFD: it was once read in a wrong encoding"

    def repeats(level: Level, what: str, some: NDArray[np.bool_], remedy: str = "") -> Problem:
        return _at(pool, level, what, different.documents[some], different.group[some], remedy)

    problems = [
        _at(pool, "warning", "control characters stand in the text", control, None, "remove them at the source"),
        _at(pool, "warning", wrong, replaced, None, "export it again from its source"),
        Problem(
            "warning",
            f"a line of more than {ENDLESS:,} characters has no break",
            len(found.endless),
            tuple(f"{place}: {begins} …" for place, begins in list(found.endless.items())[:SHOWN]),
            "break it where its documents end",
        ),
        repeats("warning", "a document is nearly the same as an earlier one", stays, drop),
        _at(pool, "warning" if many else "note", "copies were left out", found.copies, found.originals, cut * many),
        repeats("note", "near-copies were left out", gone),
        _at(pool, "note", "documents without text were left out", np.flatnonzero(found.characters == 0)),
    ]
    return sorted((one for one in problems if one.count), key=lambda problem: problem.level == "note")


def _at(
    pool: datasets.Dataset, level: Level, what: str, some: Indices, same: Indices | None = None, remedy: str = ""
) -> Problem:
    """A problem of some documents, with the places of the first few, and of those that they repeat."""
    places = [partition.place(pool, number) for number in some[:SHOWN].tolist()]
    if same is not None:
        earlier = (partition.place(pool, number) for number in same[:SHOWN].tolist())
        places = [f"{here} = {there}" for here, there in zip(places, earlier, strict=True)]
    return Problem(level, what, len(some), tuple(places), remedy)


def _corpus(
    pool: datasets.Dataset,
    split: Mapping[str, Indices],
    found: Survey,
    different: _Different,
    problems: Sequence[Problem],
    options: Mapping[str, Any],
) -> Corpus:
    rows = {name: pool.select(some) for name, some in split.items()}
    counts = Counts(
        read=len(pool),
        empty=int(np.count_nonzero(found.characters == 0)),
        copies=len(found.copies),
        near=int(np.count_nonzero(different.group != different.documents)),
        near_left_out=int(np.count_nonzero(~different.kept)),
        train=len(split["train"]),
        held_out=len(split["held_out"]),
    )
    characters = {name: found.characters[some] for name, some in split.items()}
    languages = {name: _languages(found, some) for name, some in split.items()}
    digests = {name: partition.digest(some, ["text"]) for name, some in rows.items()}
    bars = {name: histogram(lengths) for name, lengths in characters.items()}
    described = {
        "splits": {
            name: {"rows": len(some), "characters": int(characters[name].sum()), "digest": digests[name]}
            for name, some in rows.items()
        },
        "counts": asdict(counts),
        "languages": languages,
        "histogram": bars,
        "problems": [asdict(problem) for problem in problems],
        **options,
    }
    told = _told(counts, characters, languages, near=options["near"])
    return Corpus(
        rows["train"], rows["held_out"], characters, counts, languages, bars, digests, tuple(problems), described, told
    )


def _languages(found: Survey, some: Indices) -> dict[str, float]:
    """Share of the characters by language, the largest first; none of less than a thousandth."""
    if not len(some):
        return {}
    sums = np.bincount(found.language[some], weights=found.characters[some], minlength=len(found.languages))
    shares = dict(zip(found.languages, (sums / sums.sum()).tolist(), strict=True))
    return dict(sorted(((name, share) for name, share in shares.items() if share >= 0.001), key=lambda item: -item[1]))


def _told(
    counts: Counts,
    characters: Mapping[str, NDArray[np.uint32]],
    languages: Mapping[str, Mapping[str, float]],
    near: str,
) -> tuple[str, ...]:
    left_out = (
        (counts.copies, "copy", "copies"),
        (counts.near_left_out, "near-copy", "near-copies"),
        (counts.empty, "empty one", "empty ones"),
    )
    listed = ", ".join(counted(*one) for one in left_out if one[0])
    lines = [f"{counted(counts.read, 'document')} read" + (f", left out: {listed}" if listed else "")]
    for name, lengths in characters.items():
        shares = ", ".join(f"{language} {share:.1%}" for language, share in languages[name].items())
        size = f"{counted(len(lengths), 'document')}, {counted(int(lengths.sum()), 'character')}"
        lines.append(f"{name.replace('_', ' ')}: {size}" + (f" ({shares})" if shares else ""))
    if near == "off":
        lines.append("near-copies were not looked for: what is held out may have some in train")
    elif near == "count":
        lines.append(f"{counted(counts.near - counts.near_left_out, 'near-copy', 'near-copies')} kept in train")
    return tuple(lines)
