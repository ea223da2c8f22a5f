"""Which parameters decay, which optimiser and what share of the rate each gets, and the values derived from a model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from datasets import Dataset
from torch.optim.optimizer import register_optimizer_step_pre_hook
from toy_tasks import MaskedAndOrder
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    LlamaModel,
    ModernBertConfig,
    ModernBertForMaskedLM,
)

from sixfold.train.config import TrainConfig
from sixfold.train.events import Step
from sixfold.train.loop import fit
from sixfold.train.muon import Muon, orthogonal
from sixfold.train.optimiser import build, epochs, learning_rate, micro_tokens, optimiser, precision

SIZES = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 40}


def bert(layers: int = 3) -> BertForSequenceClassification:
    return BertForSequenceClassification(BertConfig(**SIZES, num_hidden_layers=layers))


def llama() -> LlamaForSequenceClassification:
    return LlamaForSequenceClassification(LlamaConfig(**SIZES, num_hidden_layers=3, pad_token_id=0))


def modernbert() -> ModernBertForMaskedLM:
    ids = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)
    return ModernBertForMaskedLM(ModernBertConfig(**SIZES, **ids, num_hidden_layers=2))


def groups(model: torch.nn.Module, config: TrainConfig) -> dict[str, tuple[float, float]]:
    """Each parameter's (share of the learning rate, weight decay)."""
    parameters = dict(model.named_parameters())
    name_of = {id(parameter): name for name, parameter in parameters.items()}
    found = {}
    for built in build(model, parameters, config, 1e-3):
        for group in built.param_groups:
            share = group["share"]
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


def test_the_layers_of_a_model_without_a_head_are_found_too() -> None:
    bare = LlamaModel(LlamaConfig(**SIZES, num_hidden_layers=2))
    shares = {name: share for name, (share, _) in groups(bare, TrainConfig(layer_decay=0.5)).items()}
    assert shares["layers.0.mlp.up_proj.weight"] == 0.25
    assert shares["layers.1.mlp.up_proj.weight"] == 0.5


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


MUON = TrainConfig(optimiser="muon", weight_decay=0.1)


def by_muon(model: torch.nn.Module) -> dict[str, int]:
    """The names of Muon's parameters, each with its number of projections."""
    parameters = dict(model.named_parameters())
    name_of = {id(parameter): name for name, parameter in parameters.items()}
    adamw, muon = build(model, parameters, MUON, 1e-3)
    assert (type(adamw), type(muon)) == (torch.optim.AdamW, Muon)
    of_adamw = {name_of[id(parameter)] for group in adamw.param_groups for parameter in group["params"]}
    of_muon = {name_of[id(p)]: group["parts"] for group in muon.param_groups for p in group["params"]}
    assert of_adamw.isdisjoint(of_muon)
    assert of_adamw | of_muon.keys() == parameters.keys()
    return of_muon


def test_muon_takes_the_matrices_inside_the_layers_and_nothing_else() -> None:
    attention = [f"self_attn.{letter}_proj" for letter in "qkvo"]
    inside = [*attention, *(f"mlp.{kind}_proj" for kind in ("gate", "up", "down"))]
    assert by_muon(llama()) == {f"model.layers.{layer}.{name}.weight": 1 for layer in range(3) for name in inside}
    attention = [*(f"self.{name}" for name in ("query", "key", "value")), "output.dense"]
    inside = [*(f"attention.{name}" for name in attention), "intermediate.dense", "output.dense"]
    assert by_muon(bert()) == {f"bert.encoder.layer.{layer}.{name}.weight": 1 for layer in range(3) for name in inside}


def test_fused_projections_are_known() -> None:
    parts = {"attn.Wqkv": 3, "attn.Wo": 1, "mlp.Wi": 2, "mlp.Wo": 1}
    assert by_muon(modernbert()) == {
        f"model.layers.{layer}.{name}.weight": count for layer in range(2) for name, count in parts.items()
    }


def test_the_choice_of_muon_says_for_what() -> None:
    model = modernbert()
    choice = optimiser(model, dict(model.named_parameters()), MUON)
    assert choice.value == "muon"
    assert choice.reason.startswith("for 8 matrices inside the layers (83% of what learns)")
    head = dict(model.head.named_parameters())
    assert "for 0 matrices" in optimiser(model, head, MUON).reason
    (only,) = build(model, head, MUON, 1e-3)
    assert type(only) is torch.optim.AdamW
    assert optimiser(model, head, TrainConfig()).value == "adamw"


@pytest.mark.parametrize("shape", [(8, 8), (4, 12), (12, 4)], ids=str)
def test_the_iteration_keeps_singular_vectors_and_brings_singular_values_near_one(shape: tuple[int, int]) -> None:
    stack = (
        torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-3, 1, 1e3])[:, None, None]
    )
    for matrix, found in zip(stack, orthogonal(stack), strict=True):
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        turned = u.T @ found @ v.T
        values = turned.diagonal()
        assert values.min() > 0.6
        assert values.max() < 1.3
        assert (turned - values.diag()).abs().max() < 1e-3


def matrices() -> list[torch.nn.Parameter]:
    """Three square ones and two long ones."""
    draw = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=draw)) for shape in ((8, 8),) * 3 + ((24, 8), (8, 24))]


def train(optimisers: list[torch.optim.Optimizer], learners: list[torch.nn.Parameter], steps: int) -> None:
    """The same gradients for whoever is trained."""
    draw = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for learner in learners:
            learner.grad = torch.randn(learner.shape, generator=draw)
        for each in optimisers:
            each.step()


def test_muon_moves_as_torch_s_own() -> None:
    ours, theirs, still = matrices(), matrices(), matrices()
    group = {"lr": 1e-2, "weight_decay": 0.1}
    train([Muon([{"params": ours, **group}], dtype=torch.bfloat16)], ours, 4)
    train([torch.optim.Muon(theirs, **group)], theirs, 4)
    for found, expected, start in zip(ours, theirs, still, strict=True):
        moved = (expected - start).norm()
        assert (found - expected).norm() < 0.02 * moved  # bf16 has 8 bits


def moved(config: TrainConfig, rate: float) -> dict[str, torch.Tensor]:
    """One step's change of each of Muon's parameters of a Llama, by the parameter's name."""
    model = llama()
    parameters = dict(model.named_parameters())
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    optimisers = build(model, parameters, config, rate)
    train([optimisers[1]], list(parameters.values()), 1)
    return {name: parameters[name].detach() - before[name] for name in by_muon(model)}


def test_muon_s_steps_are_as_large_as_adamw_s() -> None:
    for name, change in moved(TrainConfig(optimiser="muon", weight_decay=0), 0.1).items():
        assert float(change.square().mean().sqrt()) == pytest.approx(0.2 * 0.1, rel=0.2), name


def test_a_rate_of_muon_s_own_is_its_steps_singular_values() -> None:
    for name, change in moved(TrainConfig(optimiser="muon", weight_decay=0, muon_rate=0.02), 0.1).items():
        rows, columns = change.shape
        values = torch.linalg.svdvals(change) / max(1, rows / columns) ** 0.5
        assert values.median() > 0.7 * 0.02, name
        assert values.max() < 1.3 * 0.02, name


@pytest.mark.parametrize("muon_rate", [None, 0.02])
def test_weights_decay_alike_under_both_optimisers(muon_rate: float | None) -> None:
    model = llama()
    config = TrainConfig(optimiser="muon", weight_decay=0.1, muon_rate=muon_rate)
    adamw, muon = build(model, dict(model.named_parameters()), config, 1e-3)
    assert {group["lr"] * group["weight_decay"] for group in adamw.param_groups} == {0.0, 1e-4}
    for group in muon.param_groups:
        assert group["lr"] * group["weight_decay"] == pytest.approx(1e-4)


def test_projections_in_one_matrix_move_as_if_they_stood_apart() -> None:
    apart = matrices()[:3]
    fused = [torch.nn.Parameter(torch.cat([each.detach() for each in apart]))]
    group = {"lr": 1e-2, "weight_decay": 0.1}
    train([Muon([{"params": apart, **group}], dtype=torch.float32)], apart, 3)
    train([Muon([{"params": fused, **group, "parts": 3}], dtype=torch.float32)], fused, 3)
    assert torch.equal(fused[0], torch.cat([each.detach() for each in apart]))


def test_the_schedule_holds_for_both_optimisers() -> None:
    rows = Dataset.from_dict({"text": ["abcde", "fgh", "abc", "defgh"]})
    examples = MaskedAndOrder().encode(rows, None, 32, "error").examples
    model = BertForMaskedLM(BertConfig(**SIZES, num_hidden_layers=2))
    config = TrainConfig(
        optimiser="muon", learning_rate=1e-2, muon_rate=2e-2, epochs=2, batch=4, layer_decay=0.5, precision="fp32"
    )
    rates: list[tuple[type, set[float]]] = []

    def note(stepping: torch.optim.Optimizer, *_: Any) -> None:
        rates.append((type(stepping), {group["lr"] for group in stepping.param_groups}))

    hook = register_optimizer_step_pre_hook(note)
    try:
        told = [e.learning_rate for e in fit(model, MaskedAndOrder(), examples, config, seed=0) if isinstance(e, Step)]
    finally:
        hook.remove()
    assert told == [1e-2, 5e-3]
    assert rates[::2] == [
        (torch.optim.AdamW, {1e-2, 5e-3, 2.5e-3, 1.25e-3}),
        (torch.optim.AdamW, {5e-3, 2.5e-3, 1.25e-3, 6.25e-4}),
    ]
    assert rates[1::2] == [(Muon, {1e-2, 5e-3}), (Muon, {5e-3, 2.5e-3})]


def test_a_head_on_a_frozen_base_takes_larger_steps() -> None:
    usual, head = (learning_rate(bert(), TrainConfig(train_base=learns)) for learns in (True, False))
    assert head.value == pytest.approx(20 * usual.value)
    assert "only the head learns" in head.reason
