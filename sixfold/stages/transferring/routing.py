"""Which adapter a text without a named domain goes by: learnt on training rows, set on validation rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sixfold.data.examples import Examples
from sixfold.errors import DataError
from sixfold.metrics.intervals import proportion
from sixfold.models import load
from sixfold.models.adapters.beside import FOLDER
from sixfold.models.head import Head
from sixfold.score.routing import Router, fit
from sixfold.score.scorer import Scorer
from sixfold.stages.training import device
from sixfold.stages.transferring.training import Work

Result = dict[str, Any]
MOST = 2_000
"""Training rows of a domain that it learns from, at most."""
WANTED = 0.9
"""Share of the rows that it is sure enough of which must go to their domain."""


def learnt(work: Work, checkpoint: Path, names: Sequence[str], *, own_model: bool) -> Result:
    """Learn where texts go, and write that beside the adapters.

    Args:
        names: of the adapters that are there.
        own_model: whether the checkpoint answers without an adapter: then it is what unsure texts go to. Otherwise they
            go to the adapter that learnt from the most rows; which one does best on test rows must not decide.

    Returns:
        what the report tells; ``missing`` says why there is none.
    """
    if any("validation" not in work.encoded[name] for name in names):
        return {"missing": "a domain has no validation rows to set the confidence on"}
    fallback = None if own_model else max(names, key=lambda name: len(work.domains.every[name].rows["train"]))
    loaded = load(checkpoint, Head("none"))
    scorer = Scorer(loaded.model.to(device()))
    try:
        router = fit(
            scorer,
            _examples(work, names, "train", MOST),
            _examples(work, names, "validation", MOST),
            base=loaded.digest,
            fallback=fallback,
            wanted=WANTED,
        )
    except DataError as error:
        return {"missing": f"{error.what}: {error.found}"}
    router.save(checkpoint / FOLDER)
    return _told(work, router, scorer, names)


def _examples(work: Work, names: Sequence[str], split: str, most: int) -> tuple[Examples, list[str]]:
    """First pieces of rows, and the domains that they are of."""
    parts, of = [], []
    for place, name in enumerate(names):
        found = work.encoded[name][split].examples
        first = np.unique(found.dense("row"), return_index=True)[1]
        chosen = np.sort(np.random.default_rng((work.context.seed, place)).permutation(first)[:most])
        parts.append(Examples({"input_ids": found.ragged("input_ids").take(chosen), "row": found.dense("row")[chosen]}))
        of += [name] * len(chosen)
    return Examples.joined(parts), of


def _told(work: Work, router: Router, scorer: Scorer, names: Sequence[str]) -> Result:
    """How it does on rows that nothing was set on."""
    found: list[bool] = []
    sure: list[bool] = []
    for name in names:
        examples, _ = _examples(work, [name], work.domains.every[name].split, MOST)
        routes = router.routes(scorer, examples)
        found += [one.domain == name for one in routes]
        sure += [one.confidence >= router.threshold for one in routes]
    both = [right for right, enough in zip(found, sure, strict=True) if enough]
    told = {
        "right": proportion("sent to their domain", sum(found), len(found)).to_dict(),
        "sure": proportion("sure enough", sum(sure), len(sure)).to_dict(),
        "threshold": router.threshold,
        "fallback": router.fallback,
    }
    if both:
        told["sure_right"] = proportion("sent to their domain, if sure", sum(both), len(both)).to_dict()
    return told
