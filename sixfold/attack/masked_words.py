"""A masked language model that says which words fit a place. It is asked through the driver, as the scorer ``words``.

What it is asked and how its answers are read: ``perturb.masked``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from sixfold.attack.changes import Offer
from sixfold.attack.trial import Edits, Trial
from sixfold.data.examples import Examples, Ragged
from sixfold.errors import ModelError, UsageError
from sixfold.models.forward import Flat, token_logits
from sixfold.models.head import Head
from sixfold.models.load import load
from sixfold.perturb.words import Best, Contextual, Prompts, Sentence, applied
from sixfold.score.driver import Query, Search
from sixfold.score.scorer import Scorer
from sixfold.tasks.contract import Ask, Batch
from sixfold.tasks.encoding import Frame, frame

WORDS = "words"
"""The name of the model among a driver's scorers."""
TOKENS_AT_ONCE = 1024
"""Each has a row of logits over the whole vocabulary."""


@dataclass(frozen=True)
class MaskedWords:
    """A masked language model.

    Attributes:
        name: what it is called in reports.
        limit: tokens that it reads at once.
    """

    name: str
    scorer: Scorer
    tokenizer: Any
    digest: str
    around: Frame
    limit: int

    @classmethod
    def load(cls, ref: str | Path | None) -> Self:
        """The model that the user named.

        Raises:
            UsageError: none was named.
            ModelError: it does not fill masks. Others as for ``models.load``.
        """
        if ref is None:
            raise UsageError(
                "this attack takes its words from a masked language model, and none was named",
                hint="--words CHECKPOINT, one that `objective: masked_lm` of the pretrain stage made on text like "
                "yours, or hf:owner/name",
            )
        loaded = load(ref, Head("masked_lm"))
        if loaded.new_weights or loaded.tokenizer.mask_token_id is None:
            raise ModelError(
                "this model cannot say which word fits: it has not learnt to fill masks",
                where=ref,
                hint="name one that the pretrain stage made with objective: masked_lm",
            )
        limit = min(int(loaded.tokenizer.model_max_length), TOKENS_AT_ONCE)
        scorer = Scorer(loaded.model, budget=TOKENS_AT_ONCE)
        return cls(str(ref), scorer, loaded.tokenizer, loaded.digest, frame(loaded.tokenizer), limit)

    def best(self, prompts: Prompts, most: int) -> Search[list[Best]]:
        """Ask for the likeliest ``most`` tokens at every place of the prompts."""
        if not len(prompts):
            return []
        columns = {"input_ids": Ragged.of(prompts.ids), "place": Ragged.of(prompts.places, dtype=np.int64)}
        answers = yield Query(Examples(columns), _ask(most), WORDS)
        return [Best(answer[0].astype(np.int64), answer[1]) for answer in answers]


def fitting(model: MaskedWords, words: Contextual) -> Offer:
    """The words that a model finds fitting in the original text: asked for all words at once."""

    def of(trial: Trial, edits: Edits, position: int) -> Search[list[str]]:
        if words.name not in trial.known:
            trial.known[words.name] = yield from _found(model, words, trial.sentence, range(len(trial.sentence)))
        return trial.known[words.name][position]

    return Offer(f"words that {model.name} finds fitting, at most {words.most}", of, {WORDS: model.scorer})


def fitting_now(model: MaskedWords, words: Contextual) -> Offer:
    """The words that a model finds fitting in the text as it has become by then."""

    def of(trial: Trial, edits: Edits, position: int) -> Search[list[str]]:
        changed = Sentence.of(applied(trial.sentence.text, edits))
        # Where a change made one word two, the original is read: positions would not mean the same.
        sentence = changed if len(changed) == len(trial.sentence) else trial.sentence
        return (yield from _found(model, words, sentence, [position]))[0]

    what = f"words that {model.name} finds fitting in the text so far, at most {words.most}"
    return Offer(what, of, {WORDS: model.scorer})


def _found(
    model: MaskedWords, words: Contextual, sentence: Sentence, positions: Sequence[int]
) -> Search[list[list[str]]]:
    prompts = words.prompts(sentence, positions)
    best = yield from model.best(prompts, words.most)
    return words.candidates(sentence, positions, best)


def _ask(most: int) -> Ask:
    def read(model: torch.nn.Module, batch: Batch) -> list[NDArray]:
        logits = token_logits(model, batch["flat"])[batch["places"]].float()
        best = logits.log_softmax(dim=-1).topk(min(most, logits.shape[-1]), dim=-1)
        whole = torch.stack([best.indices.double(), best.values.double()]).cpu().numpy()
        return np.split(whole, np.cumsum(batch["asked"])[:-1], axis=1)

    return Ask(f"likeliest_{most}", _collate, read)


def _collate(examples: Examples) -> Batch:
    """The rows, and the places of all of them in the flat batch."""
    ids, places = examples.ragged("input_ids"), examples.ragged("place")
    whole = places.values + np.repeat(ids.offsets[:-1], places.lengths)
    return {
        "flat": Flat.of(ids.values, ids.lengths),
        "places": torch.from_numpy(whole.astype(np.int64)),
        "asked": places.lengths,
    }
