"""The dials of steadier training through a recipe: handed to the training, told, and refused where they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_decoder
from tiny_runs import recipe_of, reviews, write_csv

from sixfold.errors import SixfoldError
from sixfold.recipe import Told, parse, run
from sixfold.train.tracking import read

pytestmark = pytest.mark.usefixtures("own_home")


def ran(folder: Path, base: Path, task: str = "classify", **train: Any) -> tuple[list[dict], list[str]]:
    """The training's log, and what was told."""
    told: list[str] = []
    source = write_csv(folder / "reviews.csv", reviews(60))
    made = run(
        parse(recipe_of(source, base, task=task, train={"epochs": 1, **train})),
        runs=folder / "runs",
        told=Told(told.append),
    )
    return read(made.stages[0].folder / "training/events.jsonl"), told


def test_a_recipe_can_ask_for_all_that_goes_together(base: Path, tmp_path: Path) -> None:
    log, _ = ran(tmp_path, base, adversarial={"method": "freelb", "steps": 2}, noise=1.0, mask_share=0.3, r_drop=1.0)
    choices = {choice["name"]: choice for choice in log[0]["choices"]}
    assert choices["adversarial training"]["reason"] == "2 passes from a random start, all learnt from alike"
    assert choices["largest perturbation"]["value"] > 0
    steps = [line for line in log if line["event"] == "step"]
    assert steps
    assert all(step["terms"].keys() == {"label", "adversarial"} for step in steps)


def test_a_recipe_can_ask_for_mixed_texts(base: Path, tmp_path: Path) -> None:
    log, _ = ran(tmp_path, base, mixup=0.2)
    assert log[-1]["event"] == "stopped"


@pytest.mark.parametrize(
    ("task", "train", "said"),
    [
        ("classify", {"adversarial": {"methd": "fgm"}}, "did you mean 'method'"),
        ("classify", {"adversarial": {"method": "fgm", "steps": 2}}, "leave out steps"),
        ("classify", {"mixup": 0.2, "r_drop": 1.0}, "mixup does not go together with r_drop"),
        ("entities", {"mixup": 0.2}, "only fits text_classification"),
        ("classify", {"mask_share": 1.0}, "less than 1"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_read(
    task: str, train: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(SixfoldError, match=said):
        parse(recipe_of(tmp_path / "none.csv", tmp_path / "none", task=task, train=train))


def test_masks_need_a_tokenizer_that_has_one(tmp_path: Path) -> None:
    with pytest.raises(SixfoldError, match="no mask token"):
        ran(tmp_path, tiny_decoder(tmp_path / "decoder"), mask_share=0.3)
