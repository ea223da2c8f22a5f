"""Explaining tiny checkpoints: answers are the model's, numbers hang on nothing but text and seed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import tiny_decoder
from tuned import classifier, tagger, tuned

from sixfold.errors import DataError, ModelError, SixfoldError, UsageError
from sixfold.explain.decoder import Decoder
from sixfold.explain.methods import METHODS
from sixfold.explain.run import Plan, explain, explained
from sixfold.explain.subjects import View
from sixfold.score.subject import Subject
from sixfold.tasks.text_classification import TextClassification

pytestmark = pytest.mark.usefixtures("own_home")

ALL = tuple(METHODS)
TEXT = "the film was good, and the book was bad"
CHINESE = "这个酒店很好，房间很差"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    several = TextClassification(("a", "b", "c"), several=True, thresholds=(0.3, 0.5, 0.5))
    return {
        "classifier": classifier(tmp_path_factory.mktemp("a")),
        "windows": classifier(tmp_path_factory.mktemp("b"), limit=8, on_long="window"),
        "tagger": tagger(tmp_path_factory.mktemp("c")),
        "refuses": classifier(tmp_path_factory.mktemp("d"), limit=8, on_long="error"),
        "decoder": tiny_decoder(tmp_path_factory.mktemp("e")),
        "several": tuned(tmp_path_factory.mktemp("f"), several),
    }


def test_the_answer_that_is_explained_is_the_models(folders: dict[str, Path]) -> None:
    subject = Subject.load(folders["classifier"])
    found = explain(subject, [TEXT, CHINESE], Plan(("occlusion",)))
    probabilities = subject.probabilities(np.stack(subject.whole([TEXT, CHINESE])))
    for number, (one, line) in enumerate(zip(found, probabilities, strict=True)):
        assert (one.number, one.label) == (number, subject.task.labels[int(line.argmax())])
        assert one.probability == pytest.approx(line.max(), abs=1e-6)
    words = [found[1].text[start:end] for start, end in found[1].spans]
    assert words == ["这个", "酒店", "很", "好", "房间", "很差"]


def test_occlusion_is_what_the_string_without_the_word_loses(folders: dict[str, Path]) -> None:
    subject = Subject.load(folders["classifier"])
    text = "the film was good and the book was bad"
    (one,) = explain(subject, text, Plan(("occlusion",), View(label="bad"), flips=True))
    words = text.split()
    strings = [" ".join(words[:place] + words[place + 1 :]) for place in range(len(words))]
    probabilities = subject.probabilities(np.stack(subject.whole([text, *strings])))
    label = subject.task.labels.index("bad")
    np.testing.assert_allclose(
        one.attributions[0].weights, probabilities[0, label] - probabilities[1:, label], atol=1e-6
    )
    is_bad = probabilities.argmax(axis=1) == label
    assert list(one.flips) == (is_bad[1:] != is_bad[0]).tolist()


@pytest.mark.parametrize("name", ["classifier", "windows", "tagger", "several"])
def test_numbers_hang_on_text_and_seed_and_not_on_other_texts(folders: dict[str, Path], name: str) -> None:
    texts = [TEXT, "the good hotel was great and new", CHINESE]
    plan = Plan(ALL, samples=24, seed=3, faithful=True)
    together = explain(Subject.load(folders[name]), texts, plan)
    apart = [one for text in texts[::-1] for one in explain(Subject.load(folders[name]), text, plan)]
    assert len(together) == len(apart) > 0
    key = lambda one: (one.text, one.where or ())  # noqa: E731
    for one, other in zip(sorted(together, key=key), sorted(apart, key=key), strict=True):
        for mine, yours in zip(one.attributions, other.attributions, strict=True):
            np.testing.assert_allclose(mine.weights, yours.weights, atol=2e-4)
        assert len(one.spans) == len(one.attributions[0].weights)


def test_another_seed_draws_other_copies_and_agreement_is_told(folders: dict[str, Path]) -> None:
    subject = Subject.load(folders["classifier"])
    plan = Plan(("lime", "shap-partition"), samples=20, seeds=3)
    one, other = (explain(subject, TEXT, replace(plan, seed=seed))[0] for seed in (0, 1))
    assert one.of("lime").weights != other.of("lime").weights
    assert one.of("shap-partition").weights == other.of("shap-partition").weights
    assert -1 <= one.of("lime").stability < 1  # type: ignore[operator]
    assert one.of("shap-partition").stability is None


@pytest.mark.parametrize("name", ["classifier", "windows", "tagger", "several", "decoder"])
def test_integrated_gradients_sum_up_to_the_difference_of_the_ends(folders: dict[str, Path], name: str) -> None:
    subject: Any = Decoder.load(folders[name]) if name == "decoder" else Subject.load(folders[name])
    for one in explain(subject, ["the good hotel in new york was great", TEXT], Plan(("integrated-gradients",))):
        details = one.attributions[0].details
        total = sum(one.attributions[0].weights) + details["elsewhere"]
        change = details["whole"] - details["empty"]
        assert total - change == pytest.approx(details["delta"], abs=1e-9)
        assert abs(details["delta"]) <= 0.01 * max(abs(change), 1e-6) or details["steps"] == 256
        if name == "classifier":
            (logits,) = subject.whole([one.text])
            label = subject.task.labels.index(one.label)
            expected = torch.from_numpy(logits).log_softmax(-1)[label]
            assert details["whole"] == pytest.approx(float(expected), abs=1e-5)


def test_steps_are_added_until_the_delta_is_small(folders: dict[str, Path]) -> None:
    from sixfold.explain.inside import integrated_gradients
    from sixfold.explain.subjects import games
    from sixfold.score.driver import alone

    subject = Subject.load(folders["classifier"])
    scorers = {"subject": subject.scorer}
    (game,) = alone(games(subject, TEXT, View()), scorers)
    steps = []
    for bound in (1e9, 1e-12):
        found = alone(integrated_gradients(game, np.random.default_rng(0), samples=8, bound=bound, first=2), scorers)
        steps.append(found.details["steps"])
    assert steps == [2, 8]


def test_rollout_is_a_distribution_over_tokens(folders: dict[str, Path]) -> None:
    """By hand, from transformers' own attentions."""
    subject = Subject.load(folders["classifier"])
    text = "the film was good"
    (one,) = explain(subject, text, Plan(("attention-rollout",)))
    model = subject.scorer.model
    model.config._attn_implementation = "eager"
    with torch.no_grad():
        layers = model(**subject.tokenizer(text, return_tensors="pt"), output_attentions=True).attentions
    flow = torch.eye(6)
    for layer in layers:
        flow = (0.5 * layer[0].mean(0) + 0.5 * torch.eye(6)) @ flow
    np.testing.assert_allclose(one.attributions[0].weights, flow[0, 1:-1].numpy(), atol=1e-6)
    assert METHODS["attention-rollout"].baseline


def test_each_entity_of_a_row_is_explained_where_it_stands(folders: dict[str, Path]) -> None:
    subject = Subject.load(folders["tagger"])
    text = "i  love new\u0301 york, dog 👍 bank"
    found = explain(subject, text, Plan(("occlusion", "integrated-gradients"), faithful=True))
    words = ["i", "love", "new\u0301", "york", ",", "dog", "👍", "bank"]
    (answer,) = subject.task.predict(subject.scorer, subject.examples(subject.words(words), [()]))
    assert len(found) == len(answer.entities) > 0
    for one, (kind, start, end) in zip(found, answer.entities, strict=True):
        assert one.label == kind
        assert one.where is not None
        assert text[one.where[0] : one.where[1]].startswith(words[start])
        assert text[one.where[0] : one.where[1]].endswith(words[end - 1])
        assert [text[a:b] for a, b in one.spans] == ["i", "love", "new\u0301", "york", "dog", "👍", "bank"]


def test_a_text_of_one_word_has_its_whole_worth_in_it(folders: dict[str, Path]) -> None:
    """Without the word nothing is left: a decoder then reads a token that stands for nothing."""
    for model in (Subject.load(folders["classifier"]), Decoder.load(folders["decoder"])):
        (one,) = explain(
            model, "good", Plan(("occlusion", "shap", "shap-permutation", "shap-partition", "shap-kernel"))
        )
        weights = [attribution.weights[0] for attribution in one.attributions]
        assert len(one.spans) == 1
        np.testing.assert_allclose(weights, weights[0], atol=1e-6)


def test_a_decoders_next_token_is_explained(folders: dict[str, Path]) -> None:
    decoder = Decoder.load(folders["decoder"])
    methods = tuple(METHODS)
    (one,) = explain(decoder, "the film was good", Plan(methods, faithful=True))
    ids = torch.tensor([decoder.tokenizer("the film was good", add_special_tokens=False)["input_ids"]])
    if decoder.frame.before:
        ids = torch.cat([torch.tensor([decoder.frame.before]), ids], dim=1)
    with torch.no_grad():
        line = decoder.scorer.model(input_ids=ids).logits[0, -1].softmax(-1)
    assert one.label == decoder.tokenizer.decode([int(line.argmax())])
    assert one.probability == pytest.approx(float(line.max()), abs=1e-6)
    (other,) = explain(decoder, "the film was good", Plan(methods, View(label="x")))
    wanted = decoder.tokenizer("x", add_special_tokens=False)["input_ids"][0]
    assert other.probability == pytest.approx(float(line[wanted]), abs=1e-6)
    with pytest.raises(UsageError, match="is one token"):
        explain(decoder, "the film", Plan(methods, View(label="xyz")))


@pytest.mark.parametrize(
    ("name", "text", "view", "kind", "what"),
    [
        ("classifier", "", {}, DataError, "no text to explain"),
        ("classifier", "  \n", {}, DataError, "no text to explain"),
        ("classifier", "good \ud83d film", {}, DataError, "half of a character"),
        ("classifier", TEXT, {"label": "goood"}, UsageError, "there is no label 'goood'"),
        ("classifier", TEXT, {"by": "word"}, UsageError, "there is no kind of unit 'word'"),
        ("classifier", ["a", "b"], {}, DataError, "reads texts, not rows of words"),
        ("refuses", TEXT, {}, DataError, "longer than the limit of 8 tokens"),
        ("tagger", TEXT, {"label": "PER"}, UsageError, "there is no type of entity 'PER'"),
        ("tagger", TEXT, {"filling": "delete"}, UsageError, "masked, not deleted"),
        ("tagger", TEXT, {"by": "characters"}, UsageError, "by words or sentences, not by characters"),
    ],
)
def test_what_does_not_fit_is_told_in_one_message(
    folders: dict[str, Path], name: str, text: Any, view: dict[str, Any], kind: type[SixfoldError], what: str
) -> None:
    with pytest.raises(kind) as error:
        explain(Subject.load(folders[name]), [text], Plan(("occlusion",), View(**view)))
    assert what in str(error.value)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: View(filling="blank"), "there is no filling 'blank'"),
        (lambda: View(scale="odds"), "there is no scale 'odds'"),
        (lambda: Plan(samples=0), "samples must be at least 1"),
        (lambda: Plan(window=0), "window must be at least 1"),
        (lambda: Plan(("lim",)), "there is no explainer 'lim'"),
    ],
)
def test_a_plan_that_does_not_fit_is_told_before_anything_is_asked(make: Any, what: str) -> None:
    with pytest.raises(UsageError) as error:
        make()
    assert what in str(error.value)


def test_a_text_shorter_than_the_window_is_told_or_passed_over(folders: dict[str, Path]) -> None:
    subject = Subject.load(folders["classifier"])
    plan = Plan(("occlusion",), window=3)
    with pytest.raises(DataError, match="fewer than the window of 3"):
        explain(subject, ["good film"], plan)
    found = dict(explained(subject, ["good film", TEXT], plan, lenient=True))
    assert found[0] == []
    assert len(found[1]) == 1


def test_gradients_of_characters_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="gradients belong to tokens"):
        explain(
            Subject.load(folders["classifier"]), "good film", Plan(("integrated-gradients",), View(by="characters"))
        )


def test_a_model_without_a_head_is_told(folders: dict[str, Path], base: Path) -> None:
    with pytest.raises(ModelError, match="not fine-tuned"):
        Subject.load(base)
    with pytest.raises(ModelError):
        Decoder.load(base)


def test_words_behind_what_the_model_reads_are_counted(tmp_path: Path) -> None:
    subject = Subject.load(classifier(tmp_path, limit=8, on_long="truncate"))
    found = explain(subject, ["the film was good", "the film was good and the book was bad"], Plan(("occlusion",)))
    assert [one.beyond for one in found] == [0, 3]
    assert "reads none of the last 3" in found._repr_html_()
    assert found._repr_html_().count("<div>") == 2


def test_an_explanation_shows_itself_and_is_plain_data(folders: dict[str, Path]) -> None:
    subject = Subject.load(folders["classifier"])
    (one,) = explain(subject, "a <b>good</b> film & <script>", Plan(faithful=True, seeds=2))
    page = one._repr_html_()
    assert "<script>" not in page
    assert "&lt;" in page
    told = json.loads(json.dumps(one.to_dict(), allow_nan=False))
    assert told["attributions"][0]["faithfulness"][0]["filling"] == "delete"
    assert [told["text"][start:end] for start, end in told["spans"]] == ["a", "b", "good", "b", "film", "script"]
    assert len(one.ranked("lime")) == 6
