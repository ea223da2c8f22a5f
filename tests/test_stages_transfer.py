"""The transfer stage: domains checked, every strategy's matrix, what is left, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import tiny_encoder
from tiny_runs import BAD, GOOD, THINGS, write_csv
from typer.testing import CliRunner

from sixfold.cli import app
from sixfold.commands.predict import Model
from sixfold.errors import DataError, Interrupted, ModelError, SixfoldError, UsageError
from sixfold.models import adapters, lineage
from sixfold.planning import plan
from sixfold.recipe import Run, Told, parse, run
from sixfold.score.subject import Subject
from sixfold.stages.rows import DataConfig, prepare_rows
from sixfold.stages.transferring import matrix
from sixfold.stages.transferring.domains import overlap
from sixfold.stages.transferring.strategies import replayed

TRAIN = {"epochs": 8, "batch": 16, "learning_rate": 3e-3, "precision": "fp32"}
SPLIT = {"validation": 0.2, "test": 0.3}
EVERY = ["separate", "mixture", "adapters", "shared_adapters", "sequential"]


def rows(count: int, words: tuple[tuple[str, ...], tuple[str, ...]], first: str) -> list[dict[str, str]]:
    """Texts of a domain: each begins alike, and a label is plain from one of the domain's words."""
    made = []
    for number in range(count):
        word = words[number % 2][number // 2 % len(words[0])]
        text = f"{first} {THINGS[number // 2 % 10]} was {word} and {number}"
        made.append({"text": text, "label": ("good", "bad")[number % 2]})
    return made


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    return {
        "films": write_csv(folder / "films.csv", rows(160, (GOOD[:3], BAD[:3]), "the film")),
        "hotels": write_csv(folder / "hotels.csv", rows(120, (GOOD[3:], BAD[3:]), "my hotel")),
        "banks": write_csv(folder / "banks.csv", rows(60, (GOOD, BAD), "this bank")),
    }


def stage(base: Path, sources: dict[str, Path], **changes: Any) -> dict[str, Any]:
    domains = {name: {"source": str(sources[name]), "split": SPLIT} for name in ("films", "hotels")}
    return {"base": str(base), "domains": domains, "train": TRAIN, "adapter": {"rank": 4}, **changes}


def of(config: dict[str, Any]) -> Any:
    return parse({"name": "move", "seed": 5, "stages": [{"transfer": config}]})


@pytest.fixture(scope="module")
def moved(base: Path, sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    zero = {"banks": {"source": str(sources["banks"]), "split": SPLIT}}
    config = stage(base, sources, strategies=EVERY, zero_shot=zero)
    return run(of(config), runs=tmp_path_factory.mktemp("runs"), told=Told())


def results(done: Run) -> dict[str, Any]:
    return done.stages[-1].results


def test_every_strategy_has_a_matrix_over_all_domains(moved: Run) -> None:
    found = results(moved)
    assert set(found["strategies"]) == set(EVERY)
    for name, one in found["strategies"].items():
        assert one["matrix"]["columns"] == ["films", "hotels", "banks"]
        assert one["matrix"]["rows"] == (["all domains"] if name == "mixture" else ["films", "hotels"])
        for row in one["matrix"]["cells"]:
            assert all(0 <= cell["low"] <= cell["value"] <= cell["high"] <= 1 for cell in row)
    separate = found["strategies"]["separate"]
    cells = [[cell["value"] for cell in row] for row in separate["matrix"]["cells"]]
    assert separate["average"] == pytest.approx((cells[0][0] + cells[1][1]) / 2)
    assert separate["zero_shot"] == pytest.approx((cells[0][2] + cells[1][2]) / 2)
    assert separate["average"] > 0.9
    mixed = found["strategies"]["mixture"]["matrix"]["cells"][0]
    assert found["strategies"]["mixture"]["average"] == pytest.approx(np.mean([mixed[0]["value"], mixed[1]["value"]]))


def test_learnt_numbers_are_counted(moved: Run) -> None:
    strategies = results(moved)["strategies"]
    whole = strategies["mixture"]["parameters"]
    assert strategies["mixture"]["learning"] == strategies["sequential"]["learning"] == whole
    assert strategies["separate"]["learning"] == 2 * whole
    each = [part["learning"] for part in strategies["adapters"]["parts"]]
    assert strategies["adapters"]["learning"] == sum(each) < 2 * whole


def test_what_is_learnt_one_after_another_is_measured_as_defined(moved: Run) -> None:
    found = results(moved)
    told, cells = found["strategies"]["sequential"]["moved"], found["strategies"]["sequential"]["matrix"]["cells"]
    table = [[cell["value"] for cell in row[:2]] for row in cells]
    assert told["backward"] == pytest.approx(table[1][0] - table[0][0])
    assert told["forward"] == pytest.approx(table[0][1] - found["untrained"]["hotels"])
    assert told["forgetting"] == pytest.approx(table[0][0] - table[1][0])


def test_the_checkpoint_is_the_shared_model_with_an_adapter_for_each_domain(moved: Run) -> None:
    assert moved.checkpoint is not None
    assert adapters.names(moved.checkpoint) == ["films", "hotels"]
    loaded = adapters.load_adapted(moved.checkpoint, "hotels")
    assert list(loaded.model.config.label2id) == ["bad", "good"]
    told = adapters.read(moved.checkpoint / "adapters" / "films")
    assert told.base_digest == lineage.digest_folder(moved.checkpoint)
    assert lineage.read(moved.checkpoint)["strategy"] == "shared_adapters"
    assert not (moved.stages[-1].folder / "training").exists()


def test_the_report_draws_the_matrices(moved: Run) -> None:
    page = moved.report.read_text()
    for told in (
        "Transfer between domains",
        "trained on",
        "forward transfer",
        "Words that domains share",
        "films, train",
    ):
        assert told in page


def test_a_finished_stage_is_skipped(moved: Run, base: Path, sources: dict[str, Path]) -> None:
    zero = {"banks": {"source": str(sources["banks"]), "split": SPLIT}}
    again = run(of(stage(base, sources, strategies=EVERY, zero_shot=zero)), runs=moved.folder.parent, told=Told())
    assert again.stages[-1].skipped


def test_adapters_alone_stand_on_the_base_as_it_was(base: Path, sources: dict[str, Path], tmp_path: Path) -> None:
    done = run(of(stage(base, sources, strategies=["adapters"])), runs=tmp_path, told=Told())
    assert done.checkpoint is not None
    assert lineage.digest_folder(done.checkpoint) == lineage.digest_folder(base)
    assert results(done)["routing"]["fallback"] == "films", "the most rows are of films"
    assert adapters.names(done.checkpoint) == ["films", "hotels"]


def test_a_stopped_stage_goes_on_and_gives_the_same(base: Path, sources: dict[str, Path], tmp_path: Path) -> None:
    config = stage(base, sources, strategies=["sequential", "mixture"])
    whole = results(run(of(config), runs=tmp_path / "whole", told=Told()))
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == 20

    with pytest.raises(Interrupted):
        run(of(config), runs=tmp_path / "broken", told=Told(stop=stop))
    again = results(run(of(config), runs=tmp_path / "broken", told=Told()))
    for name in ("sequential", "mixture"):
        assert again["strategies"][name]["matrix"] == whole["strategies"][name]["matrix"]


def test_adalora_tells_where_its_ranks_went(base: Path, sources: dict[str, Path], tmp_path: Path) -> None:
    config = stage(base, sources, strategies=["adapters"], adapter={"kind": "adalora", "rank": 2})
    done = run(of(config), runs=tmp_path, told=Told())
    (first, _) = results(done)["strategies"]["adapters"]["parts"]
    assert sum(first["ranks"].values()) == 2 * len(first["ranks"])
    assert "Ranks by layer" in done.report.read_text()


def test_few_rows_a_class_are_learnt_in_three_ways(base: Path, sources: dict[str, Path], tmp_path: Path) -> None:
    config = stage(base, sources, strategies=["mixture"], few_shot={"per_class": [2, 500], "ways": ["frozen"]})
    found = results(run(of(config), runs=tmp_path, told=Told()))["few_shot"]
    assert [(one["domain"], one["per_class"], one["way"]) for one in found["scores"]] == [
        ("films", 2, "frozen"),
        ("hotels", 2, "frozen"),
    ]
    assert [(one["domain"], one["per_class"]) for one in found["missing"]] == [("films", 500), ("hotels", 500)]


def test_a_masked_domain_is_measured_both_ways(base: Path, sources: dict[str, Path], tmp_path: Path) -> None:
    config = stage(base, sources, strategies=["mixture"])
    private = rows(120, (GOOD, BAD), "call 13800138000 my card")
    for line in private:
        line["label"] = {"good": "up", "bad": "bad"}[line["label"]]
    source = str(write_csv(tmp_path / "cards.csv", private))
    cards = {"source": source, "split": SPLIT, "mask": True, "map": {"up": "good"}}
    config["domains"] = {"films": config["domains"]["films"], "cards": cards}
    done = run(of(config), runs=tmp_path, told=Told())
    masked = results(done)["domains"]["cards"]["masked"]
    assert masked["types"] == {"phone": masked["rows"]}
    assert {one["masked"]["name"] for one in masked["scores"]} >= {"accuracy"}
    assert "scores" not in results(done)["domains"]["films"].get("masked", {})
    assert "Held-out rows masked" in done.report.read_text()


# What is left answers


TEXTS = [
    f"the film {THINGS[0]} was good and 4",
    f"my hotel {THINGS[1]} was poor and 9",
    f"the film {THINGS[2]} was bad and 1",
]


def test_an_adapter_that_is_named_answers_as_it_did_in_the_stage(moved: Run, sources: dict[str, Path]) -> None:
    found = results(moved)["strategies"]["shared_adapters"]["matrix"]
    for row, name in enumerate(("films", "hotels")):
        model = Model.load(moved.folder, adapter=name)
        for column, domain in enumerate(("films", "hotels")):
            rows = prepare_rows(DataConfig(source=str(sources[domain]), split=SPLIT), model.task.columns, seed=5).rows
            measured = model.evaluate(rows["test"], columns={"text": "text", "label": "label"})
            assert measured["metrics"]["accuracy"]["value"] == found["cells"][row][column]["value"]


def test_a_merged_adapter_is_an_ordinary_checkpoint(moved: Run, tmp_path: Path) -> None:
    assert moved.checkpoint is not None
    args = ["adapters", "merge", str(moved.checkpoint), "hotels", "--to", str(tmp_path / "alone")]
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 0, done.output
    alone, beside = Model.load(tmp_path / "alone"), Model.load(moved.folder, adapter="hotels")
    for one, other in zip(alone.predict(TEXTS), beside.predict(TEXTS), strict=True):
        assert one["label"] == other["label"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
    assert Subject.load(tmp_path / "alone").task.labels == ("bad", "good")


def test_texts_are_sent_to_their_adapters_and_answered_in_one_batch(moved: Run) -> None:
    told = results(moved)["routing"]
    assert told["right"]["value"] > 0.9
    model = Model.load(moved.folder, adapter="auto")
    answers = model.predict(TEXTS)
    assert [one["adapter"] or "films" for one in answers] == ["films", "hotels", "films"]
    assert {"films", "hotels"} & {one["adapter"] for one in answers}
    for name in ("films", "hotels"):
        alone = Model.load(moved.folder, adapter=name).predict(TEXTS)
        for one, other in zip(answers, alone, strict=True):
            if one["adapter"] == name:
                assert one["label"] == other["label"]
                assert one["probabilities"] == pytest.approx(other["probabilities"], rel=1e-4)
    calls = model.scorer.ledger.model_calls
    model.predict([f"{text} {number}" for text in TEXTS for number in range(5)])
    assert model.scorer.ledger.model_calls - calls <= 2 * 15, "a row is answered once, and routed once"


def test_a_domain_that_nobody_learnt_and_a_base_alone_are_told(moved: Run, base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Model.load(moved.folder, adapter="film")
    assert caught.value.nearest == "films"
    shutil.copytree(base, tmp_path / "base")
    with pytest.raises(UsageError, match="no adapters"):
        Model.load(tmp_path / "base", adapter="auto")


def test_the_command_carries_a_base_into_domains_and_predicts_by_adapter(
    base: Path, sources: dict[str, Path], tmp_path: Path
) -> None:
    runner = CliRunner()
    args = ["transfer", f"films={sources['films']}", f"hotels={sources['hotels']}", "--base", str(base)]
    args += ["--strategy", "adapters", "--runs", str(tmp_path), "--name", "moved", "--set", "train.epochs=2"]
    done = runner.invoke(app, [*args, "--set", "adapter.rank=2", "--set", "train.learning_rate=0.003"])
    assert done.exit_code == 0, done.output
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    said = runner.invoke(app, ["predict", str(tmp_path / "moved"), str(tmp_path / "texts.txt"), "--adapter", "films"])
    assert said.exit_code == 0, said.output
    assert len(said.stdout.splitlines()) == 3
    with pytest.raises(ModelError, match="no task") as caught:
        Model.load(tmp_path / "moved")
    assert "--adapter films" in str(caught.value)


def test_a_plan_says_that_it_has_none(base: Path, sources: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="not planned yet"):
        plan(of(stage(base, sources)))


# Domains that cannot be used


def refused(config: dict[str, Any], tmp_path: Path) -> SixfoldError:
    with pytest.raises(SixfoldError) as caught:
        run(of(config), runs=tmp_path, told=Told())
    return caught.value


def given(rows: list[dict[str, str]], path: Path) -> dict[str, Any]:
    return {
        "source": {"train": str(write_csv(path, rows)), "test": str(write_csv(path.with_suffix(".test.csv"), rows))}
    }


def test_a_domain_of_one_row_or_one_class_is_refused_by_name(
    base: Path, sources: dict[str, Path], tmp_path: Path
) -> None:
    config = stage(base, sources)
    one = rows(200, (GOOD, GOOD), "a card")
    for line in one:
        line["label"] = "good"
    few = given(rows(20, (GOOD, BAD), "a card"), tmp_path / "few.csv") | {"split": {}}
    write_csv(tmp_path / "few.csv", rows(1, (GOOD, BAD), "a dog"))
    for told, domain in (
        ("cards has one class", given(one, tmp_path / "one.csv") | {"allow": ["one_class", "overlaps"]}),
        ("cards has 1 row", few | {"allow": ["one_class", "overlaps", "unseen"]}),
    ):
        error = refused({**config, "domains": {**config["domains"], "cards": domain}}, tmp_path)
        assert isinstance(error, DataError)
        assert told in error.what
        assert "zero_shot" in str(error)


def test_labels_that_differ_are_mapped_or_refused(base: Path, sources: dict[str, Path], tmp_path: Path) -> None:
    other = rows(120, (GOOD, BAD), "a card")
    for line in other:
        line["label"] = {"good": "up", "bad": "down"}[line["label"]]
    source = str(write_csv(tmp_path / "cards.csv", other))
    config = stage(base, sources, strategies=["mixture"])
    films = config["domains"]["films"]

    def with_cards(**changes: Any) -> dict[str, Any]:
        cards = {"source": source, "split": SPLIT, **changes.pop("cards", {})}
        return {**config, "domains": {"films": films, "cards": cards}, **changes}

    error = refused(with_cards(), tmp_path)
    assert "films and cards have other labels" in error.what
    assert "domains.cards.map" in str(error)
    assert "union" in str(error)
    error = refused(with_cards(cards={"map": {"upp": "good"}}), tmp_path)
    assert error.nearest == "up"
    mapped = with_cards(cards={"map": {"up": "good", "down": "bad"}})
    done = results(run(of(mapped), runs=tmp_path / "mapped", told=Told()))
    assert set(done["domains"]["cards"]["splits"]["train"]["labels"]) == {"good", "bad"}
    assert set(done["evaluations"]["cards"]["metrics"]) >= {"accuracy"}
    union = run(of(with_cards(labels="union")), runs=tmp_path / "union", told=Told())
    assert union.checkpoint is not None
    config_file = json.loads((union.checkpoint / "config.json").read_text())
    assert sorted(config_file["label2id"]) == ["bad", "down", "good", "up"]


def test_heads_of_their_own_answer_their_own_domain_alone(base: Path, sources: dict[str, Path], tmp_path: Path) -> None:
    other = rows(120, (GOOD, BAD), "a card")
    for line in other:
        line["label"] = {"good": "up", "bad": "down"}[line["label"]]
    config = stage(base, sources, strategies=["separate", "adapters"], labels="own")
    source = str(write_csv(tmp_path / "cards.csv", other))
    config["domains"] = {"films": config["domains"]["films"], "cards": {"source": source, "split": SPLIT}}
    done = run(of(config), runs=tmp_path, told=Told())
    cells = results(done)["strategies"]["adapters"]["matrix"]["cells"]
    assert cells[0][1] is None
    assert cells[1][0] is None
    assert done.checkpoint is not None
    labels = [adapters.read(done.checkpoint / "adapters" / name).labels for name in ("films", "cards")]
    assert labels == [("bad", "good"), ("down", "up")]


def test_a_domain_that_is_missing_where_it_is_tested_is_told(
    base: Path, sources: dict[str, Path], tmp_path: Path
) -> None:
    config = stage(base, sources)
    config["domains"]["hotels"] = {"source": str(sources["hotels"]), "split": {}}
    error = refused(config, tmp_path)
    assert "domain hotels" in error.what
    assert "held out" in error.what


def test_what_another_domain_is_tested_on_is_not_learnt(base: Path, sources: dict[str, Path], tmp_path: Path) -> None:
    twice = rows(160, (GOOD[:3], BAD[:3]), "the film") + rows(100, (GOOD, BAD), "a card")
    config = stage(base, sources, strategies=["mixture"])
    config["domains"]["cards"] = {"source": str(write_csv(tmp_path / "cards.csv", twice)), "split": SPLIT}
    lines: list[str] = []
    run(of(config), runs=tmp_path, told=Told(lines.append))
    assert not [line for line in lines if "held out in another domain" in line], "one text has one place in all domains"
    config["domains"]["cards"]["split"] = {"test": 0.6}
    done = run(of(config), runs=tmp_path / "again", told=Told(lines.append))
    gone = [line for line in lines if "taken out of train: held out in another domain" in line]
    assert gone
    found = results(done)
    told = {name: one["splits"]["train"] for name, one in found["domains"].items()}
    assert found["strategies"]["mixture"]["parts"][0]["rows"] == sum(one["rows"] for one in told.values())
    assert {f"{name}/train": one["digest"] for name, one in told.items()}.items() <= found["lineage"]["data"].items()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"replay": 0}, "greater than 0"),
        ({"strategies": ["separate"]}, "leave no checkpoint"),
        ({"strategies": ["mixture", "mixture"]}, "stands there twice"),
        ({"strategies": ["mixtures"]}, "did you mean 'mixture'"),
        ({"temperature": 0.5}, "greater than or equal to 1"),
        ({"keep": "separate"}, "keep one of the others"),
        ({"keep": "sequential"}, "is not among the strategies"),
        ({"labels": "own"}, "has one head"),
        ({"adapter": {"kind": "bitfit", "rank": 3}}, "rank would do nothing for bitfit"),
        ({"task": "dialogue"}, "not for dialogue"),
    ],
)
def test_mistakes_are_told(changes: dict[str, Any], told: str, base: Path, sources: dict[str, Path]) -> None:
    with pytest.raises(UsageError) as caught:
        of(stage(base, sources, **changes))
    assert told in str(caught.value)


def test_two_domains_of_one_name_are_refused(base: Path, sources: dict[str, Path]) -> None:
    config = stage(base, sources)
    with pytest.raises(UsageError, match="two domains of one name: films and Films"):
        of({**config, "domains": {**config["domains"], "Films": config["domains"]["films"]}})
    with pytest.raises(UsageError, match="two domains of one name"):
        of({**config, "zero_shot": {"films": config["domains"]["films"]}})
    with pytest.raises(UsageError, match="names no domain"):
        of({**config, "zero_shot": {"../films": config["domains"]["films"]}})


# Parts


def test_words_that_domains_share_are_a_share_of_the_rows_words() -> None:
    found = overlap({"a": ["x", "y", "z"], "b": ["x"], "c": []})
    assert found["a"] == {"a": 1.0, "b": 1 / 3, "c": 0.0}
    assert found["b"] == {"a": 1.0, "b": 1.0, "c": 0.0}
    assert found["c"] == {"a": 0.0, "b": 0.0, "c": 0.0}


def test_at_least_one_row_is_learnt_again() -> None:
    assert len(replayed(3, 0.01, 5)) == 1
    assert len(replayed(50, 0.1, 5)) == 5
    assert replayed(50, 0.1, 5) == replayed(50, 0.1, 5) != replayed(50, 0.1, 6)


def test_strategies_are_compared_on_the_same_rows() -> None:
    def part(strategy: str, row: str, right: dict[str, list[bool]]) -> dict[str, Any]:
        return {"strategy": strategy, "row": row, "right": right}

    first = [part("separate", "a", {"a": [True, False], "b": [False]}), part("separate", "b", {"a": [], "b": [True]})]
    mixed = [part("mixture", "all domains", {"a": [True, True], "b": [True]})]
    found = matrix.against(mixed, first, ["a", "b"])
    assert found is not None
    assert (found["a"], found["b"], found["count"]) == (pytest.approx(2 / 3), 1.0, 3)
