"""What training is told of words, by whoever knows them; here they are tokens and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from sixfold.train.sharing import Sharing
from sixfold.train.swaps import Swaps


@dataclass(frozen=True)
class Words:
    """Words that may stand for one another.

    Attributes:
        swaps: those that hotflip exchanges; needed with it.
        sharing: those that share an embedding; needed with ``synonym_encoding``.
    """

    swaps: Swaps | None = None
    sharing: Sharing | None = None


NONE = Words()
