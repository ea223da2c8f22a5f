"""Reading rows, checking them against a task, splitting them, encoding examples into batches; public data sets."""

from __future__ import annotations

from sixfold.data.checking import Applied, Checked, apply, check
from sixfold.data.columns import Column, Kind
from sixfold.data.encodings import EncodingError
from sixfold.data.partition import Overlap, digest, overlaps, split
from sixfold.data.sources import FILE, LINE, iterate, read

__all__ = [
    "FILE",
    "LINE",
    "Applied",
    "Checked",
    "Column",
    "EncodingError",
    "Kind",
    "Overlap",
    "apply",
    "check",
    "digest",
    "iterate",
    "overlaps",
    "read",
    "split",
]
