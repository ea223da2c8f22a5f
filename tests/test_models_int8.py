"""Linear layers in 8-bit integers: near the exact products, in the base alone, and gone after the call."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import linear
from transformers import BertConfig, BertForSequenceClassification

from sixfold.models.int8 import LEAST, Int8Linears, can_int8, halved

pytestmark = pytest.mark.skipif("onednn" not in torch.backends.quantized.supported_engines, reason="torch lacks oneDNN")


def model() -> nn.Module:
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    return BertForSequenceClassification(BertConfig(**sizes, vocab_size=40, initializer_range=0.1)).eval()


def test_products_are_those_of_rounded_numbers() -> None:
    """Exactly: weights in 127 steps a row each way, inputs in 255 (or 127) steps from their least to their greatest."""
    found = model()
    layer = found.bert.encoder.layer[0].intermediate.dense
    x = torch.randn(20, 64)
    with Int8Linears(found).used(), torch.inference_mode():
        answer = layer(x)
    steps = layer.weight.abs().amax(1, keepdim=True) / 127
    weight = (layer.weight / steps).round() * steps
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    most = 127 if halved() else 255
    step = (high - low) / most
    zero = round(-low / step)
    rounded = ((x / step).round() + zero).clamp(0, most) - zero
    torch.testing.assert_close(answer, linear(rounded * step, weight, layer.bias), atol=2e-3, rtol=0)
    exact = linear(x, layer.weight, layer.bias)
    assert 1e-3 < float((answer - exact).detach().norm() / exact.detach().norm()) < 0.05, "near, and not the same"


def test_only_the_base_s_large_layers_are_changed_and_the_model_is_left_as_it_was() -> None:
    found = model()
    int8 = Int8Linears(found)
    assert len(int8) == 2 * 6, "query, key, value, output, and two of the feed-forward part; no pooler, no classifier"
    ids = torch.arange(10)[None]
    with torch.inference_mode():
        before = found(ids).logits
        with int8.used():
            assert "forward" not in found.classifier.__dict__
            during = found(ids).logits
        assert torch.equal(found(ids).logits, before)
    assert not torch.equal(during, before)
    torch.testing.assert_close(during, before, atol=0.05, rtol=0)
    with pytest.raises(RuntimeError, match="broken"), int8.used():
        raise RuntimeError("broken")
    assert all("forward" not in module.__dict__ for module in found.modules())


def test_small_layers_stay() -> None:
    sizes = {"hidden_size": LEAST - 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 128}
    assert len(Int8Linears(BertForSequenceClassification(BertConfig(**sizes, vocab_size=40)))) == 0


def test_only_fp32_on_the_cpu() -> None:
    assert can_int8(model())
    assert not can_int8(model().bfloat16())
    assert not can_int8(model().to("meta"))


def test_torch_s_own_engine_is_left_as_it_was() -> None:
    engine = torch.backends.quantized.engine
    Int8Linears(model())
    assert torch.backends.quantized.engine == engine
