"""A longer context: what is set, that plain transformers reads it alike, and who cannot have one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from tiny import byte_tokenizer
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
)

from sixfold.errors import ModelError, UsageError
from sixfold.models import lineage, load, save
from sixfold.models.context import Rope, can_extend, extend, extension, raised_base
from sixfold.models.forward import Flat, token_logits
from sixfold.models.head import Head
from sixfold.models.scratch import character_tokenizer, decoder, encoder
from sixfold.models.sizes import Size

OLD, NEW = 64, 256
FULL, LOCAL = "full_attention", "sliding_attention"


def made(family: str, **changes: Any) -> tuple[Any, Any, Head]:
    """A tiny model of a family, its tokenizer and its head."""
    given = {"context": OLD, "window": None, "rope_base": 10_000.0, "deviation": 0.1, **changes}
    if family == "modernbert":
        tokenizer = character_tokenizer(["the cat sat on the mat", "the cat sat on the mat"])
        tokenizer.model_max_length = OLD
        head = Head("masked_lm")
        return encoder(Size(3, 32, 2, 64, **{**given, "window": 16}), tokenizer, head, seed=1), tokenizer, head
    tokenizer, head = byte_tokenizer(OLD), Head("causal_lm")
    return decoder(Size(3, 32, 2, 64, **given), tokenizer, seed=1, architecture=family), tokenizer, head  # type: ignore[arg-type]


@pytest.mark.parametrize(("before", "after"), [(128, 1024), (512, 8192), (1024, 8192), (4096, 32_768)])
def test_the_raised_base_shows_no_pair_an_angle_that_it_has_not_seen(before: int, after: int) -> None:
    """Pairs that turned whole circles know every angle; the others must not turn further than they have."""
    new, width = raised_base(10_000.0, before, after), 128
    shares = np.arange(0, width, 2) / width
    slow = 2 * math.pi * 10_000.0**shares > before
    angles = {base: tokens * base**-shares for base, tokens in ((10_000.0, before), (new, after))}
    assert slow.any()
    assert (angles[new][slow] <= angles[10_000.0][slow] * (1 + 1e-9)).all()
    slower = new * 0.9
    assert (after * slower ** -shares[slow] > angles[10_000.0][slow]).any(), "and no smaller base does as well"


@torch.no_grad()
@pytest.mark.parametrize("rope", get_args(Rope))
@pytest.mark.parametrize("family", ["llama", "qwen3", "modernbert"])
def test_plain_transformers_loads_the_longer_context_with_the_same_logits(
    family: str, rope: Any, tmp_path: Path
) -> None:
    model, tokenizer, head = made(family)
    ids = torch.randint(5, 13, (1, NEW), generator=torch.Generator().manual_seed(0))
    before = model(ids).logits
    extend(model, tokenizer, extension(model, NEW, rope))
    logits = model(ids).logits
    assert (logits - before).abs().max() > 1e-3, "far tokens are seen in another way"
    save(model, tokenizer, tmp_path / "made", lineage.build(parent=None))
    plain = (AutoModelForMaskedLM if family == "modernbert" else AutoModelForCausalLM).from_pretrained(
        tmp_path / "made"
    )
    assert torch.equal(plain.eval()(ids).logits, logits)
    assert plain.config.max_position_embeddings == NEW
    assert AutoTokenizer.from_pretrained(tmp_path / "made").model_max_length == NEW
    ours = load(tmp_path / "made", head)
    assert torch.equal(ours.model(ids).logits, logits)
    assert ours.tokenizer.model_max_length == NEW


def test_an_encoder_s_local_layers_stay_as_they_are() -> None:
    model, tokenizer, _ = made("modernbert")
    found = extension(model, NEW, "base")
    extend(model, tokenizer, found)
    bases = {kind: value["rope_theta"] for kind, value in model.config.rope_parameters.items()}
    assert bases == {FULL: pytest.approx(raised_base(10_000.0, OLD, NEW), rel=0.01), LOCAL: 10_000.0}
    assert model.config.local_attention == 16
    assert [value.name for value in found.told] == [
        "context",
        "RoPE base of global layers",
        "RoPE base of local layers",
    ]
    assert found.told[-1].reason == "as before: these layers see no further than 8 tokens"


def test_local_layers_that_see_beyond_the_old_context_are_extended_too() -> None:
    model, _, _ = made("modernbert", context=4)
    parameters = extension(model, NEW, "base").parameters
    assert parameters[LOCAL]["rope_theta"] == parameters[FULL]["rope_theta"] > 10_000


@torch.no_grad()
@pytest.mark.parametrize("rope", get_args(Rope))
def test_packed_rows_of_a_longer_context_are_computed_as_alone(rope: Any) -> None:
    model, tokenizer, _ = made("qwen3", window=16)
    extend(model, tokenizer, extension(model, NEW, rope))
    lengths = np.array([200, 90, 90, 7])
    batch = Flat.of(np.random.default_rng(0).integers(5, 200, lengths.sum()), lengths)
    together = token_logits(model, batch).split(lengths.tolist())
    for found, ids in zip(together, batch.input_ids.split(lengths.tolist()), strict=True):
        torch.testing.assert_close(found, model(ids[None]).logits[0], atol=1e-4, rtol=1e-4)


def test_what_is_set_is_told_with_its_reason() -> None:
    model, _, _ = made("llama")
    told = extension(model, NEW, "base").told
    assert [(one.name, one.value) for one in told] == [("context", NEW), ("RoPE base", 2_450_000.0)]
    assert told[0].reason == "64 before"
    assert "Liu et al. 2023" in told[1].reason
    assert [(one.name, one.value) for one in extension(model, NEW, "yarn").told][1] == ("RoPE factor", 4.0)
    assert model.config.max_position_embeddings == OLD, "nothing is set before it is asked for"


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_a_model_that_learns_its_places_is_refused_by_name(family: str) -> None:
    models: dict[str, Any] = {
        "bert": lambda: BertForMaskedLM(
            BertConfig(
                vocab_size=20,
                hidden_size=8,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=8,
                max_position_embeddings=64,
            )
        ),
        "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2, n_positions=64)),
    }
    model = models[family]()
    assert not can_extend(model)
    with pytest.raises(ModelError, match=f"{family} cannot .* a learnt vector for each of its 64 places"):
        extension(model, NEW, "base")


def test_a_rotary_embedding_is_not_scaled_twice_but_its_base_may_rise_again() -> None:
    model, tokenizer, _ = made("llama")
    extend(model, tokenizer, extension(model, 128, "base"))
    assert can_extend(model)
    extend(model, tokenizer, extension(model, NEW, "linear"))
    assert not can_extend(model)
    with pytest.raises(ModelError, match="scaled already") as caught:
        extension(model, 512, "yarn")
    assert caught.value.found == "linear"


def test_a_context_that_is_there_already_is_refused() -> None:
    model, _, _ = made("llama")
    with pytest.raises(UsageError, match="reads 64 tokens already"):
        extension(model, OLD, "base")
