"""Every transformation by its name; and what holds of all of them, whatever the text."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import small_lists
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sixfold.errors import SixfoldError, UsageError
from sixfold.perturb import Sentence, Transformation, applied, registry
from sixfold.perturb.characters import Homoglyph, textbugger
from sixfold.perturb.chinese import CilinSynonyms, Homophone, LookAlike, Script, Split
from sixfold.perturb.lexical import Inflect, Misspell
from sixfold.perturb.neighbours import Neighbours, Table
from sixfold.text import lexicon

WILD = st.text(
    st.one_of(
        st.sampled_from(" \n.,'’-，。3北京王伟好是事行不请bought good CAR It isn't é\u0301\u200d👍🏽मह한Ж"),
        st.characters(),
    ),
    max_size=24,
)
ALIKE = dict.fromkeys("abco", ("а", "о"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Transformation]:
    """Every transformation of a word, those that read lists with small ones."""
    wordnet, inflections = small_lists.wordnet(tmp_path_factory.mktemp("near")), small_lists.inflections()
    near = Table(("good", "bad", "car"), np.array([[2, 1], [0, 2], [0, 1]]), np.full((3, 2), 0.9, dtype=np.float16))
    made: dict[str, Transformation] = {
        "neighbour": Neighbours(near, wordnet, inflections),
        "homoglyph": Homoglyph(ALIKE),
        "textbugger-characters": textbugger(ALIKE),
        "synonym": small_lists.synonyms(tmp_path_factory.mktemp("wordnet")),
        "inflection": Inflect(small_lists.inflections()),
        "misspelling": Misspell({"good": "god goood", "it": "ti"}),
        "zh-synonym": CilinSynonyms(small_lists.cilin()),
        "zh-homophone": Homophone(small_lists.homophones()),
        "zh-glyph": LookAlike({"好": "奸妇", "京": "凉"}),
        "zh-split": Split({"好": "女子", "请": "言青"}),
        "zh-script": Script((lambda word: word.replace("请", "請"), lambda word: word)),
    }
    made |= {name: row.build() for name, row in registry.WORD.items() if not row.lists}  # type: ignore[misc]
    assert set(made) == set(registry.WORD)
    return made


@given(text=WILD)
@example(text="")
@example(text="good")
@example(text="👩\u200d👩\u200d👧 e\u0301te\u0301 हिन्दी 用iPhone15打字 北京市")
@settings(max_examples=150, deadline=None)
def test_candidates_are_distinct_unlike_the_word_and_change_only_its_place(
    small: dict[str, Transformation], text: str
) -> None:
    sentence = Sentence.of(text)
    for name, one in small.items():
        for position, (start, end) in enumerate(sentence.spans):
            candidates = one.candidates(sentence, position)
            assert candidates == one.candidates(sentence, position), name
            assert len(set(candidates)) == len(candidates), name
            assert sentence.word(position) not in candidates, name
            for candidate in candidates[:5]:
                if candidate:
                    assert sentence.replaced(position, candidate) == text[:start] + candidate + text[end:], name
                else:
                    left = len(text) - len(sentence.replaced(position, ""))
                    assert end - start <= left <= end - start + 1, name


@given(text=WILD)
@example(text="Mary Smith isn't in New York City, Mary's in Rome.")
@example(text="王伟和欧阳修在北京市见李娜。")
@settings(max_examples=150, deadline=None)
def test_variants_are_distinct_edits_inside_the_text_that_do_not_overlap(text: str) -> None:
    sentence = Sentence.of(text)
    for name in registry.TEXT:
        found = registry.rewrite(name).variants(sentence)
        assert len(set(found)) == len(found), name
        for edits in found:
            spans = sorted((start, end) for start, end, _ in edits)
            assert all(0 <= start <= end <= len(text) for start, end in spans), name
            assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans)), name
            assert applied(text, edits) != text, name


def test_the_table_says_what_the_transformations_say(small: dict[str, Transformation]) -> None:
    every = small | {name: registry.rewrite(name) for name in registry.TEXT}
    rows = {**registry.WORD, **registry.TEXT}
    assert {name: (one.name, one.languages) for name, one in every.items()} == {
        name: (name, row.languages) for name, row in rows.items()
    }
    assert all(row.what for row in rows.values())
    assert not set(registry.WORD) & set(registry.TEXT)


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    for find in (registry.transformation, registry.rewrite):
        with pytest.raises(UsageError):
            find("nothing-like-it")
    with pytest.raises(UsageError) as told:
        registry.transformation("keybord")
    assert told.value.nearest == "keyboard"


def test_a_transformation_whose_lists_are_missing_names_the_command_that_brings_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path))
    for name, row in registry.WORD.items():
        assert set(row.lists) <= {words.name for words in lexicon.entries()}
        if row.lists:
            with pytest.raises(SixfoldError, match=re.escape(f"sixfold words pull {' '.join(row.lists)}")):
                registry.transformation(name)
