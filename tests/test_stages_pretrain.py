"""The pretrain stage: from a base and from nothing, each objective, resumed and skipped, and what it refuses."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

from sixfold.errors import Interrupted, SixfoldError, UsageError
from sixfold.recipe import Run, Told, parse, run
from sixfold.stages import pretrain

pytestmark = pytest.mark.usefixtures("own_home")

SUBJECTS, VERBS = ["the bank", "a clerk", "the judge", "银行", "她"], ["opened", "closed", "counted", "看了", "写了"]


def texts(count: int) -> list[str]:
    draw = random.Random(1)
    return [
        " ".join(f"{draw.choice(SUBJECTS)} {draw.choice(VERBS)} {number} times." for _ in range(draw.randint(2, 6)))
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    path.write_text("\n".join(texts(400)) + "\n", encoding="utf-8")
    return path


def recipe(corpus: Path, name: str = "a", **stage: Any) -> Any:
    train = {"epochs": 2, "batch": 8, "learning_rate": 3e-3, "precision": "fp32", **stage.pop("train", {})}
    given = {"corpus": {"source": str(corpus), "near": "off", "held_out": 0.1}, "context": 48, "train": train, **stage}
    return parse({"name": name, "stages": [{"pretrain": given}]})


def done(corpus: Path, folder: Path, told: list[str] | None = None, **stage: Any) -> Run:
    tell = (lambda line: None) if told is None else told.append
    return run(recipe(corpus, **stage), runs=folder, told=Told(tell))


NEW = {"tokenizer": {"kind": "wordpiece", "vocabulary": 200}, "model": {"size": "tiny", "width": 32, "heads": 2}}


@pytest.mark.parametrize("objective", ["masked_lm", "masked_and_order", "sentence_order"])
def test_an_encoder_from_nothing_learns_each_objective(objective: str, corpus: Path, tmp_path: Path) -> None:
    results = done(corpus, tmp_path, objective=objective, **NEW).stages[0].results
    losses = [step["loss"] for step in results["training"]["steps"]]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert set(results["evaluations"]["held_out"]["metrics"]) >= {"loss", "accuracy"}
    before, after = (one["metrics"]["loss"]["value"] for one in (results["before"], results["evaluations"]["held_out"]))
    assert after < before or objective == "sentence_order"  # an order of random sentences cannot be told
    assert results["tokens"]["train"] == sum(step["tokens"] for step in results["training"]["steps"]) / 2 or (
        objective != "masked_lm"  # the others add special tokens when they put pairs together
    )


def test_a_tokenizer_that_learns_from_a_part_of_the_text_says_so(corpus: Path, tmp_path: Path) -> None:
    told: list[str] = []
    done(corpus, tmp_path, told, **{**NEW, "tokenizer": {**NEW["tokenizer"], "characters": 2_000}})
    (line,) = (one for one in told if "the tokenizer learns from" in one)
    assert "from 2,000 of " in line


def test_the_checkpoint_loads_in_plain_transformers(corpus: Path, tmp_path: Path) -> None:
    made = done(corpus, tmp_path, **NEW)
    model, tokenizer = (kind.from_pretrained(made.checkpoint) for kind in (AutoModelForMaskedLM, AutoTokenizer))
    ids = tokenizer("the bank opened", return_tensors="pt")
    assert torch.isfinite(model(**ids).logits).all()
    assert len(tokenizer) == made.stages[0].results["vocabulary"] <= 200
    assert tokenizer.model_max_length == 48
    assert json.loads((made.checkpoint / "lineage.json").read_text())["stage"] == "pretrain"


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_a_decoder_from_nothing_learns_and_writes(architecture: str, corpus: Path, tmp_path: Path) -> None:
    model = {"size": "tiny", "width": 32, "heads": 2, "architecture": architecture}
    stage = {"tokenizer": {"kind": "bpe", "vocabulary": 400}, "model": model, "samples": ["the bank"]}
    made = done(corpus, tmp_path, objective="causal_lm", **stage)
    results = made.stages[0].results
    metrics = results["evaluations"]["held_out"]["metrics"]
    assert metrics["loss"]["value"] < np.log(results["vocabulary"]) - 1
    assert metrics["bits_per_byte"]["value"] > 0
    (sample,) = results["samples"]
    assert sample["prompt"] == "the bank"
    assert sample["text"]
    loaded = AutoModelForCausalLM.from_pretrained(made.checkpoint)
    assert loaded.config.model_type == architecture
    assert loaded.config.tie_word_embeddings


def test_copies_are_left_out_and_the_report_says_where(tmp_path: Path) -> None:
    path = tmp_path / "copies.txt"
    some = texts(100)
    path.write_text("\n".join([*some, *some[:7], some[3] + " 银行"]) + "\n", encoding="utf-8")
    text = {"source": str(path), "held_out": 0.1}
    wanted = parse(
        {"name": "a", "stages": [{"pretrain": {"corpus": text, "context": 48, "train": {"epochs": 1}, **NEW}}]}
    )
    made = run(wanted, runs=tmp_path / "runs")
    counts = made.stages[0].results["corpus"]["counts"]
    assert (counts["read"], counts["copies"]) == (108, 7)
    page = made.report.read_text("utf-8")
    assert "copies were left out" in page
    assert f"{path}:101 = {path}:1" in page


def test_a_base_goes_on_and_is_measured_before(corpus: Path, base: Path, tmp_path: Path) -> None:
    told: list[str] = []
    results = done(corpus, tmp_path, told, base=str(base), context=64).stages[0].results
    before, after = results["before"]["metrics"]["loss"], results["evaluations"]["held_out"]["metrics"]["loss"]
    assert after["value"] < before["value"]
    assert before["count"] == after["count"]  # the same words were hidden
    assert any(line.startswith("  new weights: cls.predictions") for line in told)
    assert results["lineage"]["parent"]


def test_fine_tuning_starts_from_what_was_pretrained(corpus: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    lines = [f'"{text}",{"zh" if "银行" in text else "en"}' for text in texts(200)]
    rows.write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    both = parse(
        {
            "name": "both",
            "stages": [
                recipe(corpus, **NEW).model_dump(exclude_unset=True)["stages"][0],
                {
                    "finetune": {
                        "task": "classify",
                        "data": {"source": str(rows), "allow": ["overlaps"]},
                        "train": {"epochs": 1},
                        "on_long": "truncate",
                    }
                },
            ],
        }
    )
    made = run(both, runs=tmp_path / "runs")
    first, second = (stage.results["lineage"] for stage in made.stages)
    assert first["parent"] is None
    assert second["parent"]
    assert "pretrain" in made.report.read_text("utf-8")


def test_a_stopped_run_goes_on_with_the_tokenizer_it_began_with(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = iter([False] * 5 + [True] * 1000)
    with pytest.raises(Interrupted):
        run(recipe(corpus, **NEW), runs=tmp_path, told=Told(stop=lambda: next(asked)))
    kept = (tmp_path / "a/01-pretrain/training/tokenizer/tokenizer.json").read_text("utf-8")
    monkeypatch.setattr(pretrain, "train_tokenizer", None)  # to train another would fail
    made = done(corpus, tmp_path, **NEW)
    again, before = (json.loads(text) for text in ((made.checkpoint / "tokenizer.json").read_text("utf-8"), kept))
    assert again["model"]["vocab"] == before["model"]["vocab"]
    assert not [path for path in (made.folder / "01-pretrain/training").iterdir() if path.name.startswith("token")]


def test_it_is_skipped_when_unchanged_and_resumed_when_stopped(corpus: Path, tmp_path: Path) -> None:
    whole = done(corpus, tmp_path / "whole", **NEW)
    asked = iter([False] * 12 + [True] * 1000)
    with pytest.raises(Interrupted):
        run(recipe(corpus, **NEW), runs=tmp_path / "broken", told=Told(stop=lambda: next(asked)))
    resumed = done(corpus, tmp_path / "broken", **NEW)
    weights = [(made.checkpoint / "model.safetensors").read_bytes() for made in (whole, resumed)]
    assert weights[0] == weights[1]
    assert not whole.stages[0].skipped
    assert done(corpus, tmp_path / "whole", **NEW).stages[0].skipped


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({"base": "x", "tokenizer": {"kind": "bpe"}}, "a base brings its own tokenizer"),
        ({"objective": "causal_lm", "model": {"architecture": "modernbert"}}, "not for modernbert"),
        ({"objective": "masked_lm", "model": {"architecture": "llama"}}, "not for llama"),
        ({"objective": "masked_lmm"}, "did you mean 'masked_lm'"),
        ({"train": {"metric": "f1"}}, "there is no metric 'f1'"),
        ({"objective": "causal_lm", "share": 0.2}, "share would do nothing"),
        ({"train": {"r_drop": 1.0}}, "train.r_drop would do nothing"),
        ({"objective": "causal_lm", "train": {"dropout": 0.1}}, "train.dropout would do nothing"),
        ({"base": "x", "train": {"muon_rate": 0.02}}, "muon_rate"),
        ({"model": {"size": "tinny"}}, "did you mean 'tiny'"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_read(stage: dict[str, Any], said: str, corpus: Path) -> None:
    with pytest.raises(UsageError, match=said):
        recipe(corpus, **stage)


def test_a_context_that_the_base_cannot_read_is_refused(corpus: Path, base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most"):
        done(corpus, tmp_path, base=str(base), context=100_000)


def test_a_tokenizer_without_what_the_objective_needs_is_refused(corpus: Path, tmp_path: Path) -> None:
    from sixfold.models.tokenizer_training import train_tokenizer

    train_tokenizer(texts(50), "bpe", vocabulary=300, use="decoder").save_pretrained(tmp_path / "decoder")
    with pytest.raises(SixfoldError, match="mask token"):
        done(corpus, tmp_path / "runs", tokenizer=str(tmp_path / "decoder"))


def test_an_empty_corpus_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text("\n\n")
    with pytest.raises(SixfoldError, match="no text"):
        done(path, tmp_path / "runs", **NEW)


LONG = {"tokenizer": {"kind": "bpe", "vocabulary": 300}, "model": {"size": "tiny", "width": 32, "heads": 2}}


@pytest.fixture(scope="module")
def long_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of some three hundred tokens, each a text of the short corpus said again and again."""
    path = tmp_path_factory.mktemp("long") / "long.txt"
    path.write_text("\n".join(" ".join([text] * 8)[:700] for text in texts(120)) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("objective", ["causal_lm", "masked_lm"])
def test_a_context_is_extended_and_the_loss_by_position_shows_it(
    objective: str, long_corpus: Path, tmp_path: Path
) -> None:
    first = recipe(long_corpus, objective=objective, context=64, **LONG).model_dump(exclude_unset=True)["stages"][0]
    second = {
        "name": "longer",
        "objective": objective,
        "corpus": first["pretrain"]["corpus"],
        "extend": {"context": 256},
        "train": {"epochs": 3, "learning_rate": 3e-3, "precision": "fp32"},
    }
    told: list[str] = []
    both = parse({"name": "a", "stages": [first, {"pretrain": second}]})
    made = run(both, runs=tmp_path / "runs", told=Told(told.append))
    short, long = (stage.results for stage in made.stages)
    assert [one["last"] for one in short["evaluations"]["held_out"]["positions"]] == [64]
    assert (long["context"], long["extended"]) == (256, {"from": 64, "to": 256})
    before, after = long["before"]["positions"], long["evaluations"]["held_out"]["positions"]
    assert [one["last"] for one in before] == [one["last"] for one in after] == [64, 128, 256]
    assert [one["loss"]["count"] for one in before] == [one["loss"]["count"] for one in after]
    if objective == "causal_lm":  # far from the base's context it knew nothing, and now it does
        assert after[-1]["loss"]["high"] < before[-1]["loss"]["low"]
    assert "  context: 256 (64 before)" in told
    assert "  batch: 8 (32 × 64/256: as many tokens a step)" in told
    assert any(line.startswith("  RoPE base") and "Liu et al. 2023" in line for line in told)
    config = json.loads((made.checkpoint / "config.json").read_text())
    assert (config["max_position_embeddings"], config["sixfold"]["max_tokens"]) == (256, 256)
    assert AutoTokenizer.from_pretrained(made.checkpoint).model_max_length == 256
    page = made.report.read_text("utf-8")
    assert "Loss by position" in page
    assert "129 to 256" in page
    assert "Beyond the base’s 64 tokens" in page or "Beyond the base&#39;s 64 tokens" in page
    assert long["lineage"]["parent"]


def test_a_text_as_long_as_the_longer_context_is_missing_and_the_report_says_so(corpus: Path, tmp_path: Path) -> None:
    first = recipe(corpus, objective="causal_lm", context=64, **LONG).model_dump(exclude_unset=True)["stages"][0]
    second = {
        "name": "longer",
        "objective": "causal_lm",
        "corpus": {**first["pretrain"]["corpus"], "source": {"train": [str(corpus)], "validation": str(corpus)}},
        "extend": {"context": 8192, "rope": "yarn"},
        "train": {"epochs": 0.1, "batch": 1},
    }
    short = tmp_path / "short.txt"
    short.write_text("the bank opened.\na clerk counted.\n", encoding="utf-8")
    second["corpus"]["source"]["validation"] = str(short)
    made = run(parse({"name": "a", "stages": [first, {"pretrain": second}]}), runs=tmp_path / "runs")
    page = made.report.read_text("utf-8")
    assert "No held-out text shows whether the model reads beyond" in page


def test_a_decoder_with_windows_learns_and_writes(corpus: Path, tmp_path: Path) -> None:
    model = {**LONG["model"], "layers": 3, "architecture": "qwen3", "window": 8}
    made = done(corpus, tmp_path, objective="causal_lm", **{**LONG, "model": model})
    config = AutoModelForCausalLM.from_pretrained(made.checkpoint).config
    assert (config.sliding_window, config.layer_types) == (8, ["full_attention", *["sliding_attention"] * 2])
    results = made.stages[0].results
    assert results["evaluations"]["held_out"]["metrics"]["loss"]["value"] < np.log(results["vocabulary"]) - 1
    assert all(sample["text"] for sample in results["samples"])


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({"extend": {"context": 4096}, "model": {"size": "tiny"}}, "a base brings its own model"),
        ({"base": "x", "extend": {"context": 4096, "rope": "dynamic"}}, "extend.rope"),
        ({"base": "x", "extend": {"length": 4096}}, "extend.length: there is no such key"),
        ({"objective": "causal_lm", "model": {"window": 64}}, "llama has no layers with a window"),
    ],
)
def test_what_cannot_be_extended_is_told_before_anything_is_read(
    stage: dict[str, Any], said: str, corpus: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        recipe(corpus, **stage)


def test_a_longer_context_needs_a_model_that_can_have_one(corpus: Path, base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model whose context could be extended"):
        done(corpus, tmp_path, extend={"context": 512})
    with pytest.raises(SixfoldError, match="bert cannot be given a longer context") as caught:
        done(corpus, tmp_path, base=str(base), extend={"context": 512})
    assert "a learnt vector for each of its 64 places" in str(caught.value)


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_a_context_that_is_too_long_names_the_key_that_helps(
    kind: str, corpus: Path, base: Path, tmp_path: Path
) -> None:
    from tiny import tiny_decoder

    decoder = {"base": str(tiny_decoder(tmp_path / "decoder", max_positions=64)), "objective": "causal_lm"}
    given = decoder if kind == "llama" else {"base": str(base)}
    with pytest.raises(UsageError, match="reads 64 tokens at most") as caught:
        done(corpus, tmp_path / "runs", context=1000, **given)
    assert ("extend: {context: 1000}" in str(caught.value.hint)) == (kind == "llama"), "RoPE alone can be extended"


def test_a_tokenizer_that_does_not_fit_its_model_is_refused_with_both_sizes(
    corpus: Path, base: Path, tmp_path: Path
) -> None:
    import shutil

    folder = shutil.copytree(base, tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 100}))
    with pytest.raises(SixfoldError, match="more tokens than the model has embeddings for") as caught:
        done(corpus, tmp_path / "runs", base=str(folder))
    assert f"{config['vocab_size']} tokens, 100 embeddings" in str(caught.value)
