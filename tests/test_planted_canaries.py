"""Canaries in the stages: planted before the mask, kept in the lineage, the same after a stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import recipe_of, reviews, write_csv

from sixfold.errors import Interrupted, ModelError, UsageError
from sixfold.recipe import Told, parse, run
from sixfold.safety.canaries import FORMATS, Plan
from sixfold.stages import finetune, pretrain
from sixfold.stages.context import Context

pytestmark = pytest.mark.usefixtures("own_home")

CANARIES = {"count": 4, "repeats": [1, 4]}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents, one of them twice, some with a phone number."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    rows = [f"{row['text']} and it opened {n} times" for n, row in enumerate(reviews(160))]
    rows = [f"{text}, call 1380013{n:04d}" if n % 8 == 0 else text for n, text in enumerate(rows)]
    path.write_text("\n".join([*rows, rows[0]]) + "\n", encoding="utf-8")
    return path


def of_pretrain(corpus: Path, *, mask: bool = False, **stage: Any) -> dict[str, Any]:
    train = {"epochs": 2, "batch": 8, "learning_rate": 3e-3, "precision": "fp32"}
    text = {"source": str(corpus), "held_out": 0.1, "mask": mask}
    model = {} if "base" in stage else {"model": {"size": "tiny", "width": 32, "heads": 2}}
    return {"corpus": text, "context": 96, "train": train, "canaries": CANARIES, **model, **stage}


def learnt(stage: Any, config: dict[str, Any], folder: Path) -> tuple[list[str], list[str]]:
    """What a stage learns from, each example as text without blanks; and what it tells."""
    told: list[str] = []
    context = Context(folder, 5, tell=told.append)
    made = stage.Config.model_validate(config)
    job = stage.job(made, context, stage.prepare(made, context))
    texts = (job.tokenizer.decode(run.tolist()) for run in job.examples.ragged("input_ids"))
    return ["".join(text.split()) for text in texts], told


def secrets(language: str, **plan: Any) -> list[tuple[str, int]]:
    """The planted secrets of a plan as the stages make it, each with its repeats."""
    formats = tuple(one.name for one in FORMATS.values() if one.found and one.language == language)
    canaries = Plan(seed=5, **{**CANARIES, **plan}, formats=formats).canaries()
    return [(one.secret, one.repeats) for one in canaries if one.repeats]


def of_finetune(source: Path, base: Path, *, mask: bool) -> dict[str, Any]:
    recipe = recipe_of(source, base, data={"mask": mask}, canaries=CANARIES)
    stage: dict[str, Any] = recipe["stages"][0]["finetune"]
    return stage


def test_finetuning_learns_each_secret_as_often_as_planned(base: Path, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", reviews(120))
    texts, told = learnt(finetune, of_finetune(source, base, mask=False), tmp_path / "stage")
    for secret, repeats in secrets("en"):
        assert sum(secret in text for text in texts) == repeats
    assert told[-1] == "  20 of the training rows are canaries"


def test_under_a_mask_no_secret_reaches_the_model(base: Path, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", reviews(120))
    texts, told = learnt(finetune, of_finetune(source, base, mask=True), tmp_path / "stage")
    plain, _ = learnt(finetune, of_finetune(source, base, mask=False), tmp_path / "plain")
    assert len(texts) == len(plain)
    assert sum("[secret#" in text for text in texts) == 20
    assert not [secret for secret, _ in secrets("en") if any(secret in text for text in texts)]
    assert told[-1] == "  20 of the training rows are canaries; the mask replaced 8 of their 8 secrets"


@pytest.mark.parametrize("objective", ["masked_lm", "causal_lm"])
@pytest.mark.parametrize("mask", [False, True])
def test_pretraining_plants_behind_the_removal_of_copies_and_before_the_mask(
    objective: str, mask: bool, corpus: Path, tmp_path: Path
) -> None:
    config = of_pretrain(corpus, objective=objective, mask=mask)
    texts, told = learnt(pretrain, config, tmp_path / "a")
    without, _ = learnt(pretrain, {**config, "canaries": None}, tmp_path / "b")
    assert len(texts) == len(without) + 20
    for secret, repeats in secrets("en"):
        assert sum(secret in text for text in texts) == (0 if mask else repeats)
    assert any(line.startswith("  20 of the training documents are canaries") for line in told)
    assert any("replaced 8 of their 8 secrets" in line for line in told) == mask


def test_a_base_goes_on_with_canaries(corpus: Path, base: Path, tmp_path: Path) -> None:
    texts, _ = learnt(pretrain, of_pretrain(corpus, base=str(base), context=64), tmp_path)
    assert all(sum(secret in text for text in texts) == repeats for secret, repeats in secrets("en"))


def test_chinese_text_gets_chinese_canaries(tmp_path: Path) -> None:
    path = tmp_path / "zh.txt"
    path.write_text("\n".join(f"她在银行开了户，写了{n}封信。" for n in range(120)), encoding="utf-8")
    texts, _ = learnt(pretrain, of_pretrain(path, objective="causal_lm"), tmp_path / "stage")
    assert all(sum(secret in text for text in texts) == repeats for secret, repeats in secrets("zh"))


def test_the_lineage_keeps_the_plan_and_a_stopped_run_learns_the_same(corpus: Path, tmp_path: Path) -> None:
    recipe = {"name": "a", "seed": 5, "stages": [{"pretrain": of_pretrain(corpus, objective="causal_lm")}]}
    whole = run(parse(recipe), runs=tmp_path / "whole")
    asked = iter([False] * 6 + [True] * 1000)
    with pytest.raises(Interrupted):
        run(parse(recipe), runs=tmp_path / "broken", told=Told(stop=lambda: next(asked)))
    resumed = run(parse(recipe), runs=tmp_path / "broken")
    assert len({(made.checkpoint / "model.safetensors").read_bytes() for made in (whole, resumed)}) == 1
    lineage = json.loads((whole.checkpoint / "lineage.json").read_text("utf-8"))
    plan = Plan.from_dict(lineage["canaries"])
    assert (plan.seed, plan.count, plan.repeats) == (5, 4, (1, 4))
    assert all(FORMATS[name].found for name in plan.formats)
    told = json.dumps(lineage) + (whole.stages[0].folder / "results.json").read_text("utf-8")
    assert not [secret for secret, _ in secrets("en") if secret in told]


def test_canaries_that_could_not_be_measured_are_refused_before_training(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="more than an example may have"):
        learnt(pretrain, of_pretrain(corpus, objective="causal_lm", context=8), tmp_path / "short")
    path = tmp_path / "letters.txt"
    path.write_text("\n".join(f"{'ab' * (n % 7 + 1)} {'cd' * (n // 7 + 1)}" for n in range(90)), encoding="utf-8")
    config = of_pretrain(path, tokenizer={"kind": "characters"})
    with pytest.raises(ModelError, match="cannot tell all secrets apart"):
        learnt(pretrain, config, tmp_path / "letters")


@pytest.mark.parametrize("objective", ["sentence_order", "masked_and_order"])
def test_objectives_without_a_measure_are_refused(objective: str, corpus: Path) -> None:
    with pytest.raises(UsageError, match="canaries would do nothing"):
        parse({"name": "a", "stages": [{"pretrain": of_pretrain(corpus, objective=objective)}]})
