"""Which labels the training rows give to a word: near words that speak for unlike labels mean unlike things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Examples

CHANCE = 0.01
"""How often two words of one meaning may be told apart by chance, over all labels."""


@dataclass(frozen=True)
class WordLabels:
    """In how many rows each token stands.

    Attributes:
        rows: int64 [vocabulary]
        labels: int64 [vocabulary, labels] those of them that have each label.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, examples: Examples, size: int) -> Self | None:
        """Of examples with one label or several each; None where rows have no labels, as tagged words.

        Args:
            size: of the vocabulary.
        """
        if "label" not in examples.columns:
            return None
        given = examples.dense("label")
        held = np.eye(int(given.max()) + 1, dtype=np.int64)[given] if given.ndim == 1 else (given > 0).astype(np.int64)
        ids = examples.ragged("input_ids")
        row_of = np.repeat(np.arange(len(ids)), ids.lengths)
        row, token = np.unique(np.stack([row_of, ids.values]), axis=1)
        labels = np.zeros((size, held.shape[1]), dtype=np.int64)
        np.add.at(labels, token, held[row])
        return cls(np.bincount(token, minlength=size), labels)

    def differ(self, words: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool [pairs] whether a label is more usual beside one word of a pair than beside the other.

        Fisher's exact test for each label, its two sides twice the smaller one, at ``CHANCE`` divided by the labels
        (Bonferroni). Words that stand in few rows, or none, do not differ from any.

        Args:
            words, others: [pairs] tokens.
        """
        from scipy.stats import hypergeom

        mine, all_rows = self.rows[words][:, None], (self.rows[words] + self.rows[others])[:, None]
        found = self.labels[words]
        with_label = found + self.labels[others]
        below = hypergeom.cdf(found, all_rows, with_label, mine)
        above = hypergeom.sf(found - 1, all_rows, with_label, mine)
        return (2 * np.minimum(below, above) < CHANCE / self.labels.shape[1]).any(axis=1)
