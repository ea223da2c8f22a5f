"""Encoded parts go to disk one by one and come back mapped, equal to what encoding all at once gives."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import byte_tokenizer

from sixfold.data.examples import Examples, Ragged
from sixfold.data.token_store import write_examples
from sixfold.errors import DataError, StorageError
from sixfold.tasks.causal_lm import CausalLM


def columns(examples: Examples) -> dict[str, list]:
    return {name: [np.asarray(one).tolist() for one in column] for name, column in examples.columns.items()}


def test_parts_that_are_encoded_one_by_one_equal_encoding_all_at_once(tmp_path: Path) -> None:
    texts = ["one", "", "a text that is cut in several pieces", "银行", "x" * 40, "the last"]
    tokenizer = byte_tokenizer()

    def encoded(some: list[str]) -> Examples:
        return CausalLM().encode(datasets.Dataset.from_dict({"text": some}), tokenizer, 12, "window").examples

    stored = write_examples((encoded(texts[at : at + 2]) for at in range(0, 6, 2)), tmp_path / "train")
    assert columns(stored) == columns(encoded(texts))


@given(st.lists(st.lists(st.lists(st.integers(0, 299), max_size=4), min_size=1, max_size=4), max_size=5))
@settings(max_examples=50, deadline=None)
def test_any_parts_come_back_with_their_rows_counted_on(tmp_path_factory, parts: list[list[list[int]]]) -> None:
    folder = tmp_path_factory.mktemp("store") / "tokens"
    given_ = [Examples({"input_ids": Ragged.of(part), "row": np.arange(len(part))}) for part in parts]
    if not parts:
        with pytest.raises(DataError, match="nothing to write"):
            write_examples(given_, folder)
        return
    stored = write_examples(given_, folder)
    whole = [run for part in parts for run in part]
    assert columns(stored) == {"input_ids": whole, "row": list(range(len(whole)))}


@pytest.mark.parametrize(
    ("vocabulary", "kind"), [(256, "uint8"), (257, "uint16"), (65536, "uint16"), (65537, "uint32")]
)
def test_tokens_take_the_smallest_type_that_holds_the_vocabulary(tmp_path: Path, vocabulary: int, kind: str) -> None:
    part = Examples({"input_ids": Ragged.of([[0, 255]]), "kind": Ragged.of([[1, 2]], dtype=np.uint8)})
    stored = write_examples([part], tmp_path / "tokens", vocabulary=vocabulary)
    assert stored.ragged("input_ids").values.dtype == kind
    assert stored.ragged("kind").values.dtype == "uint8"


def test_a_token_beyond_the_vocabulary_is_not_wrapped_around(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="uint8 does not hold"):
        write_examples([Examples({"input_ids": Ragged.of([[256]])})], tmp_path / "tokens", vocabulary=256)
    assert not list(tmp_path.iterdir())


def many(parts: int) -> Iterator[Examples]:
    for number in range(parts):
        values = np.full(50_000, number, dtype=np.int32)
        yield Examples({"input_ids": Ragged(values, np.arange(0, 50_001, 100)), "row": np.arange(500)})


def test_memory_does_not_grow_with_the_parts(tmp_path: Path) -> None:
    most = []
    for parts in (4, 40):
        tracemalloc.start()
        stored = write_examples(many(parts), tmp_path / "tokens")
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(stored.ragged("input_ids").values) == 50_000 * parts
    assert most[1] < 1.2 * most[0]
    for array in (stored.ragged("input_ids").values, stored.dense("row")):
        assert isinstance(array, np.memmap)
    assert stored.dense("row")[-1] == 40 * 500 - 1
    assert stored.ragged("input_ids")[-1 + len(stored)].tolist() == [39] * 100


def test_what_stood_there_stays_until_the_new_store_is_whole(tmp_path: Path) -> None:
    write_examples(many(1), tmp_path / "tokens")

    def broken() -> Iterator[Examples]:
        yield from many(2)
        raise DataError("a text cannot be encoded")

    with pytest.raises(DataError, match="cannot be encoded"):
        write_examples(broken(), tmp_path / "tokens")
    assert len(Examples.load(tmp_path / "tokens")) == 500
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        write_examples(many(1), tmp_path / "file" / "tokens")
