"""Adapters beside a checkpoint: listed with what is wrong, added once, removed whole, merged into a checkpoint."""

import json
import sys
from pathlib import Path

import pytest
import torch
from tiny import tiny_decoder, tiny_encoder

from sixfold import cli
from sixfold.commands import adapters as commands
from sixfold.errors import ModelError, StorageError, UsageError
from sixfold.models import adapters, lineage, load
from sixfold.models.adapters import AdaLora, BitFit, Bottleneck, Lora
from sixfold.models.adapters.files import CONFIG, WEIGHTS
from sixfold.models.head import Head
from sixfold.score.tuned import load_tuned

pytestmark = pytest.mark.usefixtures("own_home")

IDS = torch.tensor([[2, 40, 41, 3]])
KEPT = {"task": "text_classification", "labels": ["x", "y"], "max_tokens": 64, "on_long": "truncate"}


def said(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


@pytest.fixture
def base(tmp_path):
    return tiny_encoder(tmp_path / "base")


def made(base, folder, adapter, rows=None, labels=("x", "y")):
    """An adapter as a stage leaves it."""
    loaded = load(base, Head("text_classification", labels), seed=5)
    adapters.add(loaded.model, adapter, seed=0)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in loaded.model.parameters():
            if value.requires_grad:
                value.add_(0.2 * torch.randn(value.shape, generator=random))
    kept = {**KEPT, "labels": list(labels)}
    adapters.save(loaded.model, adapter, folder, base="tiny", base_digest=loaded.digest, kept=kept, rows=rows)
    return loaded.model.eval()


def run(*arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sixfold", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    return ended.value.code, told.out + told.err


def test_it_is_listed_with_what_is_known_of_it(base, tmp_path, monkeypatch, capsys):
    def told(*arguments):
        return run("adapters", *arguments, monkeypatch=monkeypatch, capsys=capsys)

    assert told("list", base) == (0, "no adapters: sixfold adapters add CHECKPOINT FOLDER --name NAME\n")
    made(base, tmp_path / "one", Lora(2), rows=1200, labels=("x", "y", "z"))
    code, line = told("add", base, tmp_path / "one", "--name", "refunds")
    assert (code, line) == (0, f"refunds: {base / 'adapters' / 'refunds'}\n")
    code, out = told("list", base)
    head, row, below = out.splitlines()
    assert (code, head.split()) == (0, ["name", "kind", "parameters", "labels", "rows", "usable"])
    count = adapters.read(tmp_path / "one").parameters
    assert row.split() == ["refunds", "lora", f"{count:,}", "3", "1,200", "yes"]
    assert below == "  made on tiny; x, y, z"
    code, out = told("add", base, tmp_path / "one", "--name", "refunds")
    assert code == 2
    assert "an adapter 'refunds' already" in out
    assert told("remove", base, "refunds") == (0, f"deleted {base / 'adapters' / 'refunds'}\n")
    assert list((base / "adapters").iterdir()) == []
    code, out = told("remove", base, "refunds")
    assert code == 2
    assert "there is no adapter 'refunds'" in out


def test_what_is_added_is_the_two_files_and_nothing_beside_them(base, tmp_path):
    made(base, tmp_path / "one", Lora(2))
    (tmp_path / "one" / "more.py").write_text("print()")
    target = commands.add(base, tmp_path / "one", "a")
    assert sorted(path.name for path in target.iterdir()) == [CONFIG, WEIGHTS]
    assert (target / WEIGHTS).read_bytes() == (tmp_path / "one" / WEIGHTS).read_bytes()


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "a b", "-a", "é", "a" * 65, "a\n", ".hidden"])
def test_a_name_that_could_leave_its_folder_is_refused(name, base, tmp_path):
    made(base, tmp_path / "one", Lora(2))
    with pytest.raises(UsageError, match="an adapter's name"):
        commands.add(base, tmp_path / "one", name)
    with pytest.raises(UsageError, match="there is no adapter"):
        commands.remove(base, name)
    assert not (base / "adapters").exists()


def test_an_adapter_of_another_base_or_a_damaged_one_is_not_added_but_listed(base, tmp_path, monkeypatch):
    other = tiny_encoder(tmp_path / "other", seed=1)
    made(other, tmp_path / "one", Lora(2))
    with pytest.raises(ModelError, match="another base"):
        commands.add(base, tmp_path / "one", "a")
    with pytest.raises(ModelError, match="no adapter"):
        commands.add(base, tmp_path, "a")
    target = commands.add(other, tmp_path / "one", "a")
    assert [(row.name, row.wrong) for row in commands.table(other)] == [("a", "")]
    with pytest.raises(UsageError, match="already"):
        commands.add(other, tmp_path / "one", "A")
    (other / "model.safetensors").write_bytes((base / "model.safetensors").read_bytes())
    (row,) = commands.table(other)
    assert row.wrong == "the adapter belongs to another base"
    (target / CONFIG).write_text("{")
    (row,) = commands.table(other)
    assert (row.told, row.wrong) == (None, "a file of the model cannot be read")
    (tmp_path / "one" / WEIGHTS).write_bytes(b"cut")
    made(base, tmp_path / "two", Lora(2))
    (tmp_path / "two" / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="no weights"):
        commands.add(base, tmp_path / "two", "a")
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="cache of base models"):
        commands.add(base, tmp_path / "one", "a")


@pytest.mark.parametrize("adapter", [Lora(2), AdaLora(2, 3, 6.0), BitFit()])
def test_merged_it_is_a_plain_checkpoint_with_its_task_and_where_it_came_from(adapter, base, tmp_path):
    model = made(base, tmp_path / "one", adapter, rows=9)
    folder = commands.add(base, tmp_path / "one", "a")
    out = commands.merge(base, "a", tmp_path / "merged")
    found = load_tuned(out)
    torch.testing.assert_close(said(found.model), said(model), rtol=1e-5, atol=1e-5)
    assert found.task.labels == ("x", "y")
    history = lineage.read(out)
    assert history["parent"] == lineage.digest_folder(base)
    assert history["adapter"]["digest"] == adapters.digest(folder)
    assert (history["adapter"]["name"], history["adapter"]["rows"]) == ("a", 9)
    assert not list(out.glob("*adapter*"))
    json.dumps(history)


def test_what_cannot_be_merged_is_told_before_anything_is_written(base, tmp_path):
    made(base, tmp_path / "one", Bottleneck(3))
    commands.add(base, tmp_path / "one", "a")
    with pytest.raises(ModelError, match="bottleneck adapter cannot be merged"):
        commands.merge(base, "a", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    made(base, tmp_path / "two", Lora(2))
    commands.add(base, tmp_path / "two", "b")
    for to in (base, base.parent):
        with pytest.raises(UsageError, match="its own base"):
            commands.merge(base, "b", to)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    with pytest.raises(StorageError, match="not a checkpoint"):
        commands.merge(base, "b", tmp_path / "mine")


def test_a_decoder_s_adapter_merges_too(tmp_path):
    base = tiny_decoder(tmp_path / "base")
    loaded = load(base, Head("causal_lm"))
    adapters.add(loaded.model, Lora(2), seed=0, head=False)
    torch.nn.init.normal_(loaded.model.model.layers[0].mlp.up_proj.lora_B.weight)
    adapters.save(loaded.model, Lora(2), tmp_path / "one", base="b", base_digest=loaded.digest, kept={})
    commands.add(base, tmp_path / "one", "a")
    merged = load(commands.merge(Path(base), "a", tmp_path / "out"), Head("causal_lm")).model
    torch.testing.assert_close(said(merged), said(loaded.model), rtol=1e-5, atol=1e-5)
