"""Gradients of word embeddings are those of a padded batch differentiated by hand, at any point of a path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy
from tuned import classifier, tagger

from sixfold.score.driver import alone
from sixfold.score.gradients import ZERO, gradient_query
from sixfold.score.subject import Subject, Text
from sixfold.tasks.token_classification import IGNORED

pytestmark = pytest.mark.usefixtures("own_home")

TEXT = "the film was good, and the book was bad"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        "classifier": classifier(tmp_path_factory.mktemp("a")),
        "windows": classifier(tmp_path_factory.mktemp("b"), limit=8, on_long="window"),
        "tagger": tagger(tmp_path_factory.mktemp("c")),
    }


def subject_of(folder: Path, attention: str = "sdpa") -> Subject:
    subject = Subject.load(folder)
    subject.scorer.model.config._attn_implementation = attention
    return subject


def by_hand(subject: Subject, ids: list[int], loss: Any, move: Any = None) -> NDArray[np.float32]:
    """One row through the model by its embeddings, as transformers takes them."""
    model = subject.scorer.model
    embedded = model.get_input_embeddings()(torch.tensor([ids])).detach()
    point = (embedded if move is None else move(embedded)).requires_grad_()
    logits = model(inputs_embeds=point, attention_mask=torch.ones(1, len(ids), dtype=torch.long)).logits
    (slope,) = torch.autograd.grad(loss(logits[0]), point)
    return slope[0].numpy()


def variants_of(text: Text) -> list[Any]:
    return [[], [text.sentence.edit(1, "movie played")], [text.sentence.edit(3, "great")]]


def of_class(label: int) -> Any:
    return lambda logits: cross_entropy(logits[None], torch.tensor([label]))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_gradients_are_those_of_each_text_alone(folders: dict[str, Path], attention: str) -> None:
    subject = subject_of(folders["classifier"], attention)
    text = subject.text(TEXT)
    query = gradient_query(subject, text, variants_of(text), [2, 0, 1])
    learning = [weight.requires_grad for weight in subject.scorer.model.parameters()]
    answers = subject.scorer.ask(query.examples, query.ask)
    for ids, label, slope in zip(query.examples.ragged("input_ids"), [2, 0, 1], answers, strict=True):
        assert slope.dtype == np.float32
        assert slope.shape == (len(ids), 32)
        np.testing.assert_allclose(slope, by_hand(subject, ids.tolist(), of_class(label)), atol=2e-5)
        assert np.abs(slope).max() > 1e-3
    assert [weight.requires_grad for weight in subject.scorer.model.parameters()] == learning


def test_they_are_kept_by_label_and_point(folders: dict[str, Path]) -> None:
    subject = subject_of(folders["classifier"])
    text = subject.text(TEXT)
    for labels, along in ([0, 0], None), ([0, 1], None), ([1, 1], [0.5, 0.25]), ([1, 1], [0.5, 1.0]):
        query = gradient_query(subject, text, [(), ()], labels, along=along)
        subject.scorer.ask(query.examples, query.ask)
    ledger = subject.scorer.ledger
    assert (ledger.queries, ledger.duplicates, ledger.cached, ledger.model_calls) == (8, 1, 2, 5)


def test_one_of_several_labels_is_judged_for_itself(folders: dict[str, Path]) -> None:
    subject = subject_of(folders["classifier"])
    subject = replace(subject, task=replace(subject.task, several=True))
    text = subject.text(TEXT)
    query = gradient_query(subject, text, [()], [1])
    (slope,) = subject.scorer.ask(query.examples, query.ask)
    ids = query.examples.ragged("input_ids")[0].tolist()
    expected = by_hand(subject, ids, lambda logits: -torch.log(torch.sigmoid(logits[1])))
    np.testing.assert_allclose(slope, expected, atol=2e-5)


def test_each_window_has_its_own(folders: dict[str, Path]) -> None:
    subject = subject_of(folders["windows"])
    query = gradient_query(subject, subject.text(TEXT), [()], [1])
    runs = query.examples.ragged("input_ids")
    assert len(runs) > 1
    for ids, slope in zip(runs, subject.scorer.ask(query.examples, query.ask), strict=True):
        np.testing.assert_allclose(slope, by_hand(subject, ids.tolist(), of_class(1)), atol=2e-5)


def test_of_a_row_of_words_the_losses_asked_for_are_added(folders: dict[str, Path]) -> None:
    subject = subject_of(folders["tagger"])
    text = subject.words(["i", "love", "filmed", "york"])
    query = gradient_query(subject, text, [()], [[IGNORED, 1, IGNORED, 2]])
    (slope,) = subject.scorer.ask(query.examples, query.ask)
    ids, places = query.examples.ragged("input_ids")[0], query.examples.ragged("place")[0]

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return cross_entropy(logits[places[[1, 3]]], torch.tensor([1, 2]), reduction="sum")

    np.testing.assert_allclose(slope, by_hand(subject, ids.tolist(), loss), atol=2e-5)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("baseline", [ZERO, 4])
def test_along_a_path_the_text_moves_and_its_frame_stays(
    folders: dict[str, Path], attention: str, baseline: int
) -> None:
    subject = subject_of(folders["classifier"], attention)
    text = subject.text(TEXT)
    query = gradient_query(
        subject, text, [*variants_of(text), ()], [0, 1, 2, 0], along=[0.0, 0.25, 1.0, 0.5], baseline=baseline
    )
    answers = subject.scorer.ask(query.examples, query.ask)
    table = subject.scorer.model.get_input_embeddings().weight
    start = torch.zeros(32) if baseline == ZERO else table[baseline].detach()
    for place, (along, label) in enumerate(zip([0.0, 0.25, 1.0, 0.5], [0, 1, 2, 0], strict=True)):

        def move(embedded: torch.Tensor, along: float = along) -> torch.Tensor:
            moved = embedded.clone()
            moved[:, 1:-1] = start + along * (embedded[:, 1:-1] - start)
            return moved

        ids = query.examples.ragged("input_ids")[place].tolist()
        np.testing.assert_allclose(answers[place], by_hand(subject, ids, of_class(label), move), atol=2e-5)


def test_summed_along_a_path_they_are_what_the_loss_changes_by(folders: dict[str, Path]) -> None:
    """Completeness of integrated gradients, which holds for no wrong gradient and no wrong point."""
    subject, steps = subject_of(folders["classifier"]), 200
    text = subject.text(TEXT)
    points = (np.arange(steps) + 0.5) / steps
    query = gradient_query(subject, text, [()] * steps, [0] * steps, along=points.tolist())
    slopes = np.mean(alone(_asking(query), {"subject": subject.scorer}), axis=0)
    ids = torch.from_numpy(query.examples.ragged("input_ids")[0].astype(np.int64))[None]
    model = subject.scorer.model
    with torch.no_grad():
        embedded = model.get_input_embeddings()(ids)
        start = embedded.clone()
        start[:, 1:-1] = 0
        before, after = (cross_entropy(model(inputs_embeds=x).logits, torch.tensor([0])) for x in (start, embedded))
    total = float((slopes * (embedded - start)[0].numpy()).sum())
    assert abs(float(after - before)) > 0.1
    assert total == pytest.approx(float(after - before), abs=0.01)


def _asking(query: Any) -> Any:
    return (yield query)
