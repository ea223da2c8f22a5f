"""Names by a checkpoint: sentence by sentence, merged with what patterns find."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_runs import recipe_of, write_conll
from tuned import classifier

from sixfold.errors import ModelError, UsageError
from sixfold.recipe import parse, run
from sixfold.safety import StreamMasker, find, mask
from sixfold.safety.entity import Entity
from sixfold.safety.find import merged
from sixfold.safety.names import NameFinder
from sixfold.safety.sentences import LONGEST_SENTENCE, sentences_in

pytestmark = pytest.mark.usefixtures("own_home")

TEXT = "i1 love new york dog. i2 love new york dog, 13800138000! i3 love city dog"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    folder = tmp_path_factory.mktemp("names")
    source = write_conll(folder / "a.conll", 120)
    train = {"epochs": 12, "learning_rate": 1e-2}
    return run(parse(recipe_of(source, base, task="entities", train=train)), runs=folder / "runs").checkpoint


@pytest.fixture(scope="module")
def names(checkpoint: Path) -> NameFinder:
    return NameFinder.load(checkpoint)


def test_names_and_patterns_are_found_together(names: NameFinder) -> None:
    found = [(TEXT[one.start : one.end], one.type) for one in find(TEXT, names=names)]
    assert ("new york", "place") in found
    assert ("13800138000", "phone") in found
    assert "LOC by the checkpoint" in next(one.reason for one in find(TEXT, names=names) if one.type == "place")
    assert find(TEXT, names=names, types=["phone"]) == find(TEXT, types=["phone"])


def test_a_stream_finds_the_same_names(names: NameFinder) -> None:
    whole = mask(TEXT, names=names).text
    assert "[PLACE]" in whole
    for size in (1, 7, 30):
        masker = StreamMasker(names=names)
        out = [masker.feed(TEXT[start : start + size]) for start in range(0, len(TEXT), size)]
        assert "".join(out) + masker.close() == whole


def test_of_a_name_over_a_pattern_only_the_rest_is_left() -> None:
    phone, name = Entity(4, 8, "phone", 0.9, ""), Entity(2, 10, "person", 0.8, "")
    assert [(one.start, one.end, one.type) for one in merged([phone], [name])] == [
        (2, 4, "person"),
        (4, 8, "phone"),
        (8, 10, "person"),
    ]


def test_a_sentence_without_an_end_is_cut() -> None:
    text = "word " * 1000
    spans = sentences_in(text, 0, len(text), final=False)
    assert [span.end - span.start for span in spans] == [LONGEST_SENTENCE] * 4
    assert sentences_in(text, 0, len(text), final=True)[:4] == spans


def test_what_finds_no_names_is_refused(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="checkpoint for entities"):
        NameFinder.load(classifier(tmp_path / "c"))
    with pytest.raises(UsageError, match="must differ"):
        NameFinder.load(checkpoint, checkpoint)
    with pytest.raises(ModelError):
        NameFinder.load(tmp_path / "nothing")
    with pytest.raises(UsageError, match="one checkpoint"):
        NameFinder.load()
