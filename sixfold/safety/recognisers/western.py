"""Recognisers of numbers that people and accounts have elsewhere, of phones, and of dates of birth."""

from __future__ import annotations

from itertools import product

from sixfold.safety.recognisers import checks
from sixfold.safety.recognisers.row import Recogniser
from sixfold.safety.recognisers.vat import vat

_ORDERS = ("order", "tracking", "invoice", "serial", "part no", "订单", "单号", "编号", "流水")
_PHONES = ("phone", "tel", "telephone", "cellphone", "telefon", "call", "mobile", "cell", "fax", "contact", "reach",
           "ring", "sms", "messages? to", "text me", "whats_?app", "电话", "手机", "联系", "传真")  # fmt: skip
_PHONE = r"\(?\d{1,4}+\)?(?:[ .\-/]{1,2}\(?\d{1,8}+\)?){1,5}(?:\s?(?:x|ext\.?)\s?\d{1,6})?"
_SEVEN, _SIX = (rf"(?=\(?(?:\d[ .\-/()]{{0,4}}+){{{count}}}\d)" for count in (6, 5))
"""So many digits before anything else but marks: with fewer no number is complete, and nothing more is tried."""
_TOO_LONG = r"(?!\(?\d{4}\)?(?:[ .\-/]{1,2}\(?\d{4,8}\)?){3})"
_BEFORE_PHONE = r"(?<![A-Za-z0-9_])(?<![0-9][ .\-/])(?<!\+)"
_NOT_BRACKETED = rf"(?<!{_BEFORE_PHONE}\((?=\d))"
"""Behind a bracket with which a candidate may begin, the same one would be tried again."""


def _in_sequence() -> str:
    """Not behind one to three digits and marks that a phone number may go on with: it would have begun there.

    Otherwise each group of a long sequence is tried with all that follow.
    """
    ways: dict[int, list[str]] = {}
    for digits in (1, 2, 3):
        for closing, marks, opening in product(("", r"\)"), (1, 2), ("", r"\(")):
            if closing or opening or marks > 1:
                width = digits + bool(closing) + marks + bool(opening)
                way = rf"(?<![0-9])[0-9]{{{digits}}}{closing}[ .\-/]{{{marks}}}{opening}"
                ways.setdefault(width, []).append(way)
    return "".join(f"(?<!{'|'.join(some)})" for some in ways.values())


_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_MONTH_NUMBER, _DAY_NUMBER = r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_DAY = (
    r"(?:(?:19|20)\d{2}[\-/.年]\s?\d{1,2}[\-/.月]\s?\d{1,2}日?"
    rf"|(?:{_MONTH_NUMBER}[\-/.]{_DAY_NUMBER}|{_DAY_NUMBER}[\-/.]{_MONTH_NUMBER})[\-/.](?:19|20)?\d{{2}}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}\.?,? (?:19|20)\d{{2}})"
)
_BORN = ("born", "birth", r"d\.?o\.?b", "birthday", "birthdate", "出生", "生日", "生于")

WESTERN = (
    Recogniser(
        name="payment card",
        type="card",
        starts="digit",
        pattern=r"\d{4}[ \-]?\d{4}[ \-]?\d{3,4}(?:[ \-]?\d{1,4}){0,2}|3\d{3}[ \-]\d{6}[ \-]\d{4,5}",
        check=checks.payment_card,
        checked="issuer and checksum are right",
        context=("card", "credit", "debit", "visa", "mastercard", "amex", "payment", "卡", "银行"),
        against_context=_ORDERS,
        score=0.8,
        examples=("pay with «4111 1111 1111 1111».", "«378282246310005» expired", "卡号«5500-0000-0000-0004»"),
        near_misses=("pay with 4111 1111 1111 1112", "1234567812345670", "order 4111111111111111"),
    ),
    Recogniser(
        name="payment card of an unknown issuer",
        type="card",
        starts="digit",
        pattern=r"\d{12,19}",
        check=checks.luhn,
        checked="checksum is right",
        context=("card", "credit", "creditcard", "debit"),
        against_context=_ORDERS,
        score=0.3,
        with_context=0.7,
        examples=("my credit card «060426070011» is",),
        near_misses=("my credit card 060426070012 is", "it is 060426070011"),
    ),
    Recogniser(
        name="IBAN",
        type="iban",
        starts="letter",
        pattern=r"[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?",
        check=checks.iban,
        checked="checksum and length are right",
        context=("iban", "account", "bank"),
        score=0.95,
        with_context=0.99,
        examples=("to «GB82 WEST 1234 5698 7654 32», please", "IBAN «DE89370400440532013000»"),
        near_misses=("GB82 WEST 1234 5698 7654 33", "AB12 CDEF 1234 5678"),
    ),
    Recogniser(
        name="US social security number",
        type="ssn",
        starts="digit",
        pattern=r"(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}",
        before=r"(?<![A-Za-z0-9_])(?<![0-9]-)",
        after=r"(?![A-Za-z0-9_\-])",
        check=checks.ssn,
        checked="in the range that is assigned",
        context=("ssn", "social security"),
        score=0.8,
        examples=("My SSN is «536-90-4399».", "«460-89-9847»"),
        near_misses=("666-12-3456", "000-12-3456", "536-90-43990", "536-00-4399", "078-05-1120"),
    ),
    Recogniser(
        name="US social security number",
        type="ssn",
        starts="digit",
        pattern=r"(?!000|666|9)[0-9]{3} ?(?!00)[0-9]{2} ?(?!0000)[0-9]{4}",
        check=checks.ssn,
        checked="in the range that is assigned",
        context=("ssn", "social security"),
        score=0.1,
        with_context=0.85,
        examples=("SSN «536904399»", "social security number: «536 90 4399»"),
        near_misses=("order 536904399", "536904399"),
    ),
    Recogniser(
        name="US taxpayer number (ITIN)",
        type="itin",
        starts="9",
        pattern=r"9[0-9]{2}-(?:7[0-9]|8[0-8]|9[0-24-9])-[0-9]{4}",
        checked="in the range that is assigned",
        context=("itin", "tax"),
        score=0.8,
        examples=("ITIN «912-90-3456»",),
        near_misses=("912-49-3456", "912-93-3456"),
    ),
    Recogniser(
        name="UK national insurance number",
        type="nino",
        starts="letter",
        pattern=r"(?!BG|GB|KN|NK|NT|TN|ZZ|bg|gb|kn|nk|nt|tn|zz)[A-CEGHJ-PR-TW-Za-ceghj-pr-tw-z]"
        r"[A-CEGHJ-NPR-TW-Za-ceghj-npr-tw-z]"
        r" ?\d{2} ?\d{2} ?\d{2} ?[A-Da-d]",
        context=("national insurance", "nino", "ni"),
        score=0.65,
        examples=("NINO «AB123456C»", "his is «AB 12 34 56 C»"),
        near_misses=("GB123456C", "AB123456E", "QA123456C"),
    ),
    Recogniser(
        name="UK NHS number",
        type="nhs",
        starts="digit",
        pattern=r"\d{3}[ \-]?\d{3}[ \-]?\d{4}",
        check=checks.nhs,
        checked="checksum is right",
        context=("nhs", "patient"),
        score=0.3,
        examples=("NHS number «943 476 5919»", "patient «9434765919»"),
        near_misses=("NHS number 943 476 5918", "9434765919"),
    ),
    Recogniser(
        name="EU VAT number",
        type="vat",
        starts="letter",
        pattern=r"(?:AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK) ?[A-Z0-9]{7,12}",
        check=vat,
        checked="checksum is right",
        context=("vat", "ust", "tva", "iva"),
        score=0.7,
        examples=("VAT «DE136695976»", "«ATU13585627»", "«EL094259216»", "«NL123456782B01»", "«SE556012579001»"),
        near_misses=("VAT DE136695978", "DESIGN1234", "NL123456781B01", "SE556012579101"),
    ),
    Recogniser(
        name="international phone number",
        type="phone",
        starts="+",
        pattern=rf"\+{_SIX}"
        r"\d{1,3}[ .\-]?\(?\d{1,5}\)?(?:[ .\-/]{0,2}\(?\d{1,8}\)?){1,5}(?:\s?(?:x|ext\.?)\s?\d{1,6})?",
        before=r"(?<![A-Za-z0-9_+])",
        check=checks.international_phone,
        checked="a country's code and a length that numbers have there",
        context=_PHONES,
        score=0.9,
        with_context=0.98,
        examples=("Call «+44 20 7946 0958».", "«+46 (0)8 928 571 38» is mine", "«+1-984-182-0190»", "«+8613800138000»"),
        near_misses=("+999 123 4567", "a +12 b", "1 +1 234"),
    ),
    Recogniser(
        name="North American phone number",
        type="phone",
        starts="123456789(",
        pattern=r"(?:1[ .\-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .\-])[2-9]\d{2}[ .\-]\d{4}(?:\s?(?:x|ext\.?)\s?\d{1,6})?",
        before=r"(?<![A-Za-z0-9_])(?<![0-9][ .\-/])",
        after=r"(?![A-Za-z0-9_])(?![.\-]\d)",
        context=_PHONES,
        against_context=_ORDERS,
        score=0.75,
        examples=("call «(212) 555-0123» now", "«905-674-3793»", "«345-899-3560x4587»"),
        near_misses=("123-456-7890", "212-555-01234"),
    ),
    Recogniser(
        name="British phone number",
        type="phone",
        starts="0(",
        pattern=r"\(?0\d{2,4}\)? ?\d{3,4} ?\d{3,4}",
        before=r"(?<![A-Za-z0-9_])(?<![0-9][ .\-/])",
        after=r"(?![A-Za-z0-9_])(?![ .\-]\d)",
        check=checks.british_phone,
        checked="a number that is assigned",
        context=_PHONES,
        against_context=_ORDERS,
        score=0.75,
        examples=("ring «020 7946 0958»", "«07911 123456»"),
        near_misses=("0000 000 000", "020 7946 09581"),
    ),
    Recogniser(
        name="phone number",
        type="phone",
        starts="0123456789(",
        pattern=_NOT_BRACKETED + _in_sequence() + _TOO_LONG + _SEVEN + _PHONE,
        before=_BEFORE_PHONE,
        after=r"(?![A-Za-z0-9_])(?![ .\-/]\d)",
        check=checks.any_phone,
        checked="a length that numbers have",
        context=_PHONES,
        against_context=(*_ORDERS, "date", *_BORN, "account", "card"),
        score=0.2,
        with_context=0.7,
        examples=(
            "my phone number is «0490 75 40 81»",
            "call «60-56-85-91»",
            "电话 «(37) 788-063»",
            "tel(«0490 75 40 81» or",
            "My phone: (since 2023) «04 90 75 40 81»",
            "customerPhone «60-56-85-91»",
            "phone_numbers: «60-56-85-91»",
            "he called «60-56-85-91»",
            "WhatsApp «60-56-85-91»",
        ),
        near_misses=(
            "on 12-05-2020 we",
            "60-56-85-91",
            "call 12-34",
            "call (1) (2) (3) (4) (5) (6)",
            "TELKO a.s. 19.06.2007",
            "the hotel of 60-56-85-91",
            "during 60-56-85-91",
        ),
    ),
    Recogniser(
        name="phone number",
        type="phone",
        starts="digit",
        pattern=r"\d{7,13}",
        before=r"(?<![A-Za-z0-9_+])(?<![0-9][ .\-/])",
        after=r"(?![A-Za-z0-9_])(?![ .\-/]\d)",
        check=checks.any_phone,
        checked="a length that numbers have",
        context=_PHONES,
        against_context=(*_ORDERS, "account", "card", "id"),
        score=0.1,
        with_context=0.65,
        examples=("call me at «9498777106»",),
        near_misses=("9498777106", "call order 9498777106"),
    ),
    Recogniser(
        name="phone number",
        type="phone",
        starts="0123456789(",
        pattern=rf"(?P<e>{_NOT_BRACKETED}{_PHONE}|\d{{7,13}})[ \-,]{{1,2}}"
        r"\(?(?:[Oo]ffice|[Ff]ax|[Cc]ell|[Mm]obile|[Hh]ome|[Ww]ork)",
        before=_BEFORE_PHONE,
        checked="the word behind it",
        score=0.7,
        examples=("«416 60 039» office", "«085 175 7641»-Office", "«3660170548» (fax)"),
        near_misses=("12 office", "416 60 039 offices"),
    ),
    Recogniser(
        name="date of birth",
        type="birth_date",
        starts="digit",
        pattern=_DAY,
        before=r"(?<![A-Za-z0-9_])(?<![0-9][\-/.][0-9]{2}[\-/.])(?<![0-9][\-/.][0-9][\-/.])",
        check=checks.birth_date,
        checked="a day in the past",
        context=_BORN,
        score=0.2,
        with_context=0.85,
        examples=("born on «12/05/1980» in", "出生日期：«1980年5月12日»", "DOB «1980-05-12»", "born «3rd May 1980»"),
        near_misses=("on 12/05/1980 we", "born 32/13/1980", "born 1.2.3.4.51", "生产日期：2020年5月12日"),
    ),
    Recogniser(
        name="date of birth",
        type="birth_date",
        starts="digit",
        pattern=r"(?P<e>(?:19|20)\d{2}年\d{1,2}月\d{1,2}日?)(?:出生|生人|生，|生于)",
        after="",
        check=checks.birth_date,
        checked="a day in the past, and born",
        score=0.85,
        examples=("«1980年5月12日»出生",),
        near_misses=("1980年5月12日生产", "1980年15月12日出生"),
    ),
    Recogniser(
        name="date of birth",
        type="birth_date",
        starts="JFMASOND",
        pattern=rf"{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? (?:19|20)\d{{2}}",
        check=checks.birth_date,
        checked="a day in the past",
        context=_BORN,
        score=0.2,
        with_context=0.85,
        examples=("He was born on «March 12, 1980».", "DOB: «Sept. 3rd 1975»"),
        near_misses=("On March 12, 1980 we", "born March 42, 1980"),
    ),
    Recogniser(
        name="street address",
        type="address",
        starts="digit",
        pattern=r"\d{1,5} (?:[A-Z][A-Za-z'.\-]{1,15} ){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|"
        r"Drive|Dr|Court|Ct|Place|Pl|Square|Sq|Terrace|Way|Parkway|Highway)\b\.?"
        r"(?:,? (?:Apt|Suite|Unit|#)\.? ?\d{1,4})?",
        after="(?![A-Za-z0-9])",
        score=0.7,
        examples=("at «1668 Glyn St» in", "«221 Baker Street, Apt. 4» please"),
        near_misses=("3 Wise Men", "10 Best Ways"),
    ),
)
