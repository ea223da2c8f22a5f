"""Explainers give the weights that are known by hand, on games whose every coalition is known."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kendalltau
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise_distances
from tabulated import Table, additive, anything, game_of, glove, pairs

from sixfold.errors import DataError, UsageError
from sixfold.explain import faithfulness, lime, occlusion, owen, shapley
from sixfold.explain.game import Game, Weights
from sixfold.explain.masking import distinct
from sixfold.explain.methods import METHODS, named
from sixfold.score.driver import alone

WEIGHTS = (0.5, -1.0, 2.0, 0.25)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def found(method: Any, game: Game, worth: Any, **options: Any) -> Weights:
    return alone(method(game, rng(options.pop("seed", 0)), **options), {"subject": Table(worth)})


@pytest.mark.parametrize("name", ["occlusion", "shap", "shap-permutation", "shap-partition", "shap-kernel"])
def test_weights_of_an_additive_game_are_its_own(name: str) -> None:
    method = METHODS[name]
    weights = found(method.explain, game_of(4), additive(*WEIGHTS), samples=method.samples)
    np.testing.assert_allclose(weights.values, WEIGHTS, atol=1e-9)


def test_a_unit_of_several_windows_has_the_mean_of_their_losses() -> None:
    weights = found(occlusion.occlusion, game_of(4), additive(*WEIGHTS), window=2)
    np.testing.assert_allclose(weights.values, [-0.5, (-0.5 + 1) / 2, (1 + 2.25) / 2, 2.25])


def test_a_text_shorter_than_the_window_is_refused() -> None:
    with pytest.raises(DataError, match="3 units, fewer than the window of 4"):
        found(occlusion.occlusion, game_of(3), glove, window=4)


def test_exact_shapley_values_of_the_glove_game() -> None:
    np.testing.assert_allclose(found(shapley.exact, game_of(3), glove).values, [2 / 3, 1 / 6, 1 / 6])


def test_exact_is_the_mean_over_all_orders() -> None:
    worth = anything(4)
    orders = np.array(list(itertools.permutations(range(4))))
    values = worth(shapley.arrivals(orders).reshape(-1, 4).astype(float)).reshape(len(orders), -1)
    expected = shapley.of_orders(orders, values).mean(axis=0)
    np.testing.assert_allclose(found(shapley.exact, game_of(4), worth).values, expected, atol=1e-12)


def test_one_order_and_its_reverse_are_exact_for_pairs_of_units() -> None:
    worth = pairs(6)
    expected = found(shapley.exact, game_of(6), worth).values
    drawn = found(shapley.permutation, game_of(6), worth, samples=12, seed=5)
    np.testing.assert_allclose(drawn.values, expected, atol=1e-9)


def test_permutations_draw_near_the_exact_values_and_say_how_near() -> None:
    worth = anything(7)
    expected = found(shapley.exact, game_of(7), worth).values
    few, many = (found(shapley.permutation, game_of(7), worth, samples=samples) for samples in (140, 14_000))
    assert many.details["standard_error"] < few.details["standard_error"] / 5
    assert np.abs(many.values - expected).max() < 5 * many.details["standard_error"]


@pytest.mark.parametrize("name", ["shap", "shap-permutation", "shap-partition", "shap-kernel"])
@pytest.mark.parametrize("units", [1, 2, 9, 14])
def test_shapley_values_sum_up_to_what_the_text_is_worth(name: str, units: int) -> None:
    worth = anything(units, seed=units)
    weights = found(METHODS[name].explain, game_of(units), worth, samples=60)
    assert weights.values.sum() == pytest.approx(weights.details["whole"] - weights.details["empty"])
    whole, empty = worth(np.stack([np.ones(units), np.zeros(units)]))
    assert (weights.details["whole"], weights.details["empty"]) == (whole, empty)


def test_short_texts_get_exact_values_and_long_ones_draw() -> None:
    for units, exact in ((10, True), (11, False)):
        weights = found(shapley.shap, game_of(units), anything(units), samples=500)
        expected = found(shapley.exact, game_of(units), anything(units)).values
        assert np.allclose(weights.values, expected) is exact


def test_the_kernel_regression_on_all_coalitions_gives_shapley_values() -> None:
    worth = anything(6)
    expected = found(shapley.exact, game_of(6), worth).values
    np.testing.assert_allclose(found(shapley.kernel_shap, game_of(6), worth, samples=64).values, expected, atol=1e-9)
    drawn = found(shapley.kernel_shap, game_of(12), pairs(12), samples=2_000)
    # a copy and its complement cancel what pairs of units do, so the regression is exact for them
    np.testing.assert_allclose(drawn.values, found(shapley.exact, game_of(12), pairs(12)).values, atol=1e-6)


def _owen_by_orders(worth: Any, tree: owen.Node, units: int) -> NDArray[np.float64]:
    """The mean over all orders in which no branch is interrupted."""

    def orders(node: owen.Node) -> list[tuple[int, ...]]:
        if node.parts is None:
            return [node.units]
        first, second = (orders(part) for part in node.parts)
        return [a + b for a in first for b in second] + [b + a for a in first for b in second]

    line = np.array(orders(tree))
    values = worth(shapley.arrivals(line).reshape(-1, units).astype(float)).reshape(len(line), -1)
    return shapley.of_orders(line, values).mean(axis=0)


def test_owen_values_of_the_glove_game_share_what_the_right_gloves_bring_together() -> None:
    one, two, three = (owen.Node((place,)) for place in range(3))
    tree = owen.Node((0, 1, 2), (one, owen.Node((1, 2), (two, three))))
    weights = alone(owen.owen(game_of(3), tree, 500), {"subject": Table(glove)})
    np.testing.assert_allclose(weights.values, [1 / 2, 1 / 4, 1 / 4])


def test_owen_values_are_the_mean_over_orders_that_keep_branches_together() -> None:
    game = game_of(7, "a b c. d e f g")
    tree = owen.tree_of(game)
    assert tree.parts is not None
    assert [part.units for part in tree.parts] == [(0, 1, 2), (3, 4, 5, 6)]
    table = Table(anything(7))
    weights = alone(owen.owen(game, tree, 500), {"subject": table})
    np.testing.assert_allclose(weights.values, _owen_by_orders(table.worth, tree, 7), atol=1e-12)
    assert weights.details["undecided"] == 0
    assert sum(map(len, table.asked)) <= 2 + 2 * (1 + 4 + 16)


def test_owen_values_keep_within_the_samples_and_say_what_is_undecided() -> None:
    table = Table(anything(12))
    weights = alone(owen.partition(game_of(12), rng(), samples=40), {"subject": table})
    assert sum(map(len, table.asked)) <= 40
    assert weights.details["undecided"] > 0
    assert weights.values.sum() == pytest.approx(weights.details["whole"] - weights.details["empty"])


def test_the_ridge_is_scikit_learns() -> None:
    kept, values, weights = lime.sample(6, 50, rng()), rng(1).normal(size=50), rng(2).random(50)
    fitted = lime.ridge(kept, values, weights)
    theirs = Ridge(alpha=1).fit(kept.astype(float), values, sample_weight=weights)
    np.testing.assert_allclose(fitted.weights, theirs.coef_, atol=1e-9)
    assert fitted.intercept == pytest.approx(theirs.intercept_)
    assert fitted.r2 == pytest.approx(theirs.score(kept.astype(float), values, sample_weight=weights))


def test_the_kernel_is_of_the_cosine_distance() -> None:
    kept = np.concatenate([lime.sample(5, 20, rng()), np.zeros((1, 5), dtype=np.bool_)])
    distance = pairwise_distances(kept.astype(float), np.ones((1, 5)), metric="cosine").ravel() * 100
    np.testing.assert_allclose(lime.kernel(kept), np.sqrt(np.exp(-(distance**2) / 25**2)), atol=1e-12)


def test_lime_draws_each_number_of_missing_units_alike() -> None:
    kept = lime.sample(4, 20_001, rng())
    assert kept[0].all()
    missing = 4 - kept[1:].sum(axis=1)
    np.testing.assert_allclose(np.bincount(missing, minlength=5) / 20_000, [0, 0.25, 0.25, 0.25, 0.25], atol=0.02)
    np.testing.assert_allclose((~kept[1:]).mean(axis=0), 0.625, atol=0.02)


def test_all_copies_of_a_short_text_stand_for_an_endless_sample() -> None:
    _, often = lime.every_copy(4, 1_000)
    assert often.sum() == pytest.approx(1_000)
    drawn = lime.sample(4, 200_000, rng())
    counts = np.bincount(drawn @ 2 ** np.arange(4), minlength=16) / 200
    np.testing.assert_allclose(counts[:15], often[:15], rtol=0.1)
    first, second = (found(lime.lime, game_of(4), anything(4), samples=1_000, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(first.values, second.values)
    many = found(lime.lime, game_of(4), anything(4), samples=15)  # fewer than 16 copies: drawn
    assert not np.allclose(first.values, many.values)


def test_equal_copies_are_asked_about_once() -> None:
    table = Table(anything(3))
    alone(lime.lime(game_of(3), rng(), samples=7), {"subject": table})
    (asked,) = table.asked
    assert len(np.unique(asked, axis=0)) == len(asked) <= 8
    kept = lime.sample(3, 50, rng())
    some, places = distinct(kept)
    np.testing.assert_array_equal(some[places], kept)


def test_log_odds_are_of_the_probability_that_is_held_from_0_and_1() -> None:
    game = game_of(1, scale="log_odds")
    np.testing.assert_allclose(game.worth(np.array([0.5, 0.9])), [0, np.log(9)])
    assert np.isfinite(game.worth(np.array([0.0, 1.0]))).all()


def test_kendall_is_scipys_and_none_without_an_order() -> None:
    draw = rng()
    for _ in range(5):
        first, second = draw.integers(0, 4, 9).astype(float), draw.normal(size=9)
        assert faithfulness.kendall(first, second) == pytest.approx(kendalltau(first, second).statistic)
    assert faithfulness.kendall(np.ones(3), np.arange(3.0)) is None
    assert faithfulness.agreement([np.arange(3.0), np.arange(3.0)[::-1], np.arange(3.0)]) == pytest.approx(-1 / 3)


def test_the_heaviest_units_of_each_share_one_at_least() -> None:
    kept = faithfulness.top(np.array([0.1, 3.0, -5.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    assert [np.flatnonzero(row).tolist() for row in kept] == [[1], [1], [1, 3], [0, 1, 3], [0, 1, 3, 4, 5, 6]]


def test_faithfulness_of_an_additive_game_by_hand() -> None:
    """Ten units of 0.05 to 0.14; by the right weights, and by those the wrong way round."""
    weights = np.arange(10) * 0.01 + 0.05
    total = weights.sum()
    table = Table(additive(*weights))
    measured = alone(faithfulness.measured(game_of(10), [weights, -weights], rng()), {"subject": table})
    (right,), (wrong,) = measured.of
    heaviest = [0.14, 0.14, 0.14, 0.14 + 0.13, 0.14 + 0.13 + 0.12 + 0.11 + 0.10]
    np.testing.assert_allclose(right.comprehensiveness, heaviest)
    np.testing.assert_allclose(right.sufficiency, total - np.array(heaviest))
    assert right.log_odds == pytest.approx(np.log((total - 0.27) / total))
    assert (right.tau, wrong.tau) == (pytest.approx(1), pytest.approx(-1))
    assert right.aopc[0] == pytest.approx(np.mean(heaviest))
    (chance,) = measured.chance
    assert wrong.score < chance.score < right.score
    assert len(table.asked) == 1


def test_an_unknown_explainer_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError) as error:
        named(["limes"])
    assert "did you mean: lime" in str(error.value)
    with pytest.raises(UsageError, match="no explainer was named"):
        named([])
    assert [method.name for method in named(["lime", "shap", "lime"])] == ["lime", "shap"]
