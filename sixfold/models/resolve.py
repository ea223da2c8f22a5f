"""From what the user wrote to a checked model folder. Only ``hf:owner/name`` may reach the network."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sixfold.errors import ModelError, UsageError, nearest
from sixfold.fetch import folders
from sixfold.models import catalogue, checks

HUB = re.compile(r"hf:(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)
HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
"""What is taken from a hub repository: data only, so that no code and no pickle even reaches the disk."""


@dataclass(frozen=True)
class Source:
    """A model folder that has been found fit to load.

    Attributes:
        ref: what the user wrote.
        kind: where it was found.
        folder: the folder on this machine.
        weights: its weight files.
    """

    ref: str
    kind: Literal["folder", "catalogue", "hub"]
    folder: Path
    weights: tuple[Path, ...]


def resolve(ref: str | Path) -> Source:
    """A local directory, else a name of the catalogue, else ``hf:owner/name[@revision]``.

    Raises:
        UsageError: there is no such model; the nearest name is shown, and nothing was asked of the network.
        ModelError: the model is there and cannot be used, or it has to be pulled first.
    """
    text = str(ref)
    if text.startswith("hf:"):
        return _from_hub(text)
    # os.path, not Path's own methods: those raise for names that are too long or whose home folder is unknown.
    folder = Path(os.path.expanduser(text))
    if text and not os.path.exists(folder) and os.path.isdir(folder.parent):
        folders.recover(folder)
    if text and os.path.isfile(folder / "config.json"):
        return Source(text, "folder", folder, checks.check(folder))
    if text in [model.name for model in catalogue.entries()]:
        return _from_catalogue(text)
    if text and os.path.isdir(folder):
        raise ModelError(
            "this folder is not a model: it has no config.json",
            where=folder,
            found=checks.listing(folder),
            nearest=_nearest_folder(folder / "model"),
        )
    raise _not_found(text, folder)


def _from_catalogue(name: str) -> Source:
    model = catalogue.entry(name)
    if not catalogue.is_local(name):
        raise ModelError(
            f"the base model {name} is not on this machine yet",
            hint=f"sixfold models pull {name}   ({model.download_bytes / 1e6:.0f} MB, once)",
        )
    return Source(name, "catalogue", model.folder, checks.check(model.folder))


def _not_found(text: str, folder: Path) -> UsageError:
    names = [model.name for model in catalogue.entries()]
    if os.path.isfile(folder):
        return UsageError("a model is a folder, and this is a file", where=folder, nearest=folder.parent)
    like_hub = re.fullmatch(r"[\w.-]+(/[\w.-]+)?", text) is not None
    return UsageError(
        f"there is no model {text!r}: no folder and no base model has that name",
        nearest=nearest(text, names) or _nearest_folder(folder),
        hint=f"choose one of: {', '.join(names)}; or give a folder"
        + (f"; a model of the hub is spelt hf:{text if '/' in text else 'owner/' + text}" if like_hub else ""),
    )


def _nearest_folder(folder: Path) -> str | None:
    """The model folder beside a path that comes nearest to its name."""
    if not os.path.isdir(folder.parent):
        return None
    beside = [name for name in os.listdir(folder.parent) if os.path.isfile(folder.parent / name / "config.json")]
    best = nearest(folder.name, beside)
    return str(folder.parent / best) if best else None


def _from_hub(text: str) -> Source:
    match = HUB.fullmatch(text)
    if match is None:
        raise UsageError(
            "a model of the hub is spelt hf:owner/name or hf:owner/name@revision",
            found=text,
        )
    folder = download(match["repo"], match["revision"])
    return Source(text, "hub", folder, checks.check(folder))


def download(repo: str, revision: str | None) -> Path:
    """The folder of a hub repository in the Hugging Face cache, downloaded where it is not there yet.

    Raises:
        ModelError: no such repository, no network and not in the cache.
    """
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(repo, revision=revision, allow_patterns=HUB_FILES, ignore_patterns=["*/*"])
    except Exception as error:  # the hub's errors have no common base, and all mean the same to a user
        first = str(error).strip().splitlines()
        raise ModelError(
            f"the hub model {repo} could not be had",
            found=f"{type(error).__name__}: {first[0] if first else ''}",
            hint="check the spelling, the network, HF_ENDPOINT, HF_HUB_OFFLINE and (gated models) HF_TOKEN",
        ) from error
    return Path(found)
