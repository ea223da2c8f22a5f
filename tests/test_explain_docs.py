"""The page's table of explainers is what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from sixfold.explain.inside import FIRST_STEPS, MOST_STEPS
from sixfold.explain.methods import METHODS, USUAL

PAGE = (Path(__file__).resolve().parents[1] / "docs/explain.md").read_text("utf-8")


def test_every_explainer_stands_in_the_page_with_its_copies() -> None:
    table = PAGE.partition("## The explainers")[2].partition("\n\nWhere")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| `")]
    assert [row[0].strip("`") for row in rows] == list(METHODS)
    for name, copies, drawn, _ in rows:
        method = METHODS[name.strip("`")]
        assert (drawn == "yes") is method.drawn
        if copies.isdigit() and method.samples:
            assert int(copies) == method.samples
    points = re.search(r"(\d+) to (\d+) points", table)
    assert points is not None
    assert tuple(map(int, points.groups())) == (FIRST_STEPS, MOST_STEPS)


def test_the_usual_explainers_are_told() -> None:
    assert ", ".join(f"`{name}`" for name in USUAL) in PAGE
