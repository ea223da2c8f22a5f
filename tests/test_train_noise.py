"""NEFTune: the size of the noise is that of each row alone, and nothing but training sees it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_classifier import TASK, WIDTH, batch_of, classifier, examples, settings, steps_of

from sixfold.train.gradients import Gradients, draws
from sixfold.train.loop import fit
from sixfold.train.noise import uniform

AT = (3, 1, 4)


def test_each_row_is_bounded_by_its_own_length() -> None:
    lengths, width = (4, 400, 25), 8
    noise = uniform(np.random.default_rng(0), lengths, width, 5.0)
    for row, length in zip(noise.split(list(lengths)), lengths, strict=True):
        bound = 5.0 / np.sqrt(length * width)
        assert float(row.abs().max()) <= bound
        assert float(row.max()) > 0.8 * bound
        assert float(row.min()) < -0.8 * bound
        assert float(row.norm()) == pytest.approx(5.0 / np.sqrt(3), rel=0.15)


def test_rows_drawn_in_two_parts_are_those_drawn_at_once() -> None:
    whole = uniform(np.random.default_rng(0), (3, 2, 5), 7, 1.0)
    rng = np.random.default_rng(0)
    assert torch.equal(whole, torch.cat([uniform(rng, (3,), 7, 1.0), uniform(rng, (2, 5), 7, 1.0)]))


def test_it_is_added_to_the_word_embeddings_and_learnt_from() -> None:
    batch, model = batch_of(examples(9)), classifier()
    gradients = Gradients(model, TASK, settings(noise=5.0), list(model.parameters()))
    seen: list[torch.Tensor] = []
    model.get_input_embeddings().register_forward_hook(lambda table, inputs, output: seen.append(output.detach()))
    gradients.add([batch], AT)
    tokens = sum(batch["flat"].lengths)
    clean = model.get_input_embeddings().weight.detach()[batch["flat"].input_ids]
    wanted = uniform(draws(AT, "noise"), batch["flat"].lengths, WIDTH, 5.0)
    torch.testing.assert_close(seen[0][0, :tokens] - clean, wanted, atol=1e-6, rtol=0.0)


def test_every_step_draws_anew_and_evaluation_sees_none() -> None:
    scores: list[list[list[float]]] = []

    def evaluate(model: torch.nn.Module) -> dict[str, float]:
        scores.append(model(input_ids=torch.tensor([[1, 5, 9, 2]])).logits.tolist())
        return {"macro_f1": 0.0}

    config = settings(noise=5.0, learning_rate=1e-12, epochs=3)
    steps = steps_of(list(fit(classifier(), TASK, examples(8), config, seed=1, evaluate=evaluate)))
    assert len({step.loss for step in steps}) == 3
    assert scores[0] == scores[1] == scores[2]
    plain = classifier().eval()(input_ids=torch.tensor([[1, 5, 9, 2]])).logits
    torch.testing.assert_close(torch.tensor(scores[0]), plain, atol=1e-5, rtol=0.0)


def test_without_it_a_run_is_what_it_was() -> None:
    plain, none = (
        [step.loss for step in steps_of(list(fit(classifier(0.1), TASK, examples(), settings(**dials), seed=1)))]
        for dials in ({}, {"noise": 0.0})
    )
    assert plain == none
