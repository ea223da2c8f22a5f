"""Characters that sound alike: pypinyin's readings without tones, turned round."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache

from sixfold.text.lexicon import glyphs
from sixfold.text.lexicon.catalogue import folder

_TONES = dict.fromkeys(map(ord, "\u0304\u0301\u030c\u0300"))


def without_tone(syllable: str) -> str:
    """``nǚ`` is ``nü``: the mark of a tone is taken off, the dots are not."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", syllable).translate(_TONES))


class Homophones:
    """Readings and homophones, tones aside.

    Args:
        readings: code point (decimal, as a string) to readings separated by commas, the usual one first.
        phrases: phrase to the readings of each of its characters: for characters that sound otherwise in it.
        frequencies: character to how frequent it is; a character that is not in it, or at 0, is nobody's homophone.
    """

    def __init__(
        self,
        readings: Mapping[str, str],
        phrases: Mapping[str, Sequence[Sequence[str]]],
        frequencies: Mapping[str, float],
    ) -> None:
        self._reading = {chr(int(code)): without_tone(given.split(",")[0]) for code, given in readings.items()}
        self._phrases = {}
        for phrase, syllables in phrases.items():
            sounds = tuple(without_tone(one[0]) for one in syllables)
            if len(sounds) == len(phrase) and sounds != tuple(self._reading.get(character) for character in phrase):
                self._phrases[phrase] = sounds
        frequent = sorted((-count, character) for character, count in frequencies.items() if count > 0)
        sounding: dict[str, list[str]] = {}
        for _, character in frequent:
            if character in self._reading:
                sounding.setdefault(self._reading[character], []).append(character)
        self._sounding = {sound: "".join(found) for sound, found in sounding.items()}

    def readings(self, word: str) -> tuple[str, ...]:
        """The syllable of each character; empty for what has none. A known phrase is read as one says it."""
        return self._phrases.get(word) or tuple(self._reading.get(character, "") for character in word)

    def sounding(self, syllable: str) -> str:
        """The characters whose usual reading it is, frequent ones first."""
        return self._sounding.get(syllable, "")


@cache
def load() -> Homophones:
    """The list ``pinyin``, with the frequencies of ``characters``.

    Raises:
        SixfoldError: one of them has not been pulled.
    """
    path = folder("pinyin")
    return Homophones(
        json.loads((path / "pinyin_dict.json").read_text(encoding="utf-8")),
        json.loads((path / "phrases_dict.json").read_text(encoding="utf-8")),
        glyphs.frequencies(),
    )
