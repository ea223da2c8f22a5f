"""What is found in a text: an entity, and the names of its types."""

from __future__ import annotations

from dataclasses import dataclass

NAMES = ("person", "place", "organisation")
"""Types that a model finds; all others are found by patterns."""
TYPES = (
    "id_number",
    "phone",
    "card",
    "company_code",
    "passport",
    "plate",
    "wechat",
    "qq",
    "address",
    "email",
    "url",
    "ip",
    "mac",
    "iban",
    "ssn",
    "itin",
    "nino",
    "nhs",
    "vat",
    "crypto",
    "birth_date",
    "secret",
    *NAMES,
)


@dataclass(frozen=True)
class Entity:
    """Personal data in a text.

    Attributes:
        start, end: characters of the user's own string, ``end`` excluded.
        type: one of ``TYPES``.
        score: between 0 and 1.
        reason: why it is taken for one, in words.
        whole: False where it was longer than its recogniser looks ahead, so that its value was not checked.
        goes_on: only in streams: more of the entity before it, whose end has only now come.
    """

    start: int
    end: int
    type: str
    score: float
    reason: str
    whole: bool = True
    goes_on: bool = False
