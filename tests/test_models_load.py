"""Heads on base models: which weights are new, which are kept, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tiny_decoder, tiny_encoder

from sixfold.errors import ModelError, UsageError
from sixfold.models import Head, load, save

AB = Head("text_classification", ("a", "b"))
TAGS = Head("token_classification", ("O", "B-X"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("models") / "encoder", dropout=0.1)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory) -> Path:
    return tiny_decoder(tmp_path_factory.mktemp("models") / "decoder")


@pytest.fixture(scope="module")
def classifier(encoder) -> Path:
    loaded = load(encoder, AB, seed=7)
    save(loaded.model, loaded.tokenizer, encoder.with_name("classifier"), {})
    return encoder.with_name("classifier")


@pytest.mark.parametrize(
    ("head", "name", "new"),
    [
        (Head("none"), "BertModel", ()),
        (Head("embedding"), "BertModel", ()),
        (AB, "BertForSequenceClassification", ("classifier.bias", "classifier.weight")),
        (Head("sentence_order"), "BertForSequenceClassification", ("classifier.bias", "classifier.weight")),
        (TAGS, "BertForTokenClassification", ("classifier.bias", "classifier.weight")),
        (Head("question_answering"), "BertForQuestionAnswering", ("qa_outputs.bias", "qa_outputs.weight")),
    ],
)
def test_exactly_the_head_is_new_on_an_encoder(encoder, head, name, new):
    loaded = load(encoder, head)
    assert type(loaded.model).__name__ == name
    assert loaded.new_weights == new
    assert not loaded.model.training


def test_a_masked_lm_head_on_an_encoder_is_new_and_named(encoder):
    loaded = load(encoder, Head("masked_lm"))
    assert {name.rsplit(".", 1)[0] for name in loaded.new_weights} == {
        "cls.predictions",
        "cls.predictions.decoder",
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
    }
    embeddings = loaded.model.get_input_embeddings().weight
    assert loaded.model.cls.predictions.decoder.weight is embeddings


@pytest.mark.parametrize(
    ("head", "name", "new"),
    [
        (Head("causal_lm"), "LlamaForCausalLM", ()),
        (AB, "LlamaForSequenceClassification", ("score.weight",)),
        (TAGS, "LlamaForTokenClassification", ("score.bias", "score.weight")),
    ],
)
def test_exactly_the_head_is_new_on_a_decoder(decoder, head, name, new):
    loaded = load(decoder, head)
    assert type(loaded.model).__name__ == name
    assert loaded.new_weights == new
    assert loaded.notes == ()


def test_the_base_weights_are_those_of_the_file(encoder):
    stored = load_file(encoder / "model.safetensors")
    loaded = load(encoder, AB).model.bert.state_dict()
    assert set(loaded) == set(stored)
    assert all(torch.equal(loaded[name], stored[name]) for name in stored)


def test_changing_the_file_afterwards_does_not_change_the_model(encoder, tmp_path):
    folder = Path(shutil.copytree(encoder, tmp_path / "copy"))
    model = load(folder, Head("none")).model
    before = model.embeddings.word_embeddings.weight.clone()
    size = (folder / "model.safetensors").stat().st_size
    with open(folder / "model.safetensors", "r+b") as file:
        file.seek(size // 2)
        file.write(b"\1" * (size // 2))
    assert torch.equal(before, model.embeddings.word_embeddings.weight)


def test_the_same_seed_gives_the_same_head_whatever_was_drawn_before(encoder):
    first = load(encoder, AB, seed=3).model.classifier.weight
    torch.rand(1000)
    assert torch.equal(first, load(encoder, AB, seed=3).model.classifier.weight)
    assert not torch.equal(first, load(encoder, AB, seed=4).model.classifier.weight)


def test_loading_leaves_the_global_generator_alone(encoder):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load(encoder, AB, seed=5)
    assert torch.equal(torch.rand(3), expected)


def test_labels_are_written_into_the_configuration_and_read_back(classifier):
    assert json.loads((classifier / "config.json").read_text())["id2label"] == {"0": "a", "1": "b"}
    loaded = load(classifier, Head("text_classification"))
    assert loaded.model.config.id2label == {0: "a", 1: "b"}
    assert loaded.model.config.label2id == {"a": 0, "b": 1}
    assert loaded.new_weights == loaded.unused_weights == ()


def test_several_labels_at_once_is_written_into_the_configuration(encoder):
    head = Head("text_classification", ("a", "b"), multi_label=True)
    assert load(encoder, head).model.config.problem_type == "multi_label_classification"
    assert load(encoder, AB).model.config.problem_type == "single_label_classification"


def test_a_head_with_the_same_labels_is_kept(encoder, classifier):
    kept = load(classifier, AB, seed=99)
    assert torch.equal(kept.model.classifier.weight, load(encoder, AB, seed=7).model.classifier.weight)
    assert kept.new_weights == ()


@pytest.mark.parametrize(
    ("labels", "what"),
    [(("a", "c"), "other labels"), (("a", "b", "c"), "other labels"), (("b", "a"), "same labels in another order")],
)
def test_a_head_with_other_labels_is_an_error_that_shows_both(classifier, labels, what):
    with pytest.raises(ModelError, match=what) as caught:
        load(classifier, Head("text_classification", labels))
    assert caught.value.found == f"checkpoint: a, b; asked for: {', '.join(labels)}"


def test_a_head_for_one_label_is_not_taken_for_several(classifier):
    with pytest.raises(ModelError, match="another question"):
        load(classifier, Head("text_classification", ("a", "b"), multi_label=True))


@pytest.mark.parametrize("labels", [("a", "b"), ("b", "a"), ("x", "y", "z")])
def test_a_new_head_replaces_the_old_one_when_it_is_asked_for(classifier, labels):
    loaded = load(classifier, Head("text_classification", labels), seed=1, new_head=True)
    old = load_file(classifier / "model.safetensors")["classifier.weight"]
    assert loaded.new_weights == ("classifier.bias", "classifier.weight")
    assert loaded.unused_weights == ("classifier.bias", "classifier.weight")
    assert loaded.model.classifier.weight.shape[0] == len(labels)
    assert not torch.equal(loaded.model.classifier.weight[:2], old)


def test_a_head_of_another_task_with_the_same_shape_is_not_taken_for_this_ones(classifier):
    """Text and token classifiers of BERT are both called ``classifier``."""
    loaded = load(classifier, TAGS, seed=1)
    old = load_file(classifier / "model.safetensors")["classifier.weight"]
    assert loaded.model.classifier.weight.shape == old.shape
    assert not torch.equal(loaded.model.classifier.weight, old)
    assert loaded.new_weights == ("classifier.bias", "classifier.weight")
    assert loaded.unused_weights == ("bert.pooler.dense.bias", "bert.pooler.dense.weight", *loaded.new_weights)


def test_no_labels_means_the_checkpoints_own_and_it_is_an_error_when_it_has_none(encoder, classifier):
    with pytest.raises(ModelError, match="no text classification head"):
        load(encoder, Head("text_classification"))
    with pytest.raises(ModelError, match="no token classification head"):
        load(classifier, Head("token_classification"))


def test_a_masked_lm_head_is_dropped_for_a_classifier_and_named(encoder, tmp_path):
    loaded = load(encoder, Head("masked_lm"))
    save(loaded.model, loaded.tokenizer, tmp_path / "mlm", {})
    again = load(tmp_path / "mlm", AB)
    assert {name.split(".")[0] for name in again.unused_weights} == {"cls"}
    assert {name.split(".")[-2] for name in again.new_weights} == {"classifier", "dense"}  # dense: the pooler's
    assert load(tmp_path / "mlm", Head("masked_lm")).new_weights == ()


def rewrite(folder: Path, change) -> None:  # type: ignore[no-untyped-def]
    weights = load_file(folder / "model.safetensors")
    save_file(change(weights), folder / "model.safetensors", metadata={"format": "pt"})


def test_a_missing_weight_of_the_base_is_an_error_that_names_it(encoder, tmp_path):
    folder = Path(shutil.copytree(encoder, tmp_path / "hole"))
    name = "encoder.layer.1.output.dense.weight"
    rewrite(folder, lambda weights: {key: value for key, value in weights.items() if key != name})
    with pytest.raises(ModelError, match="1 weights are missing") as caught:
        load(folder, AB)
    assert caught.value.found == f"bert.{name}"


def test_a_missing_weight_of_a_head_that_should_be_there_is_an_error(classifier, tmp_path):
    folder = Path(shutil.copytree(classifier, tmp_path / "headless"))
    rewrite(folder, lambda weights: {key: value for key, value in weights.items() if key != "classifier.weight"})
    with pytest.raises(ModelError, match="missing") as caught:
        load(folder, Head("text_classification"))
    assert caught.value.found == "classifier.weight"


def test_a_weight_that_has_no_place_is_an_error_that_names_it(encoder, tmp_path):
    folder = Path(shutil.copytree(encoder, tmp_path / "more"))
    rewrite(folder, lambda weights: {**weights, "encoder.layer.2.output.dense.bias": torch.zeros(32)})
    with pytest.raises(ModelError, match="no place") as caught:
        load(folder, AB)
    assert caught.value.found.endswith("encoder.layer.2.output.dense.bias")


def test_weights_of_another_shape_are_an_error(encoder, tmp_path):
    folder = Path(shutil.copytree(encoder, tmp_path / "shape"))
    rewrite(folder, lambda weights: {**weights, "pooler.dense.bias": torch.zeros(5)})
    with pytest.raises(ModelError, match="do not fit"):
        load(folder, AB)


def test_an_encoder_without_the_asked_head_says_so(encoder):
    with pytest.raises(ModelError, match="the architecture bert has no seq2seq lm head"):
        load(encoder, Head("seq2seq_lm"))


def test_a_decoder_without_padding_gets_its_end_token_and_says_why(tmp_path):
    loaded = load(tiny_decoder(tmp_path / "d", pad=False), AB)
    assert loaded.tokenizer.pad_token == "<|im_end|>"
    assert loaded.model.config.pad_token_id == loaded.tokenizer.pad_token_id == loaded.tokenizer.eos_token_id
    assert len(loaded.notes) == 1
    assert "<|im_end|>" in loaded.notes[0]
    assert loaded.model.get_input_embeddings().padding_idx is None


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("head", [AB, TAGS])
def test_padding_changes_no_prediction_of_a_decoder(tmp_path, pad, head):
    loaded = load(tiny_decoder(tmp_path / "d", pad=pad), head)
    texts = ["good film", "a much longer text than the other one"]
    together = loaded.tokenizer(texts, padding=True, return_tensors="pt")
    alone = loaded.tokenizer(texts[:1], return_tensors="pt")
    with torch.no_grad():
        batch, single = loaded.model(**together).logits, loaded.model(**alone).logits
    if head is TAGS:
        batch = batch[:, : single.shape[1]]
    assert torch.allclose(batch[:1], single, atol=1e-5)


def test_dropout_is_set_everywhere_but_in_attention_and_the_other_way_round(encoder):
    config = load(encoder, AB, dropout=0.3, attention_dropout=0.0).model.config
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob, config.classifier_dropout) == (0.3, 0, 0.3)
    config = load(encoder, AB, attention_dropout=0.2).model.config
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.1, 0.2)
    config = load(encoder, AB, dropout=0).model.config
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0, 0)
    with pytest.raises(UsageError):
        load(encoder, AB, dropout=1.0)


def test_dtype_and_attention_are_as_asked_and_misspellings_show_the_nearest(encoder):
    assert load(encoder, AB).model.dtype == torch.float32
    loaded = load(encoder, AB, dtype="bfloat16", attention="eager").model
    assert (loaded.dtype, loaded.config._attn_implementation) == (torch.bfloat16, "eager")
    with pytest.raises(UsageError) as caught:
        load(encoder, AB, attention="spda")
    assert caught.value.nearest == "sdpa"
    with pytest.raises(UsageError):
        load(encoder, AB, dtype="float8")
    with pytest.raises(UsageError):
        load(encoder, AB, attention="somebody/kernel")


def test_a_checkpoint_in_half_precision_is_loaded_in_fp32(encoder, tmp_path):
    loaded = load(encoder, AB, dtype="bfloat16")
    save(loaded.model, loaded.tokenizer, tmp_path / "half", {})
    assert load(tmp_path / "half", AB).model.dtype == torch.float32


def test_the_tokenizers_limit_is_the_models(tmp_path):
    folder = tiny_encoder(tmp_path / "e", max_positions=32)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_max_length": 10**30}))
    assert load(folder, AB).tokenizer.model_max_length == 32


def test_the_chat_template_and_the_generation_settings_come_along(decoder, tmp_path):
    folder = Path(shutil.copytree(decoder, tmp_path / "chat"))
    (folder / "generation_config.json").write_text('{"max_new_tokens": 17, "eos_token_id": 2}')
    loaded = load(folder, Head("causal_lm"))
    assert loaded.model.generation_config.max_new_tokens == 17
    told = loaded.tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert told == "<|im_start|>user\nhi<|im_end|>\n"


def test_the_digest_is_the_checkpoints_and_not_the_heads(encoder, decoder):
    assert load(encoder, AB).digest == load(encoder, TAGS, seed=3).digest
    assert load(encoder, AB).digest != load(decoder, AB).digest


def test_sharded_weights_are_loaded_whole(encoder, tmp_path):
    model = load(encoder, Head("none")).model
    folder = Path(shutil.copytree(encoder, tmp_path / "shards"))
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    assert not (folder / "model.safetensors").exists()
    again = load(folder, AB)
    assert again.new_weights == ("classifier.bias", "classifier.weight")
    assert len(again.source.weights) > 1


def test_loading_prints_nothing_and_importing_the_package_does_not_import_torch(encoder):
    code = (
        "import sys; from sixfold.models import *; import sixfold.commands.models as m; m.table()\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
        f"load({str(encoder)!r}, Head('masked_lm'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_base_of_a_fine_tuned_modernbert_can_be_read_alone_and_get_a_head_again(tmp_path: Path) -> None:
    """Its head is two modules, of which one is named as no other model's is; a router reads the base without them."""
    from sixfold.models.scratch import character_tokenizer, encoder

    head = Head("text_classification", ("bad", "good"))
    tokenizer = character_tokenizer(["好书", "坏书"])
    save(encoder("tiny", tokenizer, head, seed=1), tokenizer, tmp_path / "checkpoint", {})
    whole = load(tmp_path / "checkpoint", head).model
    for kind in ("none", "embedding"):
        alone = load(tmp_path / "checkpoint", Head(kind)).model
        weight = alone.state_dict()["embeddings.tok_embeddings.weight"]
        assert torch.equal(weight, whole.state_dict()["model.embeddings.tok_embeddings.weight"])
        save(alone, tokenizer, tmp_path / kind, {})
        again = load(tmp_path / kind, head, new_head=True)
        assert {"head.dense.weight", "classifier.weight"} <= set(again.new_weights)
