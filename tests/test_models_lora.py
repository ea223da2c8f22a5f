"""Low-rank updates: nothing at first, only they learn, merged they compute the same, saved they come back."""

import json

import pytest
import torch
from test_tasks_dialogue import tiny

from sixfold.errors import ModelError
from sixfold.models import adapters
from sixfold.models.adapters import Lora
from sixfold.models.adapters.files import CONFIG
from sixfold.models.adapters.low_rank import LoraLinear

IDS = torch.tensor([[1, 5, 9, 3]])


def said(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def learnt(model):
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.3, generator=torch.Generator().manual_seed(len(name)))


def test_an_update_changes_nothing_until_it_learns():
    model, plain = tiny(40), tiny(40)
    added = adapters.add(model, Lora(4), seed=0)
    torch.testing.assert_close(said(model), said(plain), rtol=0, atol=0)
    assert added.learning == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert added.whole == sum(p.numel() for p in plain.parameters())
    assert all("lora" in name for name, p in model.named_parameters() if p.requires_grad)
    assert "lora" not in "".join(name for name, _ in model.named_parameters() if "embed" in name or "lm_head" in name)


def test_merged_it_computes_the_same():
    model = tiny(40)
    adapters.add(model, Lora(4, 16.0), seed=0)
    learnt(model)
    before = said(model)
    assert not torch.allclose(before, said(tiny(40)))
    adapters.merge(model)
    torch.testing.assert_close(said(model), before, rtol=1e-5, atol=1e-5)
    assert set(model.state_dict()) == set(tiny(40).state_dict())


def test_saved_it_comes_back_bit_for_bit(tmp_path):
    model = tiny(40)
    lora = Lora(4, 16.0, ("q_proj", "down_proj"))
    adapters.add(model, lora, seed=0)
    learnt(model)
    adapters.save(model, lora, tmp_path, base="a base", base_digest="abc", kept={})
    told = json.loads((tmp_path / CONFIG).read_text())
    assert (told["peft_type"], told["r"], told["target_modules"]) == ("LORA", 4, ["down_proj", "q_proj"])
    again = tiny(40)
    assert adapters.load(again, tmp_path, base_digest="abc").adapter == lora
    torch.testing.assert_close(said(again), said(model), rtol=0, atol=0)


def test_what_does_not_fit_is_refused(tmp_path):
    model = tiny(40)
    with pytest.raises(ModelError, match="no linear layers"):
        adapters.add(model, Lora(4, targets=("nothing",)), seed=0)
    lora = Lora(4)
    adapters.add(model, lora, seed=0)
    adapters.save(model, lora, tmp_path, base="a base", base_digest="abc", kept={})
    told = json.loads((tmp_path / CONFIG).read_text())
    del told["sixfold"]  # as peft writes it
    for change, message in (
        ({"target_modules": ["q_proj"]}, "does not fit"),
        ({"r": 5}, "does not fit"),
        ({"r": 0}, "cannot be used"),
        ({"target_modules": "all"}, "cannot be used"),
        ({"use_dora": True}, "more than LoRA"),
        ({"peft_type": "IA3"}, "no LoRA"),
    ):
        (tmp_path / CONFIG).write_text(json.dumps({**told, **change}))
        with pytest.raises(ModelError, match=message):
            adapters.load(tiny(40), tmp_path, base_digest=None)
    with pytest.raises(ModelError, match="no adapter"):
        adapters.load(tiny(40), tmp_path / "nowhere", base_digest="abc")


def test_an_adapter_that_peft_wrote_is_put_on_where_the_base_is_known_otherwise(tmp_path):
    model, lora = tiny(40), Lora(4, 16.0)
    adapters.add(model, lora, seed=0)
    learnt(model)
    adapters.save(model, lora, tmp_path, base="a base", base_digest="abc", kept={})
    told = json.loads((tmp_path / CONFIG).read_text())
    del told["sixfold"]
    (tmp_path / CONFIG).write_text(json.dumps(told))
    again = tiny(40)
    assert adapters.load(again, tmp_path, base_digest=None).base_digest is None
    torch.testing.assert_close(said(again), said(model), rtol=0, atol=0)
    with pytest.raises(ModelError, match="does not say to which base"):
        adapters.load(tiny(40), tmp_path, base_digest="abc")


def test_gradients_are_those_of_the_merged_matrix():
    """The update's gradient by hand: with W = W0 + s B A, dB = s dW A', dA = s B' dW."""
    layer = torch.nn.Linear(6, 5)
    lora = LoraLinear(layer, Lora(3, 6.0), torch.Generator().manual_seed(0))
    torch.nn.init.normal_(lora.lora_B.weight)
    x, slope = torch.randn(7, 6), torch.randn(7, 5)
    (lora(x) * slope).sum().backward()
    outer = slope.T @ x
    torch.testing.assert_close(lora.lora_B.weight.grad, 2.0 * outer @ lora.lora_A.weight.T)
    torch.testing.assert_close(lora.lora_A.weight.grad, 2.0 * lora.lora_B.weight.T @ outer)
    assert layer.weight.grad is None
