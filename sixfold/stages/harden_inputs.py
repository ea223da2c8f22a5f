"""What a harden stage works on: a fine-tuned checkpoint, rows of its labels, and attacks for their language.

Nothing is computed here. The stage itself: ``harden.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sixfold.attack.attacks import ATTACKS
from sixfold.errors import DataError, UsageError, unknown
from sixfold.models import lineage
from sixfold.score.tuned import task_of
from sixfold.stages.checkpoints import checkpoint_of
from sixfold.stages.context import Context
from sixfold.stages.harden_config import ATTACKED, Config
from sixfold.stages.rows import Prepared as Rows
from sixfold.stages.rows import held_out, prepare_rows
from sixfold.tasks.contract import Task
from sixfold.tasks.text_classification import TextClassification
from sixfold.text.counting import counted

SHOWN = 5
"""Labels that an error names."""


@dataclass(frozen=True)
class Prepared:
    """Rows that the stage can use, and the checkpoint that is to be hardened.

    Attributes:
        folder: of the checkpoint.
        task: the checkpoint's.
        split: whose rows are attacked, and whose score must not fall.
        attacks: names of the attacks before and after.
    """

    rows: Rows
    folder: Path
    task: Task
    split: str
    attacks: tuple[str, ...]
    language: str

    @property
    def digests(self) -> dict[str, str]:
        """What decides whether the stage is skipped, beside its config."""
        return self.rows.digests


def prepare(config: Config, context: Context) -> Prepared:
    """Read the checkpoint's task and the rows. Raises before any compute; the digests decide about skipping."""
    folder = checkpoint_of(config.base, context, to="harden")
    task = task_of(folder)
    _check_config(config, task)
    rows = prepare_rows(config.data, task.columns, seed=context.seed)
    _check_labels(task, rows)
    split = held_out(rows)
    language = language_of(rows)
    attacks = tuple(config.attacks or usual(task, language))
    rows = replace(rows, digests={**rows.digests, "base": lineage.digest_folder(folder)})
    return Prepared(rows, folder, task, split, attacks, language)


def _check_config(config: Config, task: Task) -> None:
    """Refuse keys that do not fit the checkpoint's task."""
    if config.train.mixup and task.name != "text_classification":
        raise UsageError(
            f"mixup only fits text_classification, and the checkpoint's task is {task.name}", where="train.mixup"
        )
    if config.votes is not None and (not isinstance(task, TextClassification) or task.several):
        raise UsageError(
            "copies of a text vote on one label, and this checkpoint's task gives several or tags words", where="votes"
        )
    metric = config.train.metric
    if metric is not None and metric not in task.score_names:
        raise unknown("metric", metric, task.score_names, where="train.metric")


def _check_labels(task: Task, rows: Rows) -> None:
    """Refuse training rows with labels that the checkpoint cannot give: nothing would be learnt from them."""
    labels = set(task.head().labels)
    told = rows.described["splits"]["train"]["labels"]
    known = {label.partition("-")[2] or label for label in labels} if task.name == "token_classification" else labels
    strange = [label for label in told if label not in known]
    if strange:
        raise DataError(
            f"training rows have {counted(len(strange), 'label')} that the checkpoint does not know",
            where="data",
            found=", ".join(strange[:SHOWN]) + (", …" if len(strange) > SHOWN else ""),
            hint=f"it knows {', '.join(sorted(known)[:SHOWN])}{', …' if len(known) > SHOWN else ''}; "
            "tune a checkpoint on these labels first",
        )


def language_of(rows: Rows) -> str:
    """The language of most training rows, by script."""
    shares: Mapping[str, float] = rows.described["languages"]["train"]
    return max(shares, key=lambda name: shares[name], default="und")


def usual(task: Task, language: str) -> Sequence[str]:
    """The attacks on a task and language unless others are named. Raises UsageError where there are none."""
    found = ATTACKED.get((task.name, language))
    if found is None:
        known = [name for name, row in ATTACKS.items() if "zh" not in row.languages]
        raise UsageError(
            f"there are no usual attacks on texts in the language {language!r}",
            where="attacks",
            hint=f"name three or more of unlike kinds, such as: {', '.join(known[:4])}",
        )
    return found
