"""The base models that can be had without the hub: what they are and where they lie. No torch, no network.

Fetching one is in ``pull.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sixfold import fetch
from sixfold.errors import unknown
from sixfold.fetch import Package, pins, present
from sixfold.models import lineage


@dataclass(frozen=True)
class BaseModel:
    """One base model of the catalogue.

    Attributes:
        name: what a recipe calls it.
        what: one line for a person.
        parameters: how many weights it has.
        languages: ISO 639-1 codes.
        kind: whether it reads both ways (encoder) or writes from left to right (decoder).
        licence: of the weights.
        source: the pinned files.
        gguf: the GGUF among them that is converted to safetensors once; empty when there is none.
    """

    name: str
    what: str
    parameters: int
    languages: tuple[str, ...]
    kind: Literal["encoder", "decoder"]
    licence: str
    source: Package
    gguf: str = ""

    @property
    def fetched(self) -> str:
        """Where the pinned files are kept, below ``fetch.home()``."""
        return f"models/{self.name}-gguf" if self.gguf else f"models/{self.name}"

    @property
    def folder(self) -> Path:
        """Where the model that can be loaded is kept."""
        return fetch.home() / "models" / self.name

    @property
    def download_bytes(self) -> int:
        """Size of the pinned files; a little more than what is downloaded, which is compressed."""
        return sum(file.size for file in self.source.files)


_ENTRIES = (
    BaseModel(
        name="minilm-l6",
        what="sentence encoder of 6 layers (all-MiniLM-L6-v2), uncased",
        parameters=22_713_216,
        languages=("en",),
        kind="encoder",
        licence="Apache-2.0",
        source=pins.MINILM_L6,
    ),
    BaseModel(
        name="smollm2-135m",
        what="chat model of 30 layers (SmolLM2-135M-Instruct), from 4-bit weights",
        parameters=134_515_008,
        languages=("en",),
        kind="decoder",
        licence="Apache-2.0",
        source=pins.SMOLLM2_135M,
        gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
)


def entries() -> tuple[BaseModel, ...]:
    """The catalogue, smallest first."""
    return _ENTRIES


def entry(name: str) -> BaseModel:
    """The base model of that name.

    Raises:
        UsageError: there is none; the nearest name is shown.
    """
    for model in _ENTRIES:
        if model.name == name:
            return model
    raise unknown("base model", name, [model.name for model in _ENTRIES])


def is_local(name: str) -> bool:
    """Whether a base model of the catalogue is in the cache, ready to be loaded.

    Raises:
        UsageError: there is no such name.
    """
    model = entry(name)
    if not model.gguf:
        return present(model.source, model.folder)
    return lineage.read(model.folder).get("parent") == gguf_sha256(model)


def gguf_sha256(model: BaseModel) -> str:
    """The pinned SHA-256 of the GGUF a model is converted from: the parent of the converted model."""
    return next(file.sha256 for file in model.source.files if file.target == model.gguf)
