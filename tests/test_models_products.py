"""Matrix products through oneDNN: the same numbers and gradients as torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import linear as plain_linear

from sixfold.models import products

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


@pytest.fixture
def onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN is taken on whatever processor the tests run."""
    monkeypatch.setattr(products, "prefers_onednn", lambda: True)


def _exact(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, slope: torch.Tensor) -> list[Any]:
    """Output and gradients in float64, by torch alone."""
    given = [None if t is None else t.detach().double().requires_grad_() for t in (x, weight, bias)]
    out = plain_linear(*given)  # type: ignore[arg-type]
    out.backward(slope.double())
    return [out.detach(), *(t.grad for t in given if t is not None)]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(products.FEWEST_ROWS, 200),
    inside=st.integers(1, 70),
    outside=st.integers(1, 70),
    biased=st.booleans(),
    strided=st.booleans(),
)
def test_output_and_gradients_are_those_of_torch(
    rows: int, inside: int, outside: int, biased: bool, strided: bool
) -> None:
    torch.manual_seed(rows * inside + outside)
    x = torch.randn(inside, rows).t() if strided else torch.randn(rows, inside)
    weight = torch.randn(inside, outside).t() if strided else torch.randn(outside, inside)
    bias = torch.randn(outside) if biased else None
    slope = torch.randn(outside, rows).t() if strided else torch.randn(rows, outside)
    expected = _exact(x, weight, bias, slope)
    leaves = [t for t in (x, weight, bias) if t is not None]
    for leaf in leaves:
        leaf.requires_grad_()
    out = products._Linear.apply(x, weight, bias)
    out.backward(slope)
    for found, wanted in zip([out.detach(), *(leaf.grad for leaf in leaves)], expected, strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-4)


def test_rows_may_stand_in_any_number_of_dimensions(onednn: None) -> None:
    x, weight, bias = torch.randn(2, 3, 40, 8), torch.randn(5, 8), torch.randn(5)
    found = products.linear(x, weight, bias)
    assert found.shape == (2, 3, 40, 5)
    torch.testing.assert_close(found, plain_linear(x, weight, bias))


def test_a_frozen_weight_gets_no_gradient(onednn: None) -> None:
    x, weight = torch.randn(64, 8, requires_grad=True), torch.randn(5, 8)
    products.linear(x, weight).sum().backward()
    assert weight.grad is None
    torch.testing.assert_close(x.grad, weight.sum(0).expand(64, 8))


@pytest.mark.parametrize(
    ("rows", "dtype", "autocast"),
    [(products.FEWEST_ROWS - 1, torch.float32, False), (64, torch.float64, False), (64, torch.float32, True)],
    ids=["few rows", "double", "autocast"],
)
def test_what_onednn_is_not_for_goes_to_torch(onednn: None, rows: int, dtype: torch.dtype, autocast: bool) -> None:
    x, weight = torch.randn(rows, 8, dtype=dtype), torch.randn(5, 8, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found, wanted = products.linear(x, weight), plain_linear(x, weight)
    assert found.dtype == wanted.dtype
    assert torch.equal(found, wanted)


def test_a_model_is_left_as_it_was(onednn: None) -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.randn(40, 8)
    before = model(x)
    with products.fast_products(model):
        with products.fast_products(model):  # one call may hold another
            pass
        during = model(x)
    assert during.grad_fn.name() == "_LinearBackward"
    torch.testing.assert_close(during, before)
    assert "forward" not in model[0].__dict__
    assert torch.equal(model(x), before)


def test_a_model_is_left_as_it_was_after_an_error(onednn: None) -> None:
    model = nn.Sequential(nn.Linear(8, 8))

    def fails() -> None:
        with products.fast_products(model):
            model(torch.randn(40, 9))

    with pytest.raises(RuntimeError):
        fails()
    assert "forward" not in model[0].__dict__


def test_only_processors_whose_avx512_mkl_will_not_use_prefer_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    def preferred(name: str, avx512: bool) -> bool:
        monkeypatch.setattr(
            torch.cpu, "get_capabilities", lambda: {"cpu_name": name, "avx512_f": avx512}, raising=False
        )
        return products.prefers_onednn.__wrapped__()

    has = torch.backends.mkl.is_available()
    assert preferred("AMD EPYC", True) is has
    assert not preferred("AMD EPYC", False)
    assert not preferred("Intel(R) Xeon(R)", True)
