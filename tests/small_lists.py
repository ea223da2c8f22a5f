"""Word lists small enough to read, in the form of the real ones. Nothing here asserts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sixfold.perturb.lexical import Synonyms
from sixfold.text.lexicon.cilin import Cilin
from sixfold.text.lexicon.inflections import Inflections
from sixfold.text.lexicon.pinyin import Homophones
from sixfold.text.lexicon.wordnet import WordNet

LICENCE = "  1 This software and database is provided free.  \n  2 In the hope that it is useful.  \n"
_LETTERS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}


@dataclass(frozen=True)
class Sense:
    """Words that mean the same; which senses (by place in the list) are its opposites, and which are similar."""

    words: tuple[str, ...]
    opposite: tuple[int, ...] = ()
    similar: tuple[int, ...] = ()


def _data(senses: Sequence[Sense], letter: str) -> tuple[list[str], list[int]]:
    """The lines of a data file, and the byte at which each begins."""

    def line(sense: Sense, own: int, offsets: Sequence[int]) -> str:
        pointers = [("!", place, "0101") for place in sense.opposite]
        pointers += [("&", place, "0000") for place in sense.similar]
        told = "".join(f" {mark} {offsets[place]:08d} {letter} {which}" for mark, place, which in pointers)
        listed = " ".join(f"{word} 0" for word in sense.words)
        return f"{own:08d} 00 {letter} {len(sense.words):02x} {listed} {len(pointers):03d}{told} | what it means  \n"

    offsets, at = [], len(LICENCE)
    for sense in senses:
        offsets.append(at)
        at += len(line(sense, 0, [0] * len(senses)).encode())
    return [line(sense, own, offsets) for sense, own in zip(senses, offsets, strict=True)], offsets


def write_wordnet(folder: Path, senses: dict[str, Sequence[Sense]]) -> Path:
    """The eight files of WordNet, with these senses by part of speech; a word's senses in the order given."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, letter in _LETTERS.items():
        given = senses.get(part, ())
        lines, offsets = _data(given, letter)
        (folder / f"data.{part}").write_text(LICENCE + "".join(lines), encoding="utf-8")
        of: dict[str, list[int]] = {}
        for sense, offset in zip(given, offsets, strict=True):
            for word in sense.words:
                of.setdefault(word.partition("(")[0].lower(), []).append(offset)
        index = [
            f"{word} {letter} {len(found)} 1 @ {len(found)} 0 {' '.join(f'{one:08d}' for one in found)}  \n"
            for word, found in sorted(of.items())
        ]
        (folder / f"index.{part}").write_text(LICENCE + "".join(index), encoding="utf-8")
    return folder


SENSES = {
    "noun": [
        Sense(("car", "auto", "motorcar")),
        Sense(("film", "movie", "motion_picture")),
        Sense(("child", "kid")),
        Sense(("goodness", "good")),
        Sense(("French", "French_language")),
    ],
    "verb": [
        Sense(("meet", "see")),
        Sense(("buy", "purchase")),
        Sense(("bribe", "buy", "pay_off")),
        Sense(("hire", "engage")),
    ],
    "adj": [
        Sense(("good",), opposite=(2,), similar=(1,)),
        Sense(("great", "galore(ip)"), similar=(0,)),
        Sense(("bad",), opposite=(0,), similar=(3,)),
        Sense(("awful",), similar=(2,)),
        Sense(("quick", "fast")),
    ],
    "adv": [Sense(("quickly", "rapidly", "chop-chop"))],
}
FORMS = """
car,noun,cars
auto,noun,autos
motorcar,noun,motorcars
film,noun,films
movie,noun,movies
child,noun,children
kid,noun,kids
good,noun,good
goodness,noun,goodnesses
buy,verb,bought,,buying,buys
purchase,verb,purchased,,purchasing,purchases
bribe,verb,bribed,,bribing,bribes
pay,verb,paid,,paying,pays
hire,verb,hired,,hiring,hires
meet,verb,met,,meeting,meets
see,verb,saw,seen,seeing,sees
take,verb,took,taken,taking,takes
quick,adj,quicker,quickest
fast,adj,faster,fastest
good,adj,better,best
travel,verb,traveled/travelled,,traveling/travelling,travels
"""
LEMMAS = """
car,noun,car
cars,noun,car
auto,noun,auto
film,noun,film
films,noun,film
child,noun,child
children,noun,child
good,noun,good
good,adj,good
better,adj,good
best,adj,good
buy,verb,buy
bought,verb,buy
buying,verb,buy
buys,verb,buy
hire,verb,hire
taken,verb,take
met,verb,meet
took,verb,take
travelled,verb,travel
quick,adj,quick
quicker,adj,quick
am,aux,be
"""


def inflections() -> Inflections:
    return Inflections(FORMS.splitlines(), LEMMAS.splitlines())


def wordnet(folder: Path) -> WordNet:
    return WordNet(write_wordnet(folder, SENSES))


def synonyms(folder: Path) -> Synonyms:
    return Synonyms(wordnet(folder), inflections())


def cilin() -> Cilin:
    """好 is in two groups of synonyms, and in one of words that are only related."""
    groups = {"Aa01A01=": ["好", "佳", "优秀"], "Aa01A02=": ["好", "喜欢"], "Aa01A03#": ["好", "天气"]}
    return Cilin({"A": {"label": "", "sub": {"Aa": {"label": "", "sub": groups}, "Ab01@": ["北京"]}}})


def homophones() -> Homophones:
    readings = {"是": "shì", "事": "shì,zì", "市": "shì", "行": "xíng,háng", "银": "yín", "航": "háng", "女": "nǚ"}
    phrases = {"银行": [["yín"], ["háng"]]}
    frequencies = {"是": 9.0, "事": 5.0, "市": 7.0, "行": 6.0, "航": 4.0, "银": 0.0}
    return Homophones({str(ord(one)): given for one, given in readings.items()}, phrases, frequencies)
