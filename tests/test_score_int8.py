"""int8 is taken only where it was measured to be faster and to keep the answers."""

from __future__ import annotations

import pytest
import torch
from tuned import classifier

from sixfold.data.examples import Examples
from sixfold.score import int8
from sixfold.score.int8 import Weighed, in_int8, weigh
from sixfold.score.subject import Subject
from sixfold.tasks.texts import Texts

pytestmark = [
    pytest.mark.usefixtures("own_home"),
    pytest.mark.skipif("onednn" not in torch.backends.quantized.supported_engines, reason="torch lacks oneDNN"),
]
TEXTS = ["the film was good", "a bad book", "i love new york", "no"]


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return Subject.load(classifier(tmp_path_factory.mktemp("a")))


def examples(subject: Subject) -> Examples:
    return subject.task.encode(Texts({"text": TEXTS}), subject.tokenizer, subject.limit, "truncate").examples


@pytest.mark.parametrize(
    ("weighed", "reason"),
    [
        (Weighed(100, 2, 1.5), None),
        (Weighed(100, 3, 9.0), "int8 gives another answer to 3 of 100 texts"),
        (Weighed(100, 0, 1.449), "int8 is 1.45 times as fast as fp32 here, and 1.5 is needed to pay"),
    ],
)
def test_it_is_refused_with_the_reason(weighed: Weighed, reason: str | None) -> None:
    assert weighed.refusal == reason


def test_weighing_leaves_the_subject_as_it_was(subject: Subject) -> None:
    found = weigh(subject, examples(subject))
    assert (found.texts, found.flips) == (4, 0)
    assert found.gain > 0
    assert subject.scorer.ledger.queries == 0
    assert len(subject.scorer.cache or ()) == 0


def test_a_subject_is_given_that_asks_in_int8_or_not(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "weigh", lambda *_: Weighed(4, 0, 2.0))
    rounded, why = in_int8(subject, examples(subject))
    assert rounded.scorer.precision == "int8"
    assert why == "int8 is 2.00 times as fast as fp32 and gives 0 of 4 other answers"
    assert (rounded.scorer.cache, rounded.scorer.model) == (subject.scorer.cache, subject.scorer.model)
    monkeypatch.setattr(int8, "weigh", lambda *_: Weighed(4, 1, 2.0))
    assert in_int8(subject, examples(subject)) == (subject, "int8 gives another answer to 1 of 4 texts")
