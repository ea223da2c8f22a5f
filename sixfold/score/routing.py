"""Which adapter a text goes by when nobody says: a small classifier of domains on what the frozen base makes of it.

Its features are means over a text's tokens, of their embeddings (which cost next to nothing) or of the base's last
hidden states (a pass of the base). A multinomial logistic regression tells domains apart by them; where it is not sure
enough, the text goes by the fallback. How sure that is comes from held-out rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sixfold.data.examples import Examples
from sixfold.errors import DataError, ModelError
from sixfold.fetch.folders import replacing_file, sha256, write_text
from sixfold.metrics.calibration import fit_temperature, softmax
from sixfold.models.forward import Flat, hidden_states
from sixfold.models.save import full_disk
from sixfold.score.logistic import logistic
from sixfold.score.scorer import Scorer
from sixfold.tasks.contract import Ask, Batch

Features = Literal["embeddings", "hidden"]

SETTINGS, WEIGHTS = "router.json", "router.safetensors"
STRENGTH = 1.0
"""Of the regression (``logistic.py``), on features of unit variance."""


@dataclass(frozen=True)
class Held:
    """What the held-out rows said.

    Attributes:
        rows: how many there were.
        right: of them, sent to their domain if none went by the fallback.
        sure: those at least as sure as the threshold.
        sure_right: of these, sent to their domain.
    """

    rows: int
    right: int
    sure: int
    sure_right: int


@dataclass(frozen=True)
class Route:
    """Where a text goes: ``adapter`` is the likeliest domain, or the fallback (None is the base alone)."""

    adapter: str | None
    domain: str
    confidence: float


@dataclass(frozen=True, eq=False)
class Router:
    """Sends texts to adapters.

    Attributes:
        domains: names of adapters, in the order of the outputs.
        weight, bias: float64 [domains, width] and [domains] of the logits; a temperature is in them.
        threshold: with a confidence under this a text goes by the fallback.
        fallback: name of an adapter; None is the base alone.
        features: what it reads.
        base: digest of the base whose features they are.
        held: what the threshold was set on.
    """

    domains: tuple[str, ...]
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    threshold: float
    fallback: str | None
    features: Features
    base: str
    held: Held

    def probabilities(self, features: NDArray) -> NDArray[np.float64]:
        """[rows, domains] from what ``features_of`` gives."""
        return softmax(features.astype(np.float64) @ self.weight.T + self.bias)

    def routes(self, scorer: Scorer, examples: Examples) -> list[Route]:
        """Where each example goes.

        Args:
            scorer: of the base, or of a ``Mixed`` on it; its ledger counts hidden states that are computed.
        """
        if not len(examples):
            return []
        shares = self.probabilities(features_of(scorer, examples, self.features))
        return [
            Route(
                self.domains[best] if share[best] >= self.threshold else self.fallback,
                self.domains[best],
                float(share[best]),
            )
            for share, best in zip(shares, shares.argmax(1).tolist(), strict=True)
        ]

    def save(self, folder: Path) -> None:
        """Write it beside a checkpoint's adapters, in the folder ``adapters``.

        Raises:
            StorageError: it could not be written.
        """
        from safetensors.torch import save_file

        weights = {"weight": torch.from_numpy(self.weight).contiguous(), "bias": torch.from_numpy(self.bias)}
        with replacing_file(folder / WEIGHTS, parents=True) as temporary, full_disk(folder):
            save_file(weights, temporary)
        told = {name: value for name, value in asdict(self).items() if name not in weights}
        told["sha256"] = sha256(folder / WEIGHTS)
        write_text(folder / SETTINGS, json.dumps(told, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: Path, *, base: str) -> Router:
        """Read what ``save`` wrote.

        Args:
            base: digest of the base that it is to read; a router of another base is refused.

        Raises:
            ModelError: there is none, it is damaged, or it belongs to another base.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = folder / SETTINGS
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            weights = load_file(folder / WEIGHTS)
            digest = told.pop("sha256")
            made = cls(
                domains=tuple(map(str, told.pop("domains"))),
                weight=weights["weight"].numpy(),
                bias=weights["bias"].numpy(),
                threshold=float(told.pop("threshold")),
                fallback=told.pop("fallback"),
                features=told.pop("features"),
                base=str(told.pop("base")),
                held=Held(**told.pop("held")),
            )
            if told or made.features not in _READ or len(made.weight) != len(made.domains):
                raise ValueError(f"settings that this version does not know: {', '.join(told) or made.features}")
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ModelError("the router cannot be read", where=path, found=error) from error
        if digest != sha256(folder / WEIGHTS):
            raise ModelError("the router's weights are not those it was saved with", where=folder / WEIGHTS)
        if made.base != base:
            raise ModelError(
                "the router belongs to another base",
                where=path,
                found=f"{made.base[:12]}, not {base[:12]}",
                hint="fit it again on this base",
            )
        return made


def fit(
    scorer: Scorer,
    learnt: tuple[Examples, Sequence[str]],
    held_out: tuple[Examples, Sequence[str]],
    *,
    base: str,
    fallback: str | None = None,
    features: Features = "embeddings",
    wanted: float = 0.95,
) -> Router:
    """Learn which domain examples are of.

    Args:
        scorer: of the base, or of a ``Mixed`` on it.
        learnt: examples and their domains, which are names of adapters.
        held_out: others, which set the temperature and the threshold: the lowest with which the share ``wanted`` of
            those that are sure enough goes to its domain.

    Raises:
        DataError: fewer than two domains, a domain among the held-out rows alone, no held-out rows, or none of them
            sure enough.
    """
    domains = tuple(sorted(set(learnt[1])))
    strange = sorted(set(held_out[1]) - set(domains))
    if len(domains) < 2 or strange or not held_out[1]:
        raise DataError(
            "a router needs rows of two domains at least, and held-out rows of the same",
            found=f"{', '.join(domains) or 'none'}; held out: {', '.join(sorted(set(held_out[1]))) or 'none'}",
        )
    number = {domain: place for place, domain in enumerate(domains)}
    gold, held_gold = (np.array([number[name] for name in names]) for names in (learnt[1], held_out[1]))
    weight, bias = regression(features_of(scorer, learnt[0], features), gold, len(domains))
    logits = features_of(scorer, held_out[0], features).astype(np.float64) @ weight.T + bias
    heat = fit_temperature(logits, held_gold).value
    shares = softmax(logits, heat)
    threshold, held = sure_enough(shares.max(1), shares.argmax(1) == held_gold, wanted)
    return Router(domains, weight / heat, bias / heat, threshold, fallback, features, base, held)


def features_of(scorer: Scorer, examples: Examples, features: Features) -> NDArray[np.float32]:
    """[examples, width] what a router reads, of the base alone whatever adapters the examples go by."""
    plain = Examples({name: column for name, column in examples.columns.items() if name in ("input_ids", "row")})
    return np.stack(scorer.ask(plain, Ask(f"router {features}", _collate, _READ[features])))


def regression(
    features: NDArray, gold: NDArray[np.int64], domains: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights [domains, width] and biases [domains] of a multinomial logistic regression, by L-BFGS.

    Args:
        features: [rows, width]; they are brought to mean 0 and variance 1 meanwhile.
        gold: [rows] the right outputs.
    """
    given = torch.from_numpy(features.astype(np.float64))
    mean, spread = given.mean(0), given.std(0, correction=0).clamp(min=1e-9)
    x, y = (given - mean) / spread, torch.from_numpy(gold)
    weight, bias = logistic(x, y, domains, STRENGTH)
    slopes = weight / spread
    return slopes.numpy(), (bias - slopes @ mean).numpy()


def sure_enough(confidence: NDArray, right: NDArray[np.bool_], wanted: float) -> tuple[float, Held]:
    """The lowest confidence from which the share ``wanted`` of the rows [rows] is right, and how many they are.

    Raises:
        DataError: not even of the surest rows.
    """
    order = np.argsort(-confidence, kind="stable")
    counts = np.arange(1, len(order) + 1)
    rights = np.cumsum(right[order])
    last = np.append(np.diff(confidence[order]) < 0, True)  # rows of one confidence are taken together
    good = np.flatnonzero(last & (rights >= wanted * counts))
    if not len(good):
        raise DataError(
            f"no held-out rows, however sure, are sent to their domain in {wanted:.0%} of cases",
            found=f"{int(right.sum()):,} of {len(right):,} right",
            hint="ask for a lower share, or give more rows to learn from",
        )
    place = int(good[-1])
    return float(confidence[order[place]]), Held(len(right), int(right.sum()), place + 1, int(rights[place]))


def _collate(examples: Examples) -> Batch:
    ids = examples.ragged("input_ids")
    return {"flat": Flat.of(ids.values, ids.lengths)}


def _embedded(model: Any, batch: Batch) -> list[NDArray]:
    return _means(model.get_input_embeddings()(batch["flat"].input_ids), batch["flat"])


def _hidden(model: Any, batch: Batch) -> list[NDArray]:
    return _means(hidden_states(model, batch["flat"]), batch["flat"])


_READ = {"embeddings": _embedded, "hidden": _hidden}


def _means(vectors: Tensor, flat: Flat) -> list[NDArray]:
    """[width] a row, from [tokens, width]."""
    lengths = torch.tensor(flat.lengths, device=vectors.device)
    rows = torch.arange(len(lengths), device=vectors.device).repeat_interleave(lengths)
    sums = torch.zeros(len(lengths), vectors.shape[-1], device=vectors.device).index_add_(0, rows, vectors.float())
    return list((sums / lengths[:, None]).cpu().numpy())
