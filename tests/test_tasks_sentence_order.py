"""Sentence order, alone and with hidden tokens: which pairs are made, what is asked, and that it can be learnt."""

import datasets
import numpy as np
import pytest
import torch
import transformers

from sixfold.errors import ModelError
from sixfold.models.tokenizer_training import train_tokenizer
from sixfold.score.scorer import Scorer
from sixfold.tasks.masked_and_order import MaskedAndOrder
from sixfold.tasks.sentence_order import IN_ORDER, SentenceOrder
from sixfold.train.config import TrainConfig
from sixfold.train.events import Step
from sixfold.train.loop import fit

TEXTS = [
    "The bank opened. It was early. The tellers came in. They were tired.",
    "他开户了。他很高兴。他回家了。",
    "A single sentence only",
]
TOKENIZER = train_tokenizer(TEXTS * 5, "wordpiece", vocabulary=90)
ORDER, BOTH = SentenceOrder().fitted(TOKENIZER), MaskedAndOrder().fitted(TOKENIZER)


def rows(*texts: str) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": list(texts)})


def said(ids) -> str:
    return TOKENIZER.decode(ids).replace(" ", "")


def bert(kind, vocabulary):
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    return kind(transformers.BertConfig(vocab_size=vocabulary, **shape, hidden_dropout_prob=0.0)).eval()


def test_a_text_is_cut_between_sentences_near_its_middle():
    encoded = ORDER.encode(rows(*TEXTS), TOKENIZER, 64, "window")
    parts = [
        (said(run[:first]), said(run[first:]))
        for run, first in zip(encoded.examples.ragged("input_ids"), encoded.examples.dense("first"), strict=True)
    ]
    assert parts == [
        ("Thebankopened.Itwasearly.", "Thetellerscamein.Theyweretired."),
        ("他开户了。", "他很高兴。他回家了。"),
    ]
    assert encoded.examples["row"].tolist() == [0, 1]
    assert (encoded.cut.rows, encoded.cut.unlearnable) == (3, 1)


def test_a_long_text_becomes_several_stretches_and_what_is_lost_is_counted():
    encoded = ORDER.encode(rows(TEXTS[0] * 4, "Word " * 40 + ". Then."), TOKENIZER, 24, "window")
    assert encoded.examples.lengths.max() <= 24 - 3
    assert (encoded.examples.dense("first") > 0).all()
    assert (encoded.examples.dense("first") < encoded.examples.lengths).all()
    assert encoded.cut.long_rows == 2
    assert encoded.cut.windows > 1
    words = len(TOKENIZER("Word " * 40 + ".", add_special_tokens=False)["input_ids"])
    assert encoded.cut.lost_tokens == words - 21


@pytest.mark.parametrize("task", [ORDER, BOTH], ids=lambda task: task.name)
def test_pairs_are_put_together_in_both_orders(task):
    examples = task.encode(rows(*TEXTS[:2]), TOKENIZER, 64, "window").examples
    order = task if isinstance(task, SentenceOrder) else task._order
    first, last = TOKENIZER.cls_token_id, TOKENIZER.sep_token_id
    seen = set()
    for number in range(20):
        made = order.pairs(examples, np.random.default_rng(number).random(len(examples)) < 0.5)
        ends = np.cumsum(made.lengths)
        for place, (end, length) in enumerate(zip(ends, made.lengths, strict=True)):
            ids, types = made.ids[end - length : end], made.types[end - length : end]
            assert (ids[0], ids[-1]) == (first, last)
            middle = int(types.argmax())
            assert ids[middle - 1] == last
            assert types.tolist() == [0] * middle + [1] * (len(types) - middle)
            run, at = examples.ragged("input_ids")[place], examples.dense("first")[place]
            parts = (ids[1 : middle - 1].tolist(), ids[middle:-1].tolist())
            whole = (run[:at].tolist(), run[at:].tolist())
            assert parts == (whole if made.order[place] == IN_ORDER else whole[::-1])
            seen.add((place, int(made.order[place])))
    assert len(seen) == 4


def test_next_takes_the_second_part_from_another_text():
    task = SentenceOrder("next").fitted(TOKENIZER)
    examples = task.encode(rows(*TEXTS[:2]), TOKENIZER, 64, "window").examples
    made = task.pairs(examples, np.array([True, False]))
    length, middle = made.lengths[0], int(made.types[: made.lengths[0]].argmax())
    assert said(made.ids[1 : middle - 1]) == "Thebankopened.Itwasearly."
    assert said(made.ids[middle : length - 1]) in "他很高兴。他回家了。"


def test_both_hides_words_outside_the_special_tokens_and_asks_the_order_at_the_first_token():
    examples = BOTH.encode(rows(*TEXTS[:2]), TOKENIZER, 64, "window").examples
    mask, last = TOKENIZER.mask_token_id, TOKENIZER.sep_token_id
    for number in range(20):
        batch = BOTH.collate(examples, np.random.default_rng(number))
        ids, starts = batch["flat"].input_ids, batch["flat"].starts
        assert batch["order_places"].tolist() == starts.tolist()
        assert set(batch["order"].tolist()) <= {mask, last}
        assert (ids[batch["places"]] == mask).all()
        assert int((ids == mask).sum()) == len(batch["places"])
        assert not set(batch["target"].tolist()) & {TOKENIZER.cls_token_id, last, mask}


@pytest.mark.parametrize(
    ("task", "kind"),
    [(ORDER, transformers.BertForSequenceClassification), (BOTH, transformers.BertForMaskedLM)],
    ids=lambda item: getattr(item, "name", ""),
)
def test_it_can_be_learnt_and_a_row_is_asked_the_same_in_any_batch(task, kind):
    texts = [f"The tellers came in at {number}. They were tired at {9 - number}." for number in range(10)] * 3
    data = rows(*texts)
    tokenizer = train_tokenizer(texts, "wordpiece", vocabulary=60, least=1)
    task = type(task)().fitted(tokenizer)
    examples = task.encode(data, tokenizer, 64, "window").examples
    model = bert(kind, len(tokenizer))
    config = TrainConfig(epochs=80, batch=10, learning_rate=3e-3, precision="fp32", patience=None)
    steps = [event for event in fit(model, task, examples, config, seed=1) if isinstance(event, Step)]
    assert set(steps[0].terms) == ({"order"} if task.name == "sentence_order" else {"token", "order"})
    found = task.predict(Scorer(model), examples)
    scores = task.scores(found, data)
    assert tuple(scores) == task.score_names
    assert scores["accuracy" if task.name == "sentence_order" else "order_accuracy"] > 0.9
    metrics = task.evaluate(found, data, seed=1)["metrics"]
    assert metrics["accuracy"]["value"] == pytest.approx(scores["accuracy"])
    alone = task.predict(Scorer(model), task.encode(rows(texts[3]), tokenizer, 64, "window").examples)
    one, same = (getattr(answer, "masked", answer) for answer in (alone[0], found[3]))
    assert one.right == same.right
    assert one.nats == pytest.approx(same.nats, rel=1e-3, abs=1e-4)


def test_a_model_without_token_types_reads_the_separators_alone():
    special = {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    model = transformers.ModernBertForMaskedLM(
        transformers.ModernBertConfig(vocab_size=len(TOKENIZER), **shape, **special)
    ).eval()
    examples = BOTH.encode(rows(*TEXTS), TOKENIZER, 64, "window").examples
    assert len(BOTH.predict(Scorer(model), examples)) == 2


def test_a_tokenizer_without_the_tokens_is_refused():
    decoder = train_tokenizer(TEXTS, "bpe", vocabulary=270, use="decoder")
    for task in (SentenceOrder(), MaskedAndOrder()):
        with pytest.raises(ModelError, match="causal_lm"):
            task.fitted(decoder)
