"""The kinds of adapters, as plain data. Their layers are in ``low_rank.py`` and ``bottleneck.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from sixfold.errors import UsageError, unknown

Placement = Literal["houlsby", "pfeiffer"]
Activation = Literal["relu", "gelu", "silu"]


@dataclass(frozen=True)
class Lora:
    """A low-rank update of each matrix (Hu et al. 2021, arXiv:2106.09685).

    Attributes:
        rank: of each update.
        alpha: an update counts ``alpha / rank``-fold.
        targets: names of the linear layers that get one, or ends of their paths; empty for all inside the layers.
    """

    rank: int = 16
    alpha: float = 32.0
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _positive(rank=self.rank, alpha=self.alpha)


@dataclass(frozen=True)
class AdaLora:
    """Low-rank updates P Λ Q whose ranks go where they matter (Zhang et al. 2023, arXiv:2303.10512).

    Attributes:
        rank: of an update on average, once the budget is reached.
        start_rank: of each update at first.
        alpha: an update counts ``alpha / start_rank``-fold.
        targets: as of ``Lora``.
        orthogonal: γ, the weight of the penalty that keeps P and Q orthogonal.
        beta1, beta2: how slowly the means of sensitivity and of its uncertainty move.
        start, end: shares of the run between which the budget falls.
        every: ΔT, steps from one allocation to the next.
    """

    rank: int = 8
    start_rank: int = 12
    alpha: float = 24.0
    targets: tuple[str, ...] = ()
    orthogonal: float = 0.1
    beta1: float = 0.85
    beta2: float = 0.85
    start: float = 0.1
    end: float = 0.5
    every: int = 10

    def __post_init__(self) -> None:
        _positive(rank=self.rank, alpha=self.alpha, every=self.every)
        if self.start_rank < self.rank:
            raise UsageError("start_rank is at least rank: ranks only go", found=f"{self.start_rank} and {self.rank}")
        if not 0 <= self.start <= self.end <= 1:
            raise UsageError("0 <= start <= end <= 1: shares of the run", found=f"{self.start} and {self.end}")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1 and self.orthogonal >= 0):
            raise UsageError("beta1 and beta2 are in [0, 1), and orthogonal is not negative")


@dataclass(frozen=True)
class Bottleneck:
    """Two thin layers with a bend between them, behind a sub-layer and before its residual sum.

    Attributes:
        size: numbers in the bottleneck.
        placement: ``houlsby`` behind attention and behind feed-forward (Houlsby et al. 2019, arXiv:1902.00751);
            ``pfeiffer`` behind feed-forward alone (Pfeiffer et al. 2021, arXiv:2005.00247).
        activation: the bend.
    """

    size: int = 64
    placement: Placement = "pfeiffer"
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        _positive(size=self.size)
        if self.placement not in get_args(Placement):
            raise unknown("placement", self.placement, get_args(Placement))
        if self.activation not in get_args(Activation):
            raise unknown("activation", self.activation, get_args(Activation))


@dataclass(frozen=True)
class BitFit:
    """The base's own biases learn, and nothing else of it (Ben Zaken et al. 2022, arXiv:2106.10199)."""


Adapter = Lora | AdaLora | Bottleneck | BitFit

KINDS: dict[str, type[Adapter]] = {"lora": Lora, "adalora": AdaLora, "bottleneck": Bottleneck, "bitfit": BitFit}


@dataclass(frozen=True)
class Added:
    """What putting an adapter on came to.

    Attributes:
        learning: numbers that learn, of the adapter and of the head.
        whole: numbers of the model without the adapter.
    """

    learning: int
    whole: int


def kind_of(adapter: Adapter) -> str:
    """The name of an adapter's kind."""
    return next(name for name, kind in KINDS.items() if type(adapter) is kind)


def _positive(**given: float) -> None:
    for name, value in given.items():
        if not 0 < value < float("inf"):
            raise UsageError(f"{name} of an adapter is more than 0", found=value)
