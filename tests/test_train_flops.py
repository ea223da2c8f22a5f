"""Operations of a model: counted by hand against torch's own counter, and pairs of attention one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    LlamaConfig,
    LlamaForCausalLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertForSequenceClassification,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from sixfold.train.flops import (
    GPUS,
    LAUNCH_SECONDS,
    LAUNCHES,
    SHARE,
    UPDATE_BYTES,
    forward,
    matrices,
    pairs,
    seconds_on,
)

SHAPE = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4}
SHAPE |= {"intermediate_size": 24, "pad_token_id": 0, "attn_implementation": "eager"}
LENGTHS = np.array([1, 2, 7, 12], dtype=np.int64)


def bert() -> BertConfig:
    return BertConfig(**SHAPE, num_labels=3)


def modernbert(window: int = 128) -> ModernBertConfig:
    kinds = ["full_attention", "sliding_attention", "sliding_attention"]
    marks = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 1)
    return ModernBertConfig(**SHAPE, **marks, num_labels=3, local_attention=window, layer_types=kinds)


def qwen3(**changes: Any) -> Qwen3Config:
    return Qwen3Config(**SHAPE, num_key_value_heads=2, head_dim=8, tie_word_embeddings=True, **changes)


MODELS = {
    "hidden words, BERT": lambda: BertForMaskedLM(bert()),
    "labels of texts, BERT": lambda: BertForSequenceClassification(bert()),
    "labels of tokens, BERT": lambda: BertForTokenClassification(bert()),
    "hidden words, ModernBERT": lambda: ModernBertForMaskedLM(modernbert()),
    "labels of texts, ModernBERT": lambda: ModernBertForSequenceClassification(modernbert()),
    "next words, tied": lambda: Qwen3ForCausalLM(qwen3()),
    "next words, a table of their own": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=False)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_forward_pass_has_the_operations_that_torch_counts(name: str) -> None:
    model: Any = MODELS[name]().eval()
    config = model.config
    counted = 0
    for length in LENGTHS.tolist():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(input_ids=torch.ones(1, length, dtype=torch.int64))
        counted += counter.get_total_flops()
        if "next" in name:  # the pairs that a causal mask throws away
            head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
            thrown = length * (length - 1) // 2
            counted -= 4 * config.num_attention_heads * head * config.num_hidden_layers * thrown
    assert forward(model, LENGTHS, int(LENGTHS.sum())) == counted


def test_a_weight_counts_where_it_is_multiplied() -> None:
    width, inner, layers, words, labels = 16, 24, 3, 50, 3
    layer = 4 * width * width + 2 * width * inner
    masked = matrices(MODELS["hidden words, BERT"]())
    assert (masked.token, masked.text, masked.target) == (layers * layer, 0, width * width + words * width)
    texts = matrices(MODELS["labels of texts, BERT"]())
    assert (texts.token, texts.text, texts.target) == (layers * layer, width * width + labels * width, 0)
    tokens = matrices(MODELS["labels of tokens, BERT"]())
    assert (tokens.token, tokens.text, tokens.target) == (layers * layer + labels * width, 0, 0)


def compared(length: int, near: int | None, causal: bool) -> int:
    """Pairs of tokens one by one: ``near`` is how far away the farthest is."""
    return sum(
        (near is None or abs(here - there) <= near) and (there <= here or not causal)
        for here in range(length)
        for there in range(length)
    )


@pytest.mark.parametrize("window", [2, 4, 10, 128])
def test_pairs_inside_an_encoders_windows_are_counted(window: int) -> None:
    model = ModernBertForMaskedLM(modernbert(window))
    wanted = sum(compared(n, None, False) + 2 * compared(n, window // 2, False) for n in LENGTHS.tolist())
    assert pairs(model, LENGTHS) == wanted


@pytest.mark.parametrize("window", [1, 3, 8, 128])
def test_pairs_inside_a_decoders_windows_are_counted(window: int) -> None:
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    model = Qwen3ForCausalLM(qwen3(use_sliding_window=True, sliding_window=window, layer_types=kinds))
    wanted = sum(compared(n, None, True) + 2 * compared(n, window - 1, True) for n in LENGTHS.tolist())
    assert pairs(model, LENGTHS) == wanted


def test_pairs_of_a_plain_encoder_are_all() -> None:
    assert pairs(MODELS["hidden words, BERT"](), LENGTHS) == 3 * int((LENGTHS**2).sum())


def test_an_estimate_waits_for_products_or_for_kernels_whichever_is_longer() -> None:
    (gpu,) = [gpu for gpu in GPUS if gpu.name == "A100 80GB"]
    update = 10 * 1000 * UPDATE_BYTES / gpu.bandwidth
    small = seconds_on(gpu, flops=1.0, learning=1000, steps=10, layers=4, micro_batches=20)
    assert small == pytest.approx(20 * 4 * LAUNCHES * LAUNCH_SECONDS + update)
    large = seconds_on(gpu, flops=312e15, learning=1000, steps=10, layers=4, micro_batches=20)
    assert large == pytest.approx(1000 / SHARE + update)
