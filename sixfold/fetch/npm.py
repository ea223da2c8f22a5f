"""The tarball of a package of npm's registry, brought here without npm. Unpacking is in ``archives.py``.

Nothing of the package is installed or run: one file is read over HTTP, and its members are checked like all others.
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO

from sixfold.errors import SixfoldError, StorageError
from sixfold.fetch.folders import NO_ROOM
from sixfold.fetch.sources import NpmPackage

REGISTRY = "https://registry.npmjs.org"
MAX_TARBALL_BYTES = 256 << 20
SECONDS = 60
"""How long a server may be silent."""


def download(source: NpmPackage, folder: Path, downloads: Path) -> Path:
    """The package's tarball: out of ``downloads`` if the user put it there, else from the registry into ``folder``.

    Proxies and certificates are those of the environment (HTTPS_PROXY, SSL_CERT_FILE).

    Raises:
        SixfoldError: it could not be had (no network, no such release); the hint says how to do without.
        StorageError: the disk is full.
    """
    by_hand = downloads / source.tarball
    if by_hand.is_file():
        return by_hand
    target = folder / source.tarball
    try:
        registry = configured_registry(folder)
        parts = urllib.parse.urlsplit(registry)
        if parts.scheme not in ("https", "http"):  # urllib would open a file too
            raise ValueError("the registry that is set for npm is not an address of the web")
        if "@" in parts.netloc:  # said here, because the error of urllib would show it
            raise ValueError("the registry that is set for npm has a password in its address")
        address = f"{registry}/{source.package}/-/{source.tarball}"
        with urllib.request.urlopen(address, timeout=SECONDS) as response, target.open("wb") as file:
            _copy(response, file)
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise StorageError(
                f"there is no room to download {source}",
                found=error.strerror,
                hint="free some space and try again",
            ) from error
        raise SixfoldError(
            f"the package {source} could not be downloaded",
            found=_told(error),
            hint="check the network, HTTPS_PROXY and NPM_CONFIG_REGISTRY; or run "
            f"`npm pack {source.package}@{source.version}` where there is a network, "
            f"and put {source.tarball} into {downloads}",
        ) from error
    return target


def configured_registry(folder: Path) -> str:
    """The registry that the user has set: in the environment, else for npm where it is installed, else the public one.

    Args:
        folder: where npm is asked, so that no settings of the folder the user happens to be in are read.
    """
    given = {name.lower(): value for name, value in os.environ.items() if value}
    if found := given.get("npm_config_registry"):
        return found.rstrip("/")
    if npm := shutil.which("npm"):
        try:
            asked = subprocess.run(
                [npm, "config", "get", "registry"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            return REGISTRY
        if asked.returncode == 0 and "://" in asked.stdout:
            return asked.stdout.strip().rstrip("/")
    return REGISTRY


def _copy(response: IO[bytes], file: IO[bytes]) -> None:
    total = 0
    while chunk := response.read(1 << 20):
        total += len(chunk)
        if total > MAX_TARBALL_BYTES:
            raise ValueError(f"the tarball is larger than {MAX_TARBALL_BYTES:,} bytes")
        file.write(chunk)


def _told(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return (str(reason).splitlines() or [type(error).__name__])[0][:300]
