"""Rows of one batch under different adapters: each as in a batch of its own, in any order, packed and padded."""

from __future__ import annotations

import copy
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    LlamaConfig,
    LlamaForCausalLM,
    ModernBertConfig,
    PreTrainedModel,
)

from sixfold.errors import ModelError, UsageError
from sixfold.models import adapters as kinds
from sixfold.models.forward import Flat, can_pack, hidden_states, row_logits, token_logits
from sixfold.models.mixed import BASE, LowRank, Mixed, MixedLinear, by_adapter

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
COMMON = {"vocab_size": 40, "num_labels": 2, "pad_token_id": 0, "initializer_range": 0.3}
CONFIGS = {
    "bert": lambda: BertConfig(**SIZES, **COMMON),
    "bert, padded": lambda: BertConfig(**SIZES, **COMMON, attn_implementation="eager"),
    "modernbert": lambda: ModernBertConfig(**SIZES, **COMMON),
    "llama": lambda: LlamaConfig(**SIZES, **COMMON),
    "distilbert": lambda: DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=32, **COMMON),
}
HEADS = {
    "bert": ["bert.pooler.dense", "classifier"],
    "bert, padded": ["bert.pooler.dense", "classifier"],
    "modernbert": ["head.norm", "classifier"],
    "llama": ["score"],
    "distilbert": ["pre_classifier", "classifier"],
}
RANKS = (1, 4, 3)
"""Of the three adapters; the second leaves every other layer alone, and the third has five labels."""


def plain(name: str) -> PreTrainedModel:
    torch.manual_seed(0)
    config = CONFIGS[name]()
    options = {"attn_implementation": config._attn_implementation} if config._attn_implementation else {}
    return AutoModelForSequenceClassification.from_config(config, **options).eval()


def inner(model: Any) -> dict[str, nn.Linear]:
    """The linear layers inside the model's layers, by path."""
    return {
        path: layer
        for path, layer in model.named_modules()
        if type(layer) is nn.Linear and any(part.isdigit() for part in path.split("."))
    }


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.3


def updates(model: Any, rank: int, seed: int, every: int = 1) -> dict[str, tuple[Tensor, Tensor, float]]:
    layers = list(inner(model).items())[::every]
    return {
        path: (drawn(rank, layer.in_features, seed=seed + at), drawn(layer.out_features, rank, seed=seed - at), 0.7)
        for at, (path, layer) in enumerate(layers)
    }


def head(model: Any, name: str, labels: int, seed: int) -> dict[str, Tensor]:
    found = {}
    for path in HEADS[name]:
        for part, value in model.get_submodule(path).named_parameters():
            shape = (labels, *value.shape[1:]) if path == HEADS[name][-1] else tuple(value.shape)
            found[f"{path}.{part}"] = drawn(*shape, seed=seed + len(part))
    return found


def adapters(name: str) -> dict[str, LowRank]:
    model = plain(name)
    return {
        "a": LowRank(updates(model, RANKS[0], 100)),
        "b": LowRank(updates(model, RANKS[1], 200, every=2), head(model, name, 2, 20)),
        "c": LowRank(updates(model, RANKS[2], 300), head(model, name, 5, 30)),
    }


def merged(name: str, adapter: LowRank) -> PreTrainedModel:
    """The plain model that one adapter makes of its base: what the mixed one is held against."""
    model = plain(name)
    with torch.no_grad():
        for path, (a, b, scale) in adapter.updates.items():
            model.get_submodule(path).weight += scale * b @ a
        for full, value in adapter.head.items():
            path, _, part = full.rpartition(".")
            setattr(model.get_submodule(path), part, nn.Parameter(value))
    return model


MIXED = {name: Mixed(plain(name), adapters(name)) for name in CONFIGS}
ALONE = {name: [merged(name, one) for one in (*adapters(name).values(), LowRank({}))] for name in CONFIGS}
"""By an adapter's number; the base is the last, where ``BASE`` finds it."""
WIDTHS = (2, 2, 5, 2)


def flat(lengths: list[int]) -> Flat:
    return Flat.of(np.random.default_rng(1).integers(1, 40, sum(lengths)), np.array(lengths))


def one_row(batch: Flat, place: int) -> Flat:
    return Flat.of(batch.input_ids.split(list(batch.lengths))[place].numpy(), np.array([batch.lengths[place]]))


def close(one: Any, other: Any) -> None:
    np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def check(name: str, which: list[int], lengths: list[int]) -> None:
    batch = flat(lengths)
    with MIXED[name].rows(which, batch):
        together = row_logits(MIXED[name].model, batch).numpy()
    for place, number in enumerate(which):
        wanted = row_logits(ALONE[name][number], one_row(batch, place))[0]
        found = MIXED[name].cut(together[place], number)
        assert found.shape == (WIDTHS[number],)
        close(found, wanted)


def test_some_families_are_packed_and_some_padded() -> None:
    assert {name for name in CONFIGS if can_pack(MIXED[name].model)} == {"bert", "modernbert", "llama"}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(
    ("which", "lengths"),
    [
        ([0, 0, 1, 1, 2, BASE], [9, 4, 12, 4, 7, 5]),  # as a scorer lays them out
        ([2, BASE, 0, 1, 0, 2], [9, 4, 12, 4, 7, 5]),  # in any order
        ([0, 2, 2], [30, 20, 14]),  # the second adapter has no row; 64 tokens
        ([1] * 5, [3, 3, 3, 3, 3]),  # one adapter alone
        ([BASE] * 3, [6, 5, 40]),  # the base alone
        ([2], [1]),
        ([0, 1] * 20, [1] * 40),  # as many rows as tokens, and a filling
    ],
)
def test_each_row_is_as_under_its_adapter_alone(name: str, which: list[int], lengths: list[int]) -> None:
    check(name, which, lengths)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(BASE, 2), st.integers(1, 14)), min_size=1, max_size=9))
def test_any_order_of_rows_gives_each_its_own(rows: list[tuple[int, int]]) -> None:
    which, lengths = ([row[part] for row in rows] for part in (0, 1))
    for name in ("bert", "bert, padded", "llama"):
        check(name, which, lengths)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=8))
def test_a_layer_adds_the_update_of_each_vectors_own_row(which: list[int]) -> None:
    layer = nn.Linear(6, 5)
    pairs = {n: (drawn(rank, 6, seed=rank), drawn(5, rank, seed=9 + rank), 0.5) for n, rank in enumerate(RANKS)}
    mixed = Mixed(nn.ModuleDict({"layer": layer}), {f"{n}": LowRank({"layer": pair}) for n, pair in pairs.items()})
    x = drawn(len(which), 3, 6, seed=0)
    with mixed.rows(which), torch.no_grad():
        found = mixed.model["layer"](x)
        for row, number in enumerate(which):
            a, b, scale = pairs[number]
            close(found[row], x[row] @ (layer.weight + scale * b @ a).T + layer.bias)


def test_an_update_that_lost_all_its_ranks_changes_nothing() -> None:
    layer = nn.Linear(6, 5)
    mixed = Mixed(nn.ModuleDict({"layer": layer}), {"a": LowRank({"layer": (torch.ones(0, 6), torch.ones(5, 0), 1.0)})})
    x = drawn(3, 6, seed=0)
    with mixed.rows([0, 0, 0]), torch.no_grad():
        assert torch.equal(mixed.model["layer"](x), layer(x))


# What holds to the last bit


@pytest.mark.parametrize("name", CONFIGS)
def test_rows_of_the_base_are_bit_for_bit_those_of_the_base_in_the_same_batch(name: str) -> None:
    batch = flat([9, 4, 12, 4, 7, 5])
    with torch.no_grad():
        wanted = row_logits(ALONE[name][BASE], batch)
        with MIXED[name].rows([BASE] * 6, batch):
            assert torch.equal(row_logits(MIXED[name].model, batch), wanted)
        assert torch.equal(row_logits(MIXED[name].model, batch), wanted), "outside of any layout"
        with MIXED[name].rows([0, BASE, 2, 2, BASE, 1], batch):
            mixed = row_logits(MIXED[name].model, batch)
    assert not torch.equal(mixed[0, :2], wanted[0])
    close(mixed[[1, 4], :2], wanted[[1, 4]])


@pytest.mark.parametrize("name", CONFIGS)
def test_a_rows_numbers_do_not_hang_on_the_other_rows_adapters(name: str) -> None:
    batch = flat([9, 4, 12, 4, 7, 5])
    found = []
    for others in (0, 1, 2):
        with torch.no_grad(), MIXED[name].rows([others, others, BASE, 1, 1, BASE], batch):
            found.append(row_logits(MIXED[name].model, batch)[3:5, :2])
    assert torch.equal(found[0], found[2])
    close(found[0], found[1])  # one slice of four rows in place of one of two


def test_labels_that_an_adapter_has_not_are_impossible() -> None:
    batch = flat([4, 4])
    with torch.no_grad(), MIXED["bert"].rows([2, 0], batch):
        logits = row_logits(MIXED["bert"].model, batch)
    assert torch.isneginf(logits).tolist() == [[False] * 5, [False, False, True, True, True]]
    assert MIXED["bert"].widths == WIDTHS
    assert MIXED["bert"].cut(np.array([1.0, 2.0, 3.0]), 0).tolist() == [1, 2, 3], "what is no row of labels stays"


# Answers of tokens, gradients


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_tokens_of_a_language_model_are_those_of_their_rows_adapter(attention: str) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES, vocab_size=40, initializer_range=0.3, pad_token_id=0)
    base = LlamaForCausalLM._from_config(config, attn_implementation=attention).eval()
    made = {name: LowRank(updates(base, rank, 50 * rank)) for name, rank in (("a", 2), ("b", 5))}
    mixed = Mixed(copy.deepcopy(base), made)
    batch, which = flat([7, 30, 3, 12]), [1, BASE, 0, 1]
    with torch.no_grad(), mixed.rows(which, batch):
        logits = token_logits(mixed.model, batch).split(list(batch.lengths))
        states = hidden_states(mixed.model, batch).split(list(batch.lengths))
    for place, number in enumerate(which):
        alone = copy.deepcopy(base)
        for path, (a, b, scale) in (list(made.values())[number].updates if number != BASE else {}).items():
            alone.get_submodule(path).weight.data += scale * b @ a
        with torch.no_grad():
            close(logits[place], token_logits(alone, one_row(batch, place)))
            close(states[place], hidden_states(alone, one_row(batch, place)))


def test_gradients_of_embeddings_are_those_of_each_row_alone() -> None:
    batch, which = flat([5, 9, 4]), [0, 2, BASE]

    def slope(model: Any, batch: Flat) -> Tensor:
        table = model.get_input_embeddings()
        table.weight.grad = None
        logits = row_logits(model, batch)
        logits[:, :2].sum().backward()
        return table.weight.grad

    with MIXED["bert"].rows(which, batch):
        together = slope(MIXED["bert"].model, batch)
    alone = sum(slope(ALONE["bert"][number], one_row(batch, place)) for place, number in enumerate(which))
    close(together, alone)


def test_in_bf16_and_under_autocast_answers_are_near() -> None:
    batch, which = flat([5, 9, 4]), [0, 2, BASE]
    with torch.no_grad(), MIXED["bert"].rows(which, batch):
        exact = row_logits(MIXED["bert"].model, batch)
        with torch.autocast("cpu", torch.bfloat16):
            rough = row_logits(MIXED["bert"].model, batch)
    assert not torch.equal(exact, rough)
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.05)


# The layout


def test_a_layout_is_not_left_behind_by_an_error() -> None:
    layer, x = MIXED["bert"].model.bert.encoder.layer[0].attention.self.query, drawn(4, 16, seed=1)
    assert isinstance(layer, MixedLinear)
    with torch.no_grad():
        before = layer(x)
        with pytest.raises(AssertionError, match="not of this batch"), MIXED["bert"].rows([0, 0, 0]):
            layer(x)
        assert torch.equal(layer(x), before)
        with MIXED["bert"].rows([0] * 4):
            inner_one = layer(x)
            with MIXED["bert"].rows([1] * 4):
                assert not torch.equal(layer(x), inner_one)
            assert torch.equal(layer(x), inner_one)


def test_each_thread_has_a_layout_of_its_own() -> None:
    mixed, x = MIXED["llama"], drawn(2, 16, seed=1)
    layer = mixed.model.model.layers[0].self_attn.q_proj
    found: dict[int, Tensor] = {}
    met = threading.Barrier(3)

    def work(number: int) -> None:
        with torch.no_grad(), mixed.rows([number, number]):
            met.wait(10)
            found[number] = layer(x)
            met.wait(10)

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in (0, 1, 2):
        close(found[number], ALONE["llama"][number].model.layers[0].self_attn.q_proj(x).detach())


def test_another_batch_than_the_layouts_is_a_broken_invariant() -> None:
    batch = flat([5, 9, 4])
    with (
        torch.no_grad(),
        MIXED["bert"].rows([0, 1, 0], batch),
        pytest.raises(AssertionError, match="not of this batch"),
    ):
        row_logits(MIXED["bert"].model, flat([5, 9]))
    with pytest.raises(AssertionError, match="no such adapter"), MIXED["bert"].rows([3], flat([5])):
        pass


def test_rows_of_one_adapter_become_neighbours_and_stay_in_order() -> None:
    assert by_adapter(np.array([1, BASE, 0, 1, 0])).tolist() == [1, 2, 4, 0, 3]


# Names, digests, what is refused


def test_adapters_are_numbered_by_name() -> None:
    assert MIXED["bert"].numbers(["c", None, "a"]).tolist() == [2, BASE, 0]
    with pytest.raises(UsageError, match="no adapter 'd'"):
        MIXED["bert"].numbers(["a", "d"])


def test_a_digest_tells_what_is_computed() -> None:
    first, again = adapters("bert")["c"], adapters("bert")["c"]
    path, (a, b, scale) = next(iter(first.updates.items()))
    others = [
        LowRank(first.updates),
        LowRank({**first.updates, path: (a, b, scale + 1)}, first.head),
        LowRank({**first.updates, path: (a, b + 1e-6, scale)}, first.head),
    ]
    assert first.digest == again.digest
    assert len({first.digest, *(one.digest for one in others)}) == 4


def saved(folder: Path, adapter: Any, seed: int) -> PreTrainedModel:
    """A model with an adapter that has learnt something, and the adapter in a folder."""
    model = plain("bert")
    kinds.add(model, adapter, seed=seed)
    for at, value in enumerate(p for p in model.parameters() if p.requires_grad):
        value.data.copy_(drawn(*value.shape, seed=seed + at))
    kinds.save(model, adapter, folder, base="a base", base_digest="digest", kept={})
    return model.eval()


def test_adapters_from_folders_answer_as_the_models_that_they_were_saved_from(tmp_path: Path) -> None:
    given_ = {"lora": kinds.Lora(2, 3.0), "adalora": kinds.AdaLora(2, 3, 3.0)}
    alone = [saved(tmp_path / name, adapter, 9) for name, adapter in given_.items()]
    found = {name: LowRank.of(tmp_path / name, base_digest="digest") for name in given_}
    assert all(found[name].head.keys() == head(plain("bert"), "bert", 2, 0).keys() for name in given_)
    mixed, batch = Mixed(plain("bert"), found), flat([9, 4, 12])
    with torch.no_grad(), mixed.rows([1, 0, 1], batch):
        together = row_logits(mixed.model, batch)
    for place, number in enumerate([1, 0, 1]):
        with torch.no_grad():
            close(together[place], row_logits(alone[number], one_row(batch, place))[0])
    with pytest.raises(ModelError, match="another base"):
        LowRank.of(tmp_path / "lora", base_digest="other")


@pytest.mark.parametrize(("kind", "adapter"), [("bottleneck", kinds.Bottleneck(4)), ("bitfit", kinds.BitFit())])
def test_other_kinds_are_refused_by_name(tmp_path: Path, kind: str, adapter: Any) -> None:
    saved(tmp_path / "odd", adapter, 1)
    with pytest.raises(ModelError, match="cannot share a batch") as caught:
        LowRank.of(tmp_path / "odd", base_digest="digest")
    assert (caught.value.where, caught.value.found) == (tmp_path / "odd", kind)


@pytest.mark.parametrize(
    "wrong",
    [
        LowRank({"bert.nowhere": (torch.ones(2, 16), torch.ones(16, 2), 1.0)}),
        LowRank({"bert.pooler.dense": (torch.ones(2, 15), torch.ones(16, 2), 1.0)}),
        LowRank({"bert.pooler.dense": (torch.ones(2, 16), torch.ones(16, 3), 1.0)}),
        LowRank({"bert.embeddings.word_embeddings": (torch.ones(2, 16), torch.ones(16, 2), 1.0)}),
        LowRank({}, {"classifier.weight": torch.ones(3, 16)}),
        LowRank({}, {"classifier.weight": torch.ones(3, 16), "classifier.bias": torch.ones(2)}),
        LowRank({}, {"classifier.weight": torch.ones(3, 15), "classifier.bias": torch.ones(3)}),
        LowRank({}, {"nowhere.weight": torch.ones(3, 15)}),
        LowRank({}, {"bert.embeddings.word_embeddings.weight": torch.ones(40, 16)}),
    ],
)
def test_what_does_not_fit_is_refused_and_the_model_stays_as_it_was(wrong: LowRank) -> None:
    model = plain("bert")
    before = [name for name, _ in model.named_modules()]
    with pytest.raises(ModelError, match="does not fit"):
        Mixed(model, {"good": adapters("bert")["a"], "wrong": wrong})
    assert [name for name, _ in model.named_modules()] == before
