"""A scorer whose answers are the vote of copies with hidden tokens (RanMASK, Zeng et al. 2021, arXiv:2105.03743).

A model that has learnt from texts with hidden tokens answers many such copies of a text, and the mean of their logits
is its answer. Who attacks it sees another draw at each question, so that no single word decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Examples
from sixfold.score.cache import Identity
from sixfold.score.scorer import Precision, Scorer
from sixfold.score.votes import voted
from sixfold.tasks.contract import Ask
from sixfold.tasks.encoding import frame
from sixfold.tasks.masking import MaskToken, Voting


class Voter(Scorer):
    """Answers by votes. Nothing is cached: copies are drawn anew for each question.

    The same questions in the same order get the same answers: a file that is answered twice is answered alike. Where
    gradients are asked for, they are those of the text as it is. The ledger counts the copies.

    Args:
        tokenizer: whose mask token hides.
        seed: of the copies.

    Raises:
        ModelError: the tokenizer has no mask token.
    """

    drawn = True

    def __init__(
        self,
        model: Any,
        voting: Voting,
        tokenizer: Any,
        *,
        precision: Precision = "fp32",
        budget: int | None = None,
        progress: Callable[[int], None] | None = None,
        identity: Identity | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(model, precision=precision, budget=budget, progress=progress, identity=identity)
        self.voting, self.tokenizer, self.seed = voting, tokenizer, seed
        self._frame, self._mask = frame(tokenizer), MaskToken.of(tokenizer).id
        self._questions = 0

    def ask(self, examples: Examples, ask: Ask, *, fresh: bool = False) -> list[NDArray]:
        """One answer an example, in the order of the examples; always computed."""
        if ask.gradients:
            return super().ask(examples, ask, fresh=True)
        self._questions += 1
        found = voted(
            _Copies(super().ask),
            examples,
            ask,
            masks=self.voting.copies,
            share=self.voting.share,
            mask_id=self._mask,
            frame=self._frame,
            seed=self.seed + self._questions,
        )
        return list(found.logits.astype(np.float32))

    def bare(self, model: Any = None, *, precision: Precision = "fp32") -> Voter:
        """As ``Scorer.bare``: of two, the same questions draw the same copies."""
        model = self.model if model is None else model
        return Voter(model, self.voting, self.tokenizer, precision=precision, budget=self.budget, seed=self.seed)


@dataclass(frozen=True)
class _Copies:
    """What answers each copy."""

    ask: Callable[..., list[NDArray]]
