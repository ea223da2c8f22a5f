"""``mask: true``: what is learnt from is masked and nothing else; tags stay on their words; nothing can be restored."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from linear_subject import Table
from tiny_runs import recipe_of, reviews, write_csv

from sixfold.attack import importance
from sixfold.attack.attacks import ATTACKS, WORDS, Row
from sixfold.attack.building import by_importance
from sixfold.attack.changes import Changes, every
from sixfold.commands.compare import compare
from sixfold.errors import UsageError
from sixfold.recipe import Told, parse, run
from sixfold.safety import find
from sixfold.stages import harden, pretrain
from sixfold.stages.context import Context
from sixfold.stages.labelled import Judged, mask_results, masked_evaluations
from sixfold.stages.masked import Mask, mask_of
from sixfold.stages.rows import DataConfig, Prepared, prepare_rows
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.token_classification import TokenClassification

pytestmark = pytest.mark.usefixtures("own_home")

MASK = Mask(b"0123456789abcdef0123456789abcdef")
PHONES = [f"1380013{number:04d}" for number in range(400)]


def private(count: int) -> list[dict[str, str]]:
    """Reviews of which every other one names a phone and every fourth a mailbox."""
    rows = reviews(count)
    for number, row in enumerate(rows):
        row["text"] += f" call {PHONES[number]}" if number % 2 else ""
        row["text"] += f" mail bob{number}@corp{number}.org" if number % 4 == 0 else ""
    return rows


def prepared(source: Any, *, seed: int = 5, **keys: Any) -> Prepared:
    return prepare_rows(DataConfig(source=source, **keys), TextClassification().columns, seed=seed)


def texts(rows: Prepared, split: str = "train") -> list[str]:
    return list(rows.rows[split]["text"])


# A text, words with tags


def test_a_text_keeps_its_shape() -> None:
    made, types = MASK.text("我的电话是13800138000，或 bob@corp.org。")
    assert types == ["phone", "email"]
    assert re.fullmatch(r"我的电话是1\d{10}，或 [a-z.]+\d{4}@example\.com。", made)
    assert "13800138000" not in made
    assert MASK.text("nothing here") == ("nothing here", [])


ROWS = [
    (["call", "+44 20 7946 0958", "now"], 1),
    (["mail", "bob@corp.org,", "please"], 1),
    (["call", "+44", "20", "7946", "0958", "now"], 4),
    ([*"我的电话是13800138000。"], 11),
    ([*"寄到北京市朝阳区建国路88号。"], 13),
    (["at", "1668", "Glyn", "St", "in"], 3),
    (["at", "221", "Baker", "Street,", "Apt.", "4", "please"], 5),
    (["key", "=", "sk-abcdEFGH1234ijklMNOP5678qrst", "!"], 1),
    (["电话", "１３８００１３８０００"], 1),
    (["born", "on", "3rd", "May", "1980"], 3),
    (["a", "", "bob@corp.org"], 1),
]


@pytest.mark.parametrize(("words", "most"), ROWS, ids=lambda value: "-".join(value) if isinstance(value, list) else "")
def test_words_stay_as_many_and_only_those_of_an_entity_change(words: list[str], most: int) -> None:
    characters = sum(len(word) == 1 for word in words) > 8
    made, types = MASK.words(words, characters=characters)
    assert len(types) == 1
    assert len(made) == len(words)
    assert [bool(word.split()) for word in made] == [bool(word.split()) for word in words]
    assert [len(word.split()) for word in made] == [len(word.split()) for word in words]
    changed = [number for number, (old, new) in enumerate(zip(words, made, strict=True)) if old != new]
    assert changed
    assert changed[-1] - changed[0] < most
    assert MASK.words(words, characters=characters) == (made, types)


def test_a_word_keeps_what_is_not_of_the_entity() -> None:
    made, _ = MASK.words(["mail", "bob@corp.org,", "please"])
    assert re.fullmatch(r"[a-z.]+\d{4}@example\.com,", made[1])


def test_a_pseudonym_of_other_words_gives_way_to_one_for_each_word() -> None:
    words = [*"住在幸福小区5栋302室"]
    made, types = MASK.words(words, characters=True)
    assert types == ["address"]
    assert (made[5], made[7], made[11]) == ("区", "栋", "室"), "what an address is made of stays"
    assert made[6].isdigit()
    assert made[2:4] != words[2:4]


def test_two_values_in_one_word_are_both_masked() -> None:
    made, types = MASK.words(["bob@corp.org,ann@corp.org"])
    assert types == ["email", "email"]
    assert re.fullmatch(r"[a-z.]+\d{4}@example\.com,[a-z.]+\d{4}@example\.com", made[0])


def test_a_conversation_is_masked_turn_by_turn_and_inside_what_tools_are_called_with() -> None:
    call = json.dumps([{"type": "function", "function": {"name": "ring", "arguments": {"to": PHONES[0], "times": 2}}}])
    said = f"ring {PHONES[0]}"
    messages = [
        {"role": "user", "content": said, "tool_calls": None},
        {"role": "assistant", "content": None, "tool_calls": call},
        {"role": "tool", "content": "done", "tool_calls": None},
    ]
    made, types = MASK.cell("messages", messages)
    assert types == ["phone", "phone"]
    assert [one["role"] for one in made] == ["user", "assistant", "tool"]
    assert made[0]["content"].startswith("ring ")
    called = json.loads(made[1]["tool_calls"])[0]["function"]
    assert (called["name"], called["arguments"]["times"]) == ("ring", 2)
    assert called["arguments"]["to"] == made[0]["content"].removeprefix("ring ") != PHONES[0]
    assert (made[1]["content"], made[2]["content"]) == (None, "done")
    assert messages[0]["content"] == said, "the conversation that was given stays"


# Rows


def test_training_rows_are_masked_and_held_out_rows_are_not(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", private(200))
    plain, found = prepared(source), prepared(source, mask=True)
    for split in ("validation", "test"):
        assert texts(found, split) == texts(plain, split)
        assert found.keys[split] == plain.keys[split]
        assert found.digests[split] == plain.digests[split]
        masked = found.masked[split]["text"]
        assert list(masked) != texts(plain, split)
        assert not any(phone in text for text in masked for phone in PHONES)
    assert set(found.masked) == {"validation", "test"}
    assert not plain.masked
    for old, new in zip(texts(plain), texts(found), strict=True):
        assert [one.type for one in find(old)] == [one.type for one in find(new)]
        assert not any(old[one.start : one.end] in new for one in find(old))
    assert found.rows["train"].column_names == plain.rows["train"].column_names
    assert found.rows["train"].features == plain.rows["train"].features
    assert found.rows["train"]["label"][:] == plain.rows["train"]["label"][:]
    assert found.digests["train"] != plain.digests["train"]


def test_what_was_masked_is_counted_and_told(tmp_path: Path) -> None:
    found = prepared(write_csv(tmp_path / "a.csv", private(200)), mask=True)
    plain = prepared(write_csv(tmp_path / "b.csv", private(200)))
    kinds = [[one.type for one in find(text)] for text in texts(plain)]
    count = {name: sum(types.count(name) for types in kinds) for name in ("phone", "email")}
    rows = sum(map(bool, kinds))
    assert found.described["masked"] == {"types": count, "rows": rows, "of": len(kinds)}
    assert (
        found.told[-1]
        == f"masked in {rows} of {len(kinds)} rows of train: {count['phone']} phone, {count['email']} email"
    )
    nothing = prepared(write_csv(tmp_path / "c.csv", reviews(100)), mask=True)
    assert nothing.described["masked"]["rows"] == 0
    assert nothing.told[-1] == f"masked: no personal data found in {len(nothing.rows['train'])} rows of train"
    assert "masked" not in plain.described


def test_the_same_recipe_masks_alike_and_another_seed_or_text_does_not() -> None:
    rows = private(100)
    one = texts(prepared(rows, mask=True))
    assert one == texts(prepared(rows, mask=True))
    assert one != texts(prepared(rows, mask=True, seed=6))
    other = [*rows[:-1], {**rows[-1], "text": f"{rows[-1]['text']} indeed"}]
    changed = texts(prepared(other, mask=True))
    assert sum(a != b for a, b in zip(one, changed, strict=True)) > 20


def test_the_key_follows_from_neither_the_seed_nor_the_digests() -> None:
    rows = prepared(private(100))
    key = mask_of(rows.rows["train"], ["text"], 5).key
    assert len(key) == 32
    assert key.hex() not in {*rows.digests.values(), *prepared(private(100), mask=True).digests.values()}
    assert key != mask_of(rows.rows["train"].select(range(50)), ["text"], 5).key
    assert repr(key) not in repr(mask_of(rows.rows["train"], ["text"], 5))


@pytest.mark.parametrize("form", ["list", "frame", "splits"])
def test_rows_in_memory_are_masked(form: str) -> None:
    import datasets
    import pandas as pd

    rows = private(100)
    parts = {"train": datasets.Dataset.from_list(rows[:80]), "test": datasets.Dataset.from_list(rows[80:])}
    given = {"list": rows, "frame": pd.DataFrame(rows), "splits": datasets.DatasetDict(parts)}[form]
    found = prepared(given, mask=True)
    assert found.described["masked"]["rows"] > 30
    assert not any(phone in text for text in texts(found) for phone in PHONES)


def test_rows_stay_in_the_splits_that_they_have_without_a_mask(tmp_path: Path) -> None:
    rows = [{**row, "customer": f"c{number // 5}"} for number, row in enumerate(private(200))]
    source = write_csv(tmp_path / "a.csv", [*rows, *rows[:3]])
    keys: dict[str, Any] = {"group": "customer", "overlaps": "remove", "limit": 60}
    plain, found = prepared(source, **keys), prepared(source, **keys, mask=True)
    assert list(found.rows["train"]["__line__"]) == list(plain.rows["train"]["__line__"])
    assert {name: len(split) for name, split in found.rows.items()} == {name: len(s) for name, s in plain.rows.items()}


def test_a_misspelt_key_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'mask'"):
        parse({"name": "a", "stages": [{"finetune": {"task": "classify", "data": {"source": "a.csv", "masc": True}}}]})


# Stages


def tagged(path: Path, count: int = 40) -> Path:
    """Sentences with a phone number over four words and a place."""
    lines = []
    for number in range(count):
        phone = f"+44 20 7946 {number:04d}".split()
        lines += [f"i{number} O", "love O", "city B-LOC", "call O", *(f"{word} B-NUM" for word in phone), ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_tags_stay_on_their_words(tmp_path: Path) -> None:
    source = tagged(tmp_path / "a.conll")
    columns = TokenClassification().columns
    plain, found = (prepare_rows(DataConfig(source=str(source), mask=mask), columns, seed=5) for mask in (False, True))
    assert list(found.rows["train"]["tags"]) == list(plain.rows["train"]["tags"])
    for old, new in zip(plain.rows["train"]["words"], found.rows["train"]["words"], strict=True):
        assert [new[:4], len(new)] == [old[:4], 8]
        assert new[4:] != old[4:]
        assert re.fullmatch(r"\+\d\d \d\d \d{4} \d{4}", " ".join(new[4:]))
    assert found.described["masked"]["types"] == {"phone": len(found.rows["train"])}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, base: Path) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("masked")
    source = write_csv(folder / "a.csv", private(160))
    told: list[str] = []
    recipe = recipe_of(source, base, data={"mask": True}, max_tokens=60)
    made = run(parse(recipe), runs=folder / "runs", told=Told(told.append))
    return {"run": made, "recipe": recipe, "source": source, "told": told, "folder": folder}


def test_the_stage_measures_held_out_rows_as_they_are_and_masked(done: dict[str, Any]) -> None:
    results = json.loads((done["run"].stages[0].folder / "results.json").read_text("utf-8"))
    assert set(results["masked_evaluations"]) == set(results["evaluations"]) == {"validation", "test"}
    for split, found in results["masked_evaluations"].items():
        assert set(found["metrics"]) == set(results["evaluations"][split]["metrics"])
        assert found["metrics"]["accuracy"]["count"] == results["evaluations"][split]["count"]
    masked = results["data"]["masked"]
    assert masked["types"]["phone"] > 40
    accuracy = next(row for row in masked["scores"] if row["split"] == "test" and row["masked"]["name"] == "accuracy")
    assert accuracy["as_they_are"] == results["evaluations"]["test"]["metrics"]["accuracy"]
    assert accuracy["masked"] == results["masked_evaluations"]["test"]["metrics"]["accuracy"]
    assert any("masked in" in line and "phone" in line for line in done["told"])
    assert any("test, masked: accuracy" in line for line in done["told"])


def test_what_the_model_says_of_masked_rows_is_computed_from_them(done: dict[str, Any]) -> None:
    model = done["run"].model
    config = DataConfig(source=str(done["source"]), mask=True)
    rows = prepare_rows(config, TextClassification().columns, seed=5)
    said = [model.task.show(one)["label"] for one in _answers(model, list(rows.masked["test"]["text"]))]
    right = sum(a == b for a, b in zip(said, rows.rows["test"]["label"], strict=True)) / len(said)
    results = json.loads((done["run"].stages[0].folder / "results.json").read_text("utf-8"))
    assert results["masked_evaluations"]["test"]["metrics"]["accuracy"]["value"] == pytest.approx(right)


def _answers(model: Any, some: list[str]) -> list[Any]:
    rows = model._rows(some)
    return list(model.task.predict(model.scorer, model.task.encode(rows, model.tokenizer, 60, "error").examples))


def test_nothing_of_the_checkpoint_holds_personal_data_of_train(done: dict[str, Any]) -> None:
    rows = prepare_rows(DataConfig(source=str(done["source"])), TextClassification().columns, seed=5)
    values = {text[one.start : one.end] for text in rows.rows["train"]["text"] for one in find(text)}
    assert len(values) > 60
    stage = done["run"].stages[0].folder
    for path in (path for path in stage.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not [value for value in values if value.encode() in content], path
    lineage = json.loads((stage / "checkpoint" / "lineage.json").read_text("utf-8"))
    assert lineage["config"]["data"]["mask"] is True
    assert any(note.startswith("masked in") for note in lineage["data_notes"])
    assert lineage["data"]["train"] != rows.digests["train"]


def test_the_report_shows_types_counts_and_both_scores(done: dict[str, Any]) -> None:
    page = done["run"].report.read_text("utf-8")
    assert "Personal data that was masked" in page
    assert "Held-out rows masked" in page


def test_a_finished_stage_is_skipped_and_done_again_without_the_mask(done: dict[str, Any]) -> None:
    runs = done["folder"] / "runs"
    assert run(parse(done["recipe"]), runs=runs).stages[0].skipped
    done["recipe"]["stages"][0]["finetune"]["data"]["mask"] = False
    told: list[str] = []
    again = run(parse(done["recipe"]), runs=runs, told=Told(told.append)).stages[0]
    assert not again.skipped
    assert "masked_evaluations" not in again.results
    assert "masked" not in again.results["data"]
    assert any("changed since the last run" in line for line in told)


def test_two_runs_with_and_without_compare_row_by_row(done: dict[str, Any], base: Path, tmp_path: Path) -> None:
    recipe = recipe_of(done["source"], base, max_tokens=60)
    pair = [tmp_path / name / "small" for name in ("plain", "masked")]
    for folder, mask in zip(pair, (False, True), strict=True):
        recipe["stages"][0]["finetune"]["data"]["mask"] = mask
        run(parse(recipe), runs=folder.parent)
    (found,) = compare(*pair).pairs
    assert found.rows == found.first.results["evaluations"]["test"]["count"]
    assert (found.only_first, found.only_second, found.relabelled) == (0, 0, 0)


def test_a_pseudonym_that_makes_a_text_too_long_is_cut_where_it_is_only_measured(done: dict[str, Any]) -> None:
    model = done["run"].model
    rows = prepare_rows(
        DataConfig(
            source=[{"text": f"a{n} b{n}@c.de", "label": "good" if n % 2 else "bad"} for n in range(60)], mask=True
        ),
        TextClassification().columns,
        seed=5,
    )
    found = masked_evaluations(
        Judged(model.task, {}, {"test": {"metrics": {}}}), model.scorer, rows, model.tokenizer, 12, "error", seed=5
    )
    assert found["test"]["metrics"]["accuracy"]["count"] == len(rows.masked["test"])
    assert mask_results(Judged(model.task, {}, {}), {}, rows)["masked"]["scores"] == []


def test_hardening_masks_too(done: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Changes(every(Table({"good": ["fine"], "bad": ["poor"]})))
    row = Row(lambda tools: by_importance("toy-words", exchange, importance.UNKNOWN), "words", WORDS, "none")
    monkeypatch.setitem(ATTACKS, "toy-words", row)
    train = {"epochs": 1, "batch": 16, "learning_rate": 1e-3, "precision": "fp32", "noise": 5, "patience": None}
    stage = {
        "base": str(done["run"].checkpoint),
        "data": {"source": str(done["source"]), "mask": True},
        "train": train,
        "attacks": ["deepwordbug", "toy-words", "checklist"],
        "examples": 4,
        "max_clean_loss": 1.0,
    }
    made = run(parse({"name": "h", "seed": 5, "stages": [{"harden": stage}]}), runs=tmp_path)
    results = made.stages[0].results
    assert set(results["masked_evaluations"]) == set(results["evaluations"]) == {"validation", "test"}
    assert results["data"]["masked"]["types"]["phone"] > 40
    assert results["data"]["masked"]["scores"]
    config, context = harden.Config.model_validate(stage), Context(tmp_path / "plan", 5)
    splits = harden.job(config, context, harden.prepare(config, context)).splits
    assert {name: (split.answered, split.judged) for name, split in splits.items()} == {
        "validation": (4, 3),
        "test": (3, 3),
    }, "a plan counts the answers to masked rows"


def test_pretraining_learns_tokenizer_and_model_from_masked_documents(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(f"{row['text']} and {n} times" for n, row in enumerate(private(300))), encoding="utf-8")
    corpus = {"source": str(path), "near": "off", "held_out": 0.2}
    train = {"epochs": 1, "batch": 8, "precision": "fp32"}
    model = {"tokenizer": {"kind": "wordpiece", "vocabulary": 3000}, "model": {"size": "tiny", "width": 32, "heads": 2}}

    def trained(name: str, **keys: Any) -> tuple[dict[str, Any], Path, list[str]]:
        told: list[str] = []
        stage = {"corpus": {**corpus, **keys}, "context": 48, "train": train, **model}
        made = run(parse({"name": name, "stages": [{"pretrain": stage}]}), runs=tmp_path, told=Told(told.append))
        return made.stages[0].results, made.stages[0].folder, told

    plain, open_folder, _ = trained("plain")
    found, folder, told = trained("masked", mask=True)
    known, vocabulary = ((at / "checkpoint" / "tokenizer.json").read_text("utf-8") for at in (open_folder, folder))
    assert "corp" in known
    assert "corp" not in vocabulary
    assert found["corpus"]["masked"]["types"]["phone"] > 80
    assert any("masked in" in line and "documents of train" in line for line in told)
    assert (
        found["masked_evaluations"]["held_out"]["metrics"].keys() == found["evaluations"]["held_out"]["metrics"].keys()
    )
    assert "masked_evaluations" not in plain
    digests = [results["lineage"]["data"] for results in (plain, found)]
    assert digests[0]["held_out"] == digests[1]["held_out"]
    assert digests[0]["train"] != digests[1]["train"] == found["corpus"]["splits"]["train"]["digest"]
    assert not (folder / "training" / "masked").exists()
    pages = [(tmp_path / name / "report.html").read_text("utf-8") for name in ("plain", "masked")]
    assert ["Personal data that was masked" in page for page in pages] == [False, True]
    assert "Held-out rows masked" in pages[1]
    for mask, times in ((False, 2), (True, 3)):
        keys = {"corpus": {**corpus, "mask": mask}, "context": 48, "train": train, **model}
        config, context = pretrain.Config.model_validate(keys), Context(tmp_path / "plan", 5)
        split = pretrain.job(config, context, pretrain.prepare(config, context)).splits["held_out"]
        assert (split.answered, split.judged) == (times, times)
