"""Word lists: each table from a few lines in the form of the real file. The real files: ``test_lexicon_real.py``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import small_lists
from hypothesis import given, settings
from hypothesis import strategies as st
from small_lists import Sense, write_wordnet

from sixfold.commands import words as command
from sixfold.errors import SixfoldError, UsageError
from sixfold.text import lexicon
from sixfold.text.lexicon import (
    contractions,
    conversion,
    glyphs,
    homoglyphs,
    keyboard,
    misspellings,
    names,
    pinyin,
    stop_words,
)
from sixfold.text.lexicon.inflections import Analysis
from sixfold.text.lexicon.wordnet import WordNet


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory: pytest.TempPathFactory) -> WordNet:
    return small_lists.wordnet(tmp_path_factory.mktemp("wordnet"))


def test_synonyms_come_by_sense_without_the_word_itself(wordnet: WordNet) -> None:
    assert wordnet.synonyms("car", "noun") == ("auto", "motorcar")
    assert wordnet.synonyms("buy", "verb") == ("purchase", "bribe", "pay off")
    assert wordnet.synonyms("film", "noun") == ("movie", "motion picture")
    assert wordnet.synonyms("FILM", "noun") == ("movie", "motion picture")
    assert wordnet.synonyms("motion picture", "noun") == ("film", "movie")


def test_the_place_of_an_adjective_is_no_part_of_its_name(wordnet: WordNet) -> None:
    assert wordnet.synonyms("great", "adj") == ("galore",)
    assert wordnet.synonyms("galore", "adj") == ("great",)


def test_what_wordnet_has_not_has_no_synonyms(wordnet: WordNet) -> None:
    assert wordnet.synonyms("buy", "noun") == ()
    assert wordnet.synonyms("", "noun") == ()
    assert wordnet.synonyms("1", "noun") == ()
    assert wordnet.synonyms("caf\u00e9\n", "noun") == ()
    assert not wordnet.knows("quickly", "adj")
    assert wordnet.knows("Quickly", "adv")


@settings(max_examples=30, deadline=None)
@given(st.sets(st.from_regex(r"[a-z][a-z0-9'_.\-]{0,8}", fullmatch=True), min_size=1, max_size=30), st.data())
def test_halving_finds_every_word_of_the_index_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, lemmas: set[str], data: st.DataObject
) -> None:
    senses = [Sense((lemma, "zzzz")) for lemma in sorted(lemmas)]
    made = WordNet(write_wordnet(tmp_path_factory.mktemp("w"), {"noun": senses}))
    assert all("zzzz" in made.synonyms(lemma, "noun") for lemma in lemmas)
    other = data.draw(st.text(max_size=9))
    assert made.knows(other, "noun") == (other.lower().replace(" ", "_") in lemmas | {"zzzz"})


def test_opposites_are_those_of_the_senses_and_of_the_adjectives_that_they_are_similar_to(wordnet: WordNet) -> None:
    assert wordnet.opposites("good", "adj") == {"bad", "awful"}
    assert wordnet.opposites("awful", "adj") == {"good", "great", "galore"}
    assert wordnet.opposites("great", "adj") == {"bad", "awful"}
    assert wordnet.opposites("quick", "adj") == set()
    assert wordnet.opposites("nothing-there", "adj") == set()


def test_forms_are_analysed_with_nouns_first_and_base_forms_first() -> None:
    table = small_lists.inflections()
    assert table.analyses("bought") == [Analysis("buy", "VBD"), Analysis("buy", "VBN")]
    assert table.analyses("good") == [Analysis("good", "NN"), Analysis("good", "JJ")]  # its plural is itself
    assert table.analyses("taken") == [Analysis("take", "VBN")]
    assert table.analyses("am") == []
    assert table.analyses("") == table.analyses("xyzzy") == table.analyses("car,noun") == []


def test_a_word_has_the_forms_of_its_table_and_no_others() -> None:
    table = small_lists.inflections()
    assert table.inflected("take", "VBN") == ("taken",)
    assert table.inflected("buy", "VBN") == ("bought",)
    assert table.inflected("travel", "VBD") == ("traveled", "travelled")
    assert table.inflected("xyzzy", "NN") == ("xyzzy",)
    assert table.inflected("xyzzy", "NNS") == ()
    assert table.forms("good", "adj") == ["good", "better", "best"]
    assert table.forms("quickly", "adv") == ["quickly"]


def test_misspellings_lose_what_is_damaged_or_differs_in_capitals_alone() -> None:
    lines = ["their thier Their there's", "teh", "isn't isnt isn''t i1snt 'snt", "their thier taheir", "", "1 one"]
    assert misspellings.parse(lines) == {"their": "thier there's taheir", "isn't": "isnt"}


def test_homoglyphs_are_single_characters_of_usual_scripts_that_normalising_keeps() -> None:
    given = {
        "a": [{"c": "а"}, {"c": "ɑ"}, {"c": "𝐚"}, {"c": "ａ"}, {"c": "α"}, {"c": "aa"}, {"c": "А"}],
        "l": [{"c": "1"}, {"c": "I"}, {"c": "|"}, {"c": "ߊ"}],
        "Q": [{"c": "ℚ"}],
        "ф": [{"c": "f"}],
    }
    assert homoglyphs.look_alikes(given) == {"a": ("а", "α", "ɑ"), "l": ("1",)}


def test_stop_words_are_small_and_no_numbers() -> None:
    given = {"en": ["The", "10", "don't", "?"], "zh": ["的", "３９", "，"], "fr": ["le"]}
    assert stop_words.parse(given) == {"the", "don't", "的"}


def test_cilin_gives_the_other_words_of_groups_that_mean_the_same() -> None:
    assert small_lists.cilin().synonyms("好") == ["佳", "优秀", "喜欢"]
    assert small_lists.cilin().synonyms("喜欢") == ["好"]
    assert small_lists.cilin().synonyms("天气") == small_lists.cilin().synonyms("北京") == []


def test_a_tone_is_taken_off_and_dots_stay() -> None:
    assert [pinyin.without_tone(one) for one in ("nǚ", "shì", "ê̄", "ń", "hǎo")] == ["nü", "shi", "ê", "n", "hao"]


def test_homophones_are_those_with_the_same_usual_reading_the_frequent_first() -> None:
    table = small_lists.homophones()
    assert table.sounding("shi") == "是市事"
    assert table.sounding("yin") == ""  # never counted: nobody's homophone
    assert table.readings("市x") == ("shi", "")
    assert table.readings("行") == ("xing",)
    assert table.readings("银行") == ("yin", "hang")


def test_only_characters_whose_parts_stand_side_by_side_are_split() -> None:
    parts = {"请": ["言", "青"], "花": ["艹", "化"], "一": ["一"], "树": ["木", "又", "寸"]}
    assert glyphs.splits(parts, {"请": "1", "花": "2", "一": "1", "树": "3"}) == {"请": "言青", "树": "木又寸"}


def test_look_alikes_are_those_of_its_line_then_those_with_the_same_parts_but_one() -> None:
    parts = {"烧": ["火", "尧"], "浇": ["氵", "尧"], "挠": ["扌", "尧"], "娆": ["女", "尧"], "人": ["人"]}
    structures = dict.fromkeys("烧浇挠娆", "1")
    frequencies = {"烧": 3.0, "浇": 2.0, "挠": 5.0, "娆": 0.0}
    groups = ["挠\t绕\n", "烧\t浇\t挠\n", "入\t人\t\n"]
    found = glyphs.look_alikes(groups, parts, structures, frequencies)
    assert found == {"烧": "浇挠", "挠": "绕烧浇", "浇": "烧挠", "绕": "挠", "入": "人", "人": "入"}


def test_a_phrase_is_converted_where_its_characters_alone_would_be_wrong() -> None:
    lines = ["发\t發 髮\n", "头\t頭\n", "白\t白\n"]
    phrases = {"头发": "頭髮", "白头": "白頭"}
    table = conversion.Conversion(conversion.parse(lines), phrases)
    assert [table(word) for word in ("头发", "发", "白头", "abc", "")] == ["頭髮", "發", "白頭", "abc", ""]


def test_lines_that_are_no_pair_are_no_conversion() -> None:
    assert conversion.parse(["a\tb c\n", "# note\n", "\n", "d\te\tf\n"]) == {"a": "b c"}


def test_every_contraction_is_spelt_out_as_what_is_contracted_to_it() -> None:
    for contraction, full in contractions.EXPANDED.items():
        assert contractions.CONTRACTED[full] == contraction
    assert contractions.EXPANDED["can't"] == "cannot"
    assert contractions.EXPANDED["won't"] == "will not"
    assert contractions.CONTRACTED["i am"] == "i'm"
    assert not {"let's", "i'd", "he'd"} & set(contractions.EXPANDED)


def test_keys_touch_each_other_and_never_change_between_letters_and_digits() -> None:
    for key, others in keyboard.NEIGHBOURS.items():
        assert key not in others
        assert all(key in keyboard.NEIGHBOURS[other] for other in others)
        assert all(other.isdigit() == key.isdigit() for other in others)
    assert set(keyboard.NEIGHBOURS["s"]) == set("adwexz")
    assert keyboard.NEIGHBOURS["1"] == "2"
    assert keyboard.NEIGHBOURS["0"] == "9"


def test_no_name_stands_in_two_kinds() -> None:
    for kinds in (
        (names.FEMALE, names.MALE, names.SURNAMES),
        (names.CITIES, names.COUNTRIES),
        (names.CHINESE_CITIES, names.CHINESE_PROVINCES, names.CHINESE_COUNTRIES),
        (names.CHINESE_PEOPLE,),
    ):
        every = [name for kind in kinds for name in kind]
        assert len(every) == len(set(every))
    assert all(name.startswith(names.CHINESE_SURNAMES) for name in names.CHINESE_PEOPLE)


def test_a_list_that_is_not_here_is_told_with_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path))
    for words in lexicon.entries():
        assert not lexicon.is_local(words.name)
        with pytest.raises(SixfoldError, match=re.escape(f"sixfold words pull {words.name}")):
            lexicon.folder(words.name)


def test_an_unknown_list_is_told_with_the_nearest_and_nothing_is_fetched() -> None:
    with pytest.raises(UsageError, match="wordnet") as told:
        next(command.pull(["cilin", "wordnett"]))
    assert told.value.nearest == "wordnet"


def test_pulling_all_pulls_each_list_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lexicon, "pull", lambda name, *, progress: tmp_path / name)
    every = [words.name for words in lexicon.entries()]
    assert [name for name, _ in command.pull(["cilin", "all"])] == every
    assert [name for name, _ in command.pull(["cilin", "cilin"])] == ["cilin"]
