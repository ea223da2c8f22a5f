"""RanMASK: how many tokens become the mask, which never do, and that training draws anew each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_classifier import TASK, classifier, examples, losses, settings
from tiny import byte_tokenizer, tiny_encoder

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import ModelError
from sixfold.models import load
from sixfold.tasks.masking import MaskToken, masked
from sixfold.tasks.text_classification import TextClassification
from sixfold.train.events import Started
from sixfold.train.loop import fit

MASK = MaskToken(id=39, kept=(0, 1, 2))
RUNS = st.lists(st.lists(st.integers(0, 38), min_size=1, max_size=12), min_size=1, max_size=6)


def rows(*runs: list[int]) -> Examples:
    return Examples({"input_ids": Ragged.of(runs)})


def ids(of: Examples) -> list[list[int]]:
    return [run.tolist() for run in of.ragged("input_ids")]


@given(runs=RUNS, share=st.floats(0, 0.99), seed=st.integers(0, 9))
def test_the_share_is_met_but_for_rounding_and_a_token_stays(runs: list[list[int]], share: float, seed: int) -> None:
    found = ids(masked(rows(*runs), MASK, share, np.random.default_rng(seed)))
    for before, after in zip(runs, found, strict=True):
        text = [token for token in before if token not in MASK.kept]
        gone = [old for old, new in zip(before, after, strict=True) if old != new]
        assert all(new == MASK.id for old, new in zip(before, after, strict=True) if old != new)
        assert not set(gone) & set(MASK.kept)
        assert len(gone) == min(int(np.floor(share * len(text) + 0.5)), max(0, len(text) - 1))


def test_every_token_is_as_likely_as_any_other() -> None:
    rng, counts = np.random.default_rng(0), np.zeros(7)
    for _ in range(2000):
        counts += np.array(ids(masked(rows([1, 10, 11, 12, 13, 14, 2]), MASK, 0.4, rng))[0]) == MASK.id
    assert counts[[0, 6]].tolist() == [0, 0]
    assert counts[1:6].sum() == 2 * 2000
    assert counts[1:6] / 2000 == pytest.approx(np.full(5, 0.4), abs=0.04)


def test_rows_drawn_in_two_parts_are_those_drawn_at_once() -> None:
    whole = ids(masked(examples(6), MASK, 0.5, np.random.default_rng(3)))
    rng = np.random.default_rng(3)
    parts = [ids(masked(examples(6).take(part), MASK, 0.5, rng)) for part in ([0, 1], [2, 3, 4, 5])]
    assert parts[0] + parts[1] == whole


def test_other_columns_stay_as_they_are() -> None:
    given_rows = examples(4)
    found = masked(given_rows, MASK, 0.5, np.random.default_rng(0))
    assert found["label"] is given_rows["label"]
    assert found.ragged("input_ids").values.dtype == given_rows.ragged("input_ids").values.dtype


def test_of_a_tokenizer_the_frame_and_special_tokens_stay_and_an_unknown_word_is_text(tmp_path: Path) -> None:
    tokenizer = load(tiny_encoder(tmp_path), TextClassification(labels=("a", "b")).head(), new_head=True).tokenizer
    token = MaskToken.of(tokenizer)
    assert token.id == tokenizer.mask_token_id
    special = {tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id, tokenizer.mask_token_id}
    assert set(token.kept) == special
    assert tokenizer.unk_token_id not in token.kept


def test_a_tokenizer_without_a_mask_is_refused() -> None:
    with pytest.raises(ModelError, match="no mask token"):
        MaskToken.of(byte_tokenizer(64, pad=True))


class Watched(TextClassification):
    """Keeps the batches that it was asked for."""

    seen: list[list[int]] = []  # noqa: RUF012 (a test's own)

    def collate(self, examples: Examples, rng: np.random.Generator) -> dict[str, Any]:
        self.seen.append(examples.ragged("input_ids").values.tolist())
        return super().collate(examples, rng)


def test_training_masks_anew_each_time_a_text_is_seen_and_evaluation_never() -> None:
    Watched.seen.clear()
    task = Watched(labels=("a", "b"))
    one = examples(24).take([int(np.argmax(examples(24).lengths))])

    def evaluate(model: torch.nn.Module) -> dict[str, float]:
        batch = task.collate(one, np.random.default_rng(0))
        return {"macro_f1": float(task.loss(model, batch)["label"].sum)}

    list(fit(classifier(), task, one, settings(mask_share=0.5, epochs=4), seed=1, mask=MASK, evaluate=evaluate))
    trained, looked = Watched.seen[0::2], Watched.seen[1::2]
    assert all(ids.count(MASK.id) == 5 for ids in trained)
    assert len({tuple(ids) for ids in trained}) == 4
    assert all(MASK.id not in ids for ids in looked)


@pytest.mark.parametrize("dials", [{}, {"adversarial": {"method": "fgm"}}, {"mixup": 1.0}])
def test_a_stopped_run_goes_on_bit_for_bit(dials: dict[str, Any], tmp_path: Path) -> None:
    config = settings(mask_share=0.3, **dials)
    whole = classifier(0.2)
    expected = losses(list(fit(whole, TASK, examples(16), config, seed=7, mask=MASK)))
    first: list = []
    for event in fit(
        classifier(0.2),
        TASK,
        examples(16),
        config,
        seed=7,
        mask=MASK,
        folder=tmp_path,
        stop=lambda: first[-1].step == 3,
    ):
        first.append(event)
    rest = list(fit(classifier(0.2), TASK, examples(16), config, seed=7, mask=MASK, folder=tmp_path))
    assert losses(first) + losses(rest) == expected


def test_cutting_a_step_into_micro_batches_changes_nothing() -> None:
    whole, cut = (
        losses(list(fit(classifier(), TASK, examples(8), config, seed=1, mask=MASK)))
        for config in (settings(mask_share=0.3, epochs=1, micro_tokens=tokens) for tokens in (10_000, 1))
    )
    assert [step[1] for step in cut] == pytest.approx([step[1] for step in whole], abs=1e-6)


def test_the_mask_learns_though_no_example_holds_it() -> None:
    model = classifier()
    before = model.get_input_embeddings().weight.detach().clone()
    started, *_ = fit(model, TASK, examples(), settings(mask_share=0.3), seed=1, mask=MASK)
    assert isinstance(started, Started)
    assert "embedding rows" in {choice.name for choice in started.choices}
    changed = (model.get_input_embeddings().weight != before).any(1)
    assert changed[MASK.id]
    assert not changed[31:39].any()


def test_a_mask_that_is_handed_in_does_nothing_unless_the_dials_ask() -> None:
    plain, handed = (
        losses(list(fit(classifier(), TASK, examples(), settings(), seed=1, mask=mask))) for mask in (None, MASK)
    )
    assert plain == handed
