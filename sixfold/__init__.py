"""Sixfold takes a language model through its whole life on hardware that a team owns.

    import sixfold

    run = sixfold.finetune("reviews.csv", columns={"text": "review", "label": "stars"})
    run.model.predict(["Wonderful, I would come again."])

Names are imported when they are first used, so that ``import sixfold`` stays quick.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Torch's threads wait for each other by spinning. Where another program holds one of the cores, a spinning thread uses
# up the time that the one it waits for would need: a step took 20 times as long (docs/results.md). It is read when
# torch is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sixfold.commands.predict import Model
    from sixfold.data import read
    from sixfold.recipe import finetune_run as finetune
    from sixfold.recipe import load as load_recipe
    from sixfold.recipe import run

__all__ = ["Model", "finetune", "load_recipe", "read", "run"]

_WHERE = {
    "Model": ("sixfold.commands.predict", "Model"),
    "finetune": ("sixfold.recipe", "finetune_run"),
    "load_recipe": ("sixfold.recipe", "load"),
    "read": ("sixfold.data", "read"),
    "run": ("sixfold.recipe", "run"),
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        module, attribute = _WHERE[name]
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module 'sixfold' has no attribute {name!r}")
