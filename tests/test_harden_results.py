"""What a harden stage says of before and after, counted by hand: no model is trained here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from linear_subject import LinearSubject

from sixfold.attack.outcome import Outcome
from sixfold.metrics import compare
from sixfold.perturb.words import Edit
from sixfold.stages.attacked import Attacked, Measured
from sixfold.stages.harden_config import Config, trained_on
from sixfold.stages.harden_results import compared, refusal, told
from sixfold.stages.labelled import Judged
from sixfold.tasks.text_classification import LabelPrediction, TextClassification
from sixfold.tasks.texts import Texts

STAGE: dict[str, Any] = {"data": {"source": "a.csv"}, "train": {"noise": 5}}


def outcome(place: int, kind: str, *, why: str = "", attack: str = "deepwordbug") -> Outcome:
    """Of the row ``place``: its first word becomes another where something was found."""
    edits = (Edit(0, 4, "vile"),) if kind in ("succeeded", "failed") else ()
    text = f"good text {place}"
    return Outcome(
        attack=attack,
        row=f"{place:032x}",
        place=place,
        part="test",
        where=f"a.csv:{place}",
        kind=kind,  # type: ignore[arg-type]
        original=text,
        adversarial=f"vile text {place}" if edits else text,
        edits=edits,
        gold="yes",
        before="" if kind == "skipped" else "yes",
        after="no" if kind == "succeeded" else "yes",
        scores=(0.1, 0.9),
        queries=5 + place,
        enough=5 + place if kind == "succeeded" else None,
        words=3,
        why=why,
    )


class Stubborn(LinearSubject):
    """Right about odd rows, whatever was changed. Its strings end in the row's number."""

    def whole(self, strings: Any) -> Any:
        return np.array([[0.0, 1.0] if int(string.split()[-1]) % 2 else [1.0, 0.0] for string in strings])


def measured(by_attack: dict[str, str], right: list[bool]) -> Measured:
    """A letter a row: s succeeded, f failed, n no candidates, b budget spent, w already wrong, t too long."""
    kinds = {"s": "succeeded", "f": "failed", "n": "no candidates", "b": "budget spent"}
    whys = {"w": "already wrong", "t": "too long"}
    task = TextClassification(("no", "yes"))
    answers = [
        LabelPrediction(("yes",) if yes else ("no",), 0.9, np.array([0.1, 0.9] if yes else [0.9, 0.1]), np.zeros(2))
        for yes in right
    ]
    rows = Texts({"text": ["x"] * len(right), "label": ["yes", "no"] * (len(right) // 2)})
    evaluation = task.evaluate(answers, rows, seed=0)
    attacked = [
        Attacked(
            name,
            [["Search", "greedy"]],
            [
                outcome(place, kinds.get(letter, "skipped"), why=whys.get(letter, ""), attack=name)
                for place, letter in enumerate(letters)
            ],
            {"seconds": 1.0},
        )
        for name, letters in by_attack.items()
    ]
    subject: Any = Stubborn({})
    return Measured(subject, Judged(task, {"test": answers}, {"test": evaluation}), attacked)


def hand_counted(**changes: Any) -> dict[str, Any]:
    import datasets

    rows = datasets.Dataset.from_dict({"text": [f"text {n}" for n in range(10)], "label": ["yes", "no"] * 5})
    before = measured({"deepwordbug": "sssssffnwt", "pwws": "ffsfffsnwt"}, [True, False] * 5)
    after = measured({"deepwordbug": "fffsbsfnwt", "pwws": "ffffffsnft"}, changes.pop("right", [True, False] * 5))
    return compared(before, after, rows, "test", config=Config.model_validate(STAGE), seed=0)


def test_accuracy_under_attack_counts_what_withstood_among_all_rows() -> None:
    found = hand_counted()
    assert (found["of"], found["rows"], found["left_out"]) == (10, 9, 1)
    first, second = found["attacks"]
    # of nine rows: two failed and one without candidates; after: seven less one that is still wrong
    assert first["before"]["value"] == pytest.approx(3 / 9)
    assert first["after"]["value"] == pytest.approx(6 / 9)
    assert second["before"]["value"] == pytest.approx(6 / 9)
    assert second["after"]["value"] == pytest.approx(8 / 9)
    assert first["before"]["count"] == 9


def test_a_row_is_right_under_all_attacks_if_it_withstands_each() -> None:
    found = hand_counted()["all"]
    assert found["before"]["value"] == pytest.approx(2 / 9), "rows 5 and 7"
    assert found["after"]["value"] == pytest.approx(5 / 9), "rows 0, 1, 2, 4 and 7"
    assert found["test"]["p"] == compare.mcnemar(
        np.array([0, 0, 0, 0, 0, 1, 0, 1, 0]), np.array([1, 1, 1, 0, 1, 0, 0, 1, 0])
    )[2]  # fmt: skip


def test_the_tests_are_corrected_together() -> None:
    found = hand_counted()
    tests = [found["metric"], found["clean"], *found["attacks"], found["all"]]
    plain = [test["test"]["p"] for test in tests]
    assert [test["test"]["p_holm"] for test in tests] == compare.holm(plain)


def test_old_texts_are_read_by_the_hardened_model() -> None:
    first, second = hand_counted()["attacks"]
    assert (first["old_texts"]["value"], first["old_texts"]["count"]) == (pytest.approx(2 / 5), 5), "rows 1 and 3"
    assert second["old_texts"]["count"] == 2
    assert [pair["reads_old"] for pair in first["pairs"]] == [False, True, False, True, False]


def test_what_was_trained_on_is_told_by_attack_and_kind() -> None:
    side = measured({"deepwordbug": "ss", "pruthi": "ss", "pwws": "ss"}, [True, False])
    import datasets

    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "label": ["yes", "no"]})
    config = Config.model_validate({**STAGE, "renew": {"attack": "deepwordbug"}})
    found = compared(side, side, rows, "test", config=config, seed=0)
    assert [one["trained_on"] for one in found["attacks"]] == ["yes", "its kind", "no"]


@pytest.mark.parametrize(
    ("method", "known"),
    [
        ("typos", ["deepwordbug", "textbugger", "zh-deepwordbug"]),
        ("eda", ["textbugger", "pwws", "zh-pwws"]),
        ("place-name", ["checklist", "zh-checklist"]),
        ("aeda", []),
    ],
)
def test_what_augmentation_changes_counts_as_trained_on(method: str, known: list[str]) -> None:
    config = Config.model_validate({**STAGE, "augment": {"method": method}})
    names = ("deepwordbug", "textbugger", "pwws", "checklist", "zh-deepwordbug", "zh-pwws", "zh-checklist")
    assert [name for name in names if trained_on(config, name) == "its kind"] == known


def test_a_score_that_fell_by_more_than_allowed_is_refused_with_the_numbers() -> None:
    found = hand_counted(right=[False, False] * 5)
    fell = found["metric"]["before"]["value"] - found["metric"]["after"]["value"]
    assert fell == pytest.approx(1 - 1 / 3)
    assert refusal(found, fell) is None
    refused = refusal(found, fell - 0.001)
    assert refused is not None
    assert refused["what"].startswith("macro F1 on test rows as they are fell from 100.0 to 33.3 %")


def test_the_lines_for_a_terminal_stand_under_each_other() -> None:
    head, *lines = told(hand_counted())
    assert [line.split("  ")[0].strip() for line in lines] == [
        "macro F1, 10 rows as they are",
        "under deepwordbug",
        "under pwws",
        "under all of them",
    ]
    assert "33.3    66.7  +30" in lines[1].replace("\\[", "[") or "33.3    66.7" in lines[1]
    assert len({line.index("before") if "before" in line else 0 for line in [head]}) == 1
