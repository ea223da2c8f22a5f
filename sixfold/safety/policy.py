"""What is put in the place of an entity: chosen for all types, and for single ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from sixfold.errors import UsageError, unknown
from sixfold.safety.entity import TYPES

How = Literal["redact", "label", "hash", "partial", "pseudonym", "keep"]
HOWS: tuple[str, ...] = get_args(How)
KEYED = ("hash", "pseudonym")
"""Ways that need a key. They alone can be restored: what they write cannot be guessed without it."""


@dataclass(frozen=True)
class Policy:
    """How entities are masked.

    ``redact`` writes the same for all; ``label`` the type; ``hash`` the type and a keyed digest, the same for the same
    value; ``partial`` leaves the last characters; ``pseudonym`` writes another value of the same type and language, the
    same for the same value; ``keep`` leaves it.

    Attributes:
        how: of all types that ``of`` does not name.
        of: type to how.
    """

    how: How = "label"
    of: Mapping[str, How] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for how in (self.how, *self.of.values()):
            if how not in HOWS:
                raise unknown("policy", how, HOWS)
        for name in self.of:
            if name not in TYPES:
                raise unknown("type of personal data", name, TYPES)

    @classmethod
    def parsed(cls, given: Iterable[str]) -> Policy:
        """Of words such as ``label`` and ``phone=partial``.

        Raises:
            UsageError: an unknown policy or type, or two policies for the same.
        """
        how: list[str] = []
        of: dict[str, str] = {}
        for word in given:
            name, separator, value = word.partition("=")
            if separator and name in of:
                raise UsageError(f"{name} has two policies", found=f"{of[name]}, {value}")
            if separator:
                of[name] = value
            else:
                how.append(word)
        if len(how) > 1:
            raise UsageError("one policy is for all types", found=", ".join(how), hint="others are TYPE=POLICY")
        return cls(how[0] if how else "label", of)  # type: ignore[arg-type]

    def for_type(self, name: str) -> How:
        return self.of.get(name, self.how)

    @property
    def hows(self) -> set[str]:
        """All ways that may be used."""
        return {self.for_type(name) for name in TYPES}
