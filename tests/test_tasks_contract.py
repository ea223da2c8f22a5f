"""The contract carries every task of the design: by signature, and by three toys trained end to end."""

from __future__ import annotations

import inspect
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset
from toy_tasks import Contrastive, Copy, Greedy, MaskedAndOrder
from transformers import BertConfig, BertForMaskedLM, BertModel, LlamaConfig, LlamaForCausalLM

from sixfold.score.scorer import Scorer
from sixfold.tasks.contract import PreparedTask, Task, WholeBatchTask
from sixfold.tasks.registry import TASKS, task_class
from sixfold.train.config import TrainConfig
from sixfold.train.events import Evaluated, Step
from sixfold.train.gradients import Gradients
from sixfold.train.loop import fit

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 32,
}
TOYS = (MaskedAndOrder, Contrastive, Copy)


def words(count: int, seed: int = 0) -> Dataset:
    draw = random.Random(seed)
    texts = ["".join(draw.choice("abcdefg") for _ in range(draw.randint(2, 5))) for _ in range(count)]
    return Dataset.from_dict({"text": texts, "pair": [text[::-1] for text in texts]})


def model_of(kind: type, config: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return kind(config)


def signature(method: object) -> list[str]:
    return list(inspect.signature(method).parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize("task", [*(task_class(name) for name in TASKS), *TOYS], ids=lambda task: task.name)
def test_every_task_has_the_contract_s_methods_and_parameters(task: type) -> None:
    wanted = [name for name, value in vars(Task).items() if inspect.isfunction(value) and not name.startswith("_")]
    assert len(wanted) == 12, wanted
    for name in wanted:
        assert signature(getattr(task, name)) == signature(getattr(Task, name)), name
    for name in ("name", "metric", "score_names", "columns"):
        assert getattr(task, name), name
    assert isinstance(task(), Task)


def test_a_task_says_by_its_methods_what_it_needs_more() -> None:
    assert isinstance(Contrastive(), WholeBatchTask)
    assert not isinstance(MaskedAndOrder(), WholeBatchTask)
    assert not isinstance(Copy(), PreparedTask)


def test_masked_and_order_learn_together() -> None:
    rows, task = words(64), MaskedAndOrder()
    examples = task.encode(rows, None, 32, "error").examples
    model = model_of(BertForMaskedLM, BertConfig(**SIZES, hidden_dropout_prob=0.0))
    config = TrainConfig(epochs=30, batch=16, learning_rate=3e-3, precision="fp32", patience=None)
    events = list(
        fit(
            model,
            task,
            examples,
            config,
            seed=1,
            evaluate=lambda m: task.scores(task.predict(Scorer(m), examples), rows),
        )
    )
    steps = [event for event in events if isinstance(event, Step)]
    assert set(steps[0].terms) == {"masked", "order"}
    assert steps[0].loss == pytest.approx(steps[0].terms["masked"] + 0.5 * steps[0].terms["order"], rel=1e-5)
    evaluations = [event.scores["loss"] for event in events if isinstance(event, Evaluated)]
    assert min(evaluations) < 0.8 * evaluations[0]


def test_contrastive_pairs_find_each_other() -> None:
    rows, task = words(48), Contrastive()
    examples = task.encode(rows, None, 32, "error").examples
    model = model_of(BertModel, BertConfig(**SIZES, hidden_dropout_prob=0.0))

    def recall(model: torch.nn.Module) -> dict[str, float]:
        return task.scores(task.predict(Scorer(model), examples), rows)

    before = recall(model)["recall_at_1"]
    config = TrainConfig(epochs=20, batch=24, learning_rate=3e-3, precision="fp32", patience=None, micro_tokens=20)
    events = list(fit(model, task, examples, config, seed=1, evaluate=recall))
    assert recall(model)["recall_at_1"] > before + 0.2
    assert len([event for event in events if isinstance(event, Step)]) == 40


def test_generated_text_is_scored() -> None:
    rows, task = words(40), Copy()
    examples = task.encode(rows, None, 32, "error").examples
    model = model_of(LlamaForCausalLM, LlamaConfig(**SIZES, pad_token_id=0))
    config = TrainConfig(epochs=60, batch=20, learning_rate=5e-3, precision="fp32", patience=None, evaluations=0.1)
    greedy = Greedy(model)
    list(
        fit(
            model,
            task,
            examples,
            config,
            seed=1,
            evaluate=lambda m: task.scores(task.predict(greedy, examples), rows),
        )
    )
    assert greedy.written > 0
    assert task.scores(task.predict(greedy, examples), rows)["exact_match"] > 0.8


@pytest.mark.parametrize("budgets", [(10_000, 12), (10_000, 1)])
def test_cutting_a_step_into_micro_batches_changes_no_gradient(budgets: tuple[int, int]) -> None:
    task = Copy()
    examples = task.encode(words(10), None, 32, "error").examples
    model = model_of(LlamaForCausalLM, LlamaConfig(**SIZES, pad_token_id=0))
    results = [gradients_of(task, model, examples, budget) for budget in budgets]
    for whole, cut in zip(*results, strict=True):
        torch.testing.assert_close(whole, cut, atol=1e-6, rtol=1e-5)


def test_terms_are_divided_by_the_counts_of_the_whole_step() -> None:
    """Masking makes unequal counts in micro-batches; the mean must be over all targets, not of means."""
    task = replace(MaskedAndOrder(), order_weight=0.25)
    examples = task.encode(words(10), None, 32, "error").examples
    model = model_of(BertForMaskedLM, BertConfig(**SIZES, hidden_dropout_prob=0.0)).eval()
    batches = [
        task.collate(examples.take(part), np.random.default_rng(0)) for part in ([0], [1, 2, 3], [4, 5, 6, 7, 8, 9])
    ]
    loss, means = Gradients(model, task, TrainConfig(), list(model.parameters())).add(batches, (0, 0, 0))
    terms = [task.loss(model, batch) for batch in batches]
    for name in means:
        total = sum(float(term[name].sum.detach()) for term in terms)
        assert means[name] == pytest.approx(total / sum(term[name].count for term in terms), rel=1e-5)
    assert loss == pytest.approx(means["masked"] + 0.25 * means["order"], rel=1e-5)


def test_gradient_caching_gives_the_gradient_of_the_whole_batch() -> None:
    task = Contrastive()
    examples = task.encode(words(9), None, 32, "error").examples
    model = model_of(BertModel, BertConfig(**SIZES)).train()  # dropout on: both passes must draw the same

    torch.manual_seed(5)
    cached = gradients_of(task, model, examples, 16)
    torch.manual_seed(5)
    model.zero_grad()
    batches = batches_of(task, examples, 16)
    terms = task.loss_of(torch.cat([task.represent(model, batch) for batch in batches]), batches)
    (terms["pairs"].sum / terms["pairs"].count).backward()
    for parameter, expected in zip((p for p in model.parameters() if p.grad is not None), cached, strict=True):
        torch.testing.assert_close(parameter.grad, expected, atol=1e-6, rtol=1e-4)


def batches_of(task: Task, examples: object, budget: int) -> list[dict]:
    from sixfold.data.batching import sorted_batches

    return [
        task.collate(examples.take(indices), np.random.default_rng(0))  # type: ignore[attr-defined]
        for indices in sorted_batches(examples.lengths, budget)  # type: ignore[attr-defined]
    ]


def gradients_of(task: Task, model: torch.nn.Module, examples: object, budget: int) -> list[torch.Tensor]:
    model.zero_grad()
    Gradients(model, task, TrainConfig(), list(model.parameters())).add(batches_of(task, examples, budget), (0, 0, 0))
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]
