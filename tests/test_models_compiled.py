"""A compiled classifier against the model itself; skipped where OpenVINO and nncf are not installed."""

import logging

import numpy as np
import pytest
import torch

from sixfold.models.compiled import Compiled, can_compile
from sixfold.models.forward import Flat, row_logits

pytest.importorskip("nncf")
pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def model():
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=60,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=64,
        num_labels=3,
        initializer_range=0.2,
    )
    return transformers.BertForSequenceClassification(config).eval()


@pytest.fixture(scope="module")
def texts():
    random = np.random.default_rng(0)
    return [random.integers(1, 60, size=size) for size in random.integers(3, 30, size=64)]


def flat(some):
    return Flat.of(np.concatenate(some), np.array([len(one) for one in some]))


def test_logits_are_nearly_those_of_the_model_in_any_batch(model, texts):
    compiled = Compiled(model, texts)
    with torch.inference_mode():
        exact = torch.cat([row_logits(model, flat(texts[start : start + 8])) for start in range(0, 64, 8)])
        found = torch.cat([row_logits(compiled, flat(texts[start : start + 5])) for start in range(0, 64, 5)])
    assert found.shape == exact.shape
    assert float((found - exact).abs().max()) < 0.25 * float(exact.std())
    assert float((found.argmax(1) == exact.argmax(1)).float().mean()) > 0.9


def test_transformers_warns_of_nothing_while_compiling(model, texts):
    """Tracing looks at every attribute, and transformers has something to say of one that is looked up there."""
    logger, told = logging.getLogger("transformers"), []
    handler = logging.Handler()
    handler.emit = told.append
    logging.Logger.warning_once.cache_clear()
    logger.addHandler(handler)
    try:
        Compiled(model, texts)
    finally:
        logger.removeHandler(handler)
    assert [one.getMessage() for one in told] == []


def test_what_cannot_be_compiled_is_told(model):
    import transformers

    assert can_compile(model)
    assert not can_compile(transformers.BertModel(model.config))
    assert not can_compile(torch.nn.Module.to(model, torch.bfloat16))
    model.to(torch.float32)


def test_gradients_are_asked_of_the_model_itself(model, texts):
    from sixfold.data.examples import Examples, Ragged
    from sixfold.score.scorer import Scorer
    from sixfold.tasks.contract import Ask

    compiled = Compiled(model, texts)
    asked = []

    def read(given, batch):
        asked.append(given)
        return [np.zeros(1)] * len(batch["flat"].lengths)

    def collate(examples):
        ids = examples.ragged("input_ids")
        return {"flat": Flat.of(ids.values, ids.lengths)}

    scorer = Scorer(compiled, precision="compiled")
    examples = Examples({"input_ids": Ragged.of(texts[:4])})
    scorer.ask(examples, Ask("slopes", collate, read, gradients=True))
    scorer.ask(examples, Ask("logits", collate, read))
    assert asked[0] is model
    assert asked[-1] is compiled
