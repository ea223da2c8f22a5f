"""The page: complete, self-contained, and safe from what stands in it."""

from __future__ import annotations

import base64
import hashlib
import math
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_report_blocks import EVERY_BLOCK

from sixfold.errors import DataError, StorageError
from sixfold.report import blocks as b
from sixfold.report import cells, svg, tallies
from sixfold.report.axes import log_ticks, nice_ticks
from sixfold.report.page import fragment, render, write

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>]]>&lt;{{ 7*7 }}"
VOID = {"meta", "br", "img", "link", "hr", "input"}


class Balanced(HTMLParser):
    """Checks that tags nest, and gathers elements, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(html: str) -> Balanced:
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def page(*blocks: b.Block, title: str = "title") -> b.Page:
    return b.Page(title, (b.Section("part", blocks),))


def hostile_page() -> b.Page:
    h = HOSTILE
    broken = b.Series(h, ((0.0, 1.0), (1.0, math.nan)))
    tagged = b.Mistake(words=(h,), gold_tags=(f"B-{h}",), predicted_tags=("O",))
    return b.Page(
        h,
        (
            b.Section(
                h,
                (
                    b.Text(h),
                    b.Notice("error", h),
                    b.Facts(((h, h),), h),
                    b.Tiles((b.Tile(h, h, note=h, method=h, count=1),)),
                    b.table([(h, "text"), (h, "code")], [[h, h]] * 4, h),
                    b.Curves(h, (broken, b.Series(h, ((0.0, 1.0),))), h, h, (b.Mark(0.5, h),), caption=h),
                    b.Heatmap((h,), (h,), ((1.0,),), h, h, h, h),
                    b.Reliability((b.Diagram(h, ()),), h),
                    b.Bars((h,), (b.Counts(h, (1,)),), h, h),
                    b.Marked(h, (b.Span(0, 5, h), b.Span(6, 9, h, 1.0)), h),
                    b.Mistakes((b.Mistake(text=h, expected=h, predicted=h, confidence=0.5, where=h), tagged), h),
                    b.Panels((b.Text(h),), h),
                    b.Details(h, (b.Text(h),)),
                    b.Group(h, (b.Text(h),)),
                ),
                h,
            ),
        ),
        h,
        ((h, h),),
    )  # fmt: skip


def test_hostile_text_never_becomes_markup() -> None:
    html = render(hostile_page())
    seen = parsed(html)
    assert seen.seen.count("script") == 1
    assert "img" not in seen.seen
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert "alert(1)" in "".join(seen.text)
    assert "{{ 7*7 }}" in "".join(seen.text)


def test_a_fragment_of_hostile_text_never_becomes_markup() -> None:
    seen = parsed(fragment(hostile_page()))
    assert "script" not in seen.seen
    assert "img" not in seen.seen


def test_a_page_with_every_block_is_well_formed_and_shows_them() -> None:
    text = "".join(parsed(render(page(*EVERY_BLOCK))).text)
    for told in (
        "mind this",
        "90.0",
        "[59.6, 98.2]",
        "n = 10, Wilson",
        "film",
        "x.csv:1",
        "hidden",
        "inside",
        "warning",
    ):
        assert told in text


def test_the_page_fetches_nothing() -> None:
    html = render(page(*EVERY_BLOCK))
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(|src=|<link|<iframe|<object", html)
    assert {value for name, value in parsed(html).attributes if name == "href"} <= {"#section-1"}


def test_only_the_pages_own_script_may_run() -> None:
    html = render(page(b.Text("x")))
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    assert f"script-src 'sha256-{digest}'" in policy[1]


def test_the_same_page_is_the_same_bytes() -> None:
    assert render(page(*EVERY_BLOCK)) == render(page(*EVERY_BLOCK))


def test_sections_are_numbered_and_linked_whatever_they_are_called() -> None:
    html = render(b.Page("t", (b.Section("Results", (), "results"), b.Section("结果", (), 'x" onload="'))))
    assert 'href="#results"' in html
    twice = render(b.Page("t", (b.Section("a", (), "same"), b.Section("b", (), "same"))))
    assert twice.count('id="same"') == 1
    assert 'href="#section-2"' in twice
    assert 'id="section-2"' in html


def test_empty_blocks_say_that_they_are_empty() -> None:
    empty = (
        b.table([("a", "text")], [], "Confusions"),
        b.Mistakes(()),
        b.Heatmap((), (), (), "Confusion"),
        b.Bars((), (), "Labels"),
        b.Curves("Loss", ()),
        b.Reliability((b.Diagram("none", ()),)),
        b.Marked("", ()),
        b.Text(""),
        b.Facts(()),
        b.Tiles(()),
    )
    text = "".join(parsed(render(page(*empty))).text)
    for told in (
        "Confusions: nothing to show.",
        "No mistakes to show.",
        "Labels: nothing to show.",
        "no finite points",
    ):
        assert told in text
    assert "title" in "".join(parsed(render(b.Page("title", ()))).text)


def test_points_that_are_not_finite_are_not_drawn_and_said_so() -> None:
    points = tuple((float(x), math.nan if x == 3 else math.inf if x == 4 else 1.0 * x) for x in range(10))
    html = render(page(b.Curves("loss", (b.Series("train", points),))))
    assert "train: 2 of 10 points are not finite and are not drawn (at 3, 4)." in html
    assert "nan" not in html.split("<main>")[1].split("</main>")[0].lower()
    # The line breaks at the gap instead of bridging it.
    assert html.count("<polyline") == 2


def test_a_logarithmic_chart_leaves_out_what_has_no_logarithm() -> None:
    chart = b.Curves("rate", (b.Series("x", ((0.0, 0.0), (1.0, 0.1), (2.0, 10.0))),), log=True)
    assert svg.lost_notes(chart) == [
        "x: 1 of 3 points are not finite, or not above 0 on a logarithmic axis and are not drawn (at 0)."
    ]
    ElementTree.fromstring(svg.lines(chart))


def test_long_lines_keep_their_spikes_when_thinned() -> None:
    points = [(float(x), 100.0 if x == 5_777 else 1.0) for x in range(10_000)]
    kept = svg.thinned(points)
    assert len(kept) <= svg.MOST_POINTS
    assert (5_777.0, 100.0) in kept
    assert "Of 10,000 points" in svg.thin_note(b.Curves("", (b.Series("", tuple(points)),)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(), st.floats() | st.none()), max_size=8), st.booleans(), st.booleans())
def test_any_points_give_a_well_formed_drawing(points: list, log: bool, percent: bool) -> None:
    chart = b.Curves("c", (b.Series("x", tuple(points)),), marks=(b.Mark(math.nan, "m"),), log=log, percent=percent)
    drawing = svg.lines(chart)
    ElementTree.fromstring(drawing)
    assert "nan" not in drawing
    assert '"inf' not in drawing


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_few_and_inside(low: float, span: float) -> None:
    assume(span > 1e-6 * abs(low))
    ticks = nice_ticks(low, low + span)
    assert len(ticks) <= 6
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)


def test_ticks_are_round() -> None:
    assert nice_ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert nice_ticks(12, 88) == [20, 40, 60, 80]
    assert log_ticks(0.5, 60) == pytest.approx([0.5, 1, 2, 5, 10, 20, 50])


def test_a_heat_map_of_150_classes_draws_only_cells_that_hold_something() -> None:
    names = tuple(f"class {i}" for i in range(150))
    values = tuple(tuple(5.0 if i == j else 0.0 for j in range(150)) for i in range(150))
    drawing = tallies.heatmap(b.Heatmap(names, names, values))
    ElementTree.fromstring(drawing)
    assert drawing.count('class="heat-right"') == 150
    assert 'class="cell' not in drawing
    assert "class 7 → class 7: 5 (100.0 % of the row)" in drawing


def test_a_small_heat_map_writes_its_values_and_one_class_is_enough() -> None:
    drawing = tallies.heatmap(b.Heatmap(("only",), ("only",), ((1234.0,),)))
    assert ">1,234</text>" in drawing
    assert ElementTree.fromstring(drawing).tag == "svg"


def test_a_heat_map_marks_what_is_not_a_number_and_what_is_negative() -> None:
    drawing = tallies.heatmap(b.Heatmap(("a",), ("b", "c"), ((math.nan, -0.5),), shade="all", format="number"))
    assert ">?</text>" in drawing
    assert 'class="heat-minus"' in drawing
    ElementTree.fromstring(drawing)


def test_bars_beyond_forty_are_summed_up_not_dropped() -> None:
    counts = tuple(range(50, 0, -1))
    drawing = tallies.bars(b.Bars(tuple(f"l{i}" for i in range(50)), (b.Counts("train", counts),)))
    assert "… 10 more" in drawing
    widths = [float(width) for width in re.findall(r'<rect [^>]*? width="([^"]+)"', drawing)]
    assert max(widths) == widths[0] > 10 * widths[40] == 0
    assert ">55 (4.3 %)</text>" in drawing
    ElementTree.fromstring(drawing)


def test_every_drawing_has_a_name_and_a_description() -> None:
    drawings = re.findall(r"<svg[^>]*role=\"img\".*?</svg>", render(page(*EVERY_BLOCK)), re.DOTALL)
    assert len(drawings) == 4
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root[0].tag == "title"
        assert root[0].text
        assert root[1].tag == "desc"
        assert root[1].text


def test_a_text_is_cut_where_spans_begin_and_end_and_the_shortest_is_seen() -> None:
    found = cells.pieces(b.Marked("abcdef", (b.Span(1, 5, "x"), b.Span(2, 3, "y"))))
    assert [(piece.text, piece.title) for piece in found] == [
        ("a", ""), ("b", "x"), ("c", "y"), ("de", "x"), ("f", ""),
    ]  # fmt: skip
    assert [piece.label for piece in found] == ["", "", "y", "x", ""]


def test_weights_are_coloured_by_sign_and_share_of_the_greatest() -> None:
    found = cells.pieces(b.Marked("ab", (b.Span(0, 1, weight=2.0), b.Span(1, 2, weight=-1.0))))
    assert [(piece.class_, piece.strength) for piece in found] == [("for", 1.0), ("against", 0.5)]
    broken = cells.pieces(b.Marked("a", (b.Span(0, 1, weight=math.nan),)))
    assert broken[0].class_ == "unknown"


def test_a_span_outside_its_text_is_refused() -> None:
    with pytest.raises(DataError, match="does not lie in its text"):
        render(page(b.Marked("ab", (b.Span(1, 3),))))


def test_a_row_that_does_not_fit_its_columns_is_refused() -> None:
    with pytest.raises(DataError, match="does not fit") as caught:
        render(page(b.table([("a", "text"), ("b", "text")], [["x", "y"], ["z"]], "People")))
    assert caught.value.where == "People, row 2"


def test_words_are_joined_as_their_language_is_written() -> None:
    assert cells.joined(("北京", "大学")) == ("北京大学", [(0, 2), (2, 4)])
    assert cells.joined(("New", "York", "北京")) == ("New York 北京", [(0, 3), (4, 8), (9, 11)])


def test_an_entity_that_only_one_side_has_is_marked_wrong() -> None:
    item = b.Mistake(words=("a", "b", "c"), gold_tags=("B-X", "O", "B-Y"), predicted_tags=("B-X", "B-Y", "O"))
    gold, predicted = cells.tagged(item)
    assert [(span.start, span.label, span.wrong) for span in gold.spans] == [(0, "X", False), (4, "Y", True)]
    assert [(span.start, span.label, span.wrong) for span in predicted.spans] == [(0, "X", False), (2, "Y", True)]


def test_long_texts_say_how_much_of_them_is_not_shown() -> None:
    html = render(page(b.Mistakes((b.Mistake(text="x" * 10_000),))))
    assert "9,400 more characters are not shown" in html
    assert "x" * 601 not in html


def test_interval_columns_share_one_scale_that_starts_at_a_round_tenth() -> None:
    grid = b.table([("F1", "interval")], [[(0.85, 0.83, 0.87)], [(0.95, 0.72, 0.99)], [None]])
    assert cells.heads(grid)[0].scale == "70 … 100"
    assert cells.heads(grid)[0].name == "F1, %"
    assert [row[0].text for row in cells.rows(grid)] == ["85.0", "95.0", "–"]


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = write(page(b.Text("first")), tmp_path / "new" / "report.html")
    assert "first" in target.read_text(encoding="utf-8")
    with pytest.raises(DataError):
        write(page(b.Marked("", (b.Span(0, 9),))), target)
    assert "first" in target.read_text(encoding="utf-8")
    assert os.listdir(target.parent) == ["report.html"]


def test_only_the_owner_may_read_a_page(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("an older page, for all")
    target.chmod(0o644)
    assert write(page(b.Text("a text of a customer")), target).stat().st_mode & 0o777 == 0o600


def test_a_page_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(StorageError, match="could not be written"):
        write(page(b.Text("x")), tmp_path / "report.html")
    assert os.listdir(tmp_path) == ["report.html"]


def test_lone_surrogates_can_be_written(tmp_path: Path) -> None:
    target = write(page(b.Text("a\ud800b"), title="\udfff"), tmp_path / "r.html")
    assert "a⟨U+D800⟩b" in target.read_text(encoding="utf-8")


def test_blocks_show_themselves_in_a_notebook() -> None:
    for block in (*EVERY_BLOCK, b.Section("part", EVERY_BLOCK), b.Tile("accuracy", 0.5)):
        html = block._repr_html_()
        assert html.lstrip().startswith('<div class="sixfold fragment">')
        parsed(html)


def test_reports_and_metrics_do_not_import_torch() -> None:
    code = "import sys, sixfold.report.page, sixfold.report.evaluation; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
