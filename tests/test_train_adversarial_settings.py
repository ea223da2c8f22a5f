"""What may be set of adversarial training: derived sizes, told with their reasons; refusals; what a step costs."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from small_classifier import TASK, WIDTH, classifier, examples, settings

from sixfold.train.adversarial import work
from sixfold.train.config import AdversarialConfig, TrainConfig
from sixfold.train.events import Started
from sixfold.train.loop import fit


def test_sizes_are_shares_of_a_mean_embedding_and_told_with_their_reason() -> None:
    model = classifier()
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(torch.eye(40, WIDTH))  # 16 rows of norm 1 and 24 of norm 0
    config = settings(adversarial={"method": "pgd", "epsilon": 0.5})
    started = next(fit(model, TASK, examples(), config, seed=1))
    assert isinstance(started, Started)
    told = {choice.name: (choice.value, choice.reason) for choice in started.choices}
    assert told["adversarial training"] == (
        "pgd",
        "3 steps uphill from 0; their end is learnt from, and the text itself",
    )
    shares = "× 0.4, the mean norm of a word embedding"
    assert told["largest perturbation"] == (pytest.approx(0.2), f"0.5 {shares}")
    assert told["step of the perturbation"] == (pytest.approx(0.1), f"0.25 {shares}")


def test_a_resumed_run_has_the_sizes_of_the_first(tmp_path: Path) -> None:
    """The embeddings grow while it trains; the sizes are those of the model that it began with."""
    config = settings(learning_rate=0.1, save_minutes=0, adversarial={"method": "fgm"})
    run = fit(classifier(), TASK, examples(), config, seed=1, folder=tmp_path)
    first, *_ = islice(run, 8)
    run.close()
    again = next(fit(classifier(), TASK, examples(), config, seed=1, folder=tmp_path))
    assert isinstance(first, Started)
    assert isinstance(again, Started)
    assert again.first_step > 0
    assert again.choices == first.choices


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"method": "fgm", "steps": 3, "start": "random"}, "leave out steps, start"),
        ({"method": "fgsm"}, "'fgm', 'pgd', 'freelb' or 'hotflip'"),
        ({"method": "pgd", "epsilon": 0}, "greater than 0"),
        ({"method": "pgd", "epsilon": float("inf")}, "finite"),
        ({"method": "pgd", "alpha": 1}, "alpha"),
        ({"epsilon": 1}, "method"),
    ],
)
def test_what_does_not_fit_is_an_error_of_the_config(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AdversarialConfig.model_validate(given)


def test_mixup_goes_together_with_neither_adversarial_training_nor_r_drop() -> None:
    with pytest.raises(ValidationError, match="with adversarial and r_drop"):
        settings(mixup=0.2, r_drop=1.0, adversarial={"method": "fgm"})


@pytest.mark.parametrize(
    ("dials", "passes"),
    [
        ({}, 3),
        ({"train_base": False}, 1),
        ({"r_drop": 1.0}, 6),
        ({"adversarial": {"method": "fgm"}}, 6),
        ({"adversarial": {"method": "pgd", "steps": 3}}, 10),
        ({"adversarial": {"method": "pgd", "steps": 3, "start": "random"}}, 12),
        ({"adversarial": {"method": "freelb", "steps": 3}}, 9),
        ({"adversarial": {"method": "freelb", "steps": 3}, "r_drop": 1.0}, 18),
        ({"adversarial": {"method": "fgm"}, "train_base": False}, 3),
        ({"adversarial": {"method": "freelb", "steps": 3}, "train_base": False}, 5),
    ],
)
def test_the_work_of_a_step_in_forward_passes(dials: dict[str, Any], passes: int) -> None:
    assert work(TrainConfig.model_validate(dials)) == passes
