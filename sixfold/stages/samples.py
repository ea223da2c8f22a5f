"""What a pretrained model says, for a person to read: texts a decoder writes, words an encoder fills in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from sixfold.generate.engine import Generator, Sampling
from sixfold.models.forward import token_logits
from sixfold.tasks.causal_lm import CausalLM
from sixfold.tasks.contract import Limits
from sixfold.tasks.masked_lm import MaskedLM

if TYPE_CHECKING:
    import datasets

SHOWN = 5
NEW_TOKENS = 60
PROMPT_TOKENS = 8
FILLED_TOKENS = 64


def samples(
    model: nn.Module, tokenizer: Any, task: Any, held_out: datasets.Dataset, prompts: list[str]
) -> list[dict[str, Any]]:
    """A few examples; none for an objective that has nothing to show.

    Args:
        held_out: documents that the model did not learn from.
        prompts: beginnings for a decoder; without any, those of held-out documents.
    """
    if isinstance(task, CausalLM):
        return _written(model, tokenizer, prompts or _beginnings(tokenizer, held_out))
    if isinstance(task, MaskedLM):
        return _filled(model, tokenizer, task, held_out)
    return []


def _beginnings(tokenizer: Any, held_out: datasets.Dataset) -> list[str]:
    texts = held_out["text"][:SHOWN]
    ids = [_ids(tokenizer, text) for text in texts]
    return [tokenizer.decode(run[:PROMPT_TOKENS]) for run in ids if run]


def _ids(tokenizer: Any, text: str) -> list[int]:
    """The text's tokens; it may be longer than the model reads."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
    return ids


def _written(model: nn.Module, tokenizer: Any, prompts: list[str]) -> list[dict[str, Any]]:
    first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    writer = Generator(model, Sampling(temperature=0.8, top_p=0.95))
    new = min(NEW_TOKENS, writer.engine.context // 2)
    ids = [[first, *_ids(tokenizer, prompt)][: writer.engine.context - new] for prompt in prompts]
    limits = Limits(new, stop_ids=(tokenizer.eos_token_id,))
    written = writer.write(ids, limits) if ids else []
    return [
        {"prompt": prompt, "text": tokenizer.decode(run, skip_special_tokens=True)}
        for prompt, run in zip(prompts, written, strict=True)
    ]


def _filled(model: nn.Module, tokenizer: Any, task: MaskedLM, held_out: datasets.Dataset) -> list[dict[str, Any]]:
    """Held-out texts with hidden words: what stood there, and what the model puts there."""
    some = held_out.select(range(min(SHOWN, len(held_out))))
    examples = task.encode(some, tokenizer, FILLED_TOKENS, "truncate").examples
    device = next(model.parameters()).device
    out = []
    for place in range(len(examples)):
        batch = task.collate(examples.take([place]), np.random.default_rng(place))
        with torch.inference_mode():
            logits = token_logits(model, batch["flat"].to(device))[batch["places"].to(device)]
        shown = [tokenizer.convert_ids_to_tokens(one.tolist()) for one in (batch["target"], logits.argmax(-1).cpu())]
        hidden = tokenizer.decode(batch["flat"].input_ids.tolist()[1:-1])
        pairs = [{"truth": truth, "said": said} for truth, said in zip(*shown, strict=True)]
        out.append({"text": hidden, "hidden": pairs})
    return out
