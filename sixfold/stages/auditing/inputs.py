"""What an audit works on: a fine-tuned checkpoint, the rows it learnt from, held-out rows, and foreign texts.

Nothing is computed here, so that a wrong key or gate is told at once. Of language models: ``texts.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
from pydantic import ValidationError

from sixfold.data import partition
from sixfold.data.one_split import one_split
from sixfold.errors import UsageError
from sixfold.models import lineage
from sixfold.score.tuned import task_of
from sixfold.stages.auditing import figures, gates
from sixfold.stages.auditing.config import SLICES, Config
from sixfold.stages.auditing.slices import Slices, sliced
from sixfold.stages.checkpoints import checkpoint_of
from sixfold.stages.context import Context
from sixfold.stages.harden_inputs import language_of, usual
from sixfold.stages.rows import DataConfig, held_out, prepare_rows
from sixfold.stages.rows import Prepared as Rows
from sixfold.tasks.contract import Task

FOREIGN_ROWS = 2_000
"""Foreign texts that are read at most."""
TASKS = ("text_classification", "token_classification")
_AS_WISHED = {"attacked", "budget", "words"}
"""Keys that say how to attack: where one is set, nothing that was measured before will do."""


@dataclass(frozen=True)
class Prepared:
    """A checkpoint and rows that it can be audited on.

    Attributes:
        folder: of the checkpoint.
        history: the checkpoint's lineage.
        split: the held-out rows that figures are of.
        learnt: whether the training rows are those that the lineage names; None where it names none.
        slices: of the split, by column and value.
        foreign: texts (or rows of words) of another kind.
        attacks: names; none where robustness is left out, or taken from the lineage.
        reference: the folder of a checkpoint that membership is told against.
    """

    rows: Rows
    folder: Path
    task: Task
    history: Mapping[str, Any]
    split: str
    learnt: bool | None
    slices: Slices
    foreign: list[Any]
    attacks: tuple[str, ...]
    language: str
    reference: Path | None

    @property
    def told(self) -> tuple[str, ...]:
        """Lines for a person."""
        return self.rows.told

    @property
    def described(self) -> Mapping[str, Any]:
        """What the report says of the rows."""
        return self.rows.described

    @property
    def digests(self) -> dict[str, str]:
        """What decides whether the stage is skipped, beside its config."""
        return self.rows.digests

    @property
    def measured_before(self) -> Mapping[str, Any] | None:
        """What the stage that made the checkpoint measured under attack, on the same split."""
        found = self.history.get("robustness")
        return found if found and found.get("split") == self.split else None


def prepare(config: Config, context: Context) -> Prepared:
    """Read the checkpoint's task and the rows; check gates, attacks and slices. Raises before any compute."""
    folder = checkpoint_of(config.base, context, to="audit")
    task = task_of(folder)
    if task.name not in TASKS:
        raise UsageError(
            f"an audit is of a language model or of a checkpoint that classifies or tags: this one's is {task.name}",
            where=folder,
        )
    history = lineage.read(folder)
    columns = [name for name in config.slices if name not in SLICES]
    rows = prepare_rows(rows_of(config, history, folder), task.columns, seed=seed_of(history, context), keep=columns)
    split = held_out(rows)
    foreign = _foreign(config, task, context)
    reference = _reference(config, context, task)
    named = dict(history.get("data") or {})
    prepared = Prepared(
        rows=replace(rows, digests={**rows.digests, **_digests(folder, foreign, reference)}),
        folder=folder,
        task=task,
        history=history,
        split=split,
        learnt=named["train"] == rows.digests["train"] if "train" in named else None,
        slices=sliced(rows.rows[split], task, config.slices),
        foreign=foreign,
        attacks=(),
        language=language_of(rows),
        reference=reference,
    )
    prepared = replace(prepared, attacks=_attacks(config, prepared))
    gates.check(map(gates.Gate.read, config.gates), _known(config, prepared))
    return prepared


def _known(config: Config, prepared: Prepared) -> list[str]:
    """Every figure that will be measured."""
    before = prepared.measured_before or {}
    attacks = prepared.attacks or tuple(name for name in before.get(figures.UNDER_ATTACK, {}) if name != figures.ALL)
    return figures.known(
        config,
        prepared.task,
        slices=prepared.slices.names,
        attacks=attacks,
        foreign=bool(prepared.foreign),
        canaries=bool(prepared.history.get("canaries")),
    )


def rows_of(config: Config, history: Mapping[str, Any], folder: Path) -> DataConfig:
    """The rows of the recipe, or those that the lineage names."""
    if config.data is not None:
        return config.data
    told = (history.get("config") or {}).get("data")
    if not told or in_memory(told.get("source")):
        raise unnamed(folder)
    try:
        return DataConfig.model_validate(told)
    except ValidationError as error:
        raise UsageError("the rows that the lineage names cannot be read again", where=folder, found=error) from error


def unnamed(folder: Path) -> UsageError:
    """What is said where a lineage does not tell what was learnt from."""
    return UsageError(
        "the checkpoint's lineage does not say where its rows can be read",
        where=folder,
        hint="name them: data: {source: FILE}, or sixfold audit CHECKPOINT --data FILE",
    )


def in_memory(source: Any) -> bool:
    """Whether a source of a lineage cannot be read again."""
    if isinstance(source, Mapping):
        return any(map(in_memory, source.values()))
    if isinstance(source, list):
        return any(map(in_memory, source))
    return source is None or str(source).startswith("<")


def seed_of(history: Mapping[str, Any], context: Context) -> int:
    """The checkpoint's own seed draws the same training rows where a recipe limits them."""
    found = history.get("seed")
    return context.seed if found is None else int(found)


def _reference(config: Config, context: Context, task: Task) -> Path | None:
    """The checkpoint that membership is told against.

    Raises:
        UsageError: it has another task or other labels.
    """
    if config.reference is None:
        return None
    folder = checkpoint_of(config.reference, context, to="audit")
    other = task_of(folder)
    if (other.name, other.head().labels) != (task.name, task.head().labels):
        raise UsageError(
            "a reference must answer with the labels of the checkpoint that is audited",
            where="reference",
            found=f"{other.name}: {', '.join(other.head().labels[:5])}",
            hint="tune the same base for the same task on other rows of the same source",
        )
    return folder


def _foreign(config: Config, task: Task, context: Context) -> list[Any]:
    """Texts that the model is not for, drawn by the seed."""
    if config.foreign is None:
        return []
    column = next(one for one in task.columns if not one.target)
    _, rows = one_split(config.foreign, [column], split=None, usual={}, given={}, encoding=None, allow=["overlaps"])
    return list(rows.select(partition.drawn(len(rows), FOREIGN_ROWS, context.seed))[column.role])


def _digests(folder: Path, foreign: list[Any], reference: Path | None) -> dict[str, str]:
    found = {"base": lineage.digest_folder(folder)}
    if reference is not None:
        found["reference"] = lineage.digest_folder(reference)
    if foreign:
        rows = datasets.Dataset.from_dict({"text": foreign})
        found["foreign"] = partition.digest(rows, ["text"])
    return found


def _attacks(config: Config, prepared: Prepared) -> tuple[str, ...]:
    """Attacks that are made now."""
    if not config.measures("robustness"):
        return ()
    if config.attacks is None and prepared.measured_before is not None and not _AS_WISHED & config.model_fields_set:
        return ()
    return tuple(config.attacks or usual(prepared.task, prepared.language))
