"""One dial for a model from nothing: from its size follow shape, tokens, batch and learning rate.

Every formula stands here beside its source, and every value is told with what it came from. ``scratch.py`` builds the
model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sixfold.errors import UsageError, unknown

Kind = Literal["encoder", "decoder"]
SizeName = Literal["tiny", "mini", "small", "medium", "base"]
Optimiser = Literal["adamw", "muon"]

SET = "set in the recipe"

LAYERS_AND_HEADS = {"tiny": (2, 2), "mini": (4, 3), "small": (6, 6), "medium": (8, 8), "base": (12, 12)}
"""A layer for every head, as BERT-base and GPT-2: at a given number of parameters the loss hardly depends on the shape
(Kaplan et al. 2020, arXiv:2001.08361, section 3.1). ``mini`` is narrower, to stand halfway between its neighbours."""

HEAD_WIDTH = 64
"""As BERT and GPT-2."""

CONTEXT = {"encoder": 512, "decoder": 1024}
"""As BERT and GPT-2."""

WINDOW = 128
"""Tokens that a layer with local attention sees around each (Warner et al. 2024, arXiv:2412.13663)."""

TOKENS_A_PARAMETER = 20
"""In this proportion, parameters and tokens make the best of compute (Hoffmann et al. 2022, arXiv:2203.15556)."""

MOST_EPOCHS = {"encoder": 40, "decoder": 4}
"""Passes over a text that still teach. Four for a decoder (Muennighoff et al. 2023, arXiv:2305.16264). An encoder's
words are hidden anew in every pass: BERT made about 40 (Devlin et al. 2019, A.2)."""

MUON_RATE = 0.02
"""One rate for every width (Jordan 2024, https://github.com/KellerJordan/Muon). ``bench/rates.py`` finds the best
between 0.02 and 0.03 at widths 64 and 128."""

BESIDE_MUON = 0.004
"""AdamW's rate at a width of 768 where Muon has the matrices (Karpathy's nanochat, for the output layer)."""

WARMUP_STEPS = 2_000
MOST_WARMUP = 0.1
WEIGHT_DECAY = 0.1
DROPOUT = 0.1


@dataclass(frozen=True)
class Derived:
    """A value, and what it came from."""

    name: str
    value: int | float | str
    reason: str


@dataclass(frozen=True)
class Size:
    """What a model of random weights is made of. The defaults are those of ModernBERT's class in transformers.

    Attributes:
        layers, width, heads: of the Transformer.
        inner: width inside the feed-forward part, which is gated (two matrices lead in, one out).
        context: most tokens of one text.
        window: tokens that two of three layers see, an encoder's around each (half of them on either side), a
            decoder's up to each; None: every layer sees all.
        rope_base: of the rotary embedding, in the layers that see all.
        deviation: standard deviation of the initial weights; those that lead back into the residual stream have
            1/√(2 layers) of it, as in GPT-2 (Radford et al. 2019, section 2.3).
    """

    layers: int
    width: int
    heads: int
    inner: int
    context: int = 512
    window: int | None = WINDOW
    rope_base: float = 160_000.0
    deviation: float = 0.02

    @property
    def matrices(self) -> int:
        """Parameters of the layers' matrices: queries, keys, values and output; three of the feed-forward part."""
        return self.layers * self.width * (4 * self.width + 3 * self.inner)


@dataclass(frozen=True)
class Training:
    """How long and how a model learns.

    Attributes:
        epochs: passes over the corpus; 0.5 is half a pass.
        tokens: in all of them.
        batch_tokens: that one optimiser step learns from.
        learning_rate: AdamW's, at its peak.
        muon_rate: Muon's, at its peak; None without Muon.
        warmup: share of the steps over which the rates rise.
        dropout: an encoder's.
        told: each value with its reason, in the order of reading.
    """

    epochs: float
    tokens: int
    batch_tokens: int
    optimiser: Optimiser
    learning_rate: float
    muon_rate: float | None
    schedule: Literal["linear", "cosine", "wsd"]
    warmup: float
    weight_decay: float
    dropout: float
    told: tuple[Derived, ...]


def shape(
    kind: Kind,
    size: str,
    *,
    layers: int | None = None,
    width: int | None = None,
    heads: int | None = None,
    inner: int | None = None,
    context: int | None = None,
    window: int | None = None,
) -> tuple[Size, tuple[Derived, ...]]:
    """The shape of a size, each value with its reason. What is given is taken, and the rest follows from it.

    Raises:
        UsageError: no such size; heads that do not divide the width evenly.
    """
    if size not in LAYERS_AND_HEADS:
        raise unknown("size", size, LAYERS_AND_HEADS)
    depth, usual_heads = LAYERS_AND_HEADS[size]
    told = [
        _derived("layers", layers, depth, f"a {size} {kind}"),
        _derived("width", width, HEAD_WIDTH * usual_heads, f"{usual_heads} heads of {HEAD_WIDTH}"),
    ]
    across = int(told[-1].value)
    told.append(_derived("heads", heads, max(1, across // HEAD_WIDTH), f"{across}/{HEAD_WIDTH}"))
    told.append(_derived("inner width", inner, *_inner(kind, across)))
    told.append(_derived("context", context, CONTEXT[kind], "as BERT" if kind == "encoder" else "as GPT-2"))
    deep, _, many, inside, longest = (int(each.value) for each in told)
    if across % (2 * many):
        raise UsageError(
            "the width must be an even multiple of the heads: rotary embeddings turn pairs of numbers",
            found=f"width {across}, {many} heads",
            hint=f"set width to {2 * many * max(1, across // (2 * many))}, or another number of heads",
        )
    usual = WINDOW if kind == "encoder" and longest > CONTEXT["encoder"] else None
    if kind == "encoder" or window is not None:
        told.append(_window(usual, window))
    told += [_rope_base(longest), _deviation(across)]
    base, deviation = (float(each.value) for each in told[-2:])
    return Size(deep, across, many, inside, longest, window or usual, base, deviation), tuple(told)


def training(
    kind: Kind,
    *,
    width: int,
    parameters: int,
    corpus_tokens: int,
    context: int,
    epochs: float | None = None,
    batch_tokens: int | None = None,
    optimiser: Optimiser | None = None,
    learning_rate: float | None = None,
    muon_rate: float | None = None,
) -> Training:
    """How a model from nothing learns, each value with its reason. What is given is taken.

    Args:
        kind: an encoder that fills masks, or a decoder that writes on.
        width: of the model.
        parameters: of the model.
        corpus_tokens: of one pass over the training text.
        context: most tokens of one example.
    """
    assert corpus_tokens > 0, "an empty corpus is refused before"
    passes = _epochs(kind, parameters, corpus_tokens) if epochs is None else Derived("epochs", epochs, SET)
    tokens = max(1, round(float(passes.value) * corpus_tokens))
    batch = _batch(tokens, context) if batch_tokens is None else Derived("batch tokens", batch_tokens, SET)
    steps = max(1, round(tokens / int(batch.value)))
    told = [
        passes,
        Derived("tokens", tokens, f"{float(passes.value):.3g} × {corpus_tokens:,}"),
        batch,
        Derived("steps", steps, f"{tokens:,}/{int(batch.value):,}"),
    ]
    chosen: Optimiser = "muon" if optimiser is None else optimiser
    why = "learns more from each token than AdamW (Jordan 2024)" if optimiser is None else SET
    rate = _rate(width, tokens, batch_tokens) if chosen == "adamw" else _rate_beside_muon(width)
    told += [
        Derived("optimiser", chosen, why),
        _derived("learning rate", learning_rate, float(rate.value), rate.reason),
    ]
    peak = float(told[-1].value)
    own = None
    if chosen == "muon":
        told.append(_derived("Muon's rate", muon_rate, MUON_RATE, "for the layers' matrices, at every width"))
        own = float(told[-1].value)
    warmup = min(MOST_WARMUP, WARMUP_STEPS / steps)
    dropout = DROPOUT if kind == "encoder" and float(passes.value) > MOST_EPOCHS["decoder"] else 0.0
    told += [
        Derived("schedule", "linear", "to 0: better than a cosine to a tenth (Bergsma et al. 2025, arXiv:2502.15938)"),
        Derived("warm-up", warmup, f"{WARMUP_STEPS:,} steps (Li et al. 2025), at most a tenth of all"),
        Derived("weight decay", WEIGHT_DECAY, "as GPT-3 (Brown et al. 2020, arXiv:2005.14165)"),
    ]
    if kind == "encoder":
        often = "the text is read more than four times" if dropout else "the text is read four times at most"
        told.append(Derived("dropout", dropout, often))
    return Training(
        epochs=float(passes.value),
        tokens=tokens,
        batch_tokens=int(batch.value),
        optimiser=chosen,
        learning_rate=peak,
        muon_rate=own,
        schedule="linear",
        warmup=warmup,
        weight_decay=WEIGHT_DECAY,
        dropout=dropout,
        told=tuple(told),
    )


def _derived(name: str, given: float | None, usual: float, reason: str) -> Derived:
    return Derived(name, usual, reason) if given is None else Derived(name, given, SET)


def _inner(kind: Kind, width: int) -> tuple[int, str]:
    """Three matrices of 8/3 of the width have as many parameters as two of 4 (Shazeer 2020, arXiv:2002.05202).

    Encoders are given less, as ModernBERT is (1.5), and more depth for it.
    """
    if kind == "encoder":
        return 2 * width, f"2 × {width}"
    return -(-8 * width // (3 * 64)) * 64, f"8/3 × {width}, in whole 64s"


def _window(usual: int | None, given: int | None) -> Derived:
    if given is not None:
        return Derived("attention", f"local ({given})", f"two of three layers, {SET}")
    if usual is None:
        return Derived("attention", "global", f"texts of {CONTEXT['encoder']} tokens at most")
    return Derived("attention", f"local ({usual})", "two of three layers, as ModernBERT")


def _rope_base(context: int) -> Derived:
    """10,000 up to 1,024 tokens (Su et al. 2021, arXiv:2104.09864); 160,000 at 8,192, as ModernBERT has at both.

    Between and beyond the line through the two: up to 64k tokens it stays above what Xu et al. 2024
    (arXiv:2405.14591, table 2) find to be the least that still tells places apart.
    """
    base = 10_000 * max(1.0, context / 1_024) ** (4 / 3)
    return Derived("RoPE base", float(round(base, -2)), f"10,000 × ({context:,}/1,024)^4/3, at least 10,000")


def _deviation(width: int) -> Derived:
    """Small initialisation (Nguyen & Salazar 2019, arXiv:1910.05895): the first logits are alike at every width."""
    return Derived("initial deviation", round((2 / (5 * width)) ** 0.5, 5), f"√(2/(5 × {width}))")


def _epochs(kind: Kind, parameters: int, corpus_tokens: int) -> Derived:
    wanted = TOKENS_A_PARAMETER * parameters / corpus_tokens
    most = MOST_EPOCHS[kind]
    if wanted > most:
        return Derived("epochs", float(most), f"the text is short: {wanted:,.0f} would give 20 tokens a parameter")
    reason = f"20 tokens for each of {parameters:,} parameters (Hoffmann et al. 2022)"
    return Derived("epochs", wanted, reason + ("; a larger size would read more of the text" if wanted < 1 else ""))


def best_batch(tokens: int) -> float:
    """Tokens in a step, from those in the run: Li et al. 2025 (arXiv:2503.04715), fitted on 3,700 decoders."""
    return 0.58 * tokens**0.571


def _batch(tokens: int, context: int) -> Derived:
    batch = max(context, round(best_batch(tokens) / context) * context)
    return Derived("batch tokens", batch, f"0.58 × {tokens:,}^0.571 (Li et al. 2025), in whole contexts of {context:,}")


def best_rate(width: int, tokens: int) -> float:
    """AdamW's peak learning rate at the best batch.

    In inverse proportion to the width (the maximal-update parametrisation: Yang et al. 2022, arXiv:2203.03466), and
    the higher the longer the run (Li et al. 2025). Constant and exponent are ours: within a factor of two of the best
    rates of ``bench/rates.py`` (widths 64 and 128, 192,000 tokens) and of a published grid (widths 768 to 3,072, 128
    million to a billion tokens: https://lucaslingle.substack.com/p/scaling-laws-for-optimal-lr-and-batch-1d4).
    """
    return (tokens / 1e8) ** 0.2 / width


def _rate(width: int, tokens: int, batch: int | None) -> Derived:
    """With a batch that was set, the rate goes with its square root (Malladi et al. 2022, arXiv:2205.10287)."""
    rate, reason = best_rate(width, tokens), f"({tokens:,}/10^8)^0.2/{width}"
    if batch is not None:
        best = best_batch(tokens)
        rate, reason = rate * (batch / best) ** 0.5, f"{reason} × √({batch:,}/{best:,.0f}) (batch)"
    return Derived("learning rate", float(f"{rate:.3g}"), reason)


def _rate_beside_muon(width: int) -> Derived:
    rate = BESIDE_MUON * (768 / width) ** 0.5
    return Derived("learning rate", float(f"{rate:.3g}"), f"{BESIDE_MUON} × √(768/{width}), as nanochat beside Muon")
