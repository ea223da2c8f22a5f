"""How hard secrets are for a model: what canaries and their candidates are ranked by, task by task.

- A causal language model says a text token by token: -log probability of all its tokens.
- A masked one fills in: each token of the secret is hidden in turn, the others stand (pseudo-log-likelihood, Salazar et
  al. 2020, arXiv:1910.14659). The sentence around the secret, the same for all, is not asked about: as many copies of a
  text as its secret has tokens. Hiding the whole secret would take one copy, but could not tell whether a digit is
  known from the others, which is what a text teaches of which some tokens are hidden.
- A classifier says nothing of a text but its label, and a canary's is drawn: to know it better than those of other
  secrets is to remember the secret. Its loss is the cross-entropy of that label, and a tagger's that of the secret's
  tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import ModelError, UsageError
from sixfold.metrics.intervals import Floats
from sixfold.models.forward import Flat
from sixfold.safety.canaries import FORMATS, Format, Plan
from sixfold.safety.planting import secret_tags, targets, words_of
from sixfold.score.scorer import Scorer
from sixfold.tasks.causal_lm import CausalLM
from sixfold.tasks.contract import Ask, Batch, Task
from sixfold.tasks.masked_lm import MaskedLM
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.text_loss import judged
from sixfold.tasks.texts import Texts
from sixfold.tasks.token_classification import TokenClassification


@dataclass(frozen=True)
class SecretLosses:
    """What each text with a secret costs.

    Attributes:
        nats: [texts, targets] the summed loss, if each answer (``planting.targets``) were the text's.
        asked: [texts] over how many tokens, labels or tags it is summed.
    """

    nats: Floats
    asked: NDArray[np.int64]


def secret_losses(
    task: Task, scorer: Scorer, tokenizer: Any, limit: int, form: Format, secrets: Sequence[str]
) -> SecretLosses:
    """The losses of a sentence with each of some secrets. Equal inputs are computed once.

    Args:
        task: fitted to the tokenizer, or with its labels learnt.
        limit: tokens of an example.
        secrets: as the sentence writes them, all different.

    Raises:
        UsageError: a text is longer than the limit, or the task is none that canaries can be planted for.
        ModelError: the tokenizer makes the same of two of the texts, or a loss is no number.
    """
    examples = _examples(task, tokenizer, limit, form, secrets)
    length = len(words_of(form, secrets[0], task)[1]) if isinstance(task, TokenClassification) else 0
    found = _asked(task, scorer, examples, length)
    if not np.isfinite(found.nats).all():
        raise ModelError("the model's losses are no numbers", hint="its weights are damaged, or it was not trained")
    return found


def check_askable(plan: Plan, task: Task, tokenizer: Any, limit: int) -> None:
    """Refuse canaries that could not be measured, before anything is learnt from them. Raises as ``secret_losses``."""
    for name in plan.formats:
        secrets = [FORMATS[name].spelt(int(digit * plan.digits), plan.digits) for digit in "0123456789"]
        _examples(task, tokenizer, limit, FORMATS[name], secrets)


def _examples(task: Task, tokenizer: Any, limit: int, form: Format, secrets: Sequence[str]) -> Examples:
    targets(task)  # refuses other tasks
    if isinstance(task, TokenClassification):
        parts = (words_of(form, secret, task) for secret in secrets)
        rows = Texts({"words": [[*row, *secret] for row, secret in parts]})
    else:
        rows = Texts({"text": [form.filled(secret) for secret in secrets]})
    encoded = task.encode(rows, tokenizer, limit, "truncate")
    if encoded.cut.long_rows:
        raise UsageError(
            f"a canary has {encoded.cut.longest:,} tokens, more than an example may have",
            found=limit,
            hint="plan secrets of fewer digits, or give the model a longer context",
        )
    _check_told_apart(encoded.examples)
    return encoded.examples


def _check_told_apart(examples: Examples) -> None:
    """Secrets of unknown tokens all look alike: their ranks would be about nothing."""
    different = len({run.tobytes() for run in examples.ragged("input_ids")})
    if different < len(examples):
        raise ModelError(
            "the tokenizer cannot tell all secrets apart",
            found=f"{different:,} inputs of {len(examples):,} secrets",
            hint="canaries need a vocabulary with all ten digits",
        )


def _asked(task: Task, scorer: Scorer, examples: Examples, length: int) -> SecretLosses:
    if isinstance(task, TextClassification):
        return _of_labels(task, task.joined(scorer.ask(examples, task.question()), examples))
    if isinstance(task, TokenClassification):
        return _of_tags(task, task.joined(scorer.ask(examples, task.question()), examples)[0], length)
    if isinstance(task, MaskedLM):
        return _filled_in(task, scorer, examples)
    assert isinstance(task, CausalLM)
    found = task.predict(scorer, examples)
    return SecretLosses(
        np.array([[one.nats] for one in found]), np.array([one.targets for one in found], dtype=np.int64)
    )


def _of_labels(task: TextClassification, logits: Floats) -> SecretLosses:
    if task.several:  # a sigmoid each: the drawn label is the text's only one
        nats = np.logaddexp(0.0, logits).sum(axis=1, keepdims=True) - logits
    else:
        nats = -log_softmax(logits)
    return SecretLosses(nats, np.ones(len(logits), dtype=np.int64))


def _of_tags(task: TokenClassification, logits: Sequence[Floats], length: int) -> SecretLosses:
    scores = log_softmax(np.stack([table[-length:] for table in logits]))
    columns = [[task.labels.index(tag) for tag in secret_tags(task, place, length)] for place in range(targets(task))]
    nats = np.stack([-scores[:, np.arange(length), tags].sum(axis=1) for tags in columns], axis=1)
    return SecretLosses(nats, np.full(len(logits), length, dtype=np.int64))


def log_softmax(logits: Floats) -> Floats:
    """The same shape, over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    out: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return out


def _filled_in(task: MaskedLM, scorer: Scorer, examples: Examples) -> SecretLosses:
    ids = examples.ragged("input_ids")
    before, behind = _shared(ids)
    asked = ids.lengths - before - behind
    rows = np.repeat(np.arange(len(ids)), asked)
    places = before + np.concatenate([np.arange(count) for count in asked])
    copies = ids.take(rows)
    where = copies.offsets[:-1] + places
    values = copies.values.copy()
    values[where] = task.mask_id
    hidden = Examples(
        {"input_ids": Ragged(values, copies.offsets), "place": places, "target": copies.values[where].astype(np.int64)}
    )
    answers = scorer.ask(hidden, Ask("hidden_token", _one_hidden, judged))
    nats = np.zeros((len(ids), 1))
    np.add.at(nats[:, 0], rows, [answer[:, 0].sum() for answer in answers])
    return SecretLosses(nats, asked)


def _one_hidden(examples: Examples) -> Batch:
    ids = examples.ragged("input_ids")
    return {
        "flat": Flat.of(ids.values, ids.lengths),
        "places": torch.from_numpy(ids.offsets[:-1] + examples.dense("place")),
        "target": torch.from_numpy(examples.dense("target")),
    }


def _shared(ids: Ragged) -> tuple[int, int]:
    """How many tokens all runs begin with, and how many they end with; the rest of each run is its secret."""
    shortest = int(ids.lengths.min())
    heads = np.stack([run[:shortest] for run in ids])
    tails = np.stack([run[len(run) - shortest :][::-1] for run in ids])
    before, behind = (int((table == table[0]).all(axis=0).cumprod().sum()) for table in (heads, tails))
    return before, min(behind, shortest - before)
