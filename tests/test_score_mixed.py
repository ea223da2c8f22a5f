"""A scorer whose rows go by different adapters: answers, batches, keys and ledger."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_models_mixed import ALONE, MIXED, WIDTHS, adapters, close, drawn, merged, plain
from test_score_scorer import LENGTHS, Watched, examples, wide

from sixfold.data.examples import Examples
from sixfold.models.mixed import BASE, COLUMN, LowRank, Mixed
from sixfold.score.cache import Cache, Identity
from sixfold.score.driver import Query, Search, drive
from sixfold.score.scorer import Scorer
from sixfold.tasks.contract import Ask
from sixfold.tasks.text_classification import TextClassification

WHICH = [2, 0, BASE, 1, 0, 2, 1, BASE]
QUESTION = TextClassification(labels=("a", "b")).question()


def mixed_examples(which: list[int] = WHICH, lengths: list[int] = LENGTHS) -> Examples:
    return examples(lengths).with_column(COLUMN, np.array(which))


def alone(name: str, given_: Examples, which: list[int]) -> list[NDArray]:
    """Each row by a scorer of its adapter's merged model."""
    plain_rows = Examples({"input_ids": given_["input_ids"]})
    scorers = [Scorer(model) for model in ALONE[name]]
    return [scorers[number].ask(plain_rows.take([place]), QUESTION)[0] for place, number in enumerate(which)]


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("budget", [20, 2048])
def test_each_row_is_answered_by_its_adapter_in_the_order_asked(name: str, budget: int) -> None:
    found = Scorer(MIXED[name], budget=budget).ask(mixed_examples(), QUESTION)
    assert [len(answer) for answer in found] == [WIDTHS[number] for number in WHICH]
    for answer, wanted in zip(found, alone(name, mixed_examples(), WHICH), strict=True):
        close(answer, wanted)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(BASE, 2), st.integers(1, 12)), min_size=1, max_size=9), st.integers(1, 40))
def test_any_rows_under_any_budget(rows: list[tuple[int, int]], budget: int) -> None:
    which, lengths = ([row[part] for row in rows] for part in (0, 1))
    for name in ("bert", "bert, padded"):
        found = Scorer(MIXED[name], budget=budget).ask(mixed_examples(which, lengths), QUESTION)
        for answer, wanted in zip(found, alone(name, mixed_examples(which, lengths), which), strict=True):
            close(answer, wanted)


def test_without_the_column_the_base_answers_bit_for_bit() -> None:
    found = Scorer(MIXED["bert"]).ask(examples(), QUESTION)
    assert np.array_equal(found, Scorer(ALONE["bert"][BASE]).ask(examples(), QUESTION))


def test_a_column_that_the_scorer_cannot_follow_is_a_broken_invariant() -> None:
    with pytest.raises(AssertionError, match="adapters that this scorer has not"):
        Scorer(plain("bert")).ask(mixed_examples(), QUESTION)
    with pytest.raises(AssertionError, match="their own adapters"):
        Scorer(MIXED["bert"], cache=Cache(1000), identity=Identity("a", adapter="b"))


# Batches and the ledger


def test_batches_are_cut_by_length_and_laid_out_by_adapter() -> None:
    watched = Watched()
    scorer = Scorer(MIXED["bert"], budget=24)
    # lengths 3 9 1 9 4 12 2 2; longest first: 12 9 | 9 4 3 2 2 1
    scorer.ask(mixed_examples(), Ask("watched", watched.collate, QUESTION.read))
    assert watched.batches == [[1, 5], [7, 2, 4, 3, 6, 0]]
    assert [[WHICH[row] for row in batch] for batch in watched.batches] == [[0, 2], [BASE, BASE, 0, 1, 1, 2]]
    other = Scorer(ALONE["bert"][0], budget=24)
    other.ask(examples(), QUESTION)
    for name in ("queries", "duplicates", "cached", "model_calls", "tokens", "padded_tokens"):
        assert getattr(scorer.ledger, name) == getattr(other.ledger, name)


# Equal rows and the cache


def test_equal_texts_are_computed_once_an_adapter() -> None:
    rows = mixed_examples().take([0, 0, 0, 0, 0]).with_column(COLUMN, np.array([0, 1, 0, BASE, 1]))
    scorer = Scorer(MIXED["bert"])
    found = scorer.ask(rows, QUESTION)
    assert (scorer.ledger.queries, scorer.ledger.duplicates, scorer.ledger.model_calls) == (5, 2, 3)
    assert found[0] is found[2]
    for answer, wanted in zip(found, alone("bert", rows, [0, 1, 0, BASE, 1]), strict=True):
        close(answer, wanted)


def test_the_cache_knows_rows_by_their_adapters_content() -> None:
    cache, identity = Cache(100_000), Identity("base")
    scorer = Scorer(MIXED["bert"], cache=cache, identity=identity)
    scorer.ask(mixed_examples(), QUESTION)
    scorer.ask(mixed_examples(), QUESTION)
    assert (scorer.ledger.cached, scorer.ledger.model_calls) == (8, 8)
    other = [(number + 2) % 4 - 1 for number in WHICH]
    scorer.ask(mixed_examples(other), QUESTION)
    assert (scorer.ledger.cached, scorer.ledger.model_calls) == (8, 16), "no row of another adapter is found"

    turned = Mixed(plain("bert"), dict(reversed(adapters("bert").items())))
    numbers = [number if number == BASE else 2 - number for number in WHICH]
    again = Scorer(turned, cache=cache, identity=identity)
    found = again.ask(mixed_examples(numbers), QUESTION)
    assert (again.ledger.cached, again.ledger.model_calls) == (8, 0), "numbered otherwise, the same adapters"
    for answer, wanted in zip(found, alone("bert", mixed_examples(), WHICH), strict=True):
        close(answer, wanted)


def test_an_adapter_alone_finds_what_it_answered_among_others() -> None:
    cache = Cache(100_000)
    Scorer(MIXED["bert"], cache=cache, identity=Identity("base")).ask(mixed_examples([1] * 8), QUESTION)
    only = Identity("base", adapter=MIXED["bert"].digests[1])
    scorer = Scorer(ALONE["bert"][1], cache=cache, identity=only)
    scorer.ask(examples(), QUESTION)
    assert (scorer.ledger.cached, scorer.ledger.model_calls) == (8, 0)


def test_fresh_answers_are_by_adapter_too() -> None:
    scorer = Scorer(MIXED["bert"])
    found = scorer.ask(mixed_examples(), QUESTION, fresh=True)
    for answer, wanted in zip(found, alone("bert", mixed_examples(), WHICH), strict=True):
        close(answer, wanted)


def test_searches_of_different_adapters_share_batches() -> None:
    def search(number: int) -> Search[list[NDArray]]:
        return (yield Query(mixed_examples([number] * 3, [4, 5, 6]), QUESTION))

    scorer = Scorer(MIXED["bert"])
    found = dict(drive([search(number) for number in (0, 1, 2)], {"subject": scorer}))
    assert scorer.ledger.model_calls == 9
    rows = mixed_examples([0] * 3, [4, 5, 6])
    for number in (0, 1, 2):
        for answer, wanted in zip(found[number], alone("bert", rows, [number] * 3), strict=True):
            close(answer, wanted)


# Other precisions


@pytest.mark.skipif("onednn" not in torch.backends.quantized.supported_engines, reason="torch lacks oneDNN")
def test_int8_rounds_the_base_and_leaves_updates_exact() -> None:
    base = wide()
    layer = "bert.encoder.layer.1.intermediate.dense"
    pairs = [(drawn(2, 64, seed=seed), drawn(64, 2, seed=seed + 9), 1.0) for seed in (1, 2)]
    mixed = Mixed(wide(), {str(n): LowRank({layer: pair}) for n, pair in enumerate(pairs)})
    which = [0, 1] * 4
    rough = Scorer(mixed, precision="int8").ask(mixed_examples(which), QUESTION)
    exact = Scorer(mixed).ask(mixed_examples(which), QUESTION)
    assert not np.array_equal(rough, exact)
    np.testing.assert_allclose(rough, exact, atol=0.05)
    with torch.no_grad():
        a, b, scale = pairs[0]
        base.get_submodule(layer).weight += scale * b @ a
    close(exact[0], Scorer(base).ask(examples().take([0]), QUESTION)[0])


def test_bf16_is_near() -> None:
    exact, rough = (
        Scorer(MIXED["bert"], precision=precision).ask(mixed_examples(), QUESTION) for precision in ("fp32", "bf16")
    )
    for one, other in zip(exact, rough, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0.05, atol=0.05)


def test_the_merged_model_that_all_this_is_held_against_is_no_base() -> None:
    model = merged("bert", adapters("bert")["a"])
    assert not np.allclose(*(Scorer(one).ask(examples(), QUESTION) for one in (model, plain("bert"))), atol=0.01)
