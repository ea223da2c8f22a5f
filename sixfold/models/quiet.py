"""Keep transformers from printing, and tell its exceptions in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sixfold.errors import ModelError


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings and no progress bars of transformers inside; as before outside."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def told(what: str, where: Path, error: Exception) -> ModelError:
    """A message of transformers as one sentence: its first line that says something, without colours."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return ModelError(what, where=where, found=f"{type(error).__name__}: {' '.join(lines)[:400]}")
