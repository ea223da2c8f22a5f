"""Parsers of the files in the SIXFOLD_DATA folder: files in, normalised rows out. Which files: ``benchmarks.py``."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sixfold.data import files as opening
from sixfold.data import formats
from sixfold.data.faults import Faults
from sixfold.errors import DataError

Row = dict[str, Any]

SENTIMENT = {"0": "negative", "1": "positive"}
_REVIEW = re.compile(r"<review>(.*?)</review>", re.DOTALL)
_FIELD = re.compile(r"<(title|rating|review_text)>\n(.*?)\n</\1>", re.DOTALL)


def _placed(row: Row, path: Path, line: int) -> Row:
    return {**row, "__file__": path.name, "__line__": line}


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Lines without their ends, blank ones left out. Only line feeds end one: U+2028 and the like are text."""
    with path.open(encoding=encoding, newline="\n") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield number, line.rstrip("\r\n")


def table(
    files: Sequence[Path],
    notes: list[str],
    *,
    text: str,
    label: str,
    names: Mapping[str, str] | None = None,
    header: tuple[str, ...] = (),
    extra: Mapping[str, str] | None = None,
) -> Iterator[Row]:
    """Rows of csv and tsv files: the columns ``text`` and ``label``, and those of ``extra`` under other names."""
    marked = 0
    for path in files:
        faults = Faults(path)
        for line, row in formats.rows(opening.file(path, columns=header), faults):
            cell = row[text].replace("\ufeff", "")
            marked += cell != row[text]
            made = {"text": cell.strip(), "label": names[row[label]] if names else row[label]}
            made |= {new: row[old] for old, new in (extra or {}).items()}
            yield _placed(made, path, line)
    if marked:
        notes.append(f"byte order marks were taken out of {marked} texts")


def conll(files: Sequence[Path], notes: list[str], *, documents: bool = False) -> Iterator[Row]:
    """Sentences of word and tag columns, tags as they stand; with ``documents``, the number of each one's document."""
    for path in files:
        source = opening.file(path, format="conll")
        for line, row in formats.rows(source, Faults(path)):
            kept = row if documents else {"words": row["words"], "tags": row["tags"]}
            yield _placed(kept, path, line)


def cluener(files: Sequence[Path], notes: list[str]) -> Iterator[Row]:
    """Objects with a text and its entities by type: inclusive character offsets become BIO over characters."""
    nested = 0
    for path in files:
        for number, line in _lines(path, "utf-8"):
            row = json.loads(line)
            spans = [
                (first, last + 1, kind)
                for kind, names in row["label"].items()
                for places in names.values()
                for first, last in places
            ]
            tags = ["O"] * len(row["text"])
            for start, end, kind in sorted(spans, key=lambda span: span[0] - span[1]):  # the longest first
                if any(tag != "O" for tag in tags[start:end]):
                    nested += 1
                    continue
                tags[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
            yield _placed({"words": list(row["text"]), "tags": tags}, path, number)
    if nested:
        notes.append(f"{nested} entities inside or across a longer one were left out")


def trec(files: Sequence[Path], notes: list[str], *, fine: bool) -> Iterator[Row]:
    """Lines ``COARSE:fine question`` in latin-1."""
    for path in files:
        for number, line in _lines(path, "latin-1"):
            label, _, text = line.partition(" ")
            yield _placed({"text": text.strip(), "label": label if fine else label.partition(":")[0]}, path, number)


def phrasebank(files: Sequence[Path], notes: list[str]) -> Iterator[Row]:
    """Lines ``sentence@label`` in latin-1."""
    for path in files:
        for number, line in _lines(path, "latin-1"):
            text, _, label = line.rpartition("@")
            yield _placed({"text": text.strip(), "label": label.strip()}, path, number)


def clinc(files: Sequence[Path], notes: list[str], *, split: str) -> Iterator[Row]:
    """Pairs of text and intent under the names of the splits; out-of-scope ones stand apart. Adds the domain."""
    data, domains = (json.loads(path.read_text(encoding="utf-8")) for path in files)
    domain = {intent: name for name, intents in domains.items() for intent in intents}
    for place, (text, label) in enumerate([*data[split], *data[f"oos_{split}"]], 1):
        yield _placed({"text": text, "label": label, "domain": domain.get(label, label)}, files[0], place)


def snips(files: Sequence[Path], notes: list[str], *, kind: str) -> Iterator[Row]:
    """Three files side by side: intent, words, slots."""
    lines = [list(_lines(path, "utf-8")) for path in files]
    for (number, intent), (_, text), (_, slots) in zip(*lines, strict=True):
        words, tags = text.split(), slots.split()
        if len(words) != len(tags):
            raise DataError("words and slots differ in number", where=f"{files[1]}:{number}")
        if kind == "intent":
            yield _placed({"text": " ".join(words), "label": intent.strip()}, files[1], number)
        else:
            yield _placed({"words": words, "tags": tags, "intent": intent.strip()}, files[1], number)


def thucnews(files: Sequence[Path], notes: list[str]) -> Iterator[Row]:
    """Lines ``title TAB number``; the class of a number stands in that line of class.txt."""
    path, classes = files
    names = [name for _, name in _lines(classes, "utf-8")]
    for number, line in _lines(path, "utf-8"):
        text, _, label = line.rpartition("\t")
        yield _placed({"text": text.strip(), "label": names[int(label)]}, path, number)


def amazon(files: Sequence[Path], notes: list[str]) -> Iterator[Row]:
    """Reviews in something like XML, in cp1252 with stray bytes. Reviewers' names and places are not read."""
    for path in files:
        raw = path.read_bytes()
        try:
            whole = raw.decode("cp1252")
        except UnicodeDecodeError:
            whole = raw.decode("latin-1")
        for review in _REVIEW.finditer(whole):
            fields = {name: html.unescape(value).strip() for name, value in _FIELD.findall(review[1])}
            row: Row = {"text": fields["review_text"], "label": path.stem, "title": fields.get("title", "")}
            row |= {"domain": path.parent.name, "rating": float(fields["rating"])}
            yield _placed(row, path, whole.count("\n", 0, review.start()) + 1)
