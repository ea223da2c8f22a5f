"""The audit of a decoder that holds conversations: how well it answers held-out ones, and what it should not answer.

Coherence, refusals and the like are measured as in the converse stage (``conversing/evaluation.py``); here they can be
gates. What has no meaning without labels is told as for other language models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from sixfold.data.conversations import THREAD
from sixfold.data.examples import Examples
from sixfold.data.partition import drawn
from sixfold.errors import UsageError
from sixfold.generate.torch_engine import TorchEngine
from sixfold.models import lineage, load
from sixfold.score.scorer import Scorer
from sixfold.stages.auditing import gates
from sixfold.stages.auditing.config import Config
from sixfold.stages.auditing.figures import MEMBERSHIP, MEMBERSHIP_HITS, PERSONAL
from sixfold.stages.auditing.found import Found, measure
from sixfold.stages.auditing.inputs import rows_of, seed_of
from sixfold.stages.auditing.language import HEADLINE, MEANINGLESS, UNLABELLED
from sixfold.stages.auditing.leakage import membership_of, together
from sixfold.stages.auditing.personal import personal
from sixfold.stages.auditing.texts import OF_LABELS, kept, same_tokens
from sixfold.stages.checkpoints import checkpoint_of
from sixfold.stages.context import Context
from sixfold.stages.conversing.config import EvaluationConfig
from sixfold.stages.conversing.evaluation import FIGURES, evaluated
from sixfold.stages.harden_inputs import language_of
from sixfold.stages.rows import Prepared as PreparedRows
from sixfold.stages.rows import held_out, prepare_rows
from sixfold.stages.training import device
from sixfold.tasks.chat_template import ChatTemplate
from sixfold.tasks.contract import Rows
from sixfold.tasks.dialogue import Dialogue

Result = dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """A decoder and conversations that it can be audited on.

    Attributes:
        history: the checkpoint's lineage.
        learnt: whether the training rows are those that the lineage names; None where it names none.
        reference: the folder of a decoder that membership is told against.
    """

    rows: PreparedRows
    folder: Path
    task: Dialogue
    history: Mapping[str, Any]
    split: str
    learnt: bool | None
    language: str
    reference: Path | None
    digests: dict[str, str]

    @property
    def told(self) -> tuple[str, ...]:
        """Lines for a person."""
        return self.rows.told

    @property
    def described(self) -> Mapping[str, Any]:
        """What the report says of the rows."""
        return self.rows.described


@dataclass(frozen=True)
class Talker:
    """A decoder that is asked how likely answers are, in conversations as the audited checkpoint writes them."""

    task: Dialogue
    scorer: Scorer
    tokenizer: Any
    limit: int

    def encoded(self, rows: Rows) -> Examples:
        return self.task.encode(rows, self.tokenizer, self.limit, "window").examples


def is_conversational(folder: Path) -> bool:
    """Whether a checkpoint learnt conversations here."""
    return bool(kept(folder).get("converse"))


def prepare(config: Config, context: Context) -> Prepared:
    """Read the conversations; check keys and gates. Raises before any compute."""
    folder = checkpoint_of(config.base, context, to="audit")
    history = lineage.read(folder)
    others = {*OF_LABELS} - {"attacked"}  # here: how many questions are answered
    idle = [name for name in sorted(others) if getattr(config, name) != Config.model_fields[name].default]
    if idle:
        raise UsageError(f"{', '.join(idle)} would do nothing for conversations: leave it out", where="audit")
    if config.data is None and kept(folder)["converse"]["objective"] == "preference":
        raise UsageError(
            "this checkpoint learnt from pairs of answers, and an audit needs conversations with one",
            where=folder,
            hint="name some: sixfold audit CHECKPOINT --data FILE",
        )
    data = rows_of(config, history, folder)
    task = Dialogue()
    data = data if data.group else data.model_copy(update={"group": THREAD})
    rows = prepare_rows(data, task.columns, seed=seed_of(history, context))
    known = ["loss", "perplexity", "accuracy", *FIGURES, *([PERSONAL] if config.measures("personal_data") else [])]
    known += [MEMBERSHIP, MEMBERSHIP_HITS] if config.measures("leakage") else []
    gates.check(map(gates.Gate.read, config.gates), known)
    named = dict(history.get("data") or {})
    reference = None if config.reference is None else same_tokens(config.reference, context, folder)
    digests = {} if reference is None else {"reference": lineage.digest_folder(reference)}
    return Prepared(
        rows=rows,
        folder=folder,
        task=task,
        history=history,
        split=held_out(rows),
        learnt=named["train"] == rows.digests["train"] if "train" in named else None,
        language=language_of(rows),
        reference=reference,
        digests={**rows.digests, **digests, "base": lineage.digest_folder(folder)},
    )


def measured(config: Config, context: Context, prepared: Prepared) -> Found:
    """All that has a meaning for conversations; what has none is told.

    Raises:
        Interrupted: the user asked to stop.
    """
    loaded = load(prepared.folder, prepared.task.head())
    model, tokenizer = loaded.model.to(device()), loaded.tokenizer
    scorer, rows = Scorer(model), prepared.rows.rows[prepared.split]
    talker = Talker(prepared.task, scorer, tokenizer, int(tokenizer.model_max_length))
    predictions = prepared.task.predict(scorer, talker.encoded(rows))
    evaluation = {"kind": "dialogue", **prepared.task.evaluate(predictions, rows, seed=context.seed)}
    context.tell(f"  {prepared.split}: {HEADLINE} {escape(gates.told(evaluation['metrics'][HEADLINE]))}")
    found = evaluated(
        TorchEngine(model, tokenizer),
        scorer,
        ChatTemplate(tokenizer),
        rows,
        EvaluationConfig(ranked=config.probed, generated=config.attacked),
        seed=context.seed,
        tell=context.tell,
    )
    evaluation["dialogue"] = found["metrics"]
    metrics: dict[str, Result] = {**evaluation["metrics"], **found["metrics"]}
    parts: Result = {
        "quality": {"headline": HEADLINE, "less_is_better": True, "slices": [], "left_out": {}, "rows": len(rows)}
    }
    missing = {
        **UNLABELLED,
        "parts by length, language or label": "not there yet for conversations",
        **{str(name): str(why) for name, why in found["missing"].items()},
    }
    train = prepared.rows.rows["train"]
    some = train.select(drawn(len(train), config.probed, context.seed))
    others = rows.select(drawn(len(rows), config.probed, context.seed))
    texts = ["\n".join(one["content"] or "" for one in messages) for messages in some["messages"]]
    measure(
        parts,
        metrics,
        missing,
        config,
        context,
        {
            "robustness": MEANINGLESS["robustness"],
            "explanations": MEANINGLESS["explanations"],
            "leakage": lambda: _membership(talker, (some, others), prepared.reference),
            "fairness": MEANINGLESS["fairness"],
            "personal_data": lambda: personal(texts, len(train), masked=prepared.rows.mask is not None),
        },
    )
    return Found(
        parameters=sum(one.numel() for one in model.parameters()),
        labels=[],
        limit=talker.limit,
        evaluation=evaluation,
        parts=parts,
        metrics=metrics,
        missing=missing,
        scoring=asdict(scorer.ledger),
    )


def _membership(
    talker: Talker, sides: tuple[Rows, Rows], reference: Path | None
) -> tuple[Result | None, dict[str, Result]]:
    """Whether conversations that it learnt from can be told from others by how likely their answers are to it."""
    other = None
    if reference is not None:
        model = load(reference, talker.task.head()).model.to(device())
        other = Talker(talker.task, Scorer(model), talker.tokenizer, talker.limit)
    return together(membership_of(talker, sides, other))
