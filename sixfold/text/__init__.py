"""What a string is: its language, its words and sentences with offsets. No models, no files."""

from __future__ import annotations

from sixfold.text.language import HAN, language, normal
from sixfold.text.segment import Span, sentences, units, words

__all__ = ["HAN", "Span", "language", "normal", "sentences", "units", "words"]
