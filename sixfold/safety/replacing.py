"""What stands in the place of an entity, by the policy."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field

from sixfold.errors import UsageError
from sixfold.safety.entity import Entity
from sixfold.safety.keys import derived
from sixfold.safety.policy import KEYED, Policy
from sixfold.safety.pseudonyms import pseudonym
from sixfold.safety.vault import Vault

REDACTED = "[REDACTED]"
_DIGEST = 16
_SHOWN = re.compile(r"[0-9A-Za-z]|[^\x00-\x7f]")


@dataclass
class Replacer:
    """Writes what takes an entity's place.

    Args:
        policy: how.
        key: of ``hash`` and ``pseudonym``.
        vault: keeps what was masked, so that it can be restored.

    Raises:
        UsageError: a key is needed and missing or short, or the policy cannot be restored and there is a vault.
    """

    policy: Policy
    key: bytes | None = None
    vault: Vault | None = None
    _secret: bytes = field(init=False, repr=False, default=b"")

    def __post_init__(self) -> None:
        used = self.policy.hows
        if used & set(KEYED) and self.key is None:
            named = " and ".join(sorted(used & set(KEYED)))
            raise UsageError(f"{named} needs a key", hint="make one: openssl rand -hex 32 > key, then --key key")
        lost = used - {*KEYED, "keep"}
        if self.vault is not None and lost:
            raise UsageError(
                f"what {' and '.join(sorted(lost))} writes cannot be restored from a vault",
                hint="use hash or pseudonym, or leave the vault out",
            )
        if self.key is not None:
            self._secret = derived(self.key, "mask")

    def replaced(self, entity: Entity, value: str) -> str:
        """What stands in the place of ``value``. One whose end was not seen in time is labelled."""
        how = self.policy.for_type(entity.type)
        if how == "keep":
            return value
        if how == "redact":
            return REDACTED
        if how == "label" or not entity.whole:
            return f"[{entity.type.upper()}]"
        if how == "partial":
            return partial(entity.type, value)
        if self.vault is not None:
            return self.vault.token(entity.type, value, lambda turn: self._token(how, entity.type, value, turn))
        return self._token(how, entity.type, value, 0)

    def _token(self, how: str, kind: str, value: str, turn: int) -> str:
        """The same for the same value; another one at each turn, for when one is taken already."""
        if how == "pseudonym":
            made = pseudonym(self._secret, kind, value, turn)
            if made is not None:
                return made
        given = f"{kind}\0{turn}\0{value}".encode("utf-8", "surrogatepass")
        return f"[{kind.upper()}#{hmac.new(self._secret, given, hashlib.sha256).hexdigest()[:_DIGEST]}]"


def partial(kind: str, value: str) -> str:
    """The value with most of its characters starred: never more than a third is left of a number."""
    if kind == "email":
        local, _, domain = value.rpartition("@")
        return f"{local[:1] if len(local) > 2 else ''}***@{domain}"
    if kind in ("secret", "birth_date", "url", "address"):
        return "***"
    places = [found.start() for found in _SHOWN.finditer(value)]
    if kind == "person":
        shown = set(places[:1] if len(places) > 1 else [])
    else:
        shown = set(places[-(4 if len(places) >= 12 else 3) :]) if len(places) >= 9 else set()
    starred = set(places) - shown
    return "".join("*" if place in starred else one for place, one in enumerate(value))
