"""The next token of each text from its logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sixfold.generate.requests import Sampling


def chosen(
    logits: Tensor,
    settings: Sequence[Sampling],
    random: Sequence[torch.Generator],
    prompts: Sequence[Sequence[int]] = (),
    texts: Sequence[Sequence[int]] = (),
) -> Tensor:
    """[rows] the next token of each row.

    Args:
        logits: [rows, vocabulary]; -inf where a token is not allowed.
        settings, random: how each row chooses, and where its random numbers come from.
        prompts, texts: the tokens that each row was given, and those that it has; needed for penalties only.
    """
    if any(one.penalises for one in settings):
        logits = logits.clone()
        for row, one in enumerate(settings):
            if one.penalises:
                _penalise(logits[row], one, prompts[row], texts[row])
    out = logits.argmax(-1)
    for row, one in enumerate(settings):
        if one.temperature > 0:
            out[row] = _drawn(logits[row], one, random[row])
    return out


def _penalise(logits: Tensor, settings: Sampling, prompt: Sequence[int], text: Sequence[int]) -> None:
    """Change one row's logits [vocabulary] in place."""
    if settings.repetition_penalty != 1:
        seen = torch.tensor(sorted({*prompt, *text}), dtype=torch.long, device=logits.device)
        some, penalty = logits[seen], settings.repetition_penalty
        logits[seen] = torch.where(some > 0, some / penalty, some * penalty)
    if settings.presence_penalty and text:
        said = torch.tensor(sorted(set(text)), dtype=torch.long, device=logits.device)
        logits[said] -= settings.presence_penalty


def _drawn(logits: Tensor, settings: Sampling, random: torch.Generator) -> int:
    """One token from a row's logits [vocabulary]."""
    scaled = (logits - logits.max()) / settings.temperature  # so that a tiny temperature gives no infinities
    if settings.top_k and settings.top_k < len(scaled):
        values, tokens = scaled.topk(settings.top_k)
        probabilities = values.softmax(-1)
    else:
        probabilities, tokens = scaled.softmax(-1).sort(descending=True)
    if settings.min_p:
        probabilities = probabilities.masked_fill(probabilities < settings.min_p * probabilities[0], 0.0)
    if settings.top_p < 1:
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill(before >= settings.top_p * probabilities.sum(), 0.0)
    kept = probabilities.cumsum(-1)
    draw = torch.rand((), generator=random) * kept[-1]
    place = int(torch.searchsorted(kept, draw, right=True).clamp(max=int((probabilities > 0).sum()) - 1))
    return int(tokens[place])
