"""Which parameters decay, what share of the rate each layer gets, and the values derived from a model."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForSequenceClassification

from sixfold.train.config import TrainConfig
from sixfold.train.optimiser import build, epochs, learning_rate, micro_tokens, precision

SIZES = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 40}


def bert(layers: int = 3) -> BertForSequenceClassification:
    return BertForSequenceClassification(BertConfig(**SIZES, num_hidden_layers=layers))


def llama() -> LlamaForSequenceClassification:
    return LlamaForSequenceClassification(LlamaConfig(**SIZES, num_hidden_layers=3, pad_token_id=0))


def groups(model: torch.nn.Module, config: TrainConfig) -> dict[str, tuple[float, float]]:
    """Each parameter's (share of the learning rate, weight decay)."""
    parameters = dict(model.named_parameters())
    optimiser, shares = build(model, parameters, config, 1e-3)
    name_of = {id(parameter): name for name, parameter in parameters.items()}
    found = {}
    for group, share in zip(optimiser.param_groups, shares, strict=True):
        assert group["lr"] == pytest.approx(1e-3 * share)
        found |= {name_of[id(parameter)]: (share, group["weight_decay"]) for parameter in group["params"]}
    assert found.keys() == parameters.keys()
    return found


@pytest.mark.parametrize("model", [bert(), llama()], ids=["bert", "llama"])
def test_decay_falls_on_matrices_only(model: torch.nn.Module) -> None:
    decays = {name: decay for name, (_, decay) in groups(model, TrainConfig(weight_decay=0.1)).items()}
    for name, decay in decays.items():
        plain = "embed" in name or name.endswith("bias") or "norm" in name.lower()
        assert decay == (0.0 if plain else 0.1), name
    assert {0.0, 0.1} == set(decays.values())


def test_a_layer_has_its_share_of_the_rate_of_the_one_above() -> None:
    shares = {name: share for name, (share, _) in groups(bert(), TrainConfig(layer_decay=0.5)).items()}
    assert shares["classifier.weight"] == shares["bert.pooler.dense.weight"] == 1.0
    for layer, share in enumerate((0.125, 0.25, 0.5)):
        inside = {share for name, share in shares.items() if f".layer.{layer}." in name}
        assert inside == {share}
    assert {share for name, share in shares.items() if "embeddings" in name} == {0.0625}


def test_a_decoder_s_layers_are_found_too() -> None:
    shares = {name: share for name, (share, _) in groups(llama(), TrainConfig(layer_decay=0.5)).items()}
    assert shares["score.weight"] == shares["model.norm.weight"] == 1.0
    assert shares["model.layers.0.mlp.up_proj.weight"] == 0.125
    assert shares["model.layers.2.self_attn.q_proj.weight"] == 0.5
    assert shares["model.embed_tokens.weight"] == 0.0625


def test_without_layer_decay_all_share_alike() -> None:
    assert {share for share, _ in groups(bert(), TrainConfig()).values()} == {1.0}


def test_the_rate_follows_from_width_and_batch_and_says_so() -> None:
    choice = learning_rate(bert(), TrainConfig(batch=128))
    assert choice.value == pytest.approx(5e-5 * 768 / 16 * 2)
    assert choice.reason == "5e-05 × 768/16 (width) × √(128/32) (batch)"
    assert learning_rate(bert(), TrainConfig(learning_rate=1e-4)).value == 1e-4


@pytest.mark.parametrize(("per_epoch", "passes"), [(1, 15), (20, 15), (21, 15), (30, 10), (99, 4), (100, 3), (5000, 3)])
def test_few_steps_an_epoch_want_more_epochs(per_epoch: int, passes: int) -> None:
    assert epochs(TrainConfig(), per_epoch).value == passes
    assert epochs(TrainConfig(epochs=0.5), per_epoch).value == 0.5


def test_micro_batches_are_bounded_by_memory_or_by_the_recipe() -> None:
    assert micro_tokens(bert(), TrainConfig(), packed=True).value == 8192
    assert micro_tokens(bert(), TrainConfig(), packed=False).value == 2048
    assert micro_tokens(bert(), TrainConfig(micro_tokens=77), packed=True).value == 77
    wide = bert()
    wide.config.hidden_size, wide.config.num_hidden_layers = 4096, 32
    assert micro_tokens(wide, TrainConfig(), packed=True).value == 256


def test_a_precision_that_was_asked_for_is_taken() -> None:
    cpu = torch.device("cpu")
    assert precision(TrainConfig(precision="bf16"), cpu).value == "bf16"
    assert precision(TrainConfig(precision="fp32"), cpu).value == "fp32"
    assert precision(TrainConfig(), cpu).value in ("bf16", "fp32")
