"""From a recipe's ``corpus:`` to documents without copies, and the mask that those to learn from go through."""

from __future__ import annotations

from sixfold.data.corpus import Corpus, prepare_corpus
from sixfold.stages.masked import Mask, mask_of, sealed
from sixfold.stages.pretrain_config import CorpusConfig


def read_corpus(given: CorpusConfig, seed: int) -> tuple[Corpus, Mask | None]:
    """The corpus as it is, and its mask if the recipe asks for one: its digest of train is then sealed.

    Args:
        seed: of the mask.

    Raises:
        DataError, UsageError: as ``prepare_corpus``.
    """
    corpus = prepare_corpus(
        given.source,
        document=given.document,
        near=given.near,
        threshold=given.threshold,
        held_out=given.held_out,
        most_held_out=given.most_held_out,
        columns=given.columns or None,
        format=given.format,
        encoding=given.encoding,
        header=given.header,
    )
    if not given.mask:
        return corpus, None
    mask = mask_of(corpus.train, ["text"], seed)
    return sealed(corpus, mask), mask
