"""``sixfold tokenizer train``: a tokenizer from files, saved, and measured on texts that it was not trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from sixfold import data
from sixfold.errors import DataError, UsageError, unknown
from sixfold.fetch.folders import replacing
from sixfold.models.tokenizer_training import Kind, Measure, PreTokenizer, Use, measure, train_tokenizer
from sixfold.text.language import language

HELD_OUT = 50
"""One text of so many is kept for measuring, by its hash."""
MEASURED = 2_000


@dataclass(frozen=True)
class Trained:
    """A tokenizer that was trained.

    Attributes:
        folder: where it was saved.
        measures: how well each tokenizer fits the held-out texts of a language; by tokenizer, then language (``all``
            is every text).
    """

    folder: Path
    measures: Mapping[str, Mapping[str, Measure]]


def train(
    source: str | Sequence[str],
    out: Path,
    *,
    kind: Kind = "bpe",
    vocabulary: int = 16_000,
    use: Use = "encoder",
    pre_tokenizer: PreTokenizer = "gpt2",
    lower: bool = False,
    column: str = "text",
    encoding: str | None = None,
    compare: str | None = None,
) -> Trained:
    """Train a tokenizer on the texts of a source, in constant memory, and save it.

    Args:
        source: whatever ``data.read`` takes.
        out: the tokenizer's folder; it must not hold something else.
        column: which column is the text.
        compare: a base (catalogue name or folder) whose tokenizer is measured on the same texts.
        kind, vocabulary, use, pre_tokenizer, lower: as in ``models.tokenizer_training.train_tokenizer``.

    Raises:
        UsageError: a vocabulary too small, no such column, or a folder that holds something else.
        DataError: files that cannot be read, or no text.
    """
    if out.exists() and any(out.iterdir()) and not (out / "tokenizer.json").exists():
        raise UsageError("the folder holds something that is not a tokenizer", where=out, hint="name another --out")
    held: dict[bytes, str] = {}
    tokenizer = train_tokenizer(
        _kept(_texts(source, column, encoding), held),
        kind,
        vocabulary=vocabulary,
        use=use,
        pre_tokenizer=pre_tokenizer,
        lower=lower,
    )
    by_language = _by_language(list(held.values()))
    measures = {"new": {name: measure(tokenizer, texts, most=MEASURED) for name, texts in by_language.items()}}
    if compare is not None:
        other = _tokenizer_of(compare)
        measures[compare] = {name: measure(other, texts, most=MEASURED) for name, texts in by_language.items()}
    with replacing(out) as folder:
        tokenizer.save_pretrained(folder)
        plain = {name: {key: found.to_dict() for key, found in rows.items()} for name, rows in measures.items()}
        (folder / "measures.json").write_text(json.dumps(plain, ensure_ascii=False, indent=1), encoding="utf-8")
    return Trained(out, measures)


def _texts(source: Any, column: str, encoding: str | None) -> Iterator[str]:
    for rows in data.iterate(source, encoding=encoding):
        for row in rows:
            if column not in row:
                raise unknown("column", column, [name for name in row if not name.startswith("__")])
            if isinstance(row[column], str) and row[column].strip():
                yield row[column]


def _kept(texts: Iterator[str], held: dict[bytes, str]) -> Iterator[str]:
    """The texts to train on; some to measure on go into ``held``, each once.

    Of a source so small that none falls to measuring, the last text is both.
    """
    last: str | None = None
    for text in texts:
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        if int.from_bytes(key) % HELD_OUT == 0 and len(held) < MEASURED and last is not None:
            held[key] = text
            continue
        last = text
        yield text
    if last is None:
        raise DataError("there is no text to train a tokenizer on", hint="look at the data with: sixfold check")
    if not held:
        held[b""] = last


def _by_language(texts: list[str]) -> dict[str, list[str]]:
    """Texts by language, the commonest first, and all of them."""
    out: dict[str, list[str]] = {}
    for text in texts:
        out.setdefault(language(text), []).append(text)
    ordered = dict(sorted(out.items(), key=lambda item: -len(item[1])))
    return ordered if len(ordered) == 1 else {**ordered, "all": texts}


def _tokenizer_of(ref: str) -> Any:
    from transformers import AutoConfig

    from sixfold.models.resolve import resolve
    from sixfold.models.tokenizer import load_tokenizer

    folder = resolve(ref).folder
    return load_tokenizer(folder, AutoConfig.from_pretrained(folder, local_files_only=True))


def table(trained: Trained) -> Table:
    """The measures, side by side."""
    out = Table("tokenizer", "text", "texts", "tokens known", "per letter", "per word", "unknown")
    out.caption = "tokens that a letter and a word take, on texts not trained on"
    for name, rows in trained.measures.items():
        for key, found in rows.items():
            out.add_row(
                name,
                key,
                f"{found.texts:,}",
                f"{found.vocabulary:,}",
                f"{found.tokens_a_character:.3f}",
                f"{found.tokens_a_word:.2f}",
                f"{found.unknown_share:.2%}",
            )
    return out
