"""Mixup: the loss of a mixed text against both labels, by hand; and who cannot take it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_classifier import TASK, batch_of, classifier, examples, settings, steps_of
from test_train_adversarial import tagged
from torch.nn.functional import cross_entropy, one_hot
from transformers import BertForTokenClassification

from sixfold.data.examples import Examples
from sixfold.errors import UsageError
from sixfold.models.forward import hidden_states, row_logits
from sixfold.tasks.text_classification import TextClassification
from sixfold.train.gradients import Gradients, draws
from sixfold.train.loop import fit
from sixfold.train.mixup import Mix, mixed

AT = (3, 1, 4)


def drawn(rows: int) -> Mix:
    return Mix.drawn(draws(AT, "mixup"), 1.0, rows, torch.device("cpu"))


def test_mixed_logits_are_those_of_mixed_sentence_vectors() -> None:
    """Guo et al. mix what goes into the last layer."""
    batch, model = batch_of(examples(6)), classifier().eval()
    mix, flat = drawn(6), batch["flat"]
    vectors = model.bert.pooler(hidden_states(model, flat)[flat.starts][:, None])
    wanted = model.classifier(mix.share * vectors + (1 - mix.share) * vectors[mix.partner])
    logits = row_logits(model, flat)
    torch.testing.assert_close(mix.share * logits + (1 - mix.share) * logits[mix.partner], wanted, atol=1e-5, rtol=1e-4)


def test_the_gradient_is_that_of_the_cross_entropy_with_both_labels() -> None:
    batch, model, hand = batch_of(examples(6)), classifier(), classifier()
    mix = drawn(6)
    assert 0.05 < mix.share < 0.95
    assert mix.partner.tolist() != list(range(6))
    soft = one_hot(batch["label"], 2).float()
    soft = mix.share * soft + (1 - mix.share) * soft[mix.partner]
    logits = row_logits(hand, batch["flat"])
    wanted = cross_entropy(mix.share * logits + (1 - mix.share) * logits[mix.partner], soft)
    wanted.backward()

    loss, terms = Gradients(model, TASK, settings(mixup=1.0), list(model.parameters())).add([batch], AT)

    assert loss == pytest.approx(float(wanted.detach()), abs=1e-6)
    assert terms == pytest.approx({"label": loss})
    for name, parameter in hand.named_parameters():
        found = dict(model.named_parameters())[name].grad
        torch.testing.assert_close(found, parameter.grad, atol=1e-6, rtol=1e-4, msg=name)


def test_weights_of_classes_count_as_often_as_without() -> None:
    task = TextClassification(labels=("a", "b"), class_weights=(0.2, 3.0))
    batch = batch_of(examples(6))
    terms = mixed(task, classifier(), batch, drawn(6))
    assert terms["label"].count == pytest.approx(task.counts(batch)["label"])


def test_several_labels_are_mixed_by_their_shares() -> None:
    task = TextClassification(labels=("a", "b"), several=True)
    rows = examples(6)
    labels = np.random.default_rng(1).integers(0, 2, (6, 2)).astype(np.float32)
    batch = task.collate(Examples({**rows.columns, "label": labels}), np.random.default_rng(0))
    model, mix = classifier(), drawn(6)
    logits, target = task.logits(model, batch), batch["label"]
    soft = mix.share * target + (1 - mix.share) * target[mix.partner]
    logits = mix.share * logits + (1 - mix.share) * logits[mix.partner]
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(logits, soft, reduction="sum")
    torch.testing.assert_close(mixed(task, model, batch, mix)["label"].sum, wanted)


def test_a_row_alone_in_its_micro_batch_is_mixed_with_itself() -> None:
    plain, alone = (
        [step.loss for step in steps_of(list(fit(classifier(), TASK, examples(), settings(**dials), seed=1)))]
        for dials in ({}, {"mixup": 1.0, "micro_tokens": 1})
    )
    assert alone == pytest.approx(plain, abs=1e-4)


def test_the_same_seed_mixes_alike_and_each_step_otherwise() -> None:
    runs = []
    for seed in (1, 1, 2):
        config = settings(mixup=1.0, learning_rate=1e-12, epochs=3)
        runs.append([step.loss for step in steps_of(list(fit(classifier(), TASK, examples(8), config, seed=seed)))])
    assert runs[0] == runs[1]
    assert len({*runs[0], *runs[2]}) == 6


def test_a_task_without_a_label_a_text_is_refused_by_name() -> None:
    task, rows = tagged()
    model = BertForTokenClassification(classifier().config)
    with pytest.raises(UsageError, match="token_classification has no label a text") as caught:
        list(fit(model, task, rows, settings(mixup=0.2), seed=1))
    assert caught.value.where == "train.mixup"
