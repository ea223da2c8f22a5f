"""A two-layer encoder with random weights, and examples whose label is plain from one token. Nothing here asserts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

from sixfold.data.examples import Examples, Ragged
from sixfold.tasks.text_classification import TextClassification
from sixfold.train.config import TrainConfig
from sixfold.train.events import Event, Step

TASK = TextClassification(labels=("a", "b"))
WIDTH = 16
SIZES = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def classifier(dropout: float = 0.0, *, packed: bool = True) -> BertForSequenceClassification:
    """In training mode. Eager attention is none that packs, so such a model gets padded batches."""
    torch.manual_seed(0)
    config = BertConfig(
        **SIZES,
        vocab_size=40,
        initializer_range=0.3,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        attn_implementation="sdpa" if packed else "eager",
    )
    return BertForSequenceClassification(config).train()


def examples(count: int = 24, seed: int = 0) -> Examples:
    """Rows of 3 to 11 tokens between 1 and 2, with token 5 or 6 for the label; 7 to 29 mean nothing."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, count)
    runs = [[1, 5 + int(label), *draw.integers(7, 30, draw.integers(0, 9)), 2] for label in labels]
    return Examples({"input_ids": Ragged.of(runs), "label": labels, "row": np.arange(count)})


def batch_of(rows: Examples) -> dict[str, Any]:
    return TASK.collate(rows, np.random.default_rng(0))


def settings(**changes: Any) -> TrainConfig:
    return TrainConfig.model_validate(
        {"epochs": 2, "batch": 8, "learning_rate": 5e-3, "precision": "fp32", "patience": None, **changes}
    )


def steps_of(events: list[Event]) -> list[Step]:
    return [event for event in events if isinstance(event, Step)]


def losses(events: list[Event]) -> list[tuple[int, float, float]]:
    return [(step.step, step.loss, step.grad_norm) for step in steps_of(events)]
