"""Words that lie near a word in an encoder's embedding space: what stands in for TextFooler's counter-fitted vectors.

The table is built once for a checkpoint and kept in the cache. It is geometry alone: near are also opposites (``good``
and ``bad`` stand in the same texts) and other forms, so word lists have their say afterwards.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sixfold import fetch
from sixfold.fetch import Progress, folders
from sixfold.models import Head, lineage, load, resolve
from sixfold.perturb.pieces import Pieces
from sixfold.perturb.words import Sentence, cased_like, distinct, is_latin
from sixfold.text.lexicon import inflections, wordnet
from sixfold.text.lexicon.inflections import BASE, Inflections
from sixfold.text.lexicon.sentiment import NEGATIVE, POSITIVE
from sixfold.text.lexicon.wordnet import WordNet

BASE_MODEL = "minilm-l6"
KEPT = 64
"""Neighbours of a word in the table: some are opposites or other forms, and fifty are to be left of most."""
LEAST_LETTERS = 3
ROWS = 680
"""Words that are encoded, or compared, at once: about 2,048 tokens."""
VERSION = 1
"""Raise it when the same checkpoint gives another table."""
_LETTERS = frozenset(string.ascii_lowercase)


@dataclass(frozen=True)
class Table:
    """Words and their neighbours, the nearest first.

    Attributes:
        words: in the order of the tokenizer's vocabulary.
        near: int32 [words, kept] places of the neighbours in ``words``.
        cosines: float16 [words, kept] in descending order.
    """

    words: tuple[str, ...]
    near: NDArray[np.int32]
    cosines: NDArray[np.float16]

    @cached_property
    def places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    def neighbours(self, word: str, least: float) -> list[str]:
        """The words whose cosine to the word is at least so high, the nearest first; none of an unknown word."""
        place = self.places.get(word)
        if place is None:
            return []
        return [self.words[other] for other in self.near[place][self.cosines[place] >= least]]


@dataclass(frozen=True)
class Neighbours:
    """A near word of the same form that is no opposite: neither by WordNet nor by the list of praise and blame.

    Attributes:
        least: cosine of a neighbour.
        same_form: only words that can have a form (a Penn tag) that the word can have; what no table knows passes.
        most: candidates of a word.
    """

    table: Table
    wordnet: WordNet
    inflections: Inflections
    name: str = "neighbour"
    languages: tuple[str, ...] = ("en",)
    least: float = 0.6
    same_form: bool = True
    most: int = 50

    def candidates(self, sentence: Sentence, position: int) -> list[str]:
        word = sentence.word(position)
        if not is_latin(word):
            return []
        return distinct(word, (cased_like(word, other) for other in self._near(word.lower())))[: self.most]

    @cached_property
    def _near(self) -> Callable[[str], list[str]]:
        """The neighbours that fit, remembered: a search asks for the same words in thousands of texts."""

        def near(plain: str) -> list[str]:
            return [other for other in self.table.neighbours(plain, self.least) if self._fits(plain, other)]

        return lru_cache(maxsize=20_000)(near)

    def _fits(self, plain: str, other: str) -> bool:
        tags, others = self._tags(plain), self._tags(other)
        if self.same_form and tags and others and tags.isdisjoint(others):
            return False
        if {plain, other} & POSITIVE and {plain, other} & NEGATIVE:
            return False
        return self._opposites(plain).isdisjoint(self._lemmas(other))

    def _tags(self, plain: str) -> frozenset[str]:
        return frozenset(one.tag for one in self.inflections.analyses(plain))

    def _lemmas(self, plain: str) -> frozenset[str]:
        return frozenset([plain, *(one.lemma for one in self.inflections.analyses(plain))])

    def _opposites(self, plain: str) -> frozenset[str]:
        known = {(one.lemma, one.part) for one in self.inflections.analyses(plain)} | {(plain, part) for part in BASE}
        return frozenset(opposite for lemma, part in known for opposite in self.wordnet.opposites(lemma, part))


@cache
def load_neighbours(base: str = BASE_MODEL) -> Neighbours:
    """The transformation with an encoder's table, which is built if it is not there yet, and the two word lists.

    Raises:
        ModelError: the base model has not been pulled.
        SixfoldError: a word list has not been pulled.
    """
    return Neighbours(table(base), wordnet.load(), inflections.load())


def path_of(base: str) -> Path:
    """Where an encoder's table is kept.

    Raises:
        UsageError, ModelError: as ``models.resolve``.
    """
    return fetch.home() / "neighbours" / lineage.digest_folder(resolve(base).folder) / "table.safetensors"


def table(base: str, *, progress: Progress | None = None) -> Table:
    """An encoder's table, out of the cache if it is there.

    Args:
        base: a name of the catalogue, or a folder.
        progress: told one sentence if it is built.

    Raises:
        UsageError, ModelError: as ``models.load``.
        StorageError: it cannot be written.
    """
    path = path_of(base)
    if (found := _read(path)) is not None:
        return found
    tell: Progress = progress or (lambda sentence: None)
    with folders.locked(path.with_name("lock"), waiting="another process builds the table: waiting", tell=tell):
        if (found := _read(path)) is not None:
            return found
        tell(f"building the table of near words from {base}, once")
        loaded = load(base, Head("embedding"))
        made = build(loaded.model, loaded.tokenizer)
        _write(made, path)
    return made


def build(model: Any, tokenizer: Any, kept: int = KEPT) -> Table:
    """The table of every whole word of small letters in the tokenizer's vocabulary."""
    words = vocabulary(tokenizer)
    near, cosines = nearest(embeddings(model, tokenizer, words), kept)
    return Table(words, near, cosines)


def vocabulary(tokenizer: Any) -> tuple[str, ...]:
    """Its tokens that are whole words of at least three small English letters, in its order."""
    pieces = Pieces(tokenizer)
    spelt = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    likely = [place for place, token in enumerate(spelt) if token and not _LETTERS.isdisjoint(token)]
    found = dict.fromkeys(pieces.whole([place]) for place in likely)
    return tuple(word for word in found if len(word) >= LEAST_LETTERS and _LETTERS.issuperset(word))


def embeddings(model: Any, tokenizer: Any, texts: Sequence[str]) -> NDArray[np.float32]:
    """[texts, width] the mean of the last hidden states over all tokens of a text, special ones too, of length 1.

    As sentence-transformers embeds a sentence with the encoder all-MiniLM-L6-v2.
    """
    import torch

    from sixfold.models.forward import Flat, hidden_states

    rows = tokenizer(list(texts), verbose=False)["input_ids"] if texts else []
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    out = np.empty((len(rows), model.config.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), ROWS):
            some = order[start : start + ROWS]
            lengths = np.array([len(rows[place]) for place in some], dtype=np.int64)
            flat = Flat.of(np.concatenate([rows[place] for place in some]), lengths)
            hidden = hidden_states(model, flat).float().numpy()
            sums = np.add.reduceat(hidden, np.cumsum(lengths) - lengths, axis=0)
            out[some] = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return out


def nearest(vectors: NDArray[np.float32], kept: int) -> tuple[NDArray[np.int32], NDArray[np.float16]]:
    """The nearest other vectors of each, by cosine, and the cosines, the nearest first. [words, kept] twice.

    Args:
        vectors: [words, width] of length 1.
    """
    import torch

    every = torch.from_numpy(vectors)
    kept = min(kept, max(len(every) - 1, 0))
    near, cosines = np.empty((len(every), kept), dtype=np.int32), np.empty((len(every), kept), dtype=np.float16)
    for start in range(0, len(every), ROWS):
        some = slice(start, min(start + ROWS, len(every)))
        scores = every[some] @ every.T
        scores[torch.arange(len(scores)), torch.arange(some.start, some.stop)] = -2  # nobody is its own neighbour
        best = scores.topk(kept)
        near[some], cosines[some] = best.indices.numpy(), best.values.numpy()
    return near, cosines


def _write(made: Table, path: Path) -> None:
    from safetensors.numpy import save_file

    described = {"version": str(VERSION), "words": " ".join(made.words)}
    with folders.replacing_file(path, parents=True) as temporary:
        save_file({"near": made.near, "cosines": made.cosines}, temporary, described)


def _read(path: Path) -> Table | None:
    """The table, or nothing if there is none, it is damaged, or another version wrote it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            described = file.metadata() or {}
            if described.get("version") != str(VERSION):
                return None
            return Table(tuple(described["words"].split()), file.get_tensor("near"), file.get_tensor("cosines"))
    except (OSError, SafetensorError, KeyError):
        return None
