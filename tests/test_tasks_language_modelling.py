"""Masked and causal language modelling: what is hidden, what is a target, and losses that a hand can check."""

import datasets
import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from sixfold.data.packing import best_fit
from sixfold.errors import ModelError
from sixfold.models.tokenizer_training import train_tokenizer
from sixfold.score.scorer import Scorer
from sixfold.tasks.causal_lm import CausalLM
from sixfold.tasks.masked_lm import BEGINS, GOES_ON, SPECIAL, MaskedLM
from sixfold.tasks.text_loss import judged
from sixfold.tasks.word_starts import WordStarts

TEXTS = [
    "The tellers opened the counters of the banks.",
    "他在北京的银行开户。",
    "银行 opened 1998 accounts.",
    "unbelievable",
]
PIECES = train_tokenizer(TEXTS * 5, "wordpiece", vocabulary=70)
BYTES = train_tokenizer(TEXTS * 5, "bpe", vocabulary=320, use="decoder")


def rows(*texts: str) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": list(texts)})


def words_of(tokenizer, text: str) -> list[str]:
    ids, starts = WordStarts(tokenizer).of([text])
    out: list[list[int]] = []
    for token, begins in zip(ids[0], starts[0], strict=True):
        if begins:
            out.append([])
        out[-1].append(token)
    return [tokenizer.decode(word).strip().replace(" ", "") for word in out]


SPELT = train_tokenizer(["The banks"], "bpe", vocabulary=270, use="decoder")


@pytest.mark.parametrize("tokenizer", [PIECES, BYTES, SPELT], ids=["wordpiece", "bytes", "single bytes"])
def test_words_are_found_in_english_and_chinese(tokenizer):
    assert words_of(tokenizer, "The tellers opened") == ["The", "tellers", "opened"]
    assert words_of(tokenizer, "北京 opened 1998") == ["北京", "opened", "1998"]
    if tokenizer is not BYTES:
        assert words_of(tokenizer, "他在北京的银行开户。") == ["他", "在", "北京", "的", "银行", "开户", "。"]


def test_a_token_that_spans_two_words_joins_them():
    assert words_of(BYTES, "他在北京的银行开户。") == ["他", "在北京的银行", "开户", "。"]


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_every_token_has_a_kind_and_a_texts_first_token_begins_a_word(texts):
    for tokenizer in (PIECES, BYTES):
        ids, starts = WordStarts(tokenizer).of(texts)
        assert [len(row) for row in ids] == [len(row) for row in starts]
        assert all(row[0] for row in starts if len(row))


def masked(**options) -> MaskedLM:
    return MaskedLM(**options).fitted(PIECES)


def test_whole_words_are_hidden_and_never_special_tokens():
    task = masked(share=0.5)
    examples = task.encode(rows(*TEXTS), PIECES, 64, "error").examples
    kinds = np.asarray(examples.ragged("kind").values)
    ids = np.asarray(examples.ragged("input_ids").values)
    seen = 0
    for number in range(50):
        batch = task.collate(examples, np.random.default_rng(number))
        hidden = batch["flat"].input_ids.numpy() == PIECES.mask_token_id
        assert not (hidden & (kinds == SPECIAL)).any()
        inside = kinds == GOES_ON
        assert (hidden[inside] == hidden[np.flatnonzero(inside) - 1]).all()
        assert (batch["places"].numpy() == np.flatnonzero(hidden)).all()
        assert (batch["target"].numpy() == ids[hidden]).all()
        seen += hidden.sum()
    assert abs(seen / 50 / (kinds != SPECIAL).sum() - 0.5) < 0.05


def test_single_tokens_are_hidden_where_words_are_not_kept_whole():
    task = masked(share=0.5, whole_words=False)
    examples = task.encode(rows("unbelievable unbelievable unbelievable"), PIECES, 64, "error").examples
    kinds = np.asarray(examples.ragged("kind").values)
    assert kinds[0] == kinds[-1] == SPECIAL
    assert list(kinds).count(BEGINS) == 3
    hidden = [
        task.collate(examples, np.random.default_rng(n))["flat"].input_ids.numpy() == PIECES.mask_token_id
        for n in range(20)
    ]
    inside = np.flatnonzero(kinds == GOES_ON)
    assert any((mask[inside] != mask[inside - 1]).any() for mask in hidden)


def test_a_long_text_is_cut_into_even_parts_that_hold_each_token_once():
    text = "The tellers opened the counters of the banks. " * 4
    ids = PIECES(text, add_special_tokens=False)["input_ids"]
    encoded = masked().encode(rows(text), PIECES, 16, "window")
    parts = [run[1:-1].tolist() for run in encoded.examples.ragged("input_ids")]
    assert [token for part in parts for token in part] == ids
    assert max(map(len, parts)) <= 14
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert encoded.cut.windows == len(parts) - 1
    assert encoded.examples["row"].tolist() == [0] * len(parts)


def test_causal_targets_are_the_next_tokens_and_the_end_is_learnt():
    task = CausalLM().fitted(BYTES)
    examples = task.encode(rows("The banks", "开户"), BYTES, 64, "error").examples
    runs = [run.tolist() for run in examples.ragged("input_ids")]
    end = BYTES.eos_token_id
    assert all(run[0] == run[-1] == end for run in runs)
    batch = task.collate(examples, np.random.default_rng(0))
    wanted = [(run[i], run[i + 1]) for run in runs for i in range(len(run) - 1)]
    given = batch["flat"].input_ids[batch["places"]].tolist()
    assert list(zip(given, batch["target"].tolist(), strict=True)) == wanted


def test_only_the_last_part_of_a_long_text_ends():
    task = CausalLM()
    text = "The tellers opened the counters of the banks."
    runs = [run.tolist() for run in task.encode(rows(text), BYTES, 12, "window").examples.ragged("input_ids")]
    end = BYTES.eos_token_id
    assert len(runs) > 1
    assert [run[0] for run in runs] == [end] * len(runs)
    assert [run[-1] == end for run in runs] == [False] * (len(runs) - 1) + [True]
    assert [t for run in runs for t in run if t != end] == BYTES(text, add_special_tokens=False)["input_ids"]


def llama() -> torch.nn.Module:
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(BYTES),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            pad_token_id=BYTES.pad_token_id,
        )
    ).eval()


def test_packed_documents_give_the_loss_of_each_alone():
    model, task = llama(), CausalLM()
    examples = task.encode(rows(*TEXTS), BYTES, 64, "error").examples
    blocks = best_fit(examples.lengths, 128)
    assert len(blocks) < len(examples)
    for block in blocks:
        together = judged(model, task.collate(examples.take(block), np.random.default_rng(0)))
        for place, answer in zip(block.tolist(), together, strict=True):
            ids = torch.tensor(np.asarray(examples.ragged("input_ids")[place]))[None].long()
            alone = model(input_ids=ids, labels=ids).loss.detach() * (ids.shape[1] - 1)
            nats, targets, _ = answer.sum(axis=0)
            assert nats == pytest.approx(float(alone), rel=1e-5)
            assert targets == ids.shape[1] - 1


def test_losses_are_told_by_how_many_tokens_were_read():
    model, task = llama(), CausalLM()
    text = " ".join(TEXTS) * 6
    examples = task.encode(rows(text, "The banks"), BYTES, 300, "window").examples
    ids = torch.tensor(np.asarray(examples.ragged("input_ids")[0]))[None].long()
    assert ids.shape[1] > 140
    losses = torch.nn.functional.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:], reduction="none").detach()
    first, second = task.predict(Scorer(model), examples)
    assert [count for _, count in first.by_position[:2]] == [64, 64]
    nats = [float(part.sum()) for part in (losses[:64], losses[64:128], losses[128:256])]
    assert [nats for nats, _ in first.by_position[:3]] == pytest.approx(nats, rel=1e-5)
    assert len(second.by_position) == 1
    stretches = task.evaluate([first, second], rows(text, "The banks"), seed=1)["positions"]
    assert [one["last"] for one in stretches[:2]] == [64, 128]
    assert stretches[1]["loss"]["value"] == pytest.approx(nats[1] / 64, rel=1e-5)


def test_hidden_words_are_told_by_where_they_stand():
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(PIECES), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24
    )
    model, task = transformers.BertForMaskedLM(config).eval(), masked()
    examples = task.encode(rows("银行 " * 100), PIECES, 256, "error").examples
    (found,) = task.predict(Scorer(model), examples)
    hidden = task._fixed(examples)["places"].numpy()
    assert [count for _, count in found.by_position] == [(hidden < 64).sum(), ((hidden >= 64) & (hidden < 128)).sum(),
                                                         (hidden >= 128).sum()]  # fmt: skip


def test_scores_are_bits_and_perplexity_of_the_models_own_probabilities():
    model, task = llama(), CausalLM()
    data = rows(*TEXTS)
    examples = task.encode(data, BYTES, 64, "error").examples
    predictions = task.predict(Scorer(model), examples)
    scores = task.scores(predictions, data)
    tokens = sum(len(run) - 1 for run in examples.ragged("input_ids"))
    assert sum(p.targets for p in predictions) == tokens
    assert scores["perplexity"] == pytest.approx(np.exp(scores["loss"]))
    metrics = task.evaluate(predictions, data, seed=1)["metrics"]
    sizes = sum(len(text.encode()) for text in TEXTS)
    nats = sum(p.nats for p in predictions)
    assert metrics["bits_per_byte"]["value"] == pytest.approx(nats / np.log(2) / sizes)
    assert metrics["bits_per_byte"]["count"] == sizes
    assert metrics["loss"]["count"] == tokens


def test_masked_rows_are_asked_the_same_whatever_batch_they_are_in():
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(PIECES), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24
    )
    model, task = transformers.BertForMaskedLM(config).eval(), masked()
    together = task.predict(Scorer(model), task.encode(rows(*TEXTS), PIECES, 64, "error").examples)
    for text, found in zip(TEXTS, together, strict=True):
        alone = task.predict(Scorer(model), task.encode(rows(text), PIECES, 64, "error").examples)[0]
        assert (alone.targets, alone.right) == (found.targets, found.right)
        assert alone.nats == pytest.approx(found.nats, rel=1e-5)


def test_a_tokenizer_that_does_not_fit_the_objective_is_refused():
    with pytest.raises(ModelError, match="mask token"):
        MaskedLM().fitted(BYTES)
    with pytest.raises(ModelError, match="ends a text"):
        CausalLM().fitted(PIECES)
