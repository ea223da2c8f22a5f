"""Embeddings: vectors, losses and gradients against direct formulas, and the stage that learns them."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_runs import recipe_of, reviews, write_csv
from torch.nn.functional import cross_entropy, normalize
from transformers import AutoTokenizer, BertConfig, BertModel

from sixfold.cli import main
from sixfold.commands.predict import json_lines
from sixfold.data.examples import Examples
from sixfold.errors import SixfoldError
from sixfold.metrics import retrieval
from sixfold.models.forward import Flat, can_pack
from sixfold.recipe import Run, parse, run
from sixfold.score.scorer import Scorer
from sixfold.tasks.contract import Batch, WholeBatchTask
from sixfold.tasks.embedding import Embedding, Vectors, pooled, ranking_losses
from sixfold.tasks.registry import from_settings, settings_of
from sixfold.train.config import TrainConfig
from sixfold.train.gradients import Gradients

pytestmark = pytest.mark.usefixtures("own_home")

SIZES: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
TEXTS = ["the film was good", "a bad book", "not a very good day in the city", "love", "i hate the old bank card", "no"]
PAIRS = ["great film", "the worst book that was", "poor day", "like", "the bank", "it is not"]
LABELS = ["film", "book", "day", "film", "book", "film"]


@pytest.fixture(scope="module")
def tokenizer(base: Path) -> Any:
    return AutoTokenizer.from_pretrained(base)


def encoder(tokenizer: Any, *, packed: bool = True) -> BertModel:
    """Without dropout. Eager attention is none that packs, so such a model gets padded batches."""
    torch.manual_seed(0)
    config = BertConfig(
        **SIZES,
        vocab_size=len(tokenizer),
        initializer_range=0.3,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="sdpa" if packed else "eager",  # type: ignore[call-arg]
    )
    return BertModel(config).eval()


def examples_of(task: Embedding, tokenizer: Any, limit: int = 64) -> Examples:
    rows = Dataset.from_dict({"text": TEXTS, "label" if task.labelled else "pair": LABELS if task.labelled else PAIRS})
    return task.encode(rows, tokenizer, limit, "window").examples


def batch_of(task: Embedding, examples: Examples) -> Batch:
    return task.collate(examples, np.random.default_rng(0))


def plain(model: BertModel, *runs: list[int]) -> torch.Tensor:
    """The mean over the tokens of some runs, each seen by itself."""
    with torch.no_grad():
        hidden = [model(input_ids=torch.tensor([ids])).last_hidden_state[0] for ids in runs]
    mean = torch.cat(hidden).mean(0)
    return mean / mean.square().sum().sqrt()


# Vectors


@pytest.mark.parametrize("packed", [True, False])
def test_a_vector_is_the_normalised_mean_over_the_row_s_own_tokens(tokenizer: Any, packed: bool) -> None:
    model, task = encoder(tokenizer, packed=packed), Embedding()
    assert can_pack(model) == packed
    found = task.predict(Scorer(model), examples_of(task, tokenizer))
    for one, text, pair in zip(found, TEXTS, PAIRS, strict=True):
        torch.testing.assert_close(torch.from_numpy(one.text), plain(model, tokenizer(text)["input_ids"]))
        torch.testing.assert_close(torch.from_numpy(one.pair), plain(model, tokenizer(pair)["input_ids"]))
        assert np.linalg.norm(one.text) == pytest.approx(1, abs=1e-6)


def test_a_long_text_is_read_in_even_parts_and_the_mean_goes_over_all_of_them(tokenizer: Any) -> None:
    model, task = encoder(tokenizer), Embedding()
    rows = Dataset.from_dict({"text": ["good bad the a film", "no"], "pair": ["a", "the film was good day"]})
    encoded = task.encode(rows, tokenizer, 5, "window")
    assert (encoded.cut.rows, encoded.cut.long_rows, encoded.cut.windows, encoded.cut.where) == (2, 2, 2, (0, 1))
    first, second = task.predict(Scorer(model), encoded.examples)
    halves = [tokenizer(part)["input_ids"] for part in ("good bad", "the a film", "the film", "was good day")]
    torch.testing.assert_close(torch.from_numpy(first.text), plain(model, *halves[:2]))
    torch.testing.assert_close(torch.from_numpy(second.pair), plain(model, *halves[2:]))
    torch.testing.assert_close(torch.from_numpy(second.text), plain(model, tokenizer("no")["input_ids"]))


def test_a_text_alone_gets_the_vector_it_has_in_a_pair(tokenizer: Any) -> None:
    model, task = encoder(tokenizer), Embedding()
    alone = task.encode(Dataset.from_dict({"text": TEXTS}), tokenizer, 64, "error").examples
    both = task.predict(Scorer(model), examples_of(task, tokenizer))
    for one, other in zip(task.predict(Scorer(model), alone), both, strict=True):
        assert one.pair is None
        np.testing.assert_allclose(one.text, other.text, atol=1e-6)


def test_a_pair_that_is_cut_is_one_long_row(tokenizer: Any) -> None:
    rows = Dataset.from_dict({"text": ["no", "good film the a", "it"], "pair": ["the a film", "good bad the a", "is"]})
    cut = Embedding().encode(rows, tokenizer, 4, "truncate").cut
    assert (cut.rows, cut.long_rows, cut.lost_tokens, cut.where, cut.longest) == (3, 2, 5, (0, 1), 6)


def test_no_row_is_no_example(tokenizer: Any) -> None:
    task = Embedding()
    empty = Dataset.from_dict({"text": [], "pair": []})
    examples = task.encode(empty, tokenizer, 64, "error").examples
    assert len(examples) == 0
    assert all(math.isnan(value) for value in task.scores([], {"text": [], "pair": []}).values())  # type: ignore[arg-type]
    assert task.evaluate([], empty, seed=0)["metrics"]["mrr"]["value"] is None


def test_runs_of_one_text_need_not_be_told() -> None:
    torch.manual_seed(0)
    model = BertModel(BertConfig(**SIZES, vocab_size=40)).eval()
    flat = Flat.of(np.array([1, 7, 2, 1, 9, 9, 2]), np.array([3, 4]))
    expected = torch.stack([plain(model, [1, 7, 2]), plain(model, [1, 9, 9, 2])])
    torch.testing.assert_close(pooled(model, flat).detach(), expected)


# Losses


def test_the_loss_of_pairs_is_cross_entropy_over_the_pairs_of_the_step(tokenizer: Any) -> None:
    model, task = encoder(tokenizer), Embedding(temperature=0.1)
    batch = batch_of(task, examples_of(task, tokenizer))
    term = task.loss(model, batch)["pair"]
    texts, pairs = (
        torch.stack([plain(model, tokenizer(text)["input_ids"]) for text in side]) for side in (TEXTS, PAIRS)
    )
    expected = cross_entropy(texts @ pairs.T / 0.1, torch.arange(6), reduction="sum")
    assert term.count == task.counts(batch)["pair"] == 6
    assert float(term.sum.detach()) == pytest.approx(float(expected), rel=1e-5)


def test_an_equal_pair_of_another_row_is_not_wrong(tokenizer: Any) -> None:
    task = Embedding()
    rows = Dataset.from_dict({"text": TEXTS[:3], "pair": ["yes", "no", "yes"]})
    batch = batch_of(task, task.encode(rows, tokenizer, 64, "error").examples)
    vectors = normalize(torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(1)), dim=-1)
    near = vectors[:, 0] @ vectors[:, 1].T / 0.05
    expected = [
        -near[0, 0] + near[0, [0, 1]].logsumexp(0),
        -near[1, 1] + near[1].logsumexp(0),
        -near[2, 2] + near[2, [1, 2]].logsumexp(0),
    ]
    assert float(task.loss_of(vectors, [batch])["pair"].sum) == pytest.approx(float(sum(expected)), rel=1e-5)


def test_the_loss_of_labels_leaves_rows_of_the_same_label_out_of_the_denominator(tokenizer: Any) -> None:
    model, task = encoder(tokenizer), Embedding(labelled=True)
    batch = batch_of(task, examples_of(task, tokenizer))
    vectors = torch.stack([plain(model, tokenizer(text)["input_ids"]) for text in TEXTS])
    near = (vectors @ vectors.T / 0.05).exp()
    expected = 0.0
    for row, label in enumerate(LABELS):
        wrong = sum(near[row, other] for other, name in enumerate(LABELS) if name != label)
        right = [near[row, other] for other, name in enumerate(LABELS) if name == label and other != row]
        expected += sum(-float(torch.log(one / (one + wrong))) for one in right) / max(1, len(right))
    term = task.loss(model, batch)["label"]
    assert term.count == task.counts(batch)["label"] == 5, "the only day has no fellow"
    assert float(term.sum.detach()) == pytest.approx(expected, rel=1e-4)


def test_a_step_without_fellows_or_without_others_teaches_nothing() -> None:
    likeness = torch.randn(3, 3, requires_grad=True)
    none, every = torch.zeros(3, 3, dtype=torch.bool), torch.ones(3, 3, dtype=torch.bool)
    for right, wrong in ((none, every), (every, none)):
        losses = ranking_losses(likeness, right, wrong)
        (gradient,) = torch.autograd.grad(losses.sum(), likeness)
        assert losses.tolist() == [0, 0, 0]
        assert not gradient.any()


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("parts", [[[0, 1, 2, 3, 4, 5]], [[5], [2, 4, 1], [0, 3]], [[3, 2, 1, 0, 4], [5]]])
def test_gradient_caching_gives_the_gradient_of_the_step_in_one_piece(
    tokenizer: Any, labelled: bool, parts: list[list[int]]
) -> None:
    model, task = encoder(tokenizer, packed=False).double(), Embedding(labelled=labelled)
    examples = examples_of(task, tokenizer)
    assert isinstance(task, WholeBatchTask)
    loss, _ = Gradients(model, task, TrainConfig(), list(model.parameters())).add(
        [batch_of(task, examples.take(part)) for part in parts], (0, 0, 0)
    )
    cached = [parameter.grad for parameter in model.parameters()]
    model.zero_grad(set_to_none=True)
    (term,) = task.loss(model, batch_of(task, examples)).values()
    (term.sum / term.count).backward()
    assert loss == pytest.approx(float(term.sum.detach()) / term.count, abs=1e-9)
    for found, parameter in zip(cached, model.parameters(), strict=True):
        assert (found is None) == (parameter.grad is None)
        if found is not None:
            torch.testing.assert_close(found, parameter.grad, atol=1e-9, rtol=0)


# Scores


def unit(*rows: tuple[float, ...]) -> NDArray[np.float64]:
    return np.array([np.array(row) / np.linalg.norm(row) for row in rows])


def test_ranks_of_pairs_by_hand() -> None:
    texts, pairs = unit((1, 0), (0, 1), (1, 1)), unit((1, 0.1), (1, 0.2), (1, 0.9))
    found = [Vectors(a, b) for a, b in zip(texts, pairs, strict=True)]
    rows = Dataset.from_dict({"text": ["x", "y", "z"], "pair": ["a", "b", "c"]})
    task = Embedding()
    assert task.scores(found, rows) == {"recall_at_1": 2 / 3, "recall_at_10": 1.0, "mrr": (1 + 1 / 2 + 1) / 3}
    result = task.evaluate(found, rows, seed=0)
    assert (result["kind"], result["candidates"], result["alone"]) == ("embedding", 3, 0)
    assert result["metrics"]["recall_at_1"]["value"] == 2 / 3
    assert result["metrics"]["mrr"]["value"] == pytest.approx(2.5 / 3)
    assert result["misses"] == [{"text": "y", "expected": "b", "nearest": "c", "rank": 2, "where": "row 1"}]


def test_pairs_of_the_same_text_are_one_candidate() -> None:
    texts = unit((1, 0), (0.9, 0.1), (0, 1))
    found = [Vectors(one, pair) for one, pair in zip(texts, unit((1, 0), (1, 0), (0, 1)), strict=True)]
    rows = Dataset.from_dict({"text": ["x", "y", "z"], "pair": ["same", "same", "other"]})
    assert Embedding().scores(found, rows)["recall_at_1"] == 1
    assert Embedding().evaluate(found, rows, seed=0)["candidates"] == 2


def test_fellows_and_centroids_by_hand() -> None:
    task = Embedding(labelled=True)
    found = [Vectors(one) for one in unit((1, 0), (1, 0.1), (0, 1), (0.9, 0.2), (0.5, 0.5))]
    rows = Dataset.from_dict({"text": list("vwxyz"), "label": ["a", "a", "b", "b", "c"]})
    # by their angles: 0 and 6 of a, 90 and 13 of b, 45 of c; what is alone is not counted
    mrr = (1 + 1 + 1 / 2 + 1 / 4) / 4
    assert task.scores(found, rows) == {"recall_at_1": 0.5, "recall_at_10": 1, "mrr": mrr, "centroid_accuracy": 0.5}
    result = task.evaluate(found, rows, seed=0)
    assert result["alone"] == 1
    assert result["metrics"]["centroid_accuracy"]["count"] == 4


def test_vectors_that_are_all_alike_find_nothing() -> None:
    same = [Vectors(np.array([1.0, 0.0]), np.array([1.0, 0.0]))] * 20
    rows = Dataset.from_dict({"text": list("abcdefghijklmnopqrst"), "pair": list("ABCDEFGHIJKLMNOPQRST")})
    assert Embedding().scores(same, rows) == {"recall_at_1": 0, "recall_at_10": 0, "mrr": pytest.approx(1 / 20)}
    labels = Dataset.from_dict({"text": rows["text"], "label": list("ab") * 10})
    found = Embedding(labelled=True).scores(same, labels)
    assert (found["recall_at_1"], found["centroid_accuracy"]) == (0, 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 4), st.integers(1, 5))
def test_ranks_and_centroids_are_those_of_a_plain_loop(seed: int, rows: int, classes: int, chunk: int) -> None:
    draw = np.random.default_rng(seed)
    vectors = unit(*draw.normal(size=(rows, 3)))
    labels = np.unique(draw.integers(0, classes, rows), return_inverse=True)[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "CHUNK", chunk)
        ranks, _ = retrieval.fellow_ranks(vectors, labels)
        pairs, _ = retrieval.pair_ranks(vectors, vectors[::-1].copy(), np.arange(rows))
    right = retrieval.centroids_right(vectors, labels)
    for row in range(rows):
        order = sorted(
            (other for other in range(rows) if other != row), key=lambda other: -vectors[row] @ vectors[other]
        )
        places = [place for place, other in enumerate(order, 1) if labels[other] == labels[row]]
        assert ranks[row] == (places[0] if places else 0)
        order = sorted(range(rows), key=lambda other: -vectors[row] @ vectors[::-1][other])
        assert pairs[row] == order.index(row) + 1
        means = {
            label: np.mean([vectors[other] for other in range(rows) if other != row and labels[other] == label], axis=0)
            for label in {labels[other] for other in range(rows) if other != row}
        }
        nearest = max(means, key=lambda label: vectors[row] @ means[label] / np.linalg.norm(means[label]), default=None)
        assert right[row] == (nearest == labels[row])


def test_what_a_checkpoint_keeps_makes_the_task_again() -> None:
    task = replace(Embedding(labelled=True), temperature=0.1)
    assert from_settings(json.loads(json.dumps(settings_of(task)))) == task
    assert task.score_names == ("recall_at_1", "recall_at_10", "mrr", "centroid_accuracy")


# The stage


def paired(count: int) -> list[dict[str, str]]:
    """Reviews, each with one that says the same in the other order."""
    return [{"text": row["text"], "pair": " and ".join(row["text"].split(" and ")[::-1])} for row in reviews(count)]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Run:
    folder = tmp_path_factory.mktemp("embedding")
    source = write_csv(folder / "pairs.csv", paired(120))
    return run(parse(recipe_of(source, base, task="embedding", train={"epochs": 4})), runs=folder)


def test_pairs_end_to_end(done: Run, base: Path) -> None:
    result = done.stages[0].results["evaluations"]["test"]
    assert result["metrics"]["mrr"]["value"] > 0.9
    lines = (done.stages[0].folder / "predictions" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == result["count"]
    assert json.loads(lines[0]).keys() == {"row", "gold", "vector"}
    html = done.report.read_text(encoding="utf-8")
    for told in ("recall at 10", "mean reciprocal rank", "looks for its pair among the"):
        assert told in html


def test_a_checkpoint_gives_vectors_as_json_lines(done: Run) -> None:
    model = done.model
    (line,) = json_lines(model.predict(["the film was good"]))
    answer = json.loads(line)
    assert answer.keys() == {"text", "vector"}
    assert len(answer["vector"]) == 32
    assert np.linalg.norm(answer["vector"]) == pytest.approx(1, abs=1e-5)
    expected = plain(model.scorer.model, model.tokenizer("the film was good")["input_ids"])
    np.testing.assert_allclose(answer["vector"], expected, atol=1e-6)


def test_labels_in_place_of_pairs_end_to_end(tmp_path: Path, base: Path) -> None:
    source = write_csv(tmp_path / "a.csv", reviews(120))
    columns = {"columns": {"label": "label"}}
    made = run(parse(recipe_of(source, base, task="embed", data=columns, train={"epochs": 4})), runs=tmp_path)
    result = made.stages[0].results["evaluations"]["test"]
    assert result["by"] == "label"
    assert result["metrics"]["centroid_accuracy"]["value"] > 0.8
    assert made.model.evaluate(source, split="train")["metrics"]["centroid_accuracy"]["value"] > 0.9
    assert "one of its label is right" in made.report.read_text(encoding="utf-8")


def test_the_command_line_learns_and_predicts(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, runs, out = write_csv(tmp_path / "a.csv", paired(60)), tmp_path / "runs", tmp_path / "out.jsonl"
    quick = ["--set", "train.epochs=1", "--set", "train.precision=fp32"]
    for arguments in (
        ["finetune", source, "--task", "embedding", "--base", base, "--name", "small", "--runs", runs, *quick],
        ["predict", runs / "small", source, "--out", out],
    ):
        monkeypatch.setattr(sys, "argv", ["sixfold", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
    lines = out.read_text(encoding="utf-8").splitlines()
    assert [len(json.loads(line)["vector"]) for line in lines] == [32] * 60


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"metric": "centroid_accuracy"}}, "there is no metric 'centroid_accuracy'"),
        ({"train": {"r_drop": 1.0}}, "embedding compares all rows of a step, and does not go together with r_drop"),
        ({"data": {"columns": {"label": "labl"}}}, "there is no column 'labl'"),
        ({"data": {"source": "reviews"}}, "there is no column 'pair'"),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, base: Path, changes: dict[str, Any], message: str) -> None:
    source = write_csv(tmp_path / "a.csv", paired(60))
    if changes.get("data", {}).get("source"):
        changes = {"data": {"source": str(write_csv(tmp_path / "b.csv", reviews(60)))}}
    with pytest.raises(SixfoldError, match=message):
        run(parse(recipe_of(source, base, task="embedding", **changes)), runs=tmp_path)
