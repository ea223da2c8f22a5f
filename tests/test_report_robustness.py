"""The sections of an attack's report: what is shown of plain results, and that what could not be tried is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_attack_outcome import HELD, SKIPPED, TAGGED, UNTRIED, WON

from sixfold.attack.outcome import Outcome
from sixfold.attack.summary import summary, worst_case
from sixfold.perturb.words import Edit
from sixfold.report.blocks import Curves, Details, Group, Marked, Notice, Page, Section, Span, Table, Tiles
from sixfold.report.page import render
from sixfold.report.robustness import robustness_sections

LEDGER = {"queries": 900, "cached": 100, "duplicates": 50, "model_calls": 750, "tokens": 9000, "seconds": 1.5}


def header(by_attack: dict[str, list[Outcome]], budget: int | None = 2000) -> dict[str, Any]:
    return {
        "goal": {"name": "untargeted", "what": "the label becomes wrong"},
        "budget": budget,
        "seed": 1,
        "examples": 4,
        "checkpoint": {"name": "runs/reviews", "digest": "ab" * 32, "task": "text_classification"},
        "data": {"source": "reviews.csv", "split": "test", "digest": "cd" * 32, "rows": 10},
        "attacks": [
            {
                "name": name,
                "what": "",
                "paper": "Gao et al. 2018",
                "settings": [["Search", "greedy"], ["Constraints", "no word twice"]],
                "encoder": "minilm-l6",
                "summary": summary(found, budget=budget, seed=0),
                "ledger": LEDGER,
                "seconds": 2.0,
            }
            for name, found in by_attack.items()
        ],
        "worst_case": worst_case(by_attack),
    }


def sections(by_attack: dict[str, list[Outcome]], **options: Any) -> tuple[Section, ...]:
    outcomes = [one.to_dict() | {"attack": name} for name, found in by_attack.items() for one in found]
    return robustness_sections(header(by_attack, **options), outcomes)


def blocks(section: Section | Group | Details) -> list[Any]:
    """All blocks, those inside others too."""
    found: list[Any] = []
    for block in section.blocks:
        found += [block, *(blocks(block) if isinstance(block, Group | Details) else [])]
    return found


def test_one_attack_has_its_numbers_in_front() -> None:
    results, budget, attack, done = sections({"deepwordbug": [WON, HELD, SKIPPED]})
    tiles = next(block for block in results.blocks if isinstance(block, Tiles))
    assert {tile.label: tile.value for tile in tiles.tiles} == {
        "accuracy before": pytest.approx(2 / 3),
        "accuracy under attack": pytest.approx(1 / 3),
        "success of the attack": 0.5,
        "queries an example": 9.0,
        "words changed in a success": pytest.approx(1 / 3),
        "similarity of a success": 0.75,
    }
    assert [section.title for section in (budget, attack, done)] == [
        "Success against budget",
        "deepwordbug",
        "How it was done",
    ]


def test_several_attacks_stand_side_by_side_with_the_worst_of_them() -> None:
    first = sections({"deepwordbug": [WON, HELD], "pwws": [HELD, HELD]})[0]
    tiles, table = first.blocks[:2]
    assert isinstance(tiles, Tiles)
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["deepwordbug", "pwws"]
    assert tiles.tiles[1].label == "accuracy under all attacks"


def test_changed_words_are_marked_where_they_stand_now() -> None:
    one = replace(
        WON,
        original="a great new film",
        adversarial="a graet brand-new film",
        edits=(Edit(2, 7, "graet"), Edit(8, 11, "brand-new")),
        words=4,
    )
    (text,) = [block for block in blocks(sections({"deepwordbug": [one]})[2]) if isinstance(block, Marked)]
    assert text.text == "a graet brand-new film"
    assert text.spans == (Span(2, 7, "great"), Span(8, 17, "new"))
    assert text.caption == "good became bad; 2 of 4 words; 9 queries; similarity 0.750; reviews.csv:5"


def test_what_comes_in_between_is_marked_as_added() -> None:
    one = replace(
        WON, original="a film.", adversarial="a film and true is true.", edits=(Edit(6, 6, " and true is true"),)
    )
    (text,) = [block for block in blocks(sections({"checklist": [one]})[2]) if isinstance(block, Marked)]
    assert text.spans == (Span(6, 23, "added"),)


def test_texts_with_the_fewest_changes_come_first_and_many_are_folded() -> None:
    short = replace(WON, words=2, row="00" * 16)
    found = blocks(sections({"deepwordbug": [WON] * 14 + [short]})[2])
    texts = [block for block in found if isinstance(block, Marked)]
    assert texts[0].caption.startswith("good became bad; 1 of 2 words")
    assert len(texts) == 15
    (folded,) = [block for block in found if isinstance(block, Details)]
    assert folded.summary == "3 more"


def test_rows_that_could_not_be_tried_are_told() -> None:
    results = sections({"deepwordbug": [WON, UNTRIED, UNTRIED, replace(HELD, kind="budget spent")]})[0]
    told = [(block.level, block.text) for block in results.blocks if isinstance(block, Notice)]
    assert told == [
        ("note", "2 rows had no word that the attack may change. They were not tried and are in no rate."),
        ("note", "1 row was given up when its queries were spent. It counts as withstood."),
    ]


def test_where_nothing_could_be_tried_nothing_is_claimed() -> None:
    results = sections({"deepwordbug": [UNTRIED]})[0]
    told = [block.text for block in results.blocks if isinstance(block, Notice)]
    assert told[0] == "No row could be attacked, so nothing is said about robustness."
    tiles = next(block for block in results.blocks if isinstance(block, Tiles))
    assert [tile.label for tile in tiles.tiles] == ["accuracy before"]


@pytest.mark.parametrize(("budget", "end"), [(2000, 22), (21, 21), (None, 22)])
def test_the_curve_rises_in_steps_and_ends_soon_after_the_last_find(budget: int | None, end: int) -> None:
    other = replace(WON, enough=20, queries=20)
    curve = sections({"deepwordbug": [WON, other, HELD, HELD]}, budget=budget)[1].blocks[0]
    assert isinstance(curve, Curves)
    assert curve.series[0].points == ((0, 0.0), (8, 0.0), (8, 0.25), (20, 0.25), (20, 0.5), (end, 0.5))


def test_entities_are_told_before_and_under_attack() -> None:
    results = sections({"deepwordbug": [TAGGED, replace(TAGGED, kind="failed")]})[0]
    table = next(block for block in results.blocks if isinstance(block, Table))
    assert [(row[0], row[2][0]) for row in table.rows] == [("none", 1.0), ("deepwordbug", 0.5)]  # type: ignore[index]


@pytest.mark.parametrize("budget", [None, 100, 2000])
def test_every_kind_of_result_becomes_a_page(budget: int | None) -> None:
    text = {"original": "好 <b> 😀", "adversarial": "坏 <b> 😀", "edits": (Edit(0, 1, "坏"),)}
    wild = replace(WON, **text, gold=("a", "b"), before=(), after=("a",))
    for found in ([WON, HELD, SKIPPED, UNTRIED], [UNTRIED], [SKIPPED], [TAGGED], [wild], []):
        for by_attack in ({"deepwordbug": found}, {"deepwordbug": found, "pwws": found}):
            page = render(Page("Attack", sections(by_attack, budget=budget)))
            assert "<b>" not in page
