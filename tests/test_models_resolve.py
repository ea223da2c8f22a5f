"""From what the user wrote to a folder fit to load: what is found and refused, and that nothing is run or asked."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_encoder

from sixfold.commands import models as command
from sixfold.errors import ModelError, SixfoldError, UsageError
from sixfold.models import Head, checks, load, resolve
from sixfold.models.catalogue import entries


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def folder(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "tiny"))


@pytest.fixture(autouse=True)
def no_network_and_empty_home(monkeypatch, tmp_path):
    def refused(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path / "home"))


def edit(path: Path, **keys: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def test_a_folder_is_found_by_its_path(folder):
    source = resolve(folder)
    assert (source.kind, source.folder, source.weights) == ("folder", folder, (folder / "model.safetensors",))
    assert resolve(str(folder)).folder == folder


@pytest.mark.parametrize(
    ("written", "near"), [("minilm-16", "minilm-l6"), ("MiniLM", "minilm-l6"), ("smollm2-135", "smollm2-135m")]
)
def test_a_misspelt_name_shows_the_nearest_and_never_reaches_the_network(written, near):
    with pytest.raises(UsageError) as caught:
        resolve(written)
    assert caught.value.nearest == near
    assert caught.value.exit_code == 2


def test_a_misspelt_path_shows_the_nearest_folder(folder):
    with pytest.raises(UsageError) as caught:
        resolve(folder.with_name("tiny-"))
    assert caught.value.nearest == str(folder)


def test_a_hub_id_without_hf_is_not_looked_up_but_the_spelling_is_shown():
    with pytest.raises(UsageError) as caught:
        resolve("google-bert/bert-base-uncased")
    assert "hf:google-bert/bert-base-uncased" in caught.value.hint


@pytest.mark.parametrize("written", ["hf:", "hf:bert", "hf:a/b/c", "hf:../x", "hf:/etc/passwd", "hf:a b/c"])
def test_a_badly_spelt_hub_id_never_reaches_the_network(written):
    with pytest.raises(UsageError, match="hf:owner/name"):
        resolve(written)


def test_the_network_is_asked_for_the_one_spelling_that_may():
    with pytest.raises(ModelError) as caught:
        resolve("hf:sixfold-nobody/nothing")
    assert "sixfold-nobody/nothing" in caught.value.what


@given(st.text(max_size=40).filter(lambda text: not text.startswith("hf:")))
def test_no_other_text_reaches_the_network_or_ends_in_a_traceback(text):
    with pytest.raises(SixfoldError):
        resolve(text)


@pytest.mark.parametrize("text", ["", " ", "~nobody-of-that-name/x", "a" * 300, "x/" * 3000, "x\0y", "hf", "."])
def test_odd_texts_are_usage_errors(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, ModelError)):
        resolve(text)


def test_a_catalogue_name_that_is_not_here_says_how_to_pull_it():
    with pytest.raises(ModelError) as caught:
        load("minilm-l6", Head("embedding"))
    assert caught.value.hint.startswith("sixfold models pull minilm-l6")


def test_a_folder_of_that_name_goes_before_the_catalogue(folder, monkeypatch):
    os.rename(folder, folder.with_name("minilm-l6"))
    monkeypatch.chdir(folder.parent)
    assert resolve("minilm-l6").kind == "folder"


def test_the_table_has_every_entry_and_what_is_here():
    rows = command.table()
    assert [row.name for row in rows] == [model.name for model in entries()]
    assert [row.folder for row in rows] == [None, None]
    with pytest.raises(UsageError) as caught:
        command.pull("minilm")
    assert caught.value.nearest == "minilm-l6"


def test_a_file_is_not_a_model(folder):
    with pytest.raises(UsageError) as caught:
        resolve(folder / "config.json")
    assert caught.value.nearest == folder


def test_a_folder_without_configuration_says_what_it_holds(folder):
    (folder / "config.json").unlink()
    with pytest.raises(ModelError) as caught:
        resolve(folder)
    assert "model.safetensors" in caught.value.found


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "model.pth", "model.pkl", "model.ckpt", "model.pickle"]
)
def test_pickled_weights_are_refused_and_not_opened(folder, tmp_path, name):
    trace = tmp_path / "was-run"
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Trap(trace)))
    with pytest.raises(ModelError, match="pickles") as caught:
        load(folder, Head("text_classification", ("a", "b")))
    assert caught.value.found == name
    assert not trace.exists()
    pickle.loads((folder / name).read_bytes()).close()
    assert trace.exists()  # the trap works


def test_pickles_beside_safetensors_are_ignored_and_not_opened(folder, tmp_path):
    trace = tmp_path / "was-run"
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt"):
        (folder / name).write_bytes(pickle.dumps(Trap(trace)))
    assert load(folder, Head("none")).new_weights == ()
    assert not trace.exists()


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json"])
def test_auto_map_is_refused_and_its_code_not_run(folder, tmp_path, name):
    trace = tmp_path / "was-run"
    (folder / "evil.py").write_text(f"open({str(trace)!r}, 'w')\nclass Evil: pass\n")
    path = folder / name
    if not path.exists():
        path.write_text("{}")
    edit(path, auto_map={"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil", "AutoTokenizer": ["evil.Evil", None]})
    with pytest.raises(ModelError, match="Python code of its own") as caught:
        load(folder, Head("none"))
    assert caught.value.where == f"{path}: auto_map"
    assert not trace.exists()


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "experts_implementation"])
def test_a_configuration_that_names_a_kernel_of_the_hub_is_refused(folder, key):
    edit(folder / "config.json", text_config={key: "somebody/kernel"})
    with pytest.raises(ModelError, match="kernel"):
        resolve(folder)


def test_a_quantised_model_is_refused(folder):
    edit(folder / "config.json", quantization_config={"quant_method": "bitsandbytes"})
    with pytest.raises(ModelError, match="quantised"):
        resolve(folder)


def test_an_adapter_is_refused_and_its_base_not_fetched(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "somebody/base", "peft_type": "LORA"}')
    with pytest.raises(ModelError, match="adapter"):
        load(folder, Head("none"))


@pytest.mark.parametrize("cut", [1, 1000])
def test_a_checkpoint_cut_short_names_the_file_and_the_bytes(folder, cut):
    path = folder / "model.safetensors"
    whole = path.stat().st_size
    os.truncate(path, whole - cut)
    with pytest.raises(ModelError, match="cut short") as caught:
        load(folder, Head("none"))
    assert caught.value.where == path
    assert caught.value.found == f"{whole - cut:,} bytes where its header says {whole:,}"


@pytest.mark.parametrize("content", [b"", b"\0" * 7, b"\xff" * 100, b"\x08" + b"\0" * 7 + b"[1, 2, 3"])
def test_damaged_headers_are_told(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="cut short or damaged"):
        resolve(folder)


@given(st.binary(max_size=200))
def test_no_bytes_in_a_weight_file_end_in_a_traceback(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "wild.safetensors"
    path.write_bytes(content)
    try:
        checks.check_safetensors(path)
    except ModelError:
        return
    assert int.from_bytes(content[:8], "little") <= len(content) - 8


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00", "[" * 100_000])
def test_a_damaged_configuration_is_told(folder, content):
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError) as caught:
        load(folder, Head("none"))
    assert caught.value.where == folder / "config.json"


@pytest.mark.parametrize("change", [{"model_type": "no-such"}, {"hidden_size": "wide"}, {"model_type": 3}])
def test_a_configuration_that_transformers_does_not_take_is_told(folder, change):
    edit(folder / "config.json", **change)
    with pytest.raises(ModelError):
        load(folder, Head("none"))


def test_a_missing_shard_is_named(folder):
    os.rename(folder / "model.safetensors", folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="shard") as caught:
        resolve(folder)
    assert caught.value.where == folder / "model-00002-of-00002.safetensors"


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "model.bin", 7])
def test_an_index_names_only_shards_of_its_own_folder(folder, name):
    os.rename(folder / "model.safetensors", folder.parent / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(ModelError, match="not a shard"):
        resolve(folder)


def test_a_model_without_weights_says_what_is_there(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights") as caught:
        resolve(folder)
    assert caught.value.found == "config.json, tokenizer.json, tokenizer_config.json"


def test_a_missing_tokenizer_is_told(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="no tokenizer"):
        resolve(folder)


def test_a_damaged_tokenizer_is_told(folder):
    (folder / "tokenizer.json").write_text('{"model": 1}')
    with pytest.raises(ModelError, match="tokenizer"):
        load(folder, Head("none"))


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(original, tmp_path):
    small = tiny_encoder(tmp_path / "small", vocab=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"])
    shutil.copy(original / "tokenizer.json", small)
    with pytest.raises(ModelError, match="more tokens"):
        load(small, Head("none"))


def test_a_checkpoint_that_a_crash_left_between_two_renames_is_found(folder):
    os.rename(folder, folder.with_name(".tiny.old"))
    assert resolve(folder).folder == folder
