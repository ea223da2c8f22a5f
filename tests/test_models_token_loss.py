"""The chunked cross-entropy against torch's own: values and gradients."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from sixfold.models import token_loss
from sixfold.models.forward import Flat, token_logits


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("held", [1, 3 * 11, 2**20])
def test_value_and_gradients_are_those_of_the_plain_loss(monkeypatch, bias, held):
    monkeypatch.setattr(token_loss, "LOGITS", held)
    torch.manual_seed(0)
    projection = torch.nn.Linear(5, 11, bias=bias).double()
    hidden = torch.randn(7, 5, dtype=torch.double, requires_grad=True)
    target = torch.randint(0, 11, (7,))
    wanted = cross_entropy(projection(hidden), target, reduction="sum") / 7
    expected = torch.autograd.grad(wanted, [hidden, *projection.parameters()])
    found = token_loss.summed_cross_entropy(hidden, projection, target) / 7
    got = torch.autograd.grad(found, [hidden, *projection.parameters()])
    torch.testing.assert_close(found, wanted.float())
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("held", [3 * 11, 2**20])
def test_rows_that_fill_the_batch_up_count_nothing_and_learn_nothing(monkeypatch, held):
    monkeypatch.setattr(token_loss, "LOGITS", held)
    torch.manual_seed(0)
    projection = torch.nn.Linear(5, 11)
    hidden = torch.randn(40, 5, requires_grad=True)
    target = torch.randint(0, 11, (37,))
    wanted = cross_entropy(projection(hidden[:37]), target, reduction="sum")
    expected = torch.autograd.grad(wanted, [hidden, *projection.parameters()])
    found = token_loss.summed_cross_entropy(hidden, projection, target)
    got = torch.autograd.grad(found, [hidden, *projection.parameters()])
    torch.testing.assert_close(found, wanted)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert not got[0][37:].any()


def test_a_frozen_head_gets_no_gradient():
    projection = torch.nn.Linear(4, 6).requires_grad_(False)
    hidden = torch.randn(3, 4, requires_grad=True)
    token_loss.summed_cross_entropy(hidden, projection, torch.tensor([0, 1, 5])).backward()
    assert projection.weight.grad is None
    assert hidden.grad is not None


def _models():
    import transformers as t

    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    small = {**shape, "vocab_size": 30}
    yield t.BertForMaskedLM(t.BertConfig(**small, hidden_dropout_prob=0, attention_probs_dropout_prob=0))
    special = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)
    yield t.ModernBertForMaskedLM(t.ModernBertConfig(**small, **special))
    yield t.LlamaForCausalLM(t.LlamaConfig(**small, tie_word_embeddings=True))
    yield t.Qwen3ForCausalLM(t.Qwen3Config(**small, num_key_value_heads=1, head_dim=8))


@pytest.mark.parametrize("model", _models(), ids=lambda model: type(model).__name__)
def test_a_models_loss_at_some_tokens_is_that_of_all_its_logits(model):
    torch.manual_seed(1)
    model.eval()
    lengths = torch.tensor([4, 3, 3]).numpy()
    flat = Flat.of(torch.randint(1, 30, (10,)).numpy(), lengths)
    places, target = torch.tensor([0, 2, 5, 9]), torch.tensor([3, 4, 0, 29])
    wanted = cross_entropy(token_logits(model, flat)[places], target, reduction="none")
    torch.testing.assert_close(token_loss.token_loss(model, flat, (places, target))[0], wanted.sum())
    ((losses, right),) = token_loss.token_judged(model, flat, (places, target))
    torch.testing.assert_close(losses, wanted)
    assert right.tolist() == (token_logits(model, flat)[places].argmax(-1) == target).tolist()
