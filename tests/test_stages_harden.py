"""The harden stage: what a recipe may say, a run before and after, votes, the gate, resuming.

Two attacks here, ``toy-words`` and ``toy-names``, exchange words by a table, so that no word list is needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from linear_subject import Table
from tiny_runs import recipe_of, reviews, write_conll, write_csv

from sixfold.attack import importance
from sixfold.attack.attacks import ATTACKS, NAMES, WORDS, Row
from sixfold.attack.building import Attack, Tools, by_importance
from sixfold.attack.changes import Changes, every
from sixfold.attack.outcome import outcomes
from sixfold.commands.predict import Model
from sixfold.errors import DataError, GateError, Interrupted, ModelError, SixfoldError, UsageError
from sixfold.models.lineage import digest_folder
from sixfold.recipe import Run, Told, chosen, parse, run
from sixfold.score.scorer import Scorer
from sixfold.score.subject import Subject
from sixfold.score.voter import Voter
from sixfold.stages import harden
from sixfold.stages.attacked import Bench
from sixfold.stages.context import Context
from sixfold.stages.further import Adversarial, Augmented, Further, augmenter
from sixfold.stages.harden_config import Config, trained_with
from sixfold.stages.rehearsal import Memory, rehearse
from sixfold.train.events import Event, Renewed, Step

pytestmark = pytest.mark.usefixtures("own_home", "toy_words")

TOY = {"good": ["fine", "lost"], "great": ["large"], "bad": ["vile", "new"], "poor": ["weak"], "film": ["movie"]}
PLACES = {"today": ["house"], "love": ["hate"]}
ATTACKED = ["deepwordbug", "toy-words", "checklist"]
QUICK = {"epochs": 1, "batch": 16, "learning_rate": 1e-3, "precision": "fp32", "patience": None}


def by_table(table: dict[str, list[str]], name: str) -> Callable[[Tools], Attack]:
    return lambda tools: by_importance(name, Changes(every(Table(table))), importance.UNKNOWN)


@pytest.fixture(scope="module")
def toy_words() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ATTACKS, "toy-words", Row(by_table(TOY, "toy-words"), "words by a table", WORDS, "none"))
        patch.setitem(ATTACKS, "toy-names", Row(by_table(PLACES, "toy-names"), "places by a table", NAMES, "none"))
        yield


# What a recipe may say

STAGE: dict[str, Any] = {"data": {"source": "a.csv"}, "train": {"noise": 5}}


def mistakes(**changes: Any) -> str:
    with pytest.raises(UsageError) as caught:
        parse({"name": "a", "stages": [{"harden": {**STAGE, **changes}}]})
    return caught.value.what


def test_a_recipe_that_would_harden_nothing_is_refused() -> None:
    assert "nothing would harden the model: set renew or augment, or one of train.adversarial, " in mistakes(train={})
    for train in ({"noise": 5}, {"mixup": 0.2}, {"mask_share": 0.3}, {"adversarial": {"method": "fgm"}}):
        assert parse({"name": "a", "stages": [{"harden": {**STAGE, "train": train}}]})


def test_a_vote_needs_a_model_that_has_learnt_from_hidden_tokens() -> None:
    assert "set train.mask_share" in mistakes(votes=16)
    assert "votes" in mistakes(votes=1, train={"mask_share": 0.3})
    assert parse({"name": "a", "stages": [{"harden": {**STAGE, "votes": 2, "train": {"mask_share": 0.3}}}]})


def test_attacks_of_fewer_than_three_kinds_are_refused_with_their_kinds() -> None:
    found = mistakes(attacks=["deepwordbug", "pruthi", "pwws"])
    assert "deepwordbug, pruthi changes spelling; pwws changes words" in found
    assert "twice" in mistakes(attacks=["deepwordbug", "deepwordbug", "pwws", "checklist"])
    assert parse({"name": "a", "stages": [{"harden": {**STAGE, "attacks": ["deepwordbug", "pwws", "checklist"]}}]})


def test_every_mistake_is_told_at_once_with_the_nearest_name() -> None:
    found = mistakes(attacks=["deepwordbugs"], renew={"attack": "pwvs"}, exampels=3, max_clean_loss=2)
    lines = {line.strip().partition(": ")[0]: line for line in found.splitlines()[1:]}
    assert set(lines) == {f"stages.0.harden.{key}" for key in ("attacks", "renew.attack", "exampels", "max_clean_loss")}
    assert "did you mean 'deepwordbug'?" in lines["stages.0.harden.attacks"]
    assert "did you mean 'pwws'?" in lines["stages.0.harden.renew.attack"]
    assert "did you mean 'examples'?" in lines["stages.0.harden.exampels"]


# A run


def data_of(source: Path) -> dict[str, Any]:
    return {"source": str(source), "split": {"validation": 0.15, "test": 0.2}}


def hardening(source: Path, checkpoint: Path, **changes: Any) -> dict[str, Any]:
    """A recipe of one stage, which hardens a checkpoint."""
    train = {**QUICK, "noise": 5.0, **changes.pop("train", {})}
    stage = {"data": data_of(source), "train": train, "attacks": ATTACKED, "examples": 10, "budget": 40}
    stage = {"base": str(checkpoint), "max_clean_loss": 1.0, **stage, **changes}
    return {"name": "small", "seed": 5, "stages": [{"harden": stage}]}


def ran(recipe: dict[str, Any], folder: Path, **options: Any) -> tuple[Run, list[str]]:
    lines: list[str] = []
    return run(parse(recipe), runs=folder, told=Told(lines.append, **options)), lines


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("rows") / "reviews.csv", reviews(96))


RENEWED = {"renew": {"attack": "deepwordbug", "examples": 12, "budget": 30}, "train": {"epochs": 2, "noise": 0}}


def two_stages(source: Path, base: Path) -> dict[str, Any]:
    """Fine-tune on reviews, then harden what comes out."""
    first = recipe_of(source, base, data=data_of(source), train={"epochs": 6})
    second = hardening(source, base, **RENEWED)
    second["stages"][0]["harden"].pop("base")
    return {**first, "stages": [*first["stages"], *second["stages"]]}


@pytest.fixture(scope="module")
def tuned(done: Any) -> Path:
    """The fine-tuned checkpoint."""
    return done[0].stages[0].folder / "checkpoint"


@pytest.fixture(scope="module")
def done(own_home: None, toy_words: None, tmp_path_factory: pytest.TempPathFactory, source: Path, base: Path) -> Any:
    seen: list[Event] = []

    def watch(events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            seen.append(event)
            yield event

    made, lines = ran(two_stages(source, base), tmp_path_factory.mktemp("runs"), watch=watch)
    return made, lines, seen


def test_the_run_has_outcomes_predictions_a_checkpoint_and_a_report(done: Any) -> None:
    made, _, _ = done
    stage = made.stages[1].folder
    names = {str(path.relative_to(stage)) for path in stage.rglob("*.jsonl")}
    assert names == {
        *(f"attacks/{side}/{name}.jsonl" for side in ("before", "after") for name in ATTACKED),
        *(f"predictions/{split}.jsonl" for split in ("validation", "test")),
        "training/events.jsonl",
    }
    assert not list(stage.glob("training/state-*"))
    assert made.report.is_file()
    assert len(made.model.predict(["the film was good"])) == 1


def test_before_and_after_attack_the_same_rows(done: Any) -> None:
    made, _, _ = done
    folder = made.stages[1].folder / "attacks"
    files = [folder / side / f"{name}.jsonl" for side in ("before", "after") for name in ATTACKED]
    keys = [[one.row for one in outcomes(file)] for file in files]
    assert len(keys[0]) == len(set(keys[0])) == min(10, made.stages[1].results["hardening"]["of"])
    assert all(some == keys[0] for some in keys)


def test_the_results_agree_with_the_outcomes(done: Any) -> None:
    made, _, _ = done
    results = made.stages[1].results
    for one in results["hardening"]["attacks"]:
        for side in ("before", "after"):
            found = list(outcomes(made.stages[1].folder / "attacks" / side / f"{one['name']}.jsonl"))
            withstood = sum(each.was_right and each.kind != "succeeded" for each in found)
            assert one[side]["value"] == pytest.approx(withstood / len(found))
    before = made.stages[0].results["evaluations"]["test"]["metrics"]["macro_f1"]["value"]
    assert results["hardening"]["metric"]["before"]["value"] == pytest.approx(before), "the base is what finetune left"
    assert results["hardening"]["metric"]["after"] == results["evaluations"]["test"]["metrics"]["macro_f1"]


def test_adversarial_texts_are_made_before_each_epoch(done: Any) -> None:
    _, _, seen = done
    renewed = [event for event in seen if isinstance(event, Renewed)]
    assert [event.epoch for event in renewed] == [0, 1]
    assert all(event.made + event.again == 12 for event in renewed)
    assert renewed[0].made > 0


def test_further_examples_are_training_rows_changed_with_their_labels(done: Any) -> None:
    import datasets

    made, _, _ = done
    subject = Subject.load(made.checkpoint)
    rows = datasets.Dataset.from_list(reviews(6))
    given = subject.task.encode(rows, subject.tokenizer, 64, "error").examples
    aeda = Augmented(augmenter("aeda", None, {"en": 1.0}), subject.task, rows, 2, 0)
    attacked = Adversarial(subject, rows, by_table(TOY, "toy-words")(Tools("none")), 3, 20, 0)
    further = Further((aeda, attacked), subject, given)
    assert further.per_epoch == 2 * 6 + 3
    first, second = (further(epoch, subject.scorer.model) for epoch in (0, 1))
    assert 12 <= len(first) <= 15
    assert first.columns.keys() == given.columns.keys()
    assert first["row"][:12].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert (first["label"] == given.dense("label")[first.dense("row")]).all()
    texts = [[row.tolist() for row in part.ragged("input_ids")] for part in (first, second, given)]
    assert texts[0][:12] != texts[1][:12], "each epoch has its own"
    assert not [text for text in texts[0] if text in texts[2]]
    again = further(0, subject.scorer.model)
    assert [row.tolist() for row in again.ragged("input_ids")] == texts[0]


def test_an_augmenter_of_another_language_is_refused() -> None:
    with pytest.raises(UsageError, match="zh-glyph changes texts in zh, and these are in en"):
        augmenter("zh-glyph", None, {"en": 1.0, "zh": 0.0})


def test_the_checkpoint_knows_task_base_and_robustness(done: Any) -> None:
    made, _, _ = done
    lineage = json.loads((made.checkpoint / "lineage.json").read_text("utf-8"))
    first = made.stages[0].folder / "checkpoint"
    assert (lineage["stage"], lineage["parent"]) == ("harden", digest_folder(first))
    assert set(lineage["robustness"]["accuracy_under_attack"]) == {*ATTACKED, "all"}
    old, new = Model.load(first), Model.load(made.checkpoint)
    assert (new.limit, new.on_long, new.columns) == (old.limit, old.on_long, old.columns)
    assert new.task.head() == old.task.head()


def test_the_report_begins_with_before_and_after(done: Any) -> None:
    made, _, _ = done
    page = made.report.read_text("utf-8")
    assert page.index("harden: Before and after") < page.index("harden: Success against budget")
    assert "under all of them together" in page
    for name in ATTACKED:
        assert f"under {name}" in page


def test_it_tells_before_and_after(done: Any) -> None:
    _, lines, _ = done
    text = "\n".join(lines)
    assert "attacking 10 rows of test by deepwordbug, toy-words, checklist" in text
    assert "under all of them" in text


def test_an_unchanged_stage_is_skipped(done: Any, source: Path, base: Path) -> None:
    made, _, _ = done
    again, _ = ran(two_stages(source, base), made.folder.parent)
    assert [stage.skipped for stage in again.stages] == [True, True]


# The gate


def test_a_result_that_lost_too_much_leaves_results_and_report_but_no_checkpoint(
    tmp_path: Path, source: Path, tuned: Path
) -> None:
    recipe = hardening(source, tuned, max_clean_loss=0.0, train={"learning_rate": 5.0, "noise": 0, "mask_share": 0.3})
    old = tmp_path / "small" / "01-harden" / "checkpoint"
    old.mkdir(parents=True)
    (old / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(GateError, match="macro F1 on test rows as they are fell from") as caught:
        ran(recipe, tmp_path)
    assert caught.value.exit_code == 3
    folder = tmp_path / "small" / "01-harden"
    assert not (folder / "checkpoint").exists()
    results = json.loads((folder / "results.json").read_text("utf-8"))
    assert results["refused"]["what"] == caught.value.what
    votes = results["hardening"]["votes"]
    assert (votes["share"], votes["clean"]["count"], set(votes["attacks"])) == (0.3, 10, set(ATTACKED))
    page = (tmp_path / "small" / "report.html").read_text("utf-8")
    assert page.index("Refused: macro F1 on test rows as they are fell from") < page.index("under deepwordbug")
    assert "Asked for a vote" in page
    with pytest.raises(SixfoldError):
        Model.load(tmp_path / "small")

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a model was loaded")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harden, "load", refuse)
        with pytest.raises(GateError, match="fell from"):
            ran(recipe, tmp_path)


# Votes


def test_a_checkpoint_that_answers_by_votes_is_attacked_and_answers_by_them(
    tmp_path: Path, source: Path, tuned: Path
) -> None:
    recipe = hardening(source, tuned, max_clean_loss=1.0, votes=7, train={"noise": 0, "mask_share": 0.3})
    made, _ = ran(recipe, tmp_path)
    results = json.loads((made.stages[0].folder / "results.json").read_text("utf-8"))["hardening"]
    assert (results["votes"], results["voting"]) == (None, {"copies": 7, "share": 0.3})
    assert any("7 copies of a text that vote" in line for line in results["trained_with"])
    assert "7 copies of a text that vote" in made.report.read_text("utf-8")
    texts = [row["text"] for row in reviews(12)]
    first, second = Model.load(made.folder), Model.load(made.folder)
    assert first.predict(texts) == second.predict(texts), "drawn alike in the same order"
    assert isinstance(first.scorer, Voter)
    assert first.scorer.ledger.model_calls == 7 * 12
    subject = Subject.load(made.stages[0].folder / "checkpoint")
    assert isinstance(subject.scorer, Voter)
    assert len(subject.whole(texts)) == 12
    plain = Subject.load(tuned)
    assert type(plain.scorer) is Scorer


def test_votes_are_refused_for_a_task_without_one_label(tmp_path: Path, base: Path) -> None:
    data = write_conll(tmp_path / "a.conll", 60)
    first = recipe_of(data, base, task="entities", train={"epochs": 1})
    tagger = run(parse(first), runs=tmp_path / "first", told=Told()).checkpoint
    recipe = hardening(data, tagger, votes=4, train={"noise": 0, "mask_share": 0.3})
    with pytest.raises(UsageError, match="vote on one label"):
        ran(recipe, tmp_path)


# Resuming


class CrashError(Exception):
    """Stands for whatever ends a process."""


def crashing(events: Iterable[Event]) -> Iterator[Event]:
    """Ends the harden stage's training inside the second epoch."""
    renewed = 0
    for event in events:
        renewed += isinstance(event, Renewed)
        yield event
        if renewed == 2 and isinstance(event, Step):
            raise CrashError


def test_a_stage_that_broke_in_training_goes_on_and_attacks_nothing_again_before(
    tmp_path: Path, done: Any, source: Path, tuned: Path
) -> None:
    whole, _, _ = done
    recipe = hardening(source, tuned, **{**RENEWED, "train": {**RENEWED["train"], "save_minutes": 0}})
    with pytest.raises(CrashError):
        ran(recipe, tmp_path, watch=crashing)
    folder = tmp_path / "small" / "01-harden"
    stamps = {path: path.stat().st_mtime_ns for path in (folder / "attacks" / "before").iterdir()}
    assert len(stamps) == 2 * len(ATTACKED) + 1
    assert not (folder / "attacks" / "after").exists()
    made, _ = ran(recipe, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in (folder / "attacks" / "before").iterdir()} == stamps
    assert digest_folder(made.checkpoint) == digest_folder(whole.checkpoint)
    same = ("metric", "clean", "all")
    found, wanted = made.stages[0].results["hardening"], whole.stages[1].results["hardening"]
    assert {key: found[key] for key in same} == {key: wanted[key] for key in same}


def test_a_stop_while_attacking_keeps_the_attacks_that_are_done(tmp_path: Path, source: Path, tuned: Path) -> None:
    asked: list[str] = []

    def tell(line: str) -> None:
        if "deepwordbug: " in line:
            asked.append(line)

    recipe = hardening(source, tuned)
    with pytest.raises(Interrupted):
        run(parse(recipe), runs=tmp_path, told=Told(tell, stop=lambda: bool(asked)))
    kept = {path.name for path in (tmp_path / "small" / "01-harden" / "attacks" / "before").iterdir()}
    assert kept == {"key.json", "deepwordbug.json", "deepwordbug.jsonl"}


def test_outcomes_of_another_model_are_not_taken(done: Any, tmp_path: Path) -> None:
    import datasets

    made, _, _ = done
    rows = datasets.Dataset.from_list(reviews(4))
    subject = Subject.load(made.checkpoint)
    bench = Bench(rows, "rows", (by_table(TOY, "toy-words")(Tools("none")),), 20, 0)

    def written() -> int:
        bench.attacked(subject, tmp_path)
        return (tmp_path / "toy-words.jsonl").stat().st_mtime_ns

    first = written()
    assert written() == first
    subject = replace(subject, digest="another")
    assert written() > first


# What a user may get wrong


def test_a_base_without_a_task_is_told(tmp_path: Path, source: Path, base: Path) -> None:
    stage = {**STAGE, "data": {"source": str(source)}, "base": str(base)}
    with pytest.raises(ModelError, match="not fine-tuned by sixfold: it has no task"):
        ran({"name": "a", "stages": [{"harden": stage}]}, tmp_path)


def test_nothing_to_harden_is_told(tmp_path: Path, source: Path) -> None:
    with pytest.raises(UsageError, match="there is nothing to harden"):
        ran({"name": "a", "stages": [{"harden": {**STAGE, "data": {"source": str(source)}}}]}, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"split": {}}}, "no rows are held out"),
        ({"train": {"noise": 5, "metric": "macrof1"}}, "there is no metric 'macrof1'"),
        ({"base": "no/such/base"}, "there is no model 'no/such/base'"),
        ({"attacks": ["deepwordbug", "pwws", "checklist"]}, "wordnet, inflections are not on this machine"),
    ],
)
def test_a_mistake_is_told_and_not_traced(
    tmp_path: Path, done: Any, source: Path, changes: dict[str, Any], message: str
) -> None:
    made, _, _ = done
    data = {"source": str(source), **changes.pop("data", {})}
    stage = {**STAGE, "base": str(made.folder), "attacks": ATTACKED, "data": data, **changes}
    with pytest.raises(SixfoldError, match=message):
        ran({"name": "a", "seed": 5, "stages": [{"harden": stage}]}, tmp_path)


def test_labels_that_the_checkpoint_does_not_know_are_told(tmp_path: Path, done: Any) -> None:
    made, _, _ = done
    rows = [*reviews(60), *({"text": f"so {n}", "label": "neutral"} for n in range(20))]
    source = write_csv(tmp_path / "a.csv", rows)
    stage = {**STAGE, "base": str(made.checkpoint), "attacks": ATTACKED, "data": {"source": str(source)}}
    with pytest.raises(DataError, match="training rows have 1 label that the checkpoint does not know") as caught:
        ran({"name": "a", "stages": [{"harden": stage}]}, tmp_path)
    assert caught.value.found == "neutral"


# A plan


def test_a_plan_counts_further_examples_and_times_the_attacks(tmp_path: Path, source: Path, tuned: Path) -> None:
    (stage,) = chosen(parse(hardening(source, tuned, **RENEWED)))
    context = Context(tmp_path / "plan", 5)
    prepared = harden.prepare(stage.config, context)
    found = rehearse(harden, stage.config, context, prepared, Memory(), seconds=0.1)
    rows = len(prepared.rows.rows["train"])
    assert found.examples == rows + 12
    assert found.calibrated.whole.steps == 2 * -(-(rows + 12) // 16)
    assert found.besides_seconds > 0
    assert not (tmp_path / "plan" / "attacks").exists()
    assert Model.load(context.checkpoint).limit == 64, "a stage behind it can be planned too"


# Words


def test_a_tagger_is_hardened_word_by_word(tmp_path: Path, base: Path) -> None:
    source = write_conll(tmp_path / "a.conll", 90)
    first = recipe_of(source, base, task="entities", train={"epochs": 8})
    stage = {
        "data": {"source": str(source)},
        "train": {**QUICK, "noise": 2.0},
        "attacks": ["deepwordbug", "toy-words", "checklist"],
        "examples": 6,
        "budget": 30,
        "max_clean_loss": 1.0,
    }
    recipe = {**first, "stages": [*first["stages"], {"harden": stage}]}
    with pytest.raises(UsageError, match="checklist makes one word of several"):
        ran(recipe, tmp_path)
    stage["attacks"] = ["deepwordbug", "toy-words", "toy-names"]
    made, _ = ran(recipe, tmp_path)
    found = made.stages[1].results["hardening"]
    assert found["metric"]["name"] == "entity F1"
    assert found["attacks"][0]["before"]["value"] > found["attacks"][0]["after"]["value"] - 1
    (answer,) = made.model.predict(["i love new york"])
    assert answer["words"] == ["i", "love", "new", "york"]
    assert "under toy-names" in made.report.read_text("utf-8")


@pytest.mark.parametrize(
    "train", [{"r_drop": 1.0}, {"noise": 5.0}, {"mixup": 0.2}, {"mask_share": 0.3}, {"adversarial": {"method": "fgm"}}]
)
def test_each_dial_alone_is_enough_and_is_told(train: dict[str, Any]) -> None:
    config = Config.model_validate({"data": {"source": "a.csv"}, "train": train, "base": "x"})
    assert len(trained_with(config)) == 1
