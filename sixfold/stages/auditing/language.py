"""The audit of a language model: how well it says what it has not seen, and what it gives away of what it has."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from sixfold.data.examples import Examples
from sixfold.data.partition import drawn
from sixfold.models import load
from sixfold.score.scorer import Scorer
from sixfold.stages.auditing import gates
from sixfold.stages.auditing.config import Config
from sixfold.stages.auditing.found import Found, measure
from sixfold.stages.auditing.leakage import canaries, extracted, finished, membership_of, together
from sixfold.stages.auditing.personal import personal
from sixfold.stages.auditing.slices import measured as sliced
from sixfold.stages.auditing.texts import Prepared, with_mask
from sixfold.stages.context import Context
from sixfold.stages.training import device
from sixfold.tasks.causal_lm import CausalLM
from sixfold.tasks.contract import Rows
from sixfold.tasks.masked_lm import MaskedLM
from sixfold.tasks.texts import Texts

Result = dict[str, Any]
HEADLINE = "loss"
_NO_LABEL = "the model gives no label"
MEANINGLESS = {
    "robustness": f"{_NO_LABEL} that an attack could change",
    "explanations": f"{_NO_LABEL} to explain; sixfold explain shows what a decoder's next word rests on",
    "fairness": f"{_NO_LABEL} that could hang on a person's sex",
}
"""Why parts of an audit are not measured of a language model."""
UNLABELLED = {
    "calibration": f"{_NO_LABEL} to be sure of; the loss judges its probabilities",
    "foreign texts": f"{_NO_LABEL} to be unsure of",
}
"""The same, of what is no part by itself."""


@dataclass(frozen=True)
class Reader:
    """A language model that is asked how well it says texts.

    Attributes:
        limit: tokens of an example; a longer text is asked in parts.
    """

    task: CausalLM | MaskedLM
    scorer: Scorer
    tokenizer: Any
    limit: int

    @classmethod
    def load(cls, folder: Path, task: CausalLM | MaskedLM, limit: int) -> Reader:
        """Read a checkpoint. Raises ModelError where it is damaged or has no head for the task."""
        found = load(folder, task.head())
        return cls(task, Scorer(found.model.to(device())), found.tokenizer, limit)

    def encoded(self, rows: Rows) -> Examples:
        return self.task.encode(rows, self.tokenizer, self.limit, "window").examples


def measured(config: Config, context: Context, prepared: Prepared) -> Found:
    """All that the recipe asks for and that has a meaning for a language model; what has none is told.

    Raises:
        Interrupted: the user asked to stop.
    """
    reader = Reader.load(prepared.folder, prepared.task, prepared.limit)
    evaluation, told, metrics = _quality(reader, prepared, context.seed)
    context.tell(f"  held out: {HEADLINE} {escape(gates.told(metrics[HEADLINE]))}")
    train, held_out = prepared.corpus.train, prepared.corpus.held_out
    probed = with_mask(prepared, train[drawn(len(train), config.probed, context.seed)]["text"])
    others = list(held_out[drawn(len(held_out), config.probed, context.seed)]["text"])
    parts: Result = {"quality": told}
    missing = dict(UNLABELLED)
    if "label" in config.slices and "slices" in config.model_fields_set:
        missing["parts by label"] = "documents have none"
    measure(
        parts,
        metrics,
        missing,
        config,
        context,
        {
            "robustness": MEANINGLESS["robustness"],
            "explanations": MEANINGLESS["explanations"],
            "leakage": lambda: _leakage(reader, config, context, prepared, probed, others, missing),
            "fairness": MEANINGLESS["fairness"],
            "personal_data": lambda: personal(probed, len(train), masked=prepared.mask is not None),
        },
    )
    return Found(
        parameters=sum(one.numel() for one in reader.scorer.model.parameters()),
        labels=[],
        limit=prepared.limit,
        evaluation=evaluation,
        parts=parts,
        metrics=metrics,
        missing=missing,
        scoring=asdict(reader.scorer.ledger),
    )


def _quality(reader: Reader, prepared: Prepared, seed: int) -> tuple[Result, Result, dict[str, Result]]:
    """The evaluation on held-out documents, its parts, and all figures by name."""
    rows = prepared.corpus.held_out
    predictions = reader.task.predict(reader.scorer, reader.encoded(rows))
    evaluation = {"kind": "language", **reader.task.evaluate(predictions, rows, seed=seed)}

    def figure(places: list[int]) -> Result:
        part = reader.task.evaluate([predictions[place] for place in places], rows.select(places), seed=seed)
        return dict(part["metrics"][HEADLINE])

    table, figures = sliced(prepared.slices, HEADLINE, figure)
    told: Result = {
        "headline": HEADLINE,
        "less_is_better": True,
        "slices": table,
        "left_out": dict(prepared.slices.left_out),
        "rows": len(rows),
    }
    return evaluation, told, {**evaluation["metrics"], **figures}


def _leakage(
    reader: Reader,
    config: Config,
    context: Context,
    prepared: Prepared,
    train: list[str],
    held_out: list[str],
    missing: dict[str, str],
) -> tuple[Result | None, dict[str, Result]]:
    """Membership, canaries, and of a decoder what it writes out; why that cannot be asked for goes to ``missing``."""
    sides = (Texts({"text": train}), Texts({"text": held_out}))
    other = prepared.reference
    reference = None if other is None else Reader.load(other, prepared.task, prepared.limit)
    planted = prepared.history.get("canaries")
    found = [membership_of(reader, sides, reference), canaries(reader, planted, masked=prepared.mask is not None)]
    if isinstance(reader.task, CausalLM):
        context.tell("  asking it to write documents out")
        written, why = extracted(reader, train, held_out, config.probed, context.seed)
        found += [written, finished(reader, planted)]
        if why is not None:
            missing["documents written out"] = why
    else:
        missing["documents written out"] = "a model that fills in hidden words writes no text"
    return together(*found)
