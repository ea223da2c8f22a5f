"""A model that has learnt from texts with hidden tokens, asked for the vote of many such copies (RanMASK).

The paper's figures are of votes (Zeng et al. 2021, arXiv:2105.03743). They are measured here on texts that fooled the
model when it was asked once; no attack was made on the vote itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sixfold.attack.outcome import Outcome
from sixfold.metrics.intervals import proportion
from sixfold.score.subject import Subject
from sixfold.score.votes import voted
from sixfold.stages.attacked import Attacked
from sixfold.tasks.masking import MaskToken
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.texts import Texts

COPIES = 50
"""Of each text; their votes decide."""


def voting(subject: Subject, attacked: Sequence[Attacked], share: float, seed: int) -> dict[str, Any] | None:
    """How many of the attacked rows the vote has right: as they are, and of the texts on which the single answer erred.

    Args:
        share: of each copy's tokens that is hidden, as in training.

    Returns:
        plain results; None for a task whose texts have not just one label.
    """
    task = subject.task
    if not isinstance(task, TextClassification) or task.several:
        return None
    rows = [one for one in attacked[0].outcomes if one.why != "too long"]
    right = _voted(subject, [one.original for one in rows], rows, share, seed)
    found = {}
    for one in attacked:
        won = [outcome for outcome in one.outcomes if outcome.kind == "succeeded"]
        votes = _voted(subject, [outcome.adversarial for outcome in won], won, share, seed)
        found[one.name] = proportion("texts that the vote has right", votes, len(won)).to_dict()
    clean = proportion("accuracy of the vote", right, len(rows)).to_dict()
    return {"copies": COPIES, "share": share, "clean": clean, "attacks": found}


def _voted(subject: Subject, texts: Sequence[str], rows: Sequence[Outcome], share: float, seed: int) -> int:
    """How many of the texts get their row's right label."""
    task: Any = subject.task
    if not texts:
        return 0
    examples = task.encode(Texts({"text": list(texts)}), subject.tokenizer, subject.limit, "truncate").examples
    votes = voted(
        subject.scorer,
        examples,
        task.question(),
        masks=COPIES,
        share=share,
        mask_id=MaskToken.of(subject.tokenizer).id,
        frame=subject.frame,
        seed=seed,
    )
    best = votes.counts.argmax(axis=1)
    return sum(task.labels[int(label)] == row.gold for label, row in zip(best, rows, strict=True))
