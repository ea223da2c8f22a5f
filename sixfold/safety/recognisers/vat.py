"""VAT numbers of the EU: python-stdnum's verdicts, with a shorter way to them where its own takes longest.

Its modules clean a number before each of their steps, and some of them have many; tests hold these here against them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import lru_cache
from operator import mul
from typing import Any

from sixfold.safety.recognisers.checksums import luhn, remainder_97


def vat(value: str) -> bool:
    """A country's two letters, perhaps a blank, then 7 to 12 letters and digits, all ASCII."""
    country = value[:2]
    if country in _SHORTER:
        return _SHORTER[country](value[2:].lstrip())
    module = _module(country)
    return module is not None and bool(module.is_valid(value))


@lru_cache(maxsize=64)
def _module(country: str) -> Any:
    """The module for a country's numbers; Greece writes another code on them."""
    from stdnum.util import get_cc_module

    return get_cc_module("gr" if country == "EL" else country, "vat")


def _dutch(number: str) -> bool:
    body, rest = number[:-3].zfill(9), number[-3:]
    formed = len(body) == 9 and body.isdigit() and rest[0] == "B" and rest[1:].isdigit()
    if not formed or not int(body) or not int(rest[1:]):
        return False
    weighed = sum(map(mul, map(int, body), (9, 8, 7, 6, 5, 4, 3, 2, -1)))
    return weighed % 11 == 0 or remainder_97(f"NL{body}{rest}") == 1


def _romanian(number: str) -> bool:
    if not number.isdigit() or number[0] == "0" or len(number) > 10:
        return False
    weighed = sum(map(mul, map(int, number[:-1].zfill(9)), (7, 5, 3, 2, 1, 7, 5, 3, 2)))
    return 10 * weighed % 11 % 10 == int(number[-1])


def _swedish(number: str) -> bool:
    return len(number) == 12 and number.isdigit() and number.endswith("01") and luhn(number[:-2])


def _slovak(number: str) -> bool:
    if len(number) != 10 or not number.isdigit():
        return False
    if number[0] != "0" and number[2] in "234789" and int(number) % 11 == 0:
        return True
    return _birth_number(number)


def _birth_number(number: str) -> bool:
    """Of ten digits: year, month (of women 50 more, of some 20 more), day, and a remainder by 11."""
    year = 1900 + int(number[:2]) + (100 if int(number[:2]) < 54 else 0)
    try:
        date(year, int(number[2:4]) % 50 % 20, int(number[4:6]))
    except ValueError:
        return False
    return int(number[:-1]) % 11 % 10 == int(number[-1])


_SHORTER: dict[str, Callable[[str], bool]] = {"NL": _dutch, "RO": _romanian, "SE": _swedish, "SK": _slovak}
