"""Training only the embedding rows that the training tokens use changes nothing but the cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch import nn
from toy_tasks import MaskedAndOrder
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
)

from sixfold.data.examples import Examples, Ragged
from sixfold.tasks.text_classification import TextClassification
from sixfold.train import learner, vocabulary
from sixfold.train.config import TrainConfig
from sixfold.train.events import Started, Step
from sixfold.train.loop import fit
from sixfold.train.vocabulary import UsedRows, tied

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def classifier() -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(**SIZES, vocab_size=60, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return BertForSequenceClassification(config)


def examples() -> Examples:
    draw = np.random.default_rng(0)
    # 0 is the padding id: it stands inside a row here, and must get no gradient
    runs = [[1, *draw.integers(5, 30, draw.integers(1, 6)), 0, 2] for _ in range(24)]
    return Examples({"input_ids": Ragged.of(runs), "label": draw.integers(0, 2, 24)})


def trained(*, whole: bool, monkeypatch: pytest.MonkeyPatch, **config: Any) -> tuple[dict[str, torch.Tensor], list]:
    if whole:
        monkeypatch.setattr(learner, "tied", lambda model: True)  # the loop then trains the whole table
    model, settings = classifier(), TrainConfig(epochs=3, batch=8, learning_rate=1e-2, precision="fp32", **config)
    events = list(fit(model, TextClassification(labels=("a", "b")), examples(), settings, seed=3))
    monkeypatch.undo()
    return {name: value.clone() for name, value in model.state_dict().items()}, events


def test_the_weights_are_the_same_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, events = trained(whole=False, monkeypatch=monkeypatch, clip=1e9)
    whole, others = trained(whole=True, monkeypatch=monkeypatch, clip=1e9)
    assert [e.loss for e in events if isinstance(e, Step)] == [e.loss for e in others if isinstance(e, Step)]
    for name in whole:
        assert torch.equal(rows[name], whole[name]), name
    choices = {choice.name: choice.value for event in events if isinstance(event, Started) for choice in event.choices}
    assert choices["embedding rows"] < 60
    assert "embedding rows" not in {c.name for e in others if isinstance(e, Started) for c in e.choices}


def test_with_a_clipped_gradient_they_are_the_same_to_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, events = trained(whole=False, monkeypatch=monkeypatch, clip=0.1)
    whole, _ = trained(whole=True, monkeypatch=monkeypatch, clip=0.1)
    assert all(event.grad_norm > 0.1 for event in events if isinstance(event, Step))
    for name in whole:
        torch.testing.assert_close(rows[name], whole[name], atol=1e-6, rtol=1e-5)


def test_rows_that_no_example_uses_stay_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "bert.embeddings.word_embeddings.weight"
    before = classifier().state_dict()[name]
    after = trained(whole=False, monkeypatch=monkeypatch)[0][name]
    used = set(np.unique(examples().ragged("input_ids").values).tolist())
    unused = [row for row in range(60) if row not in used]
    assert torch.equal(before[unused], after[unused])
    learnt = sorted(used - {0})
    assert (before[learnt] != after[learnt]).any(1).all()
    assert torch.equal(before[0], after[0]), "padding is not learnt"


def test_a_released_table_is_as_before_but_for_what_was_learnt() -> None:
    table = nn.Embedding(6, 2)
    before = table.weight.detach().clone()
    rows = UsedRows(table, torch.tensor([1, 4]))
    assert not table.weight.requires_grad
    with torch.no_grad():
        rows.weight += 1
    rows.release()
    assert "forward" not in vars(table)
    assert table.weight.requires_grad
    assert torch.equal(table.weight[[0, 2, 3, 5]], before[[0, 2, 3, 5]])
    assert torch.equal(table.weight[[1, 4]], before[[1, 4]] + 1)
    assert torch.equal(table(torch.tensor([4, 0])), table.weight[[4, 0]])


def test_in_training_the_small_table_answers_and_in_evaluation_the_whole_one() -> None:
    table = nn.Embedding(6, 2)
    rows = UsedRows(table, torch.tensor([1, 4]))
    with torch.no_grad():
        rows.weight.copy_(torch.tensor([[1.0, 1.0], [4.0, 4.0]]))
    table.train()
    assert table(torch.tensor([4, 1])).tolist() == [[4, 4], [1, 1]]
    table.eval()
    old = table.weight.detach().clone()
    assert torch.equal(table(torch.tensor([4, 2])), old[[4, 2]]), "not written back yet"
    rows.write_back()
    assert table(torch.tensor([4])).tolist() == [[4, 4]]
    with torch.no_grad():
        table.weight[1] = 9.0
    rows.read_again()
    assert rows.weight[0].tolist() == [9, 9]


def test_a_frozen_table_stays_frozen_after_release() -> None:
    table = nn.Embedding(3, 2).requires_grad_(False)
    UsedRows(table, torch.tensor([0])).release()
    assert not table.weight.requires_grad


def test_a_table_shared_with_the_output_is_trained_whole() -> None:
    model = BertForMaskedLM(BertConfig(**SIZES, vocab_size=32))
    assert tied(model)
    assert not tied(classifier())
    rows = Dataset.from_dict({"text": ["abc", "bcd", "cde", "def"]})
    toy = MaskedAndOrder()
    started = next(fit(model, toy, toy.encode(rows, None, 32, "error").examples, TrainConfig(), seed=0))
    assert isinstance(started, Started)
    assert "embedding rows" not in {choice.name for choice in started.choices}


def test_used_ids_are_found_chunk_by_chunk(monkeypatch) -> None:
    monkeypatch.setattr(vocabulary, "CHUNK", 3)
    values = np.array([5, 2, 5, 9, 0, 2, 7], dtype=np.uint16)
    assert vocabulary.used_ids(values, 12, added=(11, 2)).tolist() == [0, 2, 5, 7, 9, 11]


def test_a_padded_batch_needs_a_row_for_what_fills_it_up_though_no_example_holds_it() -> None:
    torch.manual_seed(0)
    shape = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32, "vocab_size": 60, "num_labels": 2}
    model = DistilBertForSequenceClassification(DistilBertConfig(**shape))
    rows = Examples({"input_ids": Ragged.of([[1, 7, 2], [1, 8, 9, 2]]), "label": np.array([0, 1])})
    before = model.get_input_embeddings().weight.detach().clone()
    config = TrainConfig(epochs=1, batch=2, precision="fp32")
    events = list(fit(model, TextClassification(labels=("a", "b")), rows, config, seed=3))
    assert {choice.name: choice.value for choice in events[0].choices}["embedding rows"] == 6
    assert torch.equal(model.get_input_embeddings().weight[0], before[0])
