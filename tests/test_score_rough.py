"""A lower precision is taken only where it was measured to be faster and to keep the answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tuned import classifier

from sixfold.data.examples import Examples
from sixfold.models.bf16 import in_bf16
from sixfold.score import rough
from sixfold.score.rough import Weighed, roughly, weigh
from sixfold.score.scorer import Scorer
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
        (Weighed("int8", 100, 2, 1.5), None),
        (Weighed("int8", 100, 3, 9.0), "int8 gives another answer to 3 of 100 texts"),
        (Weighed("bf16", 100, 0, 1.449), "bf16 is 1.45 times as fast as fp32 here, and 1.5 is needed to pay"),
    ],
)
def test_it_is_refused_with_the_reason(weighed: Weighed, reason: str | None) -> None:
    assert weighed.refusal == reason


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_weighing_leaves_the_subject_as_it_was(subject: Subject, precision: rough.Rough) -> None:
    found = weigh(subject, examples(subject), Scorer(subject.scorer.model, precision=precision))
    assert (found.texts, found.flips) == (4, 0)
    assert found.gain > 0
    assert subject.scorer.ledger.queries == 0
    assert len(subject.scorer.cache or ()) == 0


def test_a_subject_is_given_that_asks_so_or_not(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rough, "weigh", lambda *_: Weighed("int8", 4, 0, 2.0))
    rounded, why = roughly(subject, examples(subject), "int8")
    assert rounded is not None
    assert rounded.scorer.precision == "int8"
    assert why == "int8 is 2.00 times as fast as fp32 and gives 0 of 4 other answers"
    assert (rounded.scorer.cache, rounded.scorer.model) == (subject.scorer.cache, subject.scorer.model)
    monkeypatch.setattr(rough, "weigh", lambda *_: Weighed("int8", 4, 1, 2.0))
    assert roughly(subject, examples(subject), "int8") == (None, "int8 gives another answer to 1 of 4 texts")


def test_a_copy_in_bf16_answers_nearly_the_same_and_leaves_the_model_alone(subject: Subject) -> None:
    before = {name: weight.clone() for name, weight in subject.scorer.model.state_dict().items()}
    lower = in_bf16(subject.scorer.model)
    kinds = {name: weight.dtype for name, weight in lower.named_parameters()}
    assert {kind for name, kind in kinds.items() if name.startswith("classifier")} == {torch.float32}
    assert {kind for name, kind in kinds.items() if not name.startswith("classifier")} == {torch.bfloat16}
    question = subject.task.question()
    exact = np.stack(Scorer(subject.scorer.model).ask(examples(subject), question))
    rounded = np.stack(Scorer(lower, precision="bf16").ask(examples(subject), question))
    assert (rounded != torch.from_numpy(rounded).bfloat16().float().numpy()).any(), "the head answers in fp32"
    assert np.abs(exact - rounded).max() < 0.05 * np.abs(exact).max()
    assert not np.array_equal(exact, rounded)
    assert all(torch.equal(weight, before[name]) for name, weight in subject.scorer.model.state_dict().items())


def test_int8_is_tried_where_bf16_does_not_pay(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    weighed = {"bf16": Weighed("bf16", 100, 0, 3.0), "int8": Weighed("int8", 100, 0, 4.0)}
    monkeypatch.setattr(rough, "weigh", lambda subject, examples, lower: weighed[lower.precision])
    taken, why = roughly(subject, examples(subject))
    assert taken is not None
    assert (taken.scorer.precision, why) == ("bf16", weighed["bf16"].reason)
    weighed["bf16"] = Weighed("bf16", 100, 9, 3.0)
    taken, _ = roughly(subject, examples(subject))
    assert taken is not None
    assert taken.scorer.precision == "int8"
    weighed["int8"] = Weighed("int8", 100, 9, 3.0)
    assert roughly(subject, examples(subject)) == (
        None,
        "bf16 gives another answer to 9 of 100 texts; int8 gives another answer to 9 of 100 texts",
    )


def test_compiling_is_tried_first_where_much_is_to_be_asked(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def weigh(subject: Subject, examples: object, lower: Scorer) -> Weighed:
        tried.append(lower.precision)
        return Weighed(lower.precision, 100, 0, 3.0)

    monkeypatch.setattr(rough, "weigh", weigh)
    monkeypatch.setattr(rough, "can_compile", lambda model: True)
    monkeypatch.setattr(rough, "Compiled", lambda model, texts: model)
    some = examples(subject)
    squares = int((some.lengths.astype(int) ** 2).sum())
    monkeypatch.setattr(rough, "COMPILED_FROM", 10 * squares)

    def taken(searched: int, questions: int | None = None) -> str:
        tried.clear()
        lower, _ = roughly(subject, some, searched=searched, questions=questions)
        assert lower is not None
        assert tried == [lower.scorer.precision]
        return lower.scorer.precision

    assert taken(10 * len(some) - 1) == "bf16"
    assert taken(10 * len(some)) == "compiled"
    assert taken(1, questions=10 * squares) == "compiled", "few texts, of which much is asked"
    assert taken(1, questions=1) == "bf16"
    monkeypatch.setattr(rough, "can_compile", lambda model: False)
    assert roughly(subject, examples(subject), "compiled")[1].startswith("only a BERT")
