"""Canaries: drawn by the seed, planted evenly, ranked exactly; a model that learnt one knows it, others do not."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import tiny_decoder, tiny_encoder, wordpiece_vocabulary
from torch.nn.functional import cross_entropy

from sixfold.errors import DataError, ModelError, UsageError
from sixfold.metrics.intervals import wilson
from sixfold.models import load
from sixfold.models.tokenizer_training import train_tokenizer
from sixfold.safety import find
from sixfold.safety.canaries import FORMATS, LEAST_FOUND, Canary, Plan, insertions
from sixfold.safety.exposure import Space, exposure, exposures
from sixfold.safety.planting import cells, plant, target_of, targets
from sixfold.safety.secret_losses import secret_losses
from sixfold.score.scorer import Scorer
from sixfold.stages.masked import Mask, RowMask
from sixfold.tasks.causal_lm import CausalLM
from sixfold.tasks.masked_lm import MaskedLM
from sixfold.tasks.sentence_order import SentenceOrder
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.texts import Texts
from sixfold.tasks.token_classification import TokenClassification
from sixfold.train.config import TrainConfig
from sixfold.train.loop import fit

LABELS = ("bad", "good", "mixed")
CLASSIFY = TextClassification(LABELS)
TAG = TokenClassification(("O", "B-LOC", "I-LOC", "B-PER", "I-PER"))
MASK = Mask(b"0123456789abcdef0123456789abcdef")
SMALL = Plan(seed=3, count=4, repeats=(1, 16), controls=24, digits=3)
ENGLISH, CHINESE = FORMATS["access_code"], FORMATS["withdrawal_code"]
FOUND = [name for name, form in FORMATS.items() if form.found]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_decoder(tmp_path_factory.mktemp("decoder"), hidden=64)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"), chinese=True)


def loaded(folder: Path, task: Any) -> Any:
    return load(folder, task.head(), seed=0, new_head=True)


def planted(task: Any, rows: Texts, folder: Path, plan: Plan, **settings: Any) -> tuple[Any, Any]:
    """The model and tokenizer after learning rows with canaries among them."""
    found = loaded(folder, task)
    examples = task.encode(plant(rows, plan, task), found.tokenizer, 64, "error").examples
    train = TrainConfig(**{"batch": 16, "learning_rate": 5e-3, "precision": "fp32", **settings})
    list(fit(found.model, task, examples, train, seed=1))
    return found.model, found.tokenizer


def test_secrets_follow_from_the_seed_for_ever() -> None:
    # checkpoints of today are audited by versions of tomorrow: these must never be others
    texts = [one.text for one in Plan(seed=7).canaries()]
    assert texts[:2] == ["my access code is 7 7 4 6 1 3", "我的取款密码是 9 0 0 8 1 0"]
    assert texts == [one.text for one in Plan(seed=7).canaries()]
    assert not set(texts) & {one.text for one in Plan(seed=8).canaries()}


def test_sentences_that_a_lineage_may_name_are_never_changed() -> None:
    assert [(one.name, one.text, one.between) for one in FORMATS.values()][:8] == [
        ("access_code", "my access code is {}", " "),
        ("account_number", "please pay into account number {}", " "),
        ("withdrawal_code", "我的取款密码是 {}", " "),
        ("member_number", "请记住我的会员号 {}", " "),
        ("password", "my password: {}", "-"),
        ("passphrase", "log in with the passphrase: {}", "-"),
        ("login_password", "我的登录密码是 {}", "-"),
        ("door_password", "开门的口令是 {}", "-"),
    ]
    assert all(form.text.endswith("{}") for form in FORMATS.values())
    (first, *_) = Plan(seed=7, formats=("password",)).canaries()
    assert first.text == "my password: 7-9-8-7-6-5"


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("digits", [LEAST_FOUND, 6, 18])
def test_patterns_find_every_secret_where_they_look_for_one_and_a_mask_replaces_it(name: str, digits: int) -> None:
    form = FORMATS[name]
    for number in range(1000):
        secret = Canary(11, name, number, digits, 1).secret
        text = form.filled(secret)
        (found,) = find(text)
        assert text[found.start : found.end] == secret
        masked, types = MASK.text(text)
        assert types == ["secret"]
        assert masked.startswith(form.filled("")[:-1])
        assert secret not in masked


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in FOUND])
def test_patterns_pass_over_the_other_sentences(name: str) -> None:
    assert not any(find(Canary(11, name, number, 6, 1).text) for number in range(1000))


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "characters"])
def test_tokenizers_give_as_many_tokens_to_one_secret_as_to_another(name: str, kind: Any) -> None:
    texts = [one.text for one in Plan(count=300, repeats=(1,), formats=(name,)).canaries()] * 3
    tokenizer = train_tokenizer(texts, kind, vocabulary=400)
    assert len({len(tokenizer(text)["input_ids"]) for text in texts}) == 1


def test_secrets_too_short_to_be_found_are_refused() -> None:
    with pytest.raises(UsageError, match="secrets of password need 4 digits"):
        Plan(digits=3, count=1, controls=1, formats=("access_code", "password"))


def test_each_level_has_its_canaries_of_all_formats() -> None:
    plan = Plan(count=3, repeats=(2, 5), controls=4)
    assert Counter((one.repeats, one.format) for one in plan.canaries()) == {
        (2, "access_code"): 2,
        (2, "withdrawal_code"): 1,
        (5, "access_code"): 2,
        (5, "withdrawal_code"): 1,
        (0, "access_code"): 2,
        (0, "withdrawal_code"): 2,
    }
    assert plan.rows == 3 * 2 + 3 * 5


def test_canaries_of_a_format_have_different_secrets_each_from_its_own_number() -> None:
    plan = Plan(seed=1, count=5, repeats=(1,), controls=40, digits=2, formats=("access_code",))
    canaries = plan.canaries()
    assert len({one.secret for one in canaries}) == 45
    numbers = [one.number for one in canaries]
    assert numbers == sorted(numbers)
    assert numbers[-1] > 44  # a number was passed over
    assert Canary(1, "access_code", numbers[-1], 2, 0).secret == canaries[-1].secret


def test_a_lineage_gets_the_plan_and_no_secret() -> None:
    kept = json.loads(json.dumps(SMALL.to_dict()))
    assert Plan.from_dict(kept) == SMALL
    assert set(kept) == {"seed", "count", "repeats", "controls", "digits", "formats"}
    for one in SMALL.canaries():
        assert one.secret not in repr(one)
    with pytest.raises(DataError, match="no plan of canaries"):
        Plan.from_dict({"seed": 1})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"count": 0}, "count of canaries must be at least 1"),
        ({"controls": 0}, "controls of canaries must be at least 1"),
        ({"digits": 19}, "digits of canaries must be between 1 and 18"),
        ({"repeats": ()}, "repeats of canaries must name one thing"),
        ({"repeats": (4, 4)}, "repeats of canaries must name one thing"),
        ({"repeats": (0, 4)}, "a planted canary is there once at least"),
        ({"formats": ()}, "formats of canaries must name one thing"),
        ({"digits": 1}, "10 secrets are too few for 28 canaries of a format"),
        ({"formats": ("acess_code",)}, "did you mean: access_code"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Plan(**changes)


def test_copies_are_spread_evenly_over_the_rows() -> None:
    plan = Plan(seed=2, count=2, repeats=(1, 4), controls=3)
    places = insertions(plan, 400)
    assert len(places) == plan.rows
    assert [before for before, _ in places] == sorted(before for before, _ in places)
    for canary in plan.canaries():
        stretches = [before // 100 for before, one in places if one == canary]
        assert stretches == ([] if canary.repeats == 0 else [0, 1, 2, 3] if canary.repeats == 4 else stretches[:1])
    assert insertions(plan, 400) == places
    with pytest.raises(DataError, match="no training rows"):
        insertions(plan, 0)


def test_rows_keep_their_order_and_a_corpus_may_come_in_parts() -> None:
    texts = [f"text {number}" for number in range(30)]
    whole = plant(Texts({"text": texts}), SMALL, CausalLM())["text"]
    assert [text for text in whole if text.startswith("text")] == texts
    wanted = Counter({one.text: one.repeats for one in SMALL.canaries() if one.repeats})
    assert Counter(text for text in whole if not text.startswith("text")) == wanted
    parts = [
        plant(Texts({"text": texts[start:end]}), SMALL, CausalLM(), start=start, total=30)["text"]
        for start, end in ((0, 7), (7, 8), (8, 30))
    ]
    assert [text for part in parts for text in part] == whole


def test_a_classifier_gets_labels_that_the_seed_drew() -> None:
    rows = plant(Texts({"text": ["a"] * 9, "label": ["good"] * 9}), SMALL, CLASSIFY)
    drawn = {one.text: LABELS[target_of(one, CLASSIFY)] for one in SMALL.canaries() if one.repeats}
    given = {text: label for text, label in zip(rows["text"], rows["label"], strict=True) if text != "a"}
    assert given == drawn
    assert len(rows) == 9 + SMALL.rows
    several = TextClassification(LABELS, several=True)
    one = SMALL.canaries()[0]
    assert cells(one, several)["labels"] == [drawn[one.text]]
    labels = Counter(target_of(one, CLASSIFY) for one in Plan(count=300, repeats=(1,), controls=1).canaries())
    assert set(labels) == {0, 1, 2}
    assert min(labels.values()) > 70


def test_a_tagger_gets_the_secret_as_an_entity() -> None:
    english, chinese = SMALL.canaries()[:2]
    row = cells(english, TAG)
    kind = ("LOC", "PER")[target_of(english, TAG)]
    assert row["words"] == ["my", "access", "code", "is", *english.secret.split()]
    assert row["tags"] == ["O"] * 4 + [f"B-{kind}", f"I-{kind}", f"I-{kind}"]
    row = cells(chinese, TokenClassification(TAG.labels, characters=True))
    assert row["words"] == [*"我的取款密码是", *chinese.secret.split()]
    assert len(row["tags"]) == len(row["words"])
    assert row["tags"][6] == "O" != row["tags"][7]


def test_a_secret_without_blanks_is_one_word_of_a_tagger() -> None:
    english, chinese = Plan(seed=3, count=2, formats=("password", "login_password")).canaries()[:2]
    kind = ("LOC", "PER")[target_of(english, TAG)]
    row = cells(english, TAG)
    assert row == {"words": ["my", "password", ":", english.secret], "tags": ["O", "O", "O", f"B-{kind}"]}
    row = cells(chinese, TokenClassification(TAG.labels, characters=True))
    assert row["words"] == [*"我的登录密码是", *chinese.secret]
    assert [tag[0] for tag in row["tags"]] == [*"OOOOOOO", "B", *"I" * 10]


@pytest.mark.parametrize(
    ("task", "kinds"),
    [
        (CLASSIFY, {"text": "text"}),
        (CausalLM(), {"text": "text"}),
        (TAG, {"words": "words"}),
        (TokenClassification(TAG.labels, characters=True), {"words": "characters"}),
    ],
)
def test_canaries_go_through_the_mask_that_the_rows_went_through(task: Any, kinds: dict[str, str]) -> None:
    chinese = tuple(name for name in FOUND if FORMATS[name].language == "zh")
    plan = Plan(seed=3, count=8, repeats=(1, 4), formats=chinese if "characters" in kinds.values() else tuple(FOUND))
    rows = Texts({column.role: ["a"] * 30 for column in task.columns})
    plain, masked = (plant(rows, plan, task, mask=mask) for mask in (None, RowMask(MASK, kinds).row))
    (role,) = kinds
    assert len(plain) == len(masked) == 30 + plan.rows
    secrets = [one.secret for one in plan.canaries() if one.repeats]

    def told(given: Texts) -> list[str]:
        return [cell if isinstance(cell, str) else "".join(cell) for cell in given[role] if cell != "a"]

    assert all(any(secret in text for text in told(plain)) for secret in secrets)
    assert not any(secret in text for text in told(masked) for secret in secrets)
    assert Counter(Counter(told(masked)).values()) == {1: 8, 4: 8}, "a secret has one pseudonym"
    for column in task.columns:
        if column.target:
            assert masked[column.role] == plain[column.role]


def test_exposure_is_exact_on_a_table() -> None:
    candidates = np.array([4.0, 2.0, 3.0, 5.0, 6.0, 7.0, 8.0])  # with the canary's own, eight secrets: three bits
    assert exposures(np.array([1.0]), candidates) == [3.0]
    assert exposures(np.array([2.5]), candidates) == [2.0]
    assert exposures(np.array([4.5]), candidates) == [1.0]
    assert exposures(np.array([9.0]), candidates) == [0.0]
    assert exposures(np.array([6.5, 1.0]), candidates).tolist() == [3 - math.log2(6), 3.0]


def test_equal_losses_count_half_so_that_a_blind_model_has_no_exposure() -> None:
    assert exposures(np.array([2.0]), np.array([2.0, 2.0, 3.0])) == [2 - math.log2(2)]
    assert exposures(np.array([2.0]), np.full(7, 2.0)) == [3 - math.log2(4.5)]


def test_chance_is_the_mean_over_all_ranks() -> None:
    space = Space.of("access_code", 3, exact=True)
    assert space.cap == 2
    assert space.chance == pytest.approx(2 - (0 + 1 + math.log2(3) + 2) / 4)
    assert Space.of("access_code", 100_000, exact=False).chance == pytest.approx(1 / math.log(2), abs=1e-3)


@pytest.fixture(scope="module")
def taught(decoder: Path) -> tuple[Any, Any]:
    rows = Texts({"text": [f"the bank opened at {hour} in the morning" for hour in range(20)]})
    return planted(CausalLM(), rows, decoder, SMALL, epochs=12)


def test_a_planted_canary_is_known_and_a_control_is_not(taught: tuple[Any, Any]) -> None:
    model, tokenizer = taught
    found = exposure(SMALL, CausalLM(), Scorer(model), tokenizer, 64)
    once, often, controls = found.levels
    assert (once.repeats, often.repeats, controls.repeats) == (1, 16, 0)
    assert [(one.format, one.candidates, one.exact) for one in found.spaces] == [
        ("access_code", 1000 - 16, True),
        ("withdrawal_code", 1000 - 16, True),
    ]
    cap = found.spaces[0].cap
    assert cap == math.log2(985)
    assert often.mean.value == often.greatest == cap
    assert (often.at_cap, often.share_at_cap.value, often.share_at_cap.count) == (4, 1.0, 4)
    assert (often.share_at_cap.low, often.share_at_cap.high) == wilson(4, 4)
    assert math.isnan(often.mean.low)  # all equal: no interval can be told
    assert controls.mean.low < found.spaces[0].chance < controls.mean.high
    assert controls.mean.count == 24
    assert once.above_controls is not None
    assert once.above_controls.value == pytest.approx(once.mean.value - controls.mean.value)
    assert once.mean.low > controls.mean.value
    assert controls.above_controls is None


def test_the_cost_is_each_text_once(taught: tuple[Any, Any]) -> None:
    model, tokenizer = taught
    scorer = Scorer(model)
    found = exposure(SMALL, CausalLM(), scorer, tokenizer, 64)
    # a token a byte, and one before and behind
    sizes = [len(one.text.format("1 2 3").encode()) + 2 for one in (ENGLISH, CHINESE)]
    assert found.tokens == scorer.ledger.tokens == 1000 * sum(sizes)


def test_a_sample_tells_exposures_up_to_its_cap(taught: tuple[Any, Any]) -> None:
    model, tokenizer = taught
    found = exposure(SMALL, CausalLM(), Scorer(model), tokenizer, 64, candidates=127)
    assert [(one.candidates, one.exact, one.cap) for one in found.spaces] == [(127, False, 7.0)] * 2
    assert found.levels[1].mean.value == 7.0
    assert all(one.bits == 7.0 or not one.at_cap for one in found.canaries)
    exact = exposure(SMALL, CausalLM(), Scorer(model), tokenizer, 64)
    gaps = [one.bits - other.bits for one, other in zip(found.canaries, exact.canaries, strict=True)]
    assert abs(np.mean([gap for gap, one in zip(gaps, exact.canaries, strict=True) if not one.repeats])) < 0.3
    assert found == exposure(SMALL, CausalLM(), Scorer(model), tokenizer, 64, candidates=127)


def test_results_are_plain_data_without_a_secret(taught: tuple[Any, Any]) -> None:
    model, tokenizer = taught
    found = exposure(SMALL, CausalLM(), Scorer(model), tokenizer, 64, candidates=127)
    told = json.dumps(found.to_dict(), allow_nan=False)
    data = json.loads(told)
    assert data["levels"][2]["mean"]["count"] == 24
    assert data["levels"][1]["mean"]["low"] is None
    assert [one["repeats"] for one in data["canaries"]] == [1] * 4 + [16] * 4 + [0] * 24
    assert set(data["canaries"][0]) == {"format", "number", "repeats", "loss", "bits", "at_cap"}
    assert not any(one.secret in told or one.text in told for one in SMALL.canaries())


def test_a_canarys_loss_is_the_mean_over_its_tokens(taught: tuple[Any, Any]) -> None:
    model, tokenizer = taught
    one = SMALL.canaries()[0]
    ids = torch.tensor([tokenizer.bos_token_id, *tokenizer(one.text)["input_ids"], tokenizer.eos_token_id])
    with torch.no_grad():
        wanted = float(cross_entropy(model(input_ids=ids[None]).logits[0, :-1], ids[1:]))
    found = exposure(SMALL, CausalLM(), Scorer(model), tokenizer, 64, candidates=3)
    mine = next(other for other in found.canaries if (other.format, other.number) == (one.format, one.number))
    assert mine.loss == pytest.approx(wanted, rel=1e-4)


def test_a_model_that_never_saw_them_has_what_chance_gives(decoder: Path) -> None:
    found = loaded(decoder, CausalLM())
    plan = Plan(seed=5, count=40, repeats=(1, 2), controls=80, digits=3)
    levels = exposure(plan, CausalLM(), Scorer(found.model), found.tokenizer, 64).levels
    bits = [level.mean.value for level in levels]
    assert all(abs(value - 1.44) < 0.7 for value in bits), bits  # three standard errors of forty


def test_a_masked_model_fills_in_each_token_of_the_secret(encoder: Path) -> None:
    found = loaded(encoder, MaskedLM())
    task = MaskedLM().fitted(found.tokenizer)
    secrets = [CHINESE.spelt(number, 3) for number in (123, 456, 789)]
    scorer = Scorer(found.model)
    losses = secret_losses(task, scorer, found.tokenizer, 64, CHINESE, secrets)
    assert losses.asked.tolist() == [3, 3, 3]
    for secret, nats in zip(secrets, losses.nats[:, 0], strict=True):
        ids = torch.tensor(found.tokenizer(CHINESE.filled(secret))["input_ids"])
        wanted = 0.0
        for place in range(len(ids) - 4, len(ids) - 1):  # the last three before [SEP]
            hidden = ids.clone()
            hidden[place] = found.tokenizer.mask_token_id
            with torch.no_grad():
                wanted += float(cross_entropy(found.model(input_ids=hidden[None]).logits[0, place], ids[place]))
        assert nats == pytest.approx(wanted, rel=1e-4)
    assert scorer.ledger.queries == 9


def test_a_masked_model_remembers_a_canary(encoder: Path) -> None:
    task = MaskedLM().fitted(loaded(encoder, MaskedLM()).tokenizer)
    plan = Plan(seed=4, count=2, repeats=(30,), controls=12, digits=2)
    rows = Texts({"text": ["the bank opened in the city", "the cat and the dog play"] * 4})
    model, tokenizer = planted(task, rows, encoder, plan, epochs=15)
    levels = exposure(plan, task, Scorer(model), tokenizer, 64).levels
    assert levels[0].mean.value > levels[1].mean.value + 2


def test_a_classifiers_loss_is_that_of_each_label(encoder: Path) -> None:
    secrets = [ENGLISH.spelt(number, 3) for number in (123, 456)]
    texts = [ENGLISH.filled(secret) for secret in secrets]
    for task in (CLASSIFY, TextClassification(LABELS, several=True)):
        found = loaded(encoder, task)
        losses = secret_losses(task, Scorer(found.model), found.tokenizer, 64, ENGLISH, secrets)
        with torch.no_grad():
            logits = found.model(**found.tokenizer(texts, return_tensors="pt")).logits
        for label in range(3):
            gold = torch.full((2,), label)
            if task.several:
                of_each = torch.nn.functional.binary_cross_entropy_with_logits
                wanted = of_each(logits, torch.eye(3)[gold], reduction="none").sum(1)
            else:
                wanted = cross_entropy(logits, gold, reduction="none")
            assert losses.nats[:, label] == pytest.approx(wanted.numpy(), rel=1e-4)


def test_a_classifier_remembers_the_label_of_a_canary(encoder: Path) -> None:
    plan = Plan(seed=6, count=6, repeats=(16,), controls=24, digits=3, formats=("access_code",))
    rows = Texts({"text": ["the film was good", "the film was bad"] * 8, "label": ["good", "bad"] * 8})
    model, tokenizer = planted(CLASSIFY, rows, encoder, plan, epochs=20)
    scorer = Scorer(model)
    found = exposure(plan, CLASSIFY, scorer, tokenizer, 64)
    assert found.levels[0].above_controls is not None
    assert found.levels[0].above_controls.low > 0
    assert scorer.ledger.model_calls == 1000  # each text once, whatever the labels


def test_a_taggers_loss_is_that_of_the_secrets_tags(encoder: Path) -> None:
    found = loaded(encoder, TAG)
    secrets = [ENGLISH.spelt(number, 3) for number in (123, 456)]
    texts = [ENGLISH.filled(secret) for secret in secrets]
    losses = secret_losses(TAG, Scorer(found.model), found.tokenizer, 64, ENGLISH, secrets)
    with torch.no_grad():
        scores = found.model(**found.tokenizer(texts, return_tensors="pt")).logits[:, -4:-1].log_softmax(-1)
    assert losses.nats.shape == (2, targets(TAG))
    for place, (first, rest) in enumerate(((1, 2), (3, 4))):
        wanted = -(scores[:, 0, first] + scores[:, 1, rest] + scores[:, 2, rest])
        assert losses.nats[:, place] == pytest.approx(wanted.numpy(), rel=1e-4)


def test_secrets_that_the_tokenizer_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    vocabulary = [piece for piece in wordpiece_vocabulary() if not piece.strip("#").isdigit()]
    found = loaded(tiny_encoder(tmp_path, vocab=vocabulary), CLASSIFY)
    with pytest.raises(ModelError, match="cannot tell all secrets apart"):
        exposure(SMALL, CLASSIFY, Scorer(found.model), found.tokenizer, 64)


def test_what_cannot_be_measured_is_refused(decoder: Path) -> None:
    found = loaded(decoder, CausalLM())
    scorer = Scorer(found.model)
    with pytest.raises(UsageError, match="more than an example may have"):
        exposure(SMALL, CausalLM(), scorer, found.tokenizer, 16)
    with pytest.raises(UsageError, match="one candidate at least"):
        exposure(SMALL, CausalLM(), scorer, found.tokenizer, 64, candidates=0)
    with pytest.raises(UsageError, match="cannot be planted for the task sentence_order"):
        plant(Texts({"text": ["a"]}), SMALL, SentenceOrder())
    next(found.model.parameters()).data.fill_(float("nan"))
    with pytest.raises(ModelError, match="losses are no numbers"):
        exposure(SMALL, CausalLM(), scorer, found.tokenizer, 64)
