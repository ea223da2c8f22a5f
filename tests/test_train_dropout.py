"""Dropout by random bytes: the rate, the expectation, the gradient, and that the model is left as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sixfold.train.dropout import byte_dropout, byte_dropout_in


def test_the_share_kept_is_the_rate_rounded_to_a_256th() -> None:
    torch.manual_seed(0)
    count = 1_000_003  # not a multiple of eight
    out = byte_dropout(torch.ones(count), 0.1)
    kept = (out != 0).float().mean().item()
    expected = 1 - 26 / 256
    assert kept == pytest.approx(expected, abs=5 * (expected * (1 - expected) / count) ** 0.5)
    assert out.mean().item() == pytest.approx(1.0, abs=2e-3)
    assert out.unique().tolist() == [0.0, pytest.approx(256 / 230)]


def test_what_is_kept_is_scaled_so_that_the_expectation_is_the_input() -> None:
    torch.manual_seed(0)
    x = torch.tensor([-2.0, 0.5, 3.0]).repeat(200_000, 1)
    assert byte_dropout(x, 0.5).mean(0).tolist() == pytest.approx([-2.0, 0.5, 3.0], abs=0.03)


def test_the_gradient_goes_through_what_was_kept() -> None:
    torch.manual_seed(0)
    x = torch.randn(33, 7, requires_grad=True)
    out = byte_dropout(x, 0.3)
    out.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, out.detach() / x.detach(), rtol=1e-6, atol=0)
    assert ((x.grad == 0) == (out == 0)).all()
    assert 0 < (x.grad == 0).sum() < x.numel()


def test_rate_0_gives_the_input_itself() -> None:
    x = torch.randn(5)
    assert byte_dropout(x, 0.0) is x


def test_a_rate_just_under_1_keeps_the_numbers_finite() -> None:
    assert torch.isfinite(byte_dropout(torch.ones(1000), 0.999)).all()


def test_a_seed_fixes_the_mask() -> None:
    outs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        outs.append(byte_dropout(torch.ones(64), 0.5))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


def test_a_transposed_input_and_bf16_keep_shape_and_type() -> None:
    out = byte_dropout(torch.ones(6, 4, dtype=torch.bfloat16).T, 0.25)
    assert (out.shape, out.dtype) == ((4, 6), torch.bfloat16)


def test_modules_drop_this_way_in_training_only_and_are_restored() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Dropout1d(0.5))
    x = torch.randn(16, 4)
    with byte_dropout_in(model):
        model.train()
        torch.manual_seed(1)
        ours = model[1](x)
        torch.manual_seed(1)
        assert torch.equal(ours, byte_dropout(x, 0.5))
        assert "forward" not in vars(model[2]), "other kinds of dropout stay as they are"
        model.eval()
        assert torch.equal(model[1](x), x)
    assert "forward" not in vars(model[1])
    torch.manual_seed(1)
    theirs = model.train()[1](x)
    torch.manual_seed(1)
    assert torch.equal(theirs, nn.functional.dropout(x, 0.5))


def test_modules_are_restored_after_an_error() -> None:
    model = nn.Sequential(nn.Dropout(0.5))
    with pytest.raises(ZeroDivisionError), byte_dropout_in(model):
        raise ZeroDivisionError
    assert "forward" not in vars(model[0])
