"""Near-duplicates are those that comparing every pair would find, in English and Chinese, in little memory."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sixfold.data.near_duplicates import SLOTS, banding, originals, shingles, similarity
from sixfold.errors import StorageError, UsageError


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path / "home"))


def found(texts: Sequence[str], threshold: float = 0.8, batch: int = 7) -> list[int]:
    batches = (texts[start : start + batch] for start in range(0, len(texts), batch))
    return originals(batches, lambda numbers: [texts[number] for number in numbers], len(texts), threshold).tolist()


def test_shingles_are_words_and_chinese_characters_without_case_and_marks() -> None:
    assert shingles("The bank's card, THE ２nd one!") == [
        "the bank s card the",
        "bank s card the 2nd",
        "s card the 2nd one",
    ]
    assert shingles("我在Apple买书了。") == ["我 在 apple 买 书", "在 apple 买 书 了"]
    assert shingles("买书。") == ["买 书"]
    assert shingles("?! …") == []


def test_similarity_is_shared_over_all() -> None:
    assert similarity({"a", "b", "c"}, {"b", "c", "d"}) == 0.5
    assert similarity({"a"}, set()) == similarity(set(), set()) == 0


@given(st.floats(0.5, 1))
def test_bands_find_a_pair_at_the_threshold_and_no_wider_ones_would(threshold: float) -> None:
    def chance(bands: int, width: int) -> float:
        return 1 - (1 - threshold**width) ** bands

    bands, width = banding(threshold)
    assert bands * width <= SLOTS
    assert chance(bands, width) >= 0.99
    assert width == SLOTS or chance(SLOTS // (width + 1), width + 1) < 0.99


@pytest.mark.parametrize("threshold", [0, 0.49, 1.01])
def test_a_threshold_out_of_bounds(threshold: float) -> None:
    with pytest.raises(UsageError, match="lies between"):
        found(["a"], threshold)


def test_a_text_with_a_word_changed_is_near_in_both_languages() -> None:
    english = " ".join(f"word{number}" for number in range(60))
    chinese = "".join(chr(0x4E00 + number) for number in range(60))
    texts = [english, chinese, "something else", english.replace("word50", "other"), chinese[:55], chinese[30:]]
    assert found(texts) == [0, 1, 2, 0, 1, 5]


def test_marks_and_case_make_no_other_text_but_texts_without_words_are_never_alike() -> None:
    assert found(["Very good!", "very  good", "!!!", "…", "!!!", "very bad"]) == [0, 0, 2, 3, 4, 5]


def versions(draw: random.Random, texts: int) -> list[str]:
    """Texts of 20 to 60 words or characters, each with some later copies that are more and more changed."""
    made = []
    for number in range(texts):
        units = [f"{number}x{place}" if number % 2 else chr(0x4E00 + draw.randrange(3000)) for place in range(60)]
        units = units[: draw.randint(20, 60)]
        for _ in range(draw.randint(1, 5)):
            made.append((" " if number % 2 else "").join(units))
            units[draw.randrange(len(units))] = draw.choice(["new", "新"])
            units = units[: len(units) - draw.randint(0, 2)]
    draw.shuffle(made)
    return made


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
def test_they_are_what_comparing_every_pair_finds(threshold: float) -> None:
    texts = versions(random.Random(13), 60)
    runs = [set(shingles(text)) for text in texts]
    groups = list(range(len(texts)))
    for one, other in combinations(range(len(texts)), 2):
        if similarity(runs[one], runs[other]) >= threshold:
            first, second = sorted((groups[one], groups[other]))
            groups = [first if group == second else group for group in groups]
    assert groups != list(range(len(texts)))
    assert found(texts, threshold) == groups


def test_a_form_that_many_texts_share_is_not_compared_pair_by_pair() -> None:
    form = " ".join(f"w{number}" for number in range(95))
    texts = [f"{form} {number} a b c d" for number in range(300)]
    asked = 0

    def fetch(numbers: np.ndarray) -> list[str]:
        nonlocal asked
        asked += len(numbers)
        return [texts[number] for number in numbers]

    assert originals([texts], fetch, len(texts), 0.95).tolist() == list(range(300))
    assert 300 < asked < 300 * 299 // 2


def test_memory_is_a_few_numbers_a_text() -> None:
    def batches(count: int) -> Iterator[list[str]]:
        for start in range(0, count, 10):
            yield [f"{number} a b {number % 500} c d" for number in range(start, start + 10)]

    most = []
    for count in (200, 1200):
        tracemalloc.start()
        originals(batches(count), lambda numbers: [""] * len(numbers), count, 0.8)
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert most[1] - most[0] < 70 * 1000


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(StorageError):
        found(["a"])
