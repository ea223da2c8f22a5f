"""WordNet's synonyms and opposites (Miller 1995), read in its own files: nothing is built, a look-up reads a few lines.

The index is sorted, so a word is found by halving; it holds the byte offsets of the word's senses in the data file.
This is what WordNet's own library does (wndb(5WN), binsrch(3WN)).
"""

from __future__ import annotations

import mmap
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from sixfold.text.lexicon.catalogue import folder


class Sense(NamedTuple):
    """Words that mean the same, and where in the same file the senses opposite and similar to theirs begin."""

    words: tuple[str, ...]
    opposite: tuple[int, ...]
    similar: tuple[int, ...]


class WordNet:
    """Synonyms by word and part of speech (``noun``, ``verb``, ``adj``, ``adv``).

    Args:
        path: the folder with ``index.noun``, ``data.noun`` and so on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[str, mmap.mmap] = {}
        self.synonyms = lru_cache(maxsize=20_000)(self._synonyms)
        self.opposites = lru_cache(maxsize=20_000)(self._opposites)

    def knows(self, lemma: str, part: str) -> bool:
        """Whether the word is in WordNet as that part of speech."""
        return self._line(lemma, part) is not None

    def _synonyms(self, lemma: str, part: str, senses: int = 0) -> tuple[str, ...]:
        """The other words of the lemma's senses, the most usual sense first; several words have blanks in between.

        Args:
            lemma: the base form, in any case.
            part: noun, verb, adj or adv.
            senses: only so many of them, the most usual ones; 0: all.
        """
        own = _key(lemma)
        found: dict[str, None] = {}
        for sense in self._senses(lemma, part)[: senses or None]:
            for word in sense.words:
                if word.lower().replace(" ", "_") != own:
                    found.setdefault(word)
        return tuple(found)

    def _opposites(self, lemma: str, part: str) -> frozenset[str]:
        """The words of the senses that are opposite to one of the lemma's.

        An adjective's opposites are also those of the adjectives that it is similar to, and what is similar to an
        opposite: ``awful`` is like ``bad``, so ``good`` and ``great`` are its opposites.
        """
        near = self._with_similar(self._senses(lemma, part), part)
        opposite = [self._sense(part, offset) for sense in near for offset in sense.opposite]
        return frozenset(word for sense in self._with_similar(opposite, part) for word in sense.words)

    def _with_similar(self, senses: list[Sense], part: str) -> list[Sense]:
        return senses + [self._sense(part, offset) for sense in senses for offset in sense.similar]

    def _senses(self, lemma: str, part: str) -> list[Sense]:
        line = self._line(lemma, part)
        if line is None:
            return []
        fields = line.split()
        return [self._sense(part, int(offset)) for offset in fields[len(fields) - int(fields[2]) :]]

    def _sense(self, part: str, offset: int) -> Sense:
        data = self._file(f"data.{part}")
        fields = data[offset : data.find(b"|", offset)].split()
        end = 4 + 2 * int(fields[3], 16)
        # An adjective may have its place behind it: galore(ip).
        words = tuple(word.decode().partition("(")[0].replace("_", " ") for word in fields[4:end:2])
        pointers = fields[end + 1 : end + 1 + 4 * int(fields[end])]
        opposite, similar = (
            tuple(int(at) for mark, at in zip(pointers[::4], pointers[1::4], strict=True) if mark == wanted)
            for wanted in (b"!", b"&")
        )
        return Sense(words, opposite, similar)

    def _line(self, lemma: str, part: str) -> str | None:
        table, wanted = self._file(f"index.{part}"), _key(lemma).encode(errors="replace")
        low, high = 0, len(table)
        while low < high:
            start = table.rfind(b"\n", 0, (low + high) // 2) + 1
            end = table.find(b"\n", start)
            end = len(table) if end < 0 else end
            found = table[start:end].partition(b" ")[0]  # a line of the licence begins with a blank: it sorts first
            if found == wanted:
                return table[start:end].decode() if wanted else None
            if found < wanted:
                low = end + 1
            else:
                high = start
        return None

    def _file(self, name: str) -> mmap.mmap:
        if name not in self._files:
            with (self._path / name).open("rb") as file:
                self._files[name] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._files[name]


def _key(lemma: str) -> str:
    return lemma.lower().replace(" ", "_")


@cache
def load() -> WordNet:
    """The list ``wordnet``.

    Raises:
        SixfoldError: it has not been pulled.
    """
    return WordNet(folder("wordnet"))
