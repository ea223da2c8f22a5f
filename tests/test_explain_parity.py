"""The same numbers as lime, shap and captum, on the same model and the same copies.

Tolerances: lime and captum ask the model about strings or embeddings of their own making, in fp32, so probabilities
differ by some 1e-7, and weights by the condition of a ridge more (1e-5). shap is held against functions that are known
exactly, so only the order of summation differs (1e-9).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tabulated import Table, anything, game_of
from tuned import classifier

from sixfold.explain import lime, owen, shapley
from sixfold.explain.game import Game
from sixfold.explain.inside import integrated_gradients
from sixfold.explain.subjects import View, games
from sixfold.score.driver import alone
from sixfold.score.subject import Subject

pytestmark = pytest.mark.usefixtures("own_home")

TEXT = "the old film was good and this book bad"


@pytest.fixture(scope="module")
def subject(own_home: None, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return Subject.load(classifier(tmp_path_factory.mktemp("a")))


def game_on(subject: Subject, by: str) -> Game:
    (game,) = alone(games(subject, TEXT, View(by=by)), {"subject": subject.scorer})
    return game


def test_lime_gives_the_weights_of_lime(subject: Subject) -> None:
    """The package draws and asks about strings; its own copies then go through our tokens, kernel and ridge."""
    from lime.lime_text import LimeTextExplainer

    words, asked = TEXT.split(), []

    def probabilities(strings: list[str]) -> NDArray[np.float64]:
        asked.extend(strings)
        return subject.probabilities(np.stack(subject.whole(strings)))

    explainer = LimeTextExplainer(class_names=subject.task.labels, random_state=0)
    game = game_on(subject, "words")
    label = subject.task.labels.index(game.label)
    theirs = explainer.explain_instance(TEXT, probabilities, labels=(label,), num_features=len(words), num_samples=300)
    kept = np.array([[word in string.split() for word in words] for string in asked])
    values = alone(game.values(kept), {"subject": subject.scorer})
    mine = lime.ridge(kept, values, lime.kernel(kept))
    expected = dict(theirs.as_list(label))
    np.testing.assert_allclose(mine.weights, [expected[word] for word in words], atol=1e-5)
    assert mine.r2 == pytest.approx(theirs.score, abs=1e-4)
    assert np.abs(mine.weights).max() > 1e-3, "weights of nothing would agree with anything"


def test_permutations_give_the_values_of_shap_for_the_same_orders() -> None:
    import shap

    units, pairs, worth = 6, 7, anything(6)
    explainer = shap.PermutationExplainer(worth, np.zeros((1, units)), seed=3)
    theirs = explainer(np.ones((1, units)), max_evals=pairs * (2 * units + 1), silent=True).values[0]
    draw, order, forth = np.random.RandomState(3), np.arange(units), []
    for _ in range(pairs):
        draw.shuffle(order)
        forth.append(order.copy())
    orders = np.concatenate([forth, np.array(forth)[:, ::-1]])
    values = worth(shapley.arrivals(orders).reshape(-1, units).astype(float)).reshape(len(orders), -1)
    np.testing.assert_allclose(shapley.of_orders(orders, values).mean(axis=0), theirs, atol=1e-9)


def test_exact_values_are_those_of_shap() -> None:
    import shap

    worth = anything(5)
    theirs = shap.ExactExplainer(worth, np.zeros((1, 5)))(np.ones((1, 5)), silent=True).values[0]
    mine = alone(shapley.exact(game_of(5), np.random.default_rng(0)), {"subject": Table(worth)})
    np.testing.assert_allclose(mine.values, theirs, atol=1e-9)


def test_owen_values_are_those_of_shap_for_the_same_tree() -> None:
    """Five units: ((0 1) ((2 3) 4)), as a linkage of scipy's form."""
    import shap

    linkage = np.array([[0, 1, 1, 2], [2, 3, 1, 2], [6, 4, 2, 3], [5, 7, 3, 5]], dtype=float)
    masker = shap.maskers.Partition(np.zeros((1, 5)), clustering=linkage)
    worth = anything(5)
    theirs = shap.PartitionExplainer(worth, masker)(np.ones((1, 5)), max_evals=10_000, silent=True).values[0]
    leaves = [owen.Node((place,)) for place in range(5)]
    left = owen.Node((0, 1), (leaves[0], leaves[1]))
    right = owen.Node((2, 3, 4), (owen.Node((2, 3), (leaves[2], leaves[3])), leaves[4]))
    tree = owen.Node((0, 1, 2, 3, 4), (left, right))
    mine = alone(owen.owen(game_of(5), tree, 10_000), {"subject": Table(worth)})
    np.testing.assert_allclose(mine.values, theirs, atol=1e-9)


def test_integrated_gradients_are_those_of_captum(subject: Subject) -> None:
    from captum.attr import IntegratedGradients

    model, tokenizer = subject.scorer.model, subject.tokenizer
    ids = tokenizer(TEXT, return_tensors="pt")["input_ids"]
    table: Any = model.get_input_embeddings()
    masked = ids.clone()
    masked[:, 1:-1] = tokenizer.mask_token_id
    game = game_on(subject, "subwords")
    label = subject.task.labels.index(game.label)

    def log_probability(embedded: torch.Tensor) -> torch.Tensor:
        mask = torch.ones(embedded.shape[:2], dtype=torch.long)
        return model(inputs_embeds=embedded, attention_mask=mask).logits.log_softmax(-1)[:, label]

    theirs, delta = IntegratedGradients(log_probability, multiply_by_inputs=True).attribute(
        table(ids).detach(),
        baselines=table(masked).detach(),
        n_steps=8,
        method="gausslegendre",
        return_convergence_delta=True,
    )
    mine = alone(integrated_gradients(game, np.random.default_rng(0), samples=8, first=8), {"subject": subject.scorer})
    expected = theirs.sum(-1)[0, 1:-1].detach().numpy()
    np.testing.assert_allclose(mine.values, expected, atol=1e-5, rtol=1e-4)
    assert mine.details["delta"] == pytest.approx(float(delta), abs=1e-5)
    assert np.abs(expected).max() > 1e-3
