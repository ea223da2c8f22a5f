"""Masked-word transformations: what is asked of the model, and what its answers become. No model is needed."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny import WORDS, byte_tokenizer, wordpiece_vocabulary
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import BertTokenizer, PreTrainedTokenizerFast

from sixfold.errors import ModelError, UsageError
from sixfold.models.scratch import character_tokenizer
from sixfold.models.tokenizer_training import train_tokenizer
from sixfold.perturb import Best, Prompts, Sentence
from sixfold.perturb.masked import CONTEXTUAL, MaskedInsert, MaskedReplace, bae_replace, best_sums, contextual
from sixfold.perturb.pieces import Pieces

PIECES = [*wordpiece_vocabulary(chinese=True), "[unused]"]
IDS = {piece: place for place, piece in enumerate(PIECES)}


@dataclass(frozen=True)
class Frame:
    before: tuple[int, ...] = (IDS["[CLS]"],)
    after: tuple[int, ...] = (IDS["[SEP]"],)


FRAME = Frame()


@pytest.fixture(scope="module")
def pieces() -> Pieces:
    return Pieces(BertTokenizer(vocab=IDS, model_max_length=64))


def spelt(rows: Prompts) -> list[str]:
    return [" ".join(PIECES[token] for token in row) for row in rows.ids]


def answer(*places: list[str]) -> Best:
    """The best tokens of each place, each half as likely as the one before it."""
    width = max(map(len, places))
    ids = [[IDS[piece] for piece in place] + [IDS["[PAD]"]] * (width - len(place)) for place in places]
    scores = [[-math.log(2) * rank for rank in range(width)] for _ in places]
    return Best(np.array(ids), np.array(scores))


FLOATS = st.floats(-30, 0, width=32)


@given(st.lists(st.lists(FLOATS, min_size=1, max_size=5), min_size=1, max_size=4))
@example([[0.0, -1.0], [0.0, -1.0], [0.0, -1.0]])
@example([[-math.inf], [0.0, -math.inf]])
@settings(max_examples=60, deadline=None)
def test_the_best_sums_come_in_order_every_combination_once(scores: list[list[float]]) -> None:
    ranked = [sorted(one, reverse=True) for one in scores]

    def total(taken: tuple[int, ...]) -> float:
        return sum(one[place] for one, place in zip(ranked, taken, strict=True))

    every = list(itertools.product(*(range(len(one)) for one in ranked)))
    found = list(best_sums(ranked))
    assert sorted(found) == every
    assert [total(taken) for taken in found] == sorted(map(total, every), reverse=True)


def test_where_one_list_is_empty_there_is_no_combination() -> None:
    assert list(best_sums([[0.0], []])) == []


def test_the_best_of_many_lists_need_not_be_all_computed() -> None:
    many = [np.linspace(0, -1, 1000)] * 12
    assert next(best_sums(many)) == (0,) * 12


def test_the_text_as_it_stands_is_one_row_for_all_its_words(pieces: Pieces) -> None:
    asked = MaskedReplace(pieces, FRAME, 64).prompts(Sentence.of("The bad cats, 3!"), [0, 1, 2, 3])
    assert spelt(asked) == ["[CLS] the bad cat ##s , 3 ! [SEP]"]
    assert [places.tolist() for places in asked.places] == [[1, 2, 3, 4]]
    assert asked.ids[0].dtype == np.int32
    assert asked.places[0].dtype == np.int64


def test_a_hidden_word_is_one_mask_and_a_row_of_its_own(pieces: Pieces) -> None:
    asked = bae_replace(pieces, FRAME, 64).prompts(Sentence.of("the cats run"), [1, 2])
    assert spelt(asked) == ["[CLS] the [MASK] run [SEP]", "[CLS] the cat ##s [MASK] [SEP]"]
    assert [places.tolist() for places in asked.places] == [[2], [4]]


def test_of_a_hidden_chinese_word_every_character_is_one_mask(pieces: Pieces) -> None:
    sentence = Sentence.of("我在北京")
    assert sentence.words() == ["我", "在", "北京"]
    asked = bae_replace(pieces, FRAME, 64).prompts(sentence, [0, 2])
    assert spelt(asked) == ["[CLS] [MASK] 在 北 京 [SEP]", "[CLS] 我 在 [MASK] [MASK] [SEP]"]
    assert [places.tolist() for places in asked.places] == [[1], [3, 4]]


def test_a_mask_comes_in_behind_the_word_or_before_it(pieces: Pieces) -> None:
    sentence = Sentence.of("the cats run")
    assert spelt(MaskedInsert(pieces, FRAME, 64).prompts(sentence, [1])) == ["[CLS] the cat ##s [MASK] run [SEP]"]
    before = MaskedInsert(pieces, FRAME, 64, before=True).prompts(sentence, [1, 0])
    assert spelt(before) == ["[CLS] the [MASK] cat ##s run [SEP]", "[CLS] [MASK] the cat ##s run [SEP]"]


def test_a_word_becomes_the_likeliest_whole_words_but_not_itself(pieces: Pieces) -> None:
    sentence = Sentence.of("a Bad film")
    best = answer(["bad", "##s", "good", "[SEP]", "great", ",", "3", "书", "[unused]", "best"])
    assert MaskedReplace(pieces, FRAME, 64).candidates(sentence, [1], [best]) == [["Good", "Great", "Best"]]
    assert MaskedReplace(pieces, FRAME, 64, most=2).candidates(sentence, [1], [best]) == [["Good", "Great"]]
    assert bae_replace(pieces, FRAME, 64).candidates(sentence, [1], [best]) == [["Good", "Great", "Best"]]


def test_a_word_of_several_pieces_becomes_the_best_combinations_that_are_words(pieces: Pieces) -> None:
    best = answer(["cat", "##s", "play", "run"], ["##s", "##ing", "dog", "##y"])
    found = MaskedReplace(pieces, FRAME, 64).candidates(Sentence.of("cats"), [0], [best])
    # "cats" is the word itself; "plays" and "runs" are pieces of their own, so no tokenizer gives "run ##s"
    assert sorted(found[0]) == ["cating", "caty", "playing", "playy", "runing", "runy"]
    assert found[0][0] == "cating"
    assert found[0][-1] == "runy"


def test_the_order_of_combinations_is_that_of_their_probabilities(pieces: Pieces) -> None:
    best = Best(
        np.array([[IDS["dog"], IDS["cat"]], [IDS["##y"], IDS["##ing"]]]), np.array([[-0.1, -2.0], [-0.2, -0.5]])
    )
    found = MaskedReplace(pieces, FRAME, 64).candidates(Sentence.of("cats"), [0], [best])
    assert found == [["dogy", "doging", "caty", "cating"]]


def test_words_in_one_row_read_their_own_places(pieces: Pieces) -> None:
    sentence = Sentence.of("bad cats run")
    asked = MaskedReplace(pieces, FRAME, 64)
    best = answer(["good"], ["dog"], ["##y"], ["play"])
    assert asked.candidates(sentence, [0, 1, 2], [best]) == [["good"], ["dogy"], ["play"]]
    assert [places.tolist() for places in asked.prompts(sentence, [2, 0]).places] == [[4, 1]]
    assert asked.candidates(sentence, [2, 0], [answer(["play"], ["good"])]) == [["play"], ["good"]]


def test_a_chinese_word_becomes_words_of_as_many_characters(pieces: Pieces) -> None:
    sentence = Sentence.of("我在北京")
    best = answer(["北", "上", "##s", "city"], ["海", "京", "。"])
    # 北海 first; 上海 and 北京 are next, and the word itself is no candidate
    assert bae_replace(pieces, FRAME, 64).candidates(sentence, [2], [best]) == [["北海", "上海", "上京"]]


def test_an_inserted_word_stands_beside_the_word_and_is_not_one_that_is_there(pieces: Pieces) -> None:
    sentence = Sentence.of("the bad film")
    best = answer(["film", "bad", "old", "##s", "the", ",", "好", "new"])
    assert MaskedInsert(pieces, FRAME, 64).candidates(sentence, [1], [best]) == [["bad old", "bad new"]]
    before = MaskedInsert(pieces, FRAME, 64, before=True)
    assert before.candidates(sentence, [1], [best]) == [["old bad", "new bad"]]
    assert sentence.replaced(1, "old bad") == "the old bad film"
    chinese = Sentence.of("我在")
    assert MaskedInsert(pieces, FRAME, 64).candidates(chinese, [0], [answer(["很", "good", "在", "大"])]) == [
        ["我很", "我大"]
    ]


def test_numbers_and_other_scripts_ask_nothing(pieces: Pieces) -> None:
    sentence = Sentence.of("3 мир हिन्दी")
    for one in (MaskedReplace(pieces, FRAME, 64), bae_replace(pieces, FRAME, 64), MaskedInsert(pieces, FRAME, 64)):
        assert len(one.prompts(sentence, range(len(sentence)))) == 0
        assert one.candidates(sentence, range(len(sentence)), []) == [[], [], []]
        assert len(one.prompts(Sentence.of(""), [])) == 0


def test_of_a_long_text_the_rows_hold_the_words_and_are_never_too_long(pieces: Pieces) -> None:
    cycles = ["the cats run " + " ".join(pair) for pair in itertools.combinations(WORDS[:12], 2)]
    sentence = Sentence.of(" ".join(cycles))
    positions = range(len(sentence))
    for one in (MaskedReplace(pieces, FRAME, 18), bae_replace(pieces, FRAME, 18), MaskedInsert(pieces, FRAME, 18)):
        asked = one.prompts(sentence, positions)
        assert max(map(len, asked.ids)) == 18
        assert all(row[0] == IDS["[CLS]"] and row[-1] == IDS["[SEP]"] for row in asked.ids)
        assert all(places.min() > 0 and places.max() < 17 for places in asked.places)
    asked = MaskedReplace(pieces, FRAME, 18).prompts(sentence, positions)
    tokens = pieces.encoded(sentence.text)[0]
    # of 16 tokens a row, beginnings lie 4 apart; the last row ends with the text
    assert len(asked) == 1 + math.ceil((len(tokens) - 16) / 4)
    assert np.concatenate([row[places] for row, places in zip(asked.ids, asked.places, strict=True)]).tolist() == tokens


def test_a_word_longer_than_the_room_asks_nothing(pieces: Pieces) -> None:
    assert len(MaskedReplace(pieces, FRAME, 8).prompts(Sentence.of("zzzzzzzzzz"), [0])) == 0


def test_text_that_spells_a_special_token_is_text(pieces: Pieces) -> None:
    asked = MaskedReplace(pieces, FRAME, 64).prompts(Sentence.of("[MASK] run"), [1])
    assert IDS["[MASK]"] not in asked.ids[0].tolist()


def test_tokens_that_keep_the_blank_before_them_give_whole_words() -> None:
    tokenizer = train_tokenizer(["the cat sat with a very good dogs"] * 20, "bpe", vocabulary=400)
    ids = tokenizer.convert_tokens_to_ids(["Ġvery", "the", "Ġdogs", "Ġgood", "s"])
    best = Best(np.array([ids]), -np.arange(5.0)[None])
    asked = bae_replace(Pieces(tokenizer), Frame((), ()), 64)
    sentence = Sentence.of("the good cat")
    assert tokenizer.convert_ids_to_tokens(asked.prompts(sentence, [1]).ids[0].tolist()) == ["the", "[MASK]", "Ġcat"]
    assert asked.candidates(sentence, [1], [best]) == [["very", "dogs"]]
    # at the beginning there is no blank
    assert asked.candidates(sentence, [0], [best]) == [["s"]]


def test_pieces_of_a_unigram_give_whole_words() -> None:
    vocabulary = [("[UNK]", 0.0), ("[MASK]", -9.0), *((piece, -2.0) for piece in ("▁a", "▁cat", "▁dog", "▁film", "s"))]
    backend = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", mask_token="[MASK]")
    asked = bae_replace(Pieces(tokenizer), Frame((), ()), 64)
    best = Best(np.array([tokenizer.convert_tokens_to_ids(["s", "▁cat", "▁dog"])]), -np.arange(3.0)[None])
    assert asked.candidates(Sentence.of("a film"), [1], [best]) == [["cat", "dog"]]
    assert asked.candidates(Sentence.of("films"), [0], [best]) == [["cat", "dog"]]


def test_one_token_a_character_works_for_chinese() -> None:
    tokenizer = character_tokenizer(["我在北京的书店", "上海的书"], least=1)
    sentence = Sentence.of("我在北京")
    one = contextual("bae-replace", tokenizer, Frame((), ()), 64)
    asked = one.prompts(sentence, [2])
    assert asked.ids[0].tolist()[-2:] == [tokenizer.mask_token_id] * 2
    ids = np.array([tokenizer.convert_tokens_to_ids(["上", "北"]), tokenizer.convert_tokens_to_ids(["海", "京"])])
    best = Best(ids, np.array([[-0.1, -0.2], [-0.1, -3.0]]))
    assert one.candidates(sentence, [2], [best]) == [["上海", "北海", "上京"]]


def test_a_token_that_reaches_beyond_the_word_leaves_it_as_it_is() -> None:
    tokenizer = train_tokenizer(["我在北京上海大学"] * 50, "bpe", vocabulary=330)
    sentence = Sentence.of("我在北京上海大学")
    assert len(sentence) > 2
    assert len(tokenizer.tokenize(sentence.text)) == 1
    assert len(MaskedReplace(Pieces(tokenizer), Frame((), ()), 64).prompts(sentence, range(len(sentence)))) == 0


def test_a_tokenizer_that_was_saved_with_padding_gives_whole_words_too() -> None:
    tokenizer = BertTokenizer(vocab=IDS, model_max_length=64)
    tokenizer.backend_tokenizer.enable_padding(length=16)
    assert Pieces(tokenizer).whole([IDS["good"]]) == "good"
    tokenizer.backend_tokenizer.enable_padding(length=16, direction="left")
    assert Pieces(tokenizer).whole([IDS["dog"], IDS["##y"]]) == "dogy"


def test_names_are_looked_up_and_a_model_without_a_mask_is_refused(tmp_path: Path) -> None:
    tokenizer = BertTokenizer(vocab=IDS, model_max_length=64)
    assert [contextual(name, tokenizer, FRAME, 64).name for name in CONTEXTUAL] == list(CONTEXTUAL)
    with pytest.raises(UsageError) as told:
        contextual("bert-atack", tokenizer, FRAME, 64)
    assert told.value.nearest == "bert-attack"
    with pytest.raises(ModelError, match="no mask token"):
        contextual("bae-insert", byte_tokenizer(), FRAME, 64)


@given(st.text(st.one_of(st.sampled_from("the bad cats ,我在北京'-é"), st.characters()), max_size=30))
@example(text="\ud800")
@settings(max_examples=80, deadline=None)
def test_any_text_can_be_asked_about_and_any_answer_read(pieces: Pieces, text: str) -> None:
    sentence = Sentence.of(text)
    positions = range(len(sentence))
    for one in (MaskedReplace(pieces, FRAME, 16), bae_replace(pieces, FRAME, 16), MaskedInsert(pieces, FRAME, 16)):
        asked = one.prompts(sentence, positions)
        best = [
            Best(np.tile(np.arange(40, 60), (len(places), 1)), np.tile(-np.arange(20.0), (len(places), 1)))
            for places in asked.places
        ]
        found = one.candidates(sentence, positions, best)
        assert len(found) == len(sentence)
        for position, candidates in zip(positions, found, strict=True):
            assert len(set(candidates)) == len(candidates)
            assert sentence.word(position) not in candidates
