"""Entities: read, count and decode tags; held against seqeval and conlleval's rules."""

from __future__ import annotations

import itertools
import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import (
    accuracy_score,
    f1_score,
    precision_score,
    recall_score,
)
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support

from sixfold.errors import DataError, ModelError, UsageError
from sixfold.metrics.entities import (
    decode_constrained,
    evaluate,
    scheme,
    spans,
    tags_of,
    transitions,
    viterbi,
    viterbi_batch,
)

BIOES_X = ["O", "B-X", "I-X", "E-X", "S-X"]
BIO = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
BIOES = ["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in ("PER", "LOC"))]


def paired(tags: list[str]) -> st.SearchStrategy:
    sentence = st.lists(st.tuples(st.sampled_from(tags), st.sampled_from(tags)), min_size=1, max_size=9)
    return st.lists(sentence, min_size=1, max_size=6)


def unzip(pairs: list) -> tuple[list[list[str]], list[list[str]]]:
    return [[a for a, _ in sentence] for sentence in pairs], [[b for _, b in sentence] for sentence in pairs]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-PER I-PER O", [("PER", 0, 2)]),
        ("I-PER I-PER B-PER O", [("PER", 0, 2), ("PER", 2, 3)]),
        ("I-PER I-LOC", [("PER", 0, 1), ("LOC", 1, 2)]),
        ("B-PER I-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 3)]),
        ("O I-PER O I-PER", [("PER", 1, 2), ("PER", 3, 4)]),
        ("B-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("B-PER I-PER E-PER S-LOC", [("PER", 0, 3), ("LOC", 3, 4)]),
        ("B-PER L-PER U-LOC", [("PER", 0, 2), ("LOC", 2, 3)]),
        ("B-PER M-PER E-PER", [("PER", 0, 3)]),
        ("S-PER I-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("E-PER E-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("B-a-b I-a-b", [("a-b", 0, 2)]),
        ("B I O", [("_", 0, 2)]),
        ("O O", []),
        ("", []),
    ],
)
def test_entities_are_read_from_every_scheme(tags: str, expected: list) -> None:
    assert spans(tags.split()) == expected


@pytest.mark.parametrize("tag", ["PER", "b-PER", "B_PER", "", "X-PER", "<script>"])
def test_what_is_no_tag_is_refused_with_a_hint(tag: str) -> None:
    with pytest.raises(DataError, match="not an entity tag") as caught:
        spans(["O", tag])
    assert "B-PER" in str(caught.value.hint)


@given(st.lists(st.sampled_from(BIOES), max_size=12))
def test_entities_are_those_of_seqeval(tags: list[str]) -> None:
    assert spans(tags) == [(kind, start, end + 1) for kind, start, end in get_entities(tags)]


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([BIO, BIOES]).flatmap(paired))
def test_scores_are_those_of_seqeval(pairs: list) -> None:
    gold, predicted = unzip(pairs)
    result = evaluate(gold, predicted, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert result.f1.value == pytest.approx(f1_score(gold, predicted))
        assert np.nan_to_num(result.precision.value) == pytest.approx(precision_score(gold, predicted))
        assert np.nan_to_num(result.recall.value) == pytest.approx(recall_score(gold, predicted))
        _, _, each, support = precision_recall_fscore_support(gold, predicted, average=None)
    assert [score.f1.value for score in result.per_type] == pytest.approx(list(each))
    assert [score.support for score in result.per_type] == list(support)
    assert result.token_accuracy.value == pytest.approx(accuracy_score(gold, predicted))


def conlleval(gold: list[list[str]], predicted: list[list[str]]) -> tuple[int, int, int]:
    """(correct, found, gold) chunks, counted line by line as conlleval.pl does (its rules for B, I and O)."""

    def ended(was: str, tag: str, was_type: str, kind: str) -> bool:
        pairs = {("B", "B"), ("B", "O"), ("I", "B"), ("I", "O")}
        return (was, tag) in pairs or (was not in "O." and was_type != kind)

    def started(was: str, tag: str, was_type: str, kind: str) -> bool:
        pairs = {("B", "B"), ("I", "B"), ("O", "B"), ("O", "I")}
        return (was, tag) in pairs or (tag not in "O." and was_type != kind)

    correct = found = known = 0
    inside = False
    last_gold, last_guess = ("O", ""), ("O", "")
    boundary = ("O", "O")
    for gold_tag, guess_tag in [
        pair for a, b in zip(gold, predicted, strict=True) for pair in [*zip(a, b, strict=True), boundary]
    ]:
        here, guess = (
            (tag.split("-", 1)[0], tag.split("-", 1)[1] if "-" in tag else "") for tag in (gold_tag, guess_tag)
        )
        gold_ended = ended(last_gold[0], here[0], last_gold[1], here[1])
        guess_ended = ended(last_guess[0], guess[0], last_guess[1], guess[1])
        if inside:
            if gold_ended and guess_ended and last_gold[1] == last_guess[1]:
                inside = False
                correct += 1
            elif gold_ended != guess_ended or here[1] != guess[1]:
                inside = False
        gold_started = started(last_gold[0], here[0], last_gold[1], here[1])
        guess_started = started(last_guess[0], guess[0], last_guess[1], guess[1])
        if gold_started and guess_started and here[1] == guess[1]:
            inside = True
        known += gold_started
        found += guess_started
        last_gold, last_guess = here, guess
    return correct, found, known


@settings(max_examples=200, deadline=None)
@given(paired(BIO))
def test_counts_are_those_of_conlleval(pairs: list) -> None:
    gold, predicted = unzip(pairs)
    result = evaluate(gold, predicted, seed=0)
    right = sum(score.right for score in result.per_type)
    found = sum(score.predicted for score in result.per_type)
    known = sum(score.support for score in result.per_type)
    assert (right, found, known) == conlleval(gold, predicted)
    assert (right, found, known) == tuple(sum(column) for column in zip(*result.sentences, strict=True))


def test_token_accuracy_stands_beside_the_accuracy_of_always_o() -> None:
    result = evaluate([["O", "O", "O", "B-PER"]], [["O", "O", "O", "O"]], seed=0)
    assert result.token_accuracy.value == result.outside_baseline.value == 0.75
    assert result.f1.value == 0.0
    assert result.precision.count == 0
    assert result.words == result.token_accuracy.count == 4


def test_the_confusion_tells_wrong_types_from_missed_and_spurious_entities() -> None:
    gold = [["B-PER", "O", "B-LOC", "I-LOC", "O"]]
    predicted = [["B-LOC", "O", "B-LOC", "O", "B-PER"]]
    result = evaluate(gold, predicted, seed=0)
    assert result.labels == ("LOC", "PER")
    # PER taken for LOC; LOC of two words missed; a shorter LOC and a PER that are not there.
    assert result.confusion == ((0, 0, 1), (1, 0, 0), (1, 1, 0))


def test_sentences_without_entities_score_0_without_a_complaint() -> None:
    result = evaluate([["O"]], [["O"]], seed=0)
    assert result.f1.value == 0.0
    assert result.token_accuracy.value == 1.0
    assert result.sentences == ((0, 0, 0),)
    json.dumps(result.to_dict(), allow_nan=False)


def test_tags_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(DataError, match="do not pair up"):
        evaluate([["O"]], [], seed=0)
    with pytest.raises(DataError, match="another number") as caught:
        evaluate([["O"], ["O", "O"]], [["O"], ["O"]], seed=0)
    assert caught.value.where == "sentence 2"
    with pytest.raises(DataError, match="no words"):
        evaluate([], [], seed=0)


@pytest.mark.parametrize(
    ("sentences", "name"),
    [
        (["O O", ""], "O"),
        (["I-PER I-PER O"], "IO"),
        (["I-PER B-PER I-LOC"], "IOB1"),
        (["B-PER I-PER O", "B-LOC"], "BIO"),
        (["I-PER O B-LOC"], "mixed"),
        (["B-PER E-PER S-LOC"], "BIOES"),
        (["B-PER L-PER U-LOC"], "BILOU"),
        (["B-PER L-PER S-LOC"], "mixed"),
        (["I-PER E-PER"], "IOE"),
    ],
)
def test_the_scheme_is_read_off_the_tags(sentences: list[str], name: str) -> None:
    assert scheme(sentence.split() for sentence in sentences) == name


@given(st.lists(st.sampled_from(BIOES), max_size=12), st.sampled_from(["BIO", "BIOES", "BILOU"]))
def test_entities_written_in_another_scheme_are_the_same_entities(tags: list[str], other: str) -> None:
    written = tags_of(spans(tags), len(tags), other)
    assert spans(written) == spans(tags)
    assert scheme([written]) in {other, "O", "BIO", "BIOES"}


def test_a_scheme_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(UsageError, match="IOB1"):
        tags_of([], 1, "IOB1")


def test_in_bio_an_i_follows_only_its_own_b_or_i() -> None:
    start, allowed, end = transitions(BIO)
    assert start.tolist() == [True, True, False, True, False]
    assert end.all()
    assert allowed[:, BIO.index("I-PER")].tolist() == [False, True, True, False, False]
    assert allowed[:, BIO.index("B-LOC")].all()


def test_in_bioes_an_open_entity_must_be_closed() -> None:
    tags = ["O", "B-X", "I-X", "E-X", "S-X"]
    start, allowed, end = transitions(tags)
    assert start.tolist() == [True, True, False, False, True]
    assert end.tolist() == [True, False, False, True, True]
    assert allowed.astype(int).tolist() == [
        [1, 1, 0, 0, 1],
        [0, 0, 1, 1, 0],
        [0, 0, 1, 1, 0],
        [1, 1, 0, 0, 1],
        [1, 1, 0, 0, 1],
    ]


def test_in_iob1_and_io_anything_may_follow_anything() -> None:
    for tags in (["O", "I-PER", "I-LOC"], ["O", "I-PER", "I-LOC", "B-LOC"]):
        start, allowed, end = transitions(tags)
        assert start.all()
        assert allowed.all()
        assert end.all()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([BIO, BIOES[:5], BIOES_X]), st.integers(1, 4), st.integers(0, 2**32))
def test_the_decoded_sequence_is_legal_and_as_good_as_any(tags: list[str], words: int, seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=(words, len(tags)))
    start, allowed, end = transitions(tags)

    def legal(path: tuple[int, ...]) -> bool:
        steps = all(allowed[a, b] for a, b in itertools.pairwise(path))
        return bool(start[path[0]] and end[path[-1]] and steps)

    def total(path: tuple[int, ...]) -> float:
        return float(sum(scores[word, tag] for word, tag in enumerate(path)))

    best = tuple(viterbi(scores, start, allowed, end).tolist())
    assert legal(best)
    every = [path for path in itertools.product(range(len(tags)), repeat=words) if legal(path)]
    assert total(best) == pytest.approx(max(total(path) for path in every))


def test_sentences_decoded_together_come_out_as_they_do_alone() -> None:
    random = np.random.default_rng(0)
    scores = [random.normal(size=(words, 5)) for words in (3, 0, 7, 1, 5)]
    together = decode_constrained(scores, BIO)
    assert together == [decode_constrained([one], BIO)[0] for one in scores]
    assert [len(tags) for tags in together] == [3, 0, 7, 1, 5]


def test_what_lies_past_a_sentence_is_not_read() -> None:
    scores = np.zeros((1, 3, 5))
    scores[0, 0, 1] = 1.0
    scores[0, 1:] = np.nan
    assert viterbi_batch(scores, np.array([1]), *transitions(BIO)).tolist() == [[1, 0, 0]]


def test_scores_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ModelError, match="not numbers"):
        decode_constrained([np.full((2, 5), np.nan)], BIO)


def test_tags_without_a_legal_sequence_are_refused() -> None:
    with pytest.raises(ModelError, match="no legal sequence"):
        decode_constrained([np.zeros((1, 2))], ["B-X", "E-X"])
