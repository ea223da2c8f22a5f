"""Words that share an embedding: which rows are one, how they learn, and that exchanging such words changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from small_classifier import TASK, batch_of, classifier, examples, losses, settings
from torch import Tensor, nn

from sixfold.data.examples import Examples, Ragged
from sixfold.models.forward import padded
from sixfold.train.config import TrainConfig
from sixfold.train.events import Event, Started
from sixfold.train.loop import fit
from sixfold.train.sharing import LITTLE, Sharing
from sixfold.train.swaps import Swaps
from sixfold.train.vocabulary import UsedRows
from sixfold.train.words import Words

VOCABULARY = 40
GROUPS = {7: (8, 9, 35), 12: (10, 36), 30: (31,)}
"""Words that stand for others; 30 and those from 35 on stand in no example."""


def codes(groups: dict[int, tuple[int, ...]], size: int = VOCABULARY) -> Tensor:
    out = torch.arange(size)
    for word, others in groups.items():
        out[list(others)] = word
    return out


def counts(rows: Examples) -> Tensor:
    return torch.from_numpy(np.bincount(rows.ragged("input_ids").values, minlength=VOCABULARY))


def sharing(rows: Examples) -> Sharing:
    return Sharing(codes(GROUPS), counts(rows))


def table_of(model: nn.Module) -> Tensor:
    return model.get_input_embeddings().weight.detach()  # type: ignore[operator]


def test_what_stands_for_others_stands_for_itself() -> None:
    with pytest.raises(AssertionError, match="not both"):
        Sharing(torch.tensor([1, 2, 2]), torch.zeros(3, dtype=torch.int64))


def test_rows_begin_as_the_mean_of_their_words_by_how_often_they_occur() -> None:
    table = torch.tensor([[1.0], [4.0], [10.0], [7.0], [100.0]])
    some = Sharing(torch.tensor([0, 0, 2, 0, 4]), torch.tensor([3, 1, 5, 0, 0]))
    members, place = some.members(torch.tensor([1, 2]))
    assert members.tolist() == [0, 1, 2, 3]
    assert place.tolist() == [0, 0, 1, 0]
    mean = (1.0 * (3 + LITTLE) + 4.0 * (1 + LITTLE) + 7.0 * LITTLE) / (4 + 3 * LITTLE)
    assert some.means(table, members, place).ravel().tolist() == pytest.approx([mean, 10.0])
    assert some.shared.tolist() == [True, True, False, True, False]


@given(st.lists(st.integers(0, 11), min_size=12, max_size=12), st.sets(st.integers(0, 11), min_size=1))
def test_every_word_of_a_used_one_s_row_has_that_row(drawn: list[int], used: set[int]) -> None:
    chosen = torch.tensor([one if drawn[one] == one else place for place, one in enumerate(drawn)])
    weight = torch.randn(12, 3, generator=torch.Generator().manual_seed(1))
    table = nn.Embedding.from_pretrained(weight.clone(), freeze=False)
    rows = UsedRows(table, torch.tensor(sorted(used)), Sharing(chosen, torch.ones(12, dtype=torch.int64)))
    with torch.no_grad():
        rows.weight += 1
    rows.release()
    after = table.weight.detach()
    learnt = {int(chosen[one]) for one in used}
    assert len(rows.weight) == len(learnt)
    for word in range(12):
        group = chosen == chosen[word]
        expected = weight[group].mean(0) + 1 if int(chosen[word]) in learnt else weight[word]
        torch.testing.assert_close(after[word], expected, atol=1e-5, rtol=1e-5)


def test_it_learns_as_a_model_does_before_which_one_word_is_written_for_all() -> None:
    """Synonym encoding as the paper has it: the same losses, and the same rows where words stand for others."""
    rows = examples()
    some = sharing(rows)
    model = classifier()
    own = losses(list(fit(model, TASK, rows, settings(clip=1e9), seed=3, words=Words(sharing=some))))

    written = Examples(
        {
            "input_ids": Ragged.of([some.codes[list(row)].tolist() for row in _rows(rows)]),
            "label": np.array(rows["label"]),
            "row": np.arange(len(rows)),
        }
    )
    other = classifier()
    used = torch.unique(torch.from_numpy(rows.ragged("input_ids").values.astype(np.int64)))
    members, place = some.members(used)
    with torch.no_grad():
        table = other.get_input_embeddings().weight
        table[members] = some.means(table, members, place)[place]
    assert losses(list(fit(other, TASK, written, settings(clip=1e9), seed=3))) == own
    assert torch.equal(table_of(model)[some.codes[members]], table_of(other)[some.codes[members]])
    assert torch.equal(table_of(model)[members], table_of(model)[some.codes[members]])


def _rows(rows: Examples) -> list[list[int]]:
    return [row.tolist() for row in rows.ragged("input_ids")]


def test_words_that_share_an_embedding_give_the_same_answer_also_those_never_seen() -> None:
    rows = examples()
    model = classifier()
    list(fit(model, TASK, rows, settings(), seed=3, words=Words(sharing=sharing(rows))))
    with torch.no_grad():
        texts = [[1, 5, 7, 12, 20, 2], [1, 5, 8, 10, 20, 2], [1, 5, 35, 36, 20, 2], [1, 5, 7, 13, 20, 2]]
        batch = batch_of(Examples({"input_ids": Ragged.of(texts), "label": np.zeros(4, dtype=np.int64)}))
        logits = model(**padded(model, batch["flat"])).logits
    assert torch.equal(logits[1], logits[0])
    assert torch.equal(logits[2], logits[0])
    assert not torch.allclose(logits[3], logits[0])


def test_words_that_nothing_in_the_examples_is_near_stay_as_they_were() -> None:
    rows = examples()
    model, before = classifier(), table_of(classifier()).clone()
    list(fit(model, TASK, rows, settings(), seed=3, words=Words(sharing=sharing(rows))))
    after = table_of(model)
    assert torch.equal(after[[30, 31, 33, 38]], before[[30, 31, 33, 38]])
    assert torch.equal(after[35], after[7])
    assert not torch.equal(after[35], before[35])


def test_words_that_share_an_embedding_are_not_exchanged() -> None:
    """Hotflip has nothing to gain from them."""
    rows = examples(16)
    swaps = Swaps.of({(7,): [(8,)], (8,): [(7,)], (10,): [(12,)]}, np.zeros(VOCABULARY, dtype=np.bool_))
    config = settings(adversarial={"method": "hotflip", "share": 1.0})
    both = Words(swaps, sharing(rows))
    for event in fit(classifier(), TASK, rows, config, seed=3, words=both):
        if hasattr(event, "terms"):
            assert event.terms["adversarial"] == event.terms["label"]


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    rows, config = examples(16), settings(noise=1.0)
    words = Words(sharing=sharing(rows))
    whole = classifier(dropout=0.2)
    expected = losses(list(fit(whole, TASK, rows, config, seed=7, words=words)))
    first: list[Event] = []

    def stop() -> bool:
        return getattr(first[-1], "step", 0) == 3

    for event in fit(classifier(dropout=0.2), TASK, rows, config, seed=7, folder=tmp_path, words=words, stop=stop):
        first.append(event)
    again = classifier(dropout=0.2)
    rest = list(fit(again, TASK, rows, config, seed=7, folder=tmp_path, words=words))
    assert losses(first) + losses(rest) == expected
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())


class OfOtherWords:
    """Each epoch brings a text of words that the given examples do not hold."""

    per_epoch = 1

    def __call__(self, epoch: int, model: nn.Module) -> Examples:
        ids = Ragged.of([[1, 5, 30, 33, 2]])
        return Examples({"input_ids": ids, "label": np.zeros(1, dtype=np.int64), "row": np.zeros(1, dtype=np.int64)})


def test_examples_made_anew_may_hold_any_word() -> None:
    rows = examples(8)
    model, before = classifier(), table_of(classifier()).clone()
    list(fit(model, TASK, rows, settings(), seed=3, words=Words(sharing=sharing(rows)), renew=OfOtherWords()))
    after = table_of(model)
    assert torch.equal(after[30], after[31])
    assert not torch.allclose(after[33], before[33])


def test_what_is_done_is_told() -> None:
    rows = examples()
    started = next(fit(classifier(), TASK, rows, settings(), seed=1, words=Words(sharing=sharing(rows))))
    assert isinstance(started, Started)
    told = {choice.name: choice for choice in started.choices}["embedding rows"]
    assert isinstance(told.value, int)
    assert "9 share one with another word" in told.reason


def test_a_frozen_base_cannot_share() -> None:
    with pytest.raises(ValidationError, match="train_base: false freezes it"):
        TrainConfig(synonym_encoding=True, train_base=False)
