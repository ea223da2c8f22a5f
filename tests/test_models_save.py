"""Checkpoints: written whole or not at all, and what made them."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from tiny import tiny_encoder

from sixfold.errors import ModelError, StorageError
from sixfold.models import Head, lineage, load, recover, save

AB = Head("text_classification", ("a", "b"))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return load(tiny_encoder(tmp_path_factory.mktemp("models") / "encoder"), AB)


def put(loaded, folder: Path, number: int = 1, **more) -> None:
    save(loaded.model, loaded.tokenizer, folder, {"number": number}, **more)


def number(folder: Path) -> int:
    load(folder, AB)
    return lineage.read(folder)["number"]


def test_a_checkpoint_holds_weights_tokenizer_and_lineage_and_no_pickle(loaded, tmp_path):
    put(loaded, tmp_path / "c")
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == [
        "config.json",
        "lineage.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_what_is_loaded_again_gives_the_same_numbers(loaded, tmp_path):
    put(loaded, tmp_path / "c")
    again = load(tmp_path / "c", AB)
    batch = loaded.tokenizer("a good film", return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(loaded.model(**batch).logits, again.model(**batch).logits)


def test_saving_the_same_model_twice_gives_the_same_digest(loaded, tmp_path):
    put(loaded, tmp_path / "c", 1)
    put(loaded, tmp_path / "d", 2)
    assert lineage.digest_folder(tmp_path / "c") == lineage.digest_folder(tmp_path / "d")


def test_extra_configuration_comes_back_and_is_not_inherited(loaded, tmp_path):
    put(loaded, tmp_path / "c", extra_config={"threshold": 0.25, "说": ["是"]})
    again = load(tmp_path / "c", AB)
    assert again.model.config.sixfold == {"threshold": 0.25, "说": ["是"]}
    put(again, tmp_path / "d")
    assert not hasattr(load(tmp_path / "d", AB).model.config, "sixfold")


def test_further_files_are_put_in_place_with_the_rest(loaded, tmp_path):
    put(loaded, tmp_path / "c", also=lambda folder: (folder / "state.json").write_text("{}"))
    assert (tmp_path / "c" / "state.json").read_text() == "{}"

    def fails(folder: Path) -> None:
        (folder / "state.json").write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        put(loaded, tmp_path / "c", 2, also=fails)
    assert (tmp_path / "c" / "state.json").read_text() == "{}"
    assert number(tmp_path / "c") == 1


def test_a_folder_of_something_else_is_never_replaced(loaded, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(StorageError, match="not a checkpoint"):
        put(loaded, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="not a checkpoint"):
        put(loaded, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    put(loaded, tmp_path / "empty")
    assert number(tmp_path / "empty") == 1


@pytest.mark.parametrize("limit", [200, 5_000, 60_000])
def test_a_disk_that_gets_full_while_saving_leaves_the_previous_checkpoint_good(loaded, tmp_path, limit):
    """The system refuses to let any file grow beyond the limit: in config.json, tokenizer.json, the weights."""
    put(loaded, tmp_path / "c", 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(StorageError) as caught:
            put(loaded, tmp_path / "c", 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert "no room" in caught.value.what
    assert number(tmp_path / "c") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_kill_9_between_the_renames_of_a_save_leaves_a_checkpoint_that_loads(loaded, tmp_path):
    folder = tmp_path / "c"
    put(loaded, folder, 1)
    code = f"""
        import os, signal, sys
        from pathlib import Path
        from sixfold.models import Head, load, save
        real, calls = os.rename, 0
        def rename(a, b):
            global calls
            calls += 1
            if calls == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            real(a, b)
        loaded = load({str(folder)!r}, Head("text_classification"))
        os.rename = rename
        save(loaded.model, loaded.tokenizer, Path({str(folder)!r}), {{"number": 2}})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert not folder.exists()
    assert recover(folder)
    assert number(folder) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_lineage_says_what_numbers_depend_on_and_not_whose_machine_it_was():
    built = lineage.build(parent="abc", data={"train": "def"}, config={"epochs": 3}, seed=7, metrics={"f1": 0.5})
    assert (built["parent"], built["data"], built["config"]) == ("abc", {"train": "def"}, {"epochs": 3})
    assert (built["seed"], built["metrics"]) == (7, {"f1": 0.5})
    assert built["versions"]["python"] == platform.python_version()
    assert built["versions"]["torch"] == torch.__version__
    assert set(built["machine"]) == {"system", "architecture", "cores"}
    text = json.dumps(built)
    assert socket.gethostname() not in text
    assert os.path.expanduser("~") not in text


def test_a_damaged_lineage_is_told(tmp_path):
    assert lineage.read(tmp_path) == {}
    for content in ("{", "[]"):
        (tmp_path / "lineage.json").write_text(content)
        with pytest.raises(ModelError):
            lineage.read(tmp_path)


def test_the_digest_is_over_the_files_that_make_the_model_and_no_others(tmp_path):
    (tmp_path / "config.json").write_bytes(b"{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    before = lineage.digest_folder(tmp_path)
    rows = [
        [name, hashlib.sha256(content).hexdigest()]
        for name, content in (("config.json", b"{}"), ("model.safetensors", b"weights"))
    ]
    assert before == hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    (tmp_path / "README.md").write_text("words")
    (tmp_path / "lineage.json").write_text("{}")
    (tmp_path / "optimizer.bin").write_text("state")
    assert lineage.digest_folder(tmp_path) == before
    (tmp_path / "tokenizer.json").write_text("{}")
    assert lineage.digest_folder(tmp_path) != before
