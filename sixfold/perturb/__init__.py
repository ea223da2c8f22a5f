"""Edits of a text, transformations and constraints, shared by augmentation, attack and explanation.

A transformation says what a word (or a text) could become, all of it and always in the same order; whoever uses it
draws, scores or searches. ``registry.py`` has the names.
"""

from __future__ import annotations

from sixfold.perturb.words import Best, Contextual, Edit, Prompts, Rewrite, Sentence, Transformation, applied

__all__ = ["Best", "Contextual", "Edit", "Prompts", "Rewrite", "Sentence", "Transformation", "applied"]
