"""The names of all figures of an audit, as gates name them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sixfold.stages.auditing.config import Config
from sixfold.tasks.contract import Task

UNDER_ATTACK = "accuracy_under_attack"
ALL = "all"
FAITHFULNESS, STABILITY = "faithfulness", "stability"
MEMBERSHIP, MEMBERSHIP_HITS = "membership_auc", "membership_hits"
EXPOSURE, FINISHED = "canary_exposure", "canary_finished"
EXTRACTED, EXTRACTED_PERSONAL = "extracted", "extracted_personal_data"
FLIPS = "flips"
PERSONAL = "personal_data"
FOREIGN = "foreign_auroc"
SUREST = (50, 80)
"""Shares of the rows, in per cent, that the model is surest of."""
_EVALUATED = {
    "one label": ("accuracy", "macro_f1", "weighted_f1"),
    "several labels": ("micro_f1", "macro_f1", "subset_accuracy", "mean_average_precision"),
    "tags": ("f1", "precision", "recall", "token_accuracy"),
}
"""What ``Task.evaluate`` measures; the first one is what parts of the rows are compared by."""


def kind(task: Task) -> str:
    """``tags``, ``one label`` or ``several labels``."""
    if task.name == "token_classification":
        return "tags"
    return "several labels" if getattr(task, "several", False) else "one label"


def headline(task: Task) -> str:
    """The figure that parts of the rows are compared by."""
    return _EVALUATED[kind(task)][0]


def known(
    config: Config, task: Task, *, slices: Iterable[str], attacks: Sequence[str], foreign: bool, canaries: bool
) -> list[str]:
    """Every figure that an audit will measure.

    Args:
        slices: ``column.value`` of each part of the rows.
        attacks: whose outcome will be known.
        foreign: whether there are foreign texts.
        canaries: whether the lineage tells of canaries in the training text.
    """
    found = [*_EVALUATED[kind(task)], *(f"{headline(task)}.{name}" for name in slices)]
    found += [f"surest_{share}" for share in SUREST]
    if kind(task) != "several labels":
        found.append("ece")
    if foreign:
        found.append(FOREIGN)
    if config.measures("robustness"):
        found += [f"{UNDER_ATTACK}.{name}" for name in (*attacks, ALL)]
    if config.measures("explanations"):
        found += [FAITHFULNESS, STABILITY]
    if config.measures("leakage"):
        found += [MEMBERSHIP, MEMBERSHIP_HITS, *([EXPOSURE] if canaries else [])]
    if config.measures("fairness"):
        found += [f"{FLIPS}.pronouns", f"{FLIPS}.names"]
    if config.measures("personal_data"):
        found.append(PERSONAL)
    return found


def known_of_text(config: Config, task: Task, *, slices: Iterable[str], canaries: bool) -> list[str]:
    """As ``known``, of a language model."""
    writes = task.name == "causal_lm"
    found = ["loss", "perplexity", "accuracy", *(["bits_per_byte"] if writes else [])]
    found += [f"loss.{name}" for name in slices]
    if config.measures("leakage"):
        found += [MEMBERSHIP, MEMBERSHIP_HITS, *([EXPOSURE] if canaries else [])]
        found += [EXTRACTED, EXTRACTED_PERSONAL] if writes else []
        found += [FINISHED] if writes and canaries else []
    if config.measures("personal_data"):
        found.append(PERSONAL)
    return found
