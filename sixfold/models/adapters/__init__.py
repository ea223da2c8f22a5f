"""Adapters: a frozen base, and a little beside it that learns, kept with the head that belongs to it.

Which kinds there are stands in ``kinds.py``, how they are put on and merged in ``putting.py``, their files in
``files.py``, adapters beside a checkpoint in ``beside.py``. Importing this package does not import torch.
"""

from __future__ import annotations

from sixfold.models.adapters.beside import folder_of, load_adapted, names
from sixfold.models.adapters.files import Told, digest, head, load, read, save, updates
from sixfold.models.adapters.kinds import AdaLora, Adapter, Added, BitFit, Bottleneck, Lora
from sixfold.models.adapters.putting import add, merge, ranks

__all__ = [
    "AdaLora",
    "Adapter",
    "Added",
    "BitFit",
    "Bottleneck",
    "Lora",
    "Told",
    "add",
    "digest",
    "folder_of",
    "head",
    "load",
    "load_adapted",
    "merge",
    "names",
    "ranks",
    "read",
    "save",
    "updates",
]
