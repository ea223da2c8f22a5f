"""One label or several labels a text: targets, loss, windows, thresholds, temperature, abstention, settings."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from numpy.typing import NDArray
from tiny import tiny_decoder, tiny_encoder
from transformers import BertConfig, BertForSequenceClassification

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import DataError
from sixfold.models import load
from sixfold.score.scorer import Scorer
from sixfold.tasks.contract import Ask
from sixfold.tasks.registry import from_settings, settings_of
from sixfold.tasks.text_classification import TextClassification
from sixfold.train.config import TrainConfig
from sixfold.train.loop import fit


@dataclass
class Given:
    """A predictor that gives these answers, one an example."""

    answers: list[list[float]]

    def ask(self, examples: Examples, ask: Ask) -> list[NDArray]:
        assert len(examples) == len(self.answers)
        return [np.array(answer) for answer in self.answers]

    def generate(self, examples: Examples, limits: Any) -> list[list[int]]:
        raise AssertionError("nothing is generated")


def rows(labels: list[Any], role: str = "label", **columns: list[Any]) -> Dataset:
    return Dataset.from_dict({"text": [f"text {n}" for n in range(len(labels))], role: labels, **columns})


def examples(row: list[int]) -> Examples:
    return Examples({"input_ids": Ragged.of([[1]] * len(row)), "row": np.array(row)})


def predictions(task: TextClassification, logits: list[list[float]], row: list[int] | None = None) -> list[Any]:
    return task.predict(Given(logits), examples(row or list(range(len(logits)))))


TWO = TextClassification(labels=("a", "b"))
SEVERAL = TextClassification(labels=("a", "b", "c"), several=True)


# What is learnt from the rows


def test_labels_are_sorted_and_numbers_stand_in_the_order_of_their_value() -> None:
    assert TextClassification().learn(rows(["b", "a", "b"])).labels == ("a", "b")
    assert TextClassification().learn(rows(["10", "9", "x", "-1"])).labels == ("-1", "9", "10", "x")


def test_balanced_weights_are_in_inverse_proportion_to_the_counts() -> None:
    task = TextClassification(class_weights="balanced").learn(rows(["a"] * 6 + ["b"] * 2))
    assert task.class_weights == (8 / 12, 8 / 4)


def test_one_class_cannot_be_learnt() -> None:
    with pytest.raises(DataError, match="all 2 training rows have the same label, 'a'"):
        TextClassification().learn(rows(["a", "a"]))


def test_several_labels_are_learnt_from_lists() -> None:
    task = TextClassification(several=True).learn(rows([["x", "y"], [], ["z"]], "labels"))
    assert task.labels == ("x", "y", "z")
    assert task.head().multi_label
    assert [column.role for column in task.columns] == ["text", "labels"]


# Targets and loss


def test_a_label_that_training_did_not_know_has_no_target() -> None:
    assert TWO._targets(["b", "new", "a"]).tolist() == [1, -1, 0]
    assert SEVERAL._targets([["b", "new"], []]).tolist() == [[0, 1, 0], [0, 0, 0]]


def model(classes: int) -> BertForSequenceClassification:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(**sizes, vocab_size=20, num_labels=classes, hidden_dropout_prob=0.0, initializer_range=0.5)
    return BertForSequenceClassification(config).eval()


def loss_of(task: TextClassification, labels: NDArray) -> tuple[float, float, torch.Tensor]:
    made = Examples({"input_ids": Ragged.of([[1, 5, 2], [1, 9, 8, 7, 2], [1, 4, 2]]), "label": labels})
    batch = task.collate(made, np.random.default_rng(0))
    net = model(len(task.labels))
    term = task.loss(net, batch)["label"]
    assert task.counts(batch) == {"label": pytest.approx(term.count)}
    padded = torch.tensor([[1, 5, 2, 0, 0], [1, 9, 8, 7, 2], [1, 4, 2, 0, 0]])
    logits = net(input_ids=padded, attention_mask=(padded > 0).long()).logits.detach()
    return float(term.sum.detach()), term.count, logits


def test_the_loss_is_torch_s_mean_cross_entropy() -> None:
    total, count, logits = loss_of(TWO, np.array([1, 0, 1]))
    assert count == 3
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([1, 0, 1]))
    assert total / count == pytest.approx(float(expected), abs=1e-6)


def test_weighted_classes_are_a_weighted_mean() -> None:
    task = TextClassification(labels=("a", "b"), class_weights=(0.5, 3.0))
    total, count, logits = loss_of(task, np.array([1, 0, 1]))
    assert count == 6.5
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([1, 0, 1]), torch.tensor([0.5, 3.0]))
    assert total / count == pytest.approx(float(expected), abs=1e-6)


def test_a_row_without_a_target_counts_for_nothing() -> None:
    total, count, logits = loss_of(TWO, np.array([1, -1, 1]))
    assert count == 2
    expected = torch.nn.functional.cross_entropy(logits[[0, 2]], torch.tensor([1, 1]))
    assert total / count == pytest.approx(float(expected), abs=1e-6)


def test_several_labels_are_judged_one_by_one() -> None:
    target = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], dtype=np.float32)
    total, count, logits = loss_of(SEVERAL, target)
    assert count == 9
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(target))
    assert total / count == pytest.approx(float(expected), abs=1e-6)


# Predictions


def test_windows_of_a_text_are_joined_by_the_mean_of_their_logits() -> None:
    found = predictions(TWO, [[1.0, 0.0], [0.0, 4.0], [2.0, 0.0]], [0, 1, 1])
    assert [prediction.logits.tolist() for prediction in found] == [[1, 0], [1, 2]]
    assert [prediction.labels for prediction in found] == [("a",), ("b",)]
    assert found[1].confidence == pytest.approx(1 / (1 + math.exp(-1)))


def test_nothing_is_predicted_for_nothing() -> None:
    assert predictions(TWO, []) == []


def test_the_temperature_softens_and_changes_no_answer() -> None:
    sharp = predictions(TWO, [[3.0, 0.0]])[0]
    soft = predictions(TextClassification(labels=("a", "b"), temperature=3.0), [[3.0, 0.0]])[0]
    assert (sharp.labels, soft.labels) == (("a",), ("a",))
    assert soft.probabilities.tolist() == pytest.approx([1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1))])
    assert sharp.confidence > soft.confidence
    assert soft.logits.tolist() == [3, 0]


def test_below_the_asked_confidence_there_is_no_answer() -> None:
    task = TextClassification(labels=("a", "b"), abstain_below=0.8)
    sure, unsure = predictions(task, [[2.0, 0.0], [1.0, 0.0]])
    assert (sure.labels, sure.abstained) == (("a",), False)
    assert (unsure.labels, unsure.abstained) == ((), True)
    assert task.show(unsure)["label"] is None
    result = task.evaluate([sure, unsure], rows(["a", "b"]), seed=0)
    assert result["abstention"]["coverage"]["value"] == 0.5
    assert result["abstention"]["accuracy"]["value"] == 1.0
    assert result["mistakes"] == [], "saying nothing is no mistake"


def test_each_label_has_its_own_threshold() -> None:
    task = TextClassification(labels=("a", "b", "c"), several=True, thresholds=(0.2, 0.5, 0.9))
    at = math.log(0.25 / 0.75)
    found = predictions(task, [[at, at, 2.0], [-5, -5, -5]])
    assert [prediction.labels for prediction in found] == [("a",), ()]
    assert found[0].probabilities.tolist() == pytest.approx([0.25, 0.25, 1 / (1 + math.exp(-2))])
    assert SEVERAL.show(found[0]) == {
        "labels": ["a"],
        "confidence": 0.880797,
        "probabilities": {"a": 0.25, "b": 0.25, "c": 0.880797},
    }


# What is tuned on validation


def test_an_overconfident_model_gets_a_temperature_above_1() -> None:
    # sure at 0.98, right three times out of four: the fitted confidence is 0.75
    logits, gold = [[4.0, 0.0]] * 4 + [[0.0, 4.0]] * 4, ["a", "a", "a", "b", "b", "b", "b", "a"]
    tuned = TWO.tune(predictions(TWO, logits), rows(gold))
    assert tuned.temperature == pytest.approx(4 / math.log(3), rel=1e-2)
    assert tuned.calibrated_on == 8
    assert predictions(tuned, logits)[0].confidence == pytest.approx(0.75, abs=1e-2)


def test_rows_of_unknown_labels_do_not_calibrate() -> None:
    logits, gold = [[4.0, 0.0]] * 4, ["a", "a", "a", "b"]
    some = TWO.tune(predictions(TWO, [*logits, [9.0, 0.0]]), rows([*gold, "new"]))
    assert some == TWO.tune(predictions(TWO, logits), rows(gold))
    assert TWO.tune(predictions(TWO, logits), rows(["new"] * 4)) == TWO


def test_thresholds_are_put_where_f1_is_best() -> None:
    # a is right from 0.3 up, b never below 0.8
    logits = [[math.log(p / (1 - p)) for p in pair] for pair in ((0.35, 0.7), (0.3, 0.9), (0.1, 0.6), (0.2, 0.8))]
    task = TextClassification(labels=("a", "b"), several=True)
    gold = rows([["a"], ["a", "b"], [], ["b"]], "labels")
    assert task.scores(predictions(task, logits), gold)["macro_f1"] < 0.5
    tuned = task.tune(predictions(task, logits), gold)
    assert 0.2 < tuned.thresholds[0] <= 0.3
    assert 0.7 < tuned.thresholds[1] <= 0.8
    assert tuned.scores(predictions(tuned, logits), gold) == {"macro_f1": 1.0, "micro_f1": 1.0}


# Scores and evaluation


THREE = TextClassification(labels=("a", "b", "c"))
LOGITS = [[2.0, 0, 0], [0, 2.0, 0], [0, 2.0, 0], [2.0, 0, 0], [2.0, 1.0, 0]]
GOLD = ["a", "b", "a", "a", "b"]


def test_the_scores_while_training_are_those_of_the_evaluation() -> None:
    found = predictions(THREE, LOGITS)
    scores, result = THREE.scores(found, rows(GOLD)), THREE.evaluate(found, rows(GOLD), seed=1)
    for name in ("accuracy", "macro_f1"):
        assert scores[name] == pytest.approx(result["metrics"][name]["value"])
    assert scores["accuracy"] == 0.6
    assert scores["loss"] == pytest.approx(result["calibration"]["before"]["nll"]["value"])


def test_a_label_unseen_in_training_is_missed_and_told() -> None:
    found, gold = predictions(THREE, LOGITS), rows([*GOLD[:4], "new"])
    result = THREE.evaluate(found, gold, seed=1)
    assert result["labels"] == ["a", "b", "c", "new"]
    assert result["metrics"]["accuracy"]["value"] == 0.6
    assert next(line for line in result["per_class"] if line["label"] == "new")["support"] == 1
    assert {line["expected"] for line in result["mistakes"]} == {"a", "new"}
    assert THREE.scores(found, gold)["accuracy"] == 0.6


def test_a_label_unseen_in_training_has_no_part_in_the_loss() -> None:
    """It used to count as the first class."""
    known = THREE.scores(predictions(THREE, LOGITS[:4]), rows(GOLD[:4]))["loss"]
    assert THREE.scores(predictions(THREE, LOGITS), rows([*GOLD[:4], "new"]))["loss"] == pytest.approx(known)


def test_the_surest_mistakes_come_first_with_their_place() -> None:
    gold = rows(["b", "b", "b"], __line__=[2, 3, 4], __file__=["x.csv"] * 3)
    found = predictions(TWO, [[1.0, 0.0], [0.0, 1.0], [5.0, 0.0]])
    mistakes = TWO.evaluate(found, gold, seed=0)["mistakes"]
    assert [(line["where"], line["text"], line["expected"], line["predicted"]) for line in mistakes] == [
        ("x.csv:4", "text 2", "b", "a"),
        ("x.csv:2", "text 0", "b", "a"),
    ]


def test_an_evaluation_is_plain_json() -> None:
    text = json.dumps(THREE.evaluate(predictions(THREE, LOGITS), rows(GOLD), seed=1))
    assert json.loads(text)["kind"] == "classification"
    several = rows([["a", "c"], ["b"]], "labels")
    assert json.dumps(SEVERAL.evaluate(predictions(SEVERAL, LOGITS[:2]), several, seed=1))


# Settings


@pytest.mark.parametrize(
    "task",
    [
        TextClassification(labels=("a", "b"), class_weights=(0.5, 2.0), temperature=1.7, calibrated_on=40),
        TextClassification(labels=("好", "坏"), abstain_below=0.4),
        TextClassification(labels=("a", "b"), several=True, thresholds=(0.2, 0.8)),
    ],
)
def test_settings_come_back_from_json_as_they_went(task: TextClassification) -> None:
    assert from_settings(json.loads(json.dumps(settings_of(task)))) == task
    assert settings_of(task)["task"] == "text_classification"


# A base of each kind, end to end


@pytest.mark.parametrize("kind", [tiny_encoder, tiny_decoder], ids=["encoder", "decoder"])
def test_a_base_learns_which_word_tells_the_label(kind: Any, tmp_path: Path) -> None:
    texts = [f"{'good' if n % 2 else 'bad'} {word}" for n in range(8) for word in ("film", "book", "hotel")]
    data = Dataset.from_dict({"text": texts, "label": ["y" if text[0] == "g" else "n" for text in texts]})
    task = TextClassification().learn(data)
    loaded = load(kind(tmp_path), task.head(), seed=1, new_head=True)
    encoded = task.encode(data, loaded.tokenizer, 64, "error")
    config = TrainConfig(epochs=25, batch=8, learning_rate=3e-3, precision="fp32")
    list(fit(loaded.model, task, encoded.examples, config, seed=1))
    answers = task.predict(Scorer(loaded.model), encoded.examples)
    assert [answer.labels for answer in answers] == [(label,) for label in data["label"]]
    assert task.scores(answers, data)["macro_f1"] == 1.0


def test_an_empty_text_gives_an_encoder_its_frame_alone(tmp_path: Path) -> None:
    task = TWO
    loaded = load(tiny_encoder(tmp_path), task.head(), new_head=True)
    encoded = task.encode(Dataset.from_dict({"text": ["", "good"]}), loaded.tokenizer, 64, "error")
    assert encoded.examples.lengths.tolist() == [2, 3]
    assert len(task.predict(Scorer(loaded.model), encoded.examples)) == 2


@pytest.mark.parametrize("several", [False, True])
def test_the_scores_are_those_that_are_announced(several: bool) -> None:
    task = replace(THREE, several=several)
    found = predictions(task, LOGITS)
    data = {task.target: [[label] for label in GOLD] if several else GOLD}
    assert tuple(task.scores(found, data)) == task.score_names
