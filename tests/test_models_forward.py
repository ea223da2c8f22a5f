"""A packed batch gives what each row gives alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    DistilBertConfig,
    LlamaConfig,
    ModernBertConfig,
    Qwen3Config,
)

from sixfold.models.forward import Flat, can_pack, hidden_states, row_logits, token_logits

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 50,
}
CONFIGS = {
    "bert": lambda: BertConfig(**SIZES, num_labels=3),
    "modernbert": lambda: ModernBertConfig(**SIZES, num_labels=3, local_attention=8, pad_token_id=0),
    "modernbert-mean": lambda: ModernBertConfig(
        **SIZES, num_labels=3, local_attention=8, pad_token_id=0, classifier_pooling="mean"
    ),
    "llama": lambda: LlamaConfig(**SIZES, num_key_value_heads=2, num_labels=3, pad_token_id=0),
    "qwen3": lambda: Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=8, num_labels=3, pad_token_id=0),
    "qwen3-window": lambda: Qwen3Config(
        **SIZES,
        num_key_value_heads=2,
        head_dim=8,
        num_labels=3,
        pad_token_id=0,
        use_sliding_window=True,
        sliding_window=4,
        layer_types=["full_attention", "sliding_attention", "sliding_attention"],
    ),
    "distilbert": lambda: DistilBertConfig(dim=32, n_layers=2, n_heads=4, hidden_dim=48, vocab_size=50, num_labels=3),
}
PACKED = sorted(set(CONFIGS) - {"distilbert"})


def flat(*lengths: int, seed: int = 0) -> Flat:
    values = np.random.default_rng(seed).integers(1, 50, sum(lengths))
    return Flat.of(values, np.array(lengths))


def alone(batch: Flat) -> list[Flat]:
    ids = batch.input_ids.split(list(batch.lengths))
    return [Flat.of(part.numpy(), np.array([len(part)])) for part in ids]


def model_of(name: str, head: type) -> torch.nn.Module:
    torch.manual_seed(0)
    return head.from_config(CONFIGS[name]()).eval()


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_rows_of_a_batch_do_not_see_each_other(name: str) -> None:
    model = model_of(name, AutoModelForSequenceClassification)
    batch = flat(21, 9, 9, 9, 4, 1)
    with torch.no_grad():
        together = row_logits(model, batch)
        for row, single in zip(together, alone(batch), strict=True):
            torch.testing.assert_close(row, model(input_ids=single.input_ids[None]).logits[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(set(CONFIGS) - {"modernbert-mean"}))
def test_tokens_of_a_batch_see_only_their_row(name: str) -> None:
    model = model_of(name, AutoModelForTokenClassification)
    batch = flat(17, 5, 5, 2)
    with torch.no_grad():
        together = token_logits(model, batch).split(list(batch.lengths))
        for tokens, single in zip(together, alone(batch), strict=True):
            torch.testing.assert_close(tokens, model(input_ids=single.input_ids[None]).logits[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", PACKED)
def test_packed_and_padded_gradients_are_equal(name: str) -> None:
    model = model_of(name, AutoModelForSequenceClassification)
    batch = flat(13, 7, 7, 3)
    gradients = []
    for implementation in ("sdpa", "eager"):
        model.set_attn_implementation(implementation)
        assert can_pack(model) == (implementation == "sdpa")
        model.zero_grad()
        row_logits(model, batch).logsumexp(-1).sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for packed, padded in zip(*gradients, strict=True):
        torch.testing.assert_close(packed, padded, atol=2e-5, rtol=1e-4)


def test_a_packing_call_leaves_the_model_as_it_was() -> None:
    model = model_of("bert", AutoModelForSequenceClassification)
    before = model.config._attn_implementation
    with torch.no_grad():
        row_logits(model, flat(3, 2))
    assert model.config._attn_implementation == before


def test_hidden_states_are_those_of_the_base() -> None:
    model = model_of("bert", AutoModelForTokenClassification)
    batch = flat(4, 4, 2)
    with torch.no_grad():
        hidden = hidden_states(model, batch).split(list(batch.lengths))
        for tokens, single in zip(hidden, alone(batch), strict=True):
            expected = model.bert(input_ids=single.input_ids[None]).last_hidden_state[0]
            torch.testing.assert_close(tokens, expected, atol=1e-5, rtol=1e-5)


def test_runs_group_neighbours_of_equal_length() -> None:
    batch = flat(5, 5, 3, 2, 2, 2)
    assert batch.runs() == [(2, 5), (1, 3), (3, 2)]
    assert batch.starts.tolist() == [0, 5, 10, 13, 15, 17]
    assert batch.position_ids.tolist()[8:15] == [3, 4, 0, 1, 2, 0, 1]
