"""``sixfold explain`` on tiny checkpoints: what is printed and written, what a file's words say, what is refused."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tiny import tiny_decoder
from tiny_runs import reviews, write_csv
from tuned import classifier, tagger

from sixfold import cli
from sixfold.commands.explain import Plan, page, run
from sixfold.errors import DataError, SixfoldError, UsageError
from sixfold.explain.aggregate import gathered
from sixfold.explain.attribution import Attribution, Explanation
from sixfold.explain.faithfulness import Faithful
from sixfold.explain.trust import trust
from sixfold.report.page import render
from sixfold.score import rough
from sixfold.text import Span

pytestmark = pytest.mark.usefixtures("own_home")

FAST = ("occlusion", "shap-partition", "attention-rollout")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier(tmp_path_factory.mktemp("classifier"))


def explained(plan: Plan) -> tuple[Any, str]:
    """What came of it, and what was printed."""
    console = Console(record=True, width=160, force_terminal=False)
    return run(plan, console=console), console.export_text()


def test_a_text_is_printed_once_an_explainer_and_the_best_is_said(model: Path) -> None:
    text = "the film was good. the book was bad"
    found, printed = explained(Plan(model, text, methods=FAST))
    (one,) = found.explanations
    assert printed.count(text) == len(FAST)
    assert f"{one.label} (" in printed
    assert "is the most faithful on this one text" in printed
    assert found.result["trust"]["chosen"] in ("occlusion", "shap-partition"), "a baseline is never chosen"
    assert [tuple(span) for span in found.result["sentences"][0]["spans"]] == [(0, 18), (19, 35)]


def test_the_page_shows_methods_side_by_side_by_words_and_sentences_and_holds_no_markup_of_the_text(
    model: Path,
) -> None:
    found, _ = explained(Plan(model, "a <b>good</b> film. the hotel was bad", methods=FAST))
    whole = render(page(found))
    assert "<b>good" not in whole
    for name in FAST:
        assert name in whole
    assert "by sentences" in whole
    assert "Which explainer to trust" in whole
    assert whole.count('class="for"') + whole.count('class="against"') >= 2 * len(FAST)


def test_a_file_gives_words_and_its_shortcuts(model: Path, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "reviews.csv", reviews(24))
    found, printed = explained(Plan(model, source=str(source), methods=FAST, examples=12, columns={"text": "text"}))
    result = found.result
    assert len({one.number for one in found.explanations}) == 12
    assert result["data"] == {"source": str(source), "split": "train", "rows": 24}
    assert set(result["gathered"]["words"]) <= {"bad", "good", "mixed"}
    assert "words that matter most" in printed
    assert all(len(one.flips) == len(one.spans) for one in found.explanations)
    assert "Suspected shortcuts" in render(page(found))
    again, _ = explained(Plan(model, source=str(source), methods=FAST, examples=12, columns={"text": "text"}))
    assert [one.to_dict() for one in again.explanations] == [one.to_dict() for one in found.explanations]


def test_entities_and_next_tokens_are_explained(tmp_path: Path) -> None:
    found, printed = explained(Plan(tagger(tmp_path / "tagger"), "i love new york", methods=("occlusion",)))
    assert all(one.label == "LOC" and one.where is not None for one in found.explanations)
    assert "LOC (" in printed
    found, _ = explained(Plan(tiny_decoder(tmp_path / "decoder"), "the film was", methods=("shap",)))
    assert len(found.explanations) == 1
    assert found.result["checkpoint"]["task"] == "next token"


@pytest.mark.parametrize(
    ("changes", "kind", "what"),
    [
        ({"text": None}, UsageError, "a text is needed"),
        ({"source": "a.csv"}, UsageError, "a text is needed"),
        ({"methods": ("limes",)}, UsageError, "there is no explainer 'limes'"),
        ({"label": "goood"}, UsageError, "there is no label 'goood'"),
        ({"by": "lines"}, UsageError, "there is no kind of unit 'lines'"),
        ({"filling": "blank"}, UsageError, "there is no filling 'blank'"),
        ({"examples": 0}, UsageError, "at least 1 example"),
        ({"window": 9}, DataError, "4 units, fewer than the window of 9"),
        ({"text": " "}, DataError, "no text to explain"),
        ({"checkpoint": "nowhere"}, SixfoldError, "nowhere"),
    ],
)
def test_what_does_not_fit_is_told_in_one_message(
    model: Path, changes: dict[str, Any], kind: type[SixfoldError], what: str
) -> None:
    plan = replace(Plan(model, "the film was good", methods=("occlusion",)), **changes)
    with pytest.raises(kind) as error:
        run(plan, console=Console(record=True))
    assert what in str(error.value)


def test_the_command_line_prints_json_and_writes_a_page_for_its_owner_alone(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    arguments = ["sixfold", "explain", str(model), "the film was good", "--method", "shap", "--class", "bad"]
    monkeypatch.setattr("sys.argv", [*arguments, "--html", str(out), "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert [one["label"] for one in told["explanations"]] == ["bad"]
    assert f"report: {out}" in captured.err
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def explanation(number: int, words: str, label: str, weights: list[float], flips: list[bool]) -> Explanation:
    spans, place = [], 0
    for word in words.split():
        spans.append(Span(place, place + len(word)))
        place += len(word) + 1
    return Explanation(
        words,
        label,
        0.9,
        tuple(spans),
        "words",
        (Attribution("occlusion", tuple(weights)),),
        number=number,
        flips=tuple(flips),
    )


def test_words_are_gathered_by_answer_and_those_that_flip_many_are_suspected() -> None:
    some = [explanation(n, "Acme was fine", "good", [0.8, 0.0, 0.4], [True, False, False]) for n in range(6)]
    some += [explanation(n, "it was bad", "bad", [0.0, -0.1, 0.2], [False, False, n == 6]) for n in range(6, 12)]
    found = gathered(some, "occlusion")
    assert [(one.word, one.weight, one.texts) for one in found.words["good"]] == [
        ("acme", 1.0, 6),
        ("fine", 0.5, 6),
    ], "a word without weight matters to no answer"
    assert [one.word for one in found.words["bad"]] == ["bad"], "nor does one that speaks against it"
    assert found.flips == pytest.approx(7 / 36)
    (shortcut,) = found.shortcuts
    assert (shortcut.word, shortcut.flips, shortcut.texts, shortcut.labels) == ("acme", 6, 6, ("good",))
    assert shortcut.low > found.flips


def test_a_word_in_both_answers_counts_each_text_once() -> None:
    some = [explanation(n, "so so", "good", [0.1, 0.4], [True, True]) for n in range(3)]
    found = gathered(some, "occlusion")
    assert [(one.word, one.weight, one.texts) for one in found.words["good"]] == [("so", 1.0, 3)]
    assert found.shortcuts == (), "when every removal flips, no word flips more than is usual"


def judged(comprehensive: float, sufficient: float) -> tuple[Faithful, ...]:
    return (Faithful("delete", (comprehensive,) * 5, (sufficient,) * 5, -comprehensive, 0.5),)


def weighed(scores: dict[str, list[float]], chance: list[float]) -> list[Explanation]:
    """Explanations whose explainers have these comprehensivenesses, text by text."""
    some = []
    for number, by_chance in enumerate(chance):
        attributions = tuple(
            Attribution(name, (0.1, 0.2), faithfulness=judged(values[number], 0.1)) for name, values in scores.items()
        )
        one = explanation(number, "a b", "good", [0.1, 0.2], [])
        some.append(replace(one, attributions=attributions, chance=judged(by_chance, 0.1)))
    return some


def test_the_explainer_that_is_surely_ahead_of_chance_is_chosen_and_baselines_never() -> None:
    scores = {"lime": [0.3, 0.4, 0.5, 0.4], "shap": [0.5, 0.6, 0.7, 0.6], "attention-rollout": [0.9] * 4}
    found = trust(weighed(scores, [0.1, 0.2, 0.3, 0.2]))
    assert found.chosen == "shap"
    assert "trust shap: it is ahead of random weights by 0.400" in found.said
    assert [one.method for one in found.standings] == ["attention-rollout", "shap", "lime", "random weights"]


def test_where_none_is_ahead_of_chance_none_is_trusted() -> None:
    found = trust(weighed({"lime": [0.1, 0.5, 0.0, 0.4]}, [0.3, 0.2, 0.3, 0.1]))
    assert found.chosen is None
    assert "trust none" in found.said


def test_texts_of_one_unit_tell_nothing() -> None:
    one = replace(explanation(0, "a", "good", [0.1], []), chance=judged(0.1, 0.1))
    found = trust([one])
    assert (found.chosen, found.texts) == (None, 0)


def test_a_lower_precision_is_taken_where_it_pays_and_told(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rough, "weigh", lambda subject, examples, lower: rough.Weighed(lower.precision, 9, 0, 3.0))
    found = run(Plan(model, "the film was good", precision="bf16", methods=("occlusion",)), quiet=True)
    assert found.result["precision"].startswith("bf16 is 3.00 times as fast")
    exact = run(Plan(model, "the film was good", methods=("occlusion",)), quiet=True)
    assert exact.result["precision"] == "fp32"
    with pytest.raises(UsageError, match="precision"):
        run(Plan(model, "the film was good", precision="bf61"), quiet=True)
