"""Adapters of every kind: nothing at first, only they and the head learn, merged the same, saved they come back."""

import json
from dataclasses import asdict

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny import tiny_decoder, tiny_encoder

from sixfold.errors import ModelError, UsageError
from sixfold.models import adapters, load
from sixfold.models.adapters import AdaLora, BitFit, Bottleneck, Lora
from sixfold.models.adapters.files import CONFIG, WEIGHTS
from sixfold.models.head import Head

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SMALL |= {"vocab_size": 40, "pad_token_id": 0, "num_labels": 3, "max_position_embeddings": 40, "num_key_value_heads": 2}
IDS = torch.tensor([[1, 5, 9, 3]])
KEPT = {"task": "text_classification", "labels": ["a", "b", "c"], "max_tokens": 64}

MADE = {
    "bert": (transformers.BertConfig, transformers.BertForSequenceClassification),
    "bert tags": (transformers.BertConfig, transformers.BertForTokenClassification),
    "roberta": (transformers.RobertaConfig, transformers.RobertaForSequenceClassification),
    "modernbert": (transformers.ModernBertConfig, transformers.ModernBertForSequenceClassification),
    "llama": (transformers.LlamaConfig, transformers.LlamaForSequenceClassification),
    "qwen": (transformers.Qwen2Config, transformers.Qwen2ForSequenceClassification),
}
KINDS = {
    "lora": Lora(4, 8.0),
    "adalora": AdaLora(2, 3, 6.0),
    "houlsby": Bottleneck(5, "houlsby", "gelu"),
    "pfeiffer": Bottleneck(5),
    "bitfit": BitFit(),
}
PAIRS = [(family, kind) for family in MADE for kind in KINDS if (family, kind) != ("llama", "bitfit")]
PAIRS.remove(("modernbert", "bitfit"))


def made(family="bert", seed=0):
    config, kind = MADE[family]
    torch.manual_seed(seed)
    return kind(config(**SMALL, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2)).eval()


def said(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def learnt(model, seed=1):
    """As if it had learnt: what may change has changed."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            if value.requires_grad:
                value.add_(0.3 * torch.randn(value.shape, generator=random))


def names(model):
    return {name for name, value in model.named_parameters() if value.requires_grad}


def saved(model, adapter, folder, **changes):
    adapters.save(model, adapter, folder, **{"base": "a base", "base_digest": "abc", "kept": KEPT, **changes})


@pytest.mark.parametrize(("family", "kind"), PAIRS)
def test_it_changes_nothing_at_first_learns_and_comes_back_bit_for_bit(family, kind, tmp_path):
    model, plain, adapter = made(family), made(family), KINDS[kind]
    added = adapters.add(model, adapter, seed=3)
    assert torch.equal(said(model), said(plain))
    assert added.whole == sum(p.numel() for p in plain.parameters())
    assert added.learning == sum(p.numel() for p in model.parameters() if p.requires_grad)
    model(input_ids=IDS).logits.sum().backward()
    assert all(value.grad is not None for value in model.parameters() if value.requires_grad)
    frozen = {name: value.clone() for name, value in plain.state_dict().items()}
    learnt(model)
    assert not torch.allclose(said(model), said(plain))
    saved(model, adapter, tmp_path / "one", rows=7)
    again = made(family)
    told = adapters.load(again, tmp_path / "one", base_digest="abc")
    assert torch.equal(said(again), said(model))
    assert names(again) == names(model)
    assert (told.adapter, told.base, told.kept, told.rows) == (adapter, "a base", KEPT, 7)
    assert told.parameters == sum(value.numel() for value in load_file(tmp_path / "one" / WEIGHTS).values())
    assert adapters.read(tmp_path / "one") == told
    kept = {name: value for name, value in again.state_dict().items() if name in frozen and name not in names(again)}
    assert all(torch.equal(value, frozen[name]) for name, value in kept.items())


@pytest.mark.parametrize(("family", "kind"), PAIRS)
def test_merged_it_computes_the_same(family, kind):
    model = made(family)
    adapters.add(model, KINDS[kind], seed=3)
    learnt(model)
    before = said(model)
    if isinstance(KINDS[kind], Bottleneck):
        with pytest.raises(ModelError, match="bottleneck adapter cannot be merged"):
            adapters.merge(model)
        assert torch.equal(said(model), before)
        return
    adapters.merge(model)
    torch.testing.assert_close(said(model), before, rtol=1e-5, atol=1e-5)
    assert set(model.state_dict()) == set(made(family).state_dict())


def test_the_head_that_learns_is_all_outside_the_base_and_the_pooler():
    head = {
        "bert": {"bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"},
        "bert tags": {"classifier.weight", "classifier.bias"},
        "modernbert": {"head.dense.weight", "head.norm.weight", "classifier.weight", "classifier.bias"},
        "llama": {"score.weight"},
    }
    for family, wanted in head.items():
        with_head, without = made(family), made(family)
        adapters.add(with_head, Lora(2), seed=0)
        adapters.add(without, Lora(2), seed=0, head=False)
        assert names(with_head) - names(without) == wanted
        assert all("lora" in name for name in names(without))


def test_a_language_models_head_does_not_learn(tmp_path):
    model = load(tiny_decoder(tmp_path / "base"), Head("causal_lm")).model
    adapters.add(model, Bottleneck(3), seed=0)
    assert all(".down_proj.down." in name or ".down_proj.up." in name for name in names(model))
    saved(model, Bottleneck(3), tmp_path / "one")
    assert adapters.head(tmp_path / "one") == {}
    assert adapters.read(tmp_path / "one").head == Head("causal_lm")


def test_bottlenecks_stand_behind_each_sub_layer_and_before_the_residual_sum():
    model = made()
    adapters.add(model, KINDS["houlsby"], seed=0, head=False)
    learnt(model)
    layer = model.bert.encoder.layer[0].attention.output
    assert model.bert.encoder.layer[1].output.dense.down.weight.shape == (5, 16)
    inner, outer = torch.randn(1, 2, 16), torch.randn(1, 2, 16)
    hidden = torch.nn.functional.linear(inner, layer.dense.base.weight, layer.dense.base.bias)
    bent = torch.nn.functional.gelu(hidden @ layer.dense.down.weight.T + layer.dense.down.bias)
    wanted = layer.LayerNorm(hidden + bent @ layer.dense.up.weight.T + layer.dense.up.bias + outer)
    torch.testing.assert_close(layer(inner, outer), wanted)
    assert sum("down.weight" in name for name in names(model)) == 4
    one = made()
    adapters.add(one, Bottleneck(5), seed=0, head=False)
    assert {name.rpartition(".down")[0] for name in names(one) if ".down." in name} == {
        f"bert.encoder.layer.{number}.output.dense" for number in range(2)
    }


def test_a_family_without_known_places_is_refused_and_left_as_it_is():
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=40, pad_token_id=0)
    model = transformers.GPT2ForSequenceClassification(config)
    for adapter in (Bottleneck(4), Lora(4)):
        with pytest.raises(ModelError, match="not known where" if isinstance(adapter, Bottleneck) else "no linear"):
            adapters.add(model, adapter, seed=0)
    assert all(value.requires_grad for value in model.parameters())


def test_only_biases_of_the_base_learn():
    model = made()
    adapters.add(model, BitFit(), seed=0, head=False)
    assert names(model) == {
        name
        for name, _ in made().named_parameters()
        if name.endswith("bias") and "pooler" not in name and "classifier" not in name
    }
    with pytest.raises(ModelError, match="no biases"):
        adapters.add(made("llama"), BitFit(), seed=0)
    qwen = made("qwen")
    adapters.add(qwen, BitFit(), seed=0, head=False)
    assert len(names(qwen)) == 6  # of queries, keys, values


def test_a_second_adapter_is_refused():
    model = made()
    adapters.add(model, Lora(2), seed=0)
    with pytest.raises(ModelError, match="an adapter already"):
        adapters.add(model, Bottleneck(2), seed=0)


def test_an_adapter_of_another_base_without_its_head_or_of_another_shape_is_refused(tmp_path):
    model, folder = made(), tmp_path / "one"
    adapters.add(model, Lora(2), seed=0)
    saved(model, Lora(2), folder)
    other = made()
    with pytest.raises(ModelError, match="another base") as told:
        adapters.load(other, folder, base_digest="abd")
    assert "made on abc" in str(told.value)
    other.config.id2label = {0: "a", 1: "b", 2: "c"}
    with pytest.raises(ModelError, match="other labels"):
        adapters.load(other, folder, base_digest="abc")
    other = made()
    weights = load_file(folder / WEIGHTS)
    named = "base_model.model.classifier."
    cases = {
        "lacks weights of its head": {name: v for name, v in weights.items() if name != f"{named}weight"},
        "classifier.bias is": {**weights, f"{named}bias": torch.zeros(4)},
        "does not fit": {**weights, "base_model.model.more": torch.zeros(1)},
    }
    for message, changed in cases.items():
        save_file(changed, folder / WEIGHTS)
        with pytest.raises(ModelError, match=message):
            adapters.load(other, folder, base_digest="abc")
    save_file(cases["lacks weights of its head"], folder / WEIGHTS)
    with pytest.raises(ModelError, match=r"classifier\.weight") as told:
        adapters.load(other, folder, base_digest="abc")
    assert all(value.requires_grad for value in other.parameters()), "untouched"
    assert torch.equal(said(other), said(made()))
    (folder / WEIGHTS).write_bytes(b"cut")
    with pytest.raises(ModelError, match="cut short"):
        adapters.load(other, folder, base_digest="abc")
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="no weights"):
        adapters.load(other, folder, base_digest="abc")


@pytest.mark.parametrize(
    "change",
    [
        {"adapter": {"kind": "ia3"}},
        {"adapter": {"kind": "lora", "rank": -1}},
        {"adapter": {"kind": "lora", "more": 1}},
        {"adapter": {"kind": "adalora", "rank": 9, "start_rank": 3}},
        {"adapter": {"kind": "bottleneck", "placement": "there"}},
        {"adapter": None},
        {"head": {"kind": "nothing"}},
        {"head": {"kind": "text_classification", "labels": ["a", "a"]}},
        {"kept": 3},
        {"parameters": "many"},
        {"base_digest": None},
    ],
)
def test_what_an_adapter_says_of_itself_is_checked(change, tmp_path):
    model = made()
    adapters.add(model, Lora(2), seed=0)
    saved(model, Lora(2), tmp_path)
    told = json.loads((tmp_path / CONFIG).read_text())
    told["sixfold"].update(change)
    (tmp_path / CONFIG).write_text(json.dumps(told))
    with pytest.raises(ModelError, match="says of itself"):
        adapters.read(tmp_path)


def test_settings_that_mean_nothing_are_refused():
    for wrong in (
        lambda: Lora(0),
        lambda: Lora(alpha=float("nan")),
        lambda: AdaLora(8, 4),
        lambda: AdaLora(start=0.6, end=0.5),
        lambda: Bottleneck(placement="here"),
        lambda: Bottleneck(activation="step"),
    ):
        with pytest.raises(UsageError):
            wrong()


def test_updates_are_what_merging_adds(tmp_path):
    for number, adapter in enumerate((Lora(4, 8.0), AdaLora(2, 3, 6.0))):
        model, folder = made(), tmp_path / str(number)
        adapters.add(model, adapter, seed=0)
        learnt(model)
        if isinstance(adapter, AdaLora):
            with torch.no_grad():
                model.bert.encoder.layer[0].attention.self.query.lora_E[1] = 0.0
        saved(model, adapter, folder)
        ranks = adapters.ranks(model)
        found, merged = adapters.updates(folder), made()
        assert {path: len(down) for path, (down, _, _) in found.items()} == ranks
        if isinstance(adapter, AdaLora):
            assert ranks["bert.encoder.layer.0.attention.self.query"] == 2
            assert sum(ranks.values()) == 3 * len(ranks) - 1
        with torch.no_grad():
            for path, (down, up, scale) in found.items():
                merged.get_submodule(path).weight += scale * up @ down
            for name, value in adapters.head(folder).items():
                merged.get_parameter(name).copy_(value)
        torch.testing.assert_close(said(merged), said(model), rtol=1e-5, atol=1e-5)
        assert set(adapters.head(folder)) == set(names(made())) & {
            *("bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias")
        }
    model = made()
    adapters.add(model, BitFit(), seed=0)
    saved(model, BitFit(), tmp_path / "bits")
    with pytest.raises(ModelError, match="only lora and adalora"):
        adapters.updates(tmp_path / "bits")


def test_the_files_are_in_the_form_of_peft(tmp_path):
    model = made()
    adapters.add(model, AdaLora(2, 3, 6.0, ("query", "value")), seed=0)
    saved(model, AdaLora(2, 3, 6.0, ("query", "value")), tmp_path)
    told = json.loads((tmp_path / CONFIG).read_text())
    wanted = {"peft_type": "ADALORA", "task_type": "SEQ_CLS", "init_r": 3, "target_r": 2, "lora_alpha": 6.0}
    assert wanted.items() <= told.items()
    assert (told["target_modules"], told["modules_to_save"]) == (["query", "value"], ["classifier", "pooler"])
    own = {name.removeprefix("base_model.model.bert.encoder.layer.0.") for name in load_file(tmp_path / WEIGHTS)}
    assert {f"attention.self.query.lora_{part}" for part in "AEB"} <= own
    assert {"base_model.model.classifier.bias", "base_model.model.bert.pooler.dense.weight"} <= own
    whole = made()
    adapters.add(whole, Lora(2), seed=0)
    saved(whole, Lora(2), tmp_path / "whole")
    targets = json.loads((tmp_path / "whole" / CONFIG).read_text())["target_modules"]
    assert "bert.encoder.layer.0.output.dense" in targets, "a pooler has a layer called dense too"
    assert sorted(path.name for path in (tmp_path / "whole").iterdir()) == [CONFIG, WEIGHTS]


@pytest.mark.parametrize("kind", ["lora", "adalora"])
def test_peft_computes_the_same_where_it_is_installed(kind, tmp_path):
    peft = pytest.importorskip("peft")
    model = made()
    adapters.add(model, KINDS[kind], seed=0)
    learnt(model)
    saved(model, KINDS[kind], tmp_path)
    theirs = peft.PeftModel.from_pretrained(made(), tmp_path).eval()
    torch.testing.assert_close(said(theirs), said(model), rtol=1e-4, atol=1e-5)


@pytest.fixture
def tuned(tmp_path):
    """A base checkpoint of two labels, and the folder of an adapter with three others."""
    base = tiny_encoder(tmp_path / "base")

    def adapted(name, adapter, labels=("x", "y", "z"), kind="text_classification", several=False):
        loaded = load(base, Head(kind, labels, several), seed=5)
        adapters.add(loaded.model, adapter, seed=0)
        learnt(loaded.model)
        folder = base / "adapters" / name
        saved(loaded.model, adapter, folder, base_digest=loaded.digest, base="base")
        return loaded

    return base, adapted


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_with_an_adapter_has_that_ones_head_and_labels(kind, tuned):
    base, adapted = tuned
    other, several = adapted("one", KINDS[kind]), adapted("two", KINDS[kind], ("p", "q"), several=True)
    found = adapters.load_adapted(base, "one", seed=9)
    assert torch.equal(said(found.model), said(other.model.eval()))
    assert found.model.config.id2label == {0: "x", 1: "y", 2: "z"}
    assert (found.new_weights, found.model.training) == ((), False)
    second = adapters.load_adapted(base, "two", seed=9)
    assert second.model.config.problem_type == "multi_label_classification"
    assert torch.equal(said(second.model), said(several.model.eval()))
    assert len({load(base, Head("none")).digest, found.digest, second.digest}) == 3
    assert load(base, Head("none")).digest == other.digest, "adapters beside it are no part of a base"
    assert adapters.names(base) == ["one", "two"]


def test_tags_and_order_have_their_heads(tuned):
    base, adapted = tuned
    adapted("tags", Lora(2), ("O", "B-X"), "token_classification")
    adapted("order", Lora(2), (), "sentence_order")
    assert adapters.read(base / "adapters/tags").head == Head("token_classification", ("O", "B-X"))
    assert adapters.read(base / "adapters/order").head == Head("sentence_order")
    assert adapters.load_adapted(base, "tags").model(input_ids=IDS).logits.shape == (1, 4, 2)


def test_names_stay_inside_their_folder(tuned, tmp_path):
    base, adapted = tuned
    adapted("one", Lora(2))
    for name in ("two", "../one", "", ".", "one/", "/etc"):
        with pytest.raises(UsageError, match="there is no adapter"):
            adapters.folder_of(base, name)
    (base / "adapters" / "two").symlink_to(tmp_path)
    with pytest.raises(ModelError, match="a link"):
        adapters.folder_of(base, "two")
    assert adapters.names(tmp_path) == []


def test_reading_and_importing_need_no_torch(tmp_path):
    import subprocess
    import sys

    model = made()
    adapters.add(model, Lora(2), seed=0)
    saved(model, Lora(2), tmp_path)
    code = (
        "import sys; from pathlib import Path; from sixfold.models import adapters; "
        "told = adapters.read(Path(sys.argv[1])); assert told.kind == 'lora'; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_defaults_survive_json():
    for kind in (Lora, AdaLora, Bottleneck, BitFit):
        told = json.loads(json.dumps(asdict(kind())))
        assert (
            kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in told.items()}) == kind()
        )
