"""The router: what it reads, what it learns, when it is sure, and that it comes back as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from test_models_mixed import ALONE, MIXED

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import DataError, ModelError
from sixfold.models.mixed import BASE, COLUMN
from sixfold.score.routing import SETTINGS, WEIGHTS, Held, Router, features_of, fit, regression, sure_enough
from sixfold.score.scorer import Scorer

SCORER = Scorer(ALONE["bert"][BASE])
BANK, SHOP = range(3, 12), range(12, 21)
"""Tokens of two domains; 21 to 39 are of both."""


def rows(count: int, seed: int) -> tuple[Examples, list[str]]:
    """Texts of a bank or a shop: most of their tokens are their domain's."""
    draw = np.random.default_rng(seed)
    domains = [("bank", "shop")[number] for number in draw.integers(0, 2, count)]
    runs = [
        [1, *draw.choice({"bank": BANK, "shop": SHOP}[name], 7), *draw.integers(21, 40, draw.integers(2, 6)), 2]
        for name in domains
    ]
    return Examples({"input_ids": Ragged.of(runs), "row": np.arange(count)}), domains


def fitted(**options: str) -> Router:
    return fit(SCORER, rows(200, 0), rows(40, 1), base="digest", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["bert", "bert, padded", "llama"])
@pytest.mark.parametrize("features", ["embeddings", "hidden"])
def test_features_are_means_over_a_texts_tokens_of_the_base_alone(name: str, features: str) -> None:
    given_, base = rows(5, 0)[0], ALONE[name][BASE]
    mixed = Scorer(MIXED[name])
    found = features_of(mixed, given_.with_column(COLUMN, np.array([0, 1, 2, 0, 1])), features)  # type: ignore[arg-type]
    for vector, ids in zip(found, given_.ragged("input_ids"), strict=True):
        tokens = torch.tensor(ids[None].astype(np.int64))
        with torch.no_grad():
            table = base.get_input_embeddings()
            wanted = table(tokens) if features == "embeddings" else base.base_model(tokens).last_hidden_state
        np.testing.assert_allclose(vector, wanted[0].mean(0).numpy(), rtol=1e-5, atol=1e-6)


def test_the_regression_is_the_published_one() -> None:
    draw = np.random.default_rng(0)
    gold = draw.integers(0, 3, 80)
    features = draw.normal(size=(80, 5)) * [1, 10, 0.1, 1, 1] + gold[:, None]
    scaled = (features - features.mean(0)) / features.std(0)
    peer = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(scaled, gold)
    weight, bias = regression(features, gold, 3)
    found = features @ weight.T + bias
    wanted = peer.decision_function(scaled)
    np.testing.assert_allclose(found - found.mean(1, keepdims=True), wanted - wanted.mean(1, keepdims=True), atol=1e-4)


def test_a_feature_that_never_changes_says_nothing() -> None:
    features = np.array([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0], [4.0, 7.0]])
    weight, bias = regression(features, np.array([0, 0, 1, 1]), 2)
    assert weight[:, 1].tolist() == [0, 0]
    assert (features @ weight.T + bias).argmax(1).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("features", "share"), [("embeddings", 0.95), ("hidden", 0.8)])
def test_texts_go_to_their_domains(features: str, share: float) -> None:
    router = fitted(features=features)
    examples, domains = rows(50, 2)
    routes = router.routes(SCORER, examples)
    assert np.mean([one.domain == name for one, name in zip(routes, domains, strict=True)]) >= share
    sure = [(one, name) for one, name in zip(routes, domains, strict=True) if one.adapter is not None]
    assert all(one.adapter == one.domain and one.confidence >= router.threshold for one, _ in sure)
    assert len(sure) > 25
    assert router.routes(SCORER, examples.take([])) == []


def test_who_is_not_sure_goes_by_the_fallback() -> None:
    router = replace(fitted(), threshold=0.9, fallback="bank")
    mostly = Examples({"input_ids": Ragged.of([[1, *SHOP, 2], [1, *BANK, *SHOP, 2], [1, *BANK, 2]])})
    routes = router.routes(SCORER, mostly)
    assert [one.adapter for one in routes] == ["shop", "bank", "bank"]
    assert routes[1].confidence < 0.9 < min(routes[0].confidence, routes[2].confidence)
    assert [one.adapter for one in replace(router, threshold=1.1, fallback=None).routes(SCORER, mostly)] == [None] * 3


def test_the_threshold_is_the_lowest_that_keeps_what_is_wanted() -> None:
    confidence = np.array([0.5, 0.9, 0.8, 0.7, 0.6, 0.6])
    right = np.array([True, True, True, False, True, True])
    assert sure_enough(confidence, right, 1.0) == (0.8, Held(6, 5, 2, 2))
    assert sure_enough(confidence, right, 0.8) == (0.5, Held(6, 5, 6, 5))
    assert sure_enough(confidence, right, 0.84) == (0.8, Held(6, 5, 2, 2))
    assert sure_enough(np.array([0.9, 0.9, 0.5]), np.array([True, False, True]), 0.6) == (0.5, Held(3, 2, 3, 2))
    with pytest.raises(DataError, match="in 95%") as caught:
        sure_enough(np.array([0.9, 0.9]), np.array([True, False]), 0.95)
    assert caught.value.found == "1 of 2 right"


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.3, 0.5, 0.7, 0.9]), st.booleans()), min_size=1, max_size=20),
    st.sampled_from([0.5, 0.8, 1.0]),
)
def test_no_lower_threshold_would_do(judged: list[tuple[float, bool]], wanted: float) -> None:
    confidence, right = (np.array([row[part] for row in judged]) for part in (0, 1))
    good = [cut for cut in set(confidence.tolist()) if right[confidence >= cut].mean() >= wanted]
    if not good:
        with pytest.raises(DataError):
            sure_enough(confidence, right, wanted)
        return
    threshold, held = sure_enough(confidence, right, wanted)
    assert threshold == min(good)
    assert (held.sure, held.sure_right) == ((confidence >= threshold).sum(), right[confidence >= threshold].sum())


def test_held_out_rows_set_temperature_and_threshold() -> None:
    examples, domains = rows(40, 1)
    router = fitted()
    shares = router.probabilities(features_of(SCORER, examples, "embeddings"))
    right = np.array(router.domains)[shares.argmax(1)] == domains
    sure = shares.max(1) >= router.threshold - 1e-12
    assert router.held == Held(40, int(right.sum()), int(sure.sum()), int((right & sure).sum()))
    assert router.held.sure_right >= 0.95 * router.held.sure


def test_saved_it_comes_back_bit_for_bit(tmp_path: Path) -> None:
    router = fitted(fallback="shop", features="hidden")
    router.save(tmp_path / "adapters")
    assert {path.name for path in (tmp_path / "adapters").iterdir()} == {SETTINGS, WEIGHTS}
    again = Router.load(tmp_path / "adapters", base="digest")
    assert np.array_equal(again.weight, router.weight)
    assert np.array_equal(again.bias, router.bias)
    named = ("domains", "threshold", "fallback", "features", "base", "held")
    assert [getattr(again, name) for name in named] == [getattr(router, name) for name in named]
    examples = rows(9, 4)[0]
    assert again.routes(SCORER, examples) == router.routes(SCORER, examples)


def test_what_is_damaged_or_of_another_base_is_refused(tmp_path: Path) -> None:
    router = fitted()
    router.save(tmp_path)
    with pytest.raises(ModelError, match="another base"):
        Router.load(tmp_path, base="other")
    told = json.loads((tmp_path / SETTINGS).read_text())
    replace(router, bias=router.bias + 1).save(tmp_path)
    (tmp_path / SETTINGS).write_text(json.dumps(told))
    with pytest.raises(ModelError, match="not those it was saved with"):
        Router.load(tmp_path, base="digest")
    (tmp_path / SETTINGS).write_text(json.dumps({**told, "odd": 1}))
    with pytest.raises(ModelError, match="cannot be read"):
        Router.load(tmp_path, base="digest")
    with pytest.raises(ModelError, match="cannot be read"):
        Router.load(tmp_path / "nowhere", base="digest")


def test_what_cannot_be_learnt_from_is_refused() -> None:
    examples, domains = rows(6, 0)
    for learnt, held in ((["bank"] * 6, ["bank"] * 6), (domains, ["bank", "card"] * 3), (domains, [])):
        with pytest.raises(DataError, match="two domains"):
            fit(SCORER, (examples, learnt), (examples.take(range(len(held))), held), base="digest")
