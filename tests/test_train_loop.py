"""The training loop: accumulation, evaluation, early stopping, fractions of epochs, and losses that are no number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import DataError, UsageError
from sixfold.tasks.text_classification import TextClassification
from sixfold.train import state as states
from sixfold.train.config import TrainConfig
from sixfold.train.events import Evaluated, Event, Saved, Started, Step, Stopped
from sixfold.train.loop import better, fit

TASK = TextClassification(labels=("a", "b"))


def model(dropout: float = 0.0) -> BertForSequenceClassification:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(**sizes, vocab_size=40, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    return BertForSequenceClassification(config)


def examples(count: int = 32) -> Examples:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, count)
    runs = [[1, 5 + int(label), *draw.integers(7, 30, draw.integers(0, 9)), 2] for label in labels]
    return Examples({"input_ids": Ragged.of(runs), "label": labels, "row": np.arange(count) + 1000})


def settings(**changes: Any) -> TrainConfig:
    return TrainConfig(**{"epochs": 2, "batch": 8, "learning_rate": 5e-3, "precision": "fp32", **changes})


def weights(of: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in of.state_dict().items()}


def kinds(events: list[Event], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def scripted(scores: list[float], seen: list[dict[str, torch.Tensor]], name: str = "macro_f1") -> Callable:
    """An evaluation that gives these scores in turn and keeps the weights it saw."""
    left: Iterator[float] = iter(scores)

    def evaluate(of: torch.nn.Module) -> dict[str, float]:
        assert not of.training
        assert not torch.is_grad_enabled()
        seen.append(weights(of))
        return {name: next(left)}

    return evaluate


def test_a_run_tells_its_steps_in_order() -> None:
    events = list(fit(model(), TASK, examples(), settings(), seed=1))
    started, stopped = events[0], events[-1]
    steps = kinds(events, Step)
    assert isinstance(started, Started)
    assert (started.steps, started.first_step) == (8, 0)
    assert [step.step for step in steps] == list(range(1, 9))
    assert [step.epoch for step in steps] == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
    assert sum(step.tokens for step in steps) == 2 * examples().lengths.sum()
    assert stopped == Stopped(8, "done", 8, None)
    assert all(math.isfinite(step.loss) and step.loss == pytest.approx(step.terms["label"]) for step in steps)


def test_a_run_learns() -> None:
    steps = kinds(list(fit(model(), TASK, examples(), settings(epochs=40, learning_rate=1e-2), seed=1)), Step)
    assert max(step.loss for step in steps[-4:]) < 0.1 < 0.6 < min(step.loss for step in steps[:4])


def test_the_rate_follows_the_schedule() -> None:
    steps = kinds(list(fit(model(), TASK, examples(), settings(warmup=0.25), seed=1)), Step)
    wanted = [0.5, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    assert [step.learning_rate for step in steps] == pytest.approx([5e-3 * share for share in wanted])


def test_the_same_seed_gives_the_same_run_and_another_another() -> None:
    losses = []
    for seed in (1, 1, 2):
        losses.append(
            [step.loss for step in kinds(list(fit(model(0.2), TASK, examples(), settings(), seed=seed)), Step)]
        )
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


@pytest.mark.parametrize("task", [TASK, TextClassification(labels=("a", "b"), class_weights=(0.2, 3.0))])
def test_small_micro_batches_learn_what_one_batch_learns(task: TextClassification) -> None:
    whole, cut = model(), model()
    first = kinds(list(fit(whole, task, examples(), settings(epochs=1, micro_tokens=10_000), seed=1)), Step)
    second = kinds(list(fit(cut, task, examples(), settings(epochs=1, micro_tokens=1), seed=1)), Step)
    assert [step.loss for step in second] == pytest.approx([step.loss for step in first], abs=1e-6)
    # not the weights: Adam makes a full step of a gradient that is all rounding, such as that of a key's bias
    assert [step.grad_norm for step in second] == pytest.approx([step.grad_norm for step in first], rel=1e-5)
    logits = [of.eval()(input_ids=torch.tensor([[1, 5, 9, 2], [1, 6, 7, 2]])).logits for of in (whole, cut)]
    torch.testing.assert_close(*logits, atol=1e-5, rtol=1e-5)


def test_a_step_whose_weights_add_up_to_less_than_one_is_still_a_mean() -> None:
    """One example of a class with weight 0.2: the weighted mean is its own loss, as torch has it."""
    light = TextClassification(labels=("a", "b"), class_weights=(0.2, 0.2))
    one = examples(1)
    losses = [kinds(list(fit(model(), task, one, settings(epochs=1), seed=1)), Step)[0].loss for task in (TASK, light)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)


@pytest.mark.parametrize(("epochs", "steps"), [(0.5, 2), (1.25, 5), (0.01, 1), (3, 12)])
def test_a_fraction_of_an_epoch_is_a_fraction_of_its_steps(epochs: float, steps: int) -> None:
    events = list(fit(model(), TASK, examples(), settings(epochs=epochs), seed=1, evaluate=scripted([0.5] * 9, [])))
    assert len(kinds(events, Step)) == events[0].steps == steps
    assert kinds(events, Evaluated)[-1].step == steps, "the end is always evaluated"


def test_evaluations_come_as_often_an_epoch_as_asked() -> None:
    config = settings(evaluations=2, patience=None)
    events = list(fit(model(), TASK, examples(), config, seed=1, evaluate=scripted([0.5] * 9, [])))
    assert [event.step for event in kinds(events, Evaluated)] == [2, 4, 6, 8]
    config = settings(evaluations=0.5, patience=None)
    events = list(fit(model(), TASK, examples(), config, seed=1, evaluate=scripted([0.5] * 9, [])))
    assert [event.step for event in kinds(events, Evaluated)] == [8]


def test_early_stopping_restores_the_best_weights() -> None:
    seen: list[dict[str, torch.Tensor]] = []
    learner = model()
    before = weights(learner)
    config = settings(epochs=9, patience=2)
    events = list(fit(learner, TASK, examples(), config, seed=1, evaluate=scripted([0.1, 0.7, 0.6, 0.7, 0.9], seen)))
    assert [event.best for event in kinds(events, Evaluated)] == [True, True, False, False]
    assert events[-1] == Stopped(16, "early", 8, 0.7)
    after = weights(learner)
    for name, value in seen[1].items():
        assert torch.equal(after[name], value), name
    assert not torch.equal(after["classifier.weight"], seen[3]["classifier.weight"])
    assert not torch.equal(after["classifier.weight"], before["classifier.weight"])
    assert not learner.training


def test_a_better_score_renews_the_patience_and_without_one_there_is_no_early_stop() -> None:
    scores = [0.1, 0.05, 0.2, 0.1, 0.3, 0.2]
    events = list(fit(model(), TASK, examples(), settings(epochs=6, patience=2), seed=1, evaluate=scripted(scores, [])))
    assert events[-1] == Stopped(24, "done", 20, 0.3)
    falling = [0.9, 0.8, 0.7, 0.6]
    config = settings(epochs=4, patience=None)
    events = list(fit(model(), TASK, examples(), config, seed=1, evaluate=scripted(falling, [])))
    assert events[-1] == Stopped(16, "done", 4, 0.9)


def test_between_equal_scores_the_lower_loss_decides() -> None:
    pairs = iter([(0.5, 0.9), (0.5, 0.7), (0.5, 0.8), (0.4, 0.1), (0.5, 0.7)])

    def evaluate(of: torch.nn.Module) -> dict[str, float]:
        score, loss = next(pairs)
        return {"macro_f1": score, "loss": loss}

    events = list(fit(model(), TASK, examples(), settings(epochs=5, patience=3), seed=1, evaluate=evaluate))
    assert [event.best for event in kinds(events, Evaluated)] == [True, True, False, False, False]
    assert events[-1] == Stopped(20, "early", 8, 0.5)


def test_few_rows_get_more_epochs_unless_the_recipe_says_how_many() -> None:
    started = next(fit(model(), TASK, examples(), TrainConfig(batch=8), seed=1))
    assert isinstance(started, Started)
    (choice,) = [choice for choice in started.choices if choice.name == "epochs"]
    assert (choice.value, started.steps) == (15.0, 60)


def test_of_a_loss_the_lower_one_is_better() -> None:
    config = settings(epochs=4, metric="loss", patience=None)
    events = list(fit(model(), TASK, examples(), config, seed=1, evaluate=scripted([0.5, 0.3, 0.4, 0.35], [], "loss")))
    assert (events[-1].best_step, events[-1].best_score) == (8, 0.3)
    assert better("macro_f1", 0.6, 0.5)
    assert not better("macro_f1", 0.5, 0.5)
    assert better("validation_loss", 0.4, 0.5)
    assert better("perplexity", 9.0, None)
    assert not better("macro_f1", math.nan, None)


def test_a_metric_that_the_task_does_not_have_is_told_with_the_nearest() -> None:
    config = settings(metric="macro_f2")
    with pytest.raises(UsageError, match="macro_f2") as caught:
        list(fit(model(), TASK, examples(), config, seed=1, evaluate=scripted([0.5], [])))
    assert caught.value.nearest == "macro_f1"


def test_no_examples_is_told() -> None:
    with pytest.raises(DataError, match="nothing to train on"):
        list(fit(model(), TASK, examples(0), settings(), seed=1))


class Poisoned(TextClassification):
    """Gives a loss that is no number once row 1000 is in the step."""

    def collate(self, examples: Examples, rng: np.random.Generator) -> dict[str, Any]:
        return {**super().collate(examples, rng), "row": examples.dense("row")}

    def loss(self, model: torch.nn.Module, batch: dict[str, Any]) -> dict[str, Any]:
        terms = super().loss(model, batch)
        if 1000 in batch["row"]:
            terms["label"] = type(terms["label"])(terms["label"].sum * math.nan, terms["label"].count)
        return terms


def test_a_loss_that_is_no_number_names_its_rows_and_leaves_the_last_state(tmp_path: Path) -> None:
    learner = model()
    events: list[Event] = []
    task, config = Poisoned(labels=("a", "b")), settings(save_minutes=0)
    with pytest.raises(DataError, match=r"the loss is nan at step \d") as caught:
        events.extend(fit(learner, task, examples(), config, seed=1, folder=tmp_path))
    rows = [int(row) for row in str(caught.value.where).removeprefix("training rows ").split(" …")[0].split(", ")]
    assert 1000 in rows
    assert len(rows) == 8
    last = kinds(events, Saved)[-1].step
    assert last == kinds(events, Step)[-1].step
    state = states.load(tmp_path)
    assert state is not None
    assert state.progress.step == last
    assert all(torch.isfinite(value).all() for value in state.weights.values())
    assert all(torch.isfinite(value).all() for value in weights(learner).values()), "the step was not taken"


def test_an_infinite_gradient_is_told_as_such() -> None:
    class Steep(TextClassification):
        def loss(self, model: torch.nn.Module, batch: dict[str, Any]) -> dict[str, Any]:
            terms = super().loss(model, batch)
            # finite, with a gradient that is not: the root of 0
            extra = (model.classifier.bias[0] * 0.0).sqrt()
            terms["label"] = type(terms["label"])(terms["label"].sum + extra, terms["label"].count)
            return terms

    with pytest.raises(DataError, match="gradient") as caught:
        list(fit(model(), Steep(labels=("a", "b")), examples(), settings(), seed=1))
    assert "the loss is 0" not in caught.value.what


def test_a_frozen_base_stays_as_it_was_bit_for_bit() -> None:
    learner = model(0.1)
    learner.base_model.requires_grad_(False)
    before = weights(learner)
    list(fit(learner, TASK, examples(), settings(weight_decay=0.5), seed=1))
    for name, value in weights(learner).items():
        assert torch.equal(value, before[name]) == (not name.startswith("classifier")), name
    assert not any(parameter.requires_grad for parameter in learner.base_model.parameters())


def test_the_model_is_left_as_found_when_the_caller_goes_away() -> None:
    learner = model(0.2)
    events = fit(learner, TASK, examples(), settings(), seed=1)
    for _ in range(3):
        next(events)
    events.close()
    assert "forward" not in vars(learner.get_input_embeddings())
    assert learner.get_input_embeddings().weight.requires_grad
    assert "forward" not in vars(learner.dropout)
