"""Why a decoder writes the token that it writes next: its log-probability as the answer that is explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sixfold.data.examples import Examples
from sixfold.errors import DataError, ModelError, UsageError
from sixfold.explain.game import Attention, Floats, Game, Judged, Path
from sixfold.explain.inside import attention_at, dotted, offsets_of
from sixfold.explain.masking import Copies, EditCopies, TokenCopies, stand_in
from sixfold.explain.subjects import View, sound
from sixfold.explain.units import units_of
from sixfold.models import load
from sixfold.models.forward import Flat, token_logits
from sixfold.models.head import Head
from sixfold.models.token_loss import has_split_head, token_judged, token_loss
from sixfold.score.cache import Cache, Identity
from sixfold.score.driver import Query, Search
from sixfold.score.edited import Splicer, Tokens
from sixfold.score.gradients import embedding_gradient
from sixfold.score.scorer import Scorer
from sixfold.score.subject import CACHE_BYTES
from sixfold.tasks.contract import Ask, Batch
from sixfold.tasks.encoding import Frame

OTHER_TOKENS = 4096
"""Tokens of a text unless the model's own limit is smaller."""


@dataclass(frozen=True)
class Decoder:
    """A language model that is asked for the token after a text.

    Attributes:
        limit: tokens that a text may have.
        frame: what stands before every text: the token that begins one, if the tokenizer puts it there.
    """

    scorer: Scorer
    tokenizer: Any
    limit: int
    frame: Frame
    splicer: Splicer

    @classmethod
    def load(cls, ref: str | FilePath, *, cache_bytes: int = CACHE_BYTES) -> Decoder:
        """Read a decoder: a folder, a name of the catalogue, ``hf:owner/name``.

        Raises:
            UsageError: there is no such model.
            ModelError: it is no decoder, or cannot be used.
        """
        loaded = load(ref, Head("causal_lm"))
        if loaded.new_weights:
            raise ModelError(
                "this model has no head that writes tokens",
                where=ref,
                found=f"{', '.join(loaded.new_weights[:3])} would be random",
                hint="give a decoder, or a checkpoint of sixfold finetune",
            )
        tokenizer = loaded.tokenizer
        scorer = Scorer(loaded.model, cache=Cache(cache_bytes), identity=Identity(loaded.digest))
        begin = tokenizer.bos_token_id
        starts = begin is not None and tokenizer("a")["input_ids"][:1] == [begin]
        limit = min(int(tokenizer.model_max_length), OTHER_TOKENS)
        return cls(scorer, tokenizer, limit, Frame((begin,) if starts else (), ()), Splicer(tokenizer))

    def games(self, given: str | Sequence[str], view: View) -> Search[list[Game]]:
        """The game of one text: why this token, ``view.label`` or the likeliest, comes next.

        Raises:
            UsageError: the label is not one token.
            DataError: the text is empty or too long.
        """
        if not isinstance(given, str):
            raise DataError("a decoder reads texts, not rows of words", found=repr(given)[:80])
        string = sound(given)
        tokens = Tokens.of(string, self.splicer)
        if len(tokens.ids) + len(self.frame) > self.limit:
            raise DataError(
                f"the text has {len(tokens.ids):,} tokens; the model reads {self.limit - len(self.frame):,} at most",
                found=string[:80],
            )
        offsets = offsets_of(tokens)
        units = units_of(string, offsets, view.by)
        fill, spelt = stand_in(self.tokenizer)
        owners = np.full(len(tokens.ids), -1) if units.shared else units.owners(len(offsets))
        plain = TokenCopies(tokens.ids, owners, self.frame, self.limit, "truncate", blank=fill)
        masked = replace(plain, fill=fill)
        target = yield from self._target(plain, len(units), view.label)
        copies: dict[str, Copies] = {"delete": _Asked(plain, target), "mask": _Asked(masked, target)}
        if units.shared:
            edited = EditCopies(tokens, units, plain), EditCopies(tokens, units, plain, spelt)
            copies = {name: _Asked(one, target) for name, one in zip(copies, edited, strict=True)}
        return [
            Game(
                text=string,
                units=units,
                label=str(self.tokenizer.decode([target])),
                ask=NEXT,
                judge=_judged,
                copies=copies,
                filling=view.filling or "delete",
                scale=view.scale,
                path=None if units.shared else self._path(masked, target),
                attention=None if units.shared else self._attention(plain),
            )
        ]

    def _path(self, masked: TokenCopies, target: int) -> Path:
        """From a text of masks to the text; what stands before every text stays."""
        before = np.full(len(self.frame), -1)
        inside = np.concatenate([before, np.zeros(len(masked.ids), dtype=np.int64)])
        whole = _Asked(replace(masked, owners=np.zeros(len(masked.ids), dtype=np.int64)), target)
        slopes = dotted(embedding_gradient("next token", _inputs, _loss, (len(self.frame), 0), path=True))

        def points(along: Sequence[float]) -> Query:
            examples = whole.examples(np.ones((len(along), 1), dtype=np.bool_))
            examples = examples.with_column("along", np.array(along, dtype=np.float32))
            return Query(examples.with_column("baseline", np.full(len(along), masked.fill)), slopes)

        def worth(answers: Sequence[NDArray], examples: Examples) -> Floats:
            return np.stack(answers)[:, 0].astype(np.float64)

        ends = Query(whole.examples(np.array([[True], [False]])), NEXT)
        return Path(points, ends, worth, np.concatenate([before, masked.owners]), inside >= 0)

    def _attention(self, plain: TokenCopies) -> Attention:
        whole = plain.examples(np.ones((1, int(plain.owners.max()) + 1), dtype=np.bool_))
        owners = np.concatenate([np.full(len(self.frame), -1), plain.owners])
        return attention_at(whole, whole.lengths - 1, NEXT, owners)

    def _target(self, copies: TokenCopies, units: int, label: str | None) -> Search[int]:
        if label is not None:
            ids = self.tokenizer(label, add_special_tokens=False)["input_ids"]
            if len(ids) != 1:
                raise UsageError(
                    "the answer of a decoder that is explained is one token",
                    found=f"{label!r} is {len(ids)} tokens: {', '.join(self.tokenizer.convert_ids_to_tokens(ids))}",
                    hint="mind the blank before a word: ' Paris'",
                )
            return int(ids[0])
        answers = yield Query(copies.examples(np.ones((1, units), dtype=np.bool_)), BEST)
        return int(answers[0][0])


@dataclass(frozen=True)
class _Asked:
    """Copies with the token that is asked about."""

    copies: Copies
    target: int

    def examples(self, kept: NDArray[np.bool_]) -> Examples:
        found = self.copies.examples(kept)
        return found.with_column("wanted", np.full(len(found), self.target))


def _judged(answers: Sequence[NDArray], examples: Examples) -> Judged:
    found = np.stack(answers).astype(np.float64)
    return Judged(np.exp(found[:, 0]), found[:, 1] > 0)


def _inputs(examples: Examples) -> Batch:
    ids = examples.ragged("input_ids")
    batch: Batch = {"flat": Flat.of(ids.values, ids.lengths), "ends": torch.from_numpy(ids.offsets[1:] - 1)}
    if "wanted" in examples.columns:
        batch["wanted"] = torch.from_numpy(examples.dense("wanted")).long()
    return batch


def _read(model: Any, batch: Batch) -> list[NDArray]:
    """[2] the token's log-probability, and whether it is the likeliest."""
    if has_split_head(model):
        ((losses, right),) = token_judged(model, batch["flat"], (batch["ends"], batch["wanted"]))
    else:
        lines = token_logits(model, batch["flat"])[batch["ends"]].float()
        losses = torch.nn.functional.cross_entropy(lines, batch["wanted"], reduction="none")
        right = lines.argmax(-1) == batch["wanted"]
    return list(torch.stack([-losses.float(), right.float()], dim=1).cpu().numpy())


def _loss(model: Any, batch: Batch) -> torch.Tensor:
    if has_split_head(model):
        return token_loss(model, batch["flat"], (batch["ends"], batch["wanted"]))[0]
    lines = token_logits(model, batch["flat"])[batch["ends"]].float()
    return torch.nn.functional.cross_entropy(lines, batch["wanted"], reduction="sum")


def _read_best(model: Any, batch: Batch) -> list[NDArray]:
    return list(token_logits(model, batch["flat"])[batch["ends"]].argmax(-1, keepdim=True).cpu().numpy())


NEXT = Ask("next token's log-probability", _inputs, _read)
BEST = Ask("likeliest next token", _inputs, _read_best)
