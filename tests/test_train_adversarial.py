"""Adversarial training: perturbations and gradients by hand, by row whatever the layout, with the passes it needs."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from small_classifier import TASK, WIDTH, batch_of, classifier, examples, losses, settings, steps_of
from torch import Tensor
from torch.nn.functional import cross_entropy
from toy_tasks import Contrastive
from transformers import (
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    LlamaConfig,
    LlamaForTokenClassification,
    ModernBertConfig,
    ModernBertForTokenClassification,
)

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import UsageError
from sixfold.models.forward import Flat, padded
from sixfold.tasks.token_classification import TokenClassification
from sixfold.train import learner
from sixfold.train.adversarial import Adversary
from sixfold.train.embedding import row_norms, unit, within
from sixfold.train.events import Started
from sixfold.train.gradients import ADVERSARIAL, Gradients, draws
from sixfold.train.loop import fit
from sixfold.train.many import refuse
from sixfold.train.noise import uniform

AT = (3, 1, 4)
"""Seed, epoch, step."""
METHODS = ("fgm", "pgd", "freelb")


@dataclass(frozen=True)
class Found:
    """What one step came to; ``seen`` is the output of the word embedding in each pass."""

    loss: float
    terms: dict[str, float]
    gradients: dict[str, Tensor]
    seen: list[Tensor]


def by_row(output: Tensor, flat: Flat) -> list[Tensor]:
    """The real tokens of each row, out of a packed or a padded batch."""
    if output.shape[0] == 1:
        return list(output[0, : sum(flat.lengths)].split(list(flat.lengths)))
    return [row[:length] for row, length in zip(output, flat.lengths, strict=True)]


def learnt(model: Any, batch: dict, **adversarial: Any) -> Found:
    gradients = Gradients(model, TASK, settings(adversarial=adversarial), list(model.parameters()))
    seen: list[Tensor] = []
    table = model.get_input_embeddings()
    handle = table.register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    model.zero_grad()
    loss, terms = gradients.add([batch], AT)
    handle.remove()
    gradients.release()
    return Found(loss, terms, grads(model), seen)


def grads(model: Any) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def loss_by_hand(model: Any, batch: dict, delta: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The mean loss of a padded batch with ``delta`` [rows, longest, width] on its word embeddings, and those."""
    inputs = padded(model, batch["flat"])
    words = model.get_input_embeddings()(inputs.pop("input_ids"))
    logits = model(inputs_embeds=words if delta is None else words + delta, **inputs).logits
    return cross_entropy(logits, batch["label"]), words


def norm_of(model: Any) -> float:
    return float(model.get_input_embeddings().weight.detach().norm(dim=1).mean())


def towards(slope: Tensor, size: float) -> Tensor:
    """Each row of [rows, longest, width] at this norm."""
    return size * slope / slope.flatten(1).norm(dim=1)[:, None, None]


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_fgm_learns_from_the_text_and_from_epsilon_along_its_gradient(packed: bool) -> None:
    batch, model = batch_of(examples(9)), classifier(packed=packed)
    hand = classifier(packed=False)
    clean, words = loss_by_hand(hand, batch)
    (slope,) = torch.autograd.grad(clean, words, retain_graph=True)
    delta = towards(slope, 0.4 * norm_of(hand))
    raised, _ = loss_by_hand(hand, batch, delta)
    (clean + raised).backward()
    expected = grads(hand)

    found = learnt(model, batch, method="fgm", epsilon=0.4)

    for row, (own, wanted) in enumerate(
        zip(by_row(found.seen[1] - found.seen[0], batch["flat"]), by_row(delta, batch["flat"]), strict=True)
    ):
        torch.testing.assert_close(own, wanted, atol=1e-5, rtol=1e-4, msg=f"row {row}")
    assert found.terms == pytest.approx({"label": float(clean.detach()), ADVERSARIAL: float(raised.detach())}, abs=1e-6)
    assert found.loss == pytest.approx(float((clean + raised).detach()), abs=1e-6)
    assert found.gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found.gradients[name], gradient, atol=1e-5, rtol=1e-3, msg=name)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_freelb_averages_the_gradients_of_all_its_passes(steps: int) -> None:
    batch, model, hand = batch_of(examples(9)), classifier(), classifier(packed=False)
    epsilon, size = 0.5 * norm_of(hand), 0.2 * norm_of(hand)
    flat = batch["flat"]
    drawn = uniform(draws(AT, "start"), flat.lengths, WIDTH, epsilon)
    real = padded(hand, flat)["attention_mask"].bool()
    delta = torch.zeros(*real.shape, WIDTH)
    delta[real] = drawn
    expected: list[float] = []
    for _ in range(steps):
        loss, words = loss_by_hand(hand, batch, delta)
        (slope,) = torch.autograd.grad(loss, words, retain_graph=True)
        (loss / steps).backward()
        delta = delta + towards(slope, size)
        delta = delta * (epsilon / delta.flatten(1).norm(dim=1)).clamp(max=1)[:, None, None]
        expected.append(float(loss.detach()))

    found = learnt(model, batch, method="freelb", epsilon=0.5, steps=steps, step_size=0.2)

    assert len(found.seen) == steps
    assert found.loss == pytest.approx(np.mean(expected), abs=1e-6)
    assert found.terms["label"] == pytest.approx(expected[0], abs=1e-6)
    assert found.terms[ADVERSARIAL] == pytest.approx(sum(expected[1:]) / steps, abs=1e-6)
    for name, gradient in grads(hand).items():
        torch.testing.assert_close(found.gradients[name], gradient, atol=1e-5, rtol=1e-3, msg=name)


def test_pgd_learns_from_the_text_and_from_where_its_steps_end() -> None:
    batch, model, hand = batch_of(examples(9)), classifier(), classifier(packed=False)
    epsilon, size = 0.3 * norm_of(hand), 0.2 * norm_of(hand)
    clean, words = loss_by_hand(hand, batch)
    delta = torch.zeros_like(words)
    for _ in range(3):
        loss, words = loss_by_hand(hand, batch, delta)
        (slope,) = torch.autograd.grad(loss, words)
        delta = delta + towards(slope, size)
        delta = delta * (epsilon / delta.flatten(1).norm(dim=1)).clamp(max=1)[:, None, None]
    raised, _ = loss_by_hand(hand, batch, delta)
    (clean + raised).backward()

    found = learnt(model, batch, method="pgd", epsilon=0.3, steps=3, step_size=0.2)

    assert len(found.seen) == 4, "the clean pass is the first step's too"
    assert found.terms == pytest.approx({"label": float(clean.detach()), ADVERSARIAL: float(raised.detach())}, abs=1e-5)
    assert found.loss == pytest.approx(float((clean + raised).detach()), abs=1e-5)
    for name, gradient in grads(hand).items():
        torch.testing.assert_close(found.gradients[name], gradient, atol=1e-5, rtol=1e-3, msg=name)


def test_one_step_of_epsilon_is_fgm() -> None:
    batch = batch_of(examples(9))
    fgm = learnt(classifier(), batch, method="fgm", epsilon=0.4)
    pgd = learnt(classifier(), batch, method="pgd", epsilon=0.4, steps=1, step_size=0.4)
    assert (fgm.loss, fgm.terms) == (pgd.loss, pgd.terms)
    assert all(torch.equal(fgm.gradients[name], pgd.gradients[name]) for name in fgm.gradients)


@pytest.mark.parametrize("start", ["zero", "random"])
@pytest.mark.parametrize("method", ["pgd", "freelb"])
def test_a_perturbation_stays_in_its_ball_and_reaches_its_edge(method: str, start: str) -> None:
    batch, model = batch_of(examples(9)), classifier()
    clean = model.get_input_embeddings()(batch["flat"].input_ids).detach()
    found = learnt(model, batch, method=method, epsilon=0.1, steps=4, step_size=0.09, start=start)
    edge = 0.1 * norm_of(model)
    norms = [row_norms(output[0, : len(clean)] - clean, batch["flat"].lengths) for output in found.seen]
    assert len(norms) == {"freelb": 4, "pgd": 5 if start == "zero" else 6}[method]
    assert all((norm <= edge * (1 + 1e-4)).all() for norm in norms)
    torch.testing.assert_close(norms[-1], torch.full((9,), edge), rtol=1e-4, atol=0.0)


@pytest.mark.parametrize("method", METHODS)
def test_what_a_row_gets_does_not_depend_on_the_rows_beside_it(method: str) -> None:
    rows = examples(5)
    found = []
    for indices in ([2, 0, 3, 1, 4], [2]):
        batch, model = batch_of(rows.take(indices)), classifier()
        start = {} if method == "fgm" else {"start": "zero"}
        one = learnt(model, batch, method=method, **start)
        found.append(by_row(one.seen[-1] - one.seen[0], batch["flat"])[0])
    assert float(found[0].norm()) > 0.1
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-4)


def test_tokens_that_fill_a_batch_up_are_not_perturbed() -> None:
    batch, model = batch_of(examples(9)), classifier()
    found = learnt(model, batch, method="freelb")
    tokens = sum(batch["flat"].lengths)
    assert found.seen[0].shape[1] > tokens, "the batch is filled up to a multiple of 16"
    assert torch.equal(found.seen[0][0, tokens:], found.seen[1][0, tokens:])
    clean = model.get_input_embeddings()(batch["flat"].input_ids[:1])
    assert (found.seen[-1][0, tokens:] == clean).all()


def test_every_pass_draws_the_same_dropout_and_a_step_as_much_as_a_plain_one() -> None:
    batch, model, other = batch_of(examples(9)), classifier(dropout=0.3), classifier(dropout=0.3)
    torch.manual_seed(1)
    found = learnt(model, batch, method="pgd", epsilon=1e-6, steps=2, step_size=1e-6)
    after = torch.get_rng_state()
    assert found.terms[ADVERSARIAL] == pytest.approx(found.terms["label"], abs=1e-5)
    torch.manual_seed(1)
    plain, _ = Gradients(other, TASK, settings(), []).add([batch], AT)
    assert plain == pytest.approx(found.terms["label"], abs=1e-6)
    assert torch.equal(torch.get_rng_state(), after)
    torch.manual_seed(2)
    assert abs(Gradients(other, TASK, settings(), []).add([batch], AT)[0] - plain) > 1e-3, "dropout is on"


ALSO: dict[str, dict[str, Any]] = {
    **{method: {"adversarial": {"method": method}} for method in METHODS},
    "random pgd": {"adversarial": {"method": "pgd", "start": "random"}},
    "noise": {"noise": 5.0},
    "all": {"adversarial": {"method": "freelb"}, "noise": 5.0, "r_drop": 1.0},
}


@pytest.mark.parametrize("dials", ALSO.values(), ids=ALSO)
def test_cutting_a_step_into_micro_batches_changes_nothing(dials: dict[str, Any]) -> None:
    runs = []
    for tokens in (10_000, 1, 25):
        config = settings(epochs=1, micro_tokens=tokens, learning_rate=1e-4, **dials)
        runs.append(losses(list(fit(classifier(), TASK, examples(8), config, seed=1))))
    for cut in runs[1:]:
        for own, whole in zip(cut, runs[0], strict=True):
            assert own[:2] == pytest.approx(whole[:2], abs=1e-6)
            assert own[2] == pytest.approx(whole[2], rel=1e-4)


@pytest.mark.parametrize("dials", [ALSO["fgm"], ALSO["random pgd"], ALSO["all"]], ids=["fgm", "pgd", "all"])
def test_a_stopped_run_goes_on_bit_for_bit(dials: dict[str, Any], tmp_path: Path) -> None:
    config = settings(**dials)
    whole = classifier(dropout=0.2)
    expected = losses(list(fit(whole, TASK, examples(16), config, seed=7)))
    first: list = []
    for event in fit(
        classifier(dropout=0.2), TASK, examples(16), config, seed=7, folder=tmp_path, stop=lambda: first[-1].step == 3
    ):
        first.append(event)
    again = classifier(dropout=0.2)
    torch.manual_seed(99)
    rest = list(fit(again, TASK, examples(16), config, seed=7, folder=tmp_path))
    assert losses(first) + losses(rest) == expected
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())


@pytest.mark.parametrize("dials", [ALSO["pgd"], ALSO["all"], {"mixup": 1.0}], ids=["pgd", "all", "mixup"])
def test_training_only_the_used_rows_gives_the_same_weights(
    dials: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    states, terms = [], []
    for whole in (False, True):
        if whole:
            monkeypatch.setattr(learner, "tied", lambda model: True)
        model = classifier()
        events = list(fit(model, TASK, examples(16), settings(clip=1e9, **dials), seed=3))
        started = events[0]
        assert isinstance(started, Started)
        assert ("embedding rows" in {choice.name for choice in started.choices}) is not whole
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        terms.append([step.terms for step in steps_of(events)])
    assert terms[0] == terms[1]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_what_is_told_is_what_was_learnt_from() -> None:
    for step in steps_of(list(fit(classifier(), TASK, examples(), settings(adversarial={"method": "fgm"}), seed=1))):
        assert step.loss == pytest.approx(step.terms["label"] + step.terms[ADVERSARIAL], abs=1e-6)
        assert step.terms[ADVERSARIAL] > step.terms["label"], "a step uphill"


def tagged() -> tuple[TokenClassification, Examples]:
    task = TokenClassification(labels=("O", "B-X", "I-X"))
    draw = np.random.default_rng(0)
    runs = [draw.integers(1, 30, size) for size in (3, 7, 7, 2, 9, 4, 5, 8)]
    columns = {
        "input_ids": Ragged.of(runs),
        "row": np.arange(len(runs)),
        "words": np.array([len(run) for run in runs]),
        "word": Ragged.of([np.arange(len(run)) for run in runs]),
        "place": Ragged.of([np.arange(len(run)) for run in runs]),
        "tag": Ragged.of([run % 3 for run in runs]),
    }
    return task, Examples(columns)


SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "num_labels": 3}
TAGGERS = {
    "modernbert": lambda: ModernBertForTokenClassification(
        ModernBertConfig(**SHAPE, vocab_size=40, local_attention=8, pad_token_id=0)
    ),
    "llama": lambda: LlamaForTokenClassification(
        LlamaConfig(**SHAPE, num_key_value_heads=2, vocab_size=40, pad_token_id=0)
    ),
}


@pytest.mark.parametrize(("family", "method"), [("modernbert", "freelb"), ("llama", "pgd")])
def test_it_fits_tags_and_other_families(family: str, method: str) -> None:
    torch.manual_seed(0)
    task, rows = tagged()
    config = settings(epochs=1, adversarial={"method": method})
    (step,) = steps_of(list(fit(TAGGERS[family](), task, rows, config, seed=1)))
    assert np.isfinite(step.loss)
    assert step.terms.keys() == {"tag", ADVERSARIAL}
    raised = step.terms[ADVERSARIAL] * (3 / 2 if method == "freelb" else 1)
    assert raised > step.terms["tag"]


def test_it_fits_a_family_that_is_padded() -> None:
    torch.manual_seed(0)
    shape = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "vocab_size": 40, "num_labels": 2}
    model = DistilBertForSequenceClassification(DistilBertConfig(**shape, dropout=0.0, attention_dropout=0.0))
    (step,) = steps_of(list(fit(model, TASK, examples(8), settings(epochs=1, adversarial={"method": "fgm"}), seed=1)))
    assert step.terms[ADVERSARIAL] > step.terms["label"]


def test_bf16_products_learn_the_same_within_their_rounding() -> None:
    runs = []
    for precision in ("fp32", "bf16"):
        config = settings(epochs=1, precision=precision, adversarial={"method": "pgd"})
        runs.append(steps_of(list(fit(classifier(), TASK, examples(), config, seed=1))))
    for exact, rounded in zip(*runs, strict=True):
        assert rounded.terms == pytest.approx(exact.terms, rel=0.1)
        assert rounded.loss != exact.loss


@pytest.mark.parametrize("method", METHODS)
def test_a_frozen_base_stays_frozen_and_is_perturbed_all_the_same(method: str) -> None:
    model = classifier()
    model.base_model.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    steps = steps_of(list(fit(model, TASK, examples(8), settings(adversarial={"method": method}), seed=1)))
    assert all(step.terms[ADVERSARIAL] > 0 for step in steps)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == (not name.startswith("classifier")), name
    assert not any(parameter.requires_grad for parameter in model.base_model.parameters())


@pytest.mark.parametrize("method", ["fgm", "freelb"])
def test_without_dropout_r_drop_changes_nothing_of_it(method: str) -> None:
    plain, joined = (
        steps_of(list(fit(classifier(), TASK, examples(8), settings(**dials, epochs=1), seed=1)))
        for dials in ({"adversarial": {"method": method}}, {"adversarial": {"method": method}, "r_drop": 2.0})
    )
    assert [step.loss for step in joined] == pytest.approx([step.loss for step in plain], rel=1e-4)


def test_the_model_is_left_without_a_hook() -> None:
    model = classifier()
    run = fit(model, TASK, examples(), settings(adversarial={"method": "fgm"}), seed=1)
    next(run)
    assert model.get_input_embeddings()._forward_hooks
    run.close()
    assert not model.get_input_embeddings()._forward_hooks
    with pytest.raises(UsageError):
        list(fit(BertModel(model.config), Contrastive(), pairs(), settings(noise=1.0), seed=1))
    assert not any(module._forward_hooks for module in model.modules())


def pairs() -> Examples:
    rows = Dataset.from_dict({"text": ["abc", "bcd", "cde"], "pair": ["abd", "bce", "cdf"]})
    return Contrastive().encode(rows, None, 16, "error").examples


@pytest.mark.parametrize("dials", [*ALSO.values(), {"mixup": 1.0}], ids=[*ALSO, "mixup"])
def test_a_task_that_compares_all_rows_of_a_step_is_refused_by_name(dials: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="toy_contrastive compares all rows of a step") as caught:
        list(fit(BertModel(classifier().config), Contrastive(), pairs(), settings(**dials), seed=1))
    assert str(caught.value.where).startswith("train.")


@pytest.mark.parametrize("dials", [*ALSO.values(), {"mixup": 1.0}, {"mask_share": 0.3}])
def test_several_processes_refuse_it(dials: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="one process only"):
        refuse(settings(**dials))
    refuse(settings())
    with pytest.raises(UsageError, match="made anew"):
        refuse(settings(), renewed=True)


def test_passes_in_between_compute_no_gradient_of_a_weight() -> None:
    """A pass that only looks for a perturbation must find every weight frozen; the first and the last do not."""
    weight = torch.nn.Parameter(torch.tensor([[2.0, -1.0]]))
    seen: list[bool] = []

    def loss_at(delta: Tensor | None, ids: Tensor | None = None) -> Tensor:
        assert delta is not None
        seen.append(weight.requires_grad)
        return (weight * (1 + delta)).square().sum()

    found = Adversary(averaged=False, epsilon=0.5, steps=3, step_size=0.5, random=False)
    found.learn(loss_at, Flat.of(np.array([7]), np.array([1])), torch.zeros(1, 2), [weight])
    assert seen == [True, False, False, True]
    assert weight.requires_grad


def test_rows_are_measured_and_scaled_each_by_itself() -> None:
    x = torch.tensor([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0], [0.6, 0.8]])
    lengths = (2, 1, 1)
    assert row_norms(x, lengths).tolist() == [5.0, 0.0, 1.0]
    assert unit(x, lengths).flatten().tolist() == pytest.approx([0.6, 0, 0, 0.8, 0, 0, 0.6, 0.8])
    assert within(x, lengths, 2.5).flatten().tolist() == pytest.approx([1.5, 0, 0, 2, 0, 0, 0.6, 0.8])


def test_perturbed_passes_follow_one_another_uphill() -> None:
    batch, model = batch_of(examples(9)), classifier()
    told: list[float] = []
    for steps in (1, 2, 3, 4):
        found = learnt(model, batch, method="pgd", epsilon=10, steps=steps, step_size=0.02)
        told.append(found.terms[ADVERSARIAL])
    assert all(more > less for less, more in pairwise(told))
