"""R-Drop: its divergence by hand, no effect without dropout, and a task that cannot take it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from datasets import Dataset
from toy_tasks import MaskedAndOrder
from transformers import BertConfig, BertForMaskedLM

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import UsageError
from sixfold.tasks.contract import Term
from sixfold.tasks.text_classification import TextClassification
from sixfold.train.config import TrainConfig
from sixfold.train.events import Step
from sixfold.train.loop import fit
from sixfold.train.r_drop import divergence, joined

SHAPE = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def test_the_divergence_is_the_mean_of_both_kullback_leibler_sums() -> None:
    one, two = torch.tensor([[0.0, 1.0], [2.0, 0.0]]), torch.tensor([[1.0, 1.0], [0.0, -1.0]])
    p, q = one.softmax(-1), two.softmax(-1)
    by_hand = ((p * (p / q).log()).sum() + (q * (q / p).log()).sum()) / 2
    torch.testing.assert_close(divergence(one, two), by_hand)
    assert float(divergence(one, one)) == 0.0


def test_two_passes_are_half_their_losses_and_half_their_weighted_divergence() -> None:
    one, two = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    terms = [{"label": Term(torch.tensor(total), 1.0, logits=logits)} for total, logits in ((2.0, one), (4.0, two))]
    found = joined(*terms, weight=3.0)["label"]
    torch.testing.assert_close(found.sum, 3.0 + 1.5 * divergence(one, two))
    assert found.count == 1.0


def trained(task: Any, examples: Examples, **options: Any) -> list[float]:
    torch.manual_seed(0)
    dropout = {"hidden_dropout_prob": options.pop("dropout"), "attention_probs_dropout_prob": 0.0}
    config = BertConfig(**SHAPE, intermediate_size=24, **dropout, num_labels=len(task.labels))
    if task.several:
        config.problem_type = "multi_label_classification"
    model = transformers.BertForSequenceClassification(config)
    train = TrainConfig(epochs=2, batch=8, learning_rate=1e-3, precision="fp32", patience=None, **options)
    return [event.loss for event in fit(model, task, examples, train, seed=1) if isinstance(event, Step)]


@pytest.mark.parametrize("several", [False, True])
def test_without_dropout_nothing_changes_and_with_it_the_passes_differ(several: bool) -> None:
    task = TextClassification(labels=("a", "b", "c"), several=several)
    random = np.random.default_rng(0)
    runs = [random.integers(1, 20, size=random.integers(2, 6)) for _ in range(32)]
    label = random.integers(0, 2, size=(32, 3)).astype(np.float32) if several else random.integers(0, 3, size=32)
    examples = Examples({"input_ids": Ragged.of(runs), "label": label, "row": np.arange(32)})
    plain = trained(task, examples, dropout=0.0)
    assert trained(task, examples, dropout=0.0, r_drop=2.0) == pytest.approx(plain, rel=1e-4)
    assert trained(task, examples, dropout=0.3, r_drop=2.0)[0] > trained(task, examples, dropout=0.3, r_drop=1e-9)[0]


def test_a_task_that_tells_no_logits_is_refused() -> None:
    rows, task = Dataset.from_dict({"text": ["abcd", "bcde"]}), MaskedAndOrder()
    model = BertForMaskedLM(BertConfig(**SHAPE, intermediate_size=24))
    examples = task.encode(rows, None, 16, "error").examples
    config = TrainConfig(epochs=1, precision="fp32", r_drop=1.0)
    with pytest.raises(UsageError, match="tells no logits"):
        list(fit(model, task, examples, config, seed=0))
