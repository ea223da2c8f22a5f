"""A fine-tuned checkpoint that answers: single texts, lists, tables, and files of any size in constant memory.

What takes seconds to import (torch, transformers, datasets) is imported where it is first needed, so that a wrong name
is told at once and texts are answered without the library of tables.
"""

from __future__ import annotations

import html
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sixfold import data
from sixfold.commands.importing import uncollected
from sixfold.commands.runs import stages_in
from sixfold.data import checking
from sixfold.data.one_split import one_split, present
from sixfold.data.partition import digest
from sixfold.errors import DataError, UsageError
from sixfold.fetch.folders import PRIVATE, write_lines
from sixfold.models.lineage import read as read_lineage
from sixfold.score.adapted import AUTO, Adapted, load_adapted
from sixfold.score.tuned import load_tuned, settings_of
from sixfold.tasks.texts import Texts
from sixfold.text import words as split_words

if TYPE_CHECKING:
    from sixfold.data.examples import Examples
    from sixfold.score.scorer import Scorer
    from sixfold.tasks.contract import Cut, OnLong, Rows, Task

CHUNK = 2048
"""Rows that are in memory at once."""


class Predictions(list[dict[str, Any]]):
    """Answers in the order of the texts; shows itself as a table in Jupyter. ``cut`` says what was too long."""

    cut: Cut

    def _repr_html_(self) -> str:
        names = list(self[0]) if self else []
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_short(answer[name]))}</td>" for name in names) + "</tr>"
            for answer in self[:50]
        )
        more = f"<p>… and {len(self) - 50:,} more</p>" if len(self) > 50 else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        best = sorted(value.items(), key=lambda item: -item[1])[:3]
        return ", ".join(f"{name} {share:.2f}" for name, share in best)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Model:
    """A checkpoint with the task it was tuned for.

    Attributes:
        folder: where it lies.
        task: knows labels, thresholds and temperature.
        scorer: runs the model; its ledger counts what was computed.
        tokenizer: the checkpoint's.
        limit: tokens an example may have.
        on_long: what happens to a longer text.
        columns: role to column, as the training file had them.
        adapted: answers each row by the adapter that its text belongs to; None where all go by one model.
    """

    folder: Path
    task: Task
    scorer: Scorer
    tokenizer: Any
    limit: int
    on_long: OnLong
    columns: Mapping[str, str] = field(default_factory=dict)
    adapted: Adapted | None = None

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        adapter: str | None = None,
        columns: Mapping[str, str] | None = None,
        precision: Literal["fp32", "bf16"] = "fp32",
    ) -> Model:
        """Read a checkpoint that ``finetune`` wrote.

        Args:
            adapter: one of those beside the checkpoint; ``auto`` sends each text to its own, all in one batch.
            columns: role to column of the rows to come, where they are named otherwise than the training rows.
            precision: ``bf16`` is several times as fast where the processor multiplies it in hardware, and seldom gives
                another label.

        Raises:
            UsageError: there is no such folder, or no such adapter.
            ModelError: it is not a fine-tuned checkpoint, or is damaged.
        """
        folder = checkpoint_of(Path(folder))
        if adapter is None:
            settings_of(folder)  # a wrong folder is told before torch is imported
        with uncollected():
            from sixfold.models.bf16 import in_bf16
            from sixfold.score.subject import answering
        if adapter == AUTO:
            return cls._routed(folder, columns or {}, precision)
        found = load_tuned(folder, adapter)
        model = in_bf16(found.model) if precision == "bf16" else found.model
        scorer = answering(model, found.tokenizer, found.digest, found.voting, precision=precision)
        named = {**found.columns, **(columns or {})}
        return cls(folder, found.task, scorer, found.tokenizer, found.limit, found.on_long, named)

    @classmethod
    def _routed(cls, folder: Path, columns: Mapping[str, str], precision: str) -> Model:
        if precision != "fp32":
            raise UsageError("rows of several adapters are computed in fp32", found=precision)
        found, adapted = load_adapted(folder)
        named = {**found.columns, **columns}
        return cls(folder, found.task, adapted.scorer, found.tokenizer, found.limit, found.on_long, named, adapted)

    def predict(self, texts: str | Sequence[Any] | Any) -> Predictions:
        """Answer texts.

        Args:
            texts: one text, a list of texts (or of lists of words), or a DataFrame or list of rows with the column
                that the task reads.

        Raises:
            DataError: a text is empty or not a string, or too long where the checkpoint refuses long texts.
        """
        given = texts.tolist() if hasattr(texts, "tolist") else texts  # a pandas Series, a numpy array
        rows = self._rows([given] if isinstance(given, str) else given)
        answers, cut = self._answers(rows)
        found = Predictions(answers)
        found.cut = cut
        return found

    def predict_file(self, source: Any, *, encoding: str | None = None) -> Iterator[dict[str, Any]]:
        """Answer the rows of a file one after the other; memory does not grow with the file."""
        return self._each(data.iterate(source, encoding=encoding, chunk=CHUNK))

    def predict_lines(self, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Answer texts that come one a line; an empty line is refused with its number."""
        return self._each(_stripped(lines))

    def _each(self, chunks: Iterable[list[Any]]) -> Iterator[dict[str, Any]]:
        from sixfold.models.heap import give_back

        for chunk in chunks:
            yield from self._answers(self._rows(chunk))[0]
            give_back()

    def evaluate(
        self,
        source: Any,
        *,
        split: str | None = None,
        columns: Mapping[str, str] | None = None,
        encoding: str | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Measure the checkpoint on labelled rows, as the stage does.

        Raises:
            DataError: the rows cannot be used.
            UsageError: there is no such split.
        """
        name, usable = one_split(
            source,
            self.task.columns,
            split=split,
            usual=self.columns,
            given=columns or {},
            encoding=encoding,
            allow=["one_class", "unseen", "overlaps"],
        )
        if self.adapted is not None and len({task.head() for task in self.adapted.tasks.values()}) > 1:
            raise UsageError("adapters with labels of their own cannot be judged together", hint="name one: --adapter")
        encoded = self.task.encode(usable, self.tokenizer, self.limit, self.on_long)
        predictions, _ = self._predicted(encoded.examples)
        result = self.task.evaluate(predictions, usable, seed=seed)
        roles = [column.role for column in self.task.columns]
        return {**result, "split": name, "digest": digest(usable, roles), "long_rows": encoded.cut.long_rows}

    def _rows(self, given: Any) -> Rows:
        """The inputs of rows in whatever shape they came, under the task's names."""
        column = self.task.columns[0]
        if not isinstance(given, Sequence) or (given and isinstance(given[0], Mapping)):
            read = data.read(list(given) if isinstance(given, Sequence) else given)
            if (
                column.kind == "words"
                and "words" not in read["train"].column_names
                and "text" in read["train"].column_names
            ):
                return self._worded(list(read["train"]["text"]))
            inputs = [part for part in self.task.columns if not part.target]
            mapping = present(self.columns, read["train"].column_names, inputs)
            checked = checking.check(read, inputs, mapping, allow=["overlaps"])
            return checking.apply(read, checked).rows["train"]
        _all_texts(given, words=column.kind == "words")
        if column.kind == "words" and given and isinstance(given[0], str):
            return self._worded(list(given))
        return Texts({column.role: list(given)})

    def _worded(self, texts: list[str]) -> Texts:
        """Plain text for a task that reads words (or characters)."""
        single = getattr(self.task, "characters", False)
        cells = [
            [c for c in text if not c.isspace()] if single else [text[a:b] for a, b in split_words(text)]
            for text in texts
        ]
        return Texts({"words": cells, "text": texts})

    def _answers(self, rows: Rows) -> tuple[list[dict[str, Any]], Cut]:
        encoded = self.task.encode(rows, self.tokenizer, self.limit, self.on_long)
        predictions, by = self._predicted(encoded.examples)
        echo = [name for name in ("text", "words") if name in rows.column_names]
        shown = [
            {**{name: rows[name][place] for name in echo}, **self.task.show(prediction), **by[place]}
            for place, prediction in enumerate(predictions)
        ]
        return shown, encoded.cut

    def _predicted(self, examples: Examples) -> tuple[list[Any], list[dict[str, Any]]]:
        """One prediction a row, and of each what is said of its adapter where a router chose it."""
        if self.adapted is None:
            predictions = self.task.predict(self.scorer, examples)
            return predictions, [{}] * len(predictions)
        routes = self.adapted.routes(examples)
        predictions = self.adapted.predictions(examples, [route.adapter for route in routes])
        return predictions, [{"adapter": route.adapter, "adapter_confidence": route.confidence} for route in routes]

    def _repr_html_(self) -> str:
        from sixfold.models.forward import can_pack

        facts = {
            "task": self.task.name,
            "labels": ", ".join(self.task.head().labels),
            "folder": str(self.folder),
            "longest text": f"{self.limit} tokens",
            "layout": "packed" if can_pack(self.scorer.model) else "padded",
        }
        cells = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in facts.items())
        return f"<table>{cells}</table>"


def _stripped(lines: Iterable[str]) -> Iterator[list[str]]:
    """Lines without the blanks around them, a chunk at a time."""
    numbered = enumerate(lines, 1)
    while chunk := list(itertools.islice(numbered, CHUNK)):
        empty = [number for number, line in chunk if not line.strip()]
        if empty:
            raise DataError("a line is empty", where=f"line {empty[0]} of the input")
        yield [line.strip() for _, line in chunk]


def _all_texts(given: Sequence[Any], *, words: bool) -> None:
    """Refuse what is no text (nor a list of words, where the task reads words), and what is empty."""
    kinds = (str, list, tuple) if words else (str,)
    bad = [
        place for place, text in enumerate(given) if not isinstance(text, kinds) or not len(text) or not _sound(text)
    ]
    if bad:
        raise DataError(
            f"{len(bad):,} of {len(given):,} texts are empty or no text",
            where=", ".join(f"number {place}" for place in bad[:5]),
            found=repr(given[bad[0]])[:80],
        )


def _sound(text: str | Sequence[str]) -> bool:
    """Whether all of it is text: no word of another type, no half of a character (UTF-16 cut in two)."""
    try:
        "".join(text).encode()
    except (TypeError, UnicodeEncodeError):
        return False
    return True


def checkpoint_of(folder: Path) -> Path:
    """The checkpoint in a folder: the folder itself, a stage's, or the last stage's of a run."""
    if (folder / "config.json").is_file():
        return folder
    if (folder / "checkpoint" / "config.json").is_file():
        return folder / "checkpoint"
    stages = stages_in(folder, "checkpoint/config.json")
    if stages:
        return stages[-1] / "checkpoint"
    from sixfold.models.resolve import resolve

    return resolve(str(folder)).folder


def text_lines(lines: Iterable[bytes], encoding: str | None = None) -> Iterator[str]:
    """Lines of bytes as text; UTF-8 unless said otherwise.

    Raises:
        UsageError: there is no such encoding.
        DataError: bytes that are not in it, with the line's number.
    """
    name = encoding or "utf-8"
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode(name).removeprefix("\ufeff" if number == 1 else "")
        except LookupError:
            raise UsageError(f"there is no encoding {name!r}", hint="such as utf-8, gb18030, utf-16") from None
        except UnicodeDecodeError as error:
            raise DataError(
                f"the input is not {name}",
                where=f"line {number} of the input",
                found=f"byte {line[error.start]:#04x} at place {error.start}",
                hint="name its encoding: --encoding gb18030",
            ) from None


def json_lines(answers: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    return (json.dumps(answer, ensure_ascii=False) for answer in answers)


def written(lines: Iterable[str], path: Path) -> int:
    """Write answers to a file that appears whole or not at all; gives their number.

    Only the owner may read it: answers repeat the texts.

    Raises:
        StorageError: it could not be written.
    """
    return write_lines(path, lines, mode=PRIVATE)


def lineage_of(folder: str | Path) -> dict[str, Any]:
    """What made a checkpoint."""
    return read_lineage(checkpoint_of(Path(folder)))
