"""Votes: copies with the right number of tokens hidden, counted and averaged, drawn anew and the same for a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tuned import classifier

from sixfold.data.examples import Examples, Ragged
from sixfold.score import votes
from sixfold.score.scorer import Scorer
from sixfold.score.tuned import load_tuned
from sixfold.score.voter import Voter
from sixfold.score.votes import voted
from sixfold.tasks.contract import Ask
from sixfold.tasks.encoding import Frame, frame
from sixfold.tasks.masking import MaskToken, Voting
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.texts import Texts

MASK = 99
FRAME = Frame((1, 2), (3,))
ASK = Ask("logits", lambda examples: {}, lambda model, batch: [])


class Seen:
    """Answers (hidden tokens, tokens left, first token that is left); keeps what it was asked."""

    def __init__(self) -> None:
        self.rows: list[list[int]] = []

    def ask(self, examples: Examples, ask: Ask, *, fresh: bool = False) -> list[NDArray]:
        assert fresh
        rows = [run.tolist() for run in examples.ragged("input_ids")]
        self.rows += rows
        return [np.array([row.count(MASK), len(row) - row.count(MASK)], dtype=np.float32) for row in rows]


def examples(*lengths: int) -> Examples:
    return Examples(
        {"input_ids": Ragged.of([[1, 2, *range(10, 10 + n), 3] for n in lengths]), "row": np.arange(len(lengths))}
    )


def vote(given: Examples, masks: int = 50, share: float = 0.6, seed: int = 0) -> tuple[votes.Votes, list[list[int]]]:
    seen = Seen()
    return voted(seen, given, ASK, masks=masks, share=share, mask_id=MASK, frame=FRAME, seed=seed), seen.rows


def test_each_copy_hides_the_same_share_and_never_the_frame() -> None:
    found, rows = vote(examples(10, 3, 0))
    assert len(rows) == 150
    for row in rows[:50]:
        assert (row[:2], row[-1], row.count(MASK)) == ([1, 2], 3, 6)
        assert all(token in (MASK, 8 + place) for place, token in enumerate(row[2:-1], 2))
    assert {row.count(MASK) for row in rows[50:100]} == {2}, "0.6 of 3, rounded"
    assert rows[100] == [1, 2, 3]
    assert len({tuple(row) for row in rows[:50]}) > 30, "drawn anew"
    every = np.array(rows[:50])[:, 2:-1] == MASK
    assert (abs(every.mean(axis=0) - 0.6) < 0.25).all(), "each token has the same chance"
    np.testing.assert_array_equal(found.logits, [[6, 7], [2, 4], [0, 3]])
    np.testing.assert_array_equal(found.counts, [[0, 50]] * 3)
    np.testing.assert_array_equal(found.shares, [[0, 1]] * 3)


@pytest.mark.parametrize(("share", "hidden"), [(0.0, 0), (1.0, 10), (0.25, 3)])
def test_the_share_is_rounded(share: float, hidden: int) -> None:
    _, rows = vote(examples(10), share=share)
    assert {row.count(MASK) for row in rows} == {hidden}


def test_votes_are_counted_by_the_best_class_and_logits_averaged() -> None:
    class Two:
        def ask(self, given: Examples, ask: Ask, *, fresh: bool = False) -> list[NDArray]:
            return [np.array([number % 3 == 0, 0.5], dtype=np.float32) for number in range(len(given))]

    found = voted(Two(), examples(4, 5), ASK, masks=6, share=0.5, mask_id=MASK, frame=FRAME, seed=0)
    assert found.counts.tolist() == [[2, 4], [2, 4]]
    np.testing.assert_allclose(found.logits, [[1 / 3, 0.5]] * 2)
    np.testing.assert_allclose(found.shares, [[1 / 3, 2 / 3]] * 2)


def test_copies_depend_on_the_seed_and_not_on_how_many_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    _, once = vote(examples(10, 8, 6), masks=5)
    monkeypatch.setattr(votes, "COPIES", 5)
    _, again = vote(examples(10, 8, 6), masks=5)
    assert once == again
    assert once != vote(examples(10, 8, 6), masks=5, seed=1)[1]
    assert voted(Seen(), examples(), ASK, masks=5, share=0.5, mask_id=MASK, frame=FRAME, seed=0).counts.shape == (0, 0)


def test_a_voter_answers_with_the_mean_of_its_copies_and_draws_anew_at_each_question(tmp_path: Path) -> None:
    tuned = load_tuned(classifier(tmp_path))
    task, model, tokenizer = tuned.task, tuned.model, tuned.tokenizer
    assert isinstance(task, TextClassification)
    rows = Texts({"text": ["a good film i saw today", "a bad film i saw today in the city"]})
    given = task.encode(rows, tokenizer, 64, "truncate").examples
    voter = Voter(model, Voting(5, 0.5), tokenizer)
    first, second = voter.ask(given, task.question()), voter.ask(given, task.question())
    assert not np.allclose(first, second), "drawn anew"
    mask, around = MaskToken.of(tokenizer).id, frame(tokenizer)
    for seed, found in ((1, first), (2, second)):
        by_hand = voted(
            Scorer(model), given, task.question(), masks=5, share=0.5, mask_id=mask, frame=around, seed=seed
        )
        np.testing.assert_allclose(np.stack(found), by_hand.logits, rtol=1e-5, atol=1e-6)
    again = voter.bare()
    np.testing.assert_array_equal(np.stack(again.ask(given, task.question())), np.stack(first))
    assert (again.ledger.model_calls, voter.ledger.model_calls) == (10, 20)
    assert again.cache is None
