"""What follows from a size, and that the models made from it are ordinary ones of transformers."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from tiny import byte_tokenizer
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, GenerationConfig, ModernBertConfig
from transformers import ModernBertForSequenceClassification as Plain

from sixfold.errors import UsageError
from sixfold.models import lineage, load, save
from sixfold.models.head import Head
from sixfold.models.scratch import SIZES, character_tokenizer, decoder, encoder
from sixfold.models.sizes import LAYERS_AND_HEADS, SET, Size, SizeName, Training, best_rate, shape, training

TOKENIZER = character_tokenizer(["the cat sat on the mat", "你好你好", "sat on the cat"])
SMALL = Size(3, 32, 2, 64, context=64, window=None, rope_base=10_000.0, deviation=0.1)


def drawn(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize(("name", "width"), [("tiny", 128), ("mini", 192), ("small", 384)])
def test_an_encoder_for_finetuning_is_what_it_always_was(name: str, width: int) -> None:
    layers = {"tiny": 2, "mini": 4, "small": 6}[name]
    usual = ModernBertConfig(
        vocab_size=len(TOKENIZER),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        intermediate_size=2 * width,
        max_position_embeddings=512,
        pad_token_id=TOKENIZER.pad_token_id,
        bos_token_id=TOKENIZER.cls_token_id,
        eos_token_id=TOKENIZER.sep_token_id,
        cls_token_id=TOKENIZER.cls_token_id,
        sep_token_id=TOKENIZER.sep_token_id,
        embedding_dropout=0.1,
        mlp_dropout=0.1,
        classifier_dropout=0.1,
    )
    made = encoder(name, TOKENIZER, Head("text_classification", ("LABEL_0", "LABEL_1")), seed=5)
    expected_config, config = usual.to_dict(), made.config.to_dict()
    assert config.pop("architectures") is None
    assert expected_config.pop("architectures") is None
    assert config == expected_config
    with torch.random.fork_rng():
        torch.manual_seed(5)
        expected = drawn(Plain(usual))
    found = drawn(made)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


def saved(model: Any, tokenizer: Any, folder: Path) -> Path:
    save(model, tokenizer, folder, lineage.build(parent=None))
    return folder


@torch.no_grad()
def test_a_masked_encoder_loads_unchanged_in_transformers(tmp_path: Path) -> None:
    model = encoder(SMALL, TOKENIZER, Head("masked_lm"), seed=1)
    folder = saved(model, TOKENIZER, tmp_path / "made")
    plain = AutoModelForMaskedLM.from_pretrained(folder).eval()
    ids = torch.tensor([TOKENIZER("the cat sat")["input_ids"]])
    assert torch.equal(plain(ids).logits, model(ids).logits)
    assert plain.decoder.weight is plain.model.embeddings.tok_embeddings.weight
    for name in ("pad", "cls", "sep"):
        assert getattr(plain.config, f"{name}_token_id") == getattr(TOKENIZER, f"{name}_token_id") is not None
    ours = load(folder, Head("masked_lm"))
    assert (ours.new_weights, ours.unused_weights) == ((), ())
    assert torch.equal(ours.model(ids).logits, model(ids).logits)


@torch.no_grad()
@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_a_decoder_loads_unchanged_in_transformers(architecture: Any, tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(64)
    model = decoder(SMALL, tokenizer, seed=1, architecture=architecture)
    folder = saved(model, tokenizer, tmp_path / "made")
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = torch.tensor([tokenizer("the cat sat")["input_ids"]])
    assert torch.equal(plain(ids).logits, model(ids).logits)
    assert plain.lm_head.weight is plain.model.embed_tokens.weight
    assert (plain.config.model_type, plain.config.max_position_embeddings) == (architecture, 64)
    for config in (plain.config, GenerationConfig.from_pretrained(folder)):
        for name in ("pad", "bos", "eos"):
            assert getattr(config, f"{name}_token_id") == getattr(tokenizer, f"{name}_token_id") is not None
    ours = load(folder, Head("causal_lm"))
    assert (ours.new_weights, ours.unused_weights) == ((), ())
    assert torch.equal(ours.model(ids).logits, model(ids).logits)


def test_an_end_of_text_that_doubles_as_padding_is_learnt() -> None:
    tokenizer = byte_tokenizer(64, pad=False)
    tokenizer.pad_token = tokenizer.eos_token
    model = decoder(SMALL, tokenizer, seed=1)
    ids = torch.tensor([[tokenizer.eos_token_id, 7, 8]])
    model.model(ids).last_hidden_state.square().sum().backward()
    assert model.model.embed_tokens.weight.grad[tokenizer.eos_token_id].abs().sum() > 0


def test_the_same_seed_draws_the_same_weights_and_leaves_the_caller_s_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    one, two, other = (drawn(decoder(SMALL, TOKENIZER, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["lm_head.weight"], other["lm_head.weight"])


@torch.no_grad()
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_initial_weights_have_the_deviation_of_the_formula(kind: Any) -> None:
    size, _ = shape(kind, "tiny")
    assert size.deviation == pytest.approx(math.sqrt(2 / (5 * 128)), rel=1e-3)
    # ModernBERT's class cuts its normal distribution off at two deviations, which leaves 0.88 of one.
    kept = {"encoder": 0.88, "decoder": 1.0}[kind] * size.deviation
    back = kept / math.sqrt(2 * size.layers)
    if kind == "encoder":
        layer = encoder(size, TOKENIZER, Head("masked_lm"), seed=1).model.layers[0]
        into, out = (layer.attn.Wqkv, layer.mlp.Wi), (layer.attn.Wo, layer.mlp.Wo)
    else:
        layer = decoder(size, TOKENIZER, seed=1).model.layers[0]
        into, out = (layer.self_attn.q_proj, layer.mlp.up_proj), (layer.self_attn.o_proj, layer.mlp.down_proj)
    assert [float(linear.weight.std()) for linear in into] == pytest.approx([kept, kept], rel=0.03)
    assert [float(linear.weight.std()) for linear in out] == pytest.approx([back, back], rel=0.03)


@torch.no_grad()
def test_a_new_model_knows_nothing_whatever_its_width() -> None:
    tokenizer = byte_tokenizer(64)
    ids = torch.randint(0, len(tokenizer), (4, 32), generator=torch.Generator().manual_seed(0))
    for width in (64, 256):
        size, _ = shape("decoder", "tiny", width=width)
        loss = decoder(size, tokenizer, seed=1)(ids, labels=ids).loss
        assert float(loss) == pytest.approx(math.log(len(tokenizer)) + 0.2, abs=0.1)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
@pytest.mark.parametrize("name", ["tiny", "mini"])
def test_the_matrices_are_counted(kind: Any, name: str) -> None:
    size, _ = shape(kind, name)
    with torch.device("meta"):
        model = (
            encoder(size, TOKENIZER, Head("none"), seed=1) if kind == "encoder" else decoder(size, TOKENIZER, seed=1)
        )
    inside = [p.numel() for name, p in model.named_parameters() if "layers." in name and p.ndim == 2]
    assert size.matrices == sum(inside)


def test_the_sizes_grow_evenly() -> None:
    assert tuple(LAYERS_AND_HEADS) == get_args(SizeName)
    for kind in ("encoder", "decoder"):
        counts = [shape(kind, name)[0].matrices for name in LAYERS_AND_HEADS]  # type: ignore[arg-type]
        growth = [after / before for before, after in itertools.pairwise(counts)]
        assert min(growth) > 2
        assert max(growth) < 7


def test_every_value_of_a_shape_is_told() -> None:
    size, told = shape("decoder", "small")
    assert size == Size(6, 384, 6, 1024, context=1024, window=None, rope_base=10_000.0, deviation=0.03227)
    assert [(each.name, each.value, each.reason) for each in told] == [
        ("layers", 6, "a small decoder"),
        ("width", 384, "6 heads of 64"),
        ("heads", 6, "384/64"),
        ("inner width", 1024, "8/3 × 384, in whole 64s"),
        ("context", 1024, "as GPT-2"),
        ("RoPE base", 10_000.0, "10,000 × (1,024/1,024)^4/3, at least 10,000"),
        ("initial deviation", 0.03227, "√(2/(5 × 384))"),
    ]


def test_what_is_set_is_taken_and_the_rest_follows_from_it() -> None:
    size, told = shape("decoder", "tiny", layers=4, width=128, heads=4, context=64)
    assert (size.layers, size.width, size.heads, size.inner, size.context) == (4, 128, 4, 384, 64)
    assert [each.name for each in told if each.reason == SET] == ["layers", "width", "heads", "context"]
    assert shape("encoder", "tiny", width=256)[0].heads == 4


@pytest.mark.parametrize(("width", "heads"), [(100, 3), (96, 96), (130, 4)])
def test_heads_that_do_not_fit_the_width_are_told(width: int, heads: int) -> None:
    with pytest.raises(UsageError, match="multiple of the heads") as caught:
        shape("decoder", "tiny", width=width, heads=heads)
    assert caught.value.found == f"width {width}, {heads} heads"


def test_a_size_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        shape("encoder", "smal")
    assert caught.value.nearest == "small"


def test_long_contexts_get_local_attention_and_a_larger_rope_base() -> None:
    short, long = (shape("encoder", "mini", context=context)[0] for context in (512, 8192))
    assert (short.window, short.rope_base) == (None, 10_000.0)
    assert (long.window, long.rope_base) == (128, 160_000.0)
    models = [encoder(size, TOKENIZER, Head("none"), seed=1).config for size in (short, long)]
    near, far = "sliding_attention", "full_attention"
    assert models[0].layer_types == [far] * 4
    assert models[1].layer_types == [far, near, near, far]
    assert (models[1].local_attention, models[1].max_position_embeddings) == (128, 8192)
    assert {kind: value["rope_theta"] for kind, value in models[1].rope_parameters.items()} == {
        far: 160_000.0,
        near: 10_000.0,
    }
    assert shape("decoder", "tiny", context=8192)[0].window is None


@torch.no_grad()
def test_a_window_that_is_set_is_that_of_two_of_three_layers() -> None:
    near, far = "sliding_attention", "full_attention"
    size, told = shape("decoder", "mini", width=32, heads=2, context=64, window=8)
    assert ("attention", "local (8)") in [(each.name, each.value) for each in told]
    model = decoder(size, byte_tokenizer(64), seed=1, architecture="qwen3")
    assert (model.config.layer_types, model.config.sliding_window) == ([far, near, near, far], 8)
    model.config.layer_types[:] = [near] * 4
    ids = torch.randint(5, 200, (1, 40), generator=torch.Generator().manual_seed(0))
    changed = ids.clone()
    changed[0, 0] += 1
    seen = (model(ids).logits - model(changed).logits)[0].abs().amax(-1) > 1e-6
    assert seen[: 4 * 7 + 1].all()
    assert not seen[4 * 7 + 1 :].any(), "four layers reach back four windows"
    assert shape("encoder", "mini", context=64, window=32)[0].window == 32
    with pytest.raises(AssertionError, match="llama has no windows"):
        decoder(size, byte_tokenizer(64), seed=1)


def plan(kind: Any = "decoder", **changes: Any) -> Training:
    given = {"width": 128, "parameters": 1_500_000, "corpus_tokens": 10_000_000, "context": 512, **changes}
    return training(kind, **given)


def test_every_value_of_a_training_is_told() -> None:
    found = plan(optimiser="adamw")
    assert [(each.name, each.value) for each in found.told] == [
        ("epochs", 3.0),
        ("tokens", 30_000_000),
        ("batch tokens", 10_752),  # 0.58 × 30,000,000^0.571 is 10,791: 21 contexts
        ("steps", 2790),
        ("optimiser", "adamw"),
        ("learning rate", 0.00614),
        ("schedule", "linear"),
        ("warm-up", 0.1),
        ("weight decay", 0.1),
    ]
    assert found.told[0].reason == "20 tokens for each of 1,500,000 parameters (Hoffmann et al. 2022)"
    assert found.told[5].reason == "(30,000,000/10^8)^0.2/128"
    values = {each.name: each.value for each in found.told}
    assert (found.epochs, found.tokens, found.batch_tokens) == (3.0, 30_000_000, values["batch tokens"])
    assert (found.learning_rate, found.muon_rate) == (values["learning rate"], None)
    assert plan("encoder").told[-1].name == "dropout"


def test_muon_is_the_usual_optimiser_of_a_new_model_and_has_its_own_rate() -> None:
    found = plan(width=192)
    assert (found.optimiser, found.muon_rate, found.learning_rate) == ("muon", 0.02, 0.008)
    assert [each.value for each in found.told if "rate" in each.name] == [0.008, 0.02]


def test_what_is_set_of_a_training_is_taken() -> None:
    found = plan(epochs=0.5, batch_tokens=2048, optimiser="muon", learning_rate=1e-3, muon_rate=0.01)
    assert (found.epochs, found.tokens, found.batch_tokens) == (0.5, 5_000_000, 2048)
    assert (found.learning_rate, found.muon_rate) == (1e-3, 0.01)
    told = {each.name for each in found.told if each.reason == SET}
    assert told == {"epochs", "batch tokens", "optimiser", "learning rate", "Muon's rate"}


@pytest.mark.parametrize(("kind", "most", "dropout"), [("decoder", 4.0, 0.0), ("encoder", 40.0, 0.1)])
def test_a_short_text_is_read_as_often_as_it_teaches(kind: Any, most: float, dropout: float) -> None:
    found = plan(kind, corpus_tokens=100_000)
    assert (found.epochs, found.dropout) == (most, dropout)
    assert found.told[0].reason == "the text is short: 300 would give 20 tokens a parameter"


def test_of_a_long_text_a_small_model_reads_a_part_and_says_so() -> None:
    found = plan(corpus_tokens=300_000_000)
    assert (found.epochs, found.tokens) == (0.1, 30_000_000)
    assert "a larger size would read more" in found.told[0].reason


def test_a_batch_is_at_least_one_context() -> None:
    assert plan(epochs=1, corpus_tokens=5_000, context=1024).batch_tokens == 1024


def test_the_rate_falls_with_the_width_and_follows_a_batch_that_was_set() -> None:
    assert best_rate(256, 10**8) == best_rate(128, 10**8) / 2 == 1 / 256
    usual = plan(optimiser="adamw")
    four = plan(optimiser="adamw", batch_tokens=4 * usual.batch_tokens)
    assert four.learning_rate == pytest.approx(2 * usual.learning_rate, rel=0.01)


def test_warm_up_is_two_thousand_steps_of_a_long_run() -> None:
    found = plan(corpus_tokens=10**9, epochs=1, batch_tokens=10_000)
    assert found.warmup == 2_000 / 100_000


def test_the_encoders_of_finetuning_keep_their_names() -> None:
    assert {name: (size.layers, size.width, size.heads, size.inner) for name, size in SIZES.items()} == {
        "tiny": (2, 128, 2, 256),
        "mini": (4, 192, 3, 384),
        "small": (6, 384, 6, 768),
    }
