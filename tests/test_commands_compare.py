"""``sixfold compare``: which stages and rows are paired, what is tested, and what is told; and tables on a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from sixfold.commands.compare import compare, page, table
from sixfold.commands.show import metrics_table, models_table
from sixfold.errors import DataError, UsageError
from sixfold.metrics.compare import holm
from sixfold.report.page import render

Line = dict[str, Any]


def metric(name: str, value: float | None, count: int = 4) -> dict[str, Any]:
    ends = {"low": None, "high": None} if value is None else {"low": value - 0.1, "high": value + 0.1}
    return {"name": name, "value": value, **ends, "count": count, "method": "Wilson", "percent": True}


def stage(
    folder: Path,
    lines: Sequence[Line | str],
    *,
    split: str = "test",
    status: str = "done",
    config: Mapping[str, Any] | None = None,
    **results: Any,
) -> Path:
    """A finished stage made by hand."""
    (folder / "predictions").mkdir(parents=True, exist_ok=True)
    text = "".join((line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)) + "\n" for line in lines)
    (folder / "predictions" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    inputs = {"seed": 13, "config": dict(config or {}), "data": {"test": "a" * 64}}
    note = {"fingerprint": "f", "status": status, "kind": "finetune", "inputs": inputs}
    (folder / "stage.json").write_text(json.dumps(note), encoding="utf-8")
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


def labelled(answers: str, gold: str = "aaaabbbb", keys: Sequence[str] | None = None) -> list[Line]:
    """One-letter labels: a row a letter."""
    names = keys or [f"row{place}" for place in range(len(gold))]
    return [{"row": k, "gold": g, "label": a, "confidence": 0.9} for k, g, a in zip(names, gold, answers, strict=True)]


def shown(what: RenderableType, width: int = 200) -> str:
    console = Console(width=width, color_system=None, highlight=False, soft_wrap=True)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


def test_one_label_is_tested_by_mcnemar_and_macro_f1_with_holm(tmp_path: Path) -> None:
    stage(tmp_path / "a/01-x", labelled("aaaaaaaa"))
    stage(tmp_path / "b/01-x", labelled("aaaabbbb"))

    (pair,) = compare(tmp_path / "a", tmp_path / "b").pairs

    accuracy, macro = pair.tests
    assert (accuracy.metric, accuracy.a, accuracy.b, accuracy.count) == ("accuracy", 0.5, 1.0, 8)
    assert accuracy.p == pytest.approx(2 * 0.5**4)
    assert (macro.metric, macro.a, macro.b) == ("macro F1", pytest.approx(1 / 3), 1.0)
    assert [accuracy.p_holm, macro.p_holm] == holm([accuracy.p, macro.p])


def test_rows_are_matched_by_key_whatever_their_order(tmp_path: Path) -> None:
    rows = labelled("abababab")
    stage(tmp_path / "a/01-x", rows)
    stage(tmp_path / "b/01-x", rows[::-1])

    (pair,) = compare(tmp_path / "a", tmp_path / "b").pairs

    assert (pair.rows, pair.only_first, pair.only_second, pair.relabelled) == (8, 0, 0, 0)
    assert [(test.difference, test.p) for test in pair.tests] == [(0.0, 1.0), (0.0, 1.0)]


def test_repeated_keys_are_matched_in_order(tmp_path: Path) -> None:
    stage(tmp_path / "a/01-x", labelled("ab", "aa", ["same", "same"]))
    stage(tmp_path / "b/01-x", labelled("abb", "aaa", ["same", "same", "same"]))

    (pair,) = compare(tmp_path / "a", tmp_path / "b").pairs

    assert (pair.rows, pair.only_second, pair.tests[0].difference) == (2, 1, 0.0)


def test_rows_of_only_one_run_and_rows_with_another_right_answer_are_counted_and_told(tmp_path: Path) -> None:
    stage(tmp_path / "a/01-x", labelled("aab", "aab", ["1", "2", "3"]))
    stage(tmp_path / "b/01-x", labelled("abbb", "abbb", ["1", "2", "4", "5"]))

    found = compare(tmp_path / "a", tmp_path / "b")

    (pair,) = found.pairs
    assert (pair.rows, pair.only_first, pair.only_second, pair.relabelled) == (1, 1, 2, 1)
    told = "Left out of the tests: 1 row only in a, 2 rows only in b, 1 row in both with another right answer."
    assert told in shown(table(found))


def test_no_row_in_common_is_refused(tmp_path: Path) -> None:
    stage(tmp_path / "a/01-x", labelled("a", "a", ["1"]))
    stage(tmp_path / "b/01-x", labelled("a", "a", ["2"]))
    with pytest.raises(UsageError, match="no row of test in common"):
        compare(tmp_path / "a", tmp_path / "b")


def test_where_a_model_abstains_its_likeliest_label_counts_and_that_is_told(tmp_path: Path) -> None:
    silent = {
        "row": "1",
        "gold": "a",
        "label": None,
        "confidence": 0.4,
        "probabilities": {"b": 0.2, "a": 0.4, "c": 0.4},
    }
    stage(tmp_path / "a/01-x", [silent])
    stage(tmp_path / "b/01-x", labelled("b", "a", ["1"]))

    found = compare(tmp_path / "a", tmp_path / "b")

    assert (found.pairs[0].unanswered, found.pairs[0].tests[0].a) == ((1, 0), 1.0)
    assert "a abstains on 1 row: its likeliest label counts there." in shown(table(found))


def test_several_labels_are_tested_on_whole_rows_micro_and_macro_f1(tmp_path: Path) -> None:
    gold = [["a"], ["a", "b"], [], ["b"]]
    first = [["a"], ["b", "a"], [], []]
    second = [["a"], ["a"], ["b"], ["b"]]
    for name, answers in (("a", first), ("b", second)):
        rows = [{"row": str(n), "gold": g, "labels": w} for n, (g, w) in enumerate(zip(gold, answers, strict=True))]
        stage(tmp_path / name / "01-x", rows)

    (pair,) = compare(tmp_path / "a", tmp_path / "b").pairs

    assert [test.metric for test in pair.tests] == ["subset accuracy", "micro F1", "macro F1"]
    assert [test.a for test in pair.tests] == pytest.approx([3 / 4, 6 / 7, (1 + 2 / 3) / 2])
    assert [test.b for test in pair.tests] == pytest.approx([2 / 4, 6 / 8, (1 + 1 / 2) / 2])


def test_taggers_are_tested_by_entity_f1_and_the_scheme_of_the_gold_tags_does_not_matter(tmp_path: Path) -> None:
    stage(tmp_path / "a/01-x", [{"row": "1", "gold": ["I-P", "I-P", "O"], "tags": ["B-P", "I-P", "O"]}])
    stage(tmp_path / "b/01-x", [{"row": "1", "gold": ["B-P", "I-P", "O"], "tags": ["O", "B-P", "O"]}])

    (pair,) = compare(tmp_path / "a", tmp_path / "b").pairs

    assert [(test.metric, test.a, test.b) for test in pair.tests] == [("entity F1", 1.0, 0.0)]


def test_stages_of_the_same_name_are_paired_when_both_runs_have_several(tmp_path: Path) -> None:
    for name in ("01-topics", "02-names"):
        stage(tmp_path / "a" / name, labelled("aabb", "aabb"))
    for name in ("01-other", "02-topics", "03-names"):
        stage(tmp_path / "b" / name, labelled("abbb", "aabb"))

    found = compare(tmp_path / "a", tmp_path / "b")

    paired = [(pair.first.folder.name, pair.second.folder.name) for pair in found.pairs]
    assert paired == [("01-topics", "02-topics"), ("02-names", "03-names")]
    assert found.unpaired == ((), ("01-other",))
    assert "01-other of b" in shown(table(found))
    tests = [test for pair in found.pairs for test in pair.tests]
    assert [test.p_holm for test in tests] == holm([test.p for test in tests])


def test_otherwise_the_last_finished_stage_with_predictions_is_compared(tmp_path: Path) -> None:
    stage(tmp_path / "a/01-x", labelled("aabb", "aabb"))
    stage(tmp_path / "a/02-y", labelled("aabb", "aabb"))
    stage(tmp_path / "a/03-z", labelled("bbbb", "aabb"), status="started")
    stage(tmp_path / "b/01-w", labelled("bbbb", "aabb"))

    found = compare(tmp_path / "a", tmp_path / "b")

    assert [(pair.first.folder.name, pair.second.folder.name) for pair in found.pairs] == [("02-y", "01-w")]
    assert found.unpaired == (("01-x",), ())


def test_stage_folders_are_named_with_their_run(tmp_path: Path) -> None:
    first, second = (stage(tmp_path / run / "01-x", labelled("aabb", "aabb")) for run in ("a", "b"))
    assert compare(first, second).names == ("a/01-x", "b/01-x")
    assert compare(first.parent, second.parent).names == ("a", "b")


def test_runs_of_the_same_name_are_told_apart_by_the_folders_above(tmp_path: Path) -> None:
    for place in ("old/run", "new/run"):
        stage(tmp_path / place / "01-x", labelled("aabb", "aabb"))
    assert compare(tmp_path / "old/run", tmp_path / "new/run").names == ("old/run", "new/run")


def test_different_kinds_of_answers_are_refused(tmp_path: Path) -> None:
    stage(tmp_path / "a/01-x", labelled("a", "a"))
    stage(tmp_path / "b/01-x", [{"row": "row0", "gold": ["O"], "tags": ["O"]}])
    with pytest.raises(UsageError) as caught:
        compare(tmp_path / "a", tmp_path / "b")
    assert caught.value.found == "label and tags"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"row": "1", "gold"', "JSONDecodeError"),
        ("[1]", "none of tags, labels, label"),
        ("5", "TypeError"),
        ('{"gold": "a", "label": "a"}', "row"),
        ('{"row": "1", "gold": "a", "label": null}', "probabilities"),
        ('{"row": "1", "gold": ["a", "b"], "label": "a"}', "too many values"),
        ('{"row": "1", "gold": ["?"], "tags": ["O"]}', "tag"),
    ],
)
def test_a_damaged_line_of_predictions_is_an_error_with_its_number(tmp_path: Path, line: str, found: str) -> None:
    stage(tmp_path / "a/01-x", [*labelled("a", "a"), line])
    with pytest.raises(DataError) as caught:
        compare(tmp_path / "a", tmp_path / "a")
    assert str(caught.value.where).endswith("test.jsonl:2")
    assert found in str(caught.value.found)


def test_bytes_that_are_not_utf8_are_an_error_with_their_line(tmp_path: Path) -> None:
    place = stage(tmp_path / "a/01-x", [])
    (place / "predictions/test.jsonl").write_bytes(b'{"row": "\xff"}\n')
    with pytest.raises(DataError) as caught:
        compare(tmp_path / "a", tmp_path / "a")
    assert str(caught.value.where).endswith("test.jsonl:1")


def test_an_empty_file_of_predictions_and_damaged_results_are_errors(tmp_path: Path) -> None:
    place = stage(tmp_path / "a/01-x", [])
    with pytest.raises(DataError, match="holds answers of one kind"):
        compare(tmp_path / "a", tmp_path / "a")
    (place / "results.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read"):
        compare(tmp_path / "a", tmp_path / "a")


def test_a_misspelt_run_or_split_shows_the_nearest(tmp_path: Path) -> None:
    stage(tmp_path / "topics/01-x", labelled("a", "a"))
    with pytest.raises(UsageError) as caught:
        compare(tmp_path / "topics", tmp_path / "topcis")
    assert caught.value.nearest == tmp_path / "topics"
    with pytest.raises(UsageError) as caught:
        compare(tmp_path / "topics", tmp_path / "topics", split="tset")
    assert caught.value.nearest == "test"


def test_a_split_is_a_name_and_never_a_path(tmp_path: Path) -> None:
    stage(tmp_path / "a/01-x", labelled("a", "a"))
    (tmp_path / "a/01-x/other.jsonl").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="there is no split"):
        compare(tmp_path / "a", tmp_path / "a", split="../other")


def test_a_folder_without_a_finished_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        compare(tmp_path, tmp_path)
    stage(tmp_path / "a/01-x", labelled("a", "a"), status="started")
    with pytest.raises(UsageError, match="no stage of this run is finished"):
        compare(tmp_path / "a", tmp_path / "a")


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs that differ in one key of their config and one version."""
    result = {"metrics": {"accuracy": metric("accuracy", 0.5, 8)}, "baseline": metric("majority", 0.5)}
    for name, answers, epochs, torch in (("a", "aaaaaaaa", 1, "2.9"), ("b", "aaaabbbb", 2, "2.13")):
        stage(
            tmp_path / name / "01-topics",
            labelled(answers),
            config={"base": "minilm-l6", "train": {"epochs": epochs, "batch": 32}},
            base="minilm-l6",
            parameters=22_719_376,
            data={"splits": {"train": {"rows": 570}}},
            training={"seconds": 10.0, "tokens": 5000, "best_step": 3, "steps": [{}] * 4},
            evaluations={"test": result},
            lineage={"versions": {"torch": torch, "numpy": "2"}, "machine": {"cores": 2}},
        )
    return tmp_path / "a", tmp_path / "b"


def test_the_table_shows_metrics_effort_and_only_what_differs(two: tuple[Path, Path]) -> None:
    lines = [" ".join(line.split()) for line in shown(table(compare(*two))).splitlines()]
    assert "accuracy 50.0 100.0 +50.0 [−1.1, +81.1] 0.1250 0.1250 no difference shown McNemar, exact" in lines
    assert "accuracy 50.0 % [40.0, 60.0] (n=8) 50.0 % [40.0, 60.0] (n=8)" in lines
    assert "majority 50.0 % [40.0, 60.0] (n=4) 50.0 % [40.0, 60.0] (n=4)" in lines
    assert "parameters 22,719,376 22,719,376" in lines
    assert "tokens a second 500 500" in lines
    after = lines[lines.index("What differs a b") + 1 :]
    assert [line for line in after if line] == ["train.epochs 1 2", "version of torch 2.9 2.13"]


def test_the_page_and_the_notebook_show_the_same_and_fetch_nothing(two: tuple[Path, Path]) -> None:
    found = compare(*two)
    written = render(page(found))
    assert "<title>a and b</title>" in written
    for text in ("train.epochs", "no difference shown", "22,719,376", "Seed of the bootstrap"):
        assert text in written
    assert "http" not in written.replace("http-equiv", "")
    assert "train.epochs" in found._repr_html_()


def test_names_from_outside_are_no_markup(tmp_path: Path) -> None:
    for name in ("[red]a", "<b>"):
        stage(tmp_path / name / "01-x", labelled("ab", "ab"), config={"note": f"[bold]{name}"})
    found = compare(tmp_path / "[red]a", tmp_path / "<b>")
    assert "[red]a, %" in shown(table(found))
    assert "[bold][red]a" in shown(table(found))
    assert "<b>, %" not in render(page(found))


def evaluation(classes: int, **more: Any) -> dict[str, Any]:
    score = {name: metric(name, 0.5) for name in ("precision", "recall", "f1")}
    return {
        "kind": "classification",
        "count": 4,
        "metrics": {"accuracy": metric("accuracy", 0.75), "nll": {**metric("NLL", 1.25), "percent": False}},
        "baseline": metric("majority-class accuracy", 0.5),
        "baseline_label": "spam",
        "per_class": [{"label": f"class{n}", **score, "support": 2, "predicted": 3} for n in range(classes)],
        **more,
    }


def test_an_evaluation_shows_each_metric_with_count_and_interval_and_the_baseline() -> None:
    told = shown(metrics_table(evaluation(2, split="test", seed=7, digest="d" * 64)))
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert lines[0] == "test: 4 rows, seed of the intervals 7, digest dddddddddddd"
    assert "accuracy 75.0 % [65.0, 85.0] 4 Wilson" in lines
    assert "NLL 1.250 [1.150, 1.350] 4 Wilson" in lines
    assert "majority-class accuracy (always answering 'spam') 50.0 % [40.0, 60.0] 4 Wilson" in lines
    assert "class1 50.0 [40.0, 60.0] 50.0 [40.0, 60.0] 50.0 [40.0, 60.0] 2 3" in lines


def test_a_metric_of_nothing_has_neither_value_nor_interval() -> None:
    result = {"metrics": {"recall": metric("recall", None, 0)}}
    assert "recall – – 0 Wilson" in " ".join(shown(metrics_table(result)).split())


def test_many_classes_are_counted_instead_of_listed() -> None:
    told = shown(metrics_table(evaluation(31)))
    assert "31 classes: --json lists each" in told
    assert "class7" not in told
    assert "class29" in shown(metrics_table(evaluation(30)))


def test_cut_words_and_long_rows_and_abstention_are_told() -> None:
    point = {"below": 0.8, "coverage": metric("coverage", 0.5), "accuracy": metric("selective accuracy", 0.875)}
    told = shown(metrics_table(evaluation(2, long_rows=3, unjudged_words=17, abstention=point)))
    assert "3 longer than the model's limit, 17 words cut away, counted as O" in told
    assert "selective accuracy (silent below 80 % confidence)" in told


def test_a_narrow_terminal_keeps_numbers_whole_and_labels_readable() -> None:
    told = shown(metrics_table(evaluation(2)), width=80)
    assert max(map(len, told.splitlines())) <= 80
    assert "class1" in told


def test_models_are_listed_with_where_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path))
    lines = shown(models_table(), width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["name", "kind", "parameters", "languages", "where"]
    assert lines[1].split(maxsplit=4) == ["minilm-l6", "encoder", "22.7M", "en", "sixfold models pull minilm-l6"]
    assert lines[2] == "  sentence encoder of 6 layers (all-MiniLM-L6-v2), uncased; Apache-2.0"
