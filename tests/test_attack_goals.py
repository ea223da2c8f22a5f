"""What each goal counts as reached, how it scores, and which rows it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from sixfold.attack.budget import Budget, check_budget
from sixfold.attack.goals import goal_for
from sixfold.errors import ModelError, UsageError
from sixfold.tasks.masked_lm import MaskedLM
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.token_classification import TokenClassification

THREE = TextClassification(("a", "b", "c"))
ANSWERS = np.array([[0.5, 0.3, 0.2], [0.4, 0.35, 0.25], [0.3, 0.1, 0.6], [0.1, 0.8, 0.1]])
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def test_untargeted_wants_any_wrong_label_and_scores_what_the_right_one_lost() -> None:
    aim = goal_for(THREE).aim("a")
    assert aim is not None
    assert aim.right(ANSWERS[:1])
    assert not aim.right(ANSWERS[2:3])
    judged = aim.judge(ANSWERS)
    assert judged.scores == pytest.approx([0.5, 0.6, 0.7, 0.9])
    assert judged.reached.tolist() == [False, False, True, True]


def test_a_model_that_is_sure_still_tells_which_variant_is_nearer() -> None:
    aim = goal_for(TextClassification(("a", "b"))).aim("a")
    assert aim is not None
    scores = aim.judge(np.array([[1.0, 1e-40], [1.0, 2e-40]])).scores
    assert scores[0] < scores[1]


def test_targeted_wants_one_label_and_leaves_rows_that_have_it() -> None:
    goal = goal_for(THREE, "targeted", target="b")
    assert goal.aim("b") is None
    aim = goal.aim("a")
    assert aim is not None
    judged = aim.judge(ANSWERS)
    assert judged.scores.tolist() == [0.3, 0.35, 0.1, 0.8]
    assert judged.reached.tolist() == [False, False, False, True]


def test_margin_wants_a_wrong_label_ahead_by_so_much() -> None:
    aim = goal_for(THREE, "margin", bound=0.5).aim("a")
    assert aim is not None
    judged = aim.judge(ANSWERS)
    assert judged.scores == pytest.approx([-0.2, -0.05, 0.3, 0.7])
    assert judged.reached.tolist() == [False, False, False, True]


def test_of_several_labels_one_right_one_must_be_lost() -> None:
    task = TextClassification(("a", "b", "c"), several=True, thresholds=(0.5, 0.3, 0.9))
    aim = goal_for(task).aim(["a", "b"])
    assert aim is not None
    judged = aim.judge(np.array([[0.6, 0.4, 0.1], [0.6, 0.25, 0.9], [0.1, 0.4, 0.0]]))
    assert judged.reached.tolist() == [False, True, True]
    assert judged.scores == pytest.approx([-0.1, 0.05, 0.4])
    assert goal_for(task).aim([]) is None


def of_tags(*tags: str, sure: float = 0.9) -> np.ndarray:
    """Probabilities [words, tags] that put each tag first."""
    table = np.full((len(tags), len(TAGS)), (1 - sure) / (len(TAGS) - 1))
    table[np.arange(len(tags)), [TAGS.index(tag) for tag in tags]] = sure
    return table


def test_an_entity_is_lost_with_its_type_its_first_or_its_last_word() -> None:
    aim = goal_for(TokenClassification(TAGS)).aim(["B-PER", "I-PER", "O", "B-LOC"])
    assert aim is not None
    answers = np.stack(
        [
            of_tags("B-PER", "I-PER", "O", "B-LOC"),
            of_tags("B-PER", "O", "O", "B-LOC"),
            of_tags("B-LOC", "I-LOC", "O", "B-LOC"),
            of_tags("B-PER", "I-PER", "B-PER", "B-LOC"),
        ]
    )
    judged = aim.judge(answers)
    assert judged.reached.tolist() == [False, True, True, False], "what is found where nothing is does not count"
    assert judged.scores == pytest.approx([0.1, (0.975 + 0.1) / 2, (0.975 + 0.1) / 2, 0.1])


def test_a_share_of_the_entities_can_be_asked_for() -> None:
    aim = goal_for(TokenClassification(TAGS), "entities", bound=0.5).aim(["B-PER", "B-LOC"])
    assert aim is not None
    answers = np.stack([of_tags("B-PER", "O"), of_tags("O", "O")])
    assert aim.judge(answers).reached.tolist() == [False, True]


def test_a_sentence_without_entities_leaves_nothing_to_attack() -> None:
    goal = goal_for(TokenClassification(TAGS))
    assert goal.aim(["O", "O"]) is None
    assert goal.aim(["B-ORG", "O"]) is None, "a type that training did not know"


def test_a_label_that_training_did_not_know_is_wrong_already() -> None:
    aim = goal_for(THREE).aim("d")
    assert aim is not None
    assert not aim.right(ANSWERS[:1])


@pytest.mark.parametrize(
    ("task", "options", "what", "nearest"),
    [
        (THREE, {"name": "untargetted"}, "there is no goal 'untargetted'", "untargeted"),
        (THREE, {"name": "targeted", "target": "bb"}, "there is no label 'bb'", "b"),
        (THREE, {"name": "targeted"}, "needs a target label", None),
        (THREE, {"target": "b"}, "needs a target label", None),
        (THREE, {"bound": 0.5}, "only the goals margin and entities have a bound", None),
        (THREE, {"name": "margin", "bound": 0.0}, "more than 0 and at most 1", None),
        (THREE, {"name": "margin", "bound": 1.5}, "more than 0 and at most 1", None),
        (THREE, {"name": "entities"}, "is for models that find entities", "untargeted"),
        (TokenClassification(TAGS), {"name": "untargeted"}, "is for texts with a label", "entities"),
        (TextClassification(("a",), several=True), {"name": "margin"}, "for texts with one label", "untargeted"),
    ],
)
def test_a_goal_that_does_not_fit_is_told(task, options, what: str, nearest: str | None) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=what) as error:
        goal_for(task, **options)
    assert error.value.nearest == nearest


def test_a_checkpoint_of_another_task_is_told() -> None:
    with pytest.raises(ModelError, match="only models that classify texts or find entities") as error:
        goal_for(MaskedLM())
    assert error.value.found == "masked_lm"


def test_a_budget_gives_what_is_left() -> None:
    budget = Budget(5)
    assert [budget.take(3), budget.take(3), budget.take(1)] == [3, 2, 0]
    assert budget.over
    assert budget.spent == 5
    free = Budget()
    assert free.take(10_000) == 10_000
    assert not free.over


@pytest.mark.parametrize("most", [0, -1])
def test_a_budget_of_nothing_is_refused(most: int) -> None:
    with pytest.raises(UsageError, match="at least 1 query"):
        check_budget(most)


def test_the_right_answer_of_an_entity_goal_is_told_for_entity_words_alone() -> None:
    aim = goal_for(TokenClassification(TAGS)).aim(["O", "B-LOC", "I-LOC", "B-PER"])
    assert aim is not None
    assert aim.label == [-100, 3, 4, 1]
