"""Every row of the table finds its examples and passes over its near-misses."""

from __future__ import annotations

import re

import pytest

from sixfold.safety.entity import TYPES
from sixfold.safety.recognisers import ROWS, Recogniser
from sixfold.safety.recognisers.row import CONTEXT, LONGEST
from sixfold.safety.scan import patterns


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
    assert parsed.getwidth()[1] <= 2 * LONGEST + CONTEXT, row.name
