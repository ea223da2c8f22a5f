"""What stages that learn from labelled rows do alike: every split encoded, answered, judged, and told of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sixfold.data import partition
from sixfold.errors import DataError, UsageError
from sixfold.fetch.folders import PRIVATE, write_lines
from sixfold.stages.context import Context
from sixfold.stages.rows import Prepared
from sixfold.stages.training import headline, quantiles
from sixfold.tasks.contract import Encoded, OnLong, Predictor, Task
from sixfold.text.counting import counted

SHOWN = 5
"""Places of long rows that an error names."""


def encoded(
    task: Task, prepared: Prepared, tokenizer: Any, limit: int, on_long: OnLong, *, hint: str
) -> dict[str, Encoded]:
    """The examples of every split.

    Args:
        hint: what to do where texts are too long and ``on_long`` is ``error``.

    Raises:
        DataError: there are such texts, of all splits at once.
    """
    # The stage knows where each row stands, so it refuses long ones itself.
    kept: OnLong = "truncate" if on_long == "error" else on_long
    found = {split: task.encode(rows, tokenizer, limit, kept) for split, rows in prepared.rows.items()}
    if on_long == "error":
        _refuse_long(found, prepared, hint)
    return found


def limit_of(asked: int | None, most: int) -> int:
    """Most tokens of an example: as many as the recipe asks for, or as the base reads.

    Raises:
        UsageError: the base reads fewer than the recipe asks for.
    """
    if asked is not None and asked > most:
        raise UsageError(
            f"max_tokens is {asked:,}, and the base reads {most:,} tokens at most",
            where="max_tokens",
            hint=f"set max_tokens to {most} or less, or leave it out; on_long: window reads a longer text in parts",
        )
    return asked or most


def _refuse_long(found: Mapping[str, Encoded], prepared: Prepared, hint: str) -> None:
    cuts = {split: part.cut for split, part in found.items()}
    count, total = sum(cut.long_rows for cut in cuts.values()), sum(cut.rows for cut in cuts.values())
    if not count:
        return
    verb = "is" if count == 1 else "are"
    places = [partition.place(prepared.rows[split], row) for split, cut in cuts.items() for row in cut.where]
    raise DataError(
        f"{count:,} of {counted(total, 'text')} ({count / total:.1%}) {verb} longer than the limit of "
        f"{cuts['train'].limit:,} tokens; the longest has {max(cut.longest for cut in cuts.values()):,}",
        where=", ".join(places[:SHOWN]) + (", …" if count > SHOWN else ""),
        hint=hint,
    )


@dataclass(frozen=True)
class Judged:
    """What a model says of the held-out rows.

    Attributes:
        task: with what was set on validation rows, if that was asked for.
        predictions, evaluations: by split, validation first.
    """

    task: Task
    predictions: dict[str, list[Any]]
    evaluations: dict[str, dict[str, Any]]


def judged(
    task: Task,
    predictor: Predictor,
    prepared: Prepared,
    examples: Mapping[str, Encoded],
    *,
    seed: int,
    tune: bool,
    tell: Callable[[str], None] = lambda line: None,
) -> Judged:
    """Answer and judge every split but train.

    Args:
        tune: set the task's thresholds and temperature on validation rows first, if there are any.
    """
    rows = prepared.rows
    answers: dict[str, list[Any]] = {}
    results: dict[str, dict[str, Any]] = {}
    for split in ("validation", *(name for name in rows if name not in ("train", "validation"))):
        if split not in rows:
            continue
        found = task.predict(predictor, examples[split].examples)
        if split == "validation" and tune:
            task = task.tune(found, rows[split])
            # the same logits, judged with what was tuned
            found = task.predict(predictor, examples[split].examples)
        answers[split] = found
        results[split] = task.evaluate(found, rows[split], seed=seed)
        tell(f"  {split}: {headline(results[split])}")
    return Judged(task, answers, results)


def masked_evaluations(
    done: Judged,
    predictor: Predictor,
    prepared: Prepared,
    tokenizer: Any,
    limit: int,
    on_long: OnLong,
    *,
    seed: int,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, dict[str, Any]]:
    """The metrics of every held-out split whose personal data is replaced as that of train; none without a mask.

    A pseudonym may make a text too long that was not: it is cut then, whatever was said of the rows as they are.
    """
    kept: OnLong = "truncate" if on_long == "error" else on_long
    found = {}
    for split in done.evaluations:
        if split in prepared.masked:
            rows = prepared.masked[split]
            predictions = done.task.predict(predictor, done.task.encode(rows, tokenizer, limit, kept).examples)
            found[split] = {"metrics": done.task.evaluate(predictions, rows, seed=seed)["metrics"]}
            tell(f"  {split}, masked: {headline(found[split])}")
    return found


def mask_results(done: Judged, masked: Mapping[str, Any], prepared: Prepared) -> dict[str, Any]:
    """What was masked, with each metric on held-out rows as they are and masked; empty without a mask."""
    if "masked" not in prepared.described:
        return {}
    scores = [
        {"split": split, "as_they_are": done.evaluations[split]["metrics"][name], "masked": metric}
        for split, found in masked.items()
        for name, metric in found["metrics"].items()
    ]
    return {"masked": {**prepared.described["masked"], "scores": scores}}


def write_predictions(context: Context, done: Judged, prepared: Prepared) -> None:
    """One JSON line a row, for comparing runs row by row."""
    target = next(column.role for column in done.task.columns if column.target)
    for split, predictions in done.predictions.items():
        gold = prepared.rows[split][target]
        lines = (
            json.dumps({"row": key, "gold": right, **done.task.show(prediction)}, ensure_ascii=False)
            for key, right, prediction in zip(prepared.keys[split], gold, predictions, strict=True)
        )
        write_lines(context.folder / "predictions" / f"{split}.jsonl", lines, mode=PRIVATE, parents=True)


def data_results(prepared: Prepared, examples: Mapping[str, Encoded], on_long: OnLong) -> dict[str, Any]:
    """What the rows were, with lengths in tokens and what was cut."""
    cuts = {split: part.cut for split, part in examples.items()}
    splits = {
        split: {**facts, "lengths": quantiles(examples[split].examples)}
        for split, facts in prepared.described["splits"].items()
    }
    cut = {
        "rows": sum(cut.long_rows for cut in cuts.values()),
        "tokens": sum(cut.lost_tokens for cut in cuts.values()),
        "unlearnable": sum(cut.unlearnable for cut in cuts.values()),
        "on_long": on_long,
        "by_split": {split: asdict(cut) for split, cut in cuts.items()},
    }
    return {**prepared.described, "splits": splits, "cut": cut}
