"""What was masked, under lock: an encrypted file that restores it, for as long as it may live.

The file is a header in clear (when it was made, when it expires, the salt) and one AES-256-GCM box that vouches for the
header too: a header that was changed opens nothing. The box's key is made by scrypt (Percival 2009) from the user's.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sixfold.errors import DataError, UsageError
from sixfold.fetch.folders import PRIVATE, replacing_file
from sixfold.safety.keys import derived

_MAGIC = b"sixfold-vault-1\n"
_DAY = 86_400
_SCRYPT = {"n": 2**15, "r": 8, "p": 1}
_TURNS = 64
_HEAD = 2
"""Characters of a token by which it is looked up."""


@dataclass
class Vault:
    """Tokens and what they stand for. Nothing is on the disk before ``save``.

    Attributes:
        path: the file.
        expires: seconds since 1970.
    """

    path: Path
    expires: float
    _created: float
    _salt: bytes
    _box: bytes = field(repr=False)
    _values: dict[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    _tokens: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)
    _heads: Mapping[str, list[str]] = field(default_factory=dict, repr=False)
    _known: int = 0

    @classmethod
    def create(cls, path: str | Path, key: bytes, *, days: float, now: float | None = None) -> Vault:
        """A new, empty vault.

        Args:
            days: how long it may be opened.
            now: seconds since 1970; of the clock unless given.

        Raises:
            UsageError: a file is there already, the key is too short, or the lifetime is not positive.
        """
        if not days > 0:
            raise UsageError("a vault's lifetime is more than 0 days", found=days)
        if Path(path).exists():
            raise UsageError("there is a file of that name already", where=path)
        created = time.time() if now is None else now
        salt = os.urandom(16)
        return cls(Path(path), created + days * _DAY, created, salt, _box_key(key, salt))

    @classmethod
    def open(cls, path: str | Path, key: bytes, *, now: float | None = None) -> Vault:
        """Read a vault.

        Raises:
            UsageError: there is none, it has expired, or the key is not its own. None of these tells what is in it.
            DataError: it is damaged.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise UsageError("the vault cannot be read", where=path, found=error.strerror) from None
        header, sealed = _parts(content, path)
        expires, created = header["expires"], header["created"]
        if (time.time() if now is None else now) >= expires:
            told = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(expires))
            raise UsageError(
                "the vault has expired: nothing is restored", where=path, found=told, hint=f"delete it: rm {path}"
            )
        salt = bytes.fromhex(header["salt"])
        box = _box_key(key, salt)
        try:
            plain = AESGCM(box).decrypt(sealed[:12], sealed[12:], content[: len(content) - len(sealed)])
        except InvalidTag:
            raise UsageError(
                "the key does not open the vault (or the file was changed): nothing is restored", where=path
            ) from None
        vault = cls(Path(path), expires, created, salt, box)
        for token, (kind, value) in json.loads(plain).items():
            vault._values[token] = (kind, value)
            vault._tokens[kind, value] = token
        return vault

    def __len__(self) -> int:
        return len(self._values)

    def token(self, kind: str, value: str, make: Callable[[int], str]) -> str:
        """What stands for a value: what stood for it before, or the first token made that stands for no other."""
        known = self._tokens.get((kind, value))
        if known is not None:
            return known
        for turn in range(_TURNS):
            made = make(turn)
            if len(made) >= _HEAD and made not in self._values and made != value:
                self._values[made] = (kind, value)
                self._tokens[kind, value] = made
                return made
        raise DataError(f"no more pseudonyms for {kind}: {len(self):,} are in the vault", hint="use the policy hash")

    def restored(self, text: str) -> tuple[str, int]:
        """The text with every token of the vault as what it stands for, and how many there were.

        A token that is a part of a longer word or number is left.
        """
        if self._known != len(self):
            self._heads, self._known = _by_head(self._values), len(self)
        out: list[str] = []
        done = count = place = 0
        while place < len(text):
            for token in self._heads.get(text[place : place + _HEAD], ()):
                if text.startswith(token, place) and _alone(text, place, place + len(token)):
                    out += (text[done:place], self._values[token][1])
                    done = place + len(token)
                    count += 1
                    break
            place = max(place + 1, done)
        out.append(text[done:])
        return "".join(out), count

    def save(self) -> None:
        """Write it, whole or not at all; its owner alone may read it.

        Raises:
            StorageError: it could not be written. What stood there before is untouched.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        header = {"created": self._created, "expires": self.expires, "salt": self._salt.hex()}
        clear = _MAGIC + json.dumps(header).encode() + b"\n"
        nonce = os.urandom(12)
        plain = json.dumps(self._values).encode()
        with replacing_file(self.path, mode=PRIVATE) as temporary:
            temporary.write_bytes(clear + nonce + AESGCM(self._box).encrypt(nonce, plain, clear))


def _box_key(key: bytes, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=32, **_SCRYPT).derive(derived(key, "vault"))


def _parts(content: bytes, path: str | Path) -> tuple[dict[str, Any], bytes]:
    """The header, and the box."""
    lines = content.split(b"\n", 2)
    try:
        if len(lines) != 3 or lines[0] + b"\n" != _MAGIC or len(lines[2]) < 28:
            raise ValueError("it does not begin as a vault does")
        header = json.loads(lines[1])
        return {**header, "expires": float(header["expires"]), "created": float(header["created"])}, lines[2]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("this is no vault, or it is damaged", where=path, found=str(error)[:80]) from None


def _by_head(tokens: Iterable[str]) -> dict[str, list[str]]:
    """Tokens by their first characters, longer ones first."""
    heads: dict[str, list[str]] = {}
    for token in sorted(tokens, key=len, reverse=True):
        heads.setdefault(token[:_HEAD], []).append(token)
    return heads


def _alone(text: str, start: int, end: int) -> bool:
    """Whether what stands there is no part of a longer ASCII word or number."""
    return not (_joined(text, start - 1, start) or _joined(text, end - 1, end))


def _joined(text: str, left: int, right: int) -> bool:
    if left < 0 or right >= len(text):
        return False
    return all(text[place].isascii() and text[place].isalnum() for place in (left, right))
