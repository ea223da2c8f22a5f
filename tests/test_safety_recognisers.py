"""Every row of the table finds its examples and passes over its near-misses."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from importlib import import_module

import pytest

from sixfold.safety import find
from sixfold.safety.entity import TYPES
from sixfold.safety.recognisers import ROWS, Recogniser, checks, checksums
from sixfold.safety.recognisers.row import LONGEST
from sixfold.safety.recognisers.vat import vat
from sixfold.safety.scan import Scanner, folded, patterns, table_of


def marked(text: str) -> tuple[str, list[tuple[int, int]]]:
    """A text without « and », and what stood between them."""
    spans = []
    while (found := re.search("«(.*?)»", text, re.DOTALL)) is not None:
        spans.append((found.start(), found.end() - 2))
        text = text[: found.start()] + found[1] + text[found.end() :]
    return text, spans


EXAMPLES = [pytest.param(row, example, id=f"{row.name}-{n}") for row in ROWS for n, example in enumerate(row.examples)]
NEAR = [pytest.param(row, text, id=f"{row.name}-{n}") for row in ROWS for n, text in enumerate(row.near_misses)]


@pytest.mark.parametrize(("row", "example"), EXAMPLES)
def test_the_examples_are_found_and_nothing_else(row: Recogniser, example: str) -> None:
    text, spans = marked(example)
    assert [(one.start, one.end, one.type) for one in patterns(text)] == [(*span, row.type) for span in spans]


@pytest.mark.parametrize(("row", "text"), NEAR)
def test_the_near_misses_are_not_of_the_row_s_type(row: Recogniser, text: str) -> None:
    assert not [one for one in patterns(text) if one.type == row.type]


def test_every_type_has_a_row_and_every_row_examples() -> None:
    assert {row.type for row in ROWS} | {"person", "place", "organisation"} == set(TYPES)
    assert all(row.examples and row.near_misses for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_no_pattern_repeats_without_a_bound(row: Recogniser) -> None:
    parsed = re._parser.parse(row.source)  # type: ignore[attr-defined]
    assert parsed.getwidth()[1] <= LONGEST, row.name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_alone_finds_its_examples(row: Recogniser) -> None:
    for example in row.examples:
        text, spans = marked(example)
        found = Scanner(table_of((row,))).entities(folded(text), final=True)
        assert [one.end for one in found] == [end for _, end in spans]  # the + before a number is another row's


LATIN = [
    pytest.param(row, word, id=f"{row.name}-{word}")
    for row in ROWS
    for word in (*row.context, *row.against_context)
    if word.isascii() and word.isalpha()
]


@pytest.mark.parametrize(("row", "word"), LATIN)
def test_a_context_word_is_no_part_of_another_word(row: Recogniser, word: str) -> None:
    def score(before: str) -> float:
        return row.judged(before, len(before))[0]

    word = word.lower()
    alone = (
        f"{word.upper()}: ",
        f"my {word}s ",
        f"我的{word}是",
        f"the_{word}_1 ",
        f"the{word.capitalize()}Of ",
        f"({word})",
    )
    assert {score(before) for before in alone} == {score(word)}
    inside = (f"{word}zko ", f"{word.upper()}ZKO ", f"xq{word} ", f"XQ{word.upper()} ", f"hô{word} ", f"{word}ö ")
    assert {score(before) for before in inside} == {row.score}


def test_chinese_context_words_have_no_borders() -> None:
    assert [one.type for one in find("我的电话为60-56-85-91")] == ["phone"]
    assert not find("大订单号为13800138000")


# Checksums: the verdicts of python-stdnum, on numbers of which many are right


def theirs(module: str, value: str) -> bool:
    return bool(import_module(f"stdnum.{module}").is_valid(value))


def drawn(shape: str, draw: random.Random) -> str:
    """Digits for n, capitals for A, letters and digits for x; the rest as it is."""
    kinds = {"n": "0123456789", "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "x": "023456789acdefghjklmnpqrstuvwxyz"}
    return "".join(draw.choice(kinds[one]) if one in kinds else one for one in shape)


SHAPES: dict[str, tuple[str, Callable[[str], bool], str]] = {
    "card": ("luhn", checks.luhn, "nnnnnnnnnnnnnnnn"),
    "nhs": ("gb.nhs", checksums.nhs, "nnnnnnnnnn"),
    "company": ("cn.uscc", checks.company_code, "91nnnnnnnnnnnnnnnn"),
    "iban": ("iban", checks.iban, "DE8nnnnnnnnnnnnnnnnnnn"),
}
VAT = {
    "AT": "Unnnnnnnn",
    "BE": "nnnnnnnnn 0nnnnnnnnn 1nnnnnnnnn",
    "BG": "nnnnnnnnn nnnnnnnnnn nn0n1nnnnn nn4n1nnnnn nn2n0nnnnn",
    "CY": "nnnnnnnnA 12nnnnnnA",
    "CZ": "nnnnnnnn 6nnnnnnnn nn0n1nnnn nn5n2nnnnn nn0n1nnnnn",
    "DE": "nnnnnnnnn 0nnnnnnnn",
    "DK": "nnnnnnnn",
    "EE": "nnnnnnnnn",
    "EL": "nnnnnnnn nnnnnnnnn",
    "ES": "AnnnnnnnA Annnnnnnn nnnnnnnnA XnnnnnnnA KnnnnnnnA",
    "FI": "nnnnnnnn",
    "FR": "nnnnnnnnnnn AAnnnnnnnnn Annnnnnnnnn nA000nnnnnn",
    "HR": "nnnnnnnnnnn",
    "HU": "nnnnnnnn",
    "IE": "nnnnnnnA nnnnnnnAA nAnnnnnA nAnnnnnAW",
    "IT": "nnnnnnn0nnn nnnnnnnnnnn nnnnnnn120n 0000000001n",
    "LT": "nnnnnnn1n nnnnnnnnnn1n",
    "LU": "nnnnnnnn",
    "LV": "4nnnnnnnnnn 32nnnnnnnnn 1n0nnn1nnnn",
    "MT": "nnnnnnnn",
    "NL": "nnnnnnnnnB0n nnnnnnB0n nnnnnnnnnBnn nnnnnnnnnCnn 000000000B01",
    "PL": "nnnnnnnnnn",
    "PT": "nnnnnnnnn",
    "RO": "nnnnnnn nnnnnnnn nnnnnnnnnn nnnnnnnnnnn",
    "SE": "nnnnnnnnnn01 nnnnnnnnnn0n",
    "SI": "nnnnnnnn",
    "SK": "nnnnnnnnnn nn0n1nnnnn nn5n2nnnnn",
}
"""Numbers by country, in the forms that people, companies and foreigners have there."""


@pytest.mark.parametrize("country", VAT)
def test_vat_numbers_are_judged_as_python_stdnum_does(country: str) -> None:
    draw = random.Random(country)
    shapes = [*VAT[country].split(), "nnnnnnn", "xxxxxxxxx", "AAAAAAAAAAAA"]
    values = [f"{country}{draw.choice(['', ' '])}{drawn(shape, draw).upper()}" for shape in shapes for _ in range(1500)]
    verdicts = [vat(value) for value in values]
    assert verdicts == [theirs("eu.vat", value) for value in values]
    assert any(verdicts)


@pytest.mark.parametrize("name", SHAPES)
def test_checksums_are_judged_as_python_stdnum_does(name: str) -> None:
    module, ours, shape = SHAPES[name]
    draw = random.Random(name)
    values = [drawn(shape, draw) for _ in range(4000)]
    verdicts = [ours(value) for value in values]
    assert verdicts == [theirs(module, value) for value in values]
    assert any(verdicts)


def test_identity_numbers_are_judged_as_python_stdnum_does() -> None:
    from stdnum.cn.ric import calc_check_digit

    draw = random.Random(5)
    regions = ["110103", "110110", "110111", "110112", "440103", "310101", "710000", "990101", "230102"]
    days = [f"{draw.randint(1950, 2020)}{draw.randint(1, 13):02d}{draw.randint(1, 31):02d}" for _ in range(600)]
    bodies = [f"{draw.choice(regions)}{day}001" for day in days]
    values = [body + draw.choice([calc_check_digit(body + "0"), "7"]) for body in bodies]
    verdicts = [checks.resident_id(value) for value in values]
    assert verdicts == [theirs("cn.ric", value) for value in values]
    assert 50 < sum(verdicts) < 500


@pytest.mark.parametrize(
    "address",
    [
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
        "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3",
        "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7k7grplx",
    ],
)
def test_addresses_of_wallets_are_judged_as_python_stdnum_does(address: str) -> None:
    draw = random.Random(address)
    alphabet = checksums._BASE_32 if address.startswith("bc1") else checksums._BASE_58
    place = draw.randrange(3, len(address))
    changed = [address[:place] + letter + address[place + 1 :] for letter in alphabet]
    shorter = [address[:cut] for cut in range(14, len(address))]
    values = [address, *changed, *shorter]
    assert [checks.bitcoin(value) for value in values] == [theirs("bitcoin", value) for value in values]
    assert checks.bitcoin(address)
