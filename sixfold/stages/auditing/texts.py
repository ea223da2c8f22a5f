"""What an audit of a language model works on: a pretrained checkpoint, the corpus it learnt from, held-out documents.

Nothing is computed here, so that a wrong key or gate is told at once. Of fine-tuned checkpoints: ``inputs.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sixfold.data.corpus import Corpus
from sixfold.errors import DataError, UsageError, unknown
from sixfold.models import lineage
from sixfold.models.tokenizer import lone_tokenizer
from sixfold.stages.auditing import figures, gates
from sixfold.stages.auditing.config import SLICES, Config
from sixfold.stages.auditing.inputs import in_memory, seed_of, unnamed
from sixfold.stages.auditing.slices import Slices, sliced
from sixfold.stages.checkpoints import checkpoint_of
from sixfold.stages.context import Context
from sixfold.stages.corpora import read_corpus
from sixfold.stages.masked import Mask
from sixfold.stages.pretrain_config import CorpusConfig
from sixfold.stages.rows import DataConfig
from sixfold.tasks.causal_lm import CausalLM
from sixfold.tasks.masked_lm import MaskedLM

TASKS: dict[str, type[CausalLM] | type[MaskedLM]] = {"causal_lm": CausalLM, "masked_lm": MaskedLM}
OF_LABELS = ("attacked", "attacks", "budget", "explained", "foreign", "words")
"""Keys that say how to measure what has no meaning without labels."""
_OF_ROWS = ("split", "group", "limit", "overlaps", "allow", "on_bad")
"""Keys of labelled rows that a corpus does not have."""


@dataclass(frozen=True)
class Prepared:
    """A language model and documents that it can be audited on.

    Attributes:
        mask: what it learnt from went through, if anything.
        folder: of the checkpoint.
        limit: tokens that it reads at once.
        history: the checkpoint's lineage.
        learnt: whether the documents are those that the lineage names; None where it names none.
        slices: of the held-out documents.
        reference: the folder of a model that membership is told against.
    """

    corpus: Corpus
    mask: Mask | None
    folder: Path
    task: CausalLM | MaskedLM
    limit: int
    history: Mapping[str, Any]
    learnt: bool | None
    slices: Slices
    language: str
    reference: Path | None
    digests: dict[str, str]
    split: str = "held_out"

    @property
    def told(self) -> tuple[str, ...]:
        """Lines for a person."""
        return self.corpus.told

    @property
    def described(self) -> Mapping[str, Any]:
        """What the report says of the documents."""
        return self.corpus.described


def is_language_model(folder: Path) -> bool:
    """Whether a checkpoint was pretrained here."""
    return bool(kept(folder).get("pretrained"))


def prepare(config: Config, context: Context) -> Prepared:
    """Read the checkpoint's task and the corpus; check keys and gates. Raises before any compute."""
    folder = checkpoint_of(config.base, context, to="audit")
    task, limit = _task(folder)
    history = lineage.read(folder)
    _check_keys(config, task)
    corpus, mask = read_corpus(_corpus(config, history, folder), seed_of(history, context))
    if not len(corpus.held_out):
        raise DataError(
            "no documents are held out: on documents that were learnt nothing can be measured",
            hint="pretrain with corpus: {held_out: 0.01}, or a validation split of its own",
        )
    reference = _reference(config, context, folder, limit)
    named = dict(history.get("data") or {})
    digests = {**corpus.digests, "base": lineage.digest_folder(folder)}
    if reference is not None:
        digests["reference"] = lineage.digest_folder(reference)
    prepared = Prepared(
        corpus=corpus,
        mask=mask,
        folder=folder,
        task=task,
        limit=limit,
        history=history,
        learnt=named["train"] == corpus.digests["train"] if "train" in named else None,
        slices=sliced(corpus.held_out, task, [name for name in config.slices if name != "label"]),
        language=max(corpus.languages["train"], key=lambda name: corpus.languages["train"][name], default="und"),
        reference=reference,
        digests=digests,
    )
    known = figures.known_of_text(config, task, slices=prepared.slices.names, canaries=bool(history.get("canaries")))
    gates.check(map(gates.Gate.read, config.gates), known)
    return prepared


def kept(folder: Path) -> dict[str, Any]:
    """What a checkpoint keeps of ours; empty where its configuration cannot be read, which is told elsewhere."""
    try:
        return dict(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("sixfold") or {})
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _task(folder: Path) -> tuple[CausalLM | MaskedLM, int]:
    ours = kept(folder)
    settings = dict(ours["pretrained"])
    name = settings.pop("objective")
    if name not in TASKS:
        raise UsageError(
            f"the audit of a language model is for {' and '.join(TASKS)}, and this one learnt {name}", where=folder
        )
    return TASKS[name](**settings), int(ours["max_tokens"])


def _check_keys(config: Config, task: CausalLM | MaskedLM) -> None:
    idle = [name for name in OF_LABELS if getattr(config, name) != Config.model_fields[name].default]
    if config.data is not None:
        usual = DataConfig(source="")
        idle += [f"data.{name}" for name in _OF_ROWS if getattr(config.data, name) != getattr(usual, name)]
    if idle:
        raise UsageError(f"{', '.join(idle)} would do nothing for a {task.name}: leave it out", where="audit")
    for name in config.slices:
        if name not in SLICES:
            raise unknown("slice of documents", name, [one for one in SLICES if one != "label"])


def _corpus(config: Config, history: Mapping[str, Any], folder: Path) -> CorpusConfig:
    """The documents of the recipe, or those that the lineage names, cut and held out as the lineage says."""
    told = dict((history.get("config") or {}).get("corpus") or {})
    if config.data is not None:
        data = config.data
        own = {"source": data.source, "format": data.format, "encoding": data.encoding, "header": data.header}
        told |= {**own, "columns": data.columns}
        if "mask" in data.model_fields_set:
            told["mask"] = data.mask
    elif not told or in_memory(told.get("source")):
        raise unnamed(folder)
    try:
        return CorpusConfig.model_validate(told)
    except ValidationError as error:
        raise UsageError(
            "the documents that the lineage names cannot be read again", where=folder, found=error
        ) from error


def _reference(config: Config, context: Context, folder: Path, limit: int) -> Path | None:
    """The model that membership is told against.

    Raises:
        UsageError: it cuts text into other tokens, or reads fewer of them at once.
    """
    if config.reference is None:
        return None
    other = same_tokens(config.reference, context, folder)
    positions = json.loads((other / "config.json").read_text(encoding="utf-8")).get("max_position_embeddings") or limit
    if positions < limit:
        raise UsageError(
            f"a reference must read as many tokens as the checkpoint: {limit:,}", where="reference", found=positions
        )
    return other


def same_tokens(reference: str, context: Context, folder: Path) -> Path:
    """The folder of a reference, if it cuts text into the same tokens. Raises UsageError where it does not."""
    other = checkpoint_of(reference, context, to="audit")
    ours, theirs = (lone_tokenizer(one) for one in (folder, other))
    if ours.get_vocab() != theirs.get_vocab():
        raise UsageError(
            "a reference must cut text into the same tokens as the checkpoint that is audited",
            where="reference",
            found=f"{len(theirs):,} tokens, and the checkpoint knows {len(ours):,}",
            hint="the base that it went on from will do, or a model with its tokenizer that learnt other text",
        )
    return other


def with_mask(prepared: Prepared, texts: list[str]) -> list[str]:
    """Training documents as the model learnt them."""
    return texts if prepared.mask is None else [prepared.mask.text(text)[0] for text in texts]
