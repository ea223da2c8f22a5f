"""Low-rank updates: nothing at first, only they learn, merged they compute the same, saved they come back."""

import json

import pytest
import torch
from test_tasks_dialogue import tiny

from sixfold.errors import ModelError
from sixfold.models import lora as loras

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
    count = loras.add(model, loras.Lora(4), seed=0)
    torch.testing.assert_close(said(model), said(plain), rtol=0, atol=0)
    assert count == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert all("lora" in name for name, p in model.named_parameters() if p.requires_grad)
    assert "lora" not in "".join(name for name, _ in model.named_parameters() if "embed" in name or "lm_head" in name)


def test_merged_it_computes_the_same():
    model = tiny(40)
    loras.add(model, loras.Lora(4, 16.0), seed=0)
    learnt(model)
    before = said(model)
    assert not torch.allclose(before, said(tiny(40)))
    loras.merge(model)
    torch.testing.assert_close(said(model), before, rtol=1e-5, atol=1e-5)
    assert set(model.state_dict()) == set(tiny(40).state_dict())


def test_saved_it_comes_back_bit_for_bit(tmp_path):
    model = tiny(40)
    lora = loras.Lora(4, 16.0, ("q_proj", "down_proj"))
    loras.add(model, lora, seed=0)
    learnt(model)
    loras.save_adapter(model, lora, tmp_path, "a base")
    told = json.loads((tmp_path / loras.CONFIG).read_text())
    assert (told["peft_type"], told["r"], told["target_modules"]) == ("LORA", 4, ["down_proj", "q_proj"])
    again = tiny(40)
    assert loras.load_adapter(again, tmp_path).rank == 4
    torch.testing.assert_close(said(again), said(model), rtol=0, atol=0)


def test_what_does_not_fit_is_refused(tmp_path):
    model = tiny(40)
    with pytest.raises(ModelError, match="no linear layers"):
        loras.add(model, loras.Lora(4, targets=("nothing",)), seed=0)
    lora = loras.Lora(4)
    loras.add(model, lora, seed=0)
    loras.save_adapter(model, lora, tmp_path, "a base")
    told = json.loads((tmp_path / loras.CONFIG).read_text())
    (tmp_path / loras.CONFIG).write_text(json.dumps({**told, "target_modules": ["q_proj"]}))
    with pytest.raises(ModelError, match="does not fit"):
        loras.load_adapter(tiny(40), tmp_path)
    (tmp_path / loras.CONFIG).write_text(json.dumps({**told, "peft_type": "IA3"}))
    with pytest.raises(ModelError, match="no LoRA"):
        loras.load_adapter(tiny(40), tmp_path)
    with pytest.raises(ModelError, match="cannot be read"):
        loras.load_adapter(tiny(40), tmp_path / "nowhere")


def test_gradients_are_those_of_the_merged_matrix():
    """The update's gradient by hand: with W = W0 + s B A, dB = s dW A', dA = s B' dW."""
    layer = torch.nn.Linear(6, 5)
    lora = loras.LoraLinear(layer, loras.Lora(3, 6.0), torch.Generator().manual_seed(0))
    torch.nn.init.normal_(lora.lora_B.weight)
    x, slope = torch.randn(7, 6), torch.randn(7, 5)
    (lora(x) * slope).sum().backward()
    outer = slope.T @ x
    torch.testing.assert_close(lora.lora_B.weight.grad, 2.0 * outer @ lora.lora_A.weight.T)
    torch.testing.assert_close(lora.lora_A.weight.grad, 2.0 * lora.lora_B.weight.T @ outer)
    assert layer.weight.grad is None
