"""A GGUF against the model that it was written of, read back by two independent readers."""
# ruff: noqa: E501

import json

import gguf
import numpy as np
import pytest
import tokenizers
import torch
import transformers
from chat_templates import tokenizer

from sixfold.errors import ModelError, UsageError
from sixfold.generate.requests import Request, whole
from sixfold.generate.torch_engine import TorchEngine
from sixfold.models.export_gguf import export_gguf, pre_tokenizer

SHAPE = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96,
         "num_key_value_heads": 2, "initializer_range": 0.3, "max_position_embeddings": 256}  # fmt: skip
KINDS = {
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM, {}),
    "llama tied": (transformers.LlamaConfig, transformers.LlamaForCausalLM, {"tie_word_embeddings": True}),
    "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM, {}),
    "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM, {"head_dim": 16}),
}


def merging():
    """The tokenizer of bytes with a merge: openvino-genai reads none without."""
    found = tokenizer()
    told = json.loads(found.backend_tokenizer.to_str())
    told["model"]["vocab"]["zq"] = 256
    for one in told["added_tokens"]:
        one["id"] += 1
    told["model"]["merges"] = [["z", "q"]]
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_str(json.dumps(told)), eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    made.chat_template = found.chat_template
    return made


FOUND = merging()


def made(kind, **more):
    config, model, own = KINDS[kind]
    torch.manual_seed(0)
    return model(config(vocab_size=len(FOUND), **SHAPE, **own, **more)).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_come_back_through_transformers(kind, tmp_path):
    """Its reader was written by others, and turns rows of Llama back."""
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    model = made(kind)
    done = export_gguf(model, FOUND, tmp_path / "one.gguf", kind="f32")
    blank = type(model)(model.config)
    tensors = load_gguf_checkpoint(str(done.path), return_tensors=True, model_to_load=blank)["tensors"]
    own = model.state_dict()
    assert set(tensors) >= {name for name in own if name != "lm_head.weight" or kind != "llama tied"} - {
        "lm_head.weight"
    }
    for name, value in tensors.items():
        torch.testing.assert_close(torch.as_tensor(value).float(), own[name], rtol=0, atol=0)


def test_norms_stay_in_fp32_and_matrices_get_the_kind(tmp_path):
    done = export_gguf(made("llama"), FOUND, tmp_path / "one.gguf", kind="q8_0")
    types = {one.name: one.tensor_type.name for one in gguf.GGUFReader(done.path).tensors}
    assert types["blk.0.attn_norm.weight"] == "F32"
    assert types["blk.0.attn_q.weight"] == "Q8_0"
    assert done.wider == ()
    odd = export_gguf(transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=len(FOUND), **{**SHAPE, "intermediate_size": 40})),
                      FOUND, tmp_path / "two.gguf", kind="q8_0")  # fmt: skip
    assert odd.wider == ("blk.0.ffn_down.weight", "blk.1.ffn_down.weight")


def test_tokenizer_and_template_go_along(tmp_path):
    done = export_gguf(made("llama"), FOUND, tmp_path / "one.gguf")
    fields = gguf.GGUFReader(done.path).fields
    assert fields["tokenizer.chat_template"].contents() == FOUND.chat_template
    assert fields["tokenizer.ggml.pre"].contents() == "gpt-2"
    assert fields["tokenizer.ggml.eos_token_id"].contents() == FOUND.eos_token_id
    names = fields["tokenizer.ggml.tokens"].contents()
    assert names == FOUND.convert_ids_to_tokens(range(len(FOUND)))
    types = fields["tokenizer.ggml.token_type"].contents()
    assert types[FOUND.eos_token_id] == gguf.TokenType.CONTROL


def test_a_tokenizer_that_the_format_cannot_express_is_refused(tmp_path):
    pieces = tokenizers.Tokenizer(tokenizers.models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    pieces.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    found = transformers.PreTrainedTokenizerFast(tokenizer_object=pieces, unk_token="[UNK]", eos_token="[UNK]")
    with pytest.raises(ModelError, match="engines would read other tokens"):
        export_gguf(made("llama"), found, tmp_path / "one.gguf")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ModelError, match="Llama and Qwen"):
        export_gguf(transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=len(FOUND), n_embd=16, n_layer=1, n_head=2)), FOUND, tmp_path / "x")  # fmt: skip
    with pytest.raises(UsageError, match="q8_0"):
        export_gguf(made("llama"), FOUND, tmp_path / "one.gguf", kind="q8_1")


@pytest.mark.parametrize("split", ["gpt2", "qwen2"])
def test_tokenizers_of_ours_can_be_written(split):
    from sixfold.models.tokenizer_training import train_tokenizer

    found = train_tokenizer(
        ["a few words of text, 12 of them", "more words"], "bpe", vocabulary=300, use="decoder", pre_tokenizer=split
    )
    assert pre_tokenizer(found) == {"gpt2": "gpt-2", "qwen2": "qwen2"}[split]


@pytest.mark.parametrize("kind", KINDS)
def test_the_fast_engine_writes_what_the_torch_engine_does(kind, tmp_path):
    pytest.importorskip("openvino_genai")
    from sixfold.generate.fast_engine import FastEngine

    model = made(kind)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(value.half())  # what the file holds
    done = export_gguf(model, FOUND, tmp_path / "one.gguf")
    fast = FastEngine(done.path, FOUND, context=256)
    texts = ("Hello", "Good day to you", "What?", "a")
    requests = [Request(tuple(FOUND(one, add_special_tokens=False)["input_ids"]), 24) for one in texts]
    wanted, found = (whole(engine, requests) for engine in (TorchEngine(model, FOUND), fast))
    assert sum(one.ids == two.ids for one, two in zip(wanted, found, strict=True)) >= 3  # a near-tie may fall otherwise
    assert all(one.finish == "length" for one in found)
    assert found[0].text == wanted[0].text


def test_the_fast_engine_stops_and_cancels(tmp_path):
    pytest.importorskip("openvino_genai")
    from sixfold.generate.fast_engine import FastEngine

    model = made("llama")
    done = export_gguf(model, FOUND, tmp_path / "one.gguf")
    fast = FastEngine(done.path, FOUND, context=256)
    prompt = tuple(FOUND("Hello", add_special_tokens=False)["input_ids"])
    (free,) = whole(fast, [Request(prompt, 24)])
    stop = free.ids[5]
    (one,) = whole(fast, [Request(prompt, 24, stop_ids=(stop,))])
    assert one.finish == "stop"
    assert one.ids == free.ids[: free.ids.index(stop)]
    finishes, seen = {}, 0
    for chunk in fast.stream([Request(prompt, 100), Request(prompt[:3], 30)]):
        seen += len(chunk.ids) if chunk.request == 0 else 0
        if chunk.finish:
            finishes[chunk.request] = chunk.finish
        if seen == 4:
            fast.cancel(0)
    assert finishes == {0: "cancelled", 1: "length"}
    assert seen < 20
    with pytest.raises(UsageError, match="reads 256 tokens"):
        list(fast.stream([Request(prompt, 500)]))
    assert np.isfinite(len(free.text))


@pytest.mark.parametrize("kind", ["torch", "fast"])
def test_sixteen_streams_at_once_are_those_of_each_alone_and_one_may_be_cancelled(kind, tmp_path):
    model = made("llama")
    if kind == "fast":
        pytest.importorskip("openvino_genai")
        from sixfold.generate.fast_engine import FastEngine

        engine = FastEngine(export_gguf(model, FOUND, tmp_path / "one.gguf").path, FOUND, context=256)
    else:
        engine = TorchEngine(model, FOUND)
    words = FOUND("Good day, how may we help you?", add_special_tokens=False)["input_ids"]
    requests = [Request(tuple(words[: 2 + number]), 6 + number) for number in range(16)]
    alone = [whole(engine, [request])[0] for request in requests]
    parts = dict.fromkeys(range(16), ())
    finishes, turns = {}, []
    for chunk in engine.stream(requests):
        parts[chunk.request] += tuple(chunk.ids)
        turns.append(chunk.request)
        if chunk.finish:
            finishes[chunk.request] = chunk.finish
        if chunk.request == 15 and len(parts[15]) == 3:
            engine.cancel(15)
    same = [number for number in range(15) if parts[number] == tuple(alone[number].ids)]
    assert len(same) >= 14  # a near-tie may fall otherwise
    assert all(finishes[number] == alone[number].finish for number in same)
    assert finishes[15] == "cancelled"
    assert tuple(alone[15].ids[: len(parts[15])]) == parts[15]
    assert len(parts[15]) < 21
    first = turns.index(0)
    assert len(set(turns[first : first + 40])) >= 12, "they are written together, not one after the other"


def test_a_merged_adapter_writes_what_the_adapted_model_does(tmp_path):
    from sixfold.models import adapters

    model = made("llama")
    adapters.add(model, adapters.Lora(4, 8.0), seed=1)
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.2)
    requests = [Request(tuple(FOUND("Hello", add_special_tokens=False)["input_ids"]), 16)]
    adapted = whole(TorchEngine(model, FOUND), requests)
    adapters.merge(model)
    assert whole(TorchEngine(model, FOUND), requests) == adapted
    done = export_gguf(model, FOUND, tmp_path / "one.gguf", kind="f32")
    tensors = {one.name for one in gguf.GGUFReader(done.path).tensors}
    assert not any("lora" in name for name in tensors)
