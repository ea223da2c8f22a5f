"""Word lists: which there are, bringing them here, and a small table for each. No model, no network but in ``pull``.

``catalogue.py`` names what can be fetched; the other files each read one kind of list, when it is first asked for.
Nothing here changes a text: that is ``sixfold.perturb``.
"""

from __future__ import annotations

from sixfold.text.lexicon.catalogue import WordList, entries, entry, folder, is_local, need, pull

__all__ = ["WordList", "entries", "entry", "folder", "is_local", "need", "pull"]
