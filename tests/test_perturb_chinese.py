"""Chinese words and characters, from small lists."""

from __future__ import annotations

import small_lists

from sixfold.perturb import Sentence, Transformation
from sixfold.perturb.chinese import CilinSynonyms, Homophone, LookAlike, Script, Split
from sixfold.text import Span


def found(transformation: Transformation, word: str) -> list[str]:
    """Candidates of the word as one word, however it would be segmented."""
    return transformation.candidates(Sentence(word, (Span(0, len(word)),)), 0)


def test_a_synonym_is_one_of_cilin_s() -> None:
    assert found(CilinSynonyms(small_lists.cilin()), "好") == ["佳", "优秀", "喜欢"]
    assert found(CilinSynonyms(small_lists.cilin()), "good") == []
    assert found(CilinSynonyms(small_lists.cilin(), groups=1), "好") == []
    assert found(CilinSynonyms(small_lists.cilin(), groups=1), "佳") == ["好", "优秀"]


def test_one_character_becomes_one_that_sounds_alike_in_its_word() -> None:
    homophone = Homophone(small_lists.homophones())
    assert found(homophone, "事") == ["是", "市"]
    assert found(homophone, "银行") == ["银航"]
    assert found(homophone, "行事") == ["行是", "行市"]
    assert found(Homophone(small_lists.homophones(), most=1), "事是") == ["是是", "事市"]
    assert found(homophone, "abc") == []


def test_one_character_becomes_one_that_looks_alike() -> None:
    table = {"烧": "浇挠绕", "人": "入"}
    assert found(LookAlike(table), "烧人") == ["浇人", "挠人", "绕人", "烧入"]
    assert found(LookAlike(table, most=1), "烧") == ["浇"]
    assert found(LookAlike(table), "abc") == []


def test_one_character_is_written_as_its_parts() -> None:
    assert found(Split({"请": "言青", "好": "女子"}), "请好") == ["言青好", "请女子"]
    assert found(Split({}), "请") == []


def test_the_word_in_the_other_script_and_never_as_it_is() -> None:
    both = Script((lambda word: word.replace("头", "頭"), lambda word: word.replace("頭", "头")))
    assert found(both, "头") == ["頭"]
    assert found(both, "頭") == ["头"]
    assert found(both, "好") == []
