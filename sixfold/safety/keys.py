"""The user's key, and keys for single uses out of it."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from sixfold.errors import UsageError

LEAST_KEY = 16
"""Bytes. Numbers are few: with a key that can be guessed, whoever guesses it can try them all."""
_MAKE = "make one: openssl rand -hex 32 > key"


def read_key(path: Path) -> bytes:
    """A key out of a file, without the line's end behind it.

    Raises:
        UsageError: there is no such file, or too little in it.
    """
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise UsageError("the key cannot be read", where=path, found=error.strerror, hint=_MAKE) from None
    derived(key, "any use")
    return key


def derived(key: bytes, use: str) -> bytes:
    """A key for one use out of the user's.

    Raises:
        UsageError: the user's key is too short.
    """
    if len(key) < LEAST_KEY:
        raise UsageError(f"a key has at least {LEAST_KEY} bytes", found=f"{len(key)}", hint=_MAKE)
    return hmac.new(key, f"sixfold {use}".encode(), hashlib.sha256).digest()
