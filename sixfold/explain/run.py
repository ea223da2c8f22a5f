"""Explain many texts at once: each text is one search, and the driver merges what hundreds of them ask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from sixfold.errors import DataError, UsageError
from sixfold.explain import subjects
from sixfold.explain.attribution import Attribution, Explanation, Explanations
from sixfold.explain.decoder import Decoder
from sixfold.explain.faithfulness import Faithful, Measured, agreement, measured
from sixfold.explain.game import Floats, Game, Weights
from sixfold.explain.methods import USUAL, Explainer, Method, named
from sixfold.explain.occlusion import occlusion
from sixfold.explain.subjects import View
from sixfold.score.driver import Search, drive
from sixfold.score.subject import Subject

AT_ONCE = 256
"""Texts that are explained together."""

Given = str | Sequence[str]
"""A text, or a row of words."""


@dataclass(frozen=True)
class Plan:
    """What is asked of each text.

    Attributes:
        methods: explainers, by name.
        view: units, answer, filling.
        samples: copies of each text; every explainer's own number unless given.
        window: units that occlusion leaves out together.
        seed: what is drawn for a text hangs on it, on the text and on the explainer, not on other texts.
        seeds: how many seeds explainers that draw are run with; more than one tells how stable they are.
        faithful: whether each attribution is measured (``faithfulness.py``).
        flips: whether leaving out each unit by itself is tried for another answer.
    """

    methods: tuple[str, ...] = USUAL
    view: View = field(default_factory=View)
    samples: int | None = None
    window: int = 1
    seed: int = 0
    seeds: int = 1
    faithful: bool = False
    flips: bool = False

    def __post_init__(self) -> None:
        named(self.methods)
        for name, value in (("samples", self.samples), ("window", self.window), ("seeds", self.seeds)):
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1", found=value)


@dataclass(frozen=True)
class Skipped:
    """A text that could not be explained, and why."""

    number: int
    why: str


def explain(
    model: Subject | Decoder, texts: Given | Sequence[Given], plan: Plan | None = None, *, at_once: int = AT_ONCE
) -> Explanations:
    """Explain a text, or several; a row of words has an explanation for each entity that the model finds.

    Args:
        model: ``Subject.load(checkpoint)``, or ``Decoder.load(model)`` for the next token of a text.
        texts: one text, or a list of texts or of rows of words.
        at_once: texts that are explained together; changes the speed and nothing else.

    Raises:
        UsageError: no such explainer, label, unit or filling.
        DataError: a text is empty, too long for a model that refuses long texts, or shorter than a window.
        ModelError: what the model does not let an explainer see.
    """
    given = [texts] if isinstance(texts, str) else texts
    found = sorted(explained(model, given, plan or Plan(), at_once=at_once), key=lambda pair: pair[0])
    return Explanations(one for _, some in found for one in some)


def explained(
    model: Subject | Decoder, texts: Iterable[Given], plan: Plan, *, at_once: int = AT_ONCE, lenient: bool = False
) -> Iterator[tuple[int, list[Explanation]]]:
    """(number of the text, its explanations), in the order in which they are done.

    Args:
        lenient: a text that cannot be explained has no explanations, rather than ending everything.
    """
    searches = (_explained(model, number, given, plan, lenient) for number, given in enumerate(texts))
    yield from drive(searches, {"subject": model.scorer}, at_once=at_once)


def _explained(
    model: Subject | Decoder, number: int, given: Given, plan: Plan, lenient: bool
) -> Search[list[Explanation]]:
    try:
        if isinstance(model, Decoder):
            games = yield from model.games(given, plan.view)
        else:
            games = yield from subjects.games(model, given, plan.view)
        found = []
        for game in games:
            found.append((yield from _of_game(game, number, plan)))
        return found
    except DataError:
        if not lenient:
            raise
        return []


def _of_game(game: Game, number: int, plan: Plan) -> Search[Explanation]:
    methods = named(plan.methods)
    weights: list[Weights] = []
    stable: list[float | None] = []
    for method in methods:
        lines: list[Floats] = []
        for seed in range(plan.seed, plan.seed + (plan.seeds if method.drawn else 1)):
            one = yield from _explainer(method, plan)(
                game, _rng(game, method.name, seed), samples=_samples(method, plan)
            )
            lines.append(one.values)
            if seed == plan.seed:
                weights.append(one)
        stable.append(agreement(lines) if len(lines) > 1 else None)
    judged = Measured((), ())
    if plan.faithful:
        judged = yield from measured(game, [one.values for one in weights], _rng(game, "random", plan.seed))
    everything = np.ones((1, len(game)), dtype=np.bool_)
    found = yield from game.judged(np.concatenate([everything, ~np.eye(len(game), dtype=np.bool_)][: 1 + plan.flips]))
    faithful: Sequence[tuple[Faithful, ...]] = judged.of or [()] * len(methods)
    return Explanation(
        text=game.text,
        label=game.label,
        probability=float(found.probabilities[0]),
        spans=game.units.spans,
        by=plan.view.by,
        attributions=tuple(
            Attribution(method.name, tuple(one.values.tolist()), one.details, figures, steadiness)
            for method, one, figures, steadiness in zip(methods, weights, faithful, stable, strict=True)
        ),
        chance=judged.chance,
        where=game.where,
        unseen=game.units.unseen,
        beyond=game.beyond,
        number=number,
        flips=tuple((~found.holds[1:]).tolist()),
    )


def _explainer(method: Method, plan: Plan) -> Explainer:
    return partial(occlusion, window=plan.window) if method.name == "occlusion" else method.explain


def _samples(method: Method, plan: Plan) -> int:
    return plan.samples or method.samples


def _rng(game: Game, name: str, seed: int) -> np.random.Generator:
    content = hashlib.blake2b(f"{name}\n{game.label}\n{game.where}\n{game.text}".encode(), digest_size=8).digest()
    return np.random.default_rng([seed % 2**64, int.from_bytes(content)])
