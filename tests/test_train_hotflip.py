"""Training on exchanged words: what is found in a batch, which exchanges are the worst, and what is learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from small_classifier import TASK, batch_of, classifier, examples, losses, settings, steps_of
from torch import Tensor
from torch.nn.functional import cross_entropy

from sixfold.models.forward import padded
from sixfold.train import learner
from sixfold.train.adversarial import work
from sixfold.train.config import AdversarialConfig, TrainConfig
from sixfold.train.events import Started
from sixfold.train.gradients import ADVERSARIAL, Gradients
from sixfold.train.loop import fit
from sixfold.train.swaps import Swaps
from sixfold.train.words import Words

AT = (3, 1, 4)
"""Seed, epoch, step."""
VOCABULARY = 40
GOES_ON = np.arange(VOCABULARY) >= 35
"""Tokens that go on with a word."""
SWAPS = Swaps.of(
    {
        (5,): [(7,), (8,), (9,)],
        (6,): [(30,), (31,)],
        (10,): [(11,)],
        (12, 13): [(14, 15), (16, 17)],
        (20,): [],
        **{(word,): [(word + 1,), (word - 1,)] for word in range(22, 29)},
    },
    GOES_ON,
)
WORDS = Words(swaps=SWAPS)


def found(swaps: Swaps, *rows: list[int]) -> list[tuple[int, int, int]]:
    """Place, size and row of each word of the batch."""
    places = swaps.found(np.concatenate(rows).astype(np.int64), [len(row) for row in rows])
    words = [
        (int(start), part.others.shape[2], int(row))
        for part in places
        for start, row in zip(part.starts, part.rows, strict=True)
    ]
    return sorted(words)


def test_words_are_found_by_their_tokens_the_longest_first_and_within_a_row() -> None:
    swaps = Swaps.of({(1,): [(3,)], (1, 2): [(4, 5)], (2,): [(6,)]}, GOES_ON)
    assert found(swaps, [1, 2, 2]) == [(0, 2, 0), (2, 1, 0)]
    assert found(swaps, [9, 1], [2]) == [(1, 1, 0), (2, 1, 1)]  # no word goes over the end of a row


def test_a_part_of_a_longer_word_is_no_word() -> None:
    swaps = Swaps.of({(1,): [(3,)], (1, 2): [(4, 5)]}, GOES_ON)
    assert found(swaps, [1, 36]) == []
    assert found(swaps, [1, 2, 36]) == [(0, 1, 0)]
    assert found(swaps, [1], [36]) == [(0, 1, 0)]  # what goes on stands in another row


def test_a_part_of_a_word_that_stays_is_no_word() -> None:
    swaps = Swaps.of({(1,): [(3,)], (2, 1): [], (1, 1): [(4, 4)]}, GOES_ON)
    assert found(swaps, [1, 2, 1, 1]) == [(0, 1, 0), (3, 1, 0)]
    assert found(swaps, [1, 1, 2]) == [(0, 2, 0)]


def test_words_without_others_are_left_out_and_others_are_filled_up() -> None:
    assert (20,) not in SWAPS.others
    (places,) = SWAPS.found(np.array([5, 10]), [2])
    assert places.others.tolist() == [[[7], [8], [9]], [[11], [-1], [-1]]]
    assert {5, 12, 20} & SWAPS.ids() == set()
    assert {7, 8, 9, 14, 15, 16, 17, 30, 31} <= SWAPS.ids()


@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=12), min_size=1, max_size=4))
def test_what_is_found_does_not_overlap_and_misses_nothing(rows: list[list[int]]) -> None:
    swaps = Swaps.of({(1,): [(9,)], (1, 2): [(9, 9)], (2, 3, 3): [(9, 9, 9)]}, np.arange(10) == 5)
    batch, ends = [token for row in rows for token in row], np.cumsum([len(row) for row in rows])
    taken: set[int] = set()
    for start, size, row in found(swaps, *rows):
        assert tuple(batch[start : start + size]) in swaps.others
        assert start + size <= ends[row]
        assert start + size == ends[row] or batch[start + size] != 5
        assert taken.isdisjoint(range(start, start + size))
        taken.update(range(start, start + size))
    for place in set(range(len(batch))) - taken:
        inside = place + 1 not in ends
        assert batch[place] != 1 or (inside and batch[place + 1] == 5), "a word of one token is always found"


def learnt(model: Any, batch: dict, **dials: Any) -> tuple[float, dict[str, float], list[Tensor]]:
    """Loss and terms of one step, and what went into the word embedding in each pass over the model."""
    config = settings(adversarial={"method": "hotflip", **dials})
    gradients = Gradients(model, TASK, config, list(model.parameters()), SWAPS)
    seen: list[Tensor] = []
    handle = model.bert.register_forward_pre_hook(
        lambda module, inputs, named: seen.append((*inputs, named.get("input_ids"))[0].clone()), with_kwargs=True
    )
    model.zero_grad()
    loss, terms = gradients.add([batch], AT)
    handle.remove()
    gradients.release()
    return loss, terms, seen


def grads(model: Any) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def loss_by_hand(
    model: Any, flat: Any, labels: Tensor, ids: Tensor, delta: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The mean loss of a padded batch that reads ``ids`` [tokens], and its word embeddings [tokens, width]."""
    inputs = padded(model, flat)
    real = inputs["attention_mask"].bool()
    inputs.pop("input_ids")
    words = model.get_input_embeddings()(ids)
    laid = words.new_zeros(*real.shape, words.shape[-1]).index_put(
        tuple(real.nonzero().T), words if delta is None else words + delta
    )
    return cross_entropy(model(inputs_embeds=laid, **inputs).logits, labels), words


def worst(model: Any, flat: Any, labels: Tensor, at: Tensor, share: float) -> Tensor:
    """The exchanges of the paper, one row, one word and one candidate after the other."""
    loss, words = loss_by_hand(model, flat, labels, at)
    (slope,) = torch.autograd.grad(loss, words)
    table = model.get_input_embeddings().weight.detach()
    ids, begin = flat.input_ids.tolist(), 0
    out = list(ids)
    for length in flat.lengths:
        gains = []
        places = SWAPS.found(flat.input_ids[begin : begin + length].numpy(), [length])
        many = sum(len(part.starts) for part in places)
        for part in places:
            size = part.others.shape[2]
            for start in (part.starts + begin).tolist():
                own = tuple(ids[start : start + size])
                for other in SWAPS.others[own].tolist():
                    gain = sum(
                        float((table[new] - table[old]) @ slope[start + step])
                        for step, (new, old) in enumerate(zip(other, own, strict=True))
                    )
                    gains.append((gain, start, other))
        best: dict[int, tuple[float, list[int]]] = {}
        for gain, start, other in gains:
            if gain > best.get(start, (0.0, []))[0]:
                best[start] = gain, other
        for start, (_, other) in sorted(best.items(), key=lambda item: -item[1][0])[: int(np.ceil(share * many))]:
            out[start : start + len(other)] = other
        begin += length
    return torch.tensor(out)


def some_rows() -> dict[str, Any]:
    """A batch with words of two tokens in it, and a row without any word that could be exchanged."""
    rows = examples(9)
    ids = rows.ragged("input_ids")
    values = np.asarray(ids.values).copy()
    begin = ids.offsets[3]
    assert ids.lengths[3] >= 5
    values[begin + 2 : begin + 4] = 12, 13
    values[ids.offsets[4] + 1 : ids.offsets[5]] = 1
    return batch_of(rows.with_column("input_ids", type(ids)(values, ids.offsets)))


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
def test_it_learns_from_the_text_and_from_the_worst_exchanges(share: float, packed: bool) -> None:
    batch, model, hand = some_rows(), classifier(packed=packed), classifier(packed=False)
    flat, labels = batch["flat"], batch["label"]
    ids = worst(hand, flat, labels, flat.input_ids, share)
    assert (ids != flat.input_ids).any()
    clean, _ = loss_by_hand(hand, flat, labels, flat.input_ids)
    raised, _ = loss_by_hand(hand, flat, labels, ids)
    (clean + raised).backward()

    loss, terms, seen = learnt(model, batch, share=share)

    assert len(seen) == 2, "the clean pass gives the gradient"
    assert seen[0].shape == seen[1].shape
    if packed:
        assert seen[1][0, : len(ids)].tolist() == ids.tolist()
    assert terms == pytest.approx({"label": float(clean.detach()), ADVERSARIAL: float(raised.detach())}, abs=1e-6)
    assert loss == pytest.approx(float((clean + raised).detach()), abs=1e-6)
    for name, gradient in grads(hand).items():
        torch.testing.assert_close(grads(model)[name], gradient, atol=1e-5, rtol=1e-3, msg=name)


def test_a_further_gradient_is_taken_where_the_words_are_exchanged() -> None:
    batch, model, hand = some_rows(), classifier(), classifier(packed=False)
    flat, labels = batch["flat"], batch["label"]
    first = worst(hand, flat, labels, flat.input_ids, 1.0)
    second = worst(hand, flat, labels, first, 1.0)
    assert first.tolist() != second.tolist(), "else this shows nothing"
    _, _, seen = learnt(model, batch, share=1.0, steps=2)
    assert [one[0, : len(first)].tolist() for one in seen] == [
        flat.input_ids.tolist(),
        first.tolist(),
        second.tolist(),
    ]


def test_the_exchanged_text_can_be_moved_along_the_gradient_too() -> None:
    batch, model, hand = some_rows(), classifier(), classifier(packed=False)
    flat, labels = batch["flat"], batch["label"]
    clean, words = loss_by_hand(hand, flat, labels, flat.input_ids)
    (slope,) = torch.autograd.grad(clean, words)
    size = 0.4 * float(hand.get_input_embeddings().weight.detach().norm(dim=1).mean())
    delta = torch.cat([size * one / one.norm() for one in slope.split(list(flat.lengths))])
    raised, _ = loss_by_hand(hand, flat, labels, worst(hand, flat, labels, flat.input_ids, 0.5), delta)
    _, terms, seen = learnt(model, batch, share=0.5, epsilon=0.4)
    assert len(seen) == 2
    assert terms[ADVERSARIAL] == pytest.approx(float(raised.detach()), abs=1e-5)
    assert terms[ADVERSARIAL] > learnt(classifier(), batch, share=0.5)[1][ADVERSARIAL]


def test_a_batch_without_such_words_is_learnt_from_twice() -> None:
    batch, model = batch_of(examples(9)), classifier()
    batch["flat"].input_ids.fill_(1)
    _, terms, seen = learnt(model, batch)
    assert torch.equal(seen[0], seen[1])
    assert terms[ADVERSARIAL] == pytest.approx(terms["label"], abs=1e-6)


def test_both_passes_draw_the_same_dropout() -> None:
    batch, model = batch_of(examples(9)), classifier(dropout=0.3)
    batch["flat"].input_ids.fill_(1)
    _, terms, _ = learnt(model, batch)
    assert terms[ADVERSARIAL] == pytest.approx(terms["label"], abs=1e-6)


DIALS: dict[str, Any] = {"adversarial": {"method": "hotflip", "share": 0.5}}


def test_training_only_the_used_rows_gives_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of words that may come in are among them."""
    states = []
    for whole in (False, True):
        if whole:
            monkeypatch.setattr(learner, "tied", lambda model: True)
        model = classifier()
        events = list(fit(model, TASK, examples(16), settings(clip=1e9, **DIALS), seed=3, words=WORDS))
        assert isinstance(events[0], Started)
        assert ("embedding rows" in {choice.name for choice in events[0].choices}) is not whole
        states.append({name: value.clone() for name, value in model.state_dict().items()})
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_cutting_a_step_into_micro_batches_changes_nothing() -> None:
    runs = []
    for tokens in (10_000, 1, 25):
        config = settings(epochs=1, micro_tokens=tokens, learning_rate=1e-4, **DIALS)
        runs.append(losses(list(fit(classifier(), TASK, examples(8), config, seed=1, words=WORDS))))
    for cut in runs[1:]:
        for own, whole in zip(cut, runs[0], strict=True):
            assert own == pytest.approx(whole, rel=1e-4, abs=1e-6)


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    config = settings(noise=1.0, r_drop=1.0, **DIALS)
    whole = classifier(dropout=0.2)
    expected = losses(list(fit(whole, TASK, examples(16), config, seed=7, words=WORDS)))
    first: list = []
    run = fit(
        classifier(dropout=0.2),
        TASK,
        examples(16),
        config,
        seed=7,
        folder=tmp_path,
        words=WORDS,
        stop=lambda: first[-1].step == 3,
    )
    for event in run:
        first.append(event)
    again = classifier(dropout=0.2)
    rest = list(fit(again, TASK, examples(16), config, seed=7, folder=tmp_path, words=WORDS))
    assert losses(first) + losses(rest) == expected
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())


def test_a_frozen_base_learns_its_head_from_exchanged_words() -> None:
    model = classifier()
    model.base_model.requires_grad_(False)
    config = settings(train_base=False, **DIALS)
    steps = steps_of(list(fit(model, TASK, examples(16), config, seed=1, words=WORDS)))
    assert steps[0].terms[ADVERSARIAL] > steps[0].terms["label"]


def test_what_is_done_is_told() -> None:
    started = next(
        fit(
            classifier(),
            TASK,
            examples(),
            settings(adversarial={"method": "hotflip"}),
            seed=1,
            words=WORDS,
        )
    )
    assert isinstance(started, Started)
    told = {choice.name: choice for choice in started.choices}
    assert told["adversarial training"].value == "hotflip"
    assert "30% of the words" in told["adversarial training"].reason
    assert told["words that others may stand for"].value == len(SWAPS.others)


def test_exchanges_raise_the_loss_of_a_trained_model() -> None:
    """To first order they do; a trained model shows that the order is the right one."""
    model = classifier()
    list(fit(model, TASK, examples(24), settings(), seed=1))
    model.train()
    _, terms, _ = learnt(model, batch_of(examples(24)), share=1.0)
    assert terms[ADVERSARIAL] > terms["label"]


def test_it_needs_words() -> None:
    with pytest.raises(AssertionError, match="hotflip needs words"):
        next(fit(classifier(), TASK, examples(), settings(adversarial={"method": "hotflip"}), seed=1))


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"method": "hotflip", "step_size": 0.3, "start": "zero"}, "hotflip does not read step_size, start"),
        ({"method": "freelb", "share": 0.3}, "freelb does not read share"),
        ({"method": "fgm", "share": 0.3}, "leave out share"),
        ({"method": "hotflip", "share": 0.0}, "greater than 0"),
        ({"method": "hotflip", "share": 1.5}, "less than or equal to 1"),
    ],
)
def test_what_does_not_fit_is_an_error_of_the_config(dials: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AdversarialConfig.model_validate(dials)


@pytest.mark.parametrize(
    ("dials", "passes"),
    [
        ({"method": "hotflip"}, 6),
        ({"method": "hotflip", "steps": 3}, 10),
    ],
)
def test_the_work_of_a_step_in_forward_passes(dials: dict[str, Any], passes: int) -> None:
    assert work(TrainConfig.model_validate({"adversarial": dials})) == passes
