"""Reports as plain data, and how values are written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sixfold.errors import DataError
from sixfold.metrics.calibration import Bin
from sixfold.metrics.intervals import proportion
from sixfold.report import blocks as b
from sixfold.report import show

EMPTY_BIN = Bin(0.0, 0.5, 0, None, None, None, None)
EVERY_BLOCK: tuple[b.Block, ...] = (
    b.Text("one\n\ntwo"),
    b.Notice("warning", "mind this"),
    b.Facts((("seed", 17), ("digest", "abc"), ("dropout", 0.1), ("resumed", False), ("parent", None))),
    b.Tiles((b.Tile.of(proportion("accuracy", 9, 10).to_dict(), note="of ten"), b.Tile("base", "minilm-l6"))),
    b.table([("label", "text"), ("F1", "interval"), ("rows", "count")], [["a", (0.5, 0.4, 0.6), 10], ["b", None, 3]]),
    b.Curves("loss", (b.Series("train", ((1.0, 2.0), (2.0, 1.0))),), marks=(b.Mark(2.0, "best"),)),
    b.Heatmap(("a", "b"), ("a", "b"), ((3.0, 1.0), (0.0, 2.0))),
    b.Reliability((b.Diagram("before", (EMPTY_BIN, Bin(0.5, 1, 4, 0.8, 0.75, 0.3, 0.95))),)),
    b.Bars(("a", "b"), (b.Counts("train", (3, 4)),)),
    b.Marked("good film", (b.Span(0, 4, "pos"), b.Span(5, 9, None, -0.5))),
    b.Mistakes((b.Mistake(text="no", expected="a", predicted="b", confidence=0.9, where="x.csv:1"),)),
    b.Panels((b.Text("left"), b.Text("right"))),
    b.Details("more", (b.Text("hidden"),)),
    b.Group("part", (b.Text("inside"),)),
)  # fmt: skip


def test_a_page_with_every_kind_of_block_survives_json() -> None:
    page = b.Page("title", (b.Section("all", EVERY_BLOCK, "all"),), "subtitle", (("seed", 1),))
    assert b.from_json(b.to_json(page)) == page
    assert {block.kind for block in EVERY_BLOCK} == {
        "text", "notice", "facts", "tiles", "table", "curves", "heatmap", "reliability", "bars", "marked", "mistakes",
        "panels", "details", "group",
    }  # fmt: skip


def test_a_number_that_is_not_finite_becomes_null() -> None:
    page = b.Page("t", (b.Section("s", (b.Curves("c", (b.Series("x", ((0.0, math.nan), (1.0, math.inf))),)),)),))
    text = b.to_json(page)
    assert "NaN" not in text
    assert "Infinity" not in text
    block = b.from_json(text).sections[0].blocks[0]
    assert isinstance(block, b.Curves)
    assert block.series[0].points == ((0.0, None), (1.0, None))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "Invalid JSON"),
        ('{"title": "x", "sections": [{"title": "a", "blocks": [{"kind": "tex"}]}]}', "sections.0.blocks.0"),
        ('{"title": "x", "sections": [], "colour": "red"}', "colour"),
    ],
)
def test_what_is_no_stored_report_is_refused_with_the_place(text: str, told: str) -> None:
    with pytest.raises(DataError, match="not a stored report") as caught:
        b.from_json(text)
    assert told in str(caught.value.found)


def test_numbers_are_written_in_about_three_figures() -> None:
    written = [show.number(x) for x in (0, 1, 12346, 1234.5, 3.14159, 0.012345, 2e-5, -2.5e-7, 5e17, 0.5)]
    assert written == ["0", "1", "12,346", "1,234", "3.142", "0.0123", "2×10⁻⁵", "−2.5×10⁻⁷", "5×10¹⁷", "0.500"]
    assert [show.number(x) for x in (None, math.nan, math.inf, -math.inf)] == ["–", "–", "∞", "−∞"]


def test_what_is_not_quite_all_or_nothing_is_never_rounded_to_it() -> None:
    assert [show.percent(x) for x in (0.932, 1.0, 0.0, 0.9998, 0.0004, 1 - 1e-12)] == [
        "93.2", "100.0", "0.0", "99.98", "0.04", "100.000000",
    ]  # fmt: skip


def test_the_numbers_of_an_axis_have_the_same_digits() -> None:
    assert show.ticks([0.0, 0.5, 1.0]) == ["0.0", "0.5", "1.0"]
    assert show.ticks([0, 500, 1000]) == ["0", "500", "1,000"]
    assert show.ticks([0.9, 0.925, 0.95], proportions=True) == ["90.0", "92.5", "95.0"]
    assert show.ticks([0.0, 2e-5]) == ["0", "2×10⁻⁵"]
    assert show.ticks([1000.1, 1000.2]) == ["1,000.1", "1,000.2"]
    assert show.ticks([]) == []


def test_durations_read_as_people_say_them() -> None:
    assert [show.duration(x) for x in (0.44, 52, 200, 180, 7500, 7200, None)] == [
        "0.4 s", "52 s", "3 min 20 s", "3 min", "2 h 5 min", "2 h", "–",
    ]  # fmt: skip


def test_hidden_characters_are_shown_by_their_number() -> None:
    assert show.visible("a\u202eb\u200b\x00\ud800") == "a⟨U+202E⟩b⟨U+200B⟩⟨U+0000⟩⟨U+D800⟩"
    assert show.visible("tab\tline\nfeed, 中文, é, 😀") == "tab\tline\nfeed, 中文, é, 😀"


@given(st.text(st.characters(codec=None)))
def test_any_string_can_be_written_as_utf_8_once_visible(text: str) -> None:
    shown = show.visible(text)
    assert shown.encode("utf-8").decode("utf-8") == shown


def test_chinese_letters_count_as_wide_when_shortened() -> None:
    assert show.shortened("银行卡被吞了", 8) == "银行卡…"
    assert show.shortened("card", 8) == "card"
