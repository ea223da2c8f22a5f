"""Base models and checkpoints: the catalogue, finding, checking, loading and saving them, and their lineage.

Importing this package does not import torch; loading a model does.
"""

from __future__ import annotations

from sixfold.models.catalogue import BaseModel, entries, is_local
from sixfold.models.head import Head
from sixfold.models.load import Loaded, load
from sixfold.models.pull import pull
from sixfold.models.resolve import Source, resolve
from sixfold.models.save import recover, save

__all__ = [
    "BaseModel",
    "Head",
    "Loaded",
    "Source",
    "entries",
    "is_local",
    "load",
    "pull",
    "recover",
    "resolve",
    "save",
]
