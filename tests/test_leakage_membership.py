"""Membership: AUC and its interval by hand, thresholds, references, and each task's loss of a row."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import tiny_decoder, tiny_encoder
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from sixfold.errors import DataError, UsageError
from sixfold.metrics.intervals import Z95, wilson
from sixfold.models import load
from sixfold.safety.membership import membership
from sixfold.safety.row_losses import row_losses
from sixfold.score.scorer import Scorer
from sixfold.tasks.causal_lm import CausalLM
from sixfold.tasks.masked_and_order import MaskedAndOrder
from sixfold.tasks.masked_lm import MaskedLM
from sixfold.tasks.sentence_order import SentenceOrder
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.texts import Texts
from sixfold.tasks.token_classification import TokenClassification
from sixfold.train.config import TrainConfig
from sixfold.train.loop import fit

TEXTS = ["the film was good and the book", "the hotel was bad", "我有一本好书", "the bank is new"]


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_auc_and_delongs_interval_by_hand() -> None:
    found = membership(floats(*[1, 2, 2, 4] * 3), floats(*[2, 3, 5] * 4)).auc
    # pairs won: 3, 2.5, 2.5 and 1 of 3, each thrice; seen from the others 2, 3 and 4 of 4, each four times
    assert found.value == pytest.approx(9 / 12)
    error = math.sqrt((3 / 12 * 3 / 11) / 12 + (2 / 16 * 4 / 11) / 12)
    half = Z95 * error / (0.75 * 0.25)
    assert found.low == pytest.approx(1 / (1 + math.exp(-math.log(3) + half)))
    assert found.high == pytest.approx(1 / (1 + math.exp(-math.log(3) - half)))
    assert (found.count, found.method) == (24, "DeLong")


def test_equal_losses_tell_nothing_and_losses_apart_tell_all() -> None:
    same, low = np.full(12, 2.0), np.full(12, 1.0)
    assert membership(same, same).auc.value == 0.5
    assert membership(low, same).auc.value == 1.0
    assert membership(same, low).auc.value == 0.0


def test_members_are_counted_below_the_threshold_that_the_others_set() -> None:
    others = np.arange(200.0)
    members = floats(-1, 0, 1.5, 2, 3, 50, 60, 70, 80, 90)
    found = membership(members, others).found
    one = found[0.01]  # two others may lie below it: the threshold is 2
    assert one is not None
    assert (one.value, one.count) == (3 / 10, 10)
    assert (one.low, one.high) == wilson(3, 10)
    assert one.name == "members found at 1 % false alarms"
    assert found[0.001] is None
    tied = membership(members, np.zeros(200)).found[0.01]  # none of the others lies below what they share
    assert tied is not None
    assert tied.value == 1 / 10


def test_what_is_told_of_two_kinds_of_rows() -> None:
    draw = np.random.default_rng(0)
    members, others = draw.normal(0, 1, 500), draw.normal(1, 1, 1000)
    members[:3] = np.nan
    found = membership(members, others)
    assert (found.members, found.others, found.left_out) == (497, 1000, 3)
    assert found.auc.low < 0.76 < found.auc.high  # P(N(0, 1) < N(1, 1))
    assert all(one is not None for one in found.found.values())
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["attack"] == "loss"
    assert told["auc"]["count"] == 1497
    assert set(told["found"]) == {"0.01", "0.001"}
    assert json.loads(json.dumps(membership(members[:99], others[:99]).to_dict()))["found"] == {
        "0.01": None,
        "0.001": None,
    }


def test_a_reference_takes_away_what_is_easy_for_every_model() -> None:
    draw = np.random.default_rng(0)
    easy, hard = draw.normal(0, 5, 200), draw.normal(0, 5, 200)
    members, others = easy - 0.5 + draw.normal(0, 0.1, 200), hard + draw.normal(0, 0.1, 200)
    plain, against = membership(members, others), membership(members, others, reference=(easy, hard))
    assert plain.auc.value < 0.65
    assert against.auc.value > 0.99
    assert against.attack == "loss against a reference"
    easy[0] = np.nan
    assert membership(members, others, reference=(easy, hard)).left_out == 1


def test_too_few_rows_are_refused() -> None:
    enough = np.arange(10.0)
    assert membership(enough, enough).auc.value == 0.5
    with pytest.raises(DataError, match="9 training rows have a loss"):
        membership(enough[:9], enough)
    with pytest.raises(DataError, match="0 held-out rows have a loss"):
        membership(enough, floats())
    with pytest.raises(DataError, match="9 held-out rows have a loss"):
        membership(enough, np.where(enough > 0, enough, np.nan))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"), chinese=True)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_decoder(tmp_path_factory.mktemp("decoder"))


def asked(folder: Path, task: Any, limit: int = 64, **columns: Any) -> tuple[Any, np.ndarray]:
    """The model with its tokenizer, and the loss of each row."""
    found = load(folder, task.head(), seed=0, new_head=True)
    fitted = task.fitted(found.tokenizer) if hasattr(task, "fitted") else task
    examples = fitted.encode(Texts(columns), found.tokenizer, limit, "window").examples
    return found, row_losses(fitted, Scorer(found.model), examples)


def test_a_label_costs_its_cross_entropy_whatever_was_tuned(encoder: Path) -> None:
    task = TextClassification(("bad", "good"), temperature=3.0, class_weights=(1.0, 9.0))
    found, losses = asked(encoder, task, text=TEXTS, label=["good", "bad", "unheard of", "good"])
    with torch.no_grad():
        logits = found.model(**found.tokenizer(TEXTS, return_tensors="pt", padding=True)).logits
    wanted = cross_entropy(logits, torch.tensor([1, 0, 0, 1]), reduction="none").numpy()
    assert losses[[0, 1, 3]] == pytest.approx(wanted[[0, 1, 3]], rel=1e-4)
    assert math.isnan(losses[2])  # training did not know the label


def test_several_labels_cost_their_mean(encoder: Path) -> None:
    task = TextClassification(("bad", "good", "new"), several=True)
    found, losses = asked(encoder, task, text=TEXTS[:2], labels=[["good", "new"], []])
    with torch.no_grad():
        logits = found.model(**found.tokenizer(TEXTS[:2], return_tensors="pt", padding=True)).logits
    gold = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    assert losses == pytest.approx(
        binary_cross_entropy_with_logits(logits, gold, reduction="none").mean(1).numpy(), rel=1e-4
    )


def test_the_windows_of_a_text_have_one_loss(encoder: Path) -> None:
    task = TextClassification(("bad", "good"))
    text = " ".join(["the film was good"] * 5)
    found, losses = asked(encoder, task, limit=16, text=[text, "the bank"], label=["good", "bad"])
    examples = task.encode(Texts({"text": [text]}), found.tokenizer, 16, "window").examples
    logits = np.mean(Scorer(found.model).ask(examples, task.question()), axis=0)
    assert len(examples) > 1
    assert len(losses) == 2
    assert losses[0] == pytest.approx(float(cross_entropy(torch.tensor(logits), torch.tensor(1))), rel=1e-4)


def test_tags_cost_their_mean_over_the_words_that_were_judged(encoder: Path) -> None:
    task = TokenClassification(("O", "B-LOC", "I-LOC"))
    words = [["love", "new", "city"], ["cat"], ["dog"]]
    tags = [["O", "B-LOC", "I-LOC"], ["O"], ["B-UNHEARD"]]
    found, losses = asked(encoder, task, words=words, tags=tags)
    with torch.no_grad():
        logits = found.model(**found.tokenizer("love new city", return_tensors="pt")).logits[0, 1:-1]
    assert losses[0] == pytest.approx(float(cross_entropy(logits, torch.tensor([0, 1, 2]))), rel=1e-4)
    assert math.isfinite(losses[1])
    assert math.isnan(losses[2])


def test_a_document_costs_its_mean_over_tokens(decoder: Path) -> None:
    found, losses = asked(decoder, CausalLM(), text=TEXTS)
    for text, loss in zip(TEXTS, losses, strict=True):
        ids = torch.tensor([found.tokenizer.bos_token_id, *found.tokenizer(text)["input_ids"]])
        ids = torch.cat([ids, torch.tensor([found.tokenizer.eos_token_id])])
        with torch.no_grad():
            wanted = float(cross_entropy(found.model(input_ids=ids[None]).logits[0, :-1], ids[1:]))
        assert loss == pytest.approx(wanted, rel=1e-4)


def test_hidden_words_cost_their_mean_and_a_text_of_which_none_is_hidden_has_no_loss(encoder: Path) -> None:
    texts = [*TEXTS, *("cat", "dog", "bank", "film", "book")]
    found, losses = asked(encoder, MaskedLM(), text=texts)
    task = MaskedLM().fitted(found.tokenizer)
    examples = task.encode(Texts({"text": texts}), found.tokenizer, 64, "error").examples
    said = task.predict(Scorer(found.model), examples)
    assert any(one.targets == 0 for one in said)
    for one, loss in zip(said, losses, strict=True):
        assert math.isnan(loss) if not one.targets else loss == pytest.approx(one.nats / one.targets)
    both = "the film was good. the hotel was bad. the bank is new. it is a red city."
    _, masked = asked(encoder, MaskedAndOrder(), text=[both])
    assert masked.shape == (1,)
    assert 0 < masked[0] < 50


def test_rows_that_cannot_be_judged_are_refused(encoder: Path) -> None:
    with pytest.raises(DataError, match="the rows have no labels"):
        asked(encoder, TextClassification(("bad", "good")), text=TEXTS)
    with pytest.raises(DataError, match="the rows have no tags"):
        asked(encoder, TokenClassification(("O", "B-LOC", "I-LOC")), words=[["cat"]])
    with pytest.raises(UsageError, match="no loss that could tell membership"):
        asked(encoder, SentenceOrder(), text=TEXTS)


def test_an_overfitted_decoder_gives_its_documents_away(decoder: Path) -> None:
    draw = np.random.default_rng(1)
    texts = [" ".join(draw.choice("red blue big small old new cat dog".split(), 6)) for _ in range(60)]  # noqa: SIM905
    found = load(decoder, CausalLM().head())
    members, others = (
        CausalLM().encode(Texts({"text": part}), found.tokenizer, 64, "error").examples
        for part in (texts[:30], texts[30:])
    )
    before = [row_losses(CausalLM(), Scorer(found.model), part) for part in (members, others)]
    train = TrainConfig(epochs=40, batch=10, learning_rate=5e-3, precision="fp32")
    list(fit(found.model, CausalLM(), members, train, seed=1))
    after = [row_losses(CausalLM(), Scorer(found.model), part) for part in (members, others)]
    assert membership(*before).auc.low < 0.5 < membership(*before).auc.high
    assert membership(*after).auc.low > 0.8
    assert membership(*after, reference=(before[0], before[1])).auc.low > 0.8
