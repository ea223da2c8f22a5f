"""``sixfold attack`` on tiny trained models: what is written and shown, and what is refused with one message."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tiny_runs import recipe_of, reviews, write_conll, write_csv

from sixfold import cli
from sixfold.attack.outcome import FILE, outcomes
from sixfold.commands.attack import HEADER, REPORT, Plan, run
from sixfold.errors import DataError, SixfoldError, UsageError
from sixfold.recipe import Run, parse
from sixfold.recipe import run as run_recipe

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Run:
    folder = tmp_path_factory.mktemp("classifier")
    source = write_csv(folder / "a.csv", reviews(60))
    return run_recipe(parse(recipe_of(source, base, train={"epochs": 4})), runs=folder)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Run:
    folder = tmp_path_factory.mktemp("tagger")
    source = write_conll(folder / "a.conll", 60)
    return run_recipe(parse(recipe_of(source, base, task="entities", train={"epochs": 8})), runs=folder)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "reviews.csv", reviews(24))


def plan_of(model: Run, source: Path, **changes: Any) -> Plan:
    return replace(Plan(model.checkpoint, str(source), ("deepwordbug",), encoder=None), **changes)


def attacked(plan: Plan, folder: Path) -> tuple[dict[str, Any], str]:
    """The header, and what was printed."""
    console = Console(record=True, width=160, force_terminal=False)
    run(plan, folder, console=console)
    return json.loads((folder / HEADER).read_text("utf-8")), console.export_text()


def test_outcomes_header_and_report_are_written_for_the_owner_alone(
    classifier: Run, rows: Path, tmp_path: Path
) -> None:
    header, printed = attacked(plan_of(classifier, rows, seed=3), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([FILE, HEADER, REPORT])
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()} == {0o600}
    found = list(outcomes(tmp_path / "out"))
    assert [one.place for one in found] == list(range(24))
    assert [Path(one.where).name for one in found[:2]] == ["reviews.csv:2", "reviews.csv:3"]
    (told,) = header["attacks"]
    assert told["summary"]["count"] == 24
    assert told["ledger"]["queries"] == sum(one.queries for one in found)
    assert (header["seed"], header["budget"], header["data"]["rows"]) == (3, 2000, 24)
    assert header["checkpoint"]["task"] == "text_classification"
    assert "deepwordbug" in printed
    assert "24 rows" in printed


def test_the_same_attack_gives_the_same_texts(classifier: Run, rows: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        attacked(plan_of(classifier, rows, examples=8, seed=1), tmp_path / name)
    first, second = (list(outcomes(tmp_path / name)) for name in ("first", "second"))
    assert first == second
    assert len(first) == 8


def test_several_attacks_are_kept_in_one_file_and_compared(classifier: Run, rows: Path, tmp_path: Path) -> None:
    header, printed = attacked(
        plan_of(classifier, rows, attacks=("deepwordbug", "pruthi"), examples=6), tmp_path / "out"
    )
    assert [one["name"] for one in header["attacks"]] == ["deepwordbug", "pruthi"]
    found = list(outcomes(tmp_path / "out"))
    assert [one.attack for one in found] == ["deepwordbug"] * 6 + ["pruthi"] * 6
    assert [one.row for one in found[:6]] == [one.row for one in found[6:]], "the same rows for every attack"
    assert header["worst_case"]["attacks"] == ["deepwordbug", "pruthi"]
    assert "all of them" in printed


def test_every_success_holds_for_the_checkpoint_as_a_user_asks_it(classifier: Run, rows: Path, tmp_path: Path) -> None:
    attacked(plan_of(classifier, rows), tmp_path / "out")
    won = list(outcomes(tmp_path / "out", kind="succeeded"))
    assert won, "a tiny model on sixty rows withstands nothing"
    answers = classifier.model.predict([one.adversarial for one in won])
    assert [answer["label"] for answer in answers] == [one.after for one in won]
    assert all(one.after != one.gold for one in won)


def test_entities_are_attacked_by_other_words_and_keep_their_tags(tagger: Run, tmp_path: Path) -> None:
    source = write_conll(tmp_path / "b.conll", 24)
    header, _ = attacked(plan_of(tagger, source), tmp_path / "out")
    found = list(outcomes(tmp_path / "out"))
    assert header["goal"] == {"name": "entities", "what": "an entity is lost"}
    assert any(one.edits for one in found)
    for one in found:
        changed = [a != b for a, b in zip(one.original_words, one.adversarial_words, strict=True)]
        assert sum(changed) == len(one.edits)
        assert not any(tag != "O" for tag, yes in zip(one.gold, changed, strict=True) if yes)
        if one.kind == "succeeded":
            (answer,) = tagger.model.predict([list(one.adversarial_words)])
            assert tuple(answer["tags"]) == one.after


def test_entity_words_are_changed_if_asked(tagger: Run, tmp_path: Path) -> None:
    source = write_conll(tmp_path / "b.conll", 24)
    attacked(plan_of(tagger, source, entity_words=True), tmp_path / "out")
    changed = [
        tag
        for one in outcomes(tmp_path / "out")
        for tag, a, b in zip(one.gold, one.original_words, one.adversarial_words, strict=True)
        if a != b
    ]
    assert any(tag != "O" for tag in changed)


def test_an_attack_of_whole_phrases_is_refused_for_entities(tagger: Run, tmp_path: Path) -> None:
    source = write_conll(tmp_path / "b.conll", 6)
    with pytest.raises(UsageError, match="makes one word of several"):
        run(plan_of(tagger, source, attacks=("checklist",)), tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "kind", "what"),
    [
        ({"attacks": ("deepwordbugs",)}, UsageError, "there is no attack 'deepwordbugs'"),
        ({"attacks": ()}, UsageError, "no attack was named"),
        ({"budget": 0}, UsageError, "at least 1 query"),
        ({"examples": 0}, UsageError, "at least 1 example"),
        ({"precision": "int4"}, UsageError, "there is no precision 'int4'"),
        ({"split": "tset"}, UsageError, "there is no split 'tset'"),
        ({"goal": "targeted", "target": "goood"}, UsageError, "there is no label 'goood'"),
        ({"goal": "entities"}, UsageError, "for models that find entities"),
        ({"columns": {"text": "txt"}}, DataError, "txt"),
        ({"checkpoint": "nowhere"}, SixfoldError, "nowhere"),
        ({"attacks": ("pwws",)}, SixfoldError, "wordnet, inflections are not on this machine"),
        ({"attacks": ("bert-attack",)}, UsageError, "masked language model, and none was named"),
    ],
)
def test_what_does_not_fit_is_told_in_one_message_and_nothing_is_written(
    classifier: Run, rows: Path, tmp_path: Path, changes: dict[str, Any], kind: type[SixfoldError], what: str
) -> None:
    with pytest.raises(kind) as error:
        run(plan_of(classifier, rows, **changes), tmp_path / "out")
    assert what in str(error.value)
    assert not (tmp_path / "out").exists()


def test_int8_is_weighed_and_said_and_changes_no_count(
    classifier: Run, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sixfold.score import rough

    exact, _ = attacked(plan_of(classifier, rows, seed=3), tmp_path / "fp32")
    monkeypatch.setattr(rough, "LEAST_GAIN", 1e9)
    refused, printed = attacked(plan_of(classifier, rows, seed=3, precision="int8"), tmp_path / "refused")
    assert "searches ask in fp32: int8 is" in printed
    assert refused["precision"] == "fp32"
    monkeypatch.setattr(rough, "LEAST_GAIN", 0.0)
    monkeypatch.setattr(rough, "MOST_FLIPS", 1.0)
    taken, printed = attacked(plan_of(classifier, rows, seed=3, precision="int8"), tmp_path / "taken")
    assert "searches ask in int8: int8 is" in printed
    assert taken["precision"] == "int8, confirmed in fp32"
    for header in (refused, taken):
        clean = [one["attacks"][0]["summary"]["metrics"]["clean"]["value"] for one in (header, exact)]
        assert clean[0] == clean[1]
    for one in outcomes(tmp_path / "taken", kind="succeeded"):
        (answer,) = classifier.model.predict([one.adversarial])
        assert answer["label"] == one.after != one.gold


def test_a_base_that_was_not_fine_tuned_is_told(base: Path, rows: Path, tmp_path: Path) -> None:
    with pytest.raises(SixfoldError, match="not fine-tuned"):
        run(Plan(base, str(rows), ("deepwordbug",)), tmp_path / "out")


def test_a_folder_with_something_else_in_it_is_left_alone(classifier: Run, rows: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="something else in this folder"):
        run(plan_of(classifier, rows), tmp_path / "out")
    assert (tmp_path / "out/mine.txt").read_text() == "mine"


def test_an_earlier_attack_is_replaced(classifier: Run, rows: Path, tmp_path: Path) -> None:
    for count in (8, 4):
        attacked(plan_of(classifier, rows, examples=count), tmp_path / "out")
    assert len(list(outcomes(tmp_path / "out"))) == 4


def test_the_command_line_says_where_the_report_is(
    classifier: Run, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [
        "sixfold",
        "attack",
        str(classifier.folder),
        "--data",
        str(rows),
        "--attack",
        "pruthi",
        "--examples",
        "4",
    ]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert "report: attacks/small-pruthi/report.html" in capsys.readouterr().out
    assert (tmp_path / "attacks/small-pruthi/report.html").is_file()


def test_words_are_ranked_by_the_steepest_of_their_tokens(classifier: Run, tagger: Run) -> None:
    """The gradient by autograd, without the engine: the whole text as one row."""
    import numpy as np
    import torch

    from sixfold.attack import importance
    from sixfold.attack.budget import Budget
    from sixfold.attack.goals import goal_for
    from sixfold.attack.trial import Trial
    from sixfold.score.driver import alone
    from sixfold.score.subject import Subject

    subject = Subject.load(classifier.checkpoint)
    text = "the film was unbelievable and the hotel great"
    aim = goal_for(subject.task).aim("good")
    assert aim is not None
    trial = Trial(subject, subject.text(text), aim, Budget(), np.random.default_rng(0))
    found = alone(importance.GRADIENT.of(trial, range(8)), {"subject": subject.scorer})

    model, batch = subject.scorer.model, subject.tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
    embedded = model.get_input_embeddings()(batch["input_ids"]).detach().requires_grad_()
    logits = model(inputs_embeds=embedded, attention_mask=batch["attention_mask"]).logits
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor([subject.task.labels.index("good")]))
    (slope,) = torch.autograd.grad(loss, embedded)
    steep = np.zeros(8)
    for length, (start, end) in zip(slope[0].norm(dim=1).tolist(), batch["offset_mapping"][0].tolist(), strict=True):
        for place, span in enumerate(trial.sentence.spans):
            if span.start <= start < end <= span.end:
                steep[place] = max(steep[place], length)
    assert found == np.argsort(-steep, kind="stable").tolist()
    assert trial.budget.spent == 1
