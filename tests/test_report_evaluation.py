"""From results to sections: what a reader must find on the page."""

from __future__ import annotations

import json
import math

import numpy as np

from sixfold.metrics import calibration, classification, entities
from sixfold.report import blocks as b
from sixfold.report.evaluation import (
    classification_sections,
    data_sections,
    entity_sections,
    lineage_sections,
    training_sections,
)
from sixfold.report.page import render


def shown(*sections: b.Section) -> str:
    """The page's HTML, after a trip through JSON as in a stored report."""
    return render(b.from_json(b.to_json(b.Page("t", sections))))


def result(classes: int, rows: int = 400, share: float = 0.9) -> dict:
    random = np.random.default_rng(0)
    gold = random.integers(0, classes, rows)
    logits = random.normal(size=(rows, classes))
    logits[np.arange(rows), np.where(random.random(rows) < share, gold, (gold + 1) % classes)] += 6
    names = [f"class {i}" for i in range(classes)]
    found = classification.evaluate(gold, calibration.softmax(logits), names, seed=0, abstain_below=0.8)
    return json.loads(json.dumps(found.to_dict()))


def test_a_classifiers_page_tells_numbers_baseline_classes_and_confusion() -> None:
    sections = classification_sections(result(3))
    html = shown(*sections)
    assert [section.title for section in sections] == ["Results on test rows"]
    for told in ("accuracy", "macro F1", "majority-class accuracy", "always answering", "Each class", "class 2",
                 "Confusion", "What staying silent would buy", "80 % confidence", "n = 400"):  # fmt: skip
        assert told in html


def test_many_classes_are_folded_behind_the_worst_and_their_confusions() -> None:
    html = shown(*classification_sections(result(150, 3000)))
    for told in ("Each class (150)", "The ten with the lowest F1", "All 150", "The commonest confusions (10 of"):
        assert told in html


def test_one_class_and_one_row_make_a_page() -> None:
    assert "only" in shown(
        *classification_sections(classification.evaluate(np.zeros(1, int), np.ones((1, 1)), ["only"], seed=0).to_dict())
    )


def test_a_model_no_better_than_no_model_is_warned_of() -> None:
    gold = np.array([0] * 90 + [1] * 10)
    same = classification.evaluate(gold, np.eye(2)[np.zeros(100, int)], ["no", "yes"], seed=0).to_dict()
    assert "not shown to be better than no model" in shown(*classification_sections(same))
    assert "not shown to be better than no model" not in shown(*classification_sections(result(3)))


def test_an_interval_without_width_is_told_with_what_the_count_allows() -> None:
    gold = np.array([0, 1] * 25)
    found = classification.evaluate(gold, np.eye(2)[gold], ["no", "yes"], seed=0).to_dict()
    assert (found["metrics"]["macro_f1"]["low"], found["metrics"]["macro_f1"]["high"]) == (1.0, 1.0)
    told = "with 50 of 50 right the share of right answers may be as low as 92.9 % (Wilson)"
    assert shown(*classification_sections(found)).count(told) == 2, "macro and weighted F1"
    assert told not in shown(*classification_sections(result(3)))


def test_several_labels_show_thresholds_and_average_precision() -> None:
    random = np.random.default_rng(0)
    gold = random.random((50, 3)) < 0.4
    found = classification.evaluate_multi(gold, random.random((50, 3)), [0.4, 0.5, 0.6], ["a", "b", "c"], seed=0)
    html = shown(*classification_sections(found.to_dict()))
    for told in ("subset accuracy", "mean average precision", "Threshold", "0.400"):
        assert told in html


def test_calibration_is_shown_before_and_after() -> None:
    random = np.random.default_rng(0)
    gold = random.integers(0, 3, 300)
    logits = random.normal(size=(300, 3)) * 3 + 4 * np.eye(3)[gold]
    both = calibration.before_and_after((logits[:150], gold[:150]), (logits[150:], gold[150:]), seed=0)
    sections = classification_sections(result(3), calibration=both)
    html = shown(*sections)
    assert sections[1].title == "Calibration"
    for told in ("As trained", "With temperature", "fitted on 150 validation rows", "Brier score"):
        assert told in html


def test_a_temperature_that_was_not_found_is_said_so() -> None:
    right = (np.eye(2)[[0, 1] * 5] * 4, np.array([0, 1] * 5))
    both = calibration.before_and_after(right, right, seed=0)
    assert "The validation rows tell no temperature" in shown(*classification_sections(result(2), calibration=both))


def test_mistakes_are_shown_with_what_was_expected_and_where() -> None:
    wrong = [{"text": "卡被吞了", "expected": "a", "predicted": "b", "confidence": 0.97, "where": "test.csv:4"}]
    html = shown(*classification_sections(result(2), mistakes=wrong))
    for told in ("卡被吞了", "97.0 % sure", "test.csv:4", "1 shown"):
        assert told in html


def test_a_taggers_page_sets_token_accuracy_beside_always_o() -> None:
    gold = [["B-PER", "I-PER", "O"], ["O", "B-LOC", "O"]] * 20
    predicted = [["B-PER", "I-PER", "O"], ["O", "B-PER", "O"]] * 20
    found = json.loads(json.dumps(entities.evaluate(gold, predicted, seed=0).to_dict()))
    wrong = [{"words": ["in", "Rome", "."], "gold_tags": gold[1], "predicted_tags": predicted[1], "where": "x:9"}]
    html = shown(*entity_sections(found, mistakes=wrong))
    for told in (
        "entity F1",
        "token accuracy",
        "accuracy of always O",
        "Each entity type",
        "missed",
        "spurious",
        "Rome",
    ):
        assert told in html


TRAINING = {
    "steps": [
        {"step": i, "loss": 1.0 / i, "learning_rate": 1e-5, "tokens_per_second": 5000.0, "mlm_loss": 2.0}
        for i in range(1, 101)
    ],
    "evaluations": [
        {"step": 50, "epoch": 1, "metrics": {"accuracy": 0.8, "loss": 0.4}},
        {"step": 100, "epoch": 2, "metrics": {"accuracy": {"value": 0.9, "low": 0.88}, "loss": 0.3}},
    ],
    "best_step": 100,
    "seconds": 200.0,
    "tokens": 100_000,
    "padded_tokens": 25_000,
    "choices": [{"name": "threads", "value": 2, "reason": "2 cores"}],
}


def test_a_training_page_tells_effort_curves_best_step_and_choices() -> None:
    html = shown(*training_sections(TRAINING))
    for told in ("3 min 20 s", "25,000 tokens, 20.0 % of what was computed", "best: 100", "Training loss", "Mlm loss",
                 "mean of 5 steps", "kept", "2 cores", "Accuracy, validation"):  # fmt: skip
        assert told in html
    assert "Gradient norm" not in html


def test_a_loss_that_was_not_a_number_is_an_error_on_the_page() -> None:
    steps = [{"step": 1, "loss": 1.0}, {"step": 2, "loss": math.nan}, {"step": 3, "loss": None}]
    html = shown(*training_sections({"steps": steps}))
    assert "The loss was not a number at 2 of 3 steps." in html
    assert "2 of 3 points are not finite" in html


def test_training_without_anything_recorded_still_makes_a_page() -> None:
    assert "Training" in shown(*training_sections({}))


def test_a_data_page_tells_everything_cut_dropped_or_wrong() -> None:
    data = {
        "splits": {
            "train": {"rows": 10, "digest": "ab" * 32, "labels": {"a": 7, "b": 3}, "lengths": {"median": 9, "max": 70}},
            "test": {"rows": 4, "digest": "cd" * 32, "labels": {"a": 4}},
        },
        "problems": [{"level": "warning", "what": "twice", "count": 2, "where": ["x:1"], "remedy": "remove one"}],
        "cut": {"rows": 3, "tokens": 71, "on_long": "truncate"},
        "dropped": [{"rows": 2, "why": "empty text"}],
    }
    html = shown(*data_sections(data))
    for told in ("abab", "7 (70 %)", "Longer than the model's limit: 3 rows, 71 tokens cut away (on_long: truncate).",
                 "empty text", "remove one", "Lengths in tokens"):  # fmt: skip
        assert told.replace("'", "&#39;") in html


def test_a_data_page_says_that_nothing_was_lost_only_when_that_was_recorded() -> None:
    clean = shown(*data_sections({"splits": {}, "cut": {"rows": 0}, "dropped": [], "problems": []}))
    for told in ("nothing was cut", "No row was dropped.", "No problem was found"):
        assert told in clean
    silent = shown(*data_sections({"splits": {}}))
    assert "Nothing was recorded." in silent
    assert "No row was dropped." not in silent


def test_a_lineage_page_shows_all_that_is_in_it() -> None:
    html = shown(
        *lineage_sections(
            {
                "parent": "minilm-l6",
                "seed": 17,
                "versions": {"torch": "2.13", "nested": {"deep": "yes"}},
                "files": [{"file": "a.csv", "rows": 3}],
                "tags": ["x", "y"],
            }
        )
    )
    for told in ("minilm-l6", "17", "2.13", "nested.deep", "a.csv", "Versions"):
        assert told in html
