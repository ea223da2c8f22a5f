"""One batch whose rows go by different adapters of one base.

The base's products are computed once for all rows. Then a low-rank update touches the tokens of its own rows: where
those are neighbours they are one slice, so a batch is best laid out by adapter (``by_adapter``); any other order gives
the same answers. An adapter's own head (a pooler, a classifier with labels of its own) reads its rows only.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import pad

from sixfold.errors import ModelError, unknown
from sixfold.models.adapters import files
from sixfold.models.forward import Flat, can_pack
from sixfold.models.products import rounded

COLUMN = "adapter"
"""The column of examples that says by which adapter each goes: its number, or ``BASE``."""
BASE = -1
"""In place of an adapter's number: the base alone."""

LOW_RANK = ("lora", "adalora")
"""Kinds whose whole work is a low-rank update of linear layers."""

Update = tuple[Tensor, Tensor, float]
"""A [rank, in], B [out, rank], and what their product counts."""
Span = tuple[int, int, int]
"""An adapter's number; its first row or token, and the one after its last."""


@dataclass(frozen=True)
class LowRank:
    """What an adapter changes.

    Attributes:
        updates: of linear layers, by their paths in the model.
        head: weights in place of the base's own, by their names in the model. The last layer may have another number
            of outputs.
    """

    updates: Mapping[str, Update]
    head: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, *, base_digest: str | None) -> LowRank:
        """Read an adapter's folder.

        Args:
            base_digest: of the base (``Loaded.digest``). None: whatever the base.

        Raises:
            ModelError: it is of a kind that is no low-rank update, belongs to another base, or is damaged.
        """
        told = files.read(folder)
        if told.kind not in LOW_RANK:
            raise ModelError(
                "an adapter of this kind cannot share a batch with others",
                where=folder,
                found=told.kind,
                hint=f"only {' and '.join(LOW_RANK)} can; run this one by itself",
            )
        if base_digest is not None:
            files.check_base(told, base_digest, folder)
        return cls(files.updates(folder), files.head(folder))

    @cached_property
    def digest(self) -> str:
        """Names what it computes, for keys of caches."""
        made = blake2b(digest_size=16)
        tensors = {name: (*pair, torch.tensor(scale)) for name, (*pair, scale) in self.updates.items()}
        for name, values in sorted({**tensors, **{name: (value,) for name, value in self.head.items()}}.items()):
            made.update(name.encode())
            for value in values:
                made.update(f"{value.dtype} {tuple(value.shape)}".encode())
                made.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return made.hexdigest()


@dataclass(frozen=True)
class _Layout:
    """Which rows, and of a packed batch which tokens, go by which adapter.

    Attributes:
        rows: in the batch.
        tokens: that a packed batch computes, filling included; 0 for a padded one.
        by_row, by_token: neighbours of one adapter. Rows of the base alone, and filling, are in none.
    """

    rows: int
    tokens: int
    by_row: tuple[Span, ...]
    by_token: tuple[Span, ...]

    def spans(self, vectors: int) -> Sequence[Span]:
        """Of the vectors that a layer is handed: one a token, or one a row where a head reads no more."""
        if vectors == self.tokens:
            return self.by_token
        if vectors == self.rows:
            return self.by_row
        if self.tokens and vectors == 1:  # BERT pools the packed rows as if they were one, and nobody reads it
            return ()
        each, rest = divmod(vectors, self.rows)
        ours = rest == 0 and not self.tokens
        assert ours, f"{vectors} vectors are not of this batch: {self}"
        return [(which, each * first, each * end) for which, first, end in self.by_row]


_LAYOUT: ContextVar[_Layout | None] = ContextVar("layout", default=None)


class MixedLinear(nn.Module):
    """A linear layer with an update for each adapter: x W' for all tokens, and x A' B' for those of its rows.

    On minilm-l6's layers in fp32 (one core of an EPYC with AVX-512, 512 to 2,048 tokens, rank 8) eight slices take 5
    to 13 % of the base's product, about as long as one. One product with all A stacked, and the foreign columns put to
    zero, took two to four times as long as eight slices.
    """

    def __init__(self, base: nn.Linear, updates: Mapping[int, Update]) -> None:
        super().__init__()
        self.base = base
        self.places = {which: place for place, which in enumerate(updates)}
        like = base.weight
        down = [_kept(a, like) for a, _, _ in updates.values()]
        up = [_kept(scale * b.float().t(), like) for _, b, scale in updates.values()]
        self.down, self.up = nn.ParameterList(down), nn.ParameterList(up)

    def forward(self, x: Tensor) -> Tensor:
        out = self.base(x)
        layout = _LAYOUT.get()
        if layout is None:
            return out
        inputs, sums = x.reshape(-1, x.shape[-1]), out.view(-1, out.shape[-1])
        for which, first, end in layout.spans(len(inputs)):
            place = self.places.get(which)
            if place is not None:
                _add(sums[first:end], inputs[first:end], self.down[place], self.up[place])
        return out


def _kept(value: Tensor, like: Tensor) -> nn.Parameter:
    return nn.Parameter(value.detach().to(like.device, like.dtype).contiguous(), requires_grad=False)


def _add(out: Tensor, x: Tensor, down: Tensor, up: Tensor) -> None:
    """Add x A' B' in place: [tokens, out] from [tokens, in], [rank, in], [rank, out]."""
    if out.dtype == x.dtype == up.dtype:
        out.addmm_(x @ down.t(), up)
    else:  # under autocast, which leaves products in place alone
        out += x @ down.t() @ up


class OwnLayer(nn.Module):
    """A layer of which adapters have their own, each with its number of outputs: -inf stands behind the fewer ones,
    so that a label which an adapter has not is impossible."""

    def __init__(self, base: nn.Module, own: Mapping[int, nn.Module]) -> None:
        super().__init__()
        self.base = base
        self.own = nn.ModuleDict({str(which): layer for which, layer in own.items()})

    def forward(self, x: Tensor) -> Tensor:
        layout = _LAYOUT.get()
        if layout is None:
            return self.base(x)
        inputs, parts, done = x.reshape(-1, x.shape[-1]), [], 0
        for which, first, end in layout.spans(len(inputs)):
            if str(which) not in self.own:
                continue
            if done < first:
                parts.append(self.base(inputs[done:first]))
            parts.append(self.own[str(which)](inputs[first:end]))
            done = end
        if done < len(inputs):
            parts.append(self.base(inputs[done:]))
        widest = max(part.shape[-1] for part in parts)
        whole = torch.cat([pad(part, (0, widest - part.shape[-1]), value=-torch.inf) for part in parts])
        return whole.view(*x.shape[:-1], widest)


class Mixed:
    """A base and its adapters.

    Args:
        model: of transformers; its layers are replaced in place by those of this module.
        adapters: by name; numbered in this order.

    Raises:
        ModelError: an adapter that does not fit the model.
    """

    def __init__(self, model: Any, adapters: Mapping[str, LowRank]) -> None:
        self.model = model
        self.names = tuple(adapters)
        self.digests = tuple(adapter.digest for adapter in adapters.values())
        own = list(adapters.values())
        layers = {path: layer for path, layer in model.named_modules() if path}
        made: dict[str, nn.Module] = {}
        for path in dict.fromkeys(path for adapter in own for path in adapter.updates):
            updates = {which: one.updates[path] for which, one in enumerate(own) if path in one.updates}
            for which, update in updates.items():
                _check_update(layers.get(path), update, self.names[which], path)
            made[path] = MixedLinear(layers[path], updates)
        heads = [_head_layers(layers, one.head, name) for name, one in adapters.items()]
        for path in dict.fromkeys(path for head in heads for path in head):
            assert path not in made, f"{path} is updated by one adapter and replaced by another"
            made[path] = OwnLayer(layers[path], {which: head[path] for which, head in enumerate(heads) if path in head})
        self.widths = _widths(layers, heads)
        for path, layer in made.items():
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, layer)

    def numbers(self, names: Sequence[str | None]) -> NDArray[np.int64]:
        """[rows] the number of each row's adapter, for the column ``COLUMN``; None is the base alone.

        Raises:
            UsageError: there is no such adapter.
        """
        known: dict[str | None, int] = {None: BASE, **{name: which for which, name in enumerate(self.names)}}
        for name in names:
            if name is not None and name not in known:
                raise unknown("adapter", name, self.names)
        return np.fromiter((known[name] for name in names), np.int64, len(names))

    @contextmanager
    def rows(self, numbers: Sequence[int] | NDArray[np.int64], flat: Flat | None = None) -> Iterator[None]:
        """The model with each row of a batch under its adapter, in this thread.

        Args:
            numbers: [rows] of adapters, or ``BASE``.
            flat: the batch, where ``models.forward`` runs it; without it rows lie along the first dimension.
        """
        which = np.asarray(numbers, dtype=np.int64)
        assert set(which.tolist()) <= {BASE, *range(len(self.names))}, "no such adapter"
        assert flat is None or len(flat.lengths) == len(which), "a row without an adapter's number"
        by_token: tuple[Span, ...] = ()
        tokens = 0
        if flat is not None and can_pack(self.model):
            tokens = rounded(len(flat.input_ids), flat.input_ids.device)
            by_token = _spans(which, np.array(flat.lengths, dtype=np.int64))
        token = _LAYOUT.set(_Layout(len(which), tokens, _spans(which, np.ones_like(which)), by_token))
        try:
            yield
        finally:
            _LAYOUT.reset(token)

    def cut(self, answer: NDArray, number: int) -> NDArray:
        """A row's answer [..., outputs] without the outputs that its adapter has not."""
        width = self.widths[number] if self.widths else None
        if width is None or answer.ndim == 0 or not np.isneginf(answer[..., width:]).all():
            return answer
        return answer[..., :width]


def by_adapter(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order in which rows of one adapter are neighbours, and otherwise as they were."""
    return np.argsort(numbers, kind="stable")


def _spans(which: NDArray[np.int64], sizes: NDArray[np.int64]) -> tuple[Span, ...]:
    """Neighbouring rows of one adapter, in units that a row has ``sizes`` of."""
    ends = [0, *np.cumsum(sizes).tolist()]
    spans, first = [], 0
    for number, group in groupby(which.tolist()):
        end = first + len(list(group))
        if number != BASE:
            spans.append((number, ends[first], ends[end]))
        first = end
    return tuple(spans)


def _check_update(layer: nn.Module | None, update: Update, adapter: str, path: str) -> None:
    down, up, _ = update
    wanted = (layer.in_features, layer.out_features) if isinstance(layer, nn.Linear) else None
    if wanted != (down.shape[-1], up.shape[0]) or down.shape[0] != up.shape[-1]:
        raise _misfit(adapter, f"{path}: A {list(down.shape)}, B {list(up.shape)}")


def _head_layers(layers: Mapping[str, nn.Module], head: Mapping[str, Tensor], adapter: str) -> dict[str, nn.Module]:
    """Copies of the model's layers with an adapter's weights, by path."""
    by_path: dict[str, dict[str, Tensor]] = {}
    for name, value in head.items():
        path, _, part = name.rpartition(".")
        by_path.setdefault(path, {})[part] = value
    made = {}
    for path, given in by_path.items():
        layer = layers.get(path)
        own = {} if layer is None else dict(layer.named_parameters(recurse=False))
        if layer is None or set(given) != set(own) or isinstance(layer, nn.Embedding):
            raise _misfit(adapter, f"{path}: {', '.join(given)}")
        made[path] = copy.deepcopy(layer).requires_grad_(False)
        if isinstance(layer, nn.Linear):
            setattr(made[path], "out_features", len(given["weight"]))  # noqa: B010 (mypy takes it for a weight)
        for part, value in given.items():
            outputs = len(given["weight"]) if isinstance(layer, nn.Linear) else len(own[part])
            if value.shape != (outputs, *own[part].shape[1:]):
                raise _misfit(adapter, f"{path}.{part} {list(value.shape)}")
            setattr(made[path], part, _kept(value, own[part]))
    return made


def _widths(layers: Mapping[str, nn.Module], heads: Sequence[Mapping[str, nn.Module]]) -> tuple[int, ...]:
    """Outputs of each adapter's head, and at last of the base's, where ``BASE`` finds it; empty where all are alike."""
    base: Any
    for path in dict.fromkeys(path for head in heads for path in head):
        base = layers[path]
        widths = tuple(getattr(head.get(path, base), "out_features", 0) for head in (*heads, {}))
        if len(set(widths)) > 1:
            return widths
    return ()


def _misfit(adapter: str, found: str) -> ModelError:
    return ModelError("the adapter does not fit this model", where=adapter, found=found)
