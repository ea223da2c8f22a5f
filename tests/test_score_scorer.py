"""The scorer: answers in the order asked, the same as one by one, in batches under the budget, with an exact ledger."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers import BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForSequenceClassification

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import UsageError
from sixfold.models.forward import Flat, row_logits
from sixfold.score.cache import Cache, Identity
from sixfold.score.scorer import Scorer
from sixfold.tasks.contract import Ask, Batch, Limits

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
LENGTHS = [3, 9, 1, 9, 4, 12, 2, 2]


def bert(attention: str = "sdpa") -> torch.nn.Module:
    torch.manual_seed(0)
    config = BertConfig(**SIZES, vocab_size=40, hidden_dropout_prob=0.5, initializer_range=0.3)
    return BertForSequenceClassification._from_config(config, attn_implementation=attention)


def llama() -> torch.nn.Module:
    torch.manual_seed(0)
    return LlamaForSequenceClassification(LlamaConfig(**SIZES, vocab_size=40, pad_token_id=0, initializer_range=0.3))


MODELS = {"packed": bert(), "padded": bert("eager"), "decoder": llama()}


def examples(lengths: list[int] = LENGTHS) -> Examples:
    draw = np.random.default_rng(1)
    runs = [draw.integers(1, 40, length) for length in lengths]
    return Examples({"input_ids": Ragged.of(runs), "number": np.arange(len(runs))})


class Watched:
    """A question that remembers the batches it was handed."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    @property
    def ask(self) -> Ask:
        return Ask("logits", self.collate, self.read)

    def collate(self, part: Examples) -> Batch:
        self.batches.append(part.dense("number").tolist())
        ids = part.ragged("input_ids")
        return {"flat": Flat.of(ids.values, ids.lengths), "number": torch.from_numpy(part.dense("number"))}

    def read(self, model: torch.nn.Module, batch: Batch) -> list[NDArray]:
        assert torch.is_inference_mode_enabled()
        logits = row_logits(model, batch["flat"]).float()
        return [np.append(row, number) for row, number in zip(logits.numpy(), batch["number"].numpy(), strict=True)]


def asked(model: torch.nn.Module, given_: Examples, **options: Any) -> tuple[NDArray, Scorer, Watched]:
    scorer, watched = Scorer(model, **options), Watched()
    return np.array(scorer.ask(given_, watched.ask)), scorer, watched


@pytest.mark.parametrize("name", MODELS)
def test_answers_come_in_the_order_asked_and_equal_one_by_one(name: str) -> None:
    together, _, watched = asked(MODELS[name], examples(), budget=20)
    assert together[:, -1].tolist() == list(range(8))
    assert len(watched.batches) > 2
    for number in range(8):
        alone, _, _ = asked(MODELS[name], examples().take([number]))
        np.testing.assert_allclose(together[number], alone[0], atol=1e-5)
    assert np.ptp(together[:, 0]) > 0.01, "the answers differ from each other"


def test_padded_and_packed_answer_alike() -> None:
    packed, padded = (asked(MODELS[name], examples())[0] for name in ("packed", "padded"))
    np.testing.assert_allclose(packed, padded, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=9), st.integers(1, 40))
def test_no_batch_exceeds_the_budget_unless_it_is_one_long_example(lengths: list[int], budget: int) -> None:
    for name in ("packed", "padded"):
        _, _, watched = asked(MODELS[name], examples(lengths), budget=budget)
        for batch in watched.batches:
            inside = [lengths[number] for number in batch]
            cost = sum(inside) if name == "packed" else max(inside) * len(inside)
            assert cost <= budget or len(batch) == 1
        assert sorted(chain(*watched.batches)) == list(range(len(lengths)))


def test_the_ledger_counts_what_was_computed() -> None:
    done: list[int] = []
    _, scorer, _ = asked(MODELS["padded"], examples(), budget=24, progress=done.append)
    # longest first: 12+9 (padded to 12), 9+4, 3+2+2+1
    assert (scorer.ledger.queries, scorer.ledger.model_calls) == (8, 8)
    assert scorer.ledger.tokens == sum(LENGTHS) == 42
    assert scorer.ledger.padded_tokens == 24 + 18 + 12
    assert done == [2, 2, 4]
    assert scorer.ledger.seconds > 0
    scorer.ask(examples([5]), Watched().ask)
    assert (scorer.ledger.queries, scorer.ledger.tokens, scorer.ledger.padded_tokens) == (9, 47, 59)


def test_a_packed_batch_has_no_padding() -> None:
    _, scorer, watched = asked(MODELS["packed"], examples(), budget=24)
    assert scorer.ledger.padded_tokens == scorer.ledger.tokens == 42
    assert [[LENGTHS[n] for n in batch] for batch in watched.batches] == [[12, 9], [9, 4, 3, 2, 2, 1]]


# Equal examples, and examples asked about before


def repeated(places: list[int]) -> Examples:
    """Examples of which those at equal places are equal; ``row`` differs, and is no part of what is asked."""
    return examples().take(places).with_column("row", np.arange(len(places)))


@pytest.mark.parametrize("name", MODELS)
def test_equal_examples_are_computed_once(name: str) -> None:
    places = [0, 1, 0, 2, 1, 0]
    done: list[int] = []
    together, scorer, watched = asked(MODELS[name], repeated(places), progress=done.append)
    assert sorted(chain(*watched.batches)) == [0, 1, 2]
    np.testing.assert_allclose(together, asked(MODELS[name], examples())[0][places], atol=1e-5)
    ledger = scorer.ledger
    assert (ledger.queries, ledger.duplicates, ledger.cached, ledger.model_calls) == (6, 3, 0, 3)
    assert ledger.tokens == 3 + 9 + 1
    assert sum(done) == 6, "a progress bar reaches its end"


def cached(cache: Cache, checkpoint: str = "a", **options: Any) -> Scorer:
    return Scorer(MODELS["packed"], cache=cache, identity=Identity(checkpoint), **options)


def test_what_was_asked_before_is_not_computed() -> None:
    cache, watched = Cache(100_000), Watched()
    scorer = cached(cache)
    first = scorer.ask(repeated([0, 1]), watched.ask)
    second = scorer.ask(repeated([1, 2, 1, 0]), watched.ask)
    assert watched.batches == [[1, 0], [2]]
    assert np.array_equal(second[0], first[1])
    assert np.array_equal(second[3], first[0])
    ledger = scorer.ledger
    assert (ledger.queries, ledger.duplicates, ledger.cached, ledger.model_calls) == (6, 1, 2, 3)


def test_scorers_share_a_cache_and_their_identities_do_not_mix() -> None:
    cache, watched = Cache(100_000), Watched()
    others = [
        cached(cache, "b"),
        cached(cache, precision="bf16"),
        Scorer(MODELS["packed"], cache=cache, identity=Identity("a", adapter="b")),
        Scorer(MODELS["packed"], cache=cache, identity=Identity("a", tenant="b")),
    ]
    for scorer in [cached(cache), *others]:
        scorer.ask(repeated([0]), watched.ask)
        assert scorer.ledger.model_calls == 1
    again = cached(cache)
    again.ask(repeated([0]), watched.ask)
    assert (again.ledger.model_calls, again.ledger.cached) == (0, 1)
    again.ask(repeated([0]), Ask("another question", watched.collate, watched.read))
    assert again.ledger.model_calls == 1


def test_a_fresh_answer_is_neither_looked_up_nor_kept_nor_shared() -> None:
    cache, watched = Cache(100_000), Watched()
    scorer = cached(cache)
    scorer.ask(repeated([0]), watched.ask)
    scorer.ask(repeated([0, 0, 1]), watched.ask, fresh=True)
    assert len(cache) == 1
    ledger = scorer.ledger
    assert (ledger.queries, ledger.duplicates, ledger.cached, ledger.model_calls) == (4, 0, 0, 4)


def test_a_cache_without_an_identity_is_a_broken_invariant() -> None:
    with pytest.raises(AssertionError, match="whose answers"):
        Scorer(MODELS["packed"], cache=Cache(1000))


# Gradients


def test_gradients_are_asked_for_with_the_weights_frozen() -> None:
    model = bert()
    model.classifier.weight.requires_grad_(False)
    learning = [weight.requires_grad for weight in model.parameters()]
    watched = Watched()

    def read(model: torch.nn.Module, batch: Batch) -> list[NDArray]:
        assert torch.is_grad_enabled()
        assert not any(weight.requires_grad for weight in model.parameters())
        inputs = torch.ones(len(batch["number"]), requires_grad=True)
        (slope,) = torch.autograd.grad((batch["number"] * inputs).sum(), inputs)
        return list(slope.numpy())

    slopes = Scorer(model).ask(examples(), Ask("slope", watched.collate, read, gradients=True))
    assert [float(slope) for slope in slopes] == list(range(8))
    assert [weight.requires_grad for weight in model.parameters()] == learning


def test_nothing_asked_is_nothing_answered() -> None:
    scorer = Scorer(MODELS["packed"])
    assert scorer.ask(examples([]), Watched().ask) == []
    assert (scorer.ledger.queries, scorer.ledger.tokens) == (0, 0)


def test_a_model_in_training_is_put_into_evaluation() -> None:
    first, second = (asked(bert().train(), examples())[0] for _ in range(2))
    assert np.array_equal(first, second), "no dropout"


def test_bf16_is_near_fp32() -> None:
    exact, rough = (asked(MODELS["packed"], examples(), precision=name)[0] for name in ("fp32", "bf16"))
    assert not np.array_equal(exact, rough)
    np.testing.assert_allclose(exact, rough, atol=0.05)


def wide() -> torch.nn.Module:
    """Layers that are large enough for int8."""
    torch.manual_seed(0)
    config = BertConfig(**{**SIZES, "hidden_size": 64, "intermediate_size": 64}, vocab_size=40, initializer_range=0.1)
    return BertForSequenceClassification._from_config(config, attn_implementation="sdpa")


@pytest.mark.skipif("onednn" not in torch.backends.quantized.supported_engines, reason="torch lacks oneDNN")
def test_int8_is_near_fp32_and_leaves_gradients_exact() -> None:
    model = wide()
    exact, rough = (asked(model, examples(), precision=name)[0] for name in ("fp32", "int8"))
    assert not np.array_equal(exact, rough)
    np.testing.assert_allclose(exact, rough, atol=0.05)
    assert np.array_equal(asked(model, examples())[0], exact), "the model is as it was"

    def read(model: torch.nn.Module, batch: Batch) -> list[NDArray]:
        return list(row_logits(model, batch["flat"]).detach().numpy())

    slope = Ask("slope", Watched().collate, read, gradients=True)
    found = Scorer(model, precision="int8").ask(examples(), slope)
    np.testing.assert_allclose(np.array(found), exact[:, :-1], atol=1e-6)


def test_int8_is_refused_where_there_is_none() -> None:
    with pytest.raises(UsageError, match="on the CPU and in fp32"):
        Scorer(wide().bfloat16(), precision="int8")


def test_a_scorer_writes_no_text() -> None:
    with pytest.raises(AssertionError, match="generator"):
        Scorer(MODELS["packed"]).generate(examples(), Limits(3))


def test_on_the_cpu_few_tokens_are_computed_at_once() -> None:
    _, _, watched = asked(MODELS["packed"], examples([12] * 400))
    assert [len(batch) for batch in watched.batches] == [170, 170, 60], "2,048 tokens hold 170 rows of 12"


HOLES = """
import numpy as np
from sixfold.models.heap import give_back
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096
empty = resident()
blocks = [np.ones(12_000) for _ in range(1000)]
full = resident()
assert full - empty > 90e6, "96 MB, in blocks that are small enough to lie in the heap"
last = blocks.pop()
del blocks
give_back()
assert resident() < full - 80e6
assert last.sum() == 12_000
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc's heap keeps holes"
)
def test_free_memory_between_used_memory_is_given_back() -> None:
    """In a process of its own: what other tests left in the heap would be counted too."""
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
