"""``sixfold export CHECKPOINT``: a decoder as one file for other engines; what is in it: ``models/export_gguf.py``."""

from __future__ import annotations

from pathlib import Path

from sixfold.commands.predict import checkpoint_of
from sixfold.commands.runs import called
from sixfold.errors import unknown
from sixfold.fetch import home
from sixfold.models import load
from sixfold.models.export_gguf import Exported, export_gguf
from sixfold.models.head import Head

FORMATS = ("gguf",)


def run(checkpoint: str, *, to: str = "gguf", kind: str = "f16", out: Path | None = None) -> Exported:
    """Write it; where ``out`` is left out, beside a run's checkpoint, and into the working folder for a base model.

    Raises:
        UsageError: a format or kind that does not exist.
        ModelError: no decoder, or one that the format cannot express.
    """
    if to not in FORMATS:
        raise unknown("format to export to", to, FORMATS)
    folder = checkpoint_of(Path(checkpoint))
    loaded = load(folder, Head("causal_lm"))
    name = called(folder)
    beside = Path() if folder.is_relative_to(home()) else folder.parent
    path = out or beside / f"{name}-{kind}.gguf"
    return export_gguf(loaded.model, loaded.tokenizer, path, kind=kind, name=name)
