"""Learning from a few rows a class: what is drawn, the linear head, and the three ways to a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from tiny_runs import reviews

from sixfold.commands.predict import Model
from sixfold.errors import DataError, ModelError
from sixfold.models import lineage
from sixfold.score.logistic import logistic
from sixfold.stages.few_shot import HEAD, Headed, Learnt, contrastive, drawn, frozen, full, opened
from sixfold.tasks.texts import Texts
from sixfold.train.config import TrainConfig
from sixfold.train.events import Step

pytestmark = pytest.mark.usefixtures("own_home")

QUICK = TrainConfig(epochs=6, batch=8, learning_rate=3e-3, precision="fp32", patience=None)


def table(count: int, start: int = 0) -> Dataset:
    return Dataset.from_list(reviews(count)[start:])


@pytest.fixture(scope="module")
def few() -> Dataset:
    rows = table(60)
    return rows.select(drawn(rows, 8, 1))


# Drawing


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "", "中"]), min_size=1, max_size=40), st.integers(1, 4), st.integers(0, 9))
def test_as_many_of_each_label_are_drawn_and_fewer_are_a_part_of_more(labels: list[str], k: int, seed: int) -> None:
    rows = Texts({"label": labels})
    if min(labels.count(label) for label in labels) < k:
        with pytest.raises(DataError, match=f"there are not {k} rows of every label"):
            drawn(rows, k, seed)
        return
    found = drawn(rows, k, seed)
    assert found.tolist() == sorted(set(found.tolist()))
    assert sorted(labels[place] for place in found) == sorted(label for label in set(labels) for _ in range(k))
    assert set(drawn(rows, 1, seed)) <= set(found)
    assert found.tolist() == drawn(rows, k, seed).tolist()


def test_what_is_drawn_of_a_label_does_not_hang_on_other_labels() -> None:
    first = drawn(Texts({"label": ["a"] * 20 + ["b"] * 20}), 5, 3)
    second = drawn(Texts({"label": ["a"] * 20 + ["c"] * 30}), 5, 3)
    assert first[:5].tolist() == second[:5].tolist()
    assert drawn(Texts({"label": ["a"] * 20}), 5, 4).tolist() != first[:5].tolist()


# The linear head


@pytest.mark.parametrize("strength", [0.1, 10.0, 100.0])
def test_the_linear_head_is_that_of_scikit_learn(strength: float) -> None:
    draw = np.random.default_rng(0)
    vectors, labels = draw.normal(size=(40, 6)), np.arange(40) % 3
    weight, bias = logistic(torch.from_numpy(vectors), torch.from_numpy(labels), int(labels.max()) + 1, strength)
    theirs = LogisticRegression(C=strength, tol=1e-12, max_iter=10_000).fit(vectors, labels)
    np.testing.assert_allclose(weight, theirs.coef_, atol=2e-4)
    found = vectors @ weight.numpy().T + bias.numpy()
    logits = vectors @ theirs.coef_.T + theirs.intercept_
    np.testing.assert_allclose(found - found[:, :1], logits - logits[:, :1], atol=1e-3)


# The ways


def test_frozen_answers_by_the_base_s_embeddings(base: Path, few: Dataset) -> None:
    learnt, rows = frozen(base, few, seed=0), table(80, 60)
    before = load_file(base / "model.safetensors")
    assert isinstance(learnt.model, Headed)
    assert all(torch.equal(value, before[name]) for name, value in learnt.model.encoder.state_dict().items())
    for text, prediction in zip(rows["text"], learnt.predictions(rows), strict=True):
        ids = torch.tensor([learnt.tokenizer(text)["input_ids"]])
        with torch.no_grad():
            mean = learnt.model.encoder(input_ids=ids).last_hidden_state[0].mean(0)
            logits = learnt.model.weight @ (mean / mean.norm()) + learnt.model.bias
        np.testing.assert_allclose(prediction.logits, logits, atol=1e-4)
        np.testing.assert_allclose(prediction.probabilities, logits.softmax(0), atol=1e-5)
        assert prediction.labels == (("bad", "good")[int(logits.argmax())],)


BETTER_THAN = {"frozen": 0.6, "contrastive": 0.8, "full": 0.8}
"""Accuracy on held-out rows, half of which are good: random embeddings tell little until they are tuned."""


@pytest.fixture(scope="module", params=list(BETTER_THAN))
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def learnt(way: str, base: Path, few: Dataset) -> Learnt:
    return learn(way, base, few)


def learn(way: str, base: Path, rows: Dataset, seed: int = 3) -> Learnt:
    if way == "frozen":
        return frozen(base, rows, seed=seed)
    if way == "contrastive":
        return contrastive(base, rows, seed=seed, train=QUICK.model_copy(update={"batch": 2}))
    return full(base, rows, seed=seed, train=QUICK.model_copy(update={"epochs": 20}))


def accuracy(learnt: Learnt, rows: Dataset) -> float:
    result = learnt.task.evaluate(learnt.predictions(rows), rows, seed=0)
    return float(result["metrics"]["accuracy"]["value"])


def test_each_way_learns_what_is_plain(way: str, learnt: Learnt) -> None:
    assert learnt.task.labels == ("bad", "good")
    assert accuracy(learnt, table(160, 60)) > BETTER_THAN[way]


def test_the_same_seed_gives_the_same_answers(way: str, learnt: Learnt, base: Path, few: Dataset) -> None:
    first, second = (one.predictions(table(70, 60)) for one in (learnt, learn(way, base, few)))
    assert [one.logits.tolist() for one in first] == [one.logits.tolist() for one in second]


def test_a_saved_way_answers_as_before(learnt: Learnt, tmp_path: Path) -> None:
    learnt.save(tmp_path / "made", lineage.build(parent=learnt.digest, seed=3))
    again, rows = opened(tmp_path / "made"), table(80, 60)
    assert again.task == learnt.task
    assert [one.labels for one in again.predictions(rows)] == [one.labels for one in learnt.predictions(rows)]
    for one, other in zip(again.predictions(rows), learnt.predictions(rows), strict=True):
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-6)
    answer = Model.load(tmp_path / "made").predict(["the film was good"])[0]
    assert answer.keys() == ({"text", "vector"} if isinstance(learnt.model, Headed) else
                             {"text", "label", "confidence", "probabilities"})  # fmt: skip
    assert (tmp_path / "made" / HEAD).is_file() == isinstance(learnt.model, Headed)


def test_contrastive_tuning_draws_rows_of_a_label_together(base: Path, few: Dataset) -> None:
    events: list[Any] = []

    def watch(passing: Any) -> Any:
        for event in passing:
            events.append(event)
            yield event

    train = QUICK.model_copy(update={"batch": 2})
    tuned = contrastive(base, few, seed=0, train=train, watch=watch)
    steps = [event for event in events if isinstance(event, Step)]
    assert len(steps) == 6, "two labels, both in each step"
    assert steps[-1].terms["label"] < 0.5 * steps[0].terms["label"]
    plain = frozen(base, few, seed=0)
    assert not torch.equal(tuned.model.encoder.embeddings.word_embeddings.weight,
                           plain.model.encoder.embeddings.word_embeddings.weight)  # fmt: skip


# What a user may get wrong


def test_rows_of_one_label_are_refused(base: Path) -> None:
    rows = table(20).filter(lambda row: row["label"] == "good")
    with pytest.raises(DataError, match="all 10 training rows have the same label, 'good'"):
        frozen(base, rows, seed=0)


def test_a_damaged_head_and_a_checkpoint_without_labels_are_told(base: Path, few: Dataset, tmp_path: Path) -> None:
    frozen(base, few, seed=0).save(tmp_path / "made", lineage.build(parent=None))
    whole = (tmp_path / "made" / HEAD).read_bytes()
    (tmp_path / "made" / HEAD).write_bytes(whole[:-1])
    with pytest.raises(ModelError, match="cut short or damaged"):
        opened(tmp_path / "made")
    (tmp_path / "made" / HEAD).unlink()
    with pytest.raises(ModelError, match="this checkpoint gives no labels") as caught:
        opened(tmp_path / "made")
    assert caught.value.found == "embedding"
