"""The real word lists, where they have been pulled: what they are said to hold, and a few look-ups."""

from __future__ import annotations

import itertools

import pytest

from sixfold.perturb import Sentence, registry
from sixfold.text import lexicon
from sixfold.text.lexicon import (
    cilin,
    conversion,
    glyphs,
    homoglyphs,
    inflections,
    misspellings,
    pinyin,
    stop_words,
    wordnet,
)

MISSING = [words.name for words in lexicon.entries() if not lexicon.is_local(words.name)]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"sixfold words pull {' '.join(MISSING)}"),
]


def told(name: str) -> list[int]:
    """The counts in the catalogue's line."""
    words = lexicon.entry(name).what.replace(",", "").split()
    return [int(word) for word in words if word.isdigit()]


def test_the_catalogue_s_counts_are_those_of_the_files() -> None:
    folder = lexicon.folder("wordnet")
    parts = [folder / f"data.{part}" for part in ("noun", "verb", "adj", "adv")]
    lines = sum(not line.startswith("  ") for path in parts for line in path.read_text("utf-8").splitlines())
    assert [lines] == told("wordnet")
    assert [len(misspellings.load())] == told("misspellings")
    assert [len(cilin.load()._groups)] == told("cilin")


def test_every_word_of_wordnet_is_found() -> None:
    made, folder = wordnet.load(), lexicon.folder("wordnet")
    for part in ("noun", "verb", "adj", "adv"):
        lines = (folder / f"index.{part}").read_text("utf-8").splitlines()
        words = [line.split(" ", 1)[0] for line in lines if not line.startswith(" ")]
        for word in itertools.islice(words, 0, None, 997):
            assert made.knows(word, part)
            assert word.replace("_", " ") not in made.synonyms(word, part)


def test_synonyms_opposites_and_forms() -> None:
    assert wordnet.load().synonyms("purchase", "verb") == ("buy",)
    assert {"bad", "awful", "dreadful"} <= wordnet.load().opposites("great", "adj") | wordnet.load().opposites(
        "good", "adj"
    )
    assert wordnet.load().opposites("love", "verb") == {"hate", "detest"}
    assert [one.tag for one in inflections.load().analyses("bought")] == ["VBD", "VBN"]


def test_chinese_tables() -> None:
    assert "佳" in cilin.load().synonyms("好")
    assert pinyin.load().readings("银行") == ("yin", "hang")
    assert glyphs.load_splits()["请"] == "言青"
    assert glyphs.load_look_alikes()["烧"].startswith("浇")
    assert conversion.to_traditional()("头发") == "頭髮"
    assert conversion.to_simplified()("頭髮") == "头发"


def test_other_tables() -> None:
    assert homoglyphs.load()["a"][:2] == ("а", "α")
    assert "thier" in misspellings.load()["their"]
    assert {"the", "不"} <= stop_words.load()


def test_every_transformation_that_reads_lists_changes_something() -> None:
    english, chinese = Sentence.of("I bought a good car for 1,000 pounds."), Sentence.of("请在北京的银行买好书。")
    for name, row in registry.WORD.items():
        if row.lists and not getattr(row, "models", ()):
            made = registry.transformation(name)
            sentence = english if "en" in made.languages else chinese
            assert any(made.candidates(sentence, position) for position in range(len(sentence))), name
