"""WordNet's synonyms (Miller 1995), read in its own files: nothing is built, and a look-up reads two or three lines.

The index is sorted, so a word is found by halving; it holds the byte offsets of the word's senses in the data file.
This is what WordNet's own library does (wndb(5WN), binsrch(3WN)).
"""

from __future__ import annotations

import mmap
from functools import cache, lru_cache
from pathlib import Path

from sixfold.text.lexicon.catalogue import folder


class WordNet:
    """Synonyms by word and part of speech (``noun``, ``verb``, ``adj``, ``adv``).

    Args:
        path: the folder with ``index.noun``, ``data.noun`` and so on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[str, mmap.mmap] = {}
        self.synonyms = lru_cache(maxsize=20_000)(self._synonyms)

    def knows(self, lemma: str, part: str) -> bool:
        """Whether the word is in WordNet as that part of speech."""
        return self._line(lemma, part) is not None

    def _synonyms(self, lemma: str, part: str) -> tuple[str, ...]:
        """The other words of the lemma's senses, the most usual sense first; several words have blanks in between.

        Args:
            lemma: the base form, in any case.
            part: noun, verb, adj or adv.
        """
        line = self._line(lemma, part)
        if line is None:
            return ()
        fields = line.split()
        senses = fields[len(fields) - int(fields[2]) :]
        own = _key(lemma)
        found: dict[str, None] = {}
        for offset in senses:
            for word in self._sense(part, int(offset)):
                if word.lower().replace(" ", "_") != own:
                    found.setdefault(word)
        return tuple(found)

    def _sense(self, part: str, offset: int) -> list[str]:
        data = self._file(f"data.{part}")
        fields = data[offset : data.find(b"\n", offset)].split(b" ", 4)
        words = fields[4].split(b" ", 2 * int(fields[3], 16))[: 2 * int(fields[3], 16) : 2]
        # An adjective may have its place behind it: galore(ip).
        return [word.decode().partition("(")[0].replace("_", " ") for word in words]

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
