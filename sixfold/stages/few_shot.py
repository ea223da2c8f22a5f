"""A classifier from a few rows a class, in three ways; the stage that transfers calls them, and a bench compares them.

``frozen`` puts a linear head on the base's embeddings, ``contrastive`` tunes the embeddings first (SetFit: Tunstall et
al. 2022, arXiv:2209.11055), ``full`` fine-tunes the base with its family's own head. There are no validation rows: what
is set here was found on other rows (docs/results.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import DataError, ModelError
from sixfold.models import Loaded, load, save
from sixfold.models.checks import check_safetensors
from sixfold.models.forward import Flat
from sixfold.score.logistic import logistic
from sixfold.score.scorer import Scorer
from sixfold.score.tuned import load_tuned
from sixfold.stages.training import device
from sixfold.tasks.contract import OnLong, Rows
from sixfold.tasks.embedding import Embedding, pooled
from sixfold.tasks.registry import from_settings, settings_of
from sixfold.tasks.text_classification import LabelPrediction, TextClassification
from sixfold.train.config import TrainConfig
from sixfold.train.events import Event
from sixfold.train.loop import fit

HEAD = "head.safetensors"
"""Beside the weights of an encoder: the linear head on its embeddings."""

STRENGTH = 100.0
"""Inverse of the L2 penalty of a linear head, as scikit-learn's ``C``, whose usual 1 is for longer vectors."""

FULL = TrainConfig(epochs=20, learning_rate=3e-4, patience=None)
CONTRASTIVE = TrainConfig(epochs=5, batch=16, learning_rate=3e-5, patience=None)
"""A batch counts classes: all drawn rows of a class go into one step, so that every row meets its fellows."""

Watch = Callable[[Iterable[Event]], Iterator[Event]]


class Headed(nn.Module):
    """An encoder and a linear head on its embeddings.

    No family of transformers has such a head, so a checkpoint keeps it in a file of its own.
    """

    def __init__(self, encoder: Any, weight: Tensor, bias: Tensor) -> None:
        """``weight`` is [classes, width], ``bias`` [classes]."""
        super().__init__()
        self.encoder = encoder
        self.config = encoder.config
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)

    def row_logits(self, flat: Flat) -> Tensor:
        """[rows, classes]"""
        return nn.functional.linear(pooled(self.encoder, flat), self.weight, self.bias)


@dataclass(frozen=True)
class Learnt:
    """A classifier that was learnt from a few rows.

    Attributes:
        task: knows the labels.
        model: a ``Headed``, or a model with its family's own head.
        tokenizer: the base's.
        digest: of the base.
        on_long: what happens to a text over the tokenizer's limit.
    """

    task: TextClassification
    model: Any
    tokenizer: Any
    digest: str
    on_long: OnLong = "truncate"

    def predictions(self, rows: Rows) -> list[LabelPrediction]:
        """What ``task.evaluate`` judges. Raises DataError where a text is too long and ``on_long`` is ``error``."""
        encoded = self.task.encode(rows, self.tokenizer, self.tokenizer.model_max_length, self.on_long)
        return self.task.predict(Scorer(self.model), encoded.examples)

    def save(self, folder: Path, lineage: Mapping[str, Any]) -> None:
        """Write a checkpoint: with the family's head one that ``sixfold predict`` opens to labels, else to vectors.

        Raises:
            StorageError: as ``models.save``.
        """
        kept = {"max_tokens": self.tokenizer.model_max_length, "on_long": self.on_long}
        if not isinstance(self.model, Headed):
            save(self.model, self.tokenizer, folder, lineage, extra_config={**settings_of(self.task), **kept})
            return
        head = {"weight": self.model.weight.detach().cpu(), "bias": self.model.bias.detach().cpu()}

        def beside(temporary: Path) -> None:
            save_file(head, temporary / HEAD, {"task": json.dumps(settings_of(self.task))})

        extra = {**settings_of(Embedding(labelled=True)), **kept}
        save(self.model.encoder, self.tokenizer, folder, lineage, extra_config=extra, also=beside)


def drawn(rows: Rows, k: int, seed: int) -> NDArray[np.int64]:
    """Indices of ``k`` rows of each label, ascending.

    What is drawn of a label hangs on its own rows alone, and fewer are a part of more.

    Raises:
        DataError: a label has fewer.
    """
    labels = np.array([str(label) for label in rows["label"]], dtype=object)
    chosen = []
    for label in sorted(set(labels)):
        places = np.flatnonzero(labels == label)
        if len(places) < k:
            raise DataError(
                f"there are not {k} rows of every label",
                found=f"{len(places)} of {label!r}",
                hint=f"draw {len(places)} or fewer, or leave this label out",
            )
        draw = np.random.default_rng((seed, *label.encode()))
        chosen.append(places[draw.permutation(len(places))[:k]])
    return np.sort(np.concatenate(chosen))


def frozen(
    base: str | Path, rows: Rows, *, seed: int, on_long: OnLong = "truncate", strength: float = STRENGTH
) -> Learnt:
    """A linear head on the embeddings of the base as it is.

    Args:
        base: as ``models.load`` takes it.
        rows: ``text`` and ``label``.
        strength: of the head, as ``logistic`` takes it.

    Raises:
        DataError: the rows have one label only.
        ModelError: the base cannot be used.
    """
    loaded = load(base, Embedding().head(), seed=seed)
    return _headed(loaded, rows, on_long, strength)


def contrastive(
    base: str | Path,
    rows: Rows,
    *,
    seed: int,
    on_long: OnLong = "truncate",
    strength: float = STRENGTH,
    train: TrainConfig = CONTRASTIVE,
    watch: Watch = iter,
) -> Learnt:
    """A linear head on embeddings that have learnt which rows have the same label.

    Args:
        train: of the embeddings; ``batch`` counts labels, all of whose rows go into one step.
        watch: sees the training events pass. The others, and what is raised: as ``frozen``.
    """
    task = Embedding(labelled=True)
    loaded = load(base, task.head(), seed=seed, dropout=train.dropout, attention_dropout=0.0)
    _train(loaded, task, rows, on_long, train, seed, watch)
    return _headed(loaded, rows, on_long, strength)


def full(
    base: str | Path,
    rows: Rows,
    *,
    seed: int,
    on_long: OnLong = "truncate",
    train: TrainConfig = FULL,
    watch: Watch = iter,
) -> Learnt:
    """The base fine-tuned with its family's own head. Arguments and what is raised: as ``contrastive``."""
    task = TextClassification().learn(rows)
    loaded = load(base, task.head(), seed=seed, dropout=train.dropout, attention_dropout=0.0, new_head=True)
    _train(loaded, task, rows, on_long, train, seed, watch)
    return Learnt(task, loaded.model, loaded.tokenizer, loaded.digest, on_long)


def _train(
    loaded: Loaded,
    task: Embedding | TextClassification,
    rows: Rows,
    on_long: OnLong,
    train: TrainConfig,
    seed: int,
    watch: Watch,
) -> None:
    examples = task.encode(rows, loaded.tokenizer, loaded.tokenizer.model_max_length, on_long).examples
    groups = _together(examples) if isinstance(task, Embedding) else None
    loaded.model.to(device())
    for _ in watch(fit(loaded.model, task, examples, train, seed=seed, groups=groups)):
        pass


def opened(folder: Path) -> Learnt:
    """What ``Learnt.save`` wrote.

    Raises:
        ModelError: it is something else, or damaged.
    """
    found, path = load_tuned(folder), folder / HEAD
    task, model = found.task, found.model
    if path.is_file():
        check_safetensors(path)
        with safe_open(path, "pt") as file:
            model = Headed(model, file.get_tensor("weight"), file.get_tensor("bias"))
            task = from_settings(json.loads(file.metadata()["task"]))
    if not isinstance(task, TextClassification):
        raise ModelError("this checkpoint gives no labels", where=folder, found=task.name)
    return Learnt(task, model.to(device()), found.tokenizer, found.digest, found.on_long)


def _together(examples: Examples) -> Ragged:
    """The examples of each label as one group."""
    labels = examples.dense("group")
    return Ragged.of([np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)], dtype=np.int64)


def _headed(loaded: Loaded, rows: Rows, on_long: OnLong, strength: float) -> Learnt:
    """A linear head on the model's embeddings of the rows."""
    task, embedding = TextClassification().learn(rows), Embedding(labelled=True)
    encoded = embedding.encode(rows, loaded.tokenizer, loaded.tokenizer.model_max_length, on_long)
    found = embedding.predict(Scorer(loaded.model.to(device())), encoded.examples)
    index = {label: place for place, label in enumerate(task.labels)}
    labels = torch.tensor([index[str(label)] for label in rows["label"]])
    vectors = torch.from_numpy(np.stack([one.text for one in found]))
    weight, bias = logistic(vectors, labels, len(task.labels), strength)
    model = Headed(loaded.model, weight.float(), bias.float()).to(device())
    return Learnt(task, model, loaded.tokenizer, loaded.digest, on_long)
