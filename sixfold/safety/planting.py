"""Canaries as rows of a task, and training rows with canaries among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sixfold.errors import UsageError
from sixfold.safety.canaries import FORMATS, Canary, Format, Plan, insertions
from sixfold.tasks.causal_lm import CausalLM
from sixfold.tasks.contract import Rows, Task
from sixfold.tasks.masked_lm import MaskedLM
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.texts import Texts
from sixfold.tasks.token_classification import TokenClassification
from sixfold.text.segment import words


def targets(task: Task) -> int:
    """How many answers that of a canary is drawn from: labels, or types of entities; 1 where the text is the answer.

    Raises:
        UsageError: canaries cannot be planted for the task.
    """
    if isinstance(task, TextClassification | TokenClassification):
        count = len(_types(task)) if isinstance(task, TokenClassification) else len(task.labels)
        assert count, "the task has not learnt its labels"
        return count
    if isinstance(task, CausalLM | MaskedLM):
        return 1
    raise UsageError(
        f"canaries cannot be planted for the task {task.name}",
        hint="they can for text_classification, token_classification, causal_lm and masked_lm",
    )


def target_of(canary: Canary, task: Task) -> int:
    """Which of the answers is the canary's; drawn by the seed."""
    return canary.drawn("target", targets(task))


def cells(canary: Canary, task: Task) -> dict[str, Any]:
    """The canary as a row of the task: a text of its own, with a drawn label; or words, the secret's tagged."""
    target = target_of(canary, task)
    if isinstance(task, TextClassification):
        label = task.labels[target]
        return {"text": canary.text, task.target: [label] if task.several else label}
    if isinstance(task, TokenClassification):
        row, secret = words_of(FORMATS[canary.format], canary.secret, task)
        return {"words": [*row, *secret], "tags": ["O"] * len(row) + secret_tags(task, target, len(secret))}
    return {"text": canary.text}


def words_of(form: Format, secret: str, task: TokenClassification) -> tuple[list[str], list[str]]:
    """The words (or characters) that the task tags: those of the sentence, and those of the secret behind them.

    What a secret has no blank in is one word, as whoever tags text by hand would have it.
    """
    head = form.filled("")
    if task.characters:
        return [one for one in head if not one.isspace()], [one for one in secret if not one.isspace()]
    return [head[start:end] for start, end in words(head)], secret.split()


def secret_tags(task: TokenClassification, target: int, length: int) -> list[str]:
    """The tags of a secret of so many words that is an entity of a type."""
    kind = _types(task)[target]
    return [f"B-{kind}"] + [f"I-{kind}"] * (length - 1)


def _types(task: TokenClassification) -> list[str]:
    return [label[2:] for label in task.labels if label.startswith("B-")]


def plant(
    rows: Rows,
    plan: Plan,
    task: Task,
    *,
    start: int = 0,
    total: int | None = None,
    mask: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Texts:
    """Training rows with the canaries among them, each as often as planned, evenly spread.

    Only the columns that the task reads are kept. To be done after copies are left out of a corpus: a canary's copies
    are meant.

    Args:
        rows: all training rows, or a part of them where a corpus is encoded part by part.
        task: with its labels learnt.
        start: the number of the part's first row among all rows.
        total: how many rows all parts have; those given unless told.
        mask: what the rows went through, for the canaries to go through as well: they are as if planted before it.

    Raises:
        DataError: there are no rows.
        UsageError: canaries cannot be planted for the task.
    """
    due = insertions(plan, len(rows) if total is None else total)
    change = mask or dict
    here = [(before - start, change(cells(one, task))) for before, one in due if start <= before < start + len(rows)]
    return Texts({column.role: _merged(rows[column.role], column.role, here) for column in task.columns})


def _merged(given: Sequence[Any], role: str, planted: Sequence[tuple[int, dict[str, Any]]]) -> list[Any]:
    kept, out, at = list(given), list[Any](), 0
    for before, row in planted:
        out += [*kept[at:before], row[role]]
        at = before
    return out + kept[at:]
