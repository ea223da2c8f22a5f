"""Another value of the same type and language for a value: the same one each time under the same key.

What a checksum belongs to gets a right one, so that the pseudonym is taken for what it stands for. It may by chance be
somebody's: addresses of mail and web therefore lie in domains that are nobody's (RFC 2606), IP addresses in private
nets (RFC 1918, RFC 3849).
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence

from sixfold.safety.recognisers import ROWS
from sixfold.text.language import has_han
from sixfold.text.lexicon import names

_TRIES = 500
_CONSONANTS = "bcdfghjklmnprstvwz"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英华玉兰建国文志海晓春梅秋云飞宇晨欣怡佳嘉子涵浩然雨泽"
_ROADS = ("人民路", "解放路", "中山路", "建设路", "和平路", "文化路", "新华路", "长江路", "学府路", "花园路")
_DISTRICTS = ("东城区", "西城区", "南湖区", "北岭区", "新安区", "河西区", "江东区", "开发区")
_TRADES = ("科技", "商贸", "食品", "物流", "建材", "文化", "医药", "电子")
_KINDS = ("Trading", "Systems", "Foods", "Logistics", "Partners", "Holdings", "Works", "Media")
_REGIONS = ("110105", "120101", "310101", "320102", "330102", "340102", "350102", "370102", "420102", "430102",
            "440103", "510104", "610102")  # fmt: skip
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_HEX = re.compile(r"0x[0-9a-fA-F]+")


class Draw:
    """Numbers that follow from a key and a value."""

    def __init__(self, secret: bytes, told: str) -> None:
        seed = hmac.new(secret, told.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
        self._bytes = hashlib.shake_256(seed).digest(1024)
        self._place = 0

    def below(self, count: int) -> int:
        """A number from 0 up to ``count``, excluded."""
        self._place += 4
        assert self._place <= len(self._bytes)
        return int.from_bytes(self._bytes[self._place - 4 : self._place]) % count

    def of(self, some: Sequence[str]) -> str:
        return some[self.below(len(some))]

    def digits(self, count: int) -> str:
        return "".join(str(self.below(10)) for _ in range(count))


def pseudonym(secret: bytes, kind: str, value: str, turn: int = 0) -> str | None:
    """A pseudonym; None for what has none, such as a secret.

    Args:
        secret: the key.
        kind: the type of entity.
        turn: another one for each turn.
    """
    make = _MAKERS.get(kind)
    if make is None or len(value) > 160:
        return None
    judge = _sound(kind, value)
    for attempt in range(_TRIES):
        made = make(value, Draw(secret, f"{kind}\0{turn}\0{attempt}\0{value}"))
        if made != value and judge(made):
            return made
    return None


def _sound(kind: str, value: str) -> Callable[[str], bool]:
    """What a pseudonym must pass: a check of its type, if the value itself passes one."""
    checks = [(row.regex, row.check) for row in ROWS if row.type == kind and row.check is not None and not row.ends]

    def passes(given: str) -> bool:
        return any(regex.fullmatch(given) and check(given) for regex, check in checks)

    return passes if passes(value) else lambda made: True


def _shaped(keep: int, letters: str = "") -> Callable[[str, Draw], str]:
    """Letters and digits by others of their kind, from character ``keep`` on; marks stay."""

    def make(value: str, draw: Draw) -> str:
        return value[:keep] + "".join(_other(one, draw, letters) for one in value[keep:])

    return make


def _other(one: str, draw: Draw, letters: str) -> str:
    if not one.isascii() or not one.isalnum():
        return one
    if one.isdigit():
        return str(draw.below(9) + 1) if one != "0" else str(draw.below(10))
    other = draw.of(letters or "abcdefghijklmnopqrstuvwxyz")
    return other.upper() if one.isupper() else other.lower()


def _id_number(value: str, draw: Draw) -> str:
    from stdnum.cn.ric import calc_check_digit

    born = datetime.date(1955, 1, 1) + datetime.timedelta(days=draw.below(50 * 365))
    head = f"{draw.of(_REGIONS)}{born:%Y%m%d}{draw.digits(3)}"
    return head + str(calc_check_digit(head + "0"))


def _iban(value: str, draw: Draw) -> str:
    from stdnum.iso7064.mod_97_10 import calc_check_digits

    made = value[:2] + "00" + "".join(_other(one, draw, "") for one in value[4:])
    plain = made.replace(" ", "").upper()
    return made[:2] + calc_check_digits(plain[4:] + plain[:2]) + made[4:]


def _crypto(value: str, draw: Draw) -> str:
    if _HEX.fullmatch(value):
        return "0x" + "".join(draw.of("0123456789abcdef") for _ in value[2:])
    body = bytes([0, *(draw.below(256) for _ in range(20))])
    body += hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4]
    number, out = int.from_bytes(body), ""
    while number:
        number, digit = divmod(number, 58)
        out = _ALPHABET[digit] + out
    return "1" * (len(body) - len(body.lstrip(b"\0"))) + out


def _email(value: str, draw: Draw) -> str:
    return f"{draw.of(names.FEMALE + names.MALE).lower()}.{draw.of(_CONSONANTS)}{draw.digits(4)}@example.com"


def _url(value: str, draw: Draw) -> str:
    return f"https://example.com/{draw.of(_CONSONANTS)}{draw.digits(7)}"


def _ip(value: str, draw: Draw) -> str:
    if ":" in value:
        return "2001:db8:" + ":".join(f"{draw.below(65535) + 1:x}" for _ in range(6))
    return f"10.{draw.below(256)}.{draw.below(256)}.{draw.below(254) + 1}"


def _birth_date(value: str, draw: Draw) -> str:
    """Another day, written alike: years stay years, and both other numbers could be a month."""

    def number(found: re.Match[str]) -> str:
        if len(found[0]) == 4:
            return str(1950 + draw.below(55))
        return f"{draw.below(9 if len(found[0]) == 1 else 12) + 1:0{len(found[0])}d}"

    return re.sub(r"\d+", number, value)


def _person(value: str, draw: Draw) -> str:
    if has_han(value):
        surname = draw.of(names.CHINESE_SURNAMES[:90])
        return surname + "".join(draw.of(_GIVEN) for _ in range(max(1, min(2, len(value) - 1))))
    words = value.split()
    if len(words) == 1:
        return draw.of(names.FEMALE + names.MALE)
    given = [draw.of(names.FEMALE + names.MALE) for _ in words[1:]]
    return " ".join([*given[:2], draw.of(names.SURNAMES)])


def _place(value: str, draw: Draw) -> str:
    return draw.of(names.CHINESE_CITIES if has_han(value) else names.CITIES)


def _organisation(value: str, draw: Draw) -> str:
    if has_han(value):
        return f"{draw.of(names.CHINESE_CITIES)}{draw.of(_GIVEN)}{draw.of(_GIVEN)}{draw.of(_TRADES)}有限公司"
    return f"{draw.of(names.SURNAMES)} {draw.of(_KINDS)}"


def _address(value: str, draw: Draw) -> str:
    if has_han(value):
        city = draw.of(names.CHINESE_CITIES)
        return f"{city}市{draw.of(_DISTRICTS)}{draw.of(_ROADS)}{draw.below(300) + 1}号{draw.below(20) + 1}室"
    return f"{draw.below(900) + 1} {draw.of(names.SURNAMES)} Street"


_MAKERS: dict[str, Callable[[str, Draw], str]] = {
    "id_number": _id_number,
    "phone": _shaped(2),
    "card": _shaped(2),
    "company_code": _shaped(2, "abcdefghjklmnpqrtuwxy"),
    "passport": _shaped(1),
    "plate": _shaped(2, "abcdefghjkmnpqrstuvwxyz"),
    "wechat": _shaped(0),
    "qq": _shaped(0),
    "address": _address,
    "email": _email,
    "url": _url,
    "ip": _ip,
    "mac": _shaped(2, "abcdef"),
    "iban": _iban,
    "ssn": _shaped(0),
    "itin": _shaped(1),
    "nino": _shaped(0, "abceghjklmnprstwxyz"),
    "nhs": _shaped(0),
    "vat": _shaped(2),
    "crypto": _crypto,
    "birth_date": _birth_date,
    "person": _person,
    "place": _place,
    "organisation": _organisation,
}
"""Of a secret there is no pseudonym: it gets a keyed digest."""
