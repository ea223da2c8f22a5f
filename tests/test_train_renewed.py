"""Examples made anew each epoch: what an epoch learns from, a schedule that is known before, and exact resuming."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from small_classifier import TASK, batch_of, classifier, examples, losses, settings, steps_of

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import Interrupted, ModelError
from sixfold.tasks.text_classification import TextClassification
from sixfold.train import state as states
from sixfold.train.events import Renewed, Saved, Started, Stopped
from sixfold.train.loop import fit
from sixfold.train.progress import shown


class Made:
    """Makes examples whose rows are numbered from 1000 on; how many may differ from epoch to epoch.

    What it makes is new in every process, as where an attack has a time limit: nothing follows from a seed.
    """

    def __init__(self, counts: tuple[int, ...] = (8, 8, 8, 8), per_epoch: int = 8, seed: int = 0) -> None:
        self.counts = counts
        self.per_epoch = per_epoch
        self.rng = np.random.default_rng(seed)
        self.calls: list[int] = []

    def __call__(self, epoch: int, model: torch.nn.Module) -> Examples:
        self.calls.append(epoch)
        count = self.counts[epoch]
        made = examples(24, seed=int(self.rng.integers(1 << 30))).take(np.arange(count))
        return Examples({**made.columns, "row": np.arange(count) + 1000 * (epoch + 1)})


class Watched(TextClassification):
    """Keeps the rows of the batches that it was asked for."""

    seen: list[int] = []  # noqa: RUF012 (a test's own)

    def collate(self, examples: Examples, rng: np.random.Generator) -> dict[str, Any]:
        self.seen.extend(examples.dense("row").tolist())
        return super().collate(examples, rng)


def test_an_epoch_learns_from_what_is_given_and_what_was_made_for_it() -> None:
    Watched.seen.clear()
    made = Made()
    events = list(fit(classifier(), Watched(labels=("a", "b")), examples(), settings(), seed=1, renew=made))
    assert made.calls == [0, 1]
    assert [(e.step, e.epoch, e.made, e.again) for e in events if isinstance(e, Renewed)] == [
        (0, 0, 8, 0),
        (4, 1, 8, 0),
    ]
    assert [step.epoch for step in steps_of(events)] == [0.25 * step for step in range(1, 9)]
    for epoch in (0, 1):
        rows = Watched.seen[32 * epoch : 32 * (epoch + 1)]
        assert sorted(rows) == [*range(24), *range(1000 * (epoch + 1), 1000 * (epoch + 1) + 8)]


def test_given_ones_stand_in_for_those_that_were_not_made_and_the_schedule_stays() -> None:
    Watched.seen.clear()
    made = Made(counts=(8, 3, 0))
    config = settings(epochs=3, warmup=0.25)
    events = list(fit(classifier(), Watched(labels=("a", "b")), examples(), config, seed=1, renew=made))
    rates = [step.learning_rate for step in steps_of(events)]
    known = list(fit(classifier(), TASK, examples(32), config, seed=1))
    assert rates == [step.learning_rate for step in steps_of(known)]
    assert [(e.made, e.again) for e in events if isinstance(e, Renewed)] == [(8, 0), (3, 5), (0, 8)]
    twice = []
    for epoch, missing in ((0, 0), (1, 5), (2, 8)):
        counts = Counter(Watched.seen[32 * epoch : 32 * (epoch + 1)])
        assert set(range(24)) <= set(counts)
        twice.append({row for row, count in counts.items() if count == 2})
        assert len(twice[-1]) == missing
        assert max(counts.values()) <= 2
    assert twice[1] - twice[2], "others stand in each time"


def test_more_may_be_announced_than_are_given() -> None:
    events = list(fit(classifier(), TASK, examples(5), settings(epochs=1), seed=1, renew=Made((0,), per_epoch=12)))
    assert events[0].steps == len(steps_of(events)) == 3


def test_more_than_announced_is_a_mistake_of_the_maker() -> None:
    with pytest.raises(AssertionError, match="9 examples made, 8 announced"):
        list(fit(classifier(), TASK, examples(), settings(), seed=1, renew=Made((9,))))


def test_the_maker_gets_the_model_as_it_is_in_evaluation_mode_and_leaves_no_trace() -> None:
    learner = classifier(0.2)
    weights: list[torch.Tensor] = []

    class Rough(Made):
        def __call__(self, epoch: int, model: torch.nn.Module) -> Examples:
            assert model is learner
            assert not model.training
            weights.append(model.classifier.weight.detach().clone())  # type: ignore[union-attr,operator]
            torch.rand(epoch + 3)
            TASK.loss(model, batch_of(examples(4)))["label"].sum.backward()  # an attack that needs gradients
            return super().__call__(epoch, model)

    rough = losses(list(fit(learner, TASK, examples(), settings(), seed=1, renew=Rough())))
    plain = losses(list(fit(classifier(0.2), TASK, examples(), settings(), seed=1, renew=Made())))
    assert rough == plain
    assert not torch.equal(weights[0], weights[1])


def test_tokens_that_no_given_example_holds_learn_too() -> None:
    class Other(Made):
        def __call__(self, epoch: int, model: torch.nn.Module) -> Examples:
            columns = super().__call__(epoch, model).columns
            return Examples({**columns, "input_ids": Ragged.of([[1, 35, 36, 2]] * 8)})

    model = classifier()
    before = model.get_input_embeddings().weight.detach().clone()
    started, *_ = fit(model, TASK, examples(), settings(), seed=1, renew=Other())
    assert isinstance(started, Started)
    assert "embedding rows" not in {choice.name for choice in started.choices}
    changed = (model.get_input_embeddings().weight != before).any(1)
    assert changed[[35, 36]].all()
    assert not changed[[31, 32, 33, 34, 37, 38, 39]].any()


Run = Callable[..., Any]


def run(folder: Path | None, made: Made, **changes: Any) -> Any:
    config = settings(**{"epochs": 3, "save_minutes": 0, **changes})
    return fit(classifier(0.2), TASK, examples(), config, seed=7, folder=folder, renew=made)


@pytest.mark.parametrize("at", [2, 4, 6])
def test_a_run_that_ends_inside_an_epoch_goes_on_with_the_same_examples_bit_for_bit(at: int, tmp_path: Path) -> None:
    """The first process is cut off after its state was saved; the second one would make other examples."""
    first_made = Made(counts=(8, 2, 5))
    expected = losses(list(run(None, Made(counts=(8, 2, 5)))))
    events = run(tmp_path, first_made)
    first = []
    for event in events:
        first.append(event)
        if isinstance(event, Saved) and event.step == at and at % 4:
            break
        if isinstance(event, Renewed) and event.step == at:
            break
    events.close()
    again = Made(counts=(8, 2, 5))
    again.rng = first_made.rng  # goes on where the first process's stood, but for what is kept
    rest = list(run(tmp_path, again))
    assert losses(first) + losses(rest) == expected
    done = at // 4
    assert again.calls == list(range(done + 1, 3)), "not the epoch in which it was cut off"
    assert rest[0].first_step == at


def test_what_a_killed_epoch_left_is_not_taken_by_a_run_that_starts_anew(tmp_path: Path) -> None:
    events = run(tmp_path, Made())
    assert [type(next(events)) for _ in range(2)] == [Started, Renewed]
    events.close()
    assert [path.name for path in tmp_path.iterdir()] == ["renewed-00000"]
    again = Made(seed=5)
    assert losses(list(run(tmp_path, again))) == losses(list(run(None, Made(seed=5))))
    assert again.calls == [0, 1, 2]


def test_a_state_is_saved_before_the_maker_is_called_so_that_it_may_end_the_run(tmp_path: Path) -> None:
    class Ending(Made):
        def __call__(self, epoch: int, model: torch.nn.Module) -> Examples:
            if epoch == 1 and not self.counts[3]:
                raise Interrupted("stopped")
            return super().__call__(epoch, model)

    expected = losses(list(run(None, Made(), save_minutes=1e9)))
    made = Ending(counts=(8, 8, 8, 0))
    first: list = []
    with pytest.raises(Interrupted):
        first.extend(run(tmp_path, made, save_minutes=1e9))
    assert isinstance(first[-1], Saved)
    assert first[-1].step == 4
    again = Made()
    again.rng = made.rng
    rest = list(run(tmp_path, again, save_minutes=1e9))
    assert losses(first) + losses(rest) == expected


def test_one_epochs_examples_are_kept_and_none_of_a_finished_run(tmp_path: Path) -> None:
    for event in run(tmp_path, Made()):
        if isinstance(event, Renewed):
            assert [path.name for path in tmp_path.glob("*renewed-*")] == [f"renewed-{event.epoch:05d}"]
    states.clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_early_stopping_makes_nothing_for_an_epoch_that_does_not_come(tmp_path: Path) -> None:
    made = Made()
    config = settings(epochs=4, patience=1)
    scores = iter([0.5, 0.4])
    events = list(
        fit(classifier(), TASK, examples(), config, seed=1, renew=made, evaluate=lambda _: {"macro_f1": next(scores)})
    )
    assert events[-1] == Stopped(8, "early", 4, 0.5)
    assert made.calls == [0, 1]


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_kept_examples_that_cannot_be_read_are_told_with_what_to_do(damage: str, tmp_path: Path) -> None:
    events = run(tmp_path, Made())
    next(event for event in events if isinstance(event, Saved) and event.step == 2)
    events.close()
    place = tmp_path / "renewed-00000"
    if damage == "gone":
        for path in place.iterdir():
            path.unlink()
        place.rmdir()
    elif damage == "cut":
        (place / "label.npy").write_bytes(b"")
    else:
        (place / "columns.json").write_text("{")
    with pytest.raises(ModelError, match="made for epoch 1 cannot be read") as caught:
        list(run(tmp_path, Made()))
    assert caught.value.where == place
    assert caught.value.hint == f"remove {tmp_path} to start this stage again"


def test_what_was_made_is_shown() -> None:
    console = Console(file=io.StringIO(), width=120)
    events = fit(classifier(), TASK, examples(), settings(), seed=1, renew=Made(counts=(8, 1)))
    list(shown(events, console))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "epoch 1: 8 examples made in 0 s\n" in text
    assert "epoch 2: 1 example made in 0 s; 7 given ones seen again in place of more\n" in text
