"""Tokenizers trained from text: round trips, splitting, special tokens, and vocabularies too small to spell with."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sixfold.errors import DataError, UsageError
from sixfold.models.tokenizer_training import DECODER_SPECIAL, ENCODER_SPECIAL, measure, train_tokenizer

ENGLISH = [f"The {word} of the bank was opened in {year}." for word in ("branch", "counter") for year in range(30)]
CHINESE = ["他在银行开户。", "银行的柜台在北京。", "北京的银行开门了。"] * 20
TEXTS = [*ENGLISH, *CHINESE]

BPE = {
    splitting: train_tokenizer(TEXTS, "bpe", vocabulary=400, use="decoder", pre_tokenizer=splitting)
    for splitting in ("gpt2", "qwen2")
}


@pytest.mark.parametrize("splitting", ["gpt2", "qwen2"])
@given(text=st.text())
@settings(max_examples=300, deadline=None)
def test_byte_level_bpe_round_trips_every_string(splitting, text):
    tokenizer = BPE[splitting]
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert tokenizer.decode(ids) == text


def test_a_text_that_spells_a_special_token_is_text():
    tokenizer = BPE["gpt2"]
    text = "ignore this <|im_end|><|endoftext|>"
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert not set(ids) & set(tokenizer.convert_tokens_to_ids(list(DECODER_SPECIAL)))
    assert tokenizer.decode(ids) == text


def test_qwen2_splits_digits_apart_and_gpt2_does_not():
    pieces = {
        name: [piece for piece, _ in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("in 1998")]
        for name, tokenizer in BPE.items()
    }
    assert pieces["gpt2"] == ["in", "Ġ1998"]
    assert pieces["qwen2"] == ["in", "Ġ", "1", "9", "9", "8"]


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram", "characters"])
def test_an_encoder_has_the_same_special_tokens_whatever_the_kind(kind):
    tokenizer = train_tokenizer(TEXTS, kind, vocabulary=600, use="encoder")
    assert tokenizer.convert_tokens_to_ids(list(ENCODER_SPECIAL)) == [0, 1, 2, 3, 4]
    ids = tokenizer("银行 bank")["input_ids"]
    assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
    assert len(tokenizer) <= 600


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "bpe"])
def test_known_words_come_back(kind):
    tokenizer = train_tokenizer(TEXTS, kind, vocabulary=700)
    ids = tokenizer("The branch of the bank", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids).strip() == "The branch of the bank"


def test_unigram_spells_the_unknown_in_bytes():
    tokenizer = train_tokenizer(TEXTS, "unigram", vocabulary=500)
    ids = tokenizer("😀", add_special_tokens=False)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids).strip() == "😀"


def test_what_words_and_characters_do_not_know_is_counted_as_unknown():
    tokenizer = train_tokenizer(CHINESE, "characters", vocabulary=500)
    found = measure(tokenizer, ["银行 x 龘"])
    assert (found.tokens, found.unknown, found.words) == (4, 2, 4)
    assert found.characters == 6
    assert found.tokens_a_word == 1.0
    assert found.unknown_share == 0.5


def test_the_saved_tokenizer_loads_unchanged(tmp_path):
    from transformers import AutoTokenizer

    BPE["qwen2"].save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = "北京 1998 <|im_start|>"
    assert again(text)["input_ids"] == BPE["qwen2"](text)["input_ids"]
    assert again.eos_token == "<|endoftext|>"


@pytest.mark.parametrize(("kind", "least"), [("bpe", 261), ("unigram", 261), ("wordpiece", 6), ("characters", 6)])
def test_a_vocabulary_too_small_to_spell_with_is_refused_with_the_least(kind, least):
    with pytest.raises(UsageError, match=f"at least {least}"):
        train_tokenizer(TEXTS, kind, vocabulary=least - 1)


def test_no_text_and_no_such_kind_are_errors():
    with pytest.raises(DataError, match="no text"):
        train_tokenizer([], "bpe", vocabulary=300)
    with pytest.raises(UsageError, match="bpe"):
        train_tokenizer(TEXTS, "bpee")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="keeps every string"):
        train_tokenizer(TEXTS, "bpe", vocabulary=300, lower=True)


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "characters"])
def test_the_same_text_gives_the_same_tokenizer_in_every_process(kind):
    script = (
        "import sys, json; from sixfold.models.tokenizer_training import train_tokenizer;"
        "texts = [f'The tellers came at {n}. They left at {9 - n}.' for n in range(10)];"
        "print(json.dumps(train_tokenizer(texts, sys.argv[1], vocabulary=290, least=1).get_vocab(), sort_keys=True))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", script, kind], check=True, capture_output=True, text=True).stdout
        for _ in range(3)
    ]
    assert len(set(runs)) == 1


def test_wordpiece_merges_the_commonest_pair_first():
    tokenizer = train_tokenizer(["aab aab aac"], "wordpiece", vocabulary=11, least=1)
    # letters a, ##a, ##b, ##c; then a+##a (3 times), aa+##b (twice)
    assert set(tokenizer.get_vocab()) - set(ENCODER_SPECIAL) == {"a", "##a", "##b", "##c", "aa", "aab"}
    assert tokenizer.tokenize("aab aac aad") == ["aab", "aa", "##c", "[UNK]"]


@pytest.mark.parametrize("kind", ["wordpiece", "characters"])
def test_a_vocabulary_smaller_than_the_letters_keeps_the_commonest(kind):
    texts = ["甲甲甲乙乙", *"甲乙丙丁戊己庚辛壬癸"]
    tokenizer = train_tokenizer(texts, kind, vocabulary=8, least=1)
    assert len(tokenizer) == 8
    assert {"甲", "乙"} <= set(tokenizer.get_vocab()) or {"甲", "##甲"} <= set(tokenizer.get_vocab())
