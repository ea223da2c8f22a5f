"""What decides whether a candidate is sound: checksums and ranges, where there are any kept by others.

Each takes the candidate as it stands in the text. The libraries are imported when a candidate needs them. The
checksums themselves: ``checksums.py``.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from functools import lru_cache
from typing import Any

from sixfold.safety.recognisers import checksums
from sixfold.safety.recognisers.checksums import digits


def luhn(value: str) -> bool:
    return checksums.luhn(digits(value))


_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]\d{12}|2[3-9]\d{13}|[3-6]\d{14}|7[01]\d{13}|720\d{12})|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|6(?:011|4[4-9]|5)\d{12,16}|35\d{14,17}|(?:2131|1800)\d{11}|(?:5[06-9]|6[037])\d{10,17}|62\d{14,17}"
)


def payment_card(value: str) -> bool:
    """The checksum, and the first digits and the length of a known issuer."""
    number = digits(value)
    return _ISSUERS.fullmatch(number) is not None and checksums.luhn(number)


def chinese_bank_card(value: str) -> bool:
    """UnionPay: 62 and 16 to 19 digits; other debit cards of China begin with 9, or 60 and 68."""
    number = digits(value)
    return number[:2] in ("62", "60", "68", "95", "94") and checksums.luhn(number)


def resident_id(value: str) -> bool:
    """Checksum, date, and region of a mainland-China identity number."""
    return value.isascii() and checksums.resident_id(value)


def company_code(value: str) -> bool:
    return value.isascii() and checksums.company_code(value)


def iban(value: str) -> bool:
    return value.isascii() and checksums.iban(value)


_NEVER_GIVEN = ("078051120", "457555462", "219099999")
"""US social security numbers that were printed in advertisements."""


def ssn(value: str) -> bool:
    return digits(value) not in _NEVER_GIVEN


def nhs(value: str) -> bool:
    number = digits(value)
    return number.isascii() and len(set(number)) > 1 and checksums.nhs(number)


def bitcoin(value: str) -> bool:
    return checksums.base32_address(value) if value.startswith("bc1") else checksums.base58_address(value)


def ip(value: str) -> bool:
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        return False
    return not found.is_unspecified


def mac(value: str) -> bool:
    return len(set(re.sub(r"[:-]", "", value).lower())) > 1


_NUMBERS = re.compile(r"\d+")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = re.compile("|".join(_MONTHS))


def birth_date(value: str) -> bool:
    """A day between 1900 and now: the year first or last, day and month in either order."""
    parts = [int(part) for part in _NUMBERS.findall(value)]
    named = _MONTH.search(value.lower())
    if named is not None:
        parts.insert(1, _MONTHS.index(named[0]) + 1)
    if len(parts) != 3:
        return False
    if parts[0] > 31:
        return _is_day(*parts)
    one, two, year = parts
    year += 1900 if year < 100 else 0
    return _is_day(year, one, two) or _is_day(year, two, one)


def _is_day(year: int, month: int, day: int) -> bool:
    if year < 1900 or month > 12:
        return False
    try:
        return datetime.date(year, month, day) <= datetime.date.today()
    except ValueError:
        return False


@lru_cache(maxsize=256)
def _tables(country: int) -> tuple[Any, ...]:
    """What phonenumbers knows of the regions of a country's code; empty where there is no such code."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    regions = [region for region in COUNTRY_CODE_TO_REGION_CODE.get(country, ()) if region.isalpha()]
    return tuple(PhoneMetadata.metadata_for_region(region) for region in regions)


@lru_cache(maxsize=16)
def _numbers_of(country: int) -> re.Pattern[str]:
    """One expression for all numbers of a country's code, without it."""
    found: dict[str, None] = {}
    for about in _tables(country):
        kinds = (about.fixed_line, about.mobile, about.toll_free, about.premium_rate, about.voip, about.personal_number)
        found |= dict.fromkeys(kind.national_number_pattern for kind in kinds if kind and kind.national_number_pattern)
    return re.compile("|".join(f"(?:{pattern})" for pattern in found))


@lru_cache(maxsize=2048)
def _lengths_of(country: str) -> frozenset[int]:
    """The numbers of digits that numbers of a country's code have without it."""
    return frozenset(length for about in _tables(int(country)) for length in about.general_desc.possible_length)


def chinese_mobile(value: str) -> bool:
    return _numbers_of(86).fullmatch(digits(value)[-11:]) is not None


def chinese_landline(value: str) -> bool:
    return _numbers_of(86).fullmatch(digits(value).removeprefix("0")) is not None


def british_phone(value: str) -> bool:
    return _numbers_of(44).fullmatch(digits(value).removeprefix("0")) is not None


def international_phone(value: str) -> bool:
    """A country's code, and as many digits as numbers have there; the 0 that is dialled within it may stand too."""
    number = digits(_without_extension(value))
    return any(len(number[code:].removeprefix("0")) in _lengths_of(number[:code]) for code in (1, 2, 3))


def any_phone(value: str) -> bool:
    """A number as it is dialled in one of some countries, or of a length that one may have."""
    number = digits(_without_extension(value))
    return len(set(number)) > 2 and 7 <= len(number) <= 13


_EXTENSION = re.compile(r"\s?(?:x|ext\.?)\s?\d+$")


def _without_extension(value: str) -> str:
    return _EXTENSION.sub("", value) if "x" in value else value


def letters_and_digits(value: str) -> bool:
    return any(one.isdigit() for one in value) and any(one.isalpha() for one in value)


def password(value: str) -> bool:
    """Not a word: two of letters, digits, marks."""
    kinds = (
        any(map(str.isdigit, value)),
        any(map(str.isalpha, value)),
        any(not c.isalnum() for c in value.strip(".,;")),
    )
    return sum(kinds) >= 2


def random_looking(value: str) -> bool:
    """Many different characters, as keys have and words with dashes do not."""
    return len(set(value)) >= min(12, len(value) // 2) and letters_and_digits(value)


def jwt(value: str) -> bool:
    parts = value.split(".")
    return len(parts) == 3 and parts[1].startswith("eyJ") and len(parts[2]) >= 16


def private_key(value: str) -> bool:
    return "-----END" in value or len(value) > 100


_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.){1,10}[A-Za-z]{2,24}")


def email_trimmed(value: str) -> str:
    """An address without the mark behind it; empty if the part behind the @ is no domain."""
    value = value.rstrip(".-")
    local, _, domain = value.rpartition("@")
    sound = not local.endswith(".") and ".." not in local and _DOMAIN.fullmatch(domain) is not None
    return value if sound else ""


_CLOSING = {")": "(", "]": "[", "}": "{"}


def url_trimmed(value: str) -> str:
    """Without marks that belong to the sentence; a bracket stays where it is opened inside."""
    unopened = {last: value.count(last) - value.count(first) for last, first in _CLOSING.items()}
    end = len(value)
    while end and (value[end - 1] in ".,;:!?'\"*_~" or unopened.get(value[end - 1], 0) > 0):
        if value[end - 1] in unopened:
            unopened[value[end - 1]] -= 1
        end -= 1
    host = value[:end].partition("://")[2] or value[:end]
    return value[:end] if _HOST.match(host) else ""


_HOST = re.compile(r"(?:[^/@\s]{1,100}@)?(?:\[|localhost|[\w\-]{1,63}\.\w)")


ROADS = tuple("路 街 大道 道 巷 弄 胡同 村 镇 乡 小区 花园 苑 大厦 广场 公寓 里 园 屯 城 区".split())  # noqa: SIM905
NUMBER = r"0-9零〇一二三四五六七八九十百A-Za-z\-"
UNITS = ("号楼", "号院", "号", "弄", "栋", "幢", "座", "单元", "室", "层", "楼", "户", "组", "队")
_ROAD = re.compile("|".join(ROADS))
_UNIT = re.compile(rf"[{NUMBER}]{{1,8}}(?:{'|'.join(UNITS)})")
_OTHER_WORDS = re.compile(r"[我你您他她们在请等和的是电话]")


def address_trimmed(value: str) -> str:
    """A Chinese address up to its last number (of a house, a flat); empty if it has none behind a road or the like."""
    end = 0
    for unit in _UNIT.finditer(value):
        gap = value[end : unit.start()]
        if not end and not _ROAD.search(gap[2:] if len(gap) > 2 else ""):
            return ""
        if end and (len(gap) > 8 or _OTHER_WORDS.search(gap)):
            break
        end = unit.end()
    return value[:end]
