"""Fine-tuned checkpoints without training: a tiny encoder with a random head, saved as ``finetune`` saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny import tiny_encoder

from sixfold.models import load, save
from sixfold.models.shapes import widen
from sixfold.tasks.registry import settings_of
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.token_classification import TokenClassification

LABELS = ("bad", "good", "mixed")
TAGS = ("O", "B-LOC", "I-LOC")


def tuned(folder: Path, task: Any, *, limit: int = 64, on_long: str = "truncate", seed: int = 0) -> Path:
    """A checkpoint of the task, below ``folder``."""
    base = tiny_encoder(folder / "base", chinese=True, seed=seed)
    loaded = load(base, task.head(), seed=seed)
    if getattr(task, "shapes", False):
        widen(loaded.model)
    for weight in loaded.model.classifier.parameters():
        weight.data.mul_(40)  # answers that differ, as those of a trained head do
    kept = {**settings_of(task), "max_tokens": limit, "on_long": on_long, "columns": {"text": "review"}}
    save(loaded.model, loaded.tokenizer, folder / "checkpoint", {}, extra_config=kept)
    return folder / "checkpoint"


def classifier(folder: Path, **options: Any) -> Path:
    return tuned(folder, TextClassification(LABELS, temperature=1.5), **options)


def tagger(folder: Path, **options: Any) -> Path:
    shapes = options.pop("shapes", False)
    return tuned(folder, TokenClassification(TAGS, temperature=0.5, shapes=shapes), **options)
